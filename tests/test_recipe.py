"""From a folder's options to the recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgrd.config.load import folders, load
from bgrd.config.recipe import described
from bgrd.errors import ConfigError
from bgrd.job import Recipe
from bgrd.product import Frame, Ground, Product, Shadow

FOLDER = '[[folder]]\nname = "shop"\ninbox = "/in"\noutbox = "/out"\n'
PRODUCT = "[[folder.product]]\n"


def recipe(tmp_path: Path, text: str) -> Recipe:
    """Load a folder with these keys and give its recipe."""
    file = tmp_path / "config.toml"
    file.write_text(text if "[[folder]]" in text else FOLDER + text)
    (folder,) = folders(load(file, environ={"HOME": "/home/u"}))
    return folder.recipe


def product(tmp_path: Path, text: str) -> Product:
    """Load a folder with one product."""
    (only,) = recipe(tmp_path, text).products
    return only


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ('on = "transparent"', Product()),
        ('on = "White"', Product(ground=Ground(kind="colour"))),
        ('on = "#08F"', Product(ground=Ground(kind="colour", colour=(0, 136, 255)))),
        ('on = "blur"\nblur = 0.1\non_fit = "contain"', Product(ground=Ground(kind="blur", blur=0.1, fit="contain"))),
        ('on = "a.jpg"\non_fit = "tile"', Product(ground=Ground(kind="picture", fit="tile"))),
        ("shadow = 0.5", Product(shadow=Shadow(opacity=0.5))),
        (
            "shadow = 0.5\nshadow_size = 0\nshadow_offset = [-0.1, 0]",
            Product(shadow=Shadow(opacity=0.5, size=0.0, offset=(-0.1, 0.0))),
        ),
        (
            'trim = true\nmargin = 0.08\naspect = "2:2"',
            Product(frame=Frame(trim=True, margin=0.08, aspect=(1, 1))),
        ),
        (
            'canvas = "512x384"\nenlarge = true\nanchor = "bottom"',
            Product(frame=Frame(canvas=(512, 384), enlarge=True, anchor="bottom")),
        ),
        ("max_side = 2048", Product(frame=Frame(max_side=2048))),
        ('format = "tiff"\nlevel = 9\nquality = 5', Product(format="tiff", level=9)),
        ('format = "avif"\nquality = 70', Product(format="avif", quality=70)),
        ('format = "tiff"\ndepth = "source"', Product(format="tiff", depth="source")),
        ('products = ["mask"]\nformat = "avif"\ndepth = "source"', Product(kind="mask", depth="source")),
        ('products = ["compare"]\ndepth = "source"\nformat = "webp"', Product(kind="compare", format="webp")),
        (
            'format = "jpeg"\non = "black"\nquality = 80',
            Product(format="jpeg", quality=80, ground=Ground(kind="colour", colour=(0, 0, 0))),
        ),
        ('result_name = "{folder}-{stem}-{kind}_{model}"', Product(name="shop-{stem}-cutout_bgrd-lite")),
        ('products = ["background"]\ntrim = true\non = "white"\nshadow = 1', Product(kind="background")),
        ('products = ["mask"]\ntrim = true\non = "white"', Product(kind="mask", frame=Frame(trim=True))),
        ('products = ["compare"]\nmax_side = 9\ntrim = true', Product(kind="compare", frame=Frame(max_side=9))),
    ],
)
def test_every_key_reaches_the_product(tmp_path: Path, keys: str, expected: Product) -> None:
    """And only where it has a meaning."""
    assert product(tmp_path, keys) == expected


def test_a_product_inherits_what_it_does_not_set(tmp_path: Path) -> None:
    """From its folder, which inherits from [defaults]; and it may take back what they say."""
    text = (
        '[defaults]\ntrim = true\non = "white"\nformat = "webp"\n'
        f'{FOLDER}margin = 0.1\n{PRODUCT}kind = "cutout"\n'
        f'{PRODUCT}kind = "cutout"\ntrim = false\non = "transparent"\nformat = "png"\nresult_name = "{{stem}}-raw"\n'
        f'{PRODUCT}kind = "mask"\n'
    )
    framed = Frame(trim=True, margin=0.1)
    assert recipe(tmp_path, text).products == (
        Product(format="webp", ground=Ground(kind="colour"), frame=framed),
        Product(frame=Frame(margin=0.1), name="{stem}-raw"),
        Product(kind="mask", format="webp", frame=framed),
    )


def test_a_folder_s_own_products_win(tmp_path: Path) -> None:
    """A list in a folder stands in place of the tables of [defaults], and the other way round."""
    text = f'[[defaults.product]]\nkind = "mask"\n{FOLDER}'
    assert [each.kind for each in recipe(tmp_path, text).products] == ["mask"]
    assert [each.kind for each in recipe(tmp_path, text + 'products = ["compare"]').products] == ["compare"]
    text = f'[defaults]\nproducts = ["compare"]\n{FOLDER}{PRODUCT}kind = "background"'
    assert [each.kind for each in recipe(tmp_path, text).products] == ["background"]


def test_pictures_are_named_once(tmp_path: Path) -> None:
    """Two products on one picture share it; a relative path starts at the file's folder, ~ is the home."""
    text = f'on = "~/a.jpg"\n{PRODUCT}kind = "cutout"\n{PRODUCT}kind = "compare"\n{PRODUCT}kind = "cutout"\n'
    made = recipe(tmp_path, text + 'on = "b.png"\nresult_name = "{stem}-b"')
    assert made.grounds == (Path("/home/u/a.jpg"), tmp_path / "b.png")
    assert [each.ground.picture for each in made.products] == [0, 0, 1]


