"""Asks the world whether the settings can work: folders, models, limits, memory. Serves start, reload and `bgrd check`.

Loads no picture and no model, and changes nothing but what `prepare_folders` makes.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from bgrd.allotment import allotment
from bgrd.config.load import custom_models, folders, strangers
from bgrd.config.settings import Settings
from bgrd.errors import DaemonFault, ModelFault
from bgrd.examine import Finding, RecordedMounts, examine_all, missing, plain
from bgrd.intake.guard import mount_at
from bgrd.intake.ignore import ignored_directory
from bgrd.intake.mounts import is_network, read_mounts, watching
from bgrd.job import Folder, ModelChoice
from bgrd.models import index
from bgrd.models.partial import digest
from bgrd.models.providers import CAGED, PROVIDERS, chosen, shares
from bgrd.models.store import find, variant_of
from bgrd.outputs import outputs
from bgrd.question import ask

__all__ = ["Finding", "check", "prepare_folders"]

_SERVICE_STOP_SECONDS = 90
"""TimeoutStopSec of the service."""
_READ_SECONDS = 60.0
"""How long the bytes of a model may take to be read."""


def check(
    settings: Settings,
    *,
    recorded: RecordedMounts | None = None,
    environ: Mapping[str, str] | None = None,
    root: Path = Path("/"),
) -> list[Finding]:
    """Give what was found, in the order of the configuration. Never raises for what it finds.

    `recorded` is the journal, where its mounts are to be compared; `root` stands for `/` above proc, sys, run and var.
    """
    environ = os.environ if environ is None else environ
    plan = folders(settings)
    found, answering = examine_all(plan, recorded=recorded)
    return [
        *_variables(environ),
        *_state(settings),
        *found,
        *outputs(settings, plan),
        *_models(settings, plan),
        *_providers(settings),
        *_heif(),
        *_inotify(answering, root),
        *_memory(settings, root),
        *_service(settings, environ, root),
    ]


def prepare_folders(plan: Sequence[Folder]) -> list[Finding]:
    """Make the missing directories of the default folder, and give what became of each.

    Others are never made: a missing one may be a share that is not mounted. What cannot be made is an *error*.
    """
    found = []
    for folder in plan:
        if not folder.create:
            continue
        archive = [folder.archive] if folder.policy == "archive" else []
        for path in (folder.inbox, folder.outbox, *archive):
            subject = f"folder {folder.name}"
            try:
                if ask(path, path.is_dir):
                    continue
                ask(path, partial(path.mkdir, parents=True, exist_ok=True))
            except OSError as error:
                text = f"{plain(path)} cannot be made: {error.strerror}"
                advice = "configure a [[folder]] elsewhere"
                found.append(Finding(level="error", subject=subject, text=text, advice=advice))
            else:
                found.append(Finding(level="ok", subject=subject, text=f"{plain(path)} made"))
    return found


def _variables(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the variables that look like settings and are none."""
    for name in strangers(environ):
        yield Finding(level="warn", subject="environment", text=f"{name} sets nothing", advice="is it misspelt?")


def _state(settings: Settings) -> Iterator[Finding]:
    """Yield whether the journal can be kept where it is to be."""
    path = settings.state_directory
    try:
        place = ask(path, partial(missing, path)) or path
    except OSError as error:
        text = f"{plain(path)} cannot be reached: {error.strerror}"
        yield Finding(level="error", subject="state", text=text, advice="choose another state_directory")
        return
    mount = mount_at(place)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        text = f"{plain(path)} cannot be written"
        yield Finding(level="error", subject="state", text=text, advice="choose another state_directory")
    elif mount is not None and is_network(mount):
        text = f"{plain(path)} lies on {mount.fstype}: the journal is slower there, and bgrd alone may have it open"
        yield Finding(level="warn", subject="state", text=text, advice="put state_directory on a local disk")
    else:
        yield Finding(level="ok", subject="state", text=plain(path))


