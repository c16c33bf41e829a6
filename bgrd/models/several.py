"""Whether a model gives a picture the same mask beside others as it gives it alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bgrd.errors import Fault, MemoryFault
from bgrd.models.session import Session
from bgrd.models.trial import synthetic

__all__ = ["several"]

_APART = 0.5 / 255
"""Less than what rounds to one step of 255, in values whose span is 1 or more."""


def several(session: Session, most: int) -> tuple[int, str]:
    """Try how many pictures may go through at once, at most `most`; where it is one, say why in a sentence, else "".

    A graph may stretch or quantise by the least and the greatest of all it is given: each picture would then come out
    differently by its neighbours, which nobody could explain. Raises MemoryFault where one alone is too much.
    """
    if most <= 1:
        return 1, ""
    if not session.takes_several:
        return 1, "one picture at a time, as its file says"
    one = synthetic(session.spec, session.element_type)
    other = np.ascontiguousarray(one[:, ::-1, ::-1] * one.dtype.type(0.25))
    alone = [session.run_bound(tensor) for tensor in (one, other)]
    try:
        both = session.run_bound(np.concatenate([one, other]))
    except MemoryFault:
        return 1, "one picture at a time, as memory is short"
    except Fault:
        return 1, "one picture at a time, as it takes no more"
    if not _alike(both, alone):
        return 1, "one picture at a time, as it mixes those it gets together"
    return most, ""


def _alike(both: NDArray[Any], alone: list[NDArray[Any]]) -> bool:
    wanted = np.concatenate(alone) if alone[0].ndim > 2 and alone[0].shape[0] == 1 else None
    if wanted is None or both.shape != wanted.shape:
        return False
    span = max(1.0, float(np.ptp(wanted.astype(np.float32))))
    return bool(np.abs(both.astype(np.float32) - wanted.astype(np.float32)).max() <= _APART * span)