def test_no_path_is_in_what_a_lane_gets(tmp_path: Path) -> None:
    """The recipe travels as JSON without its pictures' paths, and comes back the same but for them."""
    made = recipe(tmp_path, 'on = "~/a.jpg"\nshadow = 0.5\naspect = "4:5"')
    assert "a.jpg" not in str(made.to_json())
    assert Recipe.from_json(made.to_json()).products == made.products


def test_what_a_format_cannot_hold_is_png(tmp_path: Path) -> None:
    """Inherited, a lossy format does not reach masks, nor jpeg what is transparent."""
    kinds = 'on = "white"\nproducts = ["cutout", "mask", "background", "compare"]\n'
    jpeg, avif = (recipe(tmp_path, f'{kinds}format = "{name}"').products for name in ("jpeg", "avif"))
    assert [each.format for each in jpeg] == ["jpeg", "png", "png", "jpeg"]
    assert [each.format for each in avif] == ["avif", "png", "avif", "avif"]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ('format = "jpeg"', '.on: must be a colour, "blur" or a picture for jpeg, which has no transparency'),
        (
            'depth = "source"\nformat = "webp"',
            '.depth: must be "8" for webp: only png and tiff are written with 16 bits',
        ),
        (f'{PRODUCT}kind = "cutout"\ndepth = "source"\nformat = "avif"', '.product[0].depth: must be "8" for avif'),
        (f'{PRODUCT}kind = "compare"\ndepth = "source"', '.product[0].depth: must be "8" for a compare'),
        ('depth = "16"', ".depth: must be '8' or 'source', is '16'"),
        (f'{PRODUCT}kind = "mask"\nformat = "jpeg"', ".product[0].format: must be png, webp or tiff for a mask"),
        (f'{PRODUCT}kind = "mask"\nformat = "avif"', ".product[0].format: must be png, webp or tiff for a mask"),
        (f'{PRODUCT}kind = "background"\nformat = "jpeg"', ".product[0].format: must be png, webp or tiff for a"),
        (f'{PRODUCT}kind = "cutout"\nformat = "webp"\nlevel = 9', ".product[0].level: must be between 0 and 6"),
        (f'{PRODUCT}kind = "cutout"\nlevel = 10', ".product[0].level: must be between 0 and 9, is 10"),
        (f'{PRODUCT}kind = "cutuot"', ".product[0].kind: must be 'cutout', 'mask', 'background' or 'compare'"),
        (f'{PRODUCT}trim = "x"\nkind = "mask"', ".product[0].trim: must be true or false, is 'x'"),
        (PRODUCT, ".product[0].kind: has to be set"),
        (f'{PRODUCT}kind = "mask"\nformt = "png"', ".product[0].formt: is no setting; did you mean format?"),
        (f'{PRODUCT}kind = "mask"\ninbox = "/x"', ".product[0].inbox: is no setting here; it belongs to [[folder]]"),
        (f'{PRODUCT}kind = "mask"\nmodel = "u2net"', ".product[0].model: is no setting here; it belongs to [defaults]"),
        (f'products = ["mask"]\n{PRODUCT}kind = "mask"', ": has both products and product tables"),
        (f'{PRODUCT}kind = "mask"\n' * 9, ".product: must be at most 8 tables, are 9"),
        ('kind = "mask"', ".kind: is no setting here; it belongs to [[folder.product]]"),
        ('background = "white"', ".background: is no setting here; did you mean on?"),
        ("margin = 0.46", ".margin: must be between 0 and 0.45, is 0.46"),
        ('aspect = "10:1"\nmargin = 0.1', ".margin: must leave room for the subject in this aspect, is 0.1"),
        ('canvas = "100x20"\nmargin = 0.1', ".margin: must leave room for the subject in this canvas, is 0.1"),
        ('canvas = "16384x1"\nformat = "webp"', ".canvas: must be at most 16383 pixels a side for webp"),
        ('canvas = "512"', '.canvas: must be "none" or a size in pixels like "512x512", each number from 1 to 16384'),
        ('canvas = "0x9"', '.canvas: must be "none" or a size in pixels like "512x512", each number from 1 to 16384'),
        ("canvas = 512", '.canvas: must be "none" or a size in pixels'),
        ('aspect = "1:101"', '.aspect: must be "none" or an aspect like "4:5", each number from 1 to 100'),
        ("shadow = 2", ".shadow: must be between 0 and 1, is 2"),
        ("shadow_offset = [0.6, 0]", ".shadow_offset: must be two numbers between -0.5 and 0.5, is [0.6, 0.0]"),
        ("shadow_offset = [nan, 0]", ".shadow_offset: must be two numbers between -0.5 and 0.5, is [nan, 0.0]"),
        ('anchor = "middle"', ".anchor: must be 'center', 'top', 'bottom'"),
        ('result_name = "x"', ".result_name: must have {stem} in it once"),
        ('result_name = "{stem}{stem}"', ".result_name: must have {stem} in it once"),
        ('result_name = "{stem}-{width}"', ".result_name: must have {stem} in it once"),
        ('result_name = "{stem!r}"', ".result_name: must have {stem} in it once"),
        ('result_name = "{stem:9999999}"', ".result_name: must have {stem} in it once"),
        ('result_name = "{stem.x}"', ".result_name: must have {stem} in it once"),
        ('result_name = "{stem"', ".result_name: must have {stem} in it once"),
        ('result_name = "a/{stem}"', ".result_name: must be a file's name"),
        ('result_name = ".{stem}"', ".result_name: must be a file's name"),
        ('result_name = "{stem}\\n"', ".result_name: must be a file's name"),
        (f'result_name = "{{stem}}{"x" * 100}"', ".result_name: must be a file's name"),
        (f'result_name = "{{stem}}{"界" * 60}"', ".result_name: must leave room for what the source is called"),
        (
            'products = ["cutout", "mask"]\nresult_name = "{stem}"',
            ".result_name: must tell the mask from the cutout: both would be called *.png",
        ),
        (
            f'{PRODUCT}kind = "cutout"\n{PRODUCT}kind = "cutout"\non = "white"',
            ".product[1].result_name: must tell the cutout from folder[shop].product[0]: both would be called *.png",
        ),
        (
            f'{PRODUCT}kind = "cutout"\nresult_name = "{{stem}}-A"\n{PRODUCT}kind = "mask"\nresult_name = "{{stem}}-a"',
            ".product[1].result_name: must tell the mask from folder[shop].product[0]",
        ),
    ],
)
def test_what_cannot_be_is_told_by_its_key(tmp_path: Path, keys: str, told: str) -> None:
    """At load, with the folder, the product and the key."""
    with pytest.raises(ConfigError) as caught:
        recipe(tmp_path, keys)
    assert f"config.toml: folder[shop]{told}" in str(caught.value)


