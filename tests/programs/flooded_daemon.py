"""bgrd with null lanes, which copy a source in upper case, so that a flood of files takes a minute: `... run`."""

from __future__ import annotations

import sys
from pathlib import Path

from bgrd.cli.main import main
from bgrd.engine.process import start_lane

NULL_LANE = Path(__file__).parent / "null_lane.py"

start_lane.__defaults__ = ((str(NULL_LANE),),)
sys.exit(main(sys.argv[1:]))
