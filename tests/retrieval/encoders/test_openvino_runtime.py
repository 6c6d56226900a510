"""The image tower through OpenVINO: when it is taken, what it refuses, and that it gives torch's vectors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import indexer
import retrieval
import retrieval.encoders
from retrieval import openvino_runtime, processor
from retrieval.encoders.registry import load_encoder
from retrieval.encoders.runtimes import openvino_graph
from retrieval.encoders.runtimes.choice import Computation
from retrieval.encoders.runtimes.openvino_images import PASS_IMAGES
from retrieval.encoders.tower_encoder import TowerEncoder
from retrieval.encoders.two_tower import (
    ImageConfig,
    TextConfig,
    TwoTowerConfig,
    TwoTowerModel,
    image_computation,
    load_two_tower_encoder,
)
from retrieval.encoders.two_tower import towers as two_tower_towers
from retrieval.encoders.two_tower.encoder import add_reference
from retrieval.encoders.two_tower.folder import save
from retrieval.encoders.two_tower.image_layers import ImageLayers, has_layers
from retrieval.encoders.two_tower.numpy_images import image_row
from retrieval.encoders.two_tower.numpy_weights import NumpyWeights
from retrieval.encoders.two_tower.reference import (
    FILE,
    LARGEST_DEVIATION,
    read_reference,
    reference_image,
)
from retrieval.encoders.two_tower.tokenization import train_tokenizer
from retrieval.errors import MissingExtra, ModelError, UsageError

MINI = Path(retrieval.encoders.__file__).parent / "bundled" / "mini"

needs_openvino = pytest.mark.skipif(not openvino_runtime.is_installed(), reason="OpenVINO is not installed")


def write_model(folder: Path, image: ImageConfig, parts: tuple[int, ...] = ()) -> Path:
    tokenizer = train_tokenizer(["a dog", "a cat on a mat"], 50)
    torch.manual_seed(0)
    text = TextConfig("bag", tokenizer.get_vocab_size(), 8, 8)
    model = TwoTowerModel(TwoTowerConfig(16, image, text, parts)).eval()
    for name, value in model.named_buffers():
        if name.endswith("running_mean"):
            value.uniform_(-0.5, 0.5)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 2)
    save(folder, model, tokenizer, quantised=("image.kept.",))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = ImageConfig("mobilenet_v2", 64, tf_padding=True, kept_from=17)
    return write_model(tmp_path_factory.mktemp("mobilenet") / "model", image, (6, 10))


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "model"))


def pixels(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, size, size, 3), np.uint8)


@needs_openvino
@pytest.mark.parametrize("size", [64, 75])  # sides that halve evenly and sides that do not: padding differs
@pytest.mark.parametrize("tf_padding", [True, False])
@pytest.mark.parametrize(
    ("backbone", "kept_from", "parts"),
    [("mobilenet_v2", 0, ()), ("mobilenet_v2", 5, (6, 10)), ("efficientnet_lite2", 6, (16,))],
)
def test_openvino_and_numpy_give_the_vectors_of_torch(
    backbone: str, kept_from: int, parts: tuple[int, ...], tf_padding: bool, size: int, tmp_path: Path
) -> None:
    image = ImageConfig(backbone, size, tf_padding=tf_padding, kept_from=kept_from)  # type: ignore[arg-type]
    folder = write_model(tmp_path / "model", image, parts)
    of_torch, of_openvino = (
        load_two_tower_encoder(folder, asked=Computation(runtime)).towers for runtime in ("torch", "openvino")
    )

    found = of_openvino.image_rows(pixels(size))
    weights = NumpyWeights((folder / "model.safetensors").read_bytes(), "image")
    by_numpy = image_row(ImageLayers(TwoTowerConfig.load(folder / "config.json"), weights), pixels(size)[:1])

    expected = of_torch.image_rows(pixels(size))
    assert np.abs(found - expected).max() <= LARGEST_DEVIATION
    assert np.abs(by_numpy - expected[:1]).max() <= LARGEST_DEVIATION


@needs_openvino
def test_pictures_that_are_asked_with_are_in_float32_the_first_by_numpy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(two_tower_towers, "_IN_NUMPY", 1)
    encoder, exact = (
        load_encoder("mini", runtime="auto", precision="auto"),
        load_encoder("mini", runtime="torch"),
    )
    assert isinstance(encoder, TowerEncoder)
    prepared = pixels(encoder.image_size)[0]

    by_numpy, by_openvino = (encoder.encode_asked_image(prepared) for _ in range(2))

    expected = exact.encode_prepared([prepared])[0]
    assert np.abs(by_numpy - expected).max() <= LARGEST_DEVIATION
    assert np.abs(by_openvino - expected).max() <= LARGEST_DEVIATION


@needs_openvino
def test_the_pass_that_checks_a_graph_also_shows_whether_rows_depend_on_their_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_reference(folder)
    encoder = load_two_tower_encoder(folder, asked=Computation("openvino", "float32"))
    passes: list[int] = []
    rows = openvino_graph._Passes.rows

    def counted(self: openvino_graph._Passes, inputs: list[np.ndarray]) -> np.ndarray:
        passes.append(len(inputs[0]))
        return rows(self, inputs)

    monkeypatch.setattr(openvino_graph._Passes, "rows", counted)

    depends = encoder.towers.depends_on_place("image")
    assert passes == [PASS_IMAGES]

    equal = encoder.towers.image_rows(pixels(64)[:1].repeat(PASS_IMAGES, 0))
    assert passes == 2 * [PASS_IMAGES]
    assert depends or (equal == equal[:1]).all()


@needs_openvino
def test_rows_that_differ_in_the_checking_pass_are_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_reference(folder)
    rows = openvino_graph._Passes.rows

    def last_bit_changed(self: openvino_graph._Passes, inputs: list[np.ndarray]) -> np.ndarray:
        found = rows(self, inputs)
        found[-1, 0] = np.nextafter(found[-1, 0], np.float32(2))
        return found

    monkeypatch.setattr(openvino_graph._Passes, "rows", last_bit_changed)

    encoder = load_two_tower_encoder(folder, asked=Computation("openvino", "float32"))
    assert encoder.towers.depends_on_place("image")


@needs_openvino
def test_mini_has_comparable_identities_through_both_runtimes_and_the_same_vectors_to_rounding() -> None:
    of_torch, of_openvino = (
        load_encoder("mini", runtime=runtime, precision="float32") for runtime in ("torch", "openvino")
    )
    prepared = list(pixels(of_torch.image_size))

    difference = of_torch.encode_prepared(prepared) - of_openvino.encode_prepared(prepared)

    assert of_torch.identity.digest == of_openvino.identity.digest
    assert np.abs(difference).max() <= 1e-5


def test_the_reference_of_mini_is_the_vector_that_torch_gives() -> None:
    config = TwoTowerConfig.load(MINI / "config.json")
    found = load_two_tower_encoder(MINI).towers.image_rows(reference_image(config.image.size))

    expected = read_reference(MINI, config)

    assert expected is not None
    assert np.abs(found[0] - expected).max() <= 2e-6


@needs_openvino
def test_mini_encodes_an_image_without_torch_and_openvino_reports_nothing_to_its_makers() -> None:
    code = (
        "import sys; from PIL import Image; from retrieval import load_encoder;"
        "print(load_encoder('mini').encode_images([Image.new('RGB', (90, 70), 'red')], 8).shape);"
        "print({'torch', 'torchvision', 'transformers', 'openvino_telemetry'} & set(sys.modules));"
        "print('openvino' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["(1, 512)", "set()", "True"]


@needs_openvino
def test_a_signal_interrupts_a_process_that_has_loaded_and_dropped_encoders(tmp_path: Path) -> None:
    code = """