KEYS = st.fixed_dictionaries(
    {},
    optional={
        "on": st.sampled_from(["transparent", "white", "blur", "a.png"]),
        "trim": st.booleans(),
        "margin": st.sampled_from([0.0, 0.08, 0.4]),
        "aspect": st.sampled_from(["none", "1:1", "16:9"]),
        "canvas": st.sampled_from(["none", "512x512", "1000x10"]),
        "format": st.sampled_from(["png", "webp", "avif", "tiff", "jpeg"]),
        "level": st.integers(0, 9),
        "quality": st.sampled_from(["auto", 50]),
        "products": st.lists(st.sampled_from(["cutout", "mask", "background", "compare"]), min_size=1, unique=True),
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(KEYS)
def test_what_is_let_through_can_be_made(tmp_path: Path, keys: dict[str, Any]) -> None:
    """A recipe's products can be held by their formats, have distinct names, and can be told in a line."""
    lines = "".join(
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}\n" for key, value in keys.items()
    )
    try:
        made = recipe(tmp_path, lines)
    except ConfigError:
        return
    for each in made.products:
        assert each.format != "jpeg" or each.shows == "RGB"
        assert each.kind != "mask" or each.format in {"png", "webp", "tiff"}
        assert each.format != "webp" or each.level <= 6
        assert described(each, made).startswith(f"{each.kind} as {each.format}")


def test_a_product_in_words(tmp_path: Path) -> None:
    """What `bgrd check` shows."""
    made = recipe(
        tmp_path, 'trim = true\nmargin = 0.08\ncanvas = "1000x1000"\non = "white"\nformat = "jpeg"\nquality = 80'
    )
    assert described(made.products[0], made) == "cutout as jpeg of quality 80 on #ffffff, trimmed, margin 8%, 1000x1000"
    made = recipe(
        tmp_path, 'on = "/a.jpg"\nshadow = 0.5\naspect = "4:5"\nmax_side = 900\nproducts = ["compare", "cutout"]'
    )
    deep = recipe(tmp_path, 'depth = "source"\nproducts = ["cutout", "compare"]')
    assert [described(each, deep) for each in deep.products] == [
        "cutout as png in the depth of the source",
        "compare as png",
    ]
    assert [described(each, made) for each in made.products] == [
        "compare as png on /a.jpg, with a shadow, at most 900 pixels long",
        "cutout as png on /a.jpg, with a shadow, 4:5, at most 900 pixels long",
    ]
    made = recipe(
        tmp_path,
        'on = "/a.jpg"\non_fit = "tile"\ncanvas = "9x9"\nenlarge = true\nanchor = "bottom"\nresult_name = "x{stem}"',
    )
    assert described(made.products[0], made) == (
        "cutout as png on /a.jpg (tile), 9x9, enlarged, at the bottom, called x{stem}"
    )
