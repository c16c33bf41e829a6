"""Draws the gallery of docs/gallery.md: one picture and what each option makes of it: `python docs/gallery.py`.

Every result comes from `bgrd once`, flags and all, and is read back from its file. Writes docs/gallery.md and a sheet
for each of its parts into docs/gallery/.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from drawing import SCALE, SIZE, grained, mug, on_checkers, room
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

HERE = Path(__file__).parent
TILE = (300, 225)
COLUMNS = 4
PLAIN: dict[str, object] = {}
SQUARE = {"trim": True, "margin": 0.08, "aspect": "1:1"}


@dataclass(frozen=True)
class Part:
    """One sheet: its title, what is said of it, and the words of each tile."""

    title: str
    text: str
    tiles: tuple[Mapping[str, object], ...]
    close: tuple[float, float, float, float] | None = None
    """What part of each result is shown, as shares: for edges, which nobody sees in a small picture."""


PARTS = (
    Part(
        "Products",
        "`products`, and the words for a product picture, a profile picture and a stage.",
        (
            PLAIN,
            {"products": ["mask"]},
            {"products": ["background"]},
            {"products": ["compare"]},
            {"on": "white", **SQUARE, "max_side": 600, "format": "jpeg"},
            {"on": "blur", "trim": True, "canvas": "512x512", "enlarge": True, "anchor": "bottom"},
            {"on": "stage.png", "trim": True, "canvas": "640x480", "margin": 0.05, "anchor": "bottom", "shadow": 0.5},
            {"products": ["mask"], **SQUARE},
        ),
    ),
    Part(
        "Edge",
        "Magnified, on a dark ground, where a fringe shows: the mask as it is, refined, cleaned, cut hard, and moved.",
        (
            {"on": "#101018", "refine": "none"},
            {"on": "#101018", "refine": "guided"},
            {"on": "#101018", "clean_colours": True},
            {"on": "#101018", "feather": 0.0},
            {"on": "#101018", "feather": 0.3},
            {"on": "#101018", "threshold": 0.2, "feather": 0.3},
            {"on": "#101018", "threshold": 0.8, "feather": 0.3},
            {"on": "#101018", "refine": "none", "feather": 0.0},
        ),
        close=(0.3, 0.2, 0.62, 0.52),
    ),
    Part(
        "Parts",
        "What is found beside the subject, and holes in it.",
        (
            PLAIN,
            {"specks": 0.2},
            {"largest": True},
            {"holes": 0.2},
        ),
    ),
    Part(
        "Ground",
        "`on` a colour, the blurred original and pictures, and shadows.",
        (
            {"on": "teal"},
            {"on": "blur"},
            {"on": "blur", "blur": 0.1},
            {"on": "stage.png"},
            {"on": "tall.png", "on_fit": "cover"},
            {"on": "tall.png", "on_fit": "contain"},
            {"on": "tall.png", "on_fit": "tile"},
            {"on": "white", "shadow": 0.5},
            {"shadow": 0.5, "shadow_offset": [0.04, 0.03]},
            {"on": "white", "shadow": 0.8, "shadow_size": 0.005},
            {"on": "white", "shadow": 0.5, "shadow_size": 0.1},
            {"on": "blur", "shadow": 0.7, "trim": True, "margin": 0.1},
        ),
    ),
    Part(
        "Frame",
        "Trimmed, with a rim, in a shape or a fixed size. The rest of the canvas is coloured here to be seen.",
        (
            {"on": "silver", "trim": True},
            {"on": "silver", "trim": True, "margin": 0.2},
            {"on": "silver", "trim": True, "aspect": "1:1"},
            {"on": "silver", "trim": True, "aspect": "16:9", "anchor": "left"},
            {"on": "silver", "trim": True, "canvas": "400x300"},
            {"on": "silver", "trim": True, "canvas": "400x300", "anchor": "bottom-right", "margin": 0.05},
            {"on": "silver", "trim": True, "canvas": "1600x1200", "anchor": "top"},
            {"on": "silver", "trim": True, "canvas": "1600x1200", "enlarge": True},
        ),
    ),
    Part(
        "Format",
        "The same picture in every format, read back from its file; its size is in the caption.",
        (
            {"on": "white", "format": "png"},
            {"on": "white", "format": "png", "level": 9},
            {"on": "white", "format": "webp"},
            {"on": "white", "format": "webp", "quality": 60},
            {"on": "white", "format": "avif"},
            {"format": "tiff", "depth": "source"},
            {"on": "white", "format": "jpeg"},
            {"on": "white", "format": "jpeg", "quality": 20, "metadata": "none", "result_name": "{stem}-small"},
        ),
    ),
)


def scene() -> Image.Image:
    """Put a mug, a ball and a ring on the table of the room."""
    large = (SIZE[0] * SCALE, SIZE[1] * SCALE)
    width, height = large
    picture = room(large)
    shadow = Image.new("L", large, 0)
    draw = ImageDraw.Draw(shadow)
    draw.ellipse((width * 0.33, height * 0.755, width * 0.72, height * 0.86), fill=130)
    draw.ellipse((width * 0.79, height * 0.83, width * 0.93, height * 0.88), fill=130)
    picture.paste((40, 26, 18), mask=shadow.filter(ImageFilter.GaussianBlur(width / 70)))
    subject = mug(large)
    picture.paste(subject, mask=subject.getchannel("A"))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((width * 0.78, height * 0.68, width * 0.92, height * 0.866), fill=(232, 196, 40))
    draw.ellipse((width * 0.805, height * 0.7, width * 0.85, height * 0.75), fill=(248, 230, 140))
    return grained(picture.resize(SIZE, Image.Resampling.LANCZOS))


def result(photo: Path, words: Mapping[str, object], place: Path) -> Path:
    """Have `bgrd once` make one result."""
    flags = []
    for key, value in words.items():
        text = ",".join(f"{part}" for part in value) if isinstance(value, list) else f"{value}"
        flags += ["--" + key.replace("_", "-")] + ([] if value is True else [text])
    command = [sys.executable, "-m", "bgrd", "once", "--no-progress", str(photo), "-o", str(place), *flags]
    subprocess.run(command, cwd=photo.parent, check=True, capture_output=True)
    (made,) = place.iterdir()
    return made


def shown(words: Mapping[str, object]) -> str:
    """Give words as the configuration has them."""
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in words.items()) or "the defaults"


def tile(made: Path, part: Part) -> Image.Image:
    """Read a result back and fit it into a tile; a checkerboard stands for transparency."""
    with Image.open(made) as image:
        image.load()
        found = on_checkers(image) if image.mode == "RGBA" else image.convert("RGB")
    if part.close is not None:
        left, top, right, bottom = (share * side for share, side in zip(part.close, found.size * 2, strict=True))
        found = found.crop((round(left), round(top), round(right), round(bottom)))
        found = found.resize((found.width * 4, found.height * 4), Image.Resampling.NEAREST)
    return ImageOps.contain(found, TILE)


def sheet(part: Part, photo: Path, directory: Path) -> Image.Image:
    """Draw a part's tiles, each with its words."""
    font, lines = ImageFont.load_default(11), 4
    rows = -(-len(part.tiles) // COLUMNS)
    cell = (TILE[0] + 12, TILE[1] + 8 + 13 * lines)
    drawn = Image.new("RGB", (cell[0] * COLUMNS, cell[1] * rows), "white")
    draw = ImageDraw.Draw(drawn)
    for number, words in enumerate(part.tiles):
        made = result(photo, words, directory / f"{part.title}-{number}")
        image = tile(made, part)
        left, top = number % COLUMNS * cell[0] + 6, number // COLUMNS * cell[1] + 4
        drawn.paste(image, (left + (TILE[0] - image.width) // 2, top))
        caption = shown(words) + (f" ({made.stat().st_size / 1000:.0f} kB)" if part.title == "Format" else "")
        for line, text in enumerate(_wrapped(caption, 52)[:lines]):
            draw.text((left, top + TILE[1] + 2 + 13 * line), text, fill=(40, 40, 40), font=font)
    return drawn


def _wrapped(text: str, width: int) -> list[str]:
    """Break a caption behind its commas."""
    lines = [""]
    for part in text.split(", "):
        if lines[-1] and len(lines[-1]) + len(part) + 2 > width:
            lines.append("")
        lines[-1] += (", " if lines[-1] else "") + part
    return lines


def page() -> str:
    """Give the text of docs/gallery.md."""
    text = [
        "# Gallery",
        "",
        "One picture, and what each option makes of it; [output](output.md) and [edge](edge.md) explain them.",
    ]
    text += ["Made by `python docs/gallery.py`, each result by `bgrd once` with these words as flags.", ""]
    for part in PARTS:
        text += [f"## {part.title}", "", part.text, "", f"![{part.title}](gallery/{part.title.lower()}.png)", ""]
        text += [f"{number}. `{shown(words)}`" for number, words in enumerate(part.tiles, 1)] + [""]
    return "\n".join(text)


def main() -> None:
    """Write the sheets and the page that shows them."""
    (HERE / "gallery").mkdir(exist_ok=True)
    with TemporaryDirectory() as name:
        photo = Path(name) / "mug.png"
        scene().save(photo)
        ImageOps.mirror(room((960, 720))).filter(ImageFilter.GaussianBlur(3)).save(Path(name) / "stage.png")
        ImageOps.fit(room((960, 720)), (180, 260)).save(Path(name) / "tall.png")
        for part in PARTS:
            drawn = sheet(part, photo, Path(name)).quantize(256, dither=Image.Dither.NONE)
            drawn.save(HERE / "gallery" / f"{part.title.lower()}.png", optimize=True)
    (HERE / "gallery.md").write_text(page())


if __name__ == "__main__":
    main()
