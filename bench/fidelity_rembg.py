"""Runs inside rembg's own environment: the masks rembg makes of pictures, written as PNG. Started by bench.fidelity.

The orders come as JSON on standard input: `cases` with `session`, `model` and `output`, and `pictures`; the answer is
rembg's version.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import rembg

__all__: list[str] = []


def main() -> int:
    """Make every mask of every case."""
    orders = json.load(sys.stdin)
    for case in orders["cases"]:
        session = rembg.new_session(case["session"], model_path=case["model"])
        for path in map(Path, orders["pictures"]):
            mask = rembg.remove(path.read_bytes(), session=session, only_mask=True)
            (Path(case["output"]) / f"{path.name}.png").write_bytes(mask)
    print(version("rembg"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
