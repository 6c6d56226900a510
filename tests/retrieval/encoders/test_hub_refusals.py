"""What a folder may hold without being opened, and the sentence that says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from retrieval.encoders.hub_encoder import load_hub_encoder
from retrieval.encoders.hub_towers import HubTowers
from retrieval.encoders.registry import load_encoder
from retrieval.errors import ModelError


@pytest.fixture
def folder(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """A tiny CLIP of this test's own, to be damaged."""
    return Path(shutil.copytree(tiny("clip"), tmp_path / "model"))


def edit(file: Path, **changes: Any) -> None:
    value = json.loads(file.read_text())
    value.update(changes)
    file.write_text(json.dumps(value))


def test_a_folder_with_pickled_weights_alone_is_refused(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()

    with pytest.raises(ModelError, match="only as pickles"):
        load_encoder(folder)


def test_a_pickle_beside_safetensors_is_not_opened(folder: Path, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    (folder / "pytorch_model.bin").write_bytes(f"cpathlib\nPath\n(V{trap}\ntR.".encode() + b"\x80\x04garbage")

    load_encoder(folder).encode_texts(["a dog"])

    assert not trap.exists()


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()

    with pytest.raises(ModelError, match=r"has no weights; a model folder needs model\.safetensors"):
        load_encoder(folder)


def test_a_missing_weight_is_an_error_not_a_random_start(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ModelError, match=r"lacks weights .*visual_projection\.weight"):
        load_encoder(folder)


def test_a_weight_of_another_shape_is_an_error(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["text_projection.weight"] = torch.zeros(5, 5)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ModelError, match=r"text_projection\.weight|cannot be loaded"):
        load_encoder(folder)


def test_weights_that_are_cut_short_are_an_error(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])

    with pytest.raises(ModelError, match="its header of 8,528 bytes does not fit"):
        load_encoder(folder)


def test_weights_that_are_not_finite_are_an_error_when_they_are_used(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["text_projection.weight"] = torch.full_like(weights["text_projection.weight"], float("nan"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ModelError, match="zero or not finite"):
        load_encoder(folder).encode_texts(["a dog"])


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_checkpoint_that_asks_for_its_own_code_is_refused_and_runs_nothing(
    folder: Path, tmp_path: Path, file: str
) -> None:
    trap = tmp_path / "sprung"
    (folder / "evil.py").write_text(f"open({str(trap)!r}, 'w')\nclass Evil: pass\n")
    edit(
        folder / file,
        auto_map={"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil", "AutoTokenizer": ["evil.Evil"] * 2},
    )

    with pytest.raises(ModelError, match="auto_map"):
        load_encoder(folder)
    assert not trap.exists()


def test_code_named_in_the_image_processors_file_is_not_run(folder: Path, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    (folder / "evil.py").write_text(f"open({str(trap)!r}, 'w')\nclass Evil: pass\n")
    edit(folder / "preprocessor_config.json", auto_map={"AutoImageProcessor": "evil.Evil"})

    load_encoder(folder).encode_texts(["a dog"])

    assert not trap.exists()


def test_a_type_of_model_that_is_not_known_is_refused_with_those_that_are(folder: Path) -> None:
    edit(folder / "config.json", model_type="bert")

    with pytest.raises(ModelError, match=r"model type bert is not one .*siglip.*align"):
        load_encoder(folder)


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00\xff"])
def test_a_damaged_configuration_is_refused_with_its_path(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content, encoding="latin-1")

    with pytest.raises(ModelError, match=r"config\.json"):
        load_encoder(folder)


def test_a_missing_configuration_is_refused_with_its_path(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()

    with pytest.raises(ModelError, match=r"preprocessor_config\.json cannot be read"):
        load_encoder(folder)


def test_a_missing_tokenizer_is_an_error(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()

    with pytest.raises(ModelError, match="has no tokenizer"):
        load_encoder(folder)


def test_a_tokenizer_of_another_model_is_an_error(folder: Path) -> None:
    edit(folder / "tokenizer.json", added_tokens=[])
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["zebra</w>"] = 99_999
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))

    with pytest.raises(ModelError, match="ids up to 99999"):
        load_encoder(folder)


def test_a_part_of_sharded_weights_that_is_missing_is_named(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    parts = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))

    with pytest.raises(ModelError, match=r"model-00002-of-00002\.safetensors is missing"):
        load_encoder(folder)


def test_an_index_that_points_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    parts = {"a": "../elsewhere.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))

    with pytest.raises(ModelError, match="names no files beside it"):
        load_encoder(folder)


def test_sharded_weights_load_like_whole_ones(folder: Path) -> None:
    whole = load_encoder(folder).encode_texts(["a dog"])
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    (folder / "model.safetensors").unlink()
    index: dict[str, str] = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: weights[name] for name in part}, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))

    sharded = load_encoder(folder).encode_texts(["a dog"])
    assert (
        np.abs(sharded - whole).max() < 1e-6
    )  # not the same bits: where weights lie in memory picks MKL's kernel


def test_a_device_that_is_not_there_is_an_error(folder: Path) -> None:
    with pytest.raises(ModelError, match="cannot be put on device nonsense"):
        load_hub_encoder(folder, device="nonsense")


def test_half_precision_weights_run_in_float32(folder: Path) -> None:
    weights = {name: value.half() for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    encoder = load_hub_encoder(folder)

    assert isinstance(encoder.towers, HubTowers)
    assert {value.dtype for value in encoder.towers._model.parameters()} == {torch.float32}
    assert encoder.identity.precision == "float32"
