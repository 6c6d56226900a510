"""BLIP's scores equal those of the authors' evaluation, whose steps are written down here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from retrieval.errors import ModelError, UsageError
from retrieval.rerankers.blip import load_blip_reranker
from retrieval.rerankers.registry import load_reranker
from tests.retrieval.generators.tiny_generators import change_config

TEXTS = ["A dog in the snow.", 'two cats: "red ball"', "a man on the beach!", "photo"]


@pytest.fixture
def pictures() -> list[Image.Image]:
    random = np.random.default_rng(8)
    return [Image.fromarray(random.integers(0, 255, (40, 30 + 9 * n, 3), dtype=np.uint8)) for n in range(5)]


class Reference:
    """``pre_caption`` and ``evaluation`` of salesforce/BLIP (train_retrieval.py), on the library's modules."""

    def __init__(self, folder: Path) -> None:
        self.model: Any = transformers.BlipForImageTextRetrieval.from_pretrained(folder).eval()
        self.processor: Any = BlipImageProcessorPil.from_pretrained(folder)
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
        self.enc_token_id = len(self.tokenizer) + 1  # after the decoder's first token

    def scores(self, images: list[Image.Image], texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """(images, texts) each: similarities of the projections, logits of "match"."""
        model, captions = self.model, [pre_caption(text, 30) for text in texts]
        read = self.tokenizer(
            captions, padding="max_length", truncation=True, max_length=35, return_tensors="pt"
        )
        with torch.inference_mode():
            text_output = model.text_encoder(
                read.input_ids, attention_mask=read.attention_mask
            ).last_hidden_state
            text_embeds = torch.nn.functional.normalize(model.text_proj(text_output[:, 0, :]))
            pixels = self.processor(images, return_tensors="pt").pixel_values
            image_feats = model.vision_model(pixels).last_hidden_state
            image_embeds = torch.nn.functional.normalize(model.vision_proj(image_feats[:, 0, :]), dim=-1)
            text_ids = read.input_ids.clone()
            text_ids[:, 0] = self.enc_token_id
            logits = []
            for feats in image_feats:
                encoder_output = feats.repeat(len(texts), 1, 1)
                output = model.text_encoder(
                    text_ids,
                    attention_mask=read.attention_mask,
                    encoder_hidden_states=encoder_output,
                    encoder_attention_mask=torch.ones(encoder_output.size()[:-1], dtype=torch.long),
                ).last_hidden_state
                logits.append(model.itm_head(output[:, 0, :])[:, 1])
        return image_embeds @ text_embeds.t(), torch.stack(logits)


def pre_caption(caption: str, max_words: int) -> str:
    caption = re.sub(r"([.!\"()*#:;~])", " ", caption.lower())
    caption = re.sub(r"\s{2,}", " ", caption)
    caption = caption.rstrip("\n").strip(" ")
    return " ".join(caption.split(" ")[:max_words])


def test_both_heads_and_both_orders_equal_the_reference(blip: Path, pictures: list[Image.Image]) -> None:
    ours, reference = load_blip_reranker(blip), Reference(blip)
    texts = [*TEXTS, "a dog " * 40]  # longer than 30 words

    heads = [ours.heads(ours.preparation.prepare(picture), texts) for picture in pictures]
    scores = np.array([ours.score(ours.preparation.prepare(picture), texts) for picture in pictures])

    itc, itm = reference.scores(pictures, texts)
    np.testing.assert_allclose([matching for matching, _ in heads], itm, atol=1e-4)
    np.testing.assert_allclose([contrastive for _, contrastive in heads], itc, atol=1e-4)
    np.testing.assert_allclose(scores, itm + itc, atol=1e-4)
    assert np.ptp(scores, axis=0).min() > 1e-3  # pictures do differ, so that the orders say something
    np.testing.assert_array_equal(np.argsort(-scores, axis=0), torch.argsort(-(itm + itc), dim=0))
    np.testing.assert_array_equal(np.argsort(-scores, axis=1), torch.argsort(-(itm + itc), dim=1))


def test_a_score_is_the_same_alone_and_among_others_and_again(
    blip: Path, pictures: list[Image.Image]
) -> None:
    ours = load_blip_reranker(blip)
    array = ours.preparation.prepare(pictures[0])

    together = ours.score(array, TEXTS)

    assert together == [ours.score(array, [text])[0] for text in TEXTS]
    assert together == load_blip_reranker(blip).score(array, TEXTS)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"architectures": ["BlipForQuestionAnswering"]}, "BlipForQuestionAnswering does not re-rank hits"),
        ({"model_type": "git"}, "does not re-rank hits"),
        ({"architectures": None}, "blip does not re-rank hits"),
        ({"text_config": {"vocab_size": 30522}}, "no \\[ENC\\]"),
        ({"text_config": {"bos_token_id": "x"}}, "not a whole number"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "never runs such code"),
        ({"vision_config": {"num_hidden_layers": 10**6}}, "no model has so much"),
    ],
)
def test_a_checkpoint_that_does_not_match_images_with_texts_is_refused(
    changed_blip: Path, changes: dict[str, object], sentence: str
) -> None:
    change_config(changed_blip, **changes)

    with pytest.raises(ModelError, match=sentence):
        load_reranker(changed_blip)


def test_weights_that_are_not_numbers_are_refused_at_the_first_score(
    changed_blip: Path, pictures: list[Image.Image]
) -> None:
    weights = load_file(changed_blip / "model.safetensors")
    weights["itm_head.weight"][:] = float("nan")
    save_file(weights, changed_blip / "model.safetensors", {"format": "pt"})
    ours = load_blip_reranker(changed_blip)

    with pytest.raises(ModelError, match="scores that are not numbers"):
        ours.score(ours.preparation.prepare(pictures[0]), TEXTS)


def test_words_in_another_script_are_refused(blip: Path) -> None:
    with pytest.raises(UsageError, match="reads English"):
        load_blip_reranker(blip, "blip-itm").check("雪地里的狗")


def test_a_generator_is_not_a_reranker_and_names_are_those_of_the_table() -> None:
    from retrieval.generators.registry import resolve

    row = resolve("blip-itm").recommended
    assert row is not None
    assert row.tasks == ("rerank",)
    assert json.dumps(row.hub_id) == '"Salesforce/blip-itm-base-coco"'
