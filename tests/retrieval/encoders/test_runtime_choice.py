"""What computes an image tower: when OpenVINO is taken, in which precision, and what is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from retrieval import openvino_runtime, processor
from retrieval.encoders.registry import load_encoder
from retrieval.encoders.tower_encoder import TowerEncoder
from retrieval.encoders.two_tower import (
    ImageConfig,
    image_computation,
)
from retrieval.encoders.two_tower.encoder import add_reference
from retrieval.encoders.two_tower.image_layers import has_layers
from retrieval.errors import MissingExtra, ModelError, UsageError
from tests.retrieval.encoders.openvino_models import needs_openvino, write_model, write_small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("mobilenet") / "model")


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "model"))


def without_torch(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line where torch, torchvision and transformers cannot be imported."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'torchvision', 'transformers']));"
        "from retrieval.cli.start import main; main()"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_openvino
@pytest.mark.slow
def test_where_there_is_no_torch_mini_indexes_answers_and_is_evaluated(tmp_path: Path) -> None:
    pictures, collection = tmp_path / "pictures", tmp_path / "collection"
    pictures.mkdir()
    for number, colour in enumerate(("red", "green", "blue")):
        Image.new("RGB", (60, 40 + number), colour).save(pictures / f"{colour}.png")
        (pictures / f"{colour}.txt").write_text(f"something {colour}")
    Image.new("RGB", (50, 50), "red").save(tmp_path / "question.png")
    at = ("--collection", collection)

    for command in (
        ("index", pictures, *at, "--model", "mini"),
        ("query", "something red", *at),
        ("query", tmp_path / "question.png", *at),
        ("info", *at),
        ("doctor", *at),
        ("eval", pictures, "--model", "mini"),
    ):
        done = without_torch(*command)
        assert done.returncode == 0, (command, done.stderr)
        if command[0] == "query":
            assert len(done.stdout.splitlines()) >= 3


@needs_openvino
def test_the_command_line_chooses_the_runtime_for_one_command(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from retrieval.cli.group import main

    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "pictures" / "one.png")
    collection = str(tmp_path / "collection")
    arguments = ["index", str(tmp_path / "pictures"), "--collection", collection, "--model", "mini"]

    refused = CliRunner().invoke(main, [*arguments, "--runtime", "abacus"])
    taken = CliRunner().invoke(main, [*arguments, "--runtime", "openvino"])

    assert refused.exit_code == 2
    assert "'abacus' is not one of 'auto', 'torch', 'openvino'" in refused.output
    assert taken.exit_code == 0, taken.output
    assert "VLSEARCH_RUNTIME" not in os.environ


def test_without_a_reference_row_auto_stays_with_torch(folder: Path) -> None:
    encoder = load_encoder(folder, runtime="auto")

    assert isinstance(encoder, TowerEncoder)
    assert encoder.identity.runtime == "images torch, texts numpy"


@needs_openvino
def test_with_a_reference_row_auto_takes_openvino(folder: Path) -> None:
    add_reference(folder)
    encoder = load_encoder(folder, runtime="auto")

    assert isinstance(encoder, TowerEncoder)
    assert encoder.identity.runtime == "images openvino, texts numpy"
    encoder.encode_images([Image.new("RGB", (40, 30))])


@needs_openvino
def test_a_backbone_that_openvino_does_not_know_is_a_sentence(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", ImageConfig("tiny", 32))

    with pytest.raises(
        ModelError, match=r"openvino cannot compute .+ \(tiny on cpu\); use the runtime torch"
    ):
        load_encoder(folder, runtime="openvino")


def test_a_runtime_that_is_not_installed_is_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_runtime, "is_installed", lambda: False)

    with pytest.raises(MissingExtra, match=r"vlsearch\[openvino\]"):
        load_encoder(folder, runtime="openvino")
    assert load_encoder(folder).encode_images([Image.new("RGB", (40, 30))]).shape == (1, 16)


@needs_openvino
@pytest.mark.parametrize(("has_it", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_computes_in_bfloat16_where_the_processor_multiplies_it(
    folder: Path, has_it: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_reference(folder)
    monkeypatch.setattr(image_computation, "multiplies_bfloat16", lambda: has_it)

    assert expected in load_encoder(folder).identity.precision


@pytest.mark.parametrize("flags", ["fpu amx_bf16", "avx512_bf16 sse", "fpu sse", None])
def test_what_the_processor_multiplies_is_read_from_the_system(
    flags: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    processor._flags.cache_clear()
    try:
        assert processor.multiplies_bfloat16() == (flags in ("fpu amx_bf16", "avx512_bf16 sse"))
    finally:
        processor._flags.cache_clear()


def test_bfloat16_that_torch_alone_could_compute_is_refused_in_a_sentence(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"in float32 alone; use float32, with VLSEARCH_PRECISION=float32"):
        load_encoder(folder, runtime="torch", precision="bfloat16")
    with pytest.raises(
        UsageError, match="precision is 'int4', and must be one of auto, float32, bfloat16, int8"
    ):
        load_encoder("mini", precision="int4")


def test_the_environment_chooses_the_runtime_where_the_call_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLSEARCH_RUNTIME", "abacus")

    with pytest.raises(
        UsageError, match="VLSEARCH_RUNTIME is 'abacus', and must be one of auto, torch, openvino"
    ):
        load_encoder("mini")
    with pytest.raises(UsageError, match="runtime is 'onnx', and must be one of auto, torch, openvino"):
        load_encoder("mini", runtime="onnx")
    load_encoder("mini", runtime="torch")


def test_the_backbones_that_have_layers_for_other_runtimes() -> None:
    known = {
        name
        for name in ("resnet50", "mobilenet_v2", "efficientnet_lite2", "tiny")
        if has_layers(ImageConfig(name))
    }

    assert known == {"mobilenet_v2", "efficientnet_lite2"}
