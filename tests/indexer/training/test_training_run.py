"""``vlsearch train`` from a corpus to a model that indexes and queries: what it writes, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from retrieval.encoders.registry import load_encoder
from tests.command_line import save_tiny_model, vlsearch
from tests.indexer.training.test_hub_training import checkpoint
from tests.indexer.training.training_runs import NAMES, picture, write_corpus
from tests.retrieval.encoders.openvino_models import needs_openvino

ROOT = Path(__file__).resolve().parents[3]
QUICK = ("--epochs", "2", "--batch-size", "8", "--val-share", "0.25", "--device", "cpu")
NEW = ("--image-backbone", "tiny", "--image-size", "32", "--text-backbone", "bag")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus")


def run_facts(out: Path) -> dict[str, object]:
    return dict(json.loads((out / "run.json").read_text(encoding="utf-8")))


def test_a_run_writes_settings_metrics_curves_checkpoint_and_two_models_with_cards(
    corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"

    done = vlsearch("train", corpus, "--out", out, *NEW, *QUICK, "--data-licence", "CC0, drawn by a test")

    assert done.exit_code == 0, done.output
    assert {file.name for file in out.iterdir()} == {
        ".lock", "run.json", "metrics.jsonl", "curves.png", "checkpoint.safetensors", "best", "last",
    }  # fmt: skip
    card = (out / "best" / "README.md").read_text(encoding="utf-8")
    for said in (
        "27 distinct pictures",
        "9 pictures",
        "CC0, drawn by a test",
        "vlsearch ",
        "tiny from scratch",
        "seed: 0",
    ):
        assert said in card
    assert "R@1, 5, 10: text to image" in done.stdout
    with Image.open(out / "curves.png") as curves:
        assert curves.width > 600
    facts = run_facts(out)
    assert facts["counts"] == {
        "train_pictures": 27, "train_captions": 27, "val_pictures": 9, "val_captions": 9, "failed": 0,
    }  # fmt: skip
    assert facts["settings"]["recipe"]["norms"] == "batch"  # type: ignore[index]


def test_what_was_trained_indexes_and_answers(corpus: Path, tmp_path: Path) -> None:
    vlsearch("train", corpus, "--out", tmp_path / "run", *NEW, *QUICK)

    indexed = vlsearch("index", corpus, "--model", tmp_path / "run" / "best", "--collection", tmp_path / "c")
    answered = vlsearch("query", "red sea", "-k", "3", "--paths", "--collection", tmp_path / "c")

    assert indexed.exit_code == 0, indexed.output
    assert len(answered.stdout.splitlines()) == 3


@needs_openvino
def test_what_was_trained_of_a_convolutional_backbone_is_computed_in_int8_when_asked(
    corpus: Path, tmp_path: Path
) -> None:
    backbone = ("--image-backbone", "mobilenet_v2", *NEW[2:])
    vlsearch("train", corpus, "--out", tmp_path / "run", *backbone, *QUICK)

    for name in ("best", "last"):
        place = ("--model", tmp_path / "run" / name, "--collection", tmp_path / name)
        indexed = vlsearch("index", corpus, *place, "--precision", "int8")
        assert indexed.exit_code == 0, indexed.output
        assert "images int8, texts float32" in vlsearch("info", "--collection", tmp_path / name).stdout


def test_the_article_s_own_towers_train_from_local_folders_of_weights(corpus: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from torchvision.models import resnet50
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    save_file(resnet50().state_dict(), tmp_path / "resnet50.safetensors")
    words = sorted({word for name in NAMES for word in name.split()})
    pieces = {piece: row for row, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordLevel(pieces, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]").save_pretrained(tmp_path / "bert")
    bert = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    BertModel(bert, add_pooling_layer=False).save_pretrained(tmp_path / "bert")

    done = vlsearch(
        "train", corpus, "--out", tmp_path / "run", "--image-weights", tmp_path / "resnet50.safetensors",
        "--image-size", "32", "--text-weights", tmp_path / "bert", *QUICK, "--steps", "2", "--locked-image-epochs", "9",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    encoder = load_encoder(tmp_path / "run" / "best")
    assert encoder.encode_images([Image.fromarray(picture(NAMES[0], 40))]).shape == (1, 512)
    assert not np.allclose(*encoder.encode_texts([NAMES[0], NAMES[7]]))
    trained = load_file(tmp_path / "run" / "last" / "model.safetensors")
    assert torch.equal(
        trained["image.features.0.0.weight"], load_file(tmp_path / "resnet50.safetensors")["conv1.weight"]
    )


def test_a_model_that_is_there_is_fine_tuned_from_where_it_was(corpus: Path, tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    before = load_file(model / "model.safetensors")

    done = vlsearch(
        "train", corpus, "--out", tmp_path / "run", "--model", model, *QUICK, "--frozen-stages", "1",
        "--locked-text-epochs", "2",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    after = load_file(tmp_path / "run" / "last" / "model.safetensors")
    assert torch.equal(before["text.vectors.weight"].float(), after["text.vectors.weight"])
    assert torch.equal(before["image.features.0.weight"].float(), after["image.features.0.weight"])
    assert not torch.equal(before["image.features.2.weight"].float(), after["image.features.2.weight"])


def test_a_hub_checkpoint_is_fine_tuned_through_adapters(corpus: Path, tmp_path: Path) -> None:
    source = checkpoint("clip", tmp_path / "clip")

    done = vlsearch("train", corpus, "--out", tmp_path / "run", "--model", source, "--lora", "2", *QUICK)

    assert done.exit_code == 0, done.output
    assert load_encoder(tmp_path / "run" / "best").identity.family == "clip"
    assert "adapters of rank 2" in (tmp_path / "run" / "best" / "README.md").read_text(encoding="utf-8")


def test_several_languages_are_learned_and_judged_apart(corpus: Path, tmp_path: Path) -> None:
    done = vlsearch(
        "train", corpus, "--out", tmp_path / "run", *NEW, *QUICK, "--json",
        "--caption-column", "caption:en", "--caption-column", "caption_zh:zh",
    )  # fmt: skip

    assert set(json.loads(done.stdout)["figures"]) == {"en", "zh"}


def test_another_corpus_is_judged_on_and_what_it_shares_is_not_learned_from(
    corpus: Path, tmp_path: Path
) -> None:
    val = write_corpus(tmp_path / "val", NAMES[:4])

    done = vlsearch("train", corpus, "--val", val, "--out", tmp_path / "run", *NEW, *QUICK[:4])

    assert done.exit_code == 0, done.output
    assert "4 pictures to judge on are also among those to learn from" in done.stderr
    assert run_facts(tmp_path / "run")["counts"]["train_pictures"] == 32  # type: ignore[index]


def test_splits_of_a_karpathy_file_are_learned_from_and_judged_on(tmp_path: Path) -> None:
    write_corpus(tmp_path / "pictures", NAMES[:20])
    images = [
        {
            "filename": f"{row}.png",
            "split": "train" if row < 15 else "val",
            "sentences": [{"raw": name, "sentid": row}],
            "imgid": row,
        }
        for row, name in enumerate(NAMES[:20])
    ]
    table = tmp_path / "dataset.json"
    table.write_text(json.dumps({"images": images, "dataset": "drawn"}), encoding="utf-8")

    done = vlsearch(
        "train", table, "--images", tmp_path / "pictures", "--split", "train", "--val-split", "val",
        "--out", tmp_path / "run", *NEW, *QUICK[:4],
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    counts = run_facts(tmp_path / "run")["counts"]
    assert (counts["train_pictures"], counts["val_pictures"]) == (15, 5)  # type: ignore[index]


def test_pictures_that_cannot_be_used_are_counted_named_and_kept_in_the_record(
    corpus: Path, tmp_path: Path
) -> None:
    (corpus.parent / "3.png").write_bytes(b"no picture")

    done = vlsearch("train", corpus, "--out", tmp_path / "run", *NEW, *QUICK)

    assert done.exit_code == 0
    assert "1 item failed" in done.stderr
    assert "3.png: not a picture" in done.stderr
    assert len(run_facts(tmp_path / "run")["failures"]) == 1  # type: ignore[arg-type]


def test_a_cache_that_is_named_stays_and_serves_the_next_run(corpus: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = vlsearch(
            "train", corpus, "--out", tmp_path / name, *NEW, *QUICK, "--cache", tmp_path / "cache"
        )
        assert done.exit_code == 0, done.output

    assert len(list((tmp_path / "cache").glob("*.u8"))) == 2  # to learn from, to judge on; not four
    one, two = (load_file(tmp_path / name / "last" / "model.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_teachers_rows_are_taken_in_the_corpus_s_order(corpus: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "texts.npy", np.eye(36, 8, dtype=np.float32))

    done = vlsearch(
        "train", corpus, "--out", tmp_path / "run", *NEW, *QUICK, "--teacher-texts", tmp_path / "texts.npy"
    )

    assert done.exit_code == 0, done.output


# --- killed and resumed


KILLED_AT_ITS_FIRST_CHECKPOINT = """
import os, signal, sys
from indexer.training import loop
from retrieval.cli import main