def _models(settings: Settings, plan: Sequence[Folder]) -> Iterator[Finding]:
    """Yield whether each model in use is there and is the file it should be."""
    custom = custom_models(settings)
    for name in sorted({folder.recipe.model for folder in plan}):
        subject = f"model {name}"
        advice = "its folders wait until this is mended"
        try:
            choice = find(name, custom=custom, directory=settings.models_directory)
            checksum = _checksum(choice, known=choice.name not in custom)
            weights = _weights(choice, settings) if choice.name not in custom else {}
            look = partial(_model, subject, choice, checksum=checksum, weights=weights)
            yield ask(choice.path, look, seconds=_READ_SECONDS)
        except (ModelFault, DaemonFault) as fault:
            yield Finding(level="error", subject=subject, text=str(fault), advice=advice)
        except OSError as error:
            yield Finding(level="error", subject=subject, text=f"its file cannot be read: {error}", advice=advice)


def _checksum(choice: ModelChoice, *, known: bool) -> str | None:
    """Give what a model's checksum has to be: the configured or recorded one, or that of the catalogue."""
    if choice.sha256:
        return f"sha256:{choice.sha256}"
    listed = variant_of(choice.name) if known else None
    return listed[1].checksum if listed else None


def _weights(choice: ModelChoice, settings: Settings) -> Mapping[str, str]:
    """Give the sha256 that was recorded of each of an installed model's files of weights."""
    directory = settings.models_directory
    entry = ask(directory, partial(index.read, directory)).get(choice.name) if choice.external else None
    return {} if entry is None else entry.external


def _model(subject: str, choice: ModelChoice, *, checksum: str | None, weights: Mapping[str, str]) -> Finding:
    """Give what is to be said about a model's files. Raises OSError where one cannot be read."""
    known = {choice.path: checksum} | {choice.path.parent / name: f"sha256:{weights[name]}" for name in weights}
    for path, wanted in known.items():
        with path.open("rb"):
            sound = wanted is None or digest(path).holds(wanted)
        if not sound:
            text = f"{plain(path)} is damaged or another file: its checksum is not {wanted}"
            return Finding(level="error", subject=subject, text=text, advice=f"bgrd models verify {choice.name}")
    proof = "its checksum is right" if checksum else "no checksum is known for it"
    rest = ", and none is known for its weights" if choice.external and not weights else ""
    return Finding(level="ok", subject=subject, text=f"{plain(choice.path)}: {proof}{rest}")


def _providers(settings: Settings) -> Iterator[Finding]:
    """Yield whether the providers that are wanted can be used; what is installed is found out by loading a model."""
    wanted, subject = settings.providers or (), "providers"
    shared = shares(settings.shared_session, wanted)
    _, left_out = chosen(wanted, available=tuple(PROVIDERS.values()), fallback=True, caged=not shared)
    for reason in left_out:
        if settings.provider_fallback:
            yield Finding(level="warn", subject=subject, text=reason, advice="bgrd does without it")
        else:
            advice = "take it out of providers, set provider_fallback, or leave shared_session at auto"
            yield Finding(level="error", subject=subject, text=reason, advice=advice)
    if not left_out:
        text = f"models run on {', '.join(wanted) or 'the processor'}"
        if shared:
            text += ", each once, in a process that sees tensors and no picture"
            text += "" if CAGED.issuperset(wanted) else " and may open what its driver needs"
        yield Finding(level="ok", subject=subject, text=text)


def _heif() -> Iterator[Finding]:
    """Yield whether pictures of iPhones can be read; only looks whether the decoder is installed."""
    if find_spec("pillow_heif") is None:
        text = "HEIC pictures, which iPhones make, cannot be read"
        yield Finding(level="warn", subject="formats", text=text, advice="pip install 'bgrd[heif]'")
    else:
        yield Finding(level="ok", subject="formats", text="HEIC pictures can be read as well")


