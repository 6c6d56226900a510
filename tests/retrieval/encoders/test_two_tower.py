from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from indexer.training.vocabulary import fit_tokenizer
from retrieval.encoders.two_tower import (
    ImageConfig,
    TextConfig,
    TwoTowerConfig,
    TwoTowerModel,
    load_two_tower_encoder,
)
from retrieval.encoders.two_tower.backbones import build_backbone, fold_norms
from retrieval.encoders.two_tower.config import ImageBackbone
from retrieval.encoders.two_tower.folder import save
from retrieval.encoders.two_tower.text_towers import AttentionLayer
from retrieval.encoders.two_tower.tokenization import UnigramTokens
from retrieval.encoders.two_tower.towers import TwoTowerTowers
from retrieval.errors import ModelError
from retrieval.hub.tokenizer_files import load_tokenizer
from tests.retrieval.encoders.batch_norms import randomise

TEXTS = ["a dog", "a cat on a mat", "雪地里的狗", "", "a very long story about a dog " * 20]


def a_model(text: TextConfig, tokenizer: Tokenizer) -> TwoTowerModel:
    torch.manual_seed(0)
    text = replace(text, vocabulary=tokenizer.get_vocab_size())
    model = TwoTowerModel(TwoTowerConfig(16, ImageConfig("tiny", 32), text))
    for layer in model.text.modules():
        if isinstance(layer, AttentionLayer):
            torch.nn.init.normal_(layer.output.weight)  # which starts as zeros
    return model


@pytest.fixture(
    params=[
        TextConfig("bag", 1, 32, 64, context=32),
        TextConfig("bag", 1, 32, 64, heads=2, context=32, attention_layers=2, attention_width=16),
        TextConfig("bert", 1, 32, 64, layers=1, heads=2, context=32),
    ],
    ids=["bag", "bag with attention", "bert"],
)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    tokenizer = fit_tokenizer(TEXTS, 100)
    save(tmp_path / "m", a_model(request.param, tokenizer), tokenizer)
    return tmp_path / "m"


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (40, 60 + i, 3), np.uint8)) for i in range(5)]


def test_rows_are_unit_float32(folder: Path) -> None:
    encoder = load_two_tower_encoder(folder)
    for rows in (encoder.encode_images(pictures()), encoder.encode_texts(TEXTS)):
        assert rows.dtype == np.float32
        assert rows.shape == (5, 16)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert encoder.encode_texts([]).shape == (0, 16)


def test_with_a_batch_size_neighbours_and_places_do_not_change_a_bit(folder: Path) -> None:
    encoder = load_two_tower_encoder(folder)
    images, texts = encoder.encode_images(pictures(), 4), encoder.encode_texts(TEXTS, 4)
    for order in ([4, 3, 2, 1, 0], [2], [0, 0, 4]):
        assert np.array_equal(encoder.encode_images([pictures()[i] for i in order], 4), images[order])
        assert np.array_equal(encoder.encode_texts([TEXTS[i] for i in order], 4), texts[order])


def test_a_text_that_fills_its_length_has_the_same_bits_beside_one_that_does_not(folder: Path) -> None:
    encoder = load_two_tower_encoder(folder)
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    full = next(text for n in range(99) if len(tokenizer.encode(text := "a " * n + "dog").ids) == 8)

    alone, beside = encoder.encode_texts([full], 4), encoder.encode_texts([full, "a dog"], 4)

    assert np.array_equal(alone[0], beside[0])


@pytest.mark.parametrize("layers", [0, 2])
def test_small_vectors_are_a_byte_each_and_give_nearly_the_same_rows_in_numpy_and_torch(
    tmp_path: Path, layers: int
) -> None:
    tokenizer = fit_tokenizer(TEXTS, 100)
    text = TextConfig("bag", 1, 32, 64, context=32, attention_layers=layers, attention_width=16)
    model = a_model(text, tokenizer)
    save(tmp_path / "whole", model, tokenizer)
    save(tmp_path / "small", model, tokenizer, quantised=("text.vectors.",))

    whole, small = (load_two_tower_encoder(tmp_path / name) for name in ("whole", "small"))

    saved = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "small")]
    pieces = tokenizer.get_vocab_size()
    assert saved[0] - saved[1] == pytest.approx(pieces * (32 - 2), abs=200)
    assert small.identity.weights != whole.identity.weights
    rows = small.encode_texts(TEXTS)
    assert (rows * whole.encode_texts(TEXTS)).sum(1).min() > 0.999
    ids = [tokenizer.encode(t.lower()).ids[:32] or [1] for t in TEXTS]
    assert isinstance(small.towers, TwoTowerTowers)
    plain = small.towers.torch_model()
    with torch.inference_mode():
        expected = torch.cat([plain.encode_texts(torch.tensor([row])) for row in ids])
    np.testing.assert_allclose(rows, expected, atol=5e-6)


