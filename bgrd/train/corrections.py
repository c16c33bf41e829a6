"""Results that a user corrected by hand, brought together with the photos they were made of.

A corrected result lies in the folder's `corrections` directory under the result's name, in any format with opacity. Its
photo is the one the journal says it was made of, as long as those very bytes are in inbox or archive; where the journal
knows nothing of it, the one photo there whose result would have that name.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from bgrd.delivery.naming import candidates, numbered
from bgrd.errors import NoInputError
from bgrd.escape import shown
from bgrd.intake.scan import excluded_of
from bgrd.job import Folder, Origin
from bgrd.product import Frame, Product, product_name
from bgrd.train.candidates import Candidate, Rejected
from bgrd.train.holding import Holding, UnreadableError, opened
from bgrd.train.shrink import Options
from bgrd.train.sources import Source

__all__ = ["corrected", "own_origin", "source_of"]

_NAMES = 2
"""A result has the stem of its photo, or its whole name where that was taken; further numbers tell nothing."""

_ARCHIVED = 20
"""Names under which a photo may lie in the archive, where others of its name do."""


@dataclass(frozen=True, slots=True)
class _Photo:
    """A photo in the inbox or the archive, by its path below it."""

    holding: Holding
    name: str

    def read(self) -> bytes:
        return self.holding.read(self.name)


def source_of(folder: Folder, *, licence: str, category: str) -> Source:
    """Give a folder's corrections as a source. Raises NoInputError where the folder has none."""
    place = folder.corrections
    if place is None or not place.is_dir():
        where = "its `corrections` is none" if place is None else f"there is no directory {place}"
        message = f"folder {folder.name} has no corrections: {where}"
        raise NoInputError(message)
    name = f"corrections of {folder.name}"
    return Source(name=name, kind="pair", paths=(place,), licence=licence, category=category)


def own_origin(
    folder: Folder, folders: Iterable[Folder], recorded: Callable[[str, bytes], Origin | None]
) -> Callable[[bytes], Origin | None]:
    """Give what asks the journal for a folder's own results; `recorded` asks it for those of a folder by name.

    Folders may share an outbox, and corrections in it: what is another one's result raises UnreadableError, since this
    folder may have a photo whose result would be called so.
    """
    others = [each.name for each in folders if each.name != folder.name and each.corrections == folder.corrections]

    def origin(target: bytes) -> Origin | None:
        found = recorded(folder.name, target)
        if found is None:
            for name in others:
                if recorded(name, target) is not None:
                    raise UnreadableError(f"is a result of folder {name}: {shown(target)}")
        return found

    return origin


def corrected(
    folder: Folder, source: Source, options: Options, origin: Callable[[bytes], Origin | None], stack: ExitStack
) -> tuple[list[Candidate], list[Rejected]]:
    """Give each correction with its photo, and those that have none or say nothing; `origin` as of `own_origin`.

    `stack` holds open what is read. Raises NoInputError.
    """
    search = _Search(folder, origin, stack)
    corrections = stack.enter_context(opened(source.paths[0]))
    found: list[Candidate] = []
    rejected: list[Rejected] = []
    for member in corrections.members():
        refuse = partial(Rejected, source=source.name, name=member.name)
        if member.trouble:
            rejected.append(refuse(reason=member.trouble))
            continue
        read = partial(corrections.read, member.name)
        try:
            photo, product = search.photo_of(os.fsencode(member.name), read)
            made = replace(options, corrected=_correctable(product), scaled=_is_whole(product.frame))
        except UnreadableError as error:
            rejected.append(refuse(reason=str(error)))
            continue
        found.append(Candidate(source=source, name=member.name, image=photo.read, mask=read, options=made))
    return found, rejected


def _correctable(product: Product) -> Literal["cutout", "mask"]:
    """Give the kind of a product. Raises UnreadableError for one that says nothing of what is cut out."""
    if product.kind in {"background", "compare"}:
        raise UnreadableError(f"is called as a {product.kind} is; only cut-outs and masks can be corrected")
    return "mask" if product.kind == "mask" else "cutout"


def _is_whole(frame: Frame) -> bool:
    """Say whether a result shows its whole photo, at whatever size."""
    return replace(frame, max_side=0) == Frame()


