"""Mutated model folders through the real command line: ``python -m tests.fuzz.models COUNT SEED``.

Whatever a folder holds, indexing, querying and training with it print no traceback, do not hang, die or take much
memory, run nothing that lies in the folder and touch nothing beside the collection.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import pickle
import random
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.command_line import fill_photos, save_tiny_model
from tests.fuzz import harness

MEMORY_BOUND = 5 * 2**29  # bytes resident; torch and transformers alone take a third
EXIT_CODES = {0, 1, 2}
KINDS = ("two-tower", "two-tower", "clip", "siglip", "siglip2", "chinese-clip", "metaclip-2", "align")
Mutation = Callable[[Path, random.Random, Path], None]
"""Alters a model folder; the folder given last is the one that links lead to, and where traps write."""

NASTY: tuple[Any, ...] = (
    None, True, "", "x", "\ud800", "many", -1, 0, 1, 2, 3, 2**31, 2**63, 10**12, 10**40, 1.5, -0.0, 1e308, [], [1],
    [None], {}, {"a": 1}, [[]], ["x"] * 3, [0, 0, 0], [1] * 100_000, "../canary/letter.txt", "/etc/passwd",
    "a" * 100_000, float("nan"), float("inf"), "evil.Evil", {"AutoModel": "evil.Evil"}, {"Regex": "(a+)+$"},
)  # fmt: skip
TOKENIZER_PARTS: tuple[tuple[str, Any], ...] = (
    ("normalizer", {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}),
    ("normalizer", {"type": "Replace", "pattern": {"Regex": "((x{1,999}){1,999}){1,999}"}, "content": ""}),
    ("normalizer", {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10**6}),
    ("normalizer", {"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 40}),
    ("normalizer", {"type": "Prepend", "prepend": "a" * 10**6}),
    ("normalizer", {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(bytes(range(64))).decode()}),
    ("normalizer", {"type": "Precompiled",
                    "precompiled_charsmap": base64.b64encode(struct.pack("<I", 4) + b"\xff" * 900).decode()}),
    ("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(.*)*b"}, "behavior": "Isolated", "invert": False}),
    ("pre_tokenizer", {"type": "Metaspace", "replacement": "xx", "prepend_scheme": "always", "split": True}),
    ("padding", {"strategy": {"Fixed": 10**12}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                 "pad_type_id": 0, "pad_token": "x"}),
    ("padding", {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": 10**12, "pad_id": 0,
                 "pad_type_id": 0, "pad_token": "x"}),
    ("truncation", {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 5}),
    ("truncation", {"direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 0}),
    ("post_processor", {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}] * 10**5,
                        "pair": [], "special_tokens": {}}),
    ("post_processor", {"type": "BertProcessing", "sep": ["x", 10**9], "cls": ["y", 2**32 - 1]}),
    ("post_processor", {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}),
    ("added_tokens", [{"id": 0, "content": "", "single_word": False, "lstrip": False, "rstrip": False,
                       "normalized": True, "special": True}]),
    ("added_tokens", [{"id": 2**32 - 1, "content": "(a+)+$", "single_word": True, "lstrip": True, "rstrip": True,
                       "normalized": True, "special": False}]),
    ("model", {"type": "WordLevel", "vocab": {"a": 0, "b": 2**32 - 1}, "unk_token": "a"}),
    ("model", {"type": "WordLevel", "vocab": {}, "unk_token": "none"}),
    ("model", {"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "none", "continuing_subword_prefix": "#" * 10**6,
               "max_input_chars_per_word": 10**9}),
    ("model", {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]]}),
    ("model", {"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 5.0}),
    ("model", {"type": "BPE", "vocab": {}, "merges": [], "byte_fallback": True, "unk_token": "none"}),
    ("model", {"type": "Unigram", "vocab": [], "unk_id": 5}),
    ("model", {"type": "Unigram", "vocab": [["a", -1.0]], "unk_id": None}),
    ("model", {"type": "Unigram", "vocab": [["", 0.0], ["a", 1e308]], "unk_id": 0, "byte_fallback": True}),
    ("decoder", {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"Regex": "(a+)+$"},
                                                   "content": ""}] * 100}),
)  # fmt: skip


def _files(model: Path, rng: random.Random) -> Path:
    return rng.choice(
        [path for path in sorted(model.iterdir()) if path.is_file() and path.stat().st_size < 2**24]
    )


def _json(model: Path, rng: random.Random) -> Path:
    files = [path for path in sorted(model.glob("*.json")) if path.is_file() and path.stat().st_size < 2**24]
    return rng.choice([*files, *[file for file in files if file.name == "config.json"] * 2])


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a JSON value with each of its keys, but no more than twenty of a list."""
    keys = value.keys() if isinstance(value, dict) else range(min(20, len(value)))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])


