"""The settings' fields: each option once, with default, bound and description; with `config` the importer of pydantic.

Messages, the example file and the documentation are made from these fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bgrd.config.values import colour_of, mode_of, place_of, size_of
from bgrd.job import Format, Metadata, Policy, ProductKind, Watching

__all__ = [
    "DEFAULT_FOLDER",
    "ENVIRONMENT_PREFIX",
    "FolderTable",
    "ModelTable",
    "Options",
    "Settings",
]

ENVIRONMENT_PREFIX = "BGRD_"
DEFAULT_FOLDER = {"name": "default", "inbox": "~/bgr/inbox", "outbox": "~/bgr/outbox"}
_Item = TypeVar("_Item")
_HOUR = 3600.0
_DAY = 24 * _HOUR


def _mode(value: object) -> int | None:
    """Let "not set" through and read anything else as octal text."""
    return None if value is None else mode_of(value)


def _name(value: str) -> str:
    """Refuse names that could not be shown in one piece in a log line or typed in a command."""
    if not 1 <= len(value) <= 64 or not value.isprintable() or set(value) & set("/[]") or value != value.strip():
        message = f"must be 1 to 64 printable characters without / [ ], is {value!r}"
        raise ValueError(message)
    return value


def _notes(value: str) -> str:
    """Keep the two words as they are and expand anything else as a path."""
    return value if value in {"outbox", "none"} else str(place_of(value))


def _ground(value: str) -> str:
    """Refuse what is no colour."""
    colour_of(value)
    return value.lower()


def _some(value: tuple[_Item, ...]) -> tuple[_Item, ...]:
    """Refuse an empty list; pydantic's own bound also complains of lists whose items are wrong."""
    if not value:
        message = "must not be empty"
        raise ValueError(message)
    return value


def _distinct(value: tuple[ProductKind, ...]) -> tuple[ProductKind, ...]:
    """Refuse no product at all and a product named twice."""
    _some(value)
    if len(set(value)) != len(value):
        message = "must name each product once"
        raise ValueError(message)
    return value


Place = Annotated[Path, BeforeValidator(place_of)]
Size = Annotated[int, BeforeValidator(size_of)]
Name = Annotated[str, AfterValidator(_name)]


class _Table(BaseModel):
    """A table of the file: frozen, no unknown keys; a field's `word` is how "not set" is written."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _unset(cls, value: object, info: ValidationInfo) -> object:
        """Turn the field's word for "not set" into None."""
        extra = cls.model_fields[info.field_name or ""].json_schema_extra
        return None if isinstance(extra, dict) and value == extra.get("word") else value


class Options(_Table):
    """What may stand in `[defaults]` and in each `[[folder]]`."""

    policy: Policy = Field(
        default="keep",
        description="What happens to a source once its result is safely written: keep it, archive it, or delete it.",
    )
    model: str = Field(
        default="bgrd-lite",
        description="The model: bgrd-lite, u2net, isnet-general-use, modnet, or the name of a [[model]] table.",
    )
    threshold: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Where the edge lies between background (0) and subject (1).",
    )
    feather: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="How wide the edge is: 1 with threshold 0.5 is the model's soft mask as it is, 0 a hard cut.",
    )
    products: Annotated[tuple[ProductKind, ...], AfterValidator(_distinct)] = Field(
        default=("cutout",),
        description='What is made of each picture: "cutout", "mask" or both.',
    )
    background: Annotated[str, AfterValidator(_ground)] = Field(
        default="transparent", description='The ground of the cut-out: "transparent" or a colour like "#ffffff".'
    )
    format: Format = Field(default="png", description="The format of the results.")
    level: int = Field(
        default=1,
        ge=0,
        le=9,
        description="How hard the encoder tries to make files small: png 0 to 9, webp 0 to 6. Higher is slower.",
    )
    quality: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description='For webp cut-outs: "lossless", or 1 to 100 for lossy. Masks are always lossless.',
        json_schema_extra={"word": "lossless"},
    )
    metadata: Metadata = Field(
        default="no-location",
        description="Which metadata a result keeps: all of it, all but where it was taken, or none.",
    )
    recursive: bool = Field(default=True, description="Whether directories below the inbox are watched as well.")
    watch: Watching = Field(
        default="auto",
        description="How new files are noticed: inotify, poll (for network shares), or auto, by the kind of mount.",
    )
    backlog: Literal["process", "ignore"] = Field(
        default="process", description="What happens to pictures that lie in the inbox when bgrd first sees it."
    )
    settle_seconds: float | None = Field(
        default=None,
        ge=0,
        le=_HOUR,
        description='How long a file has to stay unchanged before it is taken; "auto": as short as is safe.',
        json_schema_extra={"word": "auto"},
    )
    grace_seconds: float = Field(
        default=600.0,
        ge=0,
        le=7 * _DAY,
        description="How long an incomplete picture may stay unchanged before it counts as failed.",
    )
    rescan_seconds: float = Field(
        default=30.0, ge=1, le=_DAY, description="How often the inbox is walked, whatever the watching says."
    )
    poll_seconds: float = Field(
        default=5.0, ge=0.5, le=_HOUR, description="How often new files of a polled inbox are looked at again."
    )
    max_bytes: Size = Field(default=256 * 2**20, ge=1, description="Larger files are not taken.")
    min_free: Size = Field(
        default=500 * 10**6, description="The folder waits while its outbox has less free space than this."
    )
    sync_conflicts: bool = Field(
        default=False, description="Whether conflict copies of sync programs (*.sync-conflict-*) are taken too."
    )
    result_mtime: Literal["now", "source"] = Field(
        default="now", description="The modification time a result gets: when it was made, or the source's."
    )
    mode: Annotated[int | None, BeforeValidator(_mode)] = Field(
        default=None,
        description='Permissions of the results as octal text like "0640", or "umask".',
        json_schema_extra={"word": "umask"},
    )
    group: str | None = Field(
        default=None,
        min_length=1,
        description='The group the results belong to, or "inherit": as the system decides.',
        json_schema_extra={"word": "inherit"},
    )
    failure_notes: Annotated[str, AfterValidator(_notes)] = Field(
        default="outbox",
        description='Where notes about failed pictures go: "outbox" (its _failed directory), "none", or a directory.',
    )