class _Search:
    """Finds the photo of a result."""

    def __init__(self, folder: Folder, origin: Callable[[bytes], Origin | None], stack: ExitStack) -> None:
        self._folder = folder
        self._origin = origin
        places = [place for place in (folder.inbox, folder.archive) if place.is_dir()]
        self._places = [stack.enter_context(opened(place)) for place in dict.fromkeys(places)]
        self._by_result: dict[bytes, list[_Photo]] | None = None

    def photo_of(self, target: bytes, read: Callable[[], bytes]) -> tuple[_Photo, Product]:
        """Give the photo and the product of a result by its path below the outbox; `read` gives the correction.

        Raises UnreadableError with the reason where there is none, or more than one.
        """
        product = self._product_of(target)
        for name in self._alike(target):
            found = self._origin(name)
            if found is not None:
                if hashlib.sha256(read()).hexdigest() == found.sha256:
                    raise UnreadableError("is the result as bgrd made it: nothing was corrected")
                return self._recorded(found), product
        return self._only(target), product

    def _product_of(self, target: bytes) -> Product:
        """Give the product whose names are like that of a result, the most telling one where several are."""
        stem = os.path.splitext(target.rpartition(b"/")[2])[0]
        products = self._folder.recipe.products
        fitting = []
        for product in products:
            before, after = product_name(product, only=len(products) == 1)
            after = after.rpartition(b".")[0]
            if stem.startswith(before) and stem.endswith(after) and len(stem) > len(before) + len(after):
                fitting.append((len(before) + len(after), product))
        if not fitting:
            raise UnreadableError("is called like nothing that its folder makes")
        return max(fitting, key=lambda pair: pair[0])[1]

    def _alike(self, target: bytes) -> Iterator[bytes]:
        """Give the names a result may have had that was saved anew in another format."""
        stem = os.path.splitext(target)[0]
        suffixes = {product_name(product, only=True)[1].rpartition(b".")[2] for product in self._folder.recipe.products}
        return iter(dict.fromkeys([target, *(stem + b"." + suffix for suffix in sorted(suffixes))]))

    def _recorded(self, origin: Origin) -> _Photo:
        """Give the photo whose bytes the journal recorded. Raises UnreadableError where it is not there any more."""
        parent, slash, _ = os.fsdecode(origin.path).rpartition("/")
        names = itertools.islice(numbered(origin.path), _ARCHIVED)
        changed = False
        for name in names:
            for place in self._places:
                photo = _Photo(place, f"{parent}{slash}{os.fsdecode(name)}")
                try:
                    data = photo.read()
                except UnreadableError:
                    continue
                if hashlib.sha256(data).hexdigest() == origin.source_sha256:
                    return photo
                changed = True
        what = "was changed since" if changed else "is not there any more"
        why = ": the folder deletes its sources" if self._folder.policy == "delete" else ""
        raise UnreadableError(f"has no photo: {shown(origin.path)} {what}{why}")

    def _only(self, target: bytes) -> _Photo:
        """Give the only photo whose result would be called so. Raises UnreadableError."""
        if self._by_result is None:
            self._by_result = self._index()
        found = self._by_result.get(os.path.splitext(target)[0], [])
        if not found:
            raise UnreadableError("has no photo: none in inbox or archive would give a result of this name")
        if len(found) > 1:
            names = " or ".join(shown(os.fsencode(photo.name)) for photo in found)
            raise UnreadableError(f"may be of {names}: nobody can tell")
        return found[0]

    def _index(self) -> dict[bytes, list[_Photo]]:
        """Give every photo there is, by the names of its results without their suffixes."""
        excluded = excluded_of(self._folder)
        products = self._folder.recipe.products
        index: dict[bytes, list[_Photo]] = {}
        for place in self._places:
            for member in place.members():
                path = os.fsencode(member.name)
                if member.trouble or any(path.startswith(below + b"/") for below in excluded):
                    continue
                names = {
                    os.path.splitext(name)[0]
                    for product in products
                    for name in itertools.islice(candidates(path, product, only=len(products) == 1), _NAMES)
                }
                for name in names:
                    index.setdefault(name, []).append(_Photo(place, member.name))
        return index
