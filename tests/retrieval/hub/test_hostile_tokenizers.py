"""Models made to hang, to fill the memory or to reach elsewhere: a sentence, before anything is built."""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from tokenizers import Tokenizer

from retrieval.encoders.registry import load_encoder
from retrieval.encoders.two_tower.config import TextConfig
from retrieval.encoders.two_tower.tokenization import token_ids
from retrieval.errors import ModelError
from retrieval.hub.tokenizer_files import cut, is_quick, tokenizer_faults
from tests.command_line import save_tiny_model

PUBLISHED = [  # CLIP's, as files and as transformers has it; T5's, XLM-R's and SigLIP's; Gemma's has none
    r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    r"\s+",
    r" {2,}",
    r"\A +| +\z",
    r"\A▁",
    r"""[!"\#\$%\&'\(\)\*\+,\-\./:;<=>\?@\[\\\]\^_`\{\|\}\~]""",
]
SLOW = [
    r"(a+)+$",
    r"(a|a)*b",
    r"(?:a?){30}a{30}",
    r"a*a*b",
    r"a?a?a?a?a",
    r"a{1,3}+",
    r"a**",
    r"(?=a+)b",
    r"(.)\1",
    r"[[:alpha:]]+",
    r"x{1000}",
    r"((x{1,99}){1,99}){1,99}",
    "a" * 1001,
    r"+",
]


@pytest.mark.parametrize("expression", PUBLISHED)
def test_the_regular_expressions_of_published_tokenizers_are_allowed(expression: str) -> None:
    assert is_quick(expression)


@pytest.mark.parametrize("expression", SLOW)
def test_a_regular_expression_that_can_take_for_ever_is_not_allowed(expression: str) -> None:
    assert not is_quick(expression)


@pytest.fixture(params=["two-tower", "clip", "siglip"])
def folder(request: pytest.FixtureRequest, tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    if request.param == "two-tower":
        return save_tiny_model(tmp_path / "model")
    return Path(shutil.copytree(tiny(request.param), tmp_path / "model"))


def replaced(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


LONG = base64.b64encode(struct.pack("<I", 4) + bytes(4) + b"x" * 1000 + b"\0").decode()
PARTS: dict[str, dict[str, Any]] = {
    "a slow expression in the normalizer": {"normalizer": replaced({"Regex": "(a+)+$"}, "")},
    "a slow expression deep in sequences": {
        "normalizer": {
            "type": "Sequence",
            "normalizers": [{"type": "Sequence", "normalizers": [replaced({"Regex": "(a+)+$"}, "")]}],
        }
    },
    "a slow expression in the pre-tokenizer": {
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": "(.*)*b"},
            "behavior": "Isolated",
            "invert": False,
        }
    },
    "a text that doubles forty times": {
        "normalizer": {"type": "Sequence", "normalizers": [replaced({"String": "a"}, "aa")] * 16}
    },
    "a letter that becomes a megabyte": {"normalizer": replaced({"String": "a"}, "a" * 10**6)},
    "nothing that becomes something": {"normalizer": replaced({"String": ""}, "a")},
    "a megabyte before each text": {"normalizer": {"type": "Prepend", "prepend": "a" * 10**6}},
    "a table of long texts": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": LONG}},
    "a table of nothing": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAA="}},
    "twenty steps": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 20}},
    "a template that repeats the text": {
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}] * 100,
            "pair": [],
            "special_tokens": {},
        }
    },
    "a long prefix of pieces": {
        "model": {
            "type": "WordPiece",
            "vocab": {"a": 0},
            "unk_token": "a",
            "continuing_subword_prefix": "#" * 10**6,
            "max_input_chars_per_word": 100,
        }
    },
    "words without an end": {
        "model": {
            "type": "WordPiece",
            "vocab": {"a": 0},
            "unk_token": "a",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 10**9,
        }
    },
    "long pieces": {"model": {"type": "Unigram", "vocab": [["a" * 1000, -1.0]], "unk_id": 0}},
    "chance": {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.5}},
}