class FolderTable(Options):
    """A `[[folder]]` table; what it does not set comes from `[defaults]`."""

    name: Name = Field(description="What the folder is called in commands and logs. The journal knows it by this name.")
    inbox: Place = Field(description="Where pictures arrive.")
    outbox: Place = Field(description="Where results go, in the same directories as below the inbox.")
    archive: Place | None = Field(
        default=None,
        description='Where `policy = "archive"` puts sources; "beside": beside the inbox, with -done at the end.',
        json_schema_extra={"word": "beside"},
    )


class ModelTable(_Table):
    """A `[[model]]` table: a file of one's own; its further keys are the model's spec, see `models.spec`."""

    model_config = ConfigDict(extra="allow")

    name: Name = Field(description="What the model is called in `model = ...`.")
    path: Place = Field(description="The ONNX file.")
    sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description='What the file\'s SHA-256 has to be; "any": whatever is there is taken.',
        json_schema_extra={"word": "any"},
    )


def _only_folder() -> tuple[FolderTable, ...]:
    """Give the folder that is watched where the file names none."""
    return (FolderTable.model_validate(DEFAULT_FOLDER),)


class Settings(BaseSettings, _Table):
    """Everything the configuration says; `Settings()` alone is the defaults, whatever file or environment there is."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", env_ignore_empty=True)

    state_directory: Place = Field(
        default=Path("$XDG_STATE_HOME/bgrd"), description="Where the journal is kept; best on a local disk."
    )
    models_directory: Place = Field(
        default=Path("$XDG_DATA_HOME/bgrd/models"), description="Where models other than the built-in one are kept."
    )
    lanes: int = Field(
        default=0, ge=0, le=64, description="How many pictures are worked on at once; 0: by the machine."
    )
    threads: int = Field(
        default=0, ge=0, le=256, description="Threads of each lane; 0: the cores shared among the lanes."
    )
    memory_limit: Size = Field(
        default=0, description="What all lanes together may use; 0: half of what the machine or the cgroup has."
    )
    model_memory: Size = Field(default=0, description="What warm models may use of that; 0: half of the memory limit.")
    idle_unload_seconds: float = Field(
        default=300.0, ge=0, le=30 * _DAY, description="Models leave memory after this long without work; 0: never."
    )
    job_seconds: float = Field(default=120.0, ge=1, le=_DAY, description="A picture that takes longer has failed.")
    stop_seconds: float = Field(
        default=60.0,
        ge=0,
        le=_HOUR,
        description="How long pictures may finish at a stop or reload; keep it below the service's TimeoutStopSec.",
    )
    max_pixels: int = Field(
        default=250_000_000,
        ge=1,
        le=10**10,
        description="Pictures with more pixels are refused; a phone makes 200 million.",
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="How log lines look; auto: text on a terminal, else JSON."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level that is logged."
    )
    defaults: Options = Field(default_factory=Options, description="What every folder inherits.")
    folder: Annotated[tuple[FolderTable, ...], AfterValidator(_some)] = Field(
        default_factory=_only_folder,
        description="An inbox and what happens to pictures in it; any number of these tables.",
    )
    model: tuple[ModelTable, ...] = Field(
        default=(), description="A model file of your own; any number of these tables."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing behind the caller's back: `load` reads the file and the environment it is given."""
        del cls, settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)
