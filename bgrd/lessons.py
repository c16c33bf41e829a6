"""What a running bgrd learns of its models and pictures: written down for the next start, and used at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from bgrd.allotment import allotment, file_bytes, models_in_use
from bgrd.config.settings import Settings
from bgrd.engine import experience
from bgrd.engine.capacity import Limits
from bgrd.engine.demand import BASE_BYTES
from bgrd.engine.events import Report
from bgrd.engine.experience import Experience
from bgrd.engine.pool import Pool
from bgrd.job import ModelChoice

__all__ = ["Lessons"]

_PATIENCE_PICTURES = 100
"""So many pictures are worked on before what they took is written down; the rest at the end."""


class Lessons:
    """What a running bgrd hears of its models and pictures, written down, and the limits that follow from it.

    Used on one thread, but for `hear`, which forgets what is not for it wherever it is called.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._allotment = allotment(settings)
        self._identity = experience.identity(self._allotment.capacity.processors)
        self._models = {choice.name: choice for choice in models_in_use(settings)}
        self._resident: dict[str, int] = {}
        self._pictures = self._picture_bytes = 0
        self._changed = False

    @property
    def limits(self) -> Limits:
        """The limits as they are now."""
        return self._allotment.limits

    def hear(self, event: str, facts: Mapping[str, Any]) -> None:
        """Take one event of the log."""
        if event == "model.loaded" and (choice := self._models.get(facts["model"])) is not None:
            if facts.get("shared"):
                self._resident.setdefault(
                    choice.name, 0
                )  # a lane holds nothing of it; of its process nothing is learnt
            else:
                self._loaded(choice, sha256=facts["sha256"], resident_bytes=facts["resident_bytes"])
        elif event == "job.done" and facts.get("model") in self._resident and "peak_bytes" in facts:
            self._pictures += 1
            taken = facts["peak_bytes"] - BASE_BYTES - self._resident[facts["model"]]
            self._picture_bytes = max(self._picture_bytes, taken)
            if self._pictures >= _PATIENCE_PICTURES:
                self.write()

    def follow(self, before: Lessons) -> None:
        """Go on from what was learnt under other settings: lanes stay warm over a reload, and do not load again.

        Of a model whose file is another now, or that is held elsewhere, nothing is taken over: it will be loaded.
        """
        for name, resident_bytes in before._resident.items() if before.limits.shared == self.limits.shared else ():
            if self._models.get(name) == before._models[name]:
                self._resident.setdefault(name, resident_bytes)
        self._changed = self._changed or before._changed

    def write(self) -> None:
        """Write down what the pictures took that were worked on since."""
        pictures, self._pictures = self._pictures, 0
        if pictures:
            self._note(partial(Experience.worked, pictures=pictures, picture_bytes=max(0, self._picture_bytes)))

    def apply(self, pool: Pool, report: Report) -> None:
        """Have an idle pool work with other lanes where a model, once loaded, took less or more than was reckoned."""
        if pool.busy or not self._changed:
            return
        try:
            learnt = allotment(self.settings)
        except OSError:
            return  # short of descriptors: the machine is asked again when there are more
        self._changed = False
        before, self._allotment = self.limits, learnt
        lanes, threads = self.limits.lanes, self.limits.threads
        if (before.lanes, before.threads) != (lanes, threads):
            pool.kill()  # none works; they are started again with what they load in so many threads
            pool.limits = self.limits
            report("daemon.lanes", lanes=lanes, threads=threads)

    def _loaded(self, choice: ModelChoice, *, sha256: str, resident_bytes: int) -> None:
        """Write down what a model took, the first time; another lane is asked no more."""
        first = choice.name not in self._resident
        self._resident[choice.name] = max(resident_bytes, self._resident.get(choice.name, 0))
        size = file_bytes(choice)
        if first and sha256 and size is not None:
            note = partial(Experience.loaded, sha256=sha256, name=choice.name, size=size, resident_bytes=resident_bytes)
            self._note(note)
            self._changed = True

    def _note(self, what: Callable[[Experience], Experience]) -> None:
        experience.noted(self.settings.state_directory, self._identity, what)
