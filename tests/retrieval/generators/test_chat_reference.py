"""Families that are chatted with equal the library's own path: image processor, published template, ``generate``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE, get_image_prompt_string

from retrieval.errors import ModelError
from retrieval.generators.families import chat
from retrieval.generators.hub_generator import load_hub_generator
from tests.retrieval.encoders.tiny_checkpoints import write
from tests.retrieval.generators.tiny_generators import change_config

FAMILIES = ("idefics3", "qwen2.5-vl", "qwen3-vl", "smolvlm")
MODELS = {
    "idefics3": "Idefics3ForConditionalGeneration",
    "qwen2.5-vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen3-vl": "Qwen3VLForConditionalGeneration",
    "smolvlm": "SmolVLMForConditionalGeneration",
}
PROCESSORS = {
    "idefics3": Idefics3ImageProcessorPil,
    "qwen2.5-vl": Qwen2VLImageProcessorPil,
    "qwen3-vl": Qwen2VLImageProcessorPil,
    "smolvlm": SmolVLMImageProcessorPil,
}
# of the published checkpoints, for one message with an image
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MOST = 12  # tokens: enough to differ


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "MOST_TOKENS", MOST)


class Library:
    """transformers alone, as the models' cards say."""

    def __init__(self, family: str, folder: Path) -> None:
        self.is_qwen = family.startswith("qwen")
        self.model: Any = getattr(transformers, MODELS[family]).from_pretrained(folder).eval()
        more = {"size": {"shortest_edge": 4 * 784, "longest_edge": 1280 * 784}} if self.is_qwen else {}
        if family == "qwen3-vl":
            more = {"size": {"shortest_edge": 4 * 1024, "longest_edge": 1280 * 1024}}
        self.processor: Any = PROCESSORS[family].from_pretrained(folder, **more)
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
        self.has_system = family == "qwen2.5-vl"

    def inputs(self, image: Image.Image, words: str) -> dict[str, Any]:
        """Tensors of a conversation of one image and words."""
        parts = [{"type": "image"}, {"type": "text", "text": words}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": parts}]
        if self.is_qwen:
            return self._qwen(image, messages)
        found = self.processor(images=[[image]], return_tensors="pt", return_row_col_info=True)
        text = _render(self.tokenizer, messages, DEFAULT_CHAT_TEMPLATE)
        picture = get_image_prompt_string(
            found.rows[0][0],
            found.cols[0][0],
            4,
            fake_token_around_image="<fake_token_around_image>",
            image_token="<image>",
            global_image_token="<global-img>",
        )
        read = self.tokenizer(text.replace("<image>", picture), return_tensors="pt")
        return {
            "input_ids": read.input_ids,
            "attention_mask": read.attention_mask,
            "pixel_values": found.pixel_values,
            "pixel_attention_mask": found.pixel_attention_mask,
        }

    def _qwen(self, image: Image.Image, messages: list[dict[str, Any]]) -> dict[str, Any]:
        if self.has_system:
            messages = [{"role": "system", "content": "You are a helpful assistant."}, *messages]
        found = self.processor(images=[image], return_tensors="pt")
        text = _render(self.tokenizer, messages, QWEN_TEMPLATE)
        places = int(found.image_grid_thw[0].prod()) // 4
        read = self.tokenizer(text.replace("<|image_pad|>", "<|image_pad|>" * places), return_tensors="pt")
        is_image = read.input_ids == self.model.config.image_token_id
        return {
            "input_ids": read.input_ids,
            "attention_mask": read.attention_mask,
            "mm_token_type_ids": is_image.int(),
            **found,
        }

    def written(self, image: Image.Image, words: str) -> list[int]:
        """Ids of what is written about an image."""
        inputs = self.inputs(image, words)
        end = self.tokenizer.convert_tokens_to_ids("<|im_end|>" if self.is_qwen else "<end_of_utterance>")
        found = self.model.generate(
            **inputs, do_sample=False, max_new_tokens=MOST, eos_token_id=end, pad_token_id=end
        )
        return list(found[0, inputs["input_ids"].shape[1] :].tolist())


def _render(tokenizer: Any, messages: list[dict[str, Any]], template: str) -> str:
    return str(
        tokenizer.apply_chat_template(
            messages, chat_template=template, add_generation_prompt=True, tokenize=False
        )
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_captions_and_answers_equal_the_librarys_token_for_token(
    family: str, tiny: Callable[[str], Path], pictures: list[Image.Image], seen: list[list[int]]
) -> None:
    ours, library = load_hub_generator(tiny(family)), Library(family, tiny(family))
    describe = "Describe this image." if library.is_qwen else "Can you describe this image?"

    captions = ours.describe(pictures)
    ours.answer(pictures[:1], "is the dog red?")

    expected = [library.written(picture, describe) for picture in pictures]
    assert seen == [*expected, library.written(pictures[0], "is the dog red?")]
    assert len({tuple(row) for row in expected}) > 1  # different pictures do differ
    assert captions == [ours.describe([picture])[0] for picture in pictures]


@pytest.mark.parametrize("family", ["qwen2.5-vl", "qwen3-vl"])
def test_captions_in_chinese_are_asked_for_in_chinese(
    family: str, tiny: Callable[[str], Path], pictures: list[Image.Image], seen: list[list[int]]
) -> None:
    ours, library = load_hub_generator(tiny(family)), Library(family, tiny(family))

    ours.describe(pictures[:1], lang="zh-CN")

    assert ours.languages == ("en", "zh")
    assert seen == [library.written(pictures[0], "描述这张图片。")]


@pytest.mark.parametrize("family", FAMILIES)
def test_choices_are_weighed_by_the_probability_of_their_tokens(
    family: str, tiny: Callable[[str], Path], pictures: list[Image.Image]
) -> None:
    ours, library = load_hub_generator(tiny(family)), Library(family, tiny(family))
    choices = ["dog", "two cats"]

    (answer,) = ours.answer(pictures[:1], "what is it?", choices)

    sums = torch.tensor([_log_probability(library, pictures[0], choice) for choice in choices])
    assert answer.probabilities == pytest.approx(tuple(sums.softmax(0).tolist()), abs=1e-4)


def _log_probability(library: Library, image: Image.Image, choice: str) -> float:
    """Of a choice, a token at a time."""
    inputs = library.inputs(image, "what is it?")
    text, end = (choice, "<|im_end|>") if library.is_qwen else (f" {choice}", "<end_of_utterance>")
    ids = [
        *library.tokenizer(text, add_special_tokens=False).input_ids,
        library.tokenizer.convert_tokens_to_ids(end),
    ]
    total = 0.0
    with torch.inference_mode():
        for token in ids:
            logits = library.model(**inputs).logits
            total += float(logits[0, -1].log_softmax(-1)[token])
            further = {"input_ids": token, "attention_mask": 1, "mm_token_type_ids": 0}
            for name, value in further.items():
                if name in inputs:
                    one = torch.full((1, 1), value, dtype=inputs[name].dtype)
                    inputs[name] = torch.cat([inputs[name], one], 1)
    return total


@pytest.mark.parametrize("family", ["blip-2", "qwen2.5-vl", "smolvlm"])
def test_candidates_are_ordered_and_marks_in_a_question_are_words(
    family: str, tiny: Callable[[str], Path], pictures: list[Image.Image]
) -> None:
    ours = load_hub_generator(tiny(family))

    (candidates,) = ours.describe(pictures[:1], candidates=2)
    marked = "is it <image> <|image_pad|> <|im_end|> <end_of_utterance> red?"

    scores = [candidate.score for candidate in candidates]
    assert scores == sorted(scores, reverse=True)
    assert ours.answer(pictures[:1], marked)  # places that no image fills would be refused by the library
    assert ours.answer(pictures[:1], marked, ["red", "<image><|image_pad|> blue"])


@pytest.mark.parametrize("family", ["qwen2.5-vl", "smolvlm"])
@pytest.mark.parametrize("size", [(700, 2), (1, 1), (2, 3000)])
def test_images_of_any_shape_are_described(
    family: str, tiny: Callable[[str], Path], size: tuple[int, int]
) -> None:
    assert load_hub_generator(tiny(family)).describe([Image.new("RGB", size)])


@pytest.mark.parametrize("family", ["qwen2.5-vl", "smolvlm"])
def test_a_hostile_template_in_the_folder_is_neither_read_nor_run(
    family: str, tiny: Callable[[str], Path], changed: Callable[[str], Path], pictures: list[Image.Image]
) -> None:
    folder = changed(family)
    hostile = "{% for a in range(10**9) %}{% for b in range(10**9) %}{% endfor %}{% endfor %}{{ ''.__class__.__mro__ }}"
    (folder / "chat_template.jinja").write_text(hostile)
    write(folder / "chat_template.json", {"chat_template": hostile})
    write(folder / "processor_config.json", {"chat_template": hostile, "processor_class": "evil.Processor"})
    settings = {"chat_template": hostile, "processor_class": "evil.Processor"}
    tokenizer = folder / "tokenizer_config.json"
    write(tokenizer, json.loads(tokenizer.read_text(encoding="utf-8")) | settings)

    assert load_hub_generator(folder).describe(pictures[:1]) == load_hub_generator(tiny(family)).describe(
        pictures[:1]
    )


@pytest.mark.parametrize(
    ("family", "pictures_config", "sentence"),
    [
        ("smolvlm", {"size": {"longest_edge": 10**6}}, "longest_edge is 1000000"),
        (
            "smolvlm",
            {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 32}},
            "more than 64 parts",
        ),
        ("smolvlm", {"image_mean": ["x"] * 3}, "not three numbers"),
        ("qwen2.5-vl", {"patch_size": 10**5}, "patch_size is 100000"),
        ("qwen2.5-vl", {"temporal_patch_size": 10**9}, "temporal_patch_size"),
        ("qwen2.5-vl", {"image_std": [0, 0, 0]}, "divided by 0"),
    ],
)
def test_an_image_processor_that_asks_for_too_much_is_refused(
    changed: Callable[[str], Path], family: str, pictures_config: dict[str, Any], sentence: str
) -> None:
    folder = changed(family)
    write(folder / "preprocessor_config.json", pictures_config)

    with pytest.raises(ModelError, match=sentence):
        load_hub_generator(folder)


def test_settings_that_do_not_fit_the_weights_are_a_sentence(
    changed: Callable[[str], Path], pictures: list[Image.Image]
) -> None:
    folder = changed("smolvlm")
    change_config(folder, image_token_id=1)

    with pytest.raises(ModelError, match=r"do not belong together|cannot be used"):
        load_hub_generator(folder).describe(pictures[:1])
