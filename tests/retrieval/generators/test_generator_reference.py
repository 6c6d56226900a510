"""What a generator writes equals the library's own path, token for token: processor, tokenizer, ``generate``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from retrieval.errors import UsageError
from retrieval.generators.hub_generator import HubGenerator, load_hub_generator

QUESTION = "Is the dog on the beach?"
PIXELS = {
    "blip": BlipImageProcessorPil,
    "blip-2": BlipImageProcessorPil,
    "florence-2": CLIPImageProcessorPil,
    "blip-vqa": BlipImageProcessorPil,
    "git": CLIPImageProcessorPil,
    "vit-gpt2": ViTImageProcessorPil,
}
MODELS = {
    "blip": "BlipForConditionalGeneration",
    "blip-2": "Blip2ForConditionalGeneration",
    "florence-2": "Florence2ForConditionalGeneration",
    "blip-vqa": "BlipForQuestionAnswering",
    "git": "GitForCausalLM",
    "vit-gpt2": "VisionEncoderDecoderModel",
}
CAPTIONS = ("blip", "blip-2", "florence-2", "git", "vit-gpt2")
ANSWERS = ("blip-2", "blip-vqa", "git")


class Library:
    """transformers alone: what its documentation and the authors' code say to do for a family."""

    def __init__(self, family: str, folder: Path) -> None:
        self.family = family
        self.model: Any = getattr(transformers, MODELS[family]).from_pretrained(folder).eval()
        self.pixels: Any = PIXELS[family].from_pretrained(folder)
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)

    def captions(self, images: Sequence[Image.Image]) -> list[list[int]]:
        """Ids of captions, prompts and what precedes them left out."""
        pixels = self.pixels(images, return_tensors="pt").pixel_values
        if self.family == "blip":
            prompts = self.tokenizer(["a picture of"] * len(images), return_tensors="pt")
            found = self.model.generate(
                pixels,
                input_ids=prompts.input_ids,
                attention_mask=prompts.attention_mask,
                num_beams=3,
                max_length=20,
                min_length=5,
            )
            return [row[prompts.input_ids.shape[1] - 1 :] for row in found.tolist()]
        if self.family == "blip-2":
            return self._blip_2(images, "a photo of", max_new_tokens=30, min_new_tokens=8)
        if self.family == "florence-2":
            processor = transformers.Florence2Processor(self.pixels_with_places, self.tokenizer)
            inputs = processor(images=list(images), text=["<CAPTION>"] * len(images), return_tensors="pt")
            found = self.model.generate(**inputs, max_new_tokens=64)
            return [row[1:] for row in found.tolist()]
        length = {"git": 40, "vit-gpt2": 16}[self.family]
        penalty = {"git": 0.6, "vit-gpt2": 1.0}[self.family]
        found = self.model.generate(
            pixel_values=pixels, num_beams=4, max_length=length, length_penalty=penalty
        )
        return [row[1:] for row in found.tolist()]

    @property
    def pixels_with_places(self) -> Any:
        """The image processor, which knows the 2 x 2 places and their mean."""
        self.pixels.image_seq_length = 5
        return self.pixels

    def _blip_2(self, images: Sequence[Image.Image], text: str, **decoding: Any) -> list[list[int]]:
        processor = transformers.Blip2Processor(self.pixels, self.tokenizer, num_query_tokens=4)
        inputs = processor(images=list(images), text=[text] * len(images), return_tensors="pt")
        found = self.model.generate(**inputs, num_beams=5, **decoding)
        return [row[inputs.input_ids.shape[1] :] for row in found.tolist()]

    def answers(self, images: Sequence[Image.Image], question: str) -> list[list[int]]:
        """Ids of answers."""
        if self.family == "blip-2":
            text = f"Question: {question} Answer:"
            return self._blip_2(images, text, max_new_tokens=10, min_new_tokens=1, length_penalty=-1.0)
        pixels = self.pixels(images, return_tensors="pt").pixel_values
        if self.family == "blip-vqa":
            asked = self.tokenizer([question] * len(images), return_tensors="pt")
            found = self.model.generate(
                asked.input_ids, pixels, asked.attention_mask, num_beams=3, max_length=10, min_length=1
            )
            return [row[1:] for row in found.tolist()]
        ids = [self.model.config.bos_token_id, *self.tokenizer(question, add_special_tokens=False).input_ids]
        found = self.model.generate(
            pixel_values=pixels,
            input_ids=torch.tensor([ids] * len(images)),
            num_beams=4,
            max_length=40,
            length_penalty=0.6,
        )
        return [row[len(ids) :] for row in found.tolist()]


def load(tiny: Callable[[str], Path], family: str) -> tuple[HubGenerator, Library]:
    return load_hub_generator(tiny(family)), Library(family, tiny(family))


@pytest.mark.parametrize("family", CAPTIONS)
def test_captions_equal_the_librarys_token_for_token(
    family: str, tiny: Callable[[str], Path], pictures: list[Image.Image], seen: list[list[int]]
) -> None:
    ours, library = load(tiny, family)

    captions = ours.describe(pictures)

    assert seen == library.captions(pictures)
    assert len({caption[0].text for caption in captions}) > 1  # different pictures do differ


@pytest.mark.parametrize("family", ANSWERS)
def test_answers_equal_the_librarys_token_for_token(
    family: str, tiny: Callable[[str], Path], pictures: list[Image.Image], seen: list[list[int]]
) -> None:
    ours, library = load(tiny, family)

    answers = ours.answer(pictures, QUESTION)

    assert seen == library.answers(pictures, QUESTION)
    assert [answer.probabilities for answer in answers] == [None] * len(pictures)


