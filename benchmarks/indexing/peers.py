"""Index photographs with the same weights as other programs do, end to end: read, decode, encode, store.

    python -m benchmarks.indexing.peers IMAGES --environments FOLDER

IMAGES is a folder of photographs of about 640x480 pixels; where they are few, each is taken several times, as JPEGs of
other qualities, so that no two are the same. Those of 12 megapixels are made from them. The weights are
ViT-B/32 of random numbers at 256 pixels, on which time does not depend: it is the size that rclip's model has. Programs
are the real ones, each in an environment that is made below FOLDER (rclip's with Python 3.12) and kept there:

- vlsearch: ``vlsearch index`` with its defaults, of this checkout, in the environment that runs this, and once more
  with ``--precision int8``, which nothing takes by itself;
- rclip 4: its command (asked with one of the photographs: it must be asked something), which finds the weights as an
  ONNX graph where it would download its own;
- sentence-transformers 6: its documented loop (``Image.open``, ``encode`` in batches of 32, then the array is saved),
  with its default precision and with ``dtype="bfloat16"``.

Programs take turns, each in a new process. Whole: all seconds of the command. A photograph: what more it takes than a
run over eight photographs, so that starting and loading are not in it.

The second table says how much of vlsearch's time nobody could leave out: in the same rounds, the tower is computed
alone, of pictures that are prepared already, and the photographs are read, decoded and resized alone, by Pillow with
the decoder's scaling, in one thread. Rewrites peers.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from benchmarks.encoders.throughput import save_vit
from benchmarks.indexing import decoding
from benchmarks.processes import Run, timed
from benchmarks.provenance import ROOT, markdown_table, provenance, write_table

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("photographs", "program", "photographs/s", "range", "CPU-ms each", "times", "whole run, s")
LIMITS_HEAD = (
    "photographs", "program", "CPU-ms each", "tower alone", "outside the tower", "decoding and resizing alone", "times",
    "photographs/s if there were no more",
)  # fmt: skip
SIZE, BATCH, FEW = 256, 32, 8
DECODING = "decoding and resizing"
PRECISIONS = {"vlsearch": "auto", "vlsearch, int8": "int8"}

RCLIP = ("rclip==4.0.8",)
SENTENCE_TRANSFORMERS = ("sentence-transformers==6.2.0", "torch", "pillow")
EXPORTER = ("torch", "transformers", "onnx", "onnxscript")

EXPORT = """
import sys
from pathlib import Path
import torch, transformers
checkpoint, folder = sys.argv[1], Path(sys.argv[2])
model = transformers.CLIPModel.from_pretrained(checkpoint, attn_implementation="eager").eval()

class Visual(torch.nn.Module):
    def forward(self, pixels):
        pooled = model.vision_model(pixel_values=pixels).pooler_output
        return model.visual_projection(pooled)

class Textual(torch.nn.Module):
    def forward(self, tokens):
        return model.text_projection(model.text_model(input_ids=tokens).pooler_output)

last = model.config.text_config.vocab_size - 1
side = model.config.vision_config.image_size
for name, module, example in (
    ("visual", Visual(), torch.zeros(2, 3, side, side)),
    ("textual", Textual(), torch.full((2, 77), last)),
):
    free = {0: torch.export.Dim("n", min=1, max=4096)}
    program = torch.onnx.export(module, (example,), dynamo=True, input_names=["input"], output_names=["output"],
                                dynamic_shapes=(free,))
    program.save(folder / f"{name}.onnx")
"""

ENCODE = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from sentence_transformers import SentenceTransformer
checkpoint, folder, precision, out = sys.argv[1:]
more = {} if precision == "float32" else {"model_kwargs": {"dtype": precision}}
model = SentenceTransformer(checkpoint, **more)
paths = sorted(Path(folder).glob("*.jpg"))
images = (Image.open(path) for path in paths)
vectors = model.encode(list(images), batch_size=32, convert_to_numpy=True)
assert vectors.shape == (len(paths), 512), vectors.shape
np.save(out, vectors)
"""


TOWER = """
import sys, time
from pathlib import Path
import numpy as np
from retrieval.freed_memory import retain_freed_memory
from retrieval.encoders.registry import load_encoder
retain_freed_memory()
encoder = load_encoder(Path(sys.argv[1]), precision=sys.argv[2])
side = encoder.image_size
images = list(np.random.default_rng(0).integers(0, 256, (128, side, side, 3), np.uint8))
encoder.encode_prepared(images)
started = time.process_time()
encoder.encode_prepared(images)
print(1000 * (time.process_time() - started) / len(images))
"""


