"""bgrd whose lanes are another program: `hostile_daemon.py LANE FACTS run`."""

from __future__ import annotations

import sys

from bgrd.cli.main import main
from bgrd.engine.process import start_lane

start_lane.__defaults__ = (("-P", sys.argv[1], sys.argv[2]),)
sys.exit(main(sys.argv[3:]))
