"""Make the pictures of the page in the documents, docs/serve/*.webp: all of them, by one command.

    python -m benchmarks.page.pictures [NAME ...]

Indexes the photographs of ``vlsearch demo`` twice, as they are and as the years of somebody who took many of each,
serves both, and takes each picture in the system's chromium. With NAMEs only those are made. Look at them before they
are committed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

import indexer
import retrieval
from benchmarks.page.measure import serving

PHOTOGRAPHS = Path(retrieval.__file__).parent / "cli/demo_photographs"
DOCUMENTS = Path(__file__).parents[2] / "docs/serve"
PLACE = Path("/tmp/vlsearch-tour")  # a fixed one, because pictures show it
WAIT_MS = 300_000  # for the map, whose first making takes a minute on a busy machine
QUALITY = 74  # of WebP: letters stay clear
WIDE: dict[str, Any] = {"viewport": {"width": 1120, "height": 720}}
NARROW: dict[str, Any] = {
    "viewport": {"width": 390, "height": 760},
    "device_scale_factor": 1.2,
    "is_mobile": True,
    "has_touch": True,
}
FOLDERS = {
    "2019 Museum": ("camera.jpg", "astronaut.jpg"),
    "2021 Kitchen": ("coffee.jpg", "brick.jpg"),
    "2022 Launch": ("rocket.jpg", "hubble_deep_field.jpg"),
    "2023 Garden": ("chelsea.jpg", "grass.jpg", "gravel.jpg"),
    "2024 Studio": ("text.jpg", "cell.jpg", "retina.jpg", "clock.jpg"),
}
CAMERAS = ("Canon EOS R6", "NIKON Z 6", "Pixel 7")
MAP_PLACE = (300, 300)  # around which the map is zoomed in
SHOTS_OF_EACH = 11
ALBUMS = {"Coffee": "a cup of coffee", "Faces": "a face of a person or a cat", "Night sky": "stars at night"}


@dataclass(frozen=True)
class Picture:
    """A picture of the page: its address, how the browser is, and what is done before it is taken."""

    path: str
    ready: str  # what is there when the page can be acted on
    act: Callable[[Any], object] = lambda _: None
    then: str = "body"  # what is there when the picture can be taken
    size: Any = None
    dark: bool = False
    chinese: bool = False
    height: int | None = None  # of what is kept


def press(key: str) -> Callable[[Any], object]:
    return lambda page: page.locator("[data-at='0']").press(key)


def click(selector: str) -> Callable[[Any], object]:
    return lambda page: page.locator(selector).first.click()


def zoom_in(page: Any) -> None:
    page.locator("canvas").focus()
    page.mouse.move(*MAP_PLACE)
    page.mouse.wheel(0, -250)


FIRST = "[data-at='0'].shown"
COFFEE, CAT = "/?c=Pictures&q=a+cup+of+coffee", "/?c=Pictures&q=a+cat"
PICTURES = {
    "search-light": Picture(f"{CAT}+without+a+ball", FIRST, lambda page: page.locator("[data-at='0']").hover()),
    "search-dark-chinese": Picture("/?c=Pictures&q=一只猫", FIRST, dark=True, chinese=True),
    "detail-light": Picture(COFFEE, FIRST, press("Enter"), ".stage.shown"),
    "explanation": Picture(CAT, FIRST, press("e"), ".shares"),
    "saving": Picture(COFFEE, FIRST, click("[aria-controls=saving]"), "#saving", height=420),
    "albums": Picture("/?c=Pictures&view=albums", ".covers img"),
    "sum-and-filters": Picture(
        "/?c=Years&q=a+picture+at+night&p=1~t~rocket&p=-0.5~t~people&t=2022-01..2024-12",
        FIRST, then=".timebar .bars",
    ),
    "time": Picture(
        "/?c=Years&f=camera~Canon+EOS+R6&f=camera~NIKON+Z+6&t=2021-04..2023-10",
        ".tile.shown", then=".timebar .bars",
    ),
    "map": Picture("/?c=Years&view=map", "canvas"),
    "map-dark-chinese": Picture("/?c=Years&view=map", "canvas", zoom_in, dark=True, chinese=True),
    "duplicates": Picture("/?c=Years&view=duplicates", ".copy img"),
    "narrow": Picture(CAT, FIRST, size=NARROW),
    "narrow-detail": Picture(COFFEE, FIRST, press("Enter"), ".stage.shown", NARROW, dark=True, chinese=True),
    "narrow-map": Picture("/?c=Years&view=map", "canvas", size=NARROW),
    "narrow-duplicates": Picture("/?c=Years&view=duplicates", ".copy img", size=NARROW, dark=True),
}  # fmt: skip


def write_pictures(folder: Path) -> Path:
    """Lay the photographs down as they are, with their captions in both languages."""
    folder.mkdir()
    for line in (PHOTOGRAPHS / "captions.jsonl").read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        shutil.copy(PHOTOGRAPHS / said["image"], folder)
        (folder / said["image"]).with_suffix(".txt").write_text("\n".join(said["captions"]), encoding="utf-8")
    return folder


def write_years(folder: Path) -> Path:
    """Lay down many shots of each photograph: other parts of it, by several cameras, over years; and edited ones."""
    rng = np.random.default_rng(5)
    for name, photographs in FOLDERS.items():
        (folder / name).mkdir(parents=True)
        shots = [Path(one) for one in photographs for _ in range(SHOTS_OF_EACH)]
        for number, at in enumerate(rng.permutation(len(shots)), start=1):
            with Image.open(PHOTOGRAPHS / shots[at]) as opened:
                shot = _part(opened.convert("RGB"), rng)
            exif = _exif(int(name[:4]), rng)
            shot.save(folder / name / f"{number:03} {shots[at].stem}.jpg", quality=88, exif=exif)
    (folder / "edited").mkdir()
    for kind in ("coffee", "chelsea", "rocket"):
        shot = min(folder.glob(f"*/* {kind}.jpg"))
        with Image.open(shot) as opened:
            opened.resize((opened.width // 2, opened.height // 2)).save(folder / "edited" / shot.name)
    return folder


def _part(whole: Image.Image, rng: np.random.Generator) -> Image.Image:
    share = rng.uniform(0.6, 1)
    width, height = (round(side * share) for side in whole.size)
    left, top = rng.integers(0, whole.width - width + 1), rng.integers(0, whole.height - height + 1)
    return whole.crop((left, top, left + width, top + height))


def _exif(year: int, rng: np.random.Generator) -> Image.Exif:
    exif = Image.Exif()
    day = f"{year}:{rng.integers(1, 13):02}:{rng.integers(1, 29):02} {rng.integers(7, 22):02}:30:00"
    exif[ExifTags.Base.Model] = CAMERAS[rng.choice(3, p=(0.5, 0.2, 0.3))]
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: day}
    return exif


def index(place: Path) -> list[Path]:
    """Make both collections, and save albums in the first."""
    collections = [place / "collections" / name for name in ("Pictures", "Years")]
    (place / "collections").mkdir()
    indexer.build(write_pictures(place / "Pictures"), collections[0])
    indexer.build(write_years(place / "Years"), collections[1])
    with retrieval.open(collections[0]) as engine:
        for name, query in ALBUMS.items():
            indexer.save_album(collections[0], engine.make_album(name, query))
    return collections


def take(browser: Any, url: str, picture: Picture, to: Path) -> None:
    """Open the page, act, wait until nothing is loaded any more, and write the picture."""
    look = {
        "locale": "zh-CN" if picture.chinese else "en-GB",
        "color_scheme": "dark" if picture.dark else "light",
    }
    size = picture.size or WIDE
    context = browser.new_context(**size, **look)
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto(url + picture.path)
    page.wait_for_selector(picture.ready)
    picture.act(page)
    page.wait_for_selector(picture.then)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(600)  # pictures fade in, and the map asks for its own once it stands still
    clip = {"x": 0, "y": 0, **size["viewport"]}
    page.screenshot(
        path=to.with_suffix(".png"), clip=clip | ({"height": picture.height} if picture.height else {})
    )
    context.close()
    with Image.open(to.with_suffix(".png")) as taken:
        taken.convert("RGB").save(to, quality=QUALITY, method=6)
    to.with_suffix(".png").unlink()


def make(names: Iterable[str]) -> None:
    """Make the pictures of these names."""
    from playwright.sync_api import sync_playwright

    PLACE.mkdir()  # never over what somebody has
    os.environ["XDG_CACHE_HOME"] = str(PLACE / "cache")
    try:
        collections = index(PLACE)
        with serving(collections, "--write") as url, sync_playwright() as running:
            browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for name in names:
                take(browser, url, PICTURES[name], DOCUMENTS / f"{name}.webp")
                print(f"{name}: {(DOCUMENTS / f'{name}.webp').stat().st_size / 1000:.0f} kB", flush=True)
            browser.close()
    finally:
        shutil.rmtree(PLACE)


def main() -> None:
    """Make all pictures, or those that are named."""
    unknown = [name for name in sys.argv[1:] if name not in PICTURES]
    if unknown:
        sys.exit(f"there is no picture {unknown[0]}; there are {', '.join(PICTURES)}")
    make(sys.argv[1:] or PICTURES)


if __name__ == "__main__":
    main()