def alone_of(checkpoint: Path, cache: Path) -> dict[str, Callable[[Path], float]]:
    """Give what is measured by itself: CPU-milliseconds of a photograph in a folder."""

    def decoded(folder: Path) -> float:
        return decoding.run(decoding.SOURCES["Pillow"], ROOT, folder, len(list(folder.iterdir())))[1]

    towers = {
        program: lambda _, precision=precision: tower_alone(checkpoint, precision, cache)
        for program, precision in PRECISIONS.items()
    }
    return {**towers, DECODING: decoded}


def tower_alone(checkpoint: Path, precision: str, cache: Path) -> float:
    """Measure the CPU-milliseconds of an image in the tower, without anything else."""
    command = [sys.executable, "-c", TOWER, str(checkpoint), precision]
    variables = os.environ | {"XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(
        command,
        env=variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def environment(folder: Path, name: str, packages: Sequence[str], python: str = sys.executable) -> Path:
    """Give the folder of a virtual environment's programs; it is made if it is not there."""
    programs = folder / name / "bin"
    if not programs.exists():
        subprocess.run([python, "-m", "venv", folder / name], check=True)
        subprocess.run([programs / "pip", "install", "--quiet", *packages], check=True)
    return programs


def rclip_data(exporter: Path, checkpoint: Path, data: Path) -> Path:
    """Give rclip a data folder with the weights of a checkpoint, where it would download its own."""
    graphs = data / "ViT-B-32-256-datacomp_s34b_b86k"
    graphs.mkdir(parents=True)
    for name in ("LICENSE", "OPENAI-CLIP-MIT.txt", "README.md", "THIRD_PARTY_NOTICES.md"):
        (data / name).write_text("random weights, made by a benchmark\n")
    (data / "tokenizer").mkdir()
    (data / "tokenizer" / "bpe_simple_vocab_16e6.txt.gz").touch()  # only questions need it
    subprocess.run(
        [exporter / "python", "-c", EXPORT, checkpoint, graphs], check=True, stdout=subprocess.DEVNULL
    )
    return data


def programs(folder: Path, checkpoint: Path, scratch: Path) -> dict[str, Callable[[Path], Run]]:
    """Make ready what takes turns: each indexes a folder of photographs from nothing."""
    rclip = environment(folder, "rclip", RCLIP, "python3.12")
    others = environment(folder, "sentence-transformers", SENTENCE_TRANSFORMERS)
    exporter = environment(folder, "exporter", EXPORTER)
    data = rclip_data(exporter, checkpoint, scratch / "rclip")

    def with_vlsearch(pictures: Path, precision: str = "auto") -> Run:
        collection = scratch / "collection"
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "retrieval.cli",
            "index",
            pictures,
            "--model",
            checkpoint,
            "--precision",
            precision,
            "--quiet",
        ]
        try:
            return timed(
                [*command, "--collection", collection],
                os.environ | {"XDG_CACHE_HOME": str(scratch / "cache")},
            )
        finally:
            shutil.rmtree(collection, ignore_errors=True)

    def with_rclip(pictures: Path) -> Run:
        (data / "db.sqlite3").unlink(missing_ok=True)
        code = "import os, sys; os.chdir(sys.argv.pop(1)); from rclip.main import main; main()"
        question = min(pictures.iterdir()).name  # it does not index without one
        command: list[str | Path] = [
            rclip / "python",
            "-c",
            code,
            pictures,
            "--filepath-only",
            f"./{question}",
        ]
        return timed(command, os.environ | {"RCLIP_DATADIR": str(data), "HF_HUB_OFFLINE": "1"})

    def with_sentence_transformers(precision: str) -> Callable[[Path], Run]:
        command: list[str | Path] = [others / "python", "-c", ENCODE, checkpoint]
        return lambda pictures: timed(
            [*command, pictures, precision, scratch / "vectors.npy"], os.environ | {"HF_HUB_OFFLINE": "1"}
        )

    return {
        "vlsearch": with_vlsearch,
        "vlsearch, int8": lambda pictures: with_vlsearch(pictures, "int8"),
        "rclip": with_rclip,
        "sentence-transformers, float32": with_sentence_transformers("float32"),
        "sentence-transformers, bfloat16": with_sentence_transformers("bfloat16"),
    }


