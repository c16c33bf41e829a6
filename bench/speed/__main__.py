"""Runs the scenarios: `python -m bench.speed [--quick] [--only NAME ...] [--minutes N] [--json FILE] [--publish]`.

Results go to build/speed.json and .png; with --publish to docs/ and the README's table, for a full run on a machine
that does nothing else. With --only the scenarios of an earlier run of the same machine stay in the file.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.speed import backlog, chart, folder, idle, large, latency, machine, memory, peer, report, scaling, start
from bench.speed.figures import NotRun, Scenario, Setting
from bench.speed.stand import ROOT

__all__ = ["SCENARIOS", "main", "run"]

SCENARIOS: dict[str, Scenario] = {
    "folder": folder.run,
    "scaling": scaling.run,
    "peer": peer.run,
    "latency": latency.run,
    "start": start.run,
    "large": large.run,
    "memory": memory.run,
    "idle": idle.run,
    "backlog": backlog.run,
}
_MINUTES = 5.0
_QUIET_LOAD = 0.5
_TERMINATED = 143


def main(arguments: list[str] | None = None) -> int:
    """Run, write, and say of each figure whether it is met; 1 where a scenario failed."""
    options = _parsed(arguments)
    place = ROOT / "docs/speed.json" if options.publish else options.json
    before = report.read(place) if options.only else {"scenarios": {}}
    results: dict[str, Any] = {}
    if os.getloadavg()[0] > _QUIET_LOAD and not options.quick:
        print(f"the machine is busy (load {os.getloadavg()[0]:.1f}): the figures will say little", flush=True)
    with tempfile.TemporaryDirectory(prefix="bgrd-speed-", dir=options.scratch) as scratch:
        setting = Setting(
            scratch=Path(scratch),
            quick=options.quick,
            minutes=options.minutes,
            make_peer=not options.quick,
            tell=lambda sentence: print(f"    {sentence}", flush=True),
        )
        for found in run(options.only or list(SCENARIOS), setting):
            results = report.merged(before, found)
            report.write(results, place)
    chart.draw(results, place.with_suffix(".png"))
    if options.publish:
        readme = ROOT / "README.md"
        readme.write_text(report.replaced(readme.read_text(), results))
    print(report.table(results))
    return 1 if any("failed" in scenario for scenario in results["scenarios"].values()) else 0


def run(names: list[str], setting: Setting) -> Iterator[dict[str, Any]]:
    """Run scenarios one after the other; gives all results so far as JSON values, after each."""
    scenarios: dict[str, Any] = {}
    for name in names:
        print(f"{name}: {(sys.modules[SCENARIOS[name].__module__].__doc__ or '').splitlines()[0]}", flush=True)
        said = {"made": datetime.now(UTC).isoformat(timespec="seconds"), "load_before": os.getloadavg()[0]}
        started = time.monotonic()
        try:
            outcome = SCENARIOS[name](setting)
        except NotRun as reason:
            print(f"    not run: {reason}", flush=True)
            scenarios[name] = {**said, "not_run": str(reason)}
        except Exception as error:  # noqa: BLE001 - twenty minutes of other results are not to be lost with it
            traceback.print_exc()
            scenarios[name] = {**said, "failed": f"{type(error).__name__}: {error}"}
        else:
            scenarios[name] = report.record(outcome, seconds=time.monotonic() - started, **said)
        yield {"machine": machine.facts(), "quick": setting.quick, "scenarios": scenarios}


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description="How fast bgrd is and what it costs.")
    parser.add_argument("--quick", action="store_true", help="only show that every scenario works: no figure counts")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--minutes", type=float, default=_MINUTES, help="how long it idles (%(default)s)")
    parser.add_argument("--json", type=Path, default=ROOT / "build/speed.json", help="where the results go")
    parser.add_argument("--scratch", type=Path, help="on which disk it is measured; the system's temporary directory")
    parser.add_argument("--publish", action="store_true", help="into docs/ and the README")
    options = parser.parse_args(arguments)
    if options.publish and options.quick:
        parser.error("--quick measures nothing that could be published")
    return options


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_told: sys.exit(_TERMINATED))  # daemons and folders are to go in any case
    sys.exit(main())
