"""bgrd with null lanes, which copy a source in upper case, so that a flood of files takes a minute: `... run`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from bgrd import daemon
from bgrd.cli.main import main
from bgrd.engine.process import start_lane
from bgrd.engine.starter import Starter

NULL_LANE = Path(__file__).parent / "null_lane.py"

daemon.Starter = partial(Starter, partial(start_lane, (str(NULL_LANE),)))  # type: ignore[attr-defined, assignment]
sys.exit(main(sys.argv[1:]))
