"""The image tower through OpenVINO: it gives torch's vectors, and refuses weights that torch refuses."""

from __future__ import annotations

import json
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
import retrieval.cli
import retrieval.encoders
from retrieval.encoders.registry import load_encoder
from retrieval.encoders.runtimes import openvino_graph
from retrieval.encoders.runtimes.choice import Computation
from retrieval.encoders.runtimes.openvino_images import PASS_IMAGES
from retrieval.encoders.tower_encoder import TowerEncoder
from retrieval.encoders.two_tower import (
    ImageConfig,
    TwoTowerConfig,
    load_two_tower_encoder,
)
from retrieval.encoders.two_tower import towers as two_tower_towers
from retrieval.encoders.two_tower.encoder import add_reference
from retrieval.encoders.two_tower.image_layers import ImageLayers
from retrieval.encoders.two_tower.numpy_images import image_row
from retrieval.encoders.two_tower.numpy_weights import NumpyWeights
from retrieval.encoders.two_tower.reference import (
    FILE,
    LARGEST_DEVIATION,
    read_reference,
    reference_image,
)
from retrieval.errors import ModelError
from tests.retrieval.encoders.openvino_models import needs_openvino, pixels, write_model, write_small_model

MINI = Path(retrieval.encoders.__file__).parent / "bundled" / "mini"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("mobilenet") / "model")


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "model"))


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
def test_bfloat16_takes_less_than_a_thousandth_from_the_cosine_of_photographs() -> None:
    exact, fast = (load_encoder("mini", precision=precision) for precision in ("float32", "bfloat16"))
    folder = Path(retrieval.cli.__file__).parent / "demo_photographs"
    photographs = [Image.open(path).convert("RGB") for path in sorted(folder.glob("*.jpg"))]

    cosines = (exact.encode_images(photographs) * fast.encode_images(photographs)).sum(axis=1)

    assert 1 - cosines.mean() < 5e-4  # 3.0e-4; where the first blocks are in bfloat16 too it is 2.0e-3
    assert 1 - cosines.min() < 2e-3


@needs_openvino
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_rows_have_the_same_bits_after_the_memory_of_activations_was_given_back(precision: str) -> None:
    encoder = load_encoder("mini", runtime="openvino", precision=precision)
    prepared = list(pixels(encoder.image_size)) * 6
    towers = encoder.towers  # type: ignore[attr-defined]  # not every encoder has them
    expected = encoder.encode_prepared(prepared, 32)

    towers._openvino.images()._graph.release_activations()

    assert np.array_equal(encoder.encode_prepared(prepared, 32), expected)
    assert np.array_equal(encoder.encode_prepared(prepared[:1], 32), expected[:1])


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
