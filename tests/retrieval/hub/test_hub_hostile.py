"""Checkpoints made to harm: whatever the files say, loading ends in a sentence, and nothing they name is run."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from retrieval.encoders.registry import load_encoder
from retrieval.errors import ModelError


@pytest.fixture
def folder(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """A tiny CLIP of this test's own, to be damaged."""
    return Path(shutil.copytree(tiny("clip"), tmp_path / "model"))


def use(folder: Path) -> None:
    """Load, then encode one text and one picture: a lie may come out only where it is used."""
    encoder = load_encoder(folder)
    encoder.encode_texts(["a dog"])
    encoder.encode_images([Image.new("RGB", (40, 30), "red")])


def header(file: Path) -> tuple[dict[str, Any], bytes]:
    data = file.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write_weights(file: Path, entries: Any, body: bytes) -> None:
    text = json.dumps(entries).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + body)


NAME = "visual_projection.weight"
LIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "offsets beyond the end": lambda h: h[NAME].update(data_offsets=[0, 2**40]),
    "offsets of another tensor": lambda h: h[NAME].update(
        data_offsets=h["text_projection.weight"]["data_offsets"]
    ),
    "offsets that run backwards": lambda h: h[NAME].update(data_offsets=h[NAME]["data_offsets"][::-1]),
    "a shape larger than its bytes": lambda h: h[NAME].update(shape=[10**6, 10**6]),
    "a shape that overflows": lambda h: h[NAME].update(shape=[2**62, 2**62]),
    "a negative shape": lambda h: h[NAME].update(shape=[-24, -32]),
    "an unknown type": lambda h: h[NAME].update(dtype="PICKLE"),
    "a smaller type": lambda h: h[NAME].update(dtype="F16"),
    "no shape at all": lambda h: h[NAME].pop("shape"),
    "a list for a tensor": lambda h: h.update({NAME: [1, 2, 3]}),
}


@pytest.mark.parametrize("lie", LIES)
def test_weights_whose_header_lies_are_refused(folder: Path, lie: str) -> None:
    file = folder / "model.safetensors"
    entries, body = header(file)
    LIES[lie](entries)
    write_weights(file, entries, body)

    with pytest.raises(ModelError, match="model"):
        use(folder)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b"\xff\xfe\xfd\xfc",
        struct.pack("<Q", 2) + b"{}",
        b"\x80\x04\x95" + b"a pickle under another name" * 10,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 605\n",
    ],
    ids=[
        "empty",
        "seven bytes",
        "huge header",
        "short",
        "list",
        "no UTF-8",
        "no tensors",
        "pickle",
        "git-lfs",
    ],
)
def test_weights_that_are_something_else_are_refused(folder: Path, data: bytes) -> None:
    (folder / "model.safetensors").write_bytes(data)

    with pytest.raises(ModelError, match="model"):
        use(folder)


CONFIG_LIES: dict[str, dict[str, Any]] = {
    "words for a dimension": {"projection_dim": "many"},
    "a negative dimension": {"projection_dim": -1},
    "another dimension": {"projection_dim": 25},
    "an enormous dimension": {"projection_dim": 10**12},
    "a number for a tower": {"text_config": 5},
    "a list for a tower": {"vision_config": [1]},
    "words for positions": {"text_config": {"max_position_embeddings": "many"}},
    "no positions": {"text_config": {"max_position_embeddings": 0}},
    "no heads": {"text_config": {"num_attention_heads": 0}},
    "heads that do not divide": {"vision_config": {"num_attention_heads": 7}},
    "patches of no size": {"vision_config": {"patch_size": 0}},
    "another picture": {"vision_config": {"image_size": 64}},
    "an activation that is not known": {"text_config": {"hidden_act": "__import__('os').system('true')"}},
    "a type that is not known": {"dtype": "pickle"},
    "a type of list": {"model_type": ["clip"]},
}


@pytest.mark.parametrize("lie", CONFIG_LIES)
def test_a_configuration_that_lies_is_refused(folder: Path, lie: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    for key, value in CONFIG_LIES[lie].items():
        config[key] = config[key] | value if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(config))

    with pytest.raises(ModelError):
        use(folder)