def alter_values(model: Path, rng: random.Random, _: Path) -> None:
    file = _json(model, rng)
    facts = json.loads(file.read_text(encoding="utf-8"))
    for _number in range(rng.choice([1, 1, 2, 5])):
        container, key = rng.choice(list(_places(facts)))
        container[key] = rng.choice(NASTY)
    file.write_text(json.dumps(facts), encoding="utf-8")


def add_keys(model: Path, rng: random.Random, _: Path) -> None:
    file = model / rng.choice(["config.json", "tokenizer_config.json", "preprocessor_config.json"])
    facts = json.loads(file.read_text(encoding="utf-8"))
    key = rng.choice(
        ["auto_map", "trust_remote_code", "quantization_config", "architectures", "tokenizer_class", "vocab_file",
         "tokenizer_file", "attn_implementation", "_name_or_path", "torch_dtype", "chat_template",
         "extra_special_tokens",
         "added_tokens_decoder", "image_processor_type", "custom_generate", "gguf_file", "use_kernels"]
    )  # fmt: skip
    facts[key] = rng.choice(NASTY)
    file.write_text(json.dumps(facts), encoding="utf-8")


def nest(model: Path, rng: random.Random, _: Path) -> None:
    text = rng.choice(['{"a":' * 100_000, "[" * 100_000, '{"model_type":' + "[" * 2_000 + "]" * 2_000 + "}"])
    _json(model, rng).write_text(text, encoding="utf-8")


def alter_tokenizer(model: Path, rng: random.Random, _: Path) -> None:
    file = model / "tokenizer.json"
    facts = json.loads(file.read_text(encoding="utf-8"))
    for _number in range(rng.choice([1, 1, 1, 2, 3])):
        key, value = rng.choice(TOKENIZER_PARTS)
        facts[key] = value
    file.write_text(json.dumps(facts), encoding="utf-8")


def nest_tokenizer(model: Path, rng: random.Random, _: Path) -> None:
    file, depth = model / "tokenizer.json", rng.choice([20, 100, 50_000])
    facts = json.loads(file.read_text(encoding="utf-8")) | {"normalizer": 0}
    inner = '{"type":"Sequence","normalizers":[' * depth + '{"type":"NFC"}' + "]}" * depth
    file.write_text(json.dumps(facts).replace('"normalizer": 0', f'"normalizer": {inner}'), encoding="utf-8")


def alter_weights(model: Path, rng: random.Random, _: Path) -> None:
    file = model / "model.safetensors"
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    tensor = header[rng.choice([name for name in header if name != "__metadata__"])]
    key = rng.choice(["shape", "shape", "dtype", "data_offsets", "data_offsets"])
    sides = [0, 1, -1, 2**31, 2**62, 10**12, 1.5, "x", None]
    tensor[key] = rng.choice(
        ["F64", "I8", "PICKLE", [rng.choice(sides), rng.choice(sides)], [0, 0], [1] * 10**5]
    )
    if rng.random() < 0.3:
        header[rng.choice(["x" * 10**5, "\ud800", "text.vectors.weight", "logit_scale"])] = rng.choice(NASTY)
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def lie_about_header(model: Path, rng: random.Random, _: Path) -> None:
    file = model / "model.safetensors"
    length = rng.choice([0, 1, 2**20, 100 * 2**20, 2**40, 2**63, 2**64 - 1])
    with file.open("r+b") as opened:
        opened.write(struct.pack("<Q", length))
    if rng.random() < 0.5:
        os.truncate(file, 2**33)