def test_small_kernels_are_a_byte_each_and_give_nearly_the_same_pictures(tmp_path: Path) -> None:
    tokenizer = fit_tokenizer(TEXTS, 100)
    text = TextConfig("bag", tokenizer.get_vocab_size(), 8, 8)
    torch.manual_seed(0)
    model = TwoTowerModel(TwoTowerConfig(16, ImageConfig("mobilenet_v2", 64, kept_from=17), text)).eval()
    kernels = [p for n, p in model.named_parameters() if n.startswith("image.kept.") and p.dim() > 1]

    save(tmp_path / "whole", model, tokenizer)
    save(tmp_path / "small", model, tokenizer, quantised=("image.kept.",))

    saved = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "small")]
    bytes_less = sum(kernel.numel() - 2 * len(kernel) for kernel in kernels)
    assert saved[0] - saved[1] == pytest.approx(bytes_less, rel=0.01)
    whole, small = (
        load_two_tower_encoder(tmp_path / name).encode_images(pictures()) for name in ("whole", "small")
    )
    assert (whole * small).sum(1).min() > 0.999
    assert not np.array_equal(whole, small)


def test_word_order_counts_where_there_is_attention_and_only_there(folder: Path) -> None:
    encoder = load_two_tower_encoder(folder)
    there, back = encoder.encode_texts(["a cat on a mat dog", "dog mat a on cat a"])

    assert isinstance(encoder.tokenization, UnigramTokens)
    config = encoder.tokenization.config
    plain = not config.attention_layers and config.backbone == "bag"
    assert np.allclose(there, back, atol=1e-5) == plain


def test_a_strip_is_cropped_before_it_is_enlarged(folder: Path) -> None:
    assert load_two_tower_encoder(folder).prepare_image(Image.new("L", (30000, 2))).shape == (32, 32, 3)


@pytest.mark.parametrize(("aspect", "columns_seen"), [(1.0, 100), (1.5, 150), (3.0, 200)])
def test_a_picture_loses_no_more_of_its_ends_than_the_aspect_asks(aspect: float, columns_seen: int) -> None:
    columns = np.zeros((100, 200, 3), np.uint8)
    columns[:, 100 - columns_seen // 2 : 100 + columns_seen // 2] = 255

    config = ImageConfig("tiny", 32, aspect=aspect)
    assert config.preparation.prepare(Image.fromarray(columns)).min() == 255
    columns[:, 100 - columns_seen // 2 + 8 : 100 + columns_seen // 2 - 8] = 0
    assert config.preparation.prepare(Image.fromarray(columns))[:, 0].min() > 200


def test_a_picture_that_goes_through_another_size_is_pillows_of_two_steps(folder: Path) -> None:
    config = ImageConfig("tiny", 32, aspect=1.5, through=40)
    picture = pictures()[0]  # 60 by 40

    two_steps = picture.resize((40, 40), Image.Resampling.BICUBIC).resize((32, 32), Image.Resampling.BILINEAR)

    assert np.array_equal(config.preparation.prepare(picture), np.asarray(two_steps))
    assert not np.array_equal(
        config.preparation.prepare(picture), replace(config, through=0).preparation.prepare(picture)
    )


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple), seed=st.integers(0, 2**32 - 1))
def test_every_part_of_a_picture_has_the_same_length_and_a_text_keeps_its_own_shares(
    sizes: tuple[int, ...], seed: int
) -> None:
    torch.manual_seed(seed)
    dimension, text = sum(sizes), TextConfig("bag", 50, 8, 8)
    plain = TwoTowerModel(TwoTowerConfig(dimension, ImageConfig("tiny", 32), text))
    parted = TwoTowerModel(TwoTowerConfig(dimension, ImageConfig("tiny", 32), text, image_parts=sizes))
    parted.load_state_dict(plain.state_dict())
    pixels, ids = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8), torch.tensor([[2, 3], [4, 0]])

    with torch.inference_mode():
        rows, wholes = parted.encode_images(pixels), plain.encode_images(pixels)
        assert torch.equal(parted.encode_texts(ids), plain.encode_texts(ids))

    for part, whole in zip(
        torch.split(rows, list(sizes), -1), torch.split(wholes, list(sizes), -1), strict=True
    ):
        share = len(sizes) ** -0.5
        torch.testing.assert_close(part, share * torch.nn.functional.normalize(whole, dim=-1))


