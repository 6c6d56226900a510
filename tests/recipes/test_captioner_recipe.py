"""The recipe of the bundled captioner: what it trains is what the product computes, and a stopped run goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recipes.captioner import cross_entropy, self_critical
from recipes.captioner.cross_entropy import train
from recipes.captioner.decoder import Decoder
from recipes.captioner.export import export
from recipes.captioner.features import STEP, quantised
from recipes.captioner.optimisation import Optimisation
from recipes.captioner.photographs import Captions
from recipes.captioner.reward import Reward
from recipes.captioner.rows import make_rows
from recipes.captioner.settings import CrossEntropyPlan, SelfCriticalPlan, Settings, Shape
from recipes.captioner.texts import Texts, make_texts
from recipes.mini.output_folder import SettingsError, claim
from retrieval.evaluation.captioning.cider import cider_d
from retrieval.generators.captioner.config import Decoding
from retrieval.generators.captioner.folder import open_folder
from retrieval.generators.captioner.transformer import Transformer

SHAPE = Shape(width=16, heads=2, hidden=24, place_layers=1, word_layers=2, context=32)
ENGLISH = ("A dog runs .", "The dog runs on grass .", "a red dog", "dog runs", "a dog")
CHINESE = ("一只狗在跑", "一只红色的狗", "狗在草地上跑", "一只狗", "狗在跑")
CAPTIONS = Captions([ENGLISH, ENGLISH[::-1], ENGLISH], [CHINESE, CHINESE[::-1], CHINESE])
FEATURES = np.random.default_rng(1).integers(0, 255, (3, 9, 12), np.uint8)
SETTINGS = replace(Settings(), least_english=1, chinese_pieces=40)


@pytest.fixture
def texts(tmp_path: Path) -> Texts:
    """The vocabulary of a few captions."""
    return make_texts(CAPTIONS, SETTINGS, tmp_path / "texts.json")


def decoder_of(texts: Texts, dropout: float = 0.1) -> Decoder:
    torch.manual_seed(3)
    return Decoder(SHAPE, 12, 9, len(texts.words), dropout)


def test_tokens_are_those_of_figures_and_pieces_join_to_the_text(texts: Texts) -> None:
    english, chinese = texts.captions[0][1], texts.captions[0][6]

    assert [texts.words[token] for token in english] == ["<en>", "the", "dog", "runs", "on", "grass", "</s>"]
    assert "".join(texts.words[token] for token in chinese) == "<zh>一只红色的狗</s>"
    assert all(texts.first_chinese <= token < len(texts.words) for token in chinese[1:-1])


def test_what_torch_trains_is_what_numpy_computes(texts: Texts, tmp_path: Path) -> None:
    decoder = decoder_of(texts).eval()
    export(tmp_path / "model", decoder.state_dict(), texts, SHAPE, "0" * 64, Decoding(3, 8, 1.0, 0.0))
    config = open_folder(tmp_path / "model").config
    weights = {name: value.numpy() for name, value in decoder.state_dict().items()}
    transformer = Transformer(config, weights)
    caption = texts.captions[0][0]
    rows = make_rows([[caption]], 0.0, np.random.default_rng(0))

    with torch.inference_mode():
        memory = decoder.memory(torch.from_numpy(FEATURES[:1]))
        hidden = decoder(rows.tokens, rows.places, rows.mask.float(), memory)
        wanted = decoder.logits(hidden, texts.span("en")).log_softmax(-1)[0].numpy()
    states, memory_here = transformer.begin(), transformer.memory(FEATURES[0] * np.float32(STEP))
    for place, token in enumerate(caption[:-1]):
        found, states = transformer.next_words(np.array([token]), states, memory_here, config.languages["en"])
        assert np.abs(found[0] - wanted[place]).max() < 1e-5


def test_exported_weights_are_the_trained_ones_to_half_a_step(texts: Texts, tmp_path: Path) -> None:
    state = decoder_of(texts).state_dict()

    export(tmp_path / "model", state, texts, SHAPE, "0" * 64, Decoding(3, 8, 1.0, 0.0))

    opened = open_folder(tmp_path / "model")
    assert opened.vocabulary == tuple(texts.words)
    for name, value in opened.weights.items():
        whole = state[name].numpy()
        step = np.abs(whole).max(-1, keepdims=True) / 127 if whole.ndim == 2 else np.abs(whole) / 1024
        assert (np.abs(value - whole) <= 0.51 * step + 1e-6).all()


def test_captions_in_one_row_do_not_see_each_other(texts: Texts) -> None:
    decoder, own = decoder_of(texts).eval(), texts.captions[0]
    together = make_rows([own], 0.0, np.random.default_rng(0))

    with torch.inference_mode():
        memory = decoder.memory(torch.from_numpy(FEATURES[:1]))
        hidden = decoder(together.tokens, together.places, together.mask.float(), memory)[0]
        for number, caption in enumerate(own):
            alone = make_rows([[caption]], 0.0, np.random.default_rng(0))
            expected = decoder(alone.tokens, alone.places, alone.mask.float(), memory)[0]
            assert (hidden[together.captions[0] == number] - expected).abs().max() < 1e-5


def test_the_reward_is_the_figure_of_the_evaluation() -> None:
    references = [[tuple(text.lower().split()) for text in own[:3]] for own in (ENGLISH, ENGLISH[::-1])]
    drawn = [("a", "dog", "runs"), ("the", "red", "grass", "dog")]

    reward = Reward(references)

    rewards = [reward.of(place, tokens) for place, tokens in enumerate(drawn)]
    assert sum(rewards) / 2 == pytest.approx(cider_d(drawn, references), abs=1e-12)


def test_a_stopped_training_goes_on_to_the_same_weights(
    texts: Texts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = CrossEntropyPlan(steps=4, photographs=2, warm_up=2, places=6)
    monkeypatch.setattr(cross_entropy, "_CHECKPOINT", 2)
    whole = train(decoder_of(texts), [FEATURES], texts, plan, 1, tmp_path / "whole.pt")
    take = Optimisation.take

    def stop(self: Optimisation, rate: float) -> None:
        if self.step == 3:
            raise KeyboardInterrupt
        take(self, rate)

    monkeypatch.setattr(Optimisation, "take", stop)
    with pytest.raises(KeyboardInterrupt):
        train(decoder_of(texts), [FEATURES], texts, plan, 1, tmp_path / "stopped.pt")
    monkeypatch.setattr(Optimisation, "take", take)
    resumed = train(decoder_of(texts), [FEATURES], texts, plan, 1, tmp_path / "stopped.pt")

    assert all(bool((resumed[name] == value).all()) for name, value in whole.items())


@pytest.mark.slow
def test_drawn_captions_become_worth_more(
    texts: Texts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worth: list[float] = []
    of = Reward.of

    def noted(self: Reward, photograph: int, tokens: Any) -> float:
        worth.append(of(self, photograph, tokens))
        return worth[-1]

    monkeypatch.setattr(Reward, "of", noted)
    captions = Captions([ENGLISH[:2], ENGLISH[2:3], ENGLISH[4:]], [CHINESE[:2], CHINESE[2:3], CHINESE[4:]])
    decoder = decoder_of(texts)
    start = {name: value.clone() for name, value in decoder.named_parameters()}
    plan = SelfCriticalPlan(steps=24, photographs=3, drawn=4, rate=1e-2)

    self_critical.train(decoder, start, FEATURES, captions, texts, plan, 1, tmp_path / "self.pt")

    assert np.mean(worth[-96:]) > 1.5 * np.mean(worth[:96])


def test_features_are_kept_as_bytes_to_half_a_step() -> None:
    places = np.random.default_rng(0).uniform(0, 6, (2, 3, 4)).astype(np.float32)

    assert np.abs(quantised(places) * STEP - places).max() <= 0.51 * STEP


def test_an_output_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    claim(tmp_path / "out", Settings().facts("abc"))
    claim(tmp_path / "out", Settings().facts("abc"))

    with pytest.raises(SettingsError, match="made with another seed"):
        claim(tmp_path / "out", replace(Settings(), seed=2).facts("abc"))
