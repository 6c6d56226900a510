"""How fast towers encode in each runtime and precision, beside transformers and the processor's matrix peak.

    python -m benchmarks.encoders.throughput

mini's image tower, and ViT-B/32 (CLIP) of random weights, on which time does not depend; images are prepared. All in
one process on all cores that it may use. Variants take turns, round by round; medians of wall-clock seconds, with the
lowest and the highest. "transformers" is the loop of its documentation, ``get_image_features`` in batches of 32. The
peak is the fastest of three square products of bfloat16 matrices in torch, measured in the same turns; a tower's share
of it counts the multiplications and additions of the products that it computes. ``--earlier FOLDER`` measures an
earlier ``mini`` beside today's, as it computed then: torch in float32, at its own size. A text is encoded by itself.
Rewrites throughput.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from benchmarks.provenance import markdown_table, provenance, write_table
from retrieval.encoders.base import Encoder
from retrieval.encoders.hub_encoder import load_hub_encoder
from retrieval.encoders.registry import load_encoder
from retrieval.encoders.runtimes.choice import Computation
from retrieval.encoders.tower_encoder import TowerEncoder
from retrieval.freed_memory import retain_freed_memory
from tests.retrieval.encoders.tiny_checkpoints import CLIP_PICTURES, byte_level

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("model", "what computes", "images/s", "range", "ratio", "share of the peak")
TEXT_HEAD = ("model", "ms a text, alone", "range")
TEXTS = (
    "a dog runs through the snow",
    "两个孩子在海滩上玩",
    "pizza",
    "a red double-decker bus on a bridge at night",
) * 16
IMAGES, BATCH = 64, 32  # as they are indexed
SQUARES = (1024, 2048, 4096)
SIZE, PATCH, WIDTH, HIDDEN, LAYERS, DIMENSION = 224, 32, 768, 3072, 12, 512

Turn = Callable[[], None]


def operations_of_vit(last_tokens: int | None = None) -> int:
    """Count multiplications and additions of an image's products in ViT-B/32.

    Args:
        last_tokens: whose states the last layer computes; all of them by default.
    """
    patches = (SIZE // PATCH) ** 2
    tokens = patches + 1

    def layer(computed: int) -> int:
        keys_and_values = tokens * 2 * WIDTH * WIDTH
        return keys_and_values + computed * (2 * WIDTH * WIDTH + 2 * WIDTH * HIDDEN + 2 * tokens * WIDTH)

    layers = (LAYERS - 1) * layer(tokens) + layer(tokens if last_tokens is None else last_tokens)
    return 2 * (layers + patches * 3 * PATCH * PATCH * WIDTH + WIDTH * DIMENSION)


def save_vit(folder: Path, side: int = SIZE) -> None:
    """Write a CLIP checkpoint of ViT-B/32's size with random weights and a small vocabulary."""
    vocabulary, merges = byte_level(["<|startoftext|>", "<|endoftext|>"])
    last = len(vocabulary) - 1
    transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.CLIPConfig(
        text_config={"bos_token_id": last - 1, "eos_token_id": last},
        vision_config={"patch_size": PATCH, "image_size": side},
        projection_dim=DIMENSION,
    )
    model = transformers.CLIPModel(config)
    with torch.no_grad():
        for name, value in model.named_parameters():  # biases of zero would be left out of a graph
            if name.endswith("bias"):
                value.normal_(0, 0.02)
    model.save_pretrained(folder)
    crop = {"height": side, "width": side}
    pictures = CLIP_PICTURES | {"size": {"shortest_edge": side}, "crop_size": crop}
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures))


