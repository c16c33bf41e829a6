"""`python -m bgrd` is `bgrd`."""

from __future__ import annotations

from bgrd.cli.main import entry

if __name__ == "__main__":
    entry()