@pytest.mark.parametrize("part", PARTS)
def test_a_tokenizer_that_could_hang_or_fill_the_memory_is_refused(folder: Path, part: str) -> None:
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | PARTS[part]))

    with pytest.raises(ModelError, match="not a tokenizer that vlsearch can use") as raised:
        load_encoder(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "part",
    [
        {"padding": {"strategy": {"Fixed": 10**12}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                     "pad_type_id": 0, "pad_token": "x"}},
        {"truncation": {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0}},
    ],
)  # fmt: skip
def test_a_padding_or_truncation_of_the_tokenizers_own_is_not_followed(
    folder: Path, part: dict[str, Any]
) -> None:
    before = load_encoder(folder).encode_texts(["a red square"])
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | part))

    after = load_encoder(folder).encode_texts(["a red square"])

    assert (after == before).all()


def test_a_text_of_megabytes_has_the_vector_of_its_beginning(folder: Path) -> None:
    encoder = load_encoder(folder)
    beginning = "a red square on a beach " * 1000

    one, other = encoder.encode_texts([beginning + "all green " * 10**6, beginning])

    assert (one == other).all()


def test_a_text_is_cut_far_behind_what_a_context_can_hold() -> None:
    assert cut("a" * 10**6, 77) == "a" * 2**14
    assert cut("a" * 10**6, 2**14) == "a" * 2**19


def test_a_panic_of_the_tokenizers_package_is_a_sentence() -> None:
    class PanicException(BaseException):
        pass

    with (
        pytest.raises(ModelError, match=r"model: its tokenizer cannot be used \(index out of bounds\)"),
        tokenizer_faults("model"),
    ):
        raise PanicException("index out of bounds")


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "model.safetensors", "generation_config.json", "adapter_config.json",
             "special_tokens_map.json", "chat_template.jinja", "vocab.txt"]
)  # fmt: skip
def test_a_pipe_in_a_model_folder_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)

    try:
        load_encoder(folder).encode_texts(["a red square"])
    except ModelError:
        assert name in ("config.json", "tokenizer.json", "model.safetensors")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "."])
def test_a_link_to_something_else_in_the_place_of_a_file_is_refused(
    folder: Path, name: str, target: str
) -> None:
    (folder / name).unlink()
    (folder / name).symlink_to(target)

    with pytest.raises(ModelError) as raised:
        load_encoder(folder)
    assert "root:" not in str(raised.value)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json"])
@pytest.mark.parametrize("text", ['{"a":' * 100_000, "[" * 100_000, "", "[]"])
def test_nested_json_is_a_sentence(tiny: Callable[[str], Path], tmp_path: Path, name: str, text: str) -> None:
    folder = Path(shutil.copytree(tiny("clip"), tmp_path / "model"))
    (folder / name).write_text(text)

    with pytest.raises(ModelError, match=name) as raised:
        load_encoder(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "special_tokens_map.json"])
def test_a_file_of_a_gigabyte_is_refused_unread(folder: Path, name: str) -> None:
    if not (folder / name).exists() and "special" in name and (folder / "config.json").exists():
        (folder / name).write_text("{}")
    os.truncate(folder / name, 2**30)

    if "special" in name and "clip" not in json.loads((folder / "config.json").read_text())["model_type"]:
        load_encoder(folder)  # nobody reads it
        return
    with pytest.raises(ModelError, match="larger than"):
        load_encoder(folder)


BEYOND: list[dict[str, Any]] = [
    {"text_config": {"num_hidden_layers": 10**12}},
    {"vision_config": {"num_hidden_layers": 10_000}},
    {"text_config": {"vocab_size": 10**12}},
    {"text_config": {"vocab_size": 2**22}},
    {"vision_config": {"hidden_size": 2**14}},
    {"text_config": {"intermediate_size": 2**17}},
    {"text_config": {"hidden_size": [32]}},
    {"text_config": {"hidden_size": -32}},
    {"quantization_config": {"quant_method": "bitsandbytes"}},
    {"text_config": {"auto_map": {"AutoModel": "evil.Evil"}}},
    {"attn_implementation": "evil/kernels"},
]


