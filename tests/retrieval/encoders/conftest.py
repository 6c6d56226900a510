from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("TQDM_DISABLE", "1")  # the library draws bars while it saves


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny checkpoint of a family, built once a session; to be read, not changed."""
    from tests.retrieval.encoders.tiny_checkpoints import BUILDERS

    made: dict[str, Path] = {}

    def folder_of(family: str) -> Path:
        if family not in made:
            made[family] = tmp_path_factory.mktemp(family)
            BUILDERS[family](made[family])
        return made[family]

    return folder_of


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache and a digest cache of this test's own, both empty, and a hub that nobody answers for."""
    from huggingface_hub import constants

    from tests.retrieval.hub.fake_hub import use_hub

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    use_hub(monkeypatch, "http://127.0.0.1:9")
    return tmp_path / "hub"


def picture(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """A picture with slopes and noise, so that resampling has something to differ in."""
    random = np.random.default_rng(seed + width * 31 + height)
    rows, columns = np.mgrid[0:height, 0:width]
    slope = np.stack([rows * 3 % 256, columns * 5 % 256, (rows + columns) * 2 % 256, rows * 7 % 256], axis=-1)
    pixels = (slope * 0.6 + random.integers(0, 100, slope.shape)).clip(0, 255).astype(np.uint8)
    rgba = Image.fromarray(pixels, "RGBA")
    return rgba if mode == "RGBA" else rgba.convert(mode)


@pytest.fixture
def pictures() -> dict[str, Image.Image]:
    """Pictures of the shapes and modes that go wrong first."""
    palette = picture(40, 50, "RGB").convert("P")
    palette.info["transparency"] = 3
    return {
        "landscape": picture(64, 48),
        "portrait": picture(37, 211),
        "large": picture(640, 480),
        "square": picture(32, 32),
        "one pixel": picture(1, 1),
        "tiny": picture(3, 2),
        "grey": picture(50, 40, "L"),
        "transparent": picture(60, 41, "RGBA"),
        "grey and transparent": picture(41, 60, "LA"),
        "palette": palette,
        "cmyk": picture(45, 45, "CMYK"),
        "strip": picture(900, 2),
        "column": picture(2, 700),
    }
