"""Cross-encoders of sentence-transformers: scores equal the library's own, and folders of strangers run no code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.cross_encoder.modules import LogitScore

from retrieval.errors import ModelError
from retrieval.hub.download import is_wanted
from retrieval.hub.library_model import quiet
from retrieval.rerankers.cross_encoder import CrossEncoderReranker, load_cross_encoder
from retrieval.rerankers.registry import load_reranker
from tests.retrieval.generators.tiny_generators import change_config, qwen3_vl

TEXTS = ["A dog in the snow.", 'two cats: "red ball"', "雪地里的狗", "photo " * 30]
TEMPLATE = """{%- for message in messages %}<|im_start|>{{ message.role }}
{% for part in message.content %}{% if part.type == "image" %}<|vision_start|><|image_pad|><|vision_end|>\
{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>
{% endfor %}<|im_start|>assistant
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3-VL that answers with two of its tokens, as the library saves it; shared, so not to be changed."""
    model = tmp_path_factory.mktemp("qwen3-vl")
    qwen3_vl(model)
    (model / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    with quiet():
        seeing = Transformer(str(model), transformer_task="any-to-any")
        whole = CrossEncoder(
            modules=[seeing, LogitScore(5, 6)], prompts={"query": "Find: "}, default_prompt_name="query"
        )
        saved = tmp_path_factory.mktemp("cross-encoder")
        whole.save_pretrained(str(saved))
    return saved


@pytest.fixture
def changed(folder: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(folder, tmp_path / "changed"))


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    random = np.random.default_rng(8)
    return [Image.fromarray(random.integers(0, 255, (70, 60 + 40 * n, 3), dtype=np.uint8)) for n in range(4)]


def test_scores_and_both_orders_equal_the_librarys_own(folder: Path, pictures: list[Image.Image]) -> None:
    ours = load_reranker(folder)
    assert isinstance(ours, CrossEncoderReranker)
    scores = np.array([ours.score(ours.preparation.prepare(picture), TEXTS) for picture in pictures])

    with quiet():
        reference = CrossEncoder(str(folder), device="cpu", local_files_only=True)
        pairs = [(text, picture) for picture in pictures for text in TEXTS]
        logits = reference.predict(
            pairs, batch_size=1, show_progress_bar=False, activation_fn=torch.nn.Identity()
        ).reshape(len(pictures), len(TEXTS))

    np.testing.assert_allclose(scores, logits, atol=1e-4)
    assert min(np.ptp(scores, axis=0).min(), np.ptp(scores, axis=1).min()) > 1e-3, "the orders say something"
    np.testing.assert_array_equal(np.argsort(-scores, axis=0), np.argsort(-logits, axis=0))
    np.testing.assert_array_equal(np.argsort(-scores, axis=1), np.argsort(-logits, axis=1))


def test_the_prompt_that_comes_with_the_model_counts(
    folder: Path, changed: Path, pictures: list[Image.Image]
) -> None:
    edit(changed / "config_sentence_transformers.json", prompts={}, default_prompt_name=None)
    ours, without = load_cross_encoder(folder), load_cross_encoder(changed)

    array = ours.preparation.prepare(pictures[0])
    assert ours.score(array, TEXTS[:1]) != without.score(array, TEXTS[:1])


def test_a_score_is_the_same_alone_and_among_others(folder: Path, pictures: list[Image.Image]) -> None:
    ours = load_cross_encoder(folder)
    array = ours.preparation.prepare(pictures[0])

    assert ours.score(array, TEXTS) == [ours.score(array, [text])[0] for text in TEXTS]


def edit(file: Path, **changes: Any) -> None:
    """Change fields of a JSON object in a file."""
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def edit_module(folder: Path, number: int, **changes: str) -> None:
    """Change fields of an entry of ``modules.json``."""
    file = folder / "modules.json"
    modules = json.loads(file.read_text(encoding="utf-8"))
    modules[number] |= changes
    file.write_text(json.dumps(modules), encoding="utf-8")


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "subprocess.Popen"},
        {"type": "sentence_transformers.base.modules.dense.Dense"},
        {"type": "sentence_transformersx.LogitScore"},
        {"path": "../1_LogitScore"},
        {"path": "/etc"},
        {"path": "x/1_LogitScore"},
    ],
)
def test_modules_that_are_not_known_or_stand_elsewhere_are_refused(
    changed: Path, changes: dict[str, str]
) -> None:
    edit_module(changed, 1, **changes)

    with pytest.raises(ModelError, match="which vlsearch does not run"):
        load_reranker(changed)


@pytest.mark.parametrize("contents", ["{}", "[]", "[1]", "not JSON", "[" * 100_000, "x" * 70_000])
def test_a_damaged_list_of_modules_is_one_sentence(changed: Path, contents: str) -> None:
    (changed / "modules.json").write_text(contents, encoding="utf-8")

    with pytest.raises(ModelError, match=r"modules\.json"):
        load_reranker(changed)


@pytest.mark.parametrize(
    "modalities",
    [
        {"text": {"method": "save_pretrained", "method_output_name": "logits"}},
        {"text": ["save_pretrained", "logits"]},
        {"text": {"method_output_name": "logits"}},
        ["text"],
    ],
)
def test_methods_that_do_not_compute_are_refused(changed: Path, modalities: object) -> None:
    edit(changed / "sentence_bert_config.json", modality_config=modalities)

    with pytest.raises(ModelError, match="asks for code that vlsearch does not run"):
        load_reranker(changed)


def test_code_that_comes_with_a_processor_is_refused(changed: Path) -> None:
    edit(changed / "processor_config.json", image_processor={"auto_map": {"AutoImageProcessor": "evil.Evil"}})

    with pytest.raises(ModelError, match="asks for code that vlsearch does not run"):
        load_reranker(changed)


def test_code_that_comes_with_the_model_is_refused(changed: Path) -> None:
    change_config(changed, auto_map={"AutoModel": "evil.Model"})

    with pytest.raises(ModelError, match="never runs such code"):
        load_reranker(changed)


@pytest.mark.parametrize(
    "changes", [{"prompts": {"query": 1}}, {"prompts": ["x"]}, {"default_prompt_name": "no such"}]
)
def test_prompts_that_are_not_texts_are_refused(changed: Path, changes: dict[str, Any]) -> None:
    edit(changed / "config_sentence_transformers.json", **changes)

    with pytest.raises(ModelError, match="prompts that are not texts"):
        load_reranker(changed)


def test_a_cross_encoder_of_texts_alone_is_refused(changed: Path) -> None:
    edit(
        changed / "sentence_bert_config.json",
        modality_config={"text": {"method": "forward", "method_output_name": "logits"}},
    )

    with pytest.raises(ModelError, match="not images and text"):
        load_reranker(changed)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("modules.json", True),
        ("1_LogitScore/config.json", True),
        ("chat_template.jinja", True),
        ("model.safetensors", True),
        ("1_LogitScore/model.bin", False),
        ("onnx/config.json", False),
        ("model.fp16.safetensors", False),
        ("../1_LogitScore/config.json", False),
    ],
)
def test_what_a_cross_encoder_needs_is_downloaded(name: str, wanted: bool) -> None:
    assert is_wanted(name) is wanted
