"""Checkpoints of strangers: what a generator's files may not ask for ends in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from retrieval.errors import ModelError, UnknownModel
from retrieval.generators.hub_generator import load_hub_generator
from retrieval.generators.registry import best_captioner, is_recommended, load_generator, resolve
from tests.retrieval.encoders.tiny_checkpoints import write
from tests.retrieval.generators.tiny_generators import change_config


@pytest.mark.parametrize(
    ("family", "changes", "sentence"),
    [
        ("git", {"auto_map": {"AutoModel": "evil.Model"}}, "never runs such code"),
        ("git", {"num_hidden_layers": 10**6}, "no model has so much"),
        ("git", {"architectures": ["GPT2LMHeadModel"]}, "does not write captions or answers"),
        ("git", {"model_type": "llava"}, "does not write captions or answers"),
        ("git", {"bos_token_id": "x"}, "not a whole number"),
        ("git", {"num_hidden_layers": 6}, "lacks weights that its config.json calls for"),
        (
            "git",
            {"hidden_size": 2**13, "num_hidden_layers": 200},
            "lacks weights that its config.json calls for",
        ),
        ("vit-gpt2", {"decoder": {"model_type": "gpt2", "n_layer": 10**5}}, "no model has so much"),
        ("vit-gpt2", {"decoder": {"model_type": "llama"}}, "a pair of vit and llama"),
        ("vit-gpt2", {"encoder": None}, "has no encoder"),
        ("blip-2", {"text_config": {"model_type": "t5"}}, "BLIP-2 with t5 is not one"),
        ("blip-2", {"image_token_index": None}, "has no image_token_index"),
        ("blip-2", {"num_query_tokens": 10**9}, "no model has so much"),
        (
            "florence-2",
            {"vision_config": {"embed_dim": [10**6] * 4}},
            "no model has so much",
        ),
    ],
)
def test_a_configuration_that_asks_for_too_much_is_refused(
    changed: Callable[[str], Path], family: str, changes: dict[str, object], sentence: str
) -> None:
    folder = changed(family)
    change_config(folder, **changes)

    with pytest.raises(ModelError, match=sentence):
        load_hub_generator(folder)


def test_weights_that_are_only_a_pickle_are_refused(changed: Callable[[str], Path]) -> None:
    folder = changed("git")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")

    with pytest.raises(ModelError, match="only as pickles"):
        load_hub_generator(folder)


def test_a_checkpoint_without_a_tokenizer_is_refused(changed: Callable[[str], Path]) -> None:
    folder = changed("git")
    (folder / "vocab.txt").unlink()

    with pytest.raises(ModelError, match="has no tokenizer"):
        load_hub_generator(folder)


def test_a_checkpoints_own_settings_of_generation_are_not_followed(
    tiny: Callable[[str], Path], changed: Callable[[str], Path], pictures: list[Image.Image]
) -> None:
    folder = changed("git")
    settings = {"num_beams": 10**9, "max_new_tokens": 10**9, "do_sample": True, "temperature": 9.0}
    write(folder / "generation_config.json", settings)
    change_config(folder, max_length=10**9, do_sample=True, repetition_penalty=9.0)

    assert load_hub_generator(folder).describe(pictures) == load_hub_generator(tiny("git")).describe(pictures)


def test_a_special_token_without_an_embedding_is_a_sentence(
    changed: Callable[[str], Path], pictures: list[Image.Image]
) -> None:
    folder = changed("git")
    change_config(folder, bos_token_id=4000)

    with pytest.raises(ModelError, match="its files do not belong together"):
        load_hub_generator(folder).describe(pictures)


def test_a_name_is_an_alias_a_hub_id_or_a_folder(tiny: Callable[[str], Path]) -> None:
    assert resolve("git-base@abc").revisions == ("abc",)
    assert resolve("microsoft/git-base-coco").recommended == resolve("git-base").recommended
    assert resolve("someone/some-model").repo == "someone/some-model"
    assert resolve(str(tiny("git"))).folder == tiny("git")
    with pytest.raises(UnknownModel, match="known are mini, git-base"):
        resolve("git-huge")


def test_without_another_model_on_this_machine_the_bundled_one_is_the_best(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    assert best_captioner() == "mini"
    with pytest.raises(ModelError, match="vlsearch models get git-large"):
        load_generator("git-large")


def test_the_bundled_captioner_has_no_revisions_and_is_not_of_the_hub() -> None:
    assert not is_recommended("mini")
    with pytest.raises(UnknownModel, match="mini comes with vlsearch and has no revisions"):
        resolve("mini@abc")