@pytest.mark.parametrize(
    "sizes", [[8], [8, 9], [16, 0], [17, -1], [8.0, 8.0], [True, 15], ["16"], "x", 16, None]
)
def test_parts_that_do_not_make_up_the_space_are_refused(folder: Path, sizes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "image_parts": sizes}))

    with pytest.raises(ModelError, match=r"config\.json is damaged \(.+\); copy the model folder again$"):
        load_two_tower_encoder(folder)


def test_parts_are_part_of_a_models_identity_and_come_back_from_its_folder(folder: Path) -> None:
    plain = load_two_tower_encoder(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "image_parts": [4, 12]}))
    parted = load_two_tower_encoder(folder)

    assert parted.identity.digest != plain.identity.digest
    assert TwoTowerConfig.load(folder / "config.json").image_parts == (4, 12)
    lengths = np.linalg.norm(parted.encode_images(pictures())[:, :4], axis=1)
    np.testing.assert_allclose(lengths, 0.5**0.5, rtol=1e-5)


def test_a_configuration_older_than_its_latest_fields_has_the_identity_that_collections_know(
    folder: Path,
) -> None:
    written = load_two_tower_encoder(folder).identity
    config = json.loads((folder / "config.json").read_text())
    assert config.pop("image_parts") == []
    assert config["image"].pop("through") == 0
    (folder / "config.json").write_text(json.dumps(config))

    assert load_two_tower_encoder(folder).identity == written
    facts = json.loads(written.preprocessing)
    assert set(facts) == {"image", "resize", "text"}
    assert "through" not in facts["image"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "foreign"])
def test_a_bad_file_is_a_sentence(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else b'{"model_type": "clip"}')
    with pytest.raises(ModelError, match=name):
        load_two_tower_encoder(folder)


def test_a_step_without_its_weight_is_a_sentence(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {"image.lost.step": torch.ones(1)}, folder / "model.safetensors")

    with pytest.raises(ModelError, match="holds no weights of this model"):
        load_two_tower_encoder(folder).encode_images(pictures())


def test_efficientnet_lite2_and_mobilenet_see_what_tensorflow_padding_asks() -> None:
    names: tuple[ImageBackbone, ...] = ("efficientnet_lite2", "mobilenet_v2", "resnet50")
    for name in names:
        config = ImageConfig(name, 64, tf_padding=name != "resnet50")
        text = TextConfig("bag", 50, 8, 8)
        model = TwoTowerModel(TwoTowerConfig(4, config, text)).eval()
        with torch.inference_mode():
            rows = model.encode_images(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
            assert model.image.features[0](torch.zeros(1, 3, 64, 64)).shape[-2:] in ((32, 32), (16, 16))
        assert rows.shape == (1, 4)


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_kept_stages_start_as_copies_and_stay_as_they_are(name: ImageBackbone) -> None:
    plain = build_backbone(ImageConfig(name, 64)).eval()
    state = plain.state_dict()
    both = build_backbone(ImageConfig(name, 64, kept_from=2)).eval()
    kept = {
        n.replace("features", "kept", 1): v for n, v in state.items() if n.split(".")[1] not in ("0", "1")
    }
    both.load_state_dict(state | kept)
    pixels = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        before = plain(pixels)
        assert torch.equal(both(pixels), torch.cat([before, before], 1))
        for value in both.features[3].parameters():  # all: a new residual block starts as nothing
            value.add_(1)
        after = both(pixels)
    assert torch.equal(after[:, before.shape[1] :], before)
    assert not torch.equal(after[:, : before.shape[1]], before)


def test_more_kept_stages_than_there_are_is_a_sentence() -> None:
    with pytest.raises(ModelError, match="cannot keep those from 99 on"):
        build_backbone(ImageConfig("tiny", 32, kept_from=99))


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_lite2"])
def test_folding_batch_norms_leaves_features_as_they_are(name: ImageBackbone) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(ImageConfig(name, 64, tf_padding=True, kept_from=3)).eval()
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            randomise(module)
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        before = backbone(pixels)
        fold_norms(backbone)
        after = backbone(pixels)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in backbone.modules())
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
