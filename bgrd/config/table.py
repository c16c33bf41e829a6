"""What every table of the configuration has in common; with `config.load` the rooms around it import pydantic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator

from bgrd.config.values import file_name_of, place_of, providers_of, size_of
from bgrd.models.address import is_web_address, without_user

__all__ = ["DAY", "HOUR", "FileName", "Mirror", "Name", "Place", "Providers", "Size", "Table", "some"]

HOUR = 3600.0
DAY = 24 * HOUR
_Item = TypeVar("_Item")


def _name(value: str) -> str:
    """Refuse names that could not be shown in one piece in a log line or typed in a command."""
    if not 1 <= len(value) <= 64 or not value.isprintable() or set(value) & set("/[]") or value != value.strip():
        message = f"must be 1 to 64 printable characters without / [ ], is {value!r}"
        raise ValueError(message)
    return value


def _mirror(value: str) -> str:
    """Refuse what is no web address of a directory."""
    if not value.isprintable() or set(value) & set(" ?#") or not is_web_address(value):
        message = f"must be an address like https://my.server/models/, is {without_user(value)!r}"
        raise ValueError(message)
    return value


def some(value: tuple[_Item, ...]) -> tuple[_Item, ...]:
    """Refuse an empty list; pydantic's own bound also complains of lists whose items are wrong."""
    if not value:
        message = "must not be empty"
        raise ValueError(message)
    return value


Place = Annotated[Path, BeforeValidator(place_of)]
Size = Annotated[int, BeforeValidator(size_of)]
FileName = Annotated[str, AfterValidator(file_name_of)]
Providers = Annotated[tuple[str, ...], BeforeValidator(providers_of)]
Name = Annotated[str, AfterValidator(_name)]
Mirror = Annotated[str, AfterValidator(_mirror)]


class Table(BaseModel):
    """A table of the file: frozen, no unknown keys; a field's `word` is how "not set" is written."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _unset(cls, value: object, info: ValidationInfo) -> object:
        """Turn the field's word for "not set" into None."""
        extra = cls.model_fields[info.field_name or ""].json_schema_extra
        return None if isinstance(extra, dict) and value == extra.get("word") else value
