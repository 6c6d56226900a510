"""The loop: what it learns, what it leaves alone, and that breaks leave no trace."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from indexer.training.loop import Saving
from indexer.training.objective import Teacher, TeacherRows
from indexer.training.recipe import Loss, Recipe
from indexer.training.trainable import Trainable
from indexer.training.trainable_two_tower import load_two_tower
from indexer.training.training_state import FILE
from indexer.training.validation import validate
from indexer.training.vocabulary import fit_tokenizer
from retrieval.encoders.two_tower.folder import save
from retrieval.encoders.two_tower.text_towers import BagTower
from retrieval.errors import TrainingError, UsageError
from tests.indexer.training.training_runs import NAMES, STILL, cached, tiny_two_tower, train

SHORT = Recipe(epochs=3, batch_size=8, image_rate=3e-3, text_rate=3e-3, head_rate=3e-3)


def weights_of(model: Trainable) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.module.state_dict().items()}


def saved(out: Path, name: str = "last") -> dict[str, Tensor]:
    return dict(load_file(out / name / "model.safetensors"))


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "chunk"), [("infonce", None), ("sigmoid", None), ("triplet", None), ("infonce", 12)]
)
def test_thirty_two_pairs_are_learned_by_heart(tmp_path: Path, loss: Loss, chunk: int | None) -> None:
    recipe = Recipe(
        epochs=90,
        batch_size=32,
        chunk_size=chunk,
        loss=loss,
        image_rate=1e-2,
        text_rate=1e-2,
        head_rate=1e-2,
        scale_rate=1e-2,
        augmentation=STILL,
        ema=0.9,
    )

    _, _, lines = train(tmp_path / "run", recipe)

    assert lines[-1]["val"] == {"en": dict.fromkeys(lines[-1]["val"]["en"], 100.0)}  # type: ignore[index]


@pytest.mark.parametrize("stop_after", [1, 4, 6, 11])
def test_a_run_that_was_stopped_ends_with_the_weights_of_one_that_was_not(
    tmp_path: Path, stop_after: int
) -> None:
    whole, _, expected = train(tmp_path / "whole", SHORT)

    _, first, _ = train(tmp_path / "cut", SHORT, stop_after=stop_after)
    resumed, second, lines = train(tmp_path / "cut", SHORT)

    assert first.interrupted
    assert not second.interrupted
    assert_same(weights_of(whole), weights_of(resumed))
    for name in ("best", "last"):
        assert_same(saved(tmp_path / "whole", name), saved(tmp_path / "cut", name))
    assert [line["loss"] for line in lines] == [line["loss"] for line in expected]
    assert [line.get("val") for line in lines] == [line.get("val") for line in expected]


def test_metrics_written_after_the_last_checkpoint_are_cut_off_and_written_again(tmp_path: Path) -> None:
    train(tmp_path, SHORT, stop_after=5)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "step": 99, "loss": 1}\n')  # by a run killed before its next checkpoint

    _, _, lines = train(tmp_path, SHORT)

    assert [line["epoch"] for line in lines] == [1, 2, 3]


def test_a_run_that_is_done_does_nothing_when_called_again(tmp_path: Path) -> None:
    _, _, before = train(tmp_path, SHORT)
    checkpoint = (tmp_path / FILE).read_bytes()

    _, _, after = train(tmp_path, SHORT)

    assert after == before
    assert (tmp_path / FILE).read_bytes() == checkpoint


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    train(tmp_path, replace(SHORT, epochs=1))

    with pytest.raises(TrainingError, match="other settings"):
        train(tmp_path, SHORT, run="another")


@pytest.mark.parametrize("size", [0, 7, 4000])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, size: int) -> None:
    train(tmp_path, replace(SHORT, epochs=1))
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:size])

    with pytest.raises(TrainingError, match=r"checkpoint .* is damaged"):
        train(tmp_path, SHORT)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_a_full_disk_is_a_sentence_and_the_checkpoint_before_it_stays(tmp_path: Path) -> None:
    import resource

    train(tmp_path, SHORT, stop_after=2)
    before = (tmp_path / FILE).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # of any file from here on
    try:
        with pytest.raises(TrainingError, match=r"cannot be written .*make room"):
            train(tmp_path, SHORT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert (tmp_path / FILE).read_bytes() == before
    assert not train(tmp_path, SHORT)[1].interrupted


def test_steps_end_a_run_before_its_epochs_do(tmp_path: Path) -> None:
    _, outcome, lines = train(tmp_path, replace(SHORT, epochs=50, steps=6))

    assert [line["epoch"] for line in lines] == [1, 2]
    assert outcome.position.epoch == 2


def test_a_checkpoint_comes_every_so_many_steps(tmp_path: Path) -> None:
    train(tmp_path, replace(SHORT, epochs=1), saving=Saving(minutes=60, steps=3), stop_after=2)
    stopped = (tmp_path / FILE).read_bytes()

    class Halt(Exception):
        pass

    model = tiny_two_tower()
    encode = model.encode_tokens
    calls: list[int] = []

    def killing(rows: list[list[int]]) -> Tensor:
        calls.append(1)
        if len(calls) > 1:  # step 3 of the epoch is done, and its checkpoint written; step 4 is not
            raise Halt
        return encode(rows)

    model.encode_tokens = killing  # type: ignore[method-assign, assignment]
    with pytest.raises(Halt):
        train(tmp_path, replace(SHORT, epochs=1), model, saving=Saving(minutes=60, steps=3))

    assert (tmp_path / FILE).read_bytes() != stopped


def test_a_locked_tower_stays_as_it_is_and_then_learns_with_a_warm_up_of_its_own(tmp_path: Path) -> None:
    start = weights_of(tiny_two_tower())
    recipe = replace(SHORT, locked_image_epochs=2, ema=0.0)

    model, _, _ = train(tmp_path, recipe, stop_after=8)
    locked = weights_of(model)
    after, _, _ = train(tmp_path, recipe)
    unlocked = weights_of(after)

    tower = [name for name in start if name.startswith("image.")]
    assert tower
    assert all(torch.equal(start[name], locked[name]) for name in tower)
    assert not all(torch.equal(start[name], unlocked[name]) for name in tower)
    assert not torch.equal(start["text.vectors.weight"], locked["text.vectors.weight"])
    assert not torch.equal(start["image_projection.weight"], locked["image_projection.weight"])


def test_frozen_stages_never_learn(tmp_path: Path) -> None:
    start = weights_of(tiny_two_tower())

    model, _, _ = train(tmp_path, SHORT, tiny_two_tower(frozen_stages=2))

    after = weights_of(model)
    assert torch.equal(start["image.features.0.weight"], after["image.features.0.weight"])
    assert not torch.equal(start["image.features.2.weight"], after["image.features.2.weight"])


def test_a_model_whose_pictures_have_parts_learns_and_is_saved_with_them(tmp_path: Path) -> None:
    start = weights_of(tiny_two_tower(image_parts=(8, 24)))

    train(tmp_path, SHORT, tiny_two_tower(image_parts=(8, 24)))

    after = load_two_tower(tmp_path / "last", "tiny", "cpu")
    assert not torch.equal(start["image_projection.weight"], weights_of(after)["image_projection.weight"])
    with torch.inference_mode():
        rows = after.encode_images(torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8))
    torch.testing.assert_close(rows[:, :8].norm(dim=1), torch.full((3,), 0.5**0.5))


def test_averaged_weights_are_saved_and_the_newest_go_on(tmp_path: Path) -> None:
    averaged, _, _ = train(tmp_path / "averaged", SHORT)
    newest, _, _ = train(tmp_path / "newest", replace(SHORT, ema=0.0))

    assert_same(weights_of(averaged), weights_of(newest))  # averaging changes nothing of what is learned
    name = "image_projection.weight"
    assert torch.equal(saved(tmp_path / "newest")[name], weights_of(newest)[name])
    assert not torch.equal(saved(tmp_path / "averaged")[name], weights_of(averaged)[name])


def test_the_best_epoch_is_kept_though_later_ones_are_worse(tmp_path: Path) -> None:
    _, outcome, lines = train(tmp_path, replace(SHORT, epochs=8, image_rate=0.3, head_rate=0.3, ema=0.0))

    means = [np.mean([v for k, v in line["val"]["en"].items() if k.endswith("r1")]) for line in lines]  # type: ignore[index]
    assert outcome.position.best == pytest.approx(max(means))
    assert outcome.position.best_epoch == int(np.argmax(means)) + 1


def test_the_temperature_is_learned_and_stays_within_its_clamp(tmp_path: Path) -> None:
    recipe = replace(SHORT, epochs=8, scale_rate=2.0, augmentation=STILL, image_rate=1e-2, head_rate=1e-2)

    _, _, _ = train(tmp_path, recipe)

    scale = saved(tmp_path)["log_scale"].item()
    assert scale != pytest.approx(math.log(1 / 0.07))
    assert 0 <= scale <= math.log(100) + 1e-6


def test_a_chunked_run_learns_what_a_plain_run_learns(tmp_path: Path) -> None:
    plain, _, _ = train(tmp_path / "plain", SHORT)
    chunked, _, _ = train(tmp_path / "chunked", replace(SHORT, chunk_size=3))

    one, other = weights_of(plain), weights_of(chunked)
    for name in one:
        assert torch.allclose(one[name], other[name], atol=2e-3), name  # Adam turns rounding into small steps


def test_gradient_caching_refuses_norms_that_look_at_the_batch() -> None:
    with pytest.raises(UsageError, match="--chunk-size"):
        Recipe(chunk_size=4, norms="batch")


def test_bfloat16_learns_and_leaves_float32_weights(tmp_path: Path) -> None:
    model, _, lines = train(tmp_path, replace(SHORT, epochs=6, bfloat16=True))

    assert {value.dtype for value in weights_of(model).values()} == {torch.float32}
    assert lines[-1]["loss"] < lines[0]["loss"]  # type: ignore[operator]


def test_a_teacher_of_texts_alone_teaches_the_text_tower_and_nothing_else(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(32, 6)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    teacher = Teacher(texts=TeacherRows.load(tmp_path / "rows.npy", 32, "captions"))
    start = weights_of(tiny_two_tower())

    model, _, lines = train(
        tmp_path / "run", replace(SHORT, epochs=12, loss="distillation", text_rate=2e-2), teacher=teacher
    )

    after = weights_of(model)
    assert lines[-1]["loss"] < 0.5 < lines[0]["loss"]  # type: ignore[operator]
    assert torch.equal(start["image.features.0.weight"], after["image.features.0.weight"])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.zeros((31, 4), np.float32), "31 rows, and the corpus 32 captions"),
        (np.zeros(32, np.float32), r"\(32,\)"),
        (np.zeros((32, 4), np.int64), "int64"),
        (np.full((32, 4), np.nan, np.float32), "not finite"),
        (np.array([[np.inf], [-np.inf]] * 16, np.float32), "not finite"),
    ],
)
def test_teacher_rows_that_do_not_go_with_the_corpus_are_refused(
    tmp_path: Path, rows: np.ndarray, said: str
) -> None:
    np.save(tmp_path / "rows.npy", rows)

    with pytest.raises(TrainingError, match=said):
        TeacherRows.load(tmp_path / "rows.npy", 32, "captions")


def test_a_file_that_is_no_npy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.npy").write_bytes(b"not an array")

    with pytest.raises(TrainingError, match=r"numpy\.save"):
        TeacherRows.load(tmp_path / "rows.npy", 32, "captions")


def test_distillation_without_a_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--teacher-texts"):
        train(tmp_path, replace(SHORT, loss="distillation"))


def test_a_loss_that_is_no_number_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    model = tiny_two_tower()
    with torch.no_grad():
        model.module.image_projection.weight.fill_(float("nan"))

    with pytest.raises(TrainingError, match="lower the learning rates"):
        train(tmp_path, SHORT, model)


def test_a_model_that_gives_every_picture_one_vector_finds_one_picture_in_thirty_two() -> None:
    model = tiny_two_tower()
    with torch.no_grad():
        model.module.image_projection.weight.zero_()
        model.module.text_projection.weight.zero_()

    figures = validate(model, cached())["en"]

    assert figures["t2i_r1"] == pytest.approx(100 / 32)


def test_a_model_whose_vectors_are_bytes_is_trained_on_from_what_they_stand_for(tmp_path: Path) -> None:
    before = tiny_two_tower().module
    save(tmp_path, before, fit_tokenizer(NAMES, 200), quantised=("text.vectors.",))

    after = load_two_tower(tmp_path, "tiny", "cpu").module

    assert isinstance(before.text, BagTower)
    assert isinstance(after.text, BagTower)
    vectors, exact = after.text.vectors.weight.detach(), before.text.vectors.weight.detach()
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors, exact, atol=float(exact.abs().max()) / 127, rtol=0)
