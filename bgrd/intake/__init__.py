"""Which files are ours, and finished.

walker.py      the folder's thread: guard, watch, rounds, when to wake
guard.py       the same mounts as ever?
ears.py        the watch kept alive; watch.py: inotify itself
rounds.py      one turn: fresh paths, what settles, a step of the walks (pace.py: when)
survey.py      one walk of everything: new files in, missing files told; scan.py: the walk itself
admission.py   the one door in: ignore.py -> lease.py -> settle.py -> journal
mounts.py      what lies where, and what follows; protocol.py: what intake wants from the journal
"""