import gc, signal
from concurrent.futures import ThreadPoolExecutor
from PIL import Image
from retrieval import load_encoder

def load(_: int = 0) -> object:
    encoder = load_encoder("mini", runtime="openvino")
    encoder.encode_images([Image.new("RGB", (90, 70), "red")] * 2, 2)
    return encoder

kept = [load(), load()]
while kept:
    del kept[0]  # the first one first
    gc.collect()
with ThreadPoolExecutor(2) as pool:
    list(pool.map(load, range(2)))
try:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


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
    assert encoder.towers._runtime == "torch"  # type: ignore[attr-defined]  # of these towers


@needs_openvino
def test_with_a_reference_row_auto_takes_openvino(folder: Path) -> None:
    add_reference(folder)
    encoder = load_encoder(folder, runtime="auto")

    assert isinstance(encoder, TowerEncoder)
    assert encoder.towers._runtime == "openvino"  # type: ignore[attr-defined]
    encoder.encode_images([Image.new("RGB", (40, 30))])


@needs_openvino
def test_a_runtime_that_does_not_reproduce_the_reference_row_is_refused(folder: Path) -> None:
    add_reference(folder)
    facts = json.loads((folder / FILE).read_text())
    facts["image_row"][3] += 1e-4
    (folder / FILE).write_text(json.dumps(facts))

    with pytest.raises(
        ModelError, match=r"differ from the model's reference by 1\.0e-04.+VLSEARCH_RUNTIME=torch"
    ):
        load_encoder(folder, precision="float32").encode_images([Image.new("RGB", (40, 30))])


@needs_openvino
def test_bfloat16_that_is_far_from_the_reference_row_is_refused(folder: Path) -> None:
    add_reference(folder)
    facts = json.loads((folder / FILE).read_text())
    facts["image_row"] = [-value for value in facts["image_row"]]
    (folder / FILE).write_text(json.dumps(facts))

    with pytest.raises(
        ModelError, match=r"have a cosine of -\d\.\d+ to the model's.+VLSEARCH_PRECISION=float32"
    ):
        load_encoder(folder, precision="bfloat16").encode_images([Image.new("RGB", (40, 30))])


