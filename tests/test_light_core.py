"""All of ``mini`` works without torch, torchvision and transformers; what needs them says so in one sentence."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.command_line import COLOURS, Run
from tests.without_packages import ROOT, Done, run_without

HEAVY = ("torch", "torchvision", "transformers")
SENTENCE = "needs an optional package; install it with: pip install 'vlsearch[models]'\n"

CAT = ROOT / "retrieval" / "cli" / "demo_photographs" / "chelsea.jpg"

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="no wheel of OpenVINO for this platform"
)


@needs_openvino
def test_all_commands_work_with_mini_and_none_tries_to_import_torch(photos: Path, tmp_path: Path) -> None:
    collection, copy, classes = (tmp_path / name for name in ("collection", "copy", "classes"))
    for name, colour in COLOURS.items():
        (classes / name).mkdir(parents=True)
        Image.new("RGB", (40, 30), colour).save(classes / name / "a.png")
    Image.new("RGB", (50, 40), (200, 100, 0)).save(tmp_path / "new.png")

    done, imported = run_without(
        HEAVY,
        ["index", photos, "--collection", collection],
        ["query", "a red square", "--find", "image", "--collection", collection],
        ["query", tmp_path / "new.png", "--find", "image", "--collection", collection],
        ["info", "--collection", collection],
        ["doctor", "--collection", collection],
        ["optimize", "--collection", collection],
        ["export", tmp_path / "out", "--collection", collection],
        ["import", tmp_path / "out", "--collection", copy],
        ["reindex", "--model", "mini", "--collection", copy],
        ["delete", photos / "red.png", "--collection", collection],
        ["eval", photos, "--model", "mini"],
        ["eval", photos, "--collection", copy],
        ["classify", classes, "--model", "mini"],
        ["models", "--json"],
    )

    assert [one.exit_code for one in done] == [0] * len(done), done
    assert "9 encoded" in done[0].stdout
    assert done[0].stderr.startswith("model: mini (")
    assert done[0].stderr.splitlines()[0].endswith("which needs: pip install 'vlsearch[models]'")
    assert done[1].stdout.splitlines()[0] == str(photos / "red.png")
    assert len(done[2].stdout.splitlines()) == 3
    assert imported == []


def test_whatever_needs_torch_says_so_in_one_sentence_and_makes_nothing(photos: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"

    done, _ = run_without(
        HEAVY,
        ["index", photos, "--collection", new, "--model", "clip-b32"],
        ["index", photos, "--collection", new, "--model", "mini", "--runtime", "torch"],
        ["eval", photos, "--model", "openai/clip-vit-base-patch32"],
        ["train", photos, "--out", new],
        ["train", photos, "--out", new, "--model", "mini", "--lora", "4"],
    )

    model, by_id, runtime = (
        "the model clip-b32",
        "the model openai/clip-vit-base-patch32",
        "the runtime torch",
    )
    wanted = [model, runtime, by_id, "training", "training"]
    assert [one.stderr for one in done] == [f"Error: {purpose} {SENTENCE}" for purpose in wanted]
    assert [one.exit_code for one in done] == [1] * len(done)
    assert not new.exists()


@needs_openvino
def test_questions_and_captions_do_without_torch_and_other_models_say_what_they_need(
    photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "git").mkdir()
    model = tmp_path / "git"

    (answer, written, caption, ask), imported = run_without(
        HEAVY,
        ["ask", CAT, "is it a cat or a train?"],
        ["caption", photos / "red.png"],
        ["caption", photos / "red.png", "--model", model],
        ["ask", photos / "red.png", "what is it?", "--model", model],
    )

    assert (answer.exit_code, answer.stderr) == (0, "")
    assert answer.stdout.startswith("cat (")
    assert (written.exit_code, len(written.stdout.splitlines())) == (0, 1)
    for done in (caption, ask):
        assert (done.exit_code, done.stderr) == (1, f"Error: the model {model} {SENTENCE}")
    assert imported == []


def test_a_two_tower_folder_without_a_light_runtime_answers_words_and_says_what_images_need(
    run: Run, photos: Path, model: Path, tmp_path: Path
) -> None:
    collection = tmp_path / "collection"
    assert run("index", photos, "--collection", collection, "--model", model).exit_code == 0
    Image.new("RGB", (50, 40), (200, 100, 0)).save(photos / "new.png")

    (words, stored, info, doctor, image, index), _ = run_without(
        HEAVY,
        ["query", "a red square", "--collection", collection],
        ["query", photos / "red.png", "--collection", collection],
        ["info", "--collection", collection],
        ["doctor", "--collection", collection],
        ["query", photos / "new.png", "--collection", collection],
        ["index", photos, "--collection", collection],
    )

    assert [one.exit_code for one in (words, stored, info, doctor)] == [0] * 4
    for done in (image, index):
        assert (done.exit_code, done.stderr) == (1, f"Error: the model {model} {SENTENCE}")


def test_a_collection_of_a_hub_model_is_cared_for_without_torch_and_says_what_questions_need(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    from tests.retrieval.encoders.tiny_checkpoints import BUILDERS

    checkpoint, collection = tmp_path / "clip", tmp_path / "collection"
    BUILDERS["clip"](checkpoint)
    assert run("index", photos, "--collection", collection, "--model", checkpoint).exit_code == 0

    done, _ = run_without(
        HEAVY,
        ["info", "--collection", collection],
        ["doctor", "--collection", collection],
        ["optimize", "--collection", collection],
        ["query", photos / "red.png", "--collection", collection],
        ["query", "a purple square", "--collection", collection],
        ["reindex", "--model", checkpoint, "--collection", collection],
    )

    assert [one.exit_code for one in done] == [0] * 4 + [1] * 2
    refused: list[Done] = done[4:]
    assert {one.stderr for one in refused} == {f"Error: the model {checkpoint} {SENTENCE}"}


def test_an_import_is_told_from_a_look_whether_a_package_is_there() -> None:
    code = (
        "import importlib.util\n"
        "from tests.without_packages import hide\n"
        "imported = hide(['torch', 'transformers'])\n"
        "assert importlib.util.find_spec('transformers') is None\n"
        "try: import torch.nn\n"
        "except ModuleNotFoundError: print(*imported)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "torch\n"
