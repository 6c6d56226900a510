"""What a caption by a model of the hub costs, in time and memory, with random weights in the published sizes.

    python -m benchmarks.generators.cost [--models NAME ...] [--threads N ...]

Each model is made, saved, and loaded by a process of its own, which describes two pictures of 2,048 x 1,536 pixels, the
most that a model may see of a picture; the second one counts. Time does not depend on what weights are, but on how long
a caption is: random weights write to the limit, 20 words (BLIP) and 128 (SmolVLM). *Sees*: seconds in the tower of
images; *reads*: the first pass of the words, the image's places among them; *writes*: milliseconds a token (of three
beams: BLIP) after that. Memory is the most that the process has had, and what it had once the model was loaded.
Seconds are of the processor. Rewrites cost.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.provenance import introduction, markdown_table, provenance, write_table

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("model", "threads", "numbers, millions", "tokens read", "tokens written", "sees, s", "reads, s",
        "writes, ms a token", "s a caption", "s to load", "MiB loaded", "MiB at most")  # fmt: skip
WIDE, HIGH = 2048, 1536
NOISE = 1  # seed of the pictures


def blip_base(folder: Path) -> None:
    """Make a BLIP of Salesforce/blip-image-captioning-base's sizes."""
    import transformers

    from tests.retrieval.encoders.tiny_checkpoints import bert_tokenizer, save
    from tests.retrieval.generators.tiny_generators import BLIP_PICTURES

    bert_tokenizer(folder)
    text = {"encoder_hidden_size": 768, "vocab_size": 30524, "bos_token_id": 30522, "sep_token_id": 102,
            "eos_token_id": 2, "pad_token_id": 0}  # fmt: skip
    config = transformers.BlipConfig(text_config=text, vision_config={"image_size": 384})
    save(
        folder,
        unfilled(transformers.BlipForConditionalGeneration, config),
        BLIP_PICTURES | {"size": {"height": 384, "width": 384}},
    )


def smolvlm_256m(folder: Path) -> None:
    """Make a SmolVLM of HuggingFaceTB/SmolVLM-256M-Instruct's sizes."""
    import transformers

    from tests.retrieval.encoders.tiny_checkpoints import save
    from tests.retrieval.generators.tiny_generators import byte_tokenizer

    marks = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    specials = ["<|im_start|>", "<end_of_utterance>", "<image>", "<fake_token_around_image>", "<global-img>"]
    ids = byte_tokenizer(folder, ["<|endoftext|>", *specials, *marks], pad_token="<|endoftext|>")
    text = {"model_type": "llama", "vocab_size": 49280, "hidden_size": 576, "intermediate_size": 1536,
            "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 64,
            "max_position_embeddings": 8192, "pad_token_id": ids["<|endoftext|>"]}  # fmt: skip
    vision = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
              "image_size": 512, "patch_size": 16}  # fmt: skip
    config = transformers.SmolVLMConfig(
        text_config=text, vision_config=vision, image_token_id=ids["<image>"], scale_factor=4,
        tie_word_embeddings=True, pad_token_id=ids["<|endoftext|>"],
    )  # fmt: skip
    pictures = {"image_processor_type": "SmolVLMImageProcessor", "size": {"longest_edge": 2048},
                "max_image_size": {"longest_edge": 512}, "do_image_splitting": True}  # fmt: skip
    save(folder, unfilled(transformers.SmolVLMForConditionalGeneration, config), pictures)


def unfilled(family: Any, config: Any) -> Any:
    """Make a model whose weights are not set: the library's own drawing of them takes minutes."""
    import torch

    with torch.device("meta"):
        model = family(config)
    model = model.to_empty(device="cpu")
    model.tie_weights()
    return model


MODELS: dict[str, Callable[[Path], None]] = {"blip-base": blip_base, "smolvlm-256m": smolvlm_256m}
SEES = {"blip-base": "vision_model", "smolvlm-256m": "model.vision_model"}
READS = {"blip-base": "text_decoder", "smolvlm-256m": "model.text_model"}


@dataclass
class Spent:
    """Processor seconds of each pass of a part of a model."""

    passes: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def watch(self, module: Any) -> None:
        """Note the passes of a module from now on."""
        begun: list[float] = []

        def before(_: Any, args: Sequence[Any], named: dict[str, Any]) -> None:
            begun.append(time.process_time())
            given = [*args, *(named.get(name) for name in ("input_ids", "inputs_embeds"))]
            self.tokens.append(next((one.shape[1] for one in given if hasattr(one, "shape")), 0))

        def after(*_: Any) -> None:
            self.passes.append(time.process_time() - begun.pop())

        module.register_forward_pre_hook(before, with_kwargs=True)
        module.register_forward_hook(after)

    def clear(self) -> None:
        """Forget them."""
        self.passes.clear()
        self.tokens.clear()


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        print(json.dumps(measured(args.models[0], args.child, args.threads[0])))
        return
    rows = []
    for name in args.models:
        with tempfile.TemporaryDirectory() as folder:
            MODELS[name](Path(folder))
            for threads in args.threads:
                rows.append((name, threads, *in_a_process(name, Path(folder), threads)))
                print(*rows[-1], sep="\t", flush=True)
    command = "python -m benchmarks.generators.cost"
    head = provenance(command, packages=("numpy", "torch", "transformers"))
    write_table(
        TABLE,
        [
            "# Captions by models of the hub",
            "",
            *head,
            "",
            introduction(__doc__),
            "",
            *markdown_table(HEAD, rows),
        ],
    )


def in_a_process(name: str, folder: Path, threads: int) -> list[str]:
    """Measure in a process of its own, whose memory is the model's alone."""
    command = [
        sys.executable,
        "-m",
        __spec__.name,
        "--models",
        name,
        "--threads",
        str(threads),
        "--child",
        str(folder),
    ]
    found: list[str] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def measured(name: str, folder: Path, threads: int) -> list[str]:
    """Load a model and describe pictures; give the cells of its row."""
    import torch

    from retrieval.generators.hub_generator import load_hub_generator

    torch.set_num_threads(threads)
    begun = time.process_time()
    generator = load_hub_generator(folder, name)
    loading, loaded = time.process_time() - begun, resident_mib()
    model: Any = generator._model
    sees, reads = Spent(), Spent()
    sees.watch(model.get_submodule(SEES[name]))
    reads.watch(model.get_submodule(READS[name]))
    rng = np.random.default_rng(NOISE)
    for _ in range(2):
        sees.clear()
        reads.clear()
        prepared = generator.preparation.prepare(picture(rng))
        begun = time.process_time()
        generator.describe_prepared([prepared])
        whole = time.process_time() - begun
    numbers = sum(one.numel() for one in model.parameters()) / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        f"{numbers:.1f}", f"{reads.tokens[0]:,}", f"{len(reads.passes)}", f"{sum(sees.passes):.1f}",
        f"{reads.passes[0]:.2f}", f"{1000 * float(np.median(reads.passes[1:])):.0f}", f"{whole:.1f}",
        f"{loading:.1f}", f"{loaded:,.0f}", f"{most:,.0f}",
    ]  # fmt: skip


def picture(rng: np.random.Generator) -> Any:
    """Draw a picture."""
    from PIL import Image

    small = rng.integers(0, 256, (HIGH // 32, WIDE // 32, 3), np.uint8)
    return Image.fromarray(small).resize((WIDE, HIGH), Image.Resampling.BICUBIC)


def resident_mib() -> float:
    """Read what this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
