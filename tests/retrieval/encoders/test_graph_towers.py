"""Hub checkpoints through OpenVINO: graphs that give torch's vectors, are made once, and are trusted only if whole."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from retrieval import openvino_runtime
from retrieval.encoders import graph_towers, hub_encoder
from retrieval.encoders.graph_towers import GraphTowers
from retrieval.encoders.hub_encoder import load_hub_encoder
from retrieval.encoders.runtimes import derived_cache
from retrieval.encoders.runtimes.choice import Computation
from retrieval.encoders.runtimes.numpy_graph import UnknownOperation
from retrieval.encoders.runtimes.openvino_bytes import linear_maps, weights_in_bytes
from retrieval.encoders.tower_encoder import TowerEncoder
from retrieval.errors import MissingExtra, ModelError
from retrieval.openvino_runtime import import_openvino, openvino_core
from tests.retrieval.encoders.tiny_checkpoints import BUILDERS

pytestmark = pytest.mark.skipif(not openvino_runtime.is_installed(), reason="OpenVINO is not installed")

FLOAT32 = Computation("openvino", "float32")
TEXTS = ["a dog", "", "two cats on the beach " * 30, "一只狗", "red ball"]


def load(folder: Path, asked: Computation = FLOAT32) -> TowerEncoder:
    return load_hub_encoder(folder, asked=asked)


def entries() -> list[Path]:
    """Folders of graphs in the cache of this test."""
    return sorted(file.parent for file in derived_cache.cache_folder().glob("*/image.xml"))


def least_cosines(one: TowerEncoder, other: TowerEncoder, pictures: list[Image.Image]) -> tuple[float, float]:
    prepared = [one.prepare_image(image) for image in pictures]
    of_images = (one.encode_prepared(prepared) * other.encode_prepared(prepared)).sum(axis=1)
    of_texts = (one.encode_texts(TEXTS) * other.encode_texts(TEXTS)).sum(axis=1)
    return float(of_images.min()), float(of_texts.min())


@pytest.fixture(scope="module")
def made_once(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the graphs and the tokenizer of a tiny CLIP; to be copied, not used."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("made_once")))
        load(tiny("clip"))
        return derived_cache.cache_folder()


@pytest.fixture
def cached(made_once: Path, own_cache: Path) -> Path:
    """The folder of a tiny CLIP's graphs in the cache of this test."""
    shutil.copytree(made_once, derived_cache.cache_folder())
    (entry,) = entries()
    return entry


FAMILIES = [
    family if family == "clip" else pytest.param(family, marks=pytest.mark.slow)
    for family in sorted(BUILDERS)
]


@pytest.mark.parametrize("family", FAMILIES)
def test_graphs_of_each_family_give_the_vectors_of_torch(
    family: str, tiny: Callable[[str], Path], pictures: dict[str, Image.Image]
) -> None:
    of_torch, exact = load_hub_encoder(tiny(family)), load(tiny(family))
    fast = load(tiny(family), Computation("auto", "bfloat16"))

    assert min(least_cosines(of_torch, exact, list(pictures.values()))) >= 0.99999
    assert min(least_cosines(of_torch, fast, list(pictures.values()))) >= 0.99
    assert exact.identity.digest == of_torch.identity.digest == fast.identity.digest
    naflex = family == "siglip2-naflex"
    assert exact.identity.runtime == ("images torch, texts openvino" if naflex else "openvino")
    assert fast.identity.precision == ("images float32, texts bfloat16" if naflex else "bfloat16")
    assert len(entries()) == (0 if naflex else 1)


NOT_IN_INT8 = {"siglip2-naflex": "images have no fixed size", "align": "image tower has no linear maps"}


@pytest.mark.parametrize("family", FAMILIES)
def test_images_of_each_family_are_computed_in_int8_when_asked_and_texts_as_ever(
    family: str, tiny: Callable[[str], Path], pictures: dict[str, Image.Image]
) -> None:
    asked = Computation("auto", "int8")
    if family in NOT_IN_INT8:
        with pytest.raises(ModelError, match=f"cannot be computed in int8: its {NOT_IN_INT8[family]}; use"):
            load(tiny(family), asked)
        return
    exact, fast, usual = load(tiny(family)), load(tiny(family), asked), load(tiny(family), AUTO)

    of_images, _ = least_cosines(exact, fast, list(pictures.values()))
    _, of_texts = least_cosines(usual, fast, list(pictures.values()))

    assert 0.99 <= of_images < 1 - 1e-6
    assert of_texts > 1 - 1e-6
    assert fast.identity.precision.startswith("images int8, texts ")
    assert fast.identity.digest == exact.identity.digest


