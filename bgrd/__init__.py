"""bgrd cuts the subject out of every picture that lands in an inbox.

The flow, in order, and where each stage lives:

    arrival         intake/watch.py, intake/scan.py
    settle          intake/settle.py
    journal         journal/journal.py
    claim           engine/dispatch.py
    read            engine/lane.py
    decode          imaging/decode.py
    prepare         imaging/prepare.py
    infer           models/session.py
    matte           imaging/matte.py
    refine          imaging/refine.py
    compose         imaging/compose.py
    encode          imaging/encode.py
    verify          imaging/verify.py
    commit          delivery/commit.py
    source policy   delivery/source.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bgrd.job import Recipe
    from bgrd.library import cut_out, recipe

__all__ = ["Recipe", "__version__", "cut_out", "recipe"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import the library's face only when it is used: the daemon never loads Pillow or onnxruntime (PEP 562)."""
    if name in {"cut_out", "recipe"}:
        from bgrd import library  # noqa: PLC0415 - light start-up

        return getattr(library, name)
    if name == "Recipe":
        from bgrd.job import Recipe  # noqa: PLC0415 - light start-up

        return Recipe
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
