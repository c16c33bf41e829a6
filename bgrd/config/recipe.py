"""From a folder's options to the recipe: the settings that change pixels, as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bgrd.config.output import ProductOptions
from bgrd.config.settings import Options
from bgrd.config.values import colour_of
from bgrd.errors import ConfigError
from bgrd.job import Recipe
from bgrd.product import Depth, Format, Frame, Ground, Product, ProductKind, Shadow, product_name

__all__ = ["described", "recipe_of"]

_WEBP_LEVELS = 6
_MOST_WEBP_SIDE = 16_383
_MOST_NAME_BYTES = 150
"""What a template adds at most: of the 255 bytes of a name the source's own has to keep some."""

_ONE_OFF = "once"
"""What {folder} stands for where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """One product as it is configured: `own` are the keys its own table sets."""

    kind: ProductKind
    options: ProductOptions
    where: str
    own: frozenset[str] = frozenset()

    def refuse(self, key: str, text: str) -> ConfigError:
        """Give the error that names the key."""
        return ConfigError(f"{self.where}.{key}: {text}")


def recipe_of(options: Options, *, where: str, folder: str = _ONE_OFF) -> Recipe:
    """Give the settings that change pixels. Raises ConfigError "<where>.<key>: ..." where they do not go together."""
    wanted = list(_wanted(options, where))
    grounds: list[Path] = []
    products = tuple(_product(each, options.model, folder, grounds) for each in wanted)
    _refuse_one_name(wanted, products)
    return Recipe(
        model=options.model,
        threshold=options.threshold,
        feather=options.feather,
        refine=options.refine,
        clean_colours=options.clean_colours,
        specks=options.specks,
        holes=options.holes,
        largest=options.largest,
        metadata=options.metadata,
        products=products,
        grounds=tuple(grounds),
    )


def described(product: Product, recipe: Recipe) -> str:
    """Give a product in a few words, as `bgrd check` shows it."""
    frame, ground = product.frame, product.ground
    words = [f"{product.kind} as {product.format}"]
    if product.quality is not None:
        words[0] += f" of quality {product.quality}"
    if product.depth == "source":
        words[0] += " in the depth of the source"
    if product.kind in {"cutout", "compare"}:
        match ground.kind:
            case "colour":
                words[0] += " on #{:02x}{:02x}{:02x}".format(*ground.colour)
            case "blur":
                words[0] += " on the blurred original"
            case "picture":
                words[0] += f" on {recipe.grounds[ground.picture]}"
        words[0] += f" ({ground.fit})" if ground.fit != "cover" else ""
    words += ["with a shadow"] if product.shadow is not None else []
    words += ["trimmed"] if frame.trim else []
    words += [f"margin {frame.margin:.0%}"] if frame.margin else []
    if frame.canvas is not None:
        words += ["{}x{}".format(*frame.canvas)]
    else:
        words += ["{}:{}".format(*frame.aspect)] if frame.aspect is not None else []
        words += [f"at most {frame.max_side} pixels long"] if frame.max_side else []
    words += ["enlarged"] if frame.enlarge else []
    words += [f"at the {frame.anchor}"] if frame.anchor != "center" else []
    words += [f"called {product.name}"] if product.name is not None else []
    return ", ".join(words)


def _wanted(options: Options, where: str) -> Iterator[_Wanted]:
    """Yield the products: by their tables, which inherit the folder's keys, or by the short list."""
    for index, table in enumerate(options.product):
        own = frozenset(table.model_fields_set & ProductOptions.model_fields.keys())
        merged = options.model_copy(update={key: getattr(table, key) for key in own})
        yield _Wanted(kind=table.kind, options=merged, where=f"{where}.product[{index}]", own=own)
    for kind in () if options.product else options.products:
        yield _Wanted(kind=kind, options=options, where=where)


def _product(wanted: _Wanted, model: str, folder: str, grounds: list[Path]) -> Product:
    options = wanted.options
    written = _format(wanted)
    _refuse_misfits(wanted, written)
    lossy = wanted.kind != "mask" and written in {"webp", "avif", "jpeg"}
    name = None
    if options.result_name is not None:
        # The stem comes last, as it may hold braces of its own.
        name = options.result_name.format(stem="{stem}", kind=wanted.kind, folder=folder, model=model)
        if name.startswith(".") or "/" in name:
            raise wanted.refuse("result_name", f"must be a name that is not hidden, would be {name!r}")
    product = Product(
        kind=wanted.kind,
        format=written,
        level=options.level,
        quality=options.quality if lossy else None,
        depth=_depth(wanted, written),
        ground=_ground(options, grounds) if wanted.kind in {"cutout", "compare"} else Ground(),
        shadow=_shadow(options) if wanted.kind in {"cutout", "compare"} else None,
        frame=_frame(wanted.kind, options),
        name=name,
    )
    added = sum(map(len, product_name(product, only=False)))
    if added > _MOST_NAME_BYTES:
        text = f"must leave room for what the source is called: at most {_MOST_NAME_BYTES} bytes beside it, is {added}"
        raise wanted.refuse("result_name", text)
    return product


