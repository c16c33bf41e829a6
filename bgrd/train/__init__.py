"""Data sets, networks, training, judging and export: what `bgrd train` does; needs the extra `train`."""
