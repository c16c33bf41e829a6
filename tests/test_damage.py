"""What a decoding error says about a file."""

from __future__ import annotations

import errno
import re
from collections import Counter

import pytest

from bgrd.errors import Fault, IncompleteFault, InputFault, MemoryFault, UnknownFault
from bgrd.imaging.damage import judged
from tests.pictures.making import taken
from tests.pictures.mutants import mutants

SENTENCE = re.compile(r"[A-Z][A-Za-z0-9 ,;:'()/-]+\.")
PLAIN = re.compile(r"errno|error|codec|0x|bytesio|stream|marker|box|tile|index|nonetype|\bnone\b|assert", re.IGNORECASE)
"""Words of programs."""


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (OSError("broken data stream when reading image file"), InputFault, "damaged"),
        (OSError("image file is truncated (3 bytes not processed)"), IncompleteFault, "truncated"),
        (OSError("decoder error -9"), MemoryFault, "memory"),
        (MemoryError(), MemoryFault, "memory"),
        (RuntimeError("Memory allocation error: Unspecified: Allocating 300 bytes failed"), MemoryFault, "memory"),
        (RuntimeError("Memory allocation error: Security limit exceeded: 9 items"), InputFault, "more than"),
        (NotImplementedError("Unsupported BMP compression (7)"), InputFault, "rare kind"),
        (AssertionError(), InputFault, "damaged"),
        (PermissionError(errno.EPERM, "refused"), UnknownFault, "Operation not permitted"),
        (PermissionError(errno.EACCES, "refused"), UnknownFault, "Permission denied"),
        (OSError(errno.ENOSYS, "refused"), UnknownFault, "Function not implemented"),
        (OSError(errno.ENOMEM, "refused"), MemoryFault, "memory"),
        (ImportError("no module"), UnknownFault, "cannot be loaded"),
    ],
)
def test_errors_become_sentences(said: Exception, kind: type[Fault], words: str) -> None:
    """Each error becomes the fault it stands for, in words of ours; its own stay with the cause."""
    with pytest.raises(kind, match=words) as caught, judged(b"data"):
        raise said
    assert caught.value.__cause__ is said
    assert not str(said) or str(said) not in str(caught.value)


def failing(size: tuple[int, int], name: str) -> None:
    """Fail as libwebp does, on a picture of this size."""
    with judged(b"data") as suspicion:
        suspicion.expect(size, name)
        message = "could not create decoder object"
        raise OSError(message)


def test_a_shortage_is_suspected_first() -> None:
    """Where the picture's memory could not be had, no error is taken for damage; where it could, it is."""
    with pytest.raises(MemoryFault, match="may need"):
        failing((2**25, 2**25), "WEBP")
    with pytest.raises(MemoryFault, match="may need"):
        failing((2**40, 2**40), "WEBP")
    with pytest.raises(InputFault):
        failing((10, 10), "WEBP")


def outcome(data: bytes) -> tuple[str, str]:
    """Give the kind of a picture's fault and its sentence, "done" where it has none."""
    try:
        taken(data)
    except Fault as fault:
        return fault.kind, str(fault)
    return "done", "Done."


def test_every_mutant_is_done_or_told_in_plain_words() -> None:
    """Whatever is damaged and how: a picture, or a fault of the file's own in a sentence without a program's words."""
    told = {mutant.name: outcome(mutant.data) for mutant in mutants(2000, start=1_000_000)}
    kinds = Counter(kind for kind, _sentence in told.values())
    assert set(kinds) == {"done", "input", "format", "incomplete"}
    assert kinds["done"] > 400, kinds
    for sentence in {sentence for _kind, sentence in told.values()}:
        assert SENTENCE.fullmatch(sentence), sentence
        assert not PLAIN.search(sentence), sentence
