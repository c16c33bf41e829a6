"""A lane that can be held behind any step: `python stopped_lane.py DIRECTORY SOCKET PARENT`."""

from __future__ import annotations

import sys
from pathlib import Path

from bgrd import steps
from bgrd.engine.lane import main
from tests.houses.stops import Stop

steps.hook = Stop(Path(sys.argv[1]))
sys.exit(main(sys.argv[2:]))
