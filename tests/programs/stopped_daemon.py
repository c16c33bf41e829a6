"""bgrd whose threads and lanes can be held behind any step: `python stopped_daemon.py DIRECTORY RUNG run`.

DIRECTORY is where `stops.Stops` gives its orders, RUNG the way results are published, or `best`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bgrd import steps
from bgrd.cli.main import main
from bgrd.delivery.outbox import Outbox
from bgrd.engine.process import start_lane
from tests.houses.stops import Stop

LANE = Path(__file__).with_name("stopped_lane.py")

steps.hook = Stop(Path(sys.argv[1]))
start_lane.__defaults__ = (("-P", str(LANE), sys.argv[1]),)
if sys.argv[2] != "best":
    assert Outbox.__init__.__kwdefaults__ is not None
    Outbox.__init__.__kwdefaults__["ladder"] = (sys.argv[2],)
sys.exit(main(sys.argv[3:]))
