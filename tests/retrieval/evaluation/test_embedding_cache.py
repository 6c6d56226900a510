"""Vectors of an evaluation set: kept by model and data, averaged over templates, whole or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.errors import EvaluationError, UsageError
from retrieval.evaluation.embedding import embed, embed_texts
from retrieval.evaluation.evaluation_set import EvaluationSet
from retrieval.types import CorpusImage, FileBytes, InlineBytes, Limits, Progress
from tests.builders import HashEncoder, png
from tests.retrieval.evaluation.small_sets import set_of


@pytest.fixture
def small() -> EvaluationSet:
    return set_of([(0, 0), (0, 1)], 1, 2, words=["a red square", "red"], data=png("red"))


def test_a_second_evaluation_encodes_nothing(
    small: EvaluationSet, encoder: HashEncoder, tmp_path: Path
) -> None:
    first = embed(encoder, small, cache=tmp_path)
    encoder.encoded.clear()

    second = embed(encoder, small, cache=tmp_path)

    assert (first.cached, second.cached) == (False, True)
    assert encoder.encoded == []
    assert (first.images == second.images).all()
    assert (first.texts == second.texts).all()
    assert first.data == second.data


def test_another_model_other_images_other_words_and_other_templates_are_encoded_anew(
    small: EvaluationSet, encoder: HashEncoder, other_encoder: HashEncoder, tmp_path: Path
) -> None:
    known = embed(encoder, small, cache=tmp_path)
    other_image = replace(small, images=(replace(small.images[0], location=InlineBytes(png("blue"))),))
    other_words = set_of([(0, 0), (0, 1)], 1, 2, words=["a red square", "blue"], data=png("red"))

    assert not embed(other_encoder, small, cache=tmp_path).cached
    for changed in (
        embed(encoder, other_image, cache=tmp_path),
        embed(encoder, other_words, cache=tmp_path),
        embed(encoder, small, ["a photo of {}"], cache=tmp_path),
    ):
        assert not changed.cached
        assert changed.data != known.data


def test_a_image_that_moved_is_known_and_one_that_changed_in_place_is_not(
    small: EvaluationSet, encoder: HashEncoder, tmp_path: Path
) -> None:
    path, elsewhere = tmp_path / "a.png", tmp_path / "b.png"
    path.write_bytes(png("red"))
    elsewhere.write_bytes(png("red"))

    def at(place: Path) -> EvaluationSet:
        return replace(small, images=(CorpusImage("test:one", FileBytes(place)),))

    embed(encoder, at(path), cache=tmp_path / "cache")

    assert embed(encoder, at(elsewhere), cache=tmp_path / "cache").cached
    path.write_bytes(png("blue"))
    assert not embed(encoder, at(path), cache=tmp_path / "cache").cached


@pytest.mark.parametrize("damage", [b"", b"no array", None])
def test_a_damaged_cache_file_is_encoded_again_and_replaced(
    small: EvaluationSet, encoder: HashEncoder, tmp_path: Path, damage: bytes | None
) -> None:
    whole = embed(encoder, small, cache=tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-5] if damage is None else damage)

    again = embed(encoder, small, cache=tmp_path)

    assert not again.cached
    assert (again.texts == whole.texts).all()
    assert embed(encoder, small, cache=tmp_path).cached


def test_vectors_of_several_templates_are_averaged_and_of_unit_length(
    encoder: HashEncoder, tmp_path: Path
) -> None:
    both, _ = embed_texts(encoder, ["dog"], ["a {}", "the {}, cut"], tmp_path)

    mean = encoder.encode_texts(["a dog"]).astype(np.float64) + encoder.encode_texts(["the dog, cut"])
    assert both == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)


def test_equal_texts_are_encoded_once_after_nfc_and_stripping_as_queries_are(
    encoder: HashEncoder, tmp_path: Path
) -> None:
    rows, _ = embed_texts(encoder, ["caf\u00e9", " cafe\u0301\n", "tea"], cache=tmp_path)

    assert encoder.encoded == ["caf\u00e9", "tea"]
    assert (rows[0] == rows[1]).all()


def test_a_template_without_a_place_for_the_text_is_refused(encoder: HashEncoder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"template 'a photo' has no \{\} where the text goes"):
        embed_texts(encoder, ["dog"], ["a photo"], tmp_path)


@pytest.mark.parametrize("data", [b"", b"no picture", png("red")[:40]])
def test_a_image_that_cannot_be_decoded_is_refused_by_name_since_fewer_images_give_other_figures(
    small: EvaluationSet, encoder: HashEncoder, tmp_path: Path, data: bytes
) -> None:
    bad = replace(small, images=(replace(small.images[0], location=InlineBytes(data)),))

    with pytest.raises(
        EvaluationError, match=r"test:photos/p0\.jpg: .*fewer pictures would be other figures"
    ):
        embed(encoder, bad, cache=tmp_path)


def test_vectors_that_were_kept_do_not_pass_by_a_limit(
    small: EvaluationSet, encoder: HashEncoder, tmp_path: Path
) -> None:
    embed(encoder, small, cache=tmp_path)

    with pytest.raises(EvaluationError, match="over the limit"):
        embed(encoder, small, cache=tmp_path, limits=Limits(pixels=1))


def test_progress_tells_stages_up_to_their_totals(
    small: EvaluationSet, encoder: HashEncoder, tmp_path: Path
) -> None:
    told: list[Progress] = []

    embed(encoder, small, cache=tmp_path, advance=told.append)

    assert told == [
        Progress("reading", 1, 1),
        Progress("encoding pictures", 1, 1),
        Progress("encoding texts", 2, 2),
    ]
