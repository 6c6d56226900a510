"""LeGrad: where in an image the score of a vision transformer comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from retrieval.decoding.image_rule import ImageRule
from retrieval.encoders.hub_encoder import load_hub_encoder
from retrieval.encoders.relevance import ExplainingTowers, ImageExplainer
from retrieval.encoders.tower_encoder import TowerEncoder
from tests.builders import unit_rows
from tests.retrieval.encoders.conftest import picture

COLOURS = ((230, 30, 30), (30, 200, 60), (40, 60, 230), (230, 210, 40))
SIDE, SQUARE, STEPS = 32, 12, 100
Rows = NDArray[np.float32]


def explainer_of(encoder: TowerEncoder) -> ImageExplainer:
    assert isinstance(encoder.towers, ExplainingTowers)
    explainer = encoder.towers.image_explainer()
    assert explainer is not None
    return explainer


@pytest.mark.parametrize("family", ["clip", "altclip", "chinese-clip", "metaclip-2", "siglip", "siglip2"])
def test_transformers_of_fixed_size_tell_and_their_rows_stay_the_same(
    family: str, tiny: Callable[[str], Path]
) -> None:
    encoder, image = load_hub_encoder(tiny(family)), picture(64, 48)
    before = encoder.encode_images([image], 1)
    explainer = explainer_of(encoder)

    found = explainer.explain(
        [rule.prepare(image) for rule in explainer.preparations], encoder.encode_texts(["a dog"], 1)[0]
    )

    assert found.contributions is None
    assert found.relevance.shape == (4, 4)
    assert found.relevance.min() >= 0
    assert found.relevance.max() == 1
    assert (encoder.encode_images([image], 1) == before).all()


@pytest.mark.parametrize("family", ["align", "siglip2-naflex"])
def test_other_models_do_not_pretend_to(family: str, tiny: Callable[[str], Path]) -> None:
    towers = load_hub_encoder(tiny(family)).towers

    assert isinstance(towers, ExplainingTowers)
    assert towers.image_explainer() is None


def test_a_transformer_that_knows_colours_points_at_the_square_of_the_one_asked_for(
    tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    queries = unit_rows(len(COLOURS), 24)
    encoder = load_hub_encoder(trained(tiny("clip"), tmp_path / "colours", queries))
    explainer = explainer_of(encoder)
    rule = explainer.preparations[0]
    random = np.random.default_rng(7)
    pointed = chance = 0.0
    for _ in range(40):
        image, boxes = squares(random)
        colour = next(iter(boxes))
        relevance = explainer.explain([rule.prepare(image)], queries[colour]).relevance
        row, column = np.unravel_index(int(relevance.argmax()), relevance.shape)
        inside = squares_cover(boxes[colour])
        pointed += bool(inside[row, column])
        chance += float(inside.mean())

    assert pointed / 40 >= 0.7
    assert pointed >= 2 * chance


def squares(random: np.random.Generator) -> tuple[Image.Image, dict[int, tuple[int, int]]]:
    """Draw two squares of different colours on noise; give the corners of each by its colour."""
    image = Image.fromarray(random.integers(90, 160, (SIDE, SIDE, 3), np.uint8).astype(np.uint8))
    first, second = random.permutation(len(COLOURS))[:2].tolist()
    y, z = random.integers(0, SIDE - SQUARE, 2).tolist()
    corners = {0: (int(random.integers(0, 5)), y), 1: (int(random.integers(16, SIDE - SQUARE + 1)), z)}
    for number, colour in enumerate((first, second)):
        left, top = corners[number]
        image.paste(COLOURS[colour], (left, top, left + SQUARE, top + SQUARE))
    return image, {first: corners[0], second: corners[1]}


def squares_cover(corner: tuple[int, int], patch: int = 8) -> NDArray[np.bool_]:
    """Tell which patches a square touches by a fourth or more."""
    mask = np.zeros((SIDE, SIDE))
    mask[corner[1] : corner[1] + SQUARE, corner[0] : corner[0] + SQUARE] = 1
    count = SIDE // patch
    touched: NDArray[np.bool_] = mask.reshape(count, patch, count, patch).mean((1, 3)) >= 0.25
    return touched


def trained(folder: Path, into: Path, queries: Rows) -> Path:
    """Train the image tower of a tiny CLIP until the vector of a square's image is that of its colour."""
    import shutil

    import torch
    import transformers

    shutil.copytree(folder, into)
    model = transformers.CLIPModel.from_pretrained(folder)
    rule = load_hub_encoder(folder).preparation
    assert isinstance(rule, ImageRule)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # passes so small take longer in several
    targets, random = torch.from_numpy(queries), np.random.default_rng(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
        for _ in range(STEPS):
            drawn = [squares(random) for _ in range(16)]
            pixels = torch.from_numpy(np.stack([rule.prepare(image) for image, _ in drawn])).float()
            pixels = (pixels * torch.tensor(rule.scale) + torch.tensor(rule.shift)).permute(0, 3, 1, 2)
            wanted = torch.zeros(len(drawn), len(COLOURS))
            for number, (_, boxes) in enumerate(drawn):
                wanted[number, list(boxes)] = 1
            vectors = torch.nn.functional.normalize(
                model.get_image_features(pixel_values=pixels).pooler_output, dim=-1
            )
            loss = torch.nn.functional.binary_cross_entropy_with_logits(10 * vectors @ targets.T, wanted)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
            optimizer.step()
    torch.set_num_threads(threads)
    model.save_pretrained(into)
    return into
