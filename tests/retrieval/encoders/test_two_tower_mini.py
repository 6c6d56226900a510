from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import retrieval.encoders
from retrieval.encoders.tower_encoder import TowerEncoder
from retrieval.encoders.two_tower import load_two_tower_encoder

MINI = Path(retrieval.encoders.__file__).parent / "bundled" / "mini"
VAL = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "flickr8k" / "val-000.tar"


@pytest.fixture(scope="module")
def mini() -> TowerEncoder:
    return load_two_tower_encoder(MINI, name="mini")


def test_mini_is_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in MINI.rglob("*")) <= 25 * 2**20


def test_mini_knows_a_dog_in_both_languages(mini: TowerEncoder) -> None:
    queries = mini.encode_texts(["a dog runs on the grass", "一只狗在草地上奔跑", "a man rides a bicycle"])
    assert queries[0] @ queries[1] > queries[0] @ queries[2]


def test_mini_tells_grass_from_snow_in_both_languages(mini: TowerEncoder) -> None:
    pictures = []
    for sky, ground in (((110, 160, 230), (60, 140, 40)), ((190, 210, 235), (248, 250, 255))):
        picture = Image.new("RGB", (320, 240), sky)
        ImageDraw.Draw(picture).rectangle((0, 110, 320, 240), fill=ground)
        pictures.append(picture)
    images = mini.encode_images(pictures)
    for grass, snow in (("green grass in a field", "white snow on a mountain"), ("绿色的草地", "白色的雪山")):
        difference = (mini.encode_texts([grass, snow]) @ images.T) @ np.array([1, -1])
        assert difference[0] > difference[1]


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.skipif(not VAL.exists(), reason="the shared Flickr8k archives are not beside the repository")
def test_mini_recalls_what_its_figures_say(mini: TowerEncoder) -> None:
    with tarfile.open(VAL) as tar:
        files = {member.name: file.read() for member in tar if (file := tar.extractfile(member)) is not None}
    names = [name for name in files if name.endswith(".jpg")]
    images = mini.encode_images([Image.open(io.BytesIO(files[name])) for name in names])
    facts = [json.loads(files[name.replace(".jpg", ".json")]) for name in names]
    figures = json.loads((MINI / "figures.json").read_text())["flickr8k_val"]
    for language, key in (("en", "captions"), ("zh", "captions_zh")):
        scores = mini.encode_texts([text for fact in facts for text in fact[key]]) @ images.T
        order = np.argsort(-scores, axis=1)[:, :10]
        hit = order == np.repeat(np.arange(len(names)), 5)[:, None]
        assert 100 * hit[:, 0].mean() >= figures[language]["t2i_r1"] - 0.1
        assert 100 * hit.any(1).mean() >= figures[language]["t2i_r10"] - 0.1
