"""The models bgrd knows by name. Data only: what differs is a row."""

from __future__ import annotations

from typing import Any

from bgrd.models.row import Precision, Row, Variant
from bgrd.models.spec import ModelSpec

__all__ = ["BUILT_IN", "ROWS", "Row", "Variant"]

BUILT_IN = "bgrd-lite"
"""The model that comes with the package."""

_IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_HALF: dict[str, Any] = {"mean": (0.5, 0.5, 0.5)}
_PILLOW: dict[str, Any] = {"resample": "bilinear", "quick": False}
"""How torchvision shrinks a Pillow image. Another filter moves more than the filter's name says: bilinear, bicubic and
lanczos differ by 2 to 7 of 255 in the mask of an average photo, at 320 and 640 pixels."""
_TORCH: dict[str, Any] = {"resample": "sampled"}
"""How torch's `interpolate` and OpenCV's INTER_LINEAR do, which look at four pixels only, however small it gets."""
_RELEASE = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/"


def _row(name: str, licence: str, variants: tuple[Variant, ...], *, note: str = "", **spec: Any) -> Row:
    """Give a row whose licence allows commercial use."""
    return Row(
        name=name,
        licence=licence,
        commercial=True,
        note=note,
        variants=variants,
        spec=ModelSpec(name=name, licence=licence, **spec),
    )


def _bound(name: str, licence: str, variants: tuple[Variant, ...], *, gated: bool = False, **spec: Any) -> Row:
    """Give a row whose licence does not allow commercial use."""
    return Row(
        name=name,
        licence=licence,
        commercial=False,
        gated=gated,
        variants=variants,
        spec=ModelSpec(name=name, licence=licence, commercial=False, **spec),
    )


def _released(file_name: str, md5: str, *mirrors: str, megabytes: float) -> tuple[Variant, ...]:
    """Give the one file of a model as it was released, with the checksum published beside it."""
    sources, size = (_RELEASE + file_name, *mirrors), round(megabytes * 1e6)
    return (Variant(name="fp32", file_name=file_name, sources=sources, checksum=f"md5:{md5}", about_bytes=size),)


def _hub(repository: str, path: str, *, name: Precision, file_name: str, megabytes: float | None = None) -> Variant:
    size = None if megabytes is None else round(megabytes * 1e6)
    return Variant(name=name, file_name=file_name, sources=(f"hf://{repository}/{path}@main",), about_bytes=size)


def _u2net(name: str, variants: tuple[Variant, ...]) -> Row:
    """U-2-Net and its kin: seven outputs, the first is the fused one.

    skimage's resize smooths by half the scale, which Pillow's triangle comes closest to.
    """
    common: dict[str, Any] = {"side": 320, "divide_by": "image_max", "stretch": "guarded"}
    return _row(name, "Apache-2.0", variants, **common, **_IMAGENET, **_PILLOW)


def _birefnet(name: str, variants: tuple[Variant, ...]) -> Row:
    """BiRefNet: one output of raw values."""
    return _row(name, "MIT", variants, side=1024, activation="sigmoid", **_IMAGENET, **_PILLOW)


_BUILT_IN = Row(
    name=BUILT_IN,
    licence="Apache-2.0",
    commercial=True,
    variants=(
        Variant(
            name="fp32",
            file_name="bgrd-lite.onnx",
            checksum="sha256:ece4e0a04a7354e71f2c34895fbdf331f5431a32a582698ce18fcdea50972b1b",
        ),
    ),
)

_U2NETS = (
    _u2net(
        "u2net",
        _released(
            "u2net.onnx", "60024c5c889badc19c04ad937298a77b", "hf://tomjackson2023/rembg/u2net.onnx@main", megabytes=176
        ),
    ),
    _u2net("u2netp", _released("u2netp.onnx", "8e83ca70e441ab06c318d82300c84806", megabytes=4.6)),
    _u2net("u2net_human_seg", _released("u2net_human_seg.onnx", "c09ddc2e0104f800e3e1bb4652583d1f", megabytes=176)),
    _u2net("silueta", _released("silueta.onnx", "55e59e0d8062d2f5d013f4725ee84782", megabytes=44)),
)

_ISNETS = (
    _row(
        "isnet-general-use",
        "Apache-2.0",
        _released("isnet-general-use.onnx", "fc16ebd8b0c10d971d3513d564d01e29", megabytes=179),
        side=1024,
        stretch="guarded",
        **_HALF,
        **_TORCH,
    ),
    _row(
        "isnet-anime",
        "Apache-2.0",
        _released("isnet-anime.onnx", "6f184e756bb3bd901c8849220a83e38e", megabytes=176),
        side=1024,
        stretch="guarded",
        mean=_IMAGENET["mean"],
        **_TORCH,
    ),
    _row(
        "isnet-imgly",
        "AGPL-3.0",
        (),
        note="from your own copy of the package @imgly/background-removal (fp32, fp16 or quint8)",
        side=1024,
        divide_by="256",
        layout="file",
        **_HALF,
        **_TORCH,
    ),
    _bound(
        "rmbg-1.4",
        "bria-rmbg-1.4",
        (
            _hub("briaai/RMBG-1.4", "onnx/model.onnx", name="fp32", file_name="rmbg-1.4.onnx", megabytes=176),
            _hub("briaai/RMBG-1.4", "onnx/model_fp16.onnx", name="fp16", file_name="rmbg-1.4-fp16.onnx"),
            _hub("briaai/RMBG-1.4", "onnx/model_quantized.onnx", name="int8", file_name="rmbg-1.4-int8.onnx"),
        ),
        side=1024,
        stretch="guarded",
        **_HALF,
        **_TORCH,
    ),
)

