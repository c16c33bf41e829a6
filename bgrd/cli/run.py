"""`bgrd run`: the daemon in the foreground, as systemd and terminals want it."""

from __future__ import annotations

import argparse
import os
import sys

from bgrd.config.load import load
from bgrd.daemon import Daemon
from bgrd.kernel import give_large_blocks_back
from bgrd.telemetry.log import configure
from bgrd.telemetry.notify import Notifier

__all__ = ["command"]


def command(options: argparse.Namespace) -> int:
    """Run until stopped. Raises BgrdError with the exit code of what went wrong."""
    give_large_blocks_back()
    notifier = Notifier()
    settings = load(options.config)
    configure(log_format=settings.log_format, log_level=settings.log_level, stream=sys.stderr)
    Daemon(lambda: load(options.config), notifier=notifier).run()
    return os.EX_OK
