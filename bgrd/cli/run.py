"""`bgrd run`: the daemon in the foreground, as systemd and terminals want it."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing

from bgrd.engine.starter import Starters
from bgrd.kernel import give_large_blocks_back

__all__ = ["command"]


def command(options: argparse.Namespace) -> int:
    """Run until stopped. Raises BgrdError with the exit code of what went wrong.

    The first lane is on its way while this process loads its own libraries: each takes some 0.3 seconds.
    """
    give_large_blocks_back()
    starters = Starters()
    with closing(starters):
        starters.lanes.go_ahead()
        _serve(options, starters)
    return os.EX_OK


def _serve(options: argparse.Namespace, starters: Starters) -> None:
    from bgrd.config.load import load  # noqa: PLC0415 - these are the libraries, see above
    from bgrd.daemon import Daemon  # noqa: PLC0415
    from bgrd.telemetry.log import configure  # noqa: PLC0415
    from bgrd.telemetry.notify import Notifier  # noqa: PLC0415

    notifier = Notifier()
    settings = load(options.config)
    configure(log_format=settings.log_format, log_level=settings.log_level, stream=sys.stderr)
    Daemon(lambda: load(options.config), notifier=notifier, starters=starters).run()