@needs_openvino
@pytest.mark.parametrize(
    "row", [[], [0.1] * 15, ["x"] * 16, [[1.0]] * 16, 7, None, [1e400] * 16, [10**400] * 16]
)
def test_a_reference_that_is_no_row_of_the_model_counts_as_none(folder: Path, row: object) -> None:
    (folder / FILE).write_text(json.dumps({"image_row": row}))

    assert read_reference(folder, TwoTowerConfig.load(folder / "config.json")) is None
    load_encoder(folder).encode_images([Image.new("RGB", (40, 30))])


@needs_openvino
@pytest.mark.parametrize("damage", ["missing", "shape", "more", "type"])
def test_weights_that_torch_refuses_are_refused_by_openvino(folder: Path, damage: str) -> None:
    weights = load_file(folder / "model.safetensors")
    name = "image.features.3.conv.1.0.weight"
    value = weights.pop(name)
    if damage == "shape":
        weights[name] = value[:, :, :2, :2].contiguous()
    elif damage == "more":
        weights |= {name: value, "image.features.3.more": torch.ones(1)}
    elif damage == "type":
        weights[name] = value.bfloat16()
    save_file(weights, folder / "model.safetensors")

    for runtime in ("torch", "openvino"):
        if (runtime, damage) == ("torch", "type"):
            continue  # torch knows bfloat16
        with pytest.raises(ModelError, match="holds no weights of this model"):
            load_encoder(folder, runtime=runtime).encode_images([Image.new("RGB", (40, 30))])


@needs_openvino
@pytest.mark.parametrize("value", [float("nan"), -9.0, 3e38])
def test_weights_that_overflow_do_not_reproduce_the_reference_row(folder: Path, value: float) -> None:
    add_reference(folder)
    weights = load_file(folder / "model.safetensors")
    for name in weights:
        if name.endswith("running_var"):
            weights[name] = torch.full_like(weights[name], value)
    save_file(weights, folder / "model.safetensors")

    with pytest.raises(ModelError, match="differ from the model's reference"):
        load_encoder(folder, runtime="openvino", precision="float32").encode_images(
            [Image.new("RGB", (40, 30))]
        )


@needs_openvino
def test_weights_that_change_after_loading_are_refused(folder: Path) -> None:
    encoder = load_encoder(folder, runtime="openvino")
    encoder.encode_texts(["a red square"])  # takes the bytes that were read; images have them read again
    weights = load_file(folder / "model.safetensors")
    save_file(
        weights | {"image_projection.bias": weights["image_projection.bias"] + 1},
        folder / "model.safetensors",
    )

    with pytest.raises(ModelError, match="has changed while it was in use"):
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
def test_bfloat16_rows_of_mini_are_near_those_of_float32_and_the_identity_tells_the_precision() -> None:
    exact, fast = (load_encoder("mini", precision=precision) for precision in ("float32", "bfloat16"))
    prepared = list(pixels(exact.image_size))

    cosines = (exact.encode_prepared(prepared) * fast.encode_prepared(prepared)).sum(axis=1)

    assert cosines.min() >= 0.99
    assert fast.identity.precision == "images bfloat16, texts float32"
    assert (exact.identity.precision, exact.identity.runtime) == ("float32", "images openvino, texts numpy")
    assert fast.identity.digest == exact.identity.digest
    assert fast.identity.exact_digest != exact.identity.exact_digest


@needs_openvino
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_rows_have_the_same_bits_after_the_memory_of_activations_was_given_back(precision: str) -> None:
    encoder = load_encoder("mini", runtime="openvino", precision=precision)
    prepared = list(pixels(encoder.image_size)) * 6
    towers = encoder.towers  # type: ignore[attr-defined]  # not every encoder has them
    expected = encoder.encode_prepared(prepared, 32)

    towers._openvino_images()._graph.release_activations()

    assert np.array_equal(encoder.encode_prepared(prepared, 32), expected)
    assert np.array_equal(encoder.encode_prepared(prepared[:1], 32), expected[:1])


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
    with pytest.raises(UsageError, match="precision is 'int8', and must be one of auto, float32, bfloat16"):
        load_encoder("mini", precision="int8")


@needs_openvino
def test_a_collection_made_in_one_precision_is_added_to_and_asked_in_another(tmp_path: Path) -> None:
    made, added = tmp_path / "made", tmp_path / "added"
    for folder, colour in ((made, "red"), (added, "blue")):
        folder.mkdir()
        Image.new("RGB", (60, 40), colour).save(folder / f"{colour}.png")
    fast, exact = (load_encoder("mini", precision=precision) for precision in ("bfloat16", "float32"))

    indexer.build(made, tmp_path / "collection", model=fast)
    indexer.build(added, tmp_path / "collection", model=exact)

    with retrieval.open(tmp_path / "collection", encoder=exact) as engine:
        hits = engine.search(Image.new("RGB", (60, 40), "blue"), k=2)
        identity = engine.collection.identity
    assert [hit.item.uri.rsplit("/", 1)[-1] for hit in hits] == ["blue.png", "red.png"]
    assert identity is not None
    assert identity.precision == "images bfloat16+float32, texts float32"
    assert indexer.doctor(tmp_path / "collection").faults == ()


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
