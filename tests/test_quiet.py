"""Pillow without its warnings and its own pixel limit."""

from __future__ import annotations

import warnings

import pytest
from PIL import Image

from bgrd.imaging.quiet import quiet


def test_nothing_leaks_and_all_is_restored() -> None:
    """Inside, warnings are silent and there is no limit; afterwards both are as before, after nesting too."""
    before, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    with quiet():
        with quiet():
            warnings.warn("inner", stacklevel=1)
        warnings.warn("outer", stacklevel=1)
        assert Image.MAX_IMAGE_PIXELS is None
    assert (list(warnings.filters), limit) == (before, Image.MAX_IMAGE_PIXELS)
    with pytest.raises(UserWarning, match="after"):
        warnings.warn("after", stacklevel=1)


def test_an_error_restores_too() -> None:
    """What is raised inside goes through, and the limit is back."""
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ValueError, match="invalid literal"), quiet():
        int("inside")
    assert limit == Image.MAX_IMAGE_PIXELS