write = loop.write_checkpoint

def write_and_die(*arguments):
    write(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

loop.write_checkpoint = write_and_die
main(sys.argv[1:])
"""
"""A kill from outside would come at a moment that depends on how busy the machine is."""


def start(
    corpus: Path, out: Path, *options: str, program: tuple[str, str] = ("-m", "retrieval.cli")
) -> subprocess.Popen[bytes]:
    command = [sys.executable, *program, "train", str(corpus), "--out", str(out), *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> str:
    _, said = process.communicate(timeout=600)
    return said.decode()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("kind", ["clip", "adapters", "new", "norms"])
def test_a_run_that_was_killed_and_resumed_equals_an_uninterrupted_one_bit_for_bit(
    kind: str, corpus: Path, tmp_path: Path
) -> None:
    source = checkpoint("clip", tmp_path / "clip")
    model = {
        "clip": ("--model", str(source)),
        "adapters": ("--model", str(source), "--lora", "2"),
        "new": NEW,
        "norms": (
            "--image-backbone",
            "mobilenet_v2",
            *NEW[2:],
        ),  # from scratch: batch norms move their statistics
    }[kind]
    options = (
        *model,
        "--epochs",
        "12",
        "--batch-size",
        "4",
        "--val-share",
        "0.25",
        "--checkpoint-steps",
        "2",
        "--device",
        "cpu",
    )
    whole, cut = tmp_path / "whole", tmp_path / "cut"

    process = start(corpus, cut, *options, program=("-c", KILLED_AT_ITS_FIRST_CHECKPOINT))
    said = finish(process)
    assert process.returncode == -signal.SIGKILL, said
    resumed, uninterrupted = start(corpus, cut, *options), start(corpus, whole, *options)
    both = finish(resumed), finish(uninterrupted)
    assert (resumed.returncode, uninterrupted.returncode) == (0, 0), both

    for name in ("best/model.safetensors", "last/model.safetensors"):
        one, other = load_file(whole / name), load_file(cut / name)
        assert all(torch.equal(one[key], other[key]) for key in one | other)
    ours, theirs = (
        [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        for out in (cut, whole)
    )
    assert [(line["epoch"], line["loss"]) for line in ours] == [
        (line["epoch"], line["loss"]) for line in theirs
    ]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for others")
def test_ctrl_c_keeps_a_checkpoint_and_says_how_to_go_on(corpus: Path, tmp_path: Path) -> None:
    process = start(
        corpus, tmp_path / "run", *NEW, "--epochs", "100000", "--batch-size", "4", "--checkpoint-steps", "1"
    )
    while not (tmp_path / "run" / "checkpoint.safetensors").exists() and process.poll() is None:
        time.sleep(0.02)

    process.send_signal(signal.SIGINT)

    said = finish(process)
    assert process.returncode == 130, said
    assert "Run the same command again to go on" in said
    assert (tmp_path / "run" / "curves.png").exists()


# --- what is refused

ERRORS = [
    # options, exit code, what the sentence says
    ("{corpus} --model none", 2, "no model goes by the name 'none'"),
    ("{corpus} --model none/such", 1, "none/such is not in the local cache"),
    ("{corpus} --model {here}", 1, "config.json cannot be read"),
    ("{corpus} --model mini --lora 4", 2, "--lora adapts hub checkpoints, and mini is a two-tower model"),
    ("{corpus} --lora 4", 2, "--lora adapts a model that is there; name one with --model"),
    ("{corpus} --model {clip} --frozen-stages 2", 2, "use --locked-image-epochs"),
    ("{corpus} --model {clip} --image-backbone resnet50", 2, "--image-backbone makes a new model"),
    ("{corpus} --image-backbone tiny --frozen-stages 99", 1, "99 cannot stay frozen; lower --frozen-stages"),
    ("{corpus} --image-weights {here}/none", 1, "holds no weights of resnet50"),
    ("{corpus} --text-weights {here}", 1, "is not a BERT model folder"),
    ("{corpus} --text-weights {clip}", 1, "holds clip and not BERT"),
    ("{corpus} --text-backbone bag --text-weights {clip}", 2, "use --text-backbone bert"),
    ("{corpus} --image-backbone tiny --chunk-size 4", 2, "leave --chunk-size out, or use --norms stored"),
    ("{corpus} --image-backbone tiny --loss distillation", 2, "give --teacher-images or --teacher-texts"),
    ("{corpus} --image-backbone tiny --val x --val-split val", 2, "give one of them"),
    ("{corpus} --image-backbone tiny --device none", 1, "try --device cpu"),
    ("{corpus} --image-backbone tiny --teacher-texts {here}/none", 1, "cannot be read as npy"),
    ("{corpus} --image-backbone tiny --split train", 2, "--split has no meaning for"),
    ("{here}/none.csv", 2, "there is no such file or folder"),
    ("{here}", 1, "0 pictures with captions are left to learn from"),
    ("{corpus} --out {here}", 1, "holds files and no training run"),
    ("{corpus} --model {clip} --lora-alpha 4", 2, "--lora-alpha scales the adapters of --lora; give both"),
    ("{corpus} --text-backbone bag --text-layers 2", 2, "--text-layers counts those of a BERT from scratch"),
    ("{corpus} --image-backbone tiny --head-rate nan", 2, "head-rate is nan, and must be a number from 0"),
    ("{corpus} --image-backbone tiny --device meta", 1, "device meta cannot be used"),
    ("{corpus} --image-backbone tiny --text-backbone bag --val {corpus}", 1, "0 pictures with captions are left to "
     "learn from (0 failed, 36 held out to judge on)"),
    ("{corpus} --image-backbone tiny --text-backbone bag --val {broken}", 1, "to judge the model on (1 failed)"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "code", "sentence"), ERRORS, ids=[line for line, _, _ in ERRORS])
def test_an_error_is_a_sentence_and_an_exit_code(
    line: str, code: int, sentence: str, corpus: Path, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    Image.new("RGB", (20, 20)).save(here / "without_captions.png")
    clip = checkpoint("clip", tmp_path / "clip")
    broken = write_corpus(tmp_path / "broken", NAMES[:1])
    (broken.parent / "0.png").write_bytes(b"no picture")
    places = {"corpus": corpus, "here": here, "clip": clip, "broken": broken}
    words = [word.format(**places) for word in line.split()]

    done = vlsearch("train", *words, *(() if "--out" in words else ("--out", tmp_path / "run")), *QUICK[:4])

    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == code, done.output
    assert sentence in done.stderr
    assert done.stdout == ""


def test_a_split_that_leaves_less_than_two_pictures_says_what_it_held_out(tmp_path: Path) -> None:
    two = write_corpus(tmp_path / "two", NAMES[:2])

    done = vlsearch("train", two, "--out", tmp_path / "run", *NEW, *QUICK)

    assert done.exit_code == 1
    assert "1 picture with captions is left to learn from (0 failed, 1 held out to judge on)" in done.stderr


def test_a_batch_larger_than_the_corpus_takes_all_of_it_and_that_is_said(
    corpus: Path, tmp_path: Path
) -> None:
    done = vlsearch("train", corpus, "--out", tmp_path / "run", *NEW, *QUICK, "--batch-size", "100")

    assert done.exit_code == 0, done.output
    assert "each step takes all 27 pictures" in done.stderr


@pytest.mark.parametrize("damage", ["5", "[]", '{"settings": 3}', "{"])
def test_a_damaged_record_of_a_run_is_named(corpus: Path, tmp_path: Path, damage: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(damage)

    done = vlsearch("train", corpus, "--out", tmp_path / "run", *NEW, *QUICK)

    assert done.exit_code == 1
    assert "run.json is damaged" in done.stderr


def test_a_run_that_is_over_says_that_its_best_model_is_gone(corpus: Path, tmp_path: Path) -> None:
    vlsearch("train", corpus, "--out", tmp_path / "run", *NEW, *QUICK)
    shutil.rmtree(tmp_path / "run" / "best")

    done = vlsearch("train", corpus, "--out", tmp_path / "run", *NEW, *QUICK)

    assert done.exit_code == 1
    assert "was deleted and its weights cannot be restored; train again with another --out" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize(("room", "file"), [(10, "run.json"), (20_000, ".u8")])
def test_a_disk_that_is_full_from_the_start_is_a_sentence_with_the_file(
    corpus: Path, tmp_path: Path, room: int, file: str
) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))  # of any file from here on
    try:
        done = vlsearch("train", corpus, "--out", tmp_path / "run", *NEW, *QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 1
    assert f"{file} cannot be written" in done.stderr


def test_a_run_with_other_settings_is_refused_and_both_values_are_named(corpus: Path, tmp_path: Path) -> None:
    vlsearch("train", corpus, "--out", tmp_path / "run", *NEW, *QUICK)

    done = vlsearch("train", corpus, "--out", tmp_path / "run", *NEW, *QUICK, "--epochs", "3")

    assert done.exit_code == 1
    assert "recipe.epochs was 2 and is 3" in done.stderr


def test_a_run_goes_on_only_with_the_pictures_that_it_began_with(corpus: Path, tmp_path: Path) -> None:
    vlsearch("train", corpus, "--out", tmp_path / "run", *NEW, *QUICK)
    Image.fromarray(picture(NAMES[0], 60)).save(corpus.parent / "0.png")

    done = vlsearch("train", corpus, "--out", tmp_path / "run", *NEW, *QUICK)

    assert done.exit_code == 1
    assert "other settings" in done.stderr


def test_two_runs_in_one_folder_are_refused(corpus: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    vlsearch("train", corpus, "--out", tmp_path / "run", *NEW, *QUICK)

    with FileLock(tmp_path / "run" / ".lock"):
        done = vlsearch("train", corpus, "--out", tmp_path / "run", *NEW, *QUICK)

    assert done.exit_code == 1
    assert "another process is training in" in done.stderr


def test_curves_that_cannot_be_drawn_are_said_to_be_missing(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    done = vlsearch("train", corpus, "--out", tmp_path / "run", *NEW, *QUICK)

    assert done.exit_code == 0, done.output
    assert "pip install 'vlsearch[plot]'" in done.stderr
    assert not (tmp_path / "run" / "curves.png").exists()