def test_weights_in_bytes_are_within_half_a_step_of_each_output_s_largest() -> None:
    op = import_openvino().opset13
    weights = np.random.default_rng(0).standard_normal((24, 64)).astype(np.float32)
    weights[3] = 0
    given = op.parameter([-1, 4, 64], np.float32)
    model = import_openvino().Model([op.matmul(given, op.constant(weights), False, True)], [given])

    assert len(linear_maps(model)) == 1
    weights_in_bytes(model)

    exactly = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    compiled = openvino_core().compile_model(model, "CPU", exactly)
    unit = np.eye(64, dtype=np.float32).reshape(16, 4, 64)
    found = np.array(compiled(unit)[0]).reshape(64, 24).T
    half_a_step = np.abs(weights).max(1, keepdims=True) / 254
    assert (np.abs(found - weights) <= half_a_step * 1.001).all()
    assert (found[3] == 0).all()


AUTO = Computation("auto", "auto")


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_that_are_asked_with_have_the_vectors_of_torch_from_numpy_and_from_openvino(
    family: str, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_towers, "_IN_NUMPY", len(TEXTS))
    encoder, expected = load(tiny(family), AUTO), load_hub_encoder(tiny(family)).encode_texts(TEXTS)
    with monkeypatch.context() as patch:
        if family != "altclip":  # whose graph has what is not known in numpy
            patch.setattr(GraphTowers, "_rows_of", lambda *_: pytest.fail("numpy does not compute it"))
        by_numpy = np.stack([encoder.encode_asked_text(text) for text in TEXTS])
    by_openvino = np.stack([encoder.encode_asked_text(text) for text in TEXTS])

    assert np.abs(by_numpy - expected).max() < 1e-5
    assert np.abs(by_openvino - expected).max() < 1e-5


@pytest.mark.parametrize("asked", [FLOAT32, Computation("auto", "bfloat16")])
def test_a_runtime_or_bfloat16_that_was_asked_for_computes_asked_texts_too(
    asked: Computation, tiny: Callable[[str], Path], cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_towers, "NumpyGraph", lambda _: pytest.fail("numpy was not asked for"))
    encoder = load(tiny("clip"), asked)

    assert np.array_equal(encoder.encode_asked_text("a dog"), encoder.encode_texts(["a dog"], 1)[0])


def test_a_text_is_asked_with_in_a_new_process_without_openvino(
    tiny: Callable[[str], Path], cached: Path
) -> None:
    code = (
        "import sys; from retrieval import load_encoder; e = load_encoder(sys.argv[1]);"
        "print(e.encode_asked_text('a dog').shape, {'openvino', 'torch', 'transformers'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, tiny("clip")], capture_output=True, text=True, check=True
    )

    assert done.stdout.split(maxsplit=1) == ["(24,)", "set()\n"]