def flip_bits(model: Path, rng: random.Random, _: Path) -> None:
    file = _files(model, rng)
    data = bytearray(file.read_bytes())
    for _number in range(rng.choice([1, 3, 30, 300])):
        if data:
            data[rng.randrange(min(len(data), rng.choice([64, 4096, 2**24])))] ^= 1 << rng.randrange(8)
    file.write_bytes(data)


def resize(model: Path, rng: random.Random, _: Path) -> None:
    file = _files(model, rng)
    size = file.stat().st_size
    os.truncate(file, rng.choice([0, 1, 8, size // 2, max(0, size - 1), size + 1, 2**30, 2**36]))


def replace_by_bytes(model: Path, rng: random.Random, _: Path) -> None:
    _files(model, rng).write_bytes(
        rng.choice([b"\xff\xfe" * 50, b"\0" * 5000, b"[]", b"{}", b"1", rng.randbytes(3000)])
    )


def swap(model: Path, rng: random.Random, _: Path) -> None:
    one, other = _files(model, rng), _files(model, rng)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def delete(model: Path, rng: random.Random, _: Path) -> None:
    _files(model, rng).unlink()


def replace_by_link(model: Path, rng: random.Random, outside: Path) -> None:
    file = _files(model, rng)
    file.unlink()
    file.symlink_to(
        rng.choice([outside / "letter.txt", Path("/etc/passwd"), Path("/dev/zero"), file, outside, Path("/")])
    )


def replace_by_pipe(model: Path, rng: random.Random, _: Path) -> None:
    extra = ["special_tokens_map.json", "added_tokens.json", "generation_config.json", "adapter_config.json",
             "chat_template.jinja", "processor_config.json", "vocab.txt", "model.safetensors.index.json"]  # fmt: skip
    file = rng.choice([_files(model, rng), model / rng.choice(extra)])
    file.unlink(missing_ok=True)
    os.mkfifo(file)


def replace_by_folder(model: Path, rng: random.Random, _: Path) -> None:
    file = _files(model, rng)
    file.unlink()
    file.mkdir()


def set_traps(model: Path, rng: random.Random, outside: Path) -> None:
    """Code and pickles in every place from which a loader may take them, and configurations that name them."""
    sprung = f"open({str(outside / 'sprung')!r}, 'w')\nclass Evil: pass\n"
    for name in ("evil", "modeling", "tokenization", "json", "torch", "sitecustomize", "configuration_clip"):
        (model / f"{name}.py").write_text(sprung, encoding="utf-8")

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(outside / "sprung"),)

    for name in ("pytorch_model.bin", "model.pt", "adapter_model.bin", "tokenizer.pkl", "training_args.bin"):
        (model / name).write_bytes(pickle.dumps(Trap()))
    adapter = {
        "base_model_name_or_path": str(outside),
        "peft_type": "LORA",
        "auto_mapping": {"parent_library": "evil"},
    }
    (model / "adapter_config.json").write_text(json.dumps(adapter), encoding="utf-8")
    if rng.random() < 0.5:
        (model / "model.safetensors").unlink()
    if rng.random() < 0.5:
        facts = json.loads((model / "config.json").read_text(encoding="utf-8"))
        facts["auto_map"] = {"AutoModel": "evil.Evil", "AutoTokenizer": ["evil.Evil", None]}
        (model / "config.json").write_text(json.dumps(facts), encoding="utf-8")


MUTATIONS: list[Mutation] = [
    alter_values, alter_values, alter_values, alter_values, add_keys, add_keys, nest, alter_tokenizer, alter_tokenizer,
    alter_tokenizer, nest_tokenizer, alter_weights, alter_weights, lie_about_header, flip_bits, flip_bits, resize,
    replace_by_bytes, swap, delete, replace_by_link, replace_by_pipe, replace_by_folder, set_traps,
]  # fmt: skip


def make_templates(work: Path) -> dict[str, Path]:
    """A sound folder of each kind."""
    from tests.retrieval.encoders.tiny_checkpoints import BUILDERS

    templates = {"two-tower": save_tiny_model(work / "two-tower")}
    for name in sorted(set(KINDS) - {"two-tower"}):
        templates[name] = work / name
        templates[name].mkdir()
        BUILDERS[name](templates[name])
    return templates


def commands(model: Path, folder: Path, work: Path, rng: random.Random) -> list[list[str | Path]]:
    """Index and query, or train; at times with a text that is long."""
    at: list[str | Path] = ["--collection", folder / "collection"]
    words = rng.choice(["a red square", "a" * 100_000, "x " * 50_000, "狗" * 20_000, " ,;" * 40_000])
    if rng.random() < 0.25:
        train: list[str | Path] = ["train", work / "photos", "--model", model, "--out", folder / "out"]
        return [[*train, "--epochs", "1", "--batch-size", "2", "--device", "cpu"]]
    return [["index", work / "photos", "--model", model, *at], ["query", words, *at], ["doctor", *at]]


def try_case(number: int, seed: int, work: Path, templates: dict[str, Path], tally: harness.Tally) -> None:
    """Mutate a copy of a template and run commands with it, the model folder being the working directory."""
    rng = random.Random(f"{seed}/{number}")
    kind = rng.choice(KINDS)
    folder = work / "case"
    shutil.rmtree(folder, ignore_errors=True)
    model, canary = folder / "model", folder / "canary"
    shutil.copytree(templates[kind], model)
    canary.mkdir()
    (canary / "letter.txt").write_text("mine", encoding="utf-8")
    names = []
    for mutation in rng.sample(MUTATIONS, rng.choice([1, 1, 1, 2])):
        names.append(mutation.__name__)
        with suppress(
            OSError, ValueError, KeyError, IndexError, TypeError, RecursionError
        ):  # there may be no such file
            mutation(model, rng, canary)
    case = f"seed {seed} case {number} ({kind}: {', '.join(names)})"
    outside = [canary, work / "photos"]
    before = [harness.seal(place) for place in outside]
    for arguments in commands(model, folder, work, rng):
        started = time.monotonic()
        outcome = harness.run(*arguments, cwd=model, deadline=120)
        shown = [str(argument)[:100] for argument in arguments]
        tally.add(case, shown, outcome, time.monotonic() - started)
        if outcome.code is not None and outcome.code not in EXIT_CODES:
            tally.fault(f"exit code {outcome.code}", case, f"{shown}\n{outcome.output}")
        if outcome.memory > MEMORY_BOUND:
            tally.fault("memory", case, f"{shown}\n{outcome.memory / 2**20:,.0f} MiB")
        if outcome.code and arguments[0] in ("index", "train"):
            break
        if outcome.code and arguments[0] == "doctor":
            tally.fault("unsound collection", case, outcome.output)
    if [harness.seal(place) for place in outside] != before:
        tally.fault("touched outside", case, "")
    tally.cases += 1


def main(count: int, seed: int) -> int:
    """Try so many mutated model folders; 1 if anything went wrong."""
    harness.preload()
    for name in ("indexer.training.training_run", "retrieval.encoders.hub_encoder", "transformers"):
        importlib.import_module(name)  # the parent, for all children
    work = Path(tempfile.mkdtemp(prefix="vlsearch-fuzz-")).resolve()
    tally = harness.Tally("models")
    try:
        templates = make_templates(work)
        fill_photos(work / "photos")
        for number in range(count):
            try_case(number, seed, work, templates, tally)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tally.finish()


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), int(sys.argv[2])))