@pytest.mark.parametrize("lie", BEYOND, ids=str)
def test_a_configuration_that_calls_for_more_than_the_weights_hold_is_refused_before_room_is_made(
    lie: dict[str, Any], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny("clip"), tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    for key, value in lie.items():
        config[key] = config.get(key, {}) | value if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(config))

    with pytest.raises(ModelError):
        load_encoder(folder)


@pytest.mark.parametrize(
    "lie", [{"vocabulary": 2**24}, {"width": 2**16}, {"hidden": 2**18}, {"attention_layers": 64, "heads": 1}]
)
def test_a_two_tower_configuration_that_calls_for_more_than_the_weights_hold_is_refused(
    lie: dict[str, int], tmp_path: Path
) -> None:
    folder = save_tiny_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["text"] |= lie
    (folder / "config.json").write_text(json.dumps(config))

    with pytest.raises(ModelError, match="calls for"):
        load_encoder(folder)


def test_paths_in_a_tokenizers_configuration_are_not_followed(
    tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny("clip"), tmp_path / "model"))
    os.mkfifo(tmp_path / "pipe")
    file = folder / "tokenizer_config.json"
    paths = dict.fromkeys(("vocab_file", "tokenizer_file", "special_tokens_map_file"), str(tmp_path / "pipe"))
    file.write_text(json.dumps(json.loads(file.read_text()) | paths))

    load_encoder(folder).encode_texts(["a dog"])


def test_nothing_that_lies_beside_a_model_is_run_or_loaded(folder: Path, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    for name in ("evil", "json", "torch", "configuration", "tokenization"):
        (folder / f"{name}.py").write_text(f"open({str(trap)!r}, 'w')\n")
    pickled = f"cos\nmkdir\n(S'{trap}'\ntR.".encode()
    for name in ("pytorch_model.bin", "adapter_model.bin", "training_args.bin", "tokenizer.pkl"):
        (folder / name).write_bytes(pickled)
    (folder / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": str(folder), "peft_type": "LORA"})
    )

    encoder = load_encoder(folder)
    encoder.encode_texts(["a dog"])
    encoder.encode_images([Image.new("RGB", (40, 30))])

    assert not trap.exists()


def test_published_kinds_of_tokenizers_pass(tiny: Callable[[str], Path]) -> None:
    from retrieval.hub.tokenizer_files import check_tokenizer

    for family in ("clip", "metaclip-2", "siglip", "siglip2"):
        assert Tokenizer.from_str(check_tokenizer(tiny(family) / "tokenizer.json").decode())


@pytest.mark.parametrize("vocabulary", [[{}], [[]], [0], [None]], ids=str)
def test_a_vocabulary_whose_entries_are_not_pieces_is_a_sentence(folder: Path, vocabulary: list[Any]) -> None:
    facts = json.loads((folder / "tokenizer.json").read_text())
    facts["model"]["vocab"] = vocabulary
    (folder / "tokenizer.json").write_text(json.dumps(facts))

    with pytest.raises(ModelError, match="tokenizer"):
        load_encoder(folder).encode_texts(["words"])


def test_a_token_id_beyond_the_vectors_of_a_two_tower_model_is_a_sentence() -> None:
    encoding = SimpleNamespace(ids=[3, 4_294_967_295])
    tokenizer: Any = SimpleNamespace(encode=lambda text: encoding)

    with pytest.raises(ModelError, match=r"gives the token id 4294967295, and the model has 15 vectors"):
        token_ids(tokenizer, TextConfig(vocabulary=15), ["words"])
