"""When the tokenizer of a two-tower folder is loaded: not before a text needs it, and only the one digested."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from indexer.training.vocabulary import fit_tokenizer
from retrieval.encoders.two_tower import (
    ImageConfig,
    TextConfig,
    TwoTowerConfig,
    TwoTowerModel,
    load_two_tower_encoder,
)
from retrieval.encoders.two_tower import folder as two_tower_folder
from retrieval.encoders.two_tower.folder import TOKENIZER, WEIGHTS, save
from retrieval.errors import ModelError
from retrieval.hub.tokenizer_files import load_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model whose files are old enough for their digest to be remembered."""
    tokenizer = fit_tokenizer(["a dog", "a cat on a mat"], 50)
    torch.manual_seed(0)
    text = TextConfig("bag", 50, 8, 8)
    save(tmp_path / "m", TwoTowerModel(TwoTowerConfig(16, ImageConfig("tiny", 32), text)), tokenizer)
    for file in (tmp_path / "m").iterdir():
        os.utime(file, (1e9, 1e9))
    return tmp_path / "m"


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The tokenizers that are loaded."""
    files: list[Path] = []

    def noted(file: Path) -> object:
        files.append(file)
        return load_tokenizer(file)

    monkeypatch.setattr(two_tower_folder, "load_tokenizer", noted)
    return files


def test_the_tokenizer_is_loaded_once_to_be_digested_and_then_only_for_texts(
    folder: Path, loaded: list[Path]
) -> None:
    first = load_two_tower_encoder(folder)
    expected = first.encode_texts(["a dog"])
    assert loaded == [folder / TOKENIZER]  # and kept for the text

    again = load_two_tower_encoder(folder)
    again.encode_prepared([np.zeros((32, 32, 3), np.uint8)])
    assert loaded == [folder / TOKENIZER]

    for _ in range(2):
        np.testing.assert_array_equal(again.encode_texts(["a dog"]), expected)
    assert loaded == 2 * [folder / TOKENIZER]


def test_a_tokenizer_that_changes_after_the_model_was_opened_is_refused(folder: Path) -> None:
    load_two_tower_encoder(folder)
    encoder = load_two_tower_encoder(folder)
    other = fit_tokenizer(["a cow", "a cat on a roof"], 50)
    (folder / TOKENIZER).write_text(other.to_str(), encoding="utf-8")

    with pytest.raises(ModelError, match=r"tokenizer\.json has changed while it was in use; run the command"):
        encoder.encode_texts(["a dog"])


def test_a_tokenizer_with_more_tokens_than_the_model_has_vectors_is_refused_when_the_model_is_opened(
    folder: Path,
) -> None:
    load_two_tower_encoder(folder)  # the digest of these very files is remembered
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"vocabulary": 50', '"vocabulary": 2'))

    with pytest.raises(ModelError, match=r"tokens, config\.json says 2; the files are of different models"):
        load_two_tower_encoder(folder)


@pytest.mark.parametrize("name", [TOKENIZER, WEIGHTS])
def test_a_folder_without_one_of_its_files_is_refused_when_it_is_opened(folder: Path, name: str) -> None:
    load_two_tower_encoder(folder)
    (folder / name).unlink()

    with pytest.raises(ModelError, match=f"cannot read {folder / name}"):
        load_two_tower_encoder(folder)
