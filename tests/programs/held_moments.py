"""bgrd that can be held at chosen moments of a job: `python held_moments.py DIRECTORY run`.

While the file DIRECTORY/MOMENT exists, a job that comes to that moment says so in DIRECTORY/MOMENT.reached and waits.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bgrd import committer
from bgrd.cli.main import main
from bgrd.delivery import commit, source

DIRECTORY = Path(sys.argv[1])


def hold(moment: str) -> None:
    """Wait as long as the moment is to be held."""
    flag = DIRECTORY / moment
    if flag.exists():
        flag.with_suffix(".reached").touch()
    while flag.exists():
        threading.Event().wait(0.005)


def held(module: Any, name: str, *, before: str = "", after: str = "") -> None:
    """Hold calls of a module's function before they begin or after they are over."""
    real: Callable[..., Any] = getattr(module, name)

    def call(*arguments: Any, **options: Any) -> Any:
        if before:
            hold(before)
        answer = real(*arguments, **options)
        if after:
            hold(after)
        return answer

    setattr(module, name, call)


held(committer, "open_claim", after="opened")
held(committer, "intact_job", before="hashed")
held(committer, "deliver", before="worked")
held(commit, "unchanged", after="compared")
held(committer, "finish", before="committed")
held(source, "_proven", before="hidden", after="proven")
sys.exit(main(sys.argv[2:]))