def _format(wanted: _Wanted) -> Format:
    """Give the format a product is written in: png for what is not to lose anything where the folder's format would.

    Raises ConfigError where that format is the product's own, or where jpeg has nothing to show a cut-out on.
    """
    format_, kind = wanted.options.format, wanted.kind
    if format_ == "jpeg" and kind == "cutout" and wanted.options.on == "transparent":
        raise wanted.refuse("on", 'must be a colour, "blur" or a picture for jpeg, which has no transparency')
    if (kind == "mask" and format_ in {"jpeg", "avif"}) or (kind == "background" and format_ == "jpeg"):
        if "format" in wanted.own:
            raise wanted.refuse("format", f"must be png, webp or tiff for a {kind}, which {format_} cannot hold")
        return "png"
    return format_


def _depth(wanted: _Wanted, written: Format) -> Depth:
    """Give the depth of a product; a comparison, which is scaled, leaves an inherited one out. Raises ConfigError."""
    if wanted.options.depth == "8" or (wanted.kind == "compare" and "depth" not in wanted.own):
        return "8"
    if wanted.kind == "compare":
        raise wanted.refuse("depth", 'must be "8" for a compare, which is put together from scaled pictures')
    if written not in {"png", "tiff"}:
        raise wanted.refuse("depth", f'must be "8" for {written}: only png and tiff are written with 16 bits')
    return wanted.options.depth


def _refuse_misfits(wanted: _Wanted, written: Format) -> None:
    """Raise ConfigError where keys do not go together."""
    options = wanted.options
    if written == "webp" and options.level > _WEBP_LEVELS:
        raise wanted.refuse("level", f"must be between 0 and {_WEBP_LEVELS} for webp, is {options.level}")
    sides = options.canvas or options.aspect
    if wanted.kind not in {"cutout", "mask"} or sides is None:
        return
    if 2 * options.margin * max(sides) >= min(sides):
        key = "canvas" if options.canvas else "aspect"
        raise wanted.refuse("margin", f"must leave room for the subject in this {key}, is {options.margin:g}")
    if options.canvas and written == "webp" and max(sides) > _MOST_WEBP_SIDE:
        raise wanted.refuse("canvas", f"must be at most {_MOST_WEBP_SIDE} pixels a side for webp")


def _ground(options: ProductOptions, grounds: list[Path]) -> Ground:
    """Give what a product stands on; a picture is entered into `grounds`."""
    if options.on == "transparent":
        return Ground()
    if options.on == "blur":
        return Ground(kind="blur", blur=options.blur, fit=options.on_fit)
    if not options.on.startswith("/"):
        return Ground(kind="colour", colour=colour_of(options.on))
    path = Path(options.on)
    if path not in grounds:
        grounds.append(path)
    return Ground(kind="picture", picture=grounds.index(path), fit=options.on_fit)


def _shadow(options: ProductOptions) -> Shadow | None:
    if not options.shadow:
        return None
    return Shadow(opacity=options.shadow, size=options.shadow_size, offset=options.shadow_offset)


def _frame(kind: ProductKind, options: ProductOptions) -> Frame:
    """Give the frame, without what has no say in it; what shows the photo itself keeps that of the photo."""
    if kind in {"background", "compare"}:
        return Frame(max_side=options.max_side)
    frame = Frame(**{key: getattr(options, key) for key in Frame.__dataclass_fields__})
    if frame.canvas is not None:
        return replace(frame, aspect=None, max_side=0)
    return replace(frame, enlarge=False, anchor=frame.anchor if frame.aspect is not None else "center")


def _refuse_one_name(wanted: list[_Wanted], products: tuple[Product, ...]) -> None:
    """Raise ConfigError where two products of a picture would be called the same."""
    seen: dict[str, _Wanted] = {}
    for each, product in zip(wanted, products, strict=True):
        before, after = product_name(product, only=len(products) == 1)
        name = (before + b"*" + after).decode(errors="replace")
        # Some file systems do not tell cases apart.
        other = seen.setdefault(name.casefold(), each)
        if other is not each:
            whose = f"the {other.kind}" if other.where == each.where else other.where
            raise each.refuse("result_name", f"must tell the {each.kind} from {whose}: both would be called {name}")
