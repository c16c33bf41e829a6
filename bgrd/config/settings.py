"""The settings' fields: each option once, with default, bound and description.

Messages, the example file and the documentation are made from these fields. What a folder may set lies in four rooms
beside this one, by what it decides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bgrd.config.delivery import DeliveryOptions
from bgrd.config.edge import EdgeOptions
from bgrd.config.intake import IntakeOptions
from bgrd.config.output import OutputOptions
from bgrd.config.table import DAY, HOUR, FileName, Mirror, Name, Place, Providers, Size, Table, some
from bgrd.models.providers import PROVIDERS, Sharing

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


# pydantic puts the fields of the last base first: the file begins with the model and ends with the watching.
class Options(IntakeOptions, DeliveryOptions, OutputOptions, EdgeOptions):
    """What may stand in `[defaults]` and in each `[[folder]]`."""


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


class ModelTable(Table):
    """A `[[model]]` table: a file of one's own; its further keys are the model's spec, see docs/models.md."""

    model_config = ConfigDict(extra="allow")

    name: Name = Field(description="What the model is called in `model = ...`.")
    path: Place = Field(description="The ONNX file.")
    sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description='What the file\'s SHA-256 has to be; "any": whatever is there is taken.',
        json_schema_extra={"word": "any"},
    )
    data: tuple[FileName, ...] = Field(
        default=(), description="The files of weights beside it, where the model keeps them apart, as it calls them."
    )
    like: str | None = Field(
        default=None,
        description='A known model that is fed like this one, whose spec the further keys change; "itself": '
        "the file says how it is fed, or the keys here do.",
        json_schema_extra={"word": "itself"},
    )


def _no_name(value: object) -> object:
    """Refuse the name of a model: a folder chooses one, not the whole file."""
    if isinstance(value, str):
        message = f"chooses a model under [defaults] or in a [[folder]]; here are [[model]] tables, no {value!r}"
        raise ValueError(message)
    return value


def _only_folder() -> tuple[FolderTable, ...]:
    """Give the folder that is watched where the file names none."""
    return (FolderTable.model_validate(DEFAULT_FOLDER),)


class Settings(BaseSettings, Table):
    """Everything the configuration says; `Settings()` alone is the defaults, whatever file or environment there is."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", env_ignore_empty=True)

    state_directory: Place = Field(
        default=Path("$XDG_STATE_HOME/bgrd"), description="Where the journal is kept; best on a local disk."
    )
    models_directory: Place = Field(
        default=Path("$XDG_DATA_HOME/bgrd/models"), description="Where models other than the built-in one are kept."
    )
    model_mirrors: tuple[Mirror, ...] = Field(
        default=(),
        description='Where `bgrd models pull` looks first, as "https://my.server/models/"; the file name is appended. '
        "Whoever serves it, the checksum decides.",
    )
    lanes: int = Field(
        default=0,
        ge=0,
        le=64,
        description="How many pictures are worked on at once; 0: by processors, memory and what models took here.",
    )
    threads: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Threads of each lane; 0: the processors shared among the lanes, or what `bgrd bench` found best.",
    )
    nice: int = Field(
        default=10,
        ge=0,
        le=19,
        description="How much the lanes give way to other programs: 0 not at all, 19 the most. What nobody else wants "
        "they use either way.",
    )
    providers: Providers | None = Field(
        default=None,
        description=f'What models run on: "auto", which is the processor, or a list of {", ".join(PROVIDERS)}, '
        "the best first.",
        json_schema_extra={"word": "auto"},
    )
    provider_fallback: bool = Field(
        default=False, description="Whether to go on, and say so, without a provider that cannot be used here."
    )
    shared_session: Sharing = Field(
        default="auto",
        description="Whether a model runs once, in a process that all lanes share, or in each lane; auto: where "
        "`providers` names one that works with a device. For a large model and little memory: on.",
    )
    shared_batch: int = Field(
        default=8,
        ge=1,
        le=64,
        description="How many pictures a shared session takes at once, where so many wait; 1: one by one.",
    )
    memory_limit: Size = Field(
        default=0, description="What all lanes together may use; 0: half of what the machine or the cgroup has."
    )
    model_memory: Size = Field(default=0, description="What warm models may use of that; 0: half of the memory limit.")
    idle_unload_seconds: float = Field(
        default=300.0, ge=0, le=30 * DAY, description="Models leave memory after this long without work; 0: never."
    )
    job_seconds: float = Field(default=120.0, ge=1, le=DAY, description="A picture that takes longer has failed.")
    stop_seconds: float = Field(
        default=60.0,
        ge=0,
        le=HOUR,
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
    folder: Annotated[tuple[FolderTable, ...], AfterValidator(some)] = Field(
        default_factory=_only_folder,
        description="An inbox and what happens to pictures in it; any number of these tables.",
    )
    model: Annotated[tuple[ModelTable, ...], BeforeValidator(_no_name)] = Field(
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