def test_a_graph_that_numpy_cannot_compute_is_computed_by_openvino_in_float32_all_the_same(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise UnknownOperation("Tile")

    monkeypatch.setattr(graph_towers, "NumpyGraph", refuse)
    encoder = load(tiny("clip"), AUTO)

    exact = load(tiny("clip"), FLOAT32)
    assert np.array_equal(encoder.encode_asked_text("a dog"), exact.encode_texts(["a dog"], 1)[0])


def test_the_second_start_of_a_checkpoint_imports_neither_torch_nor_transformers(
    tiny: Callable[[str], Path], cached: Path
) -> None:
    code = (
        "import sys; from PIL import Image; from retrieval import load_encoder; e = load_encoder(sys.argv[1]);"
        "print(e.encode_texts(['a dog']).shape, e.encode_images([Image.new('RGB', (50, 40))]).shape);"
        "print({'torch', 'torchvision', 'transformers', 'openvino_telemetry'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, tiny("clip")], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == ["(1, 24) (1, 24)", "set()"]


def shorten(entry: Path) -> None:
    with (entry / "text.bin").open("rb+") as file:
        file.truncate(100)


def flip_a_byte(entry: Path) -> None:
    data = bytearray((entry / "image.bin").read_bytes())
    data[len(data) // 2] ^= 0x40
    (entry / "image.bin").write_bytes(data)


def let_others_write(entry: Path) -> None:
    entry.chmod(0o777)


def spoil_facts(entry: Path) -> None:
    (entry / "facts.json").write_text('{"files": 3')


def link_elsewhere(entry: Path) -> None:
    target = entry.with_name("elsewhere")
    (entry / "image.bin").rename(target)
    (entry / "image.bin").symlink_to(target)


@pytest.mark.parametrize("damage", [shorten, flip_a_byte, let_others_write, spoil_facts, link_elsewhere])
def test_an_entry_that_is_not_what_was_written_counts_as_none(
    damage: Callable[[Path], None], cached: Path
) -> None:
    assert derived_cache.find(cached.name) is not None

    damage(cached)

    assert derived_cache.find(cached.name) is None


def test_graphs_that_were_damaged_are_made_again(tiny: Callable[[str], Path], cached: Path) -> None:
    expected = load(tiny("clip")).encode_texts(TEXTS)
    flip_a_byte(cached)

    found = load(tiny("clip")).encode_texts(TEXTS)

    assert np.array_equal(found, expected)
    assert derived_cache.find(cached.name) is not None


def test_a_graph_that_gives_another_vector_than_was_noted_is_refused(
    tiny: Callable[[str], Path], cached: Path
) -> None:
    facts_file = cached / "facts.json"
    facts = json.loads(facts_file.read_text())
    facts["kept"]["text"]["row"] = [-value for value in facts["kept"]["text"]["row"]]
    facts_file.write_text(json.dumps(facts))

    with pytest.raises(
        ModelError, match=r"a vector of a text with a cosine of -1\.0000 to torch's.+VLSEARCH_RUNTIME=torch"
    ):
        load(tiny("clip")).encode_texts(TEXTS)


def test_whether_rows_depend_on_their_place_is_found_out_once(
    tiny: Callable[[str], Path], cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(tiny("clip"))
    encoder.encode_texts(TEXTS, 8)
    passes = []
    monkeypatch.setattr(GraphTowers, "_rows", lambda _, kind, *inputs: passes.append(len(inputs[0])))

    assert not encoder.towers.depends_on_place("text")
    assert passes == []


def test_other_weights_have_graphs_of_their_own(
    tiny: Callable[[str], Path], cached: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny("clip"), other)
    weights = load_file(other / "model.safetensors")
    weights["text_projection.weight"] = weights["text_projection.weight"].flip(0).contiguous()
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})

    rows = [load(folder).encode_texts(TEXTS) for folder in (tiny("clip"), other)]

    assert len(entries()) == 2
    assert not np.allclose(rows[0], rows[1])


def test_where_the_cache_cannot_be_written_auto_takes_torch_and_openvino_is_refused(
    tiny: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    root = derived_cache.cache_folder()
    root.parent.mkdir(parents=True, exist_ok=True)
    root.write_text("a file where the folder would be")

    assert load(tiny("clip"), Computation("auto", "auto")).identity.runtime == "torch"
    assert "cannot be kept" in caplog.text
    with pytest.raises(ModelError, match=r"cannot compute .+: its graphs cannot be kept; use torch"):
        load(tiny("clip"))


def test_where_openvino_is_not_installed_auto_takes_torch(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_runtime, "is_installed", lambda: False)
    monkeypatch.setattr(hub_encoder, "is_installed", lambda: False)

    assert load(tiny("clip"), Computation("auto", "auto")).identity.runtime == "torch"
    with pytest.raises(MissingExtra, match=r"vlsearch\[openvino\]"):
        load(tiny("clip"))


def test_openvino_computes_on_the_cpu_alone(tiny: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match="on the CPU, not on cuda"):
        load_hub_encoder(tiny("clip"), device="cuda", asked=FLOAT32)


@pytest.mark.parametrize(
    ("multiplies", "cosine", "expected"),
    [(True, 0.9999, "bfloat16"), (True, 0.98, "float32"), (False, 0.9999, "float32")],
)
def test_auto_computes_a_graph_in_bfloat16_where_that_is_fast_and_near(
    multiplies: bool, cosine: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_towers, "multiplies_bfloat16", lambda: multiplies)

    assert graph_towers.TowerFacts(bfloat16_cosine=cosine).precision("auto") == expected


def test_torch_computes_a_checkpoint_in_bfloat16_when_asked(
    tiny: Callable[[str], Path], pictures: dict[str, Image.Image]
) -> None:
    exact, fast = (
        load_hub_encoder(tiny("chinese-clip")),
        load(tiny("chinese-clip"), Computation("torch", "bfloat16")),
    )

    assert (fast.identity.runtime, fast.identity.precision) == ("torch", "bfloat16")
    assert min(least_cosines(exact, fast, list(pictures.values()))) >= 0.98