def copies(originals: Sequence[Path], count: int, folder: Path) -> list[Path]:
    """Write a number of different JPEGs of photographs."""
    folder.mkdir()
    made = []
    for number in range(count):
        with Image.open(originals[number % len(originals)]) as image:
            made.append(folder / f"{number:04}.jpg")
            image.convert("RGB").save(made[-1], quality=92 - number // len(originals))
    return made


def linked(photographs: Sequence[Path], folder: Path) -> Path:
    """Make a folder of photographs that stand elsewhere."""
    folder.mkdir()
    for photograph in photographs:
        (folder / photograph.name).hardlink_to(photograph)
    return folder


def measure(
    taking_turns: Mapping[str, Callable[[Path], Run]],
    alone: Mapping[str, Callable[[Path], float]],
    all_of: Path,
    few: Path,
    rounds: int,
) -> tuple[dict[str, list[tuple[Run, Run]]], dict[str, float]]:
    """Run each on a few photographs and on all, round by round; a first round on a few is not counted.

    Returns:
        The runs of each, and the medians of what is measured alone beside them.
    """
    for run in taking_turns.values():
        run(few)
    found: dict[str, list[tuple[Run, Run]]] = {name: [] for name in taking_turns}
    by_itself: dict[str, list[float]] = {name: [] for name in alone}
    for _ in range(rounds):
        for name, run in taking_turns.items():
            found[name].append((run(few), run(all_of)))
            print(name, found[name][-1], file=sys.stderr, flush=True)
        for name, measured in alone.items():
            by_itself[name].append(measured(all_of))
    return found, {name: statistics.median(values) for name, values in by_itself.items()}


def cpu_of(runs: Sequence[tuple[Run, Run]], count: int) -> float:
    """Give the CPU-milliseconds of a photograph, the median of runs."""
    return statistics.median(1000 * (whole.cpu - few.cpu) / (count - FEW) for few, whole in runs)


def limit_rows(
    name: str, count: int, found: Mapping[str, list[tuple[Run, Run]]], alone: Mapping[str, float]
) -> list[list[str]]:
    """Give the rows of what of vlsearch's time nobody could leave out."""
    cores, decoded, made = os.cpu_count() or 1, alone[DECODING], []
    for program in PRECISIONS:
        cpu, tower = cpu_of(found[program], count), alone[program]
        outside, possible = cpu - tower, 1000 * cores / (tower + decoded)
        figures = (cpu, tower, outside, decoded)
        times = f"{outside / decoded:.2f}"
        made.append([name, program, *(f"{one:.1f}" for one in figures), times, f"{possible:.1f}"])
    return made


def rows(name: str, count: int, found: Mapping[str, list[tuple[Run, Run]]]) -> list[list[str]]:
    """Give the table's rows; "times" is our rate by theirs."""
    rates = {
        program: [(count - FEW) / (whole.wall - few.wall) for few, whole in runs]
        for program, runs in found.items()
    }
    ours = statistics.median(rates["vlsearch"])
    made = []
    for program, runs in found.items():
        rate = statistics.median(rates[program])
        span = f"{min(rates[program]):.1f} to {max(rates[program]):.1f}"
        whole = statistics.median(whole.wall for _, whole in runs)
        made.append(
            [
                name,
                program,
                f"{rate:.1f}",
                span,
                f"{cpu_of(runs, count):.1f}",
                f"{ours / rate:.2f}",
                f"{whole:.1f}",
            ]
        )
    return made


def main() -> None:
    """Measure, and rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path)
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--photographs", type=int, default=400)
    parser.add_argument("--large", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--table", type=Path, default=TABLE)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        checkpoint = scratch / "vit"
        save_vit(checkpoint, SIZE)
        taking_turns = programs(args.environments.absolute(), checkpoint, scratch)
        photographs = copies(sorted(args.images.glob("*.jpg")), args.photographs, scratch / "photographs")
        decoding.make_large(args.images, scratch / "large", args.large)
        alone = alone_of(checkpoint, scratch / "cache")
        table: list[list[str]] = []
        limits: list[list[str]] = []
        for name, some in (("640x480", photographs), ("12 MP", sorted((scratch / "large").iterdir()))):
            whole, few = (linked(some[:size], scratch / f"{name} {size}") for size in (len(some), FEW))
            found, by_itself = measure(taking_turns, alone, whole, few, args.rounds)
            table += rows(name, len(some), found)
            limits += limit_rows(name, len(some), found, by_itself)
    head = provenance(
        "python -m benchmarks.indexing.peers IMAGES --environments FOLDER",
        packages=("torch", "transformers", "openvino"),
        note=f"ViT-B/32 at {SIZE} pixels; {args.photographs} and {args.large} photographs, {args.rounds} rounds; "
        "rclip 4.0.8, sentence-transformers 6.2.0",
    )
    lines = ["# Indexing beside other programs", "", *head, "", *markdown_table(HEAD, table), ""]
    note = "What of vlsearch's time nobody could leave out; CPU-milliseconds a photograph:"
    write_table(args.table, [*lines, note, "", *markdown_table(LIMITS_HEAD, limits)])


if __name__ == "__main__":
    main()