def transformers_loop(folder: Path, dtype: torch.dtype) -> Turn:
    """Make a turn of transformers alone."""
    model: Any = transformers.CLIPModel.from_pretrained(folder, dtype=dtype).eval()
    batches = [torch.randn(BATCH, 3, SIZE, SIZE).to(dtype) for _ in range(IMAGES // BATCH)]

    def turn() -> None:
        with torch.inference_mode():
            for batch in batches:
                model.get_image_features(pixel_values=batch)

    return turn


def encoder_turn(encoder: TowerEncoder) -> Turn:
    """Make a turn of an encoder, which says what computes it."""
    prepared: list[NDArray[np.uint8] | NDArray[np.float32]] = [
        np.random.default_rng(number).integers(0, 256, (encoder.image_size, encoder.image_size, 3), np.uint8)
        for number in range(IMAGES)
    ]
    return lambda: void(encoder.encode_prepared(prepared, BATCH))


def void(_: object) -> None:
    """Drop a result."""


def text_turn(encoder: Encoder) -> Turn:
    """Make a turn of texts, one after the other."""
    return lambda: void([encoder.encode_texts([text]) for text in TEXTS])


def variants(folder: Path, earlier: Path | None) -> dict[tuple[str, str], Turn]:
    """Build what takes turns, by model and name."""
    made: dict[tuple[str, str], Turn] = {
        ("ViT-B/32", "transformers, float32"): transformers_loop(folder, torch.float32),
        ("ViT-B/32", "transformers, bfloat16"): transformers_loop(folder, torch.bfloat16),
    }
    for runtime, precision in (("torch", "float32"), ("openvino", "float32"), ("openvino", "bfloat16")):
        name = f"vlsearch, {runtime}, {precision}"
        asked = Computation(runtime, precision)  # type: ignore[arg-type]  # the words are theirs
        made["ViT-B/32", name] = encoder_turn(load_hub_encoder(folder, asked=asked))
        mini = load_encoder("mini", runtime=runtime, precision=precision)
        assert isinstance(mini, TowerEncoder)
        made["mini", name] = encoder_turn(mini)
    asked = Computation("openvino", "int8")
    made["ViT-B/32", "vlsearch, openvino, int8"] = encoder_turn(load_hub_encoder(folder, asked=asked))
    rounded = load_encoder("mini", precision="int8")
    assert isinstance(rounded, TowerEncoder)
    made["mini", "vlsearch, openvino, int8"] = encoder_turn(rounded)
    if earlier is not None:
        before = load_encoder(earlier, runtime="torch", precision="float32")
        assert isinstance(before, TowerEncoder)
        made["mini", f"{earlier.name} at {before.image_size} pixels, torch, float32"] = encoder_turn(before)
    return made


def text_rows(earlier: Path | None, rounds: int) -> list[tuple[str, ...]]:
    """Measure milliseconds of a text that is encoded alone, for each mini."""
    encoders = {"mini": load_encoder("mini")}
    if earlier is not None:
        encoders[earlier.name] = load_encoder(earlier)
    found = measure({name: text_turn(encoder) for name, encoder in encoders.items()}, rounds)
    rows: list[tuple[str, ...]] = []
    for name, seconds in found.items():
        low, middle, high = (1e3 * of(seconds) / len(TEXTS) for of in (min, statistics.median, max))
        rows.append((name, f"{middle:.2f}", f"{low:.2f} to {high:.2f}"))
    return rows


def peak_turns() -> dict[int, Turn]:
    """Make the products that the peak is measured with, by the side of their matrices."""
    made: dict[int, Turn] = {}
    for side in SQUARES:
        one, other = (torch.randn(side, side).to(torch.bfloat16) for _ in range(2))
        count = max(1, (4096 // side) ** 3 // 2)

        def turn(one: torch.Tensor = one, other: torch.Tensor = other, count: int = count) -> None:
            for _ in range(count):
                torch.mm(one, other)

        made[side] = turn
    return made


def seconds_of(turn: Turn) -> float:
    """Measure a turn's wall-clock seconds."""
    started = time.perf_counter()
    turn()
    return time.perf_counter() - started


def measure(turns: Mapping[Any, Turn], rounds: int) -> dict[Any, list[float]]:
    """Measure seconds of each turn in each round, after one to warm up."""
    for turn in turns.values():
        turn()
    found: dict[Any, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            found[name].append(seconds_of(turn))
    return found


def rows_of(found: Mapping[Any, list[float]], peak: float) -> list[tuple[str, ...]]:
    """Make the table's rows; ratios are to transformers in float32, or of mini to torch."""
    bases = {"ViT-B/32": "transformers, float32", "mini": "vlsearch, torch, float32"}
    rows: list[tuple[str, ...]] = []
    for (model, name), seconds in sorted(found.items(), key=lambda one: one[0][0] == "mini"):
        rate = IMAGES / statistics.median(seconds)
        ratio = statistics.median(found[model, bases[model]]) / statistics.median(seconds)
        computed = operations_of_vit(1 if "openvino" in name else None)
        share = f"{rate * computed / peak:.0%}" if model == "ViT-B/32" else ""
        spread = f"{IMAGES / max(seconds):.1f} to {IMAGES / min(seconds):.1f}"
        rows.append((model, name, f"{rate:.1f}", spread, f"{ratio:.2f}", share))
    return rows


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--without", action="append", default=[], help="Leave out variants of these words.")
    parser.add_argument("--checkpoint", type=Path, help="Folder of a checkpoint that was saved before.")
    parser.add_argument("--earlier", type=Path, help="Folder of an earlier mini, measured beside today's.")
    args = parser.parse_args()
    retain_freed_memory()  # as vlsearch index does
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as name:
        folder = args.checkpoint or Path(name)
        if not (folder / "config.json").exists():
            save_vit(folder)
        peaks = peak_turns()
        shown = {
            key: turn
            for key, turn in variants(folder, args.earlier).items()
            if not any(words in " ".join(key) for words in args.without)
        }
        turns: dict[Any, Turn] = {**peaks, **shown}
        found = measure(turns, args.rounds)
    peak = max(
        max(1, (4096 // side) ** 3 // 2) * 2 * side**3 / statistics.median(found.pop(side)) for side in peaks
    )
    head = provenance(
        "python -m benchmarks.encoders.throughput",
        packages=("torch", "transformers", "openvino"),
        note=f"{torch.get_num_threads()} threads, {IMAGES} images a turn, {args.rounds} rounds; peak of bfloat16 "
        f"products {peak / 1e9:,.0f} GFLOP/s; {operations_of_vit() / 1e9:.2f} GFLOP an image of ViT-B/32, "
        f"{operations_of_vit(1) / 1e9:.2f} in OpenVINO, whose last layer computes the class token alone",
    )
    images = markdown_table(HEAD, rows_of(found, peak))
    texts = markdown_table(TEXT_HEAD, text_rows(args.earlier, args.rounds))
    write_table(args.table, ["# Throughput of towers", "", *head, "", *images, "", *texts])


if __name__ == "__main__":
    main()
