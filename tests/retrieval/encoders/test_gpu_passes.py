"""How many rows a pass on a GPU has: a stand-in says how much memory there is, and raises torch's error beyond it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import indexer
from retrieval.encoders.base import indexing_batches
from retrieval.encoders.batches import INDEXING, Batches
from retrieval.encoders.gpu_passes import MOST_IMAGES, Gpu, GpuPasses, fitting_images
from retrieval.encoders.hub_encoder import load_hub_encoder
from retrieval.encoders.hub_towers import HubTowers
from retrieval.encoders.registry import load_encoder
from retrieval.encoders.tower_encoder import TowerEncoder
from retrieval.errors import ModelError
from retrieval.testing import HashEncoder

MEBIBYTE = 2**20


class SmallGpu(Gpu):
    """A GPU with room for so many rows, each of a mebibyte."""

    def __init__(self, rows: int) -> None:
        super().__init__("cuda")
        self.capacity, self.passes = rows, list[int]()

    def free_bytes(self) -> int:
        return self.capacity * MEBIBYTE

    def peak_bytes(self, work: Callable[[], object]) -> int:
        work()
        return max(self.passes) * MEBIBYTE

    def compute(self, numbers: NDArray[Any]) -> NDArray[np.float32]:
        if len(numbers) > self.capacity:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {len(numbers)} MiB")
        self.passes.append(len(numbers))
        return numbers.astype(np.float32)[:, None]


@pytest.fixture(autouse=True)
def _no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)


@given(rows=st.integers(1, 200), capacity=st.integers(1, 300))
def test_rows_that_do_not_fit_together_are_computed_in_halves_and_none_is_lost(
    rows: int, capacity: int
) -> None:
    gpu = SmallGpu(capacity)
    passes = GpuPasses("cpu", "a model", gpu)
    numbers = np.arange(rows)

    assert np.array_equal(passes.rows(gpu.compute, numbers)[:, 0], numbers)
    assert max(gpu.passes) <= capacity

    first = gpu.passes.copy()
    assert np.array_equal(passes.rows(gpu.compute, numbers)[:, 0], numbers)
    assert max(gpu.passes[len(first) :]) <= max(first)  # what did not fit is not tried again


def test_a_gpu_without_memory_for_one_row_is_a_sentence() -> None:
    gpu = SmallGpu(0)

    with pytest.raises(
        ModelError, match="cuda:1 has no memory for a single pass of a model; end what else runs"
    ):
        GpuPasses("cuda:1", "a model", gpu).rows(gpu.compute, np.arange(40))


def test_another_error_of_a_pass_is_not_taken_for_a_lack_of_memory() -> None:
    def broken(_: NDArray[Any]) -> NDArray[np.float32]:
        raise RuntimeError("device-side assert triggered")

    with pytest.raises(RuntimeError, match="device-side assert"):
        GpuPasses("cpu", "a model").rows(broken, np.arange(4))


@pytest.mark.parametrize(
    ("capacity", "images"), [(10, 32), (127, 32), (128, 64), (256, 128), (511, 128), (512, 256), (10**6, 256)]
)
def test_a_pass_takes_half_of_the_free_memory_and_has_no_fewer_images_than_on_the_cpu(
    capacity: int, images: int
) -> None:
    gpu = SmallGpu(capacity)
    passes = GpuPasses("cuda", "a model", gpu)

    chosen = passes.batches(lambda count: passes.rows(gpu.compute, np.arange(count)))

    assert chosen == Batches(images, 2 * images)
    measured = len(gpu.passes)
    assert passes.batches(lambda _: pytest.fail("it is measured once")) == chosen
    assert len(gpu.passes) == measured


@given(free=st.integers(0, 2**40), row=st.floats(1, 2**36))
def test_the_number_of_images_is_a_power_of_two_that_fits_unless_it_is_the_least(
    free: int, row: float
) -> None:
    images = fitting_images(free, row)

    assert images in (32, 64, 128, 256)
    assert images == INDEXING.images or images * row <= free / 2
    assert images == MOST_IMAGES or 2 * images * row > free / 2


@pytest.fixture
def encoder(tiny: Callable[[str], Path]) -> TowerEncoder:
    return load_hub_encoder(tiny("clip"))


def test_the_vectors_of_a_hub_model_survive_a_device_that_runs_out_of_memory(
    encoder: TowerEncoder, pictures: dict[str, Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["a dog", "a cat on a mat", "snow", "a red ball", "two men"]
    images = [encoder.prepare_image(image) for image in pictures.values()]
    assert len(images) > 4
    expected = encoder.encode_prepared(images, 8), encoder.encode_texts(texts, 8)
    seen = limit_rows(monkeypatch, 3)

    found = encoder.encode_prepared(images, 8), encoder.encode_texts(texts, 8)

    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert max(seen) == 2


def limit_rows(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Let no pass of a hub model have more rows; give the list of those that were computed."""
    seen: list[int] = []
    for name in ("image_vectors", "text_vectors"):
        compute = getattr(HubTowers, name)

        def limited(towers: HubTowers, first: torch.Tensor, *more: Any, compute: Any = compute) -> Any:
            if len(first) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
            seen.append(len(first))
            return compute(towers, first, *more)

        monkeypatch.setattr(HubTowers, name, limited)
    return seen


@pytest.mark.parametrize("name", ["clip", "siglip2"])
def test_the_pass_that_is_measured_is_one_of_the_models_own_images(
    tiny: Callable[[str], Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_hub_encoder(tiny(name))
    gpu = SmallGpu(512)
    gpu.passes = [INDEXING.images]
    assert isinstance(encoder.towers, HubTowers)
    encoder.towers._passes = GpuPasses("cpu", name, gpu)
    seen = limit_rows(monkeypatch, 10**6)

    assert encoder.indexing_batches() == Batches(256, 512)
    assert seen == [INDEXING.images]


def test_on_the_cpu_passes_have_the_usual_rows_and_nothing_is_measured(
    encoder: TowerEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = limit_rows(monkeypatch, 10**6)

    assert indexing_batches(encoder) == indexing_batches(HashEncoder()) == INDEXING
    assert indexing_batches(load_encoder("mini")) == INDEXING
    assert seen == []


class LargePasses(HashEncoder):
    """An encoder that asks for passes of 48 images and 96 texts."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[str, int, int | None]] = []

    def indexing_batches(self) -> Batches:
        return Batches(48, 96)

    def encode_prepared(self, prepared: Sequence[Any], batch_size: int | None = None) -> NDArray[np.float32]:
        self.sizes.append(("image", len(prepared), batch_size))
        return super().encode_prepared(prepared)

    def encode_texts(self, texts: Sequence[str], batch_size: int | None = None) -> NDArray[np.float32]:
        self.sizes.append(("text", len(texts), batch_size))
        return super().encode_texts(texts)


def test_indexing_gives_an_encoder_passes_of_the_size_that_it_chooses(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(100):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "photos" / f"{number}.png")
    encoder = LargePasses()

    report = indexer.build(tmp_path / "photos", tmp_path / "collection", model=encoder)

    assert report.encoded == 100
    assert encoder.sizes == [("image", 96, 48), ("image", 4, 48)]