_BIREFNETS = (
    _birefnet(
        "birefnet-general",
        (
            *_released("BiRefNet-general-epoch_244.onnx", "7a35a0141cbbc80de11d9c9a28f52697", megabytes=973),
            _hub(
                "onnx-community/BiRefNet-ONNX",
                "onnx/model_fp16.onnx",
                name="fp16",
                file_name="birefnet-general-fp16.onnx",
            ),
        ),
    ),
    _birefnet(
        "birefnet-general-lite",
        _released("BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx", "4fab47adc4ff364be1713e97b7e66334", megabytes=224),
    ),
    _birefnet(
        "birefnet-portrait",
        _released("BiRefNet-portrait-epoch_150.onnx", "c3a64a6abf20250d090cd055f12a3b67", megabytes=973),
    ),
    _birefnet(
        "birefnet-dis", _released("BiRefNet-DIS-epoch_590.onnx", "2d4d44102b446f33a4ebb2e56c051f2b", megabytes=973)
    ),
    _birefnet(
        "birefnet-hrsod",
        _released("BiRefNet-HRSOD_DHU-epoch_115.onnx", "c017ade5de8a50ff0fd74d790d268dda", megabytes=973),
    ),
    _birefnet(
        "birefnet-cod", _released("BiRefNet-COD-epoch_125.onnx", "f6d0d21ca89d287f17e7afe9f5fd3b45", megabytes=973)
    ),
    _birefnet(
        "birefnet-massive",
        _released("BiRefNet-massive-TR_DIS5K_TR_TEs-epoch_420.onnx", "33e726a2136a3d59eb0fdf613e31e3e9", megabytes=973),
    ),
    _bound(
        "rmbg-2.0",
        "CC-BY-NC-4.0",
        (
            Variant(
                name="fp32",
                file_name="bria-rmbg-2.0.onnx",
                sources=("hf://briaai/RMBG-2.0/onnx/model.onnx@main", _RELEASE + "bria-rmbg-2.0.onnx"),
                about_bytes=1_020_000_000,
            ),
            _hub("briaai/RMBG-2.0", "onnx/model_fp16.onnx", name="fp16", file_name="rmbg-2.0-fp16.onnx"),
            _hub("briaai/RMBG-2.0", "onnx/model_int8.onnx", name="int8", file_name="rmbg-2.0-int8.onnx"),
        ),
        gated=True,
        side=1024,
        activation="auto",  # the official file has the sigmoid inside; other exports of it do not
        **_IMAGENET,
        **_PILLOW,
    ),
)

_OTHERS = (
    _row(
        "modnet",
        "Apache-2.0",
        (
            _hub("Xenova/modnet", "onnx/model.onnx", name="fp32", file_name="modnet.onnx", megabytes=26),
            _hub("Xenova/modnet", "onnx/model_fp16.onnx", name="fp16", file_name="modnet-fp16.onnx"),
            _hub("Xenova/modnet", "onnx/model_quantized.onnx", name="int8", file_name="modnet-int8.onnx"),
        ),
        side=512,
        fit="short_side",
        resample="box",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
    _row(
        "deeplabv3-resnet101",
        "BSD-3-Clause",
        (),
        note="exported by yourself from torchvision",
        side=520,
        fit="short_side",
        multiple=8,
        activation="argmax",
        pick=tuple(range(1, 21)),  # all but the background; 15 alone is a person
        **_IMAGENET,
        **_PILLOW,
    ),
    _row(
        "resunet50",
        "your own",
        (),
        note="trained or converted by yourself",
        side=512,
        channels="BGR",
        layout="NHWC",
        **_TORCH,
    ),
)

_COMPATIBLE = tuple(
    _row(
        f"compat-rembg-{side}",
        "your own",
        (),
        note="from wherever you got it",
        side=side,
        resample="lanczos",
        upscale="lanczos",
        divide_by="image_max",
        stretch="full",
        **numbers,
    )
    for side, numbers in ((320, _IMAGENET), (1024, _HALF))
)
"""Any file as another program feeds it: rembg's `u2net_custom` and `dis_custom`."""

ROWS: dict[str, Row] = {row.name: row for row in (_BUILT_IN, *_U2NETS, *_ISNETS, *_BIREFNETS, *_OTHERS, *_COMPATIBLE)}
"""Every row by its name. Side, numbers and checksums: each model's own reference code and release page."""