@pytest.mark.parametrize("family", CAPTIONS)
def test_a_caption_is_the_same_alone_and_among_others_and_again(
    family: str, tiny: Callable[[str], Path], pictures: list[Image.Image]
) -> None:
    ours = load_hub_generator(tiny(family))

    together = [caption[0].text for caption in ours.describe(pictures * 4)]

    assert together[:3] == [ours.describe([picture])[0][0].text for picture in pictures]
    assert together == together[:3] * 4


@pytest.mark.parametrize("family", CAPTIONS)
def test_candidates_are_different_and_ordered_by_their_scores_and_the_first_is_the_caption(
    family: str, tiny: Callable[[str], Path], pictures: list[Image.Image]
) -> None:
    ours = load_hub_generator(tiny(family))

    found = ours.describe(pictures, candidates=3)

    for candidates, alone in zip(found, ours.describe(pictures), strict=True):
        scores = [candidate.score for candidate in candidates]
        assert scores == sorted(scores, reverse=True)
        assert candidates[0].text == alone[0].text


@pytest.mark.parametrize("family", ANSWERS)
def test_choices_are_weighed_by_the_probability_of_their_tokens_one_by_one(
    family: str, tiny: Callable[[str], Path], pictures: list[Image.Image]
) -> None:
    ours, library = load(tiny, family)
    choices = ["dog", "two cats", "a red ball"]

    answers = ours.answer(pictures, QUESTION, choices)

    for picture, answer in zip(pictures, answers, strict=True):
        sums = torch.tensor([stepwise(library, picture, choice) for choice in choices])
        assert answer.probabilities == pytest.approx(tuple(sums.softmax(0).tolist()), abs=1e-4)
        assert answer.text == choices[int(sums.argmax())]


def stepwise(library: Library, picture: Image.Image, choice: str) -> float:
    """Log-probability of a choice, a token at a time, of one picture alone."""
    model = library.model
    pixels = library.pixels([picture], return_tensors="pt").pixel_values
    ids = library.tokenizer(choice, add_special_tokens=False).input_ids
    with torch.inference_mode():
        if library.family == "blip-vqa":
            asked = library.tokenizer([QUESTION], return_tensors="pt").input_ids
            image = model.vision_model(pixel_values=pixels).last_hidden_state
            states = model.text_encoder(input_ids=asked, encoder_hidden_states=image).last_hidden_state
            prefix, end = [model.decoder_start_token_id], model.config.text_config.sep_token_id
        elif library.family == "blip-2":
            ids = library.tokenizer(f" {choice}", add_special_tokens=False).input_ids
            asked = library.tokenizer(f"Question: {QUESTION} Answer:").input_ids
            prefix = [model.config.image_token_index] * 4 + asked
            end = model.config.text_config.eos_token_id
        else:
            prefix = [
                model.config.bos_token_id,
                *library.tokenizer(QUESTION, add_special_tokens=False).input_ids,
            ]
            end = model.config.eos_token_id
        total = 0.0
        for token in [*ids, end]:
            begun = torch.tensor([prefix])
            if library.family == "blip-vqa":
                logits = model.text_decoder(input_ids=begun, encoder_hidden_states=states).logits
            else:
                logits = model(pixel_values=pixels, input_ids=begun).logits
            total += float(logits[0, -1].log_softmax(-1)[token])
            prefix = [*prefix, token]
    return total


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda ours, image: ours.describe([image], lang="zh"), "writes en alone, not 'zh'"),
        (lambda ours, image: ours.describe([image], candidates=11), "ask for 1 to 10"),
        (lambda ours, image: ours.answer([image], " \n"), "the question is empty"),
        (lambda ours, image: ours.answer([image], "x" * 501), "501 characters"),
        (lambda ours, image: ours.answer([image], "which?", ["red"]), "2 to 100 different answers"),
        (lambda ours, image: ours.answer([image], "which?", ["red", " red "]), "2 to 100 different answers"),
    ],
)
def test_what_a_generator_cannot_do_is_a_sentence(
    tiny: Callable[[str], Path],
    pictures: list[Image.Image],
    ask: Callable[[HubGenerator, Image.Image], object],
    sentence: str,
) -> None:
    with pytest.raises(UsageError, match=sentence):
        ask(load_hub_generator(tiny("git")), pictures[0])


@pytest.mark.parametrize(
    ("family", "ask", "sentence"),
    [
        (
            "blip",
            lambda ours, image: ours.answer([image], "what?"),
            "writes captions and answers no questions",
        ),
        ("blip-vqa", lambda ours, image: ours.describe([image]), "answers questions and writes no captions"),
    ],
)
def test_a_task_that_a_model_was_not_trained_for_is_refused(
    tiny: Callable[[str], Path],
    pictures: list[Image.Image],
    family: str,
    ask: Callable[[HubGenerator, Image.Image], object],
    sentence: str,
) -> None:
    with pytest.raises(UsageError, match=sentence):
        ask(load_hub_generator(tiny(family)), pictures[0])


def test_another_checkpoint_another_prompt_and_another_language_have_another_maker(
    tiny: Callable[[str], Path], changed: Callable[[str], Path]
) -> None:
    one = load_hub_generator(tiny("git"), "git").identity
    folder = changed("git")
    (folder / "preprocessor_config.json").write_text(
        '{"image_processor_type": "CLIPImageProcessor", "size": 32, "crop_size": 32, "image_mean": [0, 0, 0]}'
    )
    other = load_hub_generator(folder, "git").identity

    assert one.maker("en") == f"git {one.digest[:12]} en"
    assert len({one.maker("en"), one.maker("zh"), other.maker("en")}) == 3