def _inotify(plan: Sequence[Folder], root: Path) -> Iterator[Finding]:
    """Yield whether the kernel lets every directory be watched that is to be."""
    mounts = read_mounts()
    watched = [
        folder
        for folder in plan
        if watching(os.fsencode(os.path.realpath(folder.inbox)), folder.watch, mounts, mount=mount_at(folder.inbox))[0]
        == "inotify"
    ]
    watches = _limit(root, "max_user_watches")
    instances = _limit(root, "max_user_instances")
    if watches is None or instances is None:
        yield Finding(level="warn", subject="inotify", text="its limits are unknown: it may be missing here")
        return
    number = sum(len(list(islice(_directories(folder), watches + 1))) for folder in watched)
    for what, needed, limit in (("watches", number, watches), ("instances", len(watched), instances)):
        if needed >= limit:
            yield Finding(
                level="warn",
                subject="inotify",
                text=f"{needed} {what} are needed and the user has {limit}: what is over is scanned instead",
                advice=f"sysctl fs.inotify.max_user_{what}={max(2 * needed, 8192 if what == 'watches' else 128)}",
            )
        else:
            yield Finding(level="ok", subject="inotify", text=f"{needed} of {limit} {what}")


def _directories(folder: Folder) -> Iterator[str]:
    """Yield every directory of an inbox that is watched."""
    excluded = {str(path) for path in folder.excluded}
    for directory, below, _files in os.walk(folder.inbox):
        yield directory
        below[:] = [
            name
            for name in below
            if folder.recursive
            and not ignored_directory(os.fsencode(name))
            and os.path.join(directory, name) not in excluded
        ]


def _limit(root: Path, name: str) -> int | None:
    """Give one of inotify's limits, or None where the kernel does not tell."""
    with suppress(OSError, ValueError):
        return int((root / "proc/sys/fs/inotify" / name).read_text())
    return None


def _memory(settings: Settings, root: Path) -> Iterator[Finding]:
    """Yield how many lanes there are and whether memory is enough for them."""
    try:
        given = allotment(settings, root=root)
    except OSError as error:
        text = f"what this machine has is unknown: {error}"
        yield Finding(level="warn", subject="lanes", text=text, advice="set memory_limit and lanes")
        return
    limits = given.limits
    if limits.memory_bytes > given.capacity.memory_bytes:
        advice = "lower memory_limit, or leave it at 0"
        yield Finding(level="warn", subject="lanes", text=f"{given.why}: more than there is", advice=advice)
    elif given.overflows:
        advice = "give models more with memory_limit and model_memory, or set shared_session to off"
        yield Finding(level="warn", subject="lanes", text=f"{given.why}: too little", advice=advice)
    elif given.crowded:
        advice = "give them more with memory_limit, or use fewer lanes"
        yield Finding(level="warn", subject="lanes", text=f"{given.why}: large pictures may fail", advice=advice)
    else:
        yield Finding(level="ok", subject="lanes", text=given.why)


def _service(settings: Settings, environ: Mapping[str, str], root: Path) -> Iterator[Finding]:
    """Yield what concerns the service: time to stop, and whether it runs while nobody is logged in."""
    if settings.stop_seconds >= _SERVICE_STOP_SECONDS:
        yield Finding(
            level="warn",
            subject="service",
            text=f"stop_seconds = {settings.stop_seconds:g}, but systemd kills after {_SERVICE_STOP_SECONDS} s",
            advice="raise TimeoutStopSec with `systemctl --user edit bgrd`",
        )
    headless = not (environ.get("WAYLAND_DISPLAY") or environ.get("DISPLAY"))
    if not headless or not (root / "run/systemd/system").is_dir():
        return
    user = _user()
    if (root / "var/lib/systemd/linger" / user).exists():
        yield Finding(level="ok", subject="service", text="runs while nobody is logged in")
    else:
        text = "stops when you log out, and does not start with the machine"
        yield Finding(level="warn", subject="service", text=text, advice=f"loginctl enable-linger {user}")


def _user() -> str:
    """Give this user's name, or number where it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