PICTURE_LIES: dict[str, dict[str, Any]] = {
    "words for a size": {"size": {"shortest_edge": "big"}},
    "no size": {"size": {"shortest_edge": 0}},
    "a negative size": {"size": {"shortest_edge": -5}},
    "an enormous size": {"size": {"shortest_edge": 10**9}},
    "an enormous crop": {"crop_size": {"height": 10**7, "width": 10**7}},
    "no crop": {"crop_size": {"height": 0, "width": 0}},
    "one mean": {"image_mean": [0.5]},
    "words for means": {"image_mean": ["a", "b", "c"]},
    "no deviation": {"image_std": [0, 0, 0]},
    "a filter that is not known": {"resample": 99},
    "words for a filter": {"resample": "bicubic; rm"},
    "a list for a processor": {"image_processor_type": ["CLIPImageProcessor"]},
    "a factor of nothing": {"rescale_factor": "x"},
}


@pytest.mark.parametrize("family", ["clip", "siglip2-naflex"])
@pytest.mark.parametrize("lie", PICTURE_LIES)
def test_an_image_processor_that_lies_is_refused(
    lie: str, family: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    if family == "siglip2-naflex" and ("size" in lie or "crop" in lie):
        pytest.skip("NaFlex has neither a size nor a crop")
    folder = Path(shutil.copytree(tiny(family), tmp_path / "model"))
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | PICTURE_LIES[lie]))

    with pytest.raises(ModelError):
        use(folder)


@pytest.mark.parametrize("side", [8, 64, 224])
@pytest.mark.parametrize("family", ["clip", "siglip", "metaclip-2"])
def test_a_processor_whose_size_is_not_the_models_is_refused_when_a_picture_is_encoded(
    family: str, side: int, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny(family), tmp_path / "model"))
    file = folder / "preprocessor_config.json"
    size = {"size": {"shortest_edge": side, "height": side, "width": side}}
    file.write_text(
        json.dumps(json.loads(file.read_text()) | size | {"crop_size": {"height": side, "width": side}})
    )

    with pytest.raises(ModelError):
        use(folder)


@pytest.mark.parametrize("patches", [-1, 10**9, "many"])
def test_a_naflex_processor_with_a_senseless_number_of_patches_is_refused(
    patches: object, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny("siglip2-naflex"), tmp_path / "model"))
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"max_num_patches": patches}))

    with pytest.raises(ModelError):
        use(folder)


@pytest.mark.parametrize("family", ["clip", "siglip", "siglip2", "chinese-clip"])
@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\x00\xff", b'{"model": {"type": "BPE", "vocab": {"a": -1}}}']
)
def test_a_damaged_tokenizer_is_refused(
    content: bytes, family: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny(family), tmp_path / "model"))
    (folder / "tokenizer.json").write_bytes(content)

    with pytest.raises(ModelError):
        use(folder)


@pytest.mark.parametrize("length", [0, 1, -7, "many", 2.5, 10**40])
def test_a_senseless_length_in_the_tokenizers_file_harms_nothing(folder: Path, length: object) -> None:
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": length}))

    try:
        use(folder)
    except ModelError:
        assert length in (1, 2.5)  # too short to hold the two special tokens


@pytest.mark.parametrize("family", ["siglip", "siglip2"])
def test_a_siglip_tokenizer_of_another_model_is_an_error(
    family: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny(family), tmp_path / "model"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"] = [
        *tokenizer["added_tokens"],
        {"id": 99_999, "content": "zebra", "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True},
    ]  # fmt: skip
    vocabulary = tokenizer["model"]["vocab"]
    if isinstance(vocabulary, list):
        vocabulary.extend([[f"filler{number}", -20.0] for number in range(500)])
    else:
        vocabulary |= {f"filler{number}": len(vocabulary) + number for number in range(500)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))

    with pytest.raises(ModelError, match="of different models"):
        use(folder)


def test_a_folder_that_is_a_file_or_is_not_there_is_a_sentence(folder: Path) -> None:
    from retrieval.errors import UnknownModel

    for path in (folder / "config.json", folder / "nothing"):
        with pytest.raises(UnknownModel, match="there is no model folder"):
            load_encoder(path)


def test_weights_that_the_model_does_not_use_do_no_harm(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["__reduce__"] = weights["logit_scale"].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    use(folder)


@pytest.mark.parametrize(
    "key", ["trust_remote_code", "custom_pipelines", "_name_or_path", "attn_implementation"]
)
def test_other_keys_that_ask_for_code_or_names_are_not_followed(
    folder: Path, tmp_path: Path, key: str
) -> None:
    trap = tmp_path / "sprung"
    (folder / "evil.py").write_text(f"open({str(trap)!r}, 'w')\nclass Evil: pass\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {key: "evil.Evil", "architectures": ["evil.Evil"], f"_{key}_internal": "evil.Evil"}
    (folder / "config.json").write_text(json.dumps(config))

    try:
        use(folder)
    except ModelError:
        assert key == "attn_implementation"  # a kernel that is not known
    assert not trap.exists()
