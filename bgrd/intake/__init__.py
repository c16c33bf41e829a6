"""Which files are ours, and finished."""
