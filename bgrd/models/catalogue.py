"""The models bgrd knows by name. Data only: what differs is a row."""

from __future__ import annotations

from dataclasses import dataclass

from bgrd.models.spec import ModelSpec

__all__ = ["BUILT_IN", "ROWS", "Row"]

BUILT_IN = "bgrd-lite"
"""The model that comes with the package."""

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_RELEASE = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One known model. `spec` is None where the file carries its own; `source` is None where the package has the file.

    `checksum` is `algorithm:hex` as published, None where nothing is published. `commercial` says whether the
    licence allows commercial use.
    """

    name: str
    file_name: str
    licence: str
    commercial: bool
    checksum: str | None = None
    source: str | None = None
    spec: ModelSpec | None = None


ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        Row(
            name=BUILT_IN,
            file_name="bgrd-lite.onnx",
            licence="Apache-2.0",
            commercial=True,
            checksum="sha256:7a59e44df850c30b59df632e2087122941ebc6925b69ad3080b2b6d601f043e2",
        ),
        Row(
            name="u2net",
            file_name="u2net.onnx",
            licence="Apache-2.0",
            commercial=True,
            checksum="md5:60024c5c889badc19c04ad937298a77b",
            source=_RELEASE + "u2net.onnx",
            spec=ModelSpec(
                name="u2net",
                side=320,
                divide_by="image_max",
                mean=_IMAGENET_MEAN,
                std=_IMAGENET_STD,
                stretch="guarded",
                licence="Apache-2.0",
            ),
        ),
        Row(
            name="isnet-general-use",
            file_name="isnet-general-use.onnx",
            licence="Apache-2.0",
            commercial=True,
            checksum="md5:fc16ebd8b0c10d971d3513d564d01e29",
            source=_RELEASE + "isnet-general-use.onnx",
            spec=ModelSpec(
                name="isnet-general-use",
                side=1024,
                mean=(0.5, 0.5, 0.5),
                stretch="guarded",
                licence="Apache-2.0",
            ),
        ),
        Row(
            name="modnet",
            file_name="modnet.onnx",
            licence="Apache-2.0",
            commercial=True,
            source="hf://Xenova/modnet/onnx/model.onnx@main",
            spec=ModelSpec(
                name="modnet",
                side=512,
                fit="short_side",
                resample="box",
                mean=(0.5, 0.5, 0.5),
                std=(0.5, 0.5, 0.5),
                licence="Apache-2.0",
            ),
        ),
    )
}
"""Every row by its name. Side, numbers and checksums: each model's own reference code and release page."""
