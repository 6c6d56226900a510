"""``vlsearch eval``: what it prints, writes and refuses."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import click
import ir_measures
import pytest
from ir_measures import R, Success, nDCG
from PIL import Image

from retrieval.cli import main
from retrieval.evaluation.protocols import PROTOCOLS
from tests.command_line import Run
from tests.trec import read_trec_qrels, read_trec_run


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def records(text: str) -> list[dict[str, dict[str, float]]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_table_says_by_which_protocol_of_what_and_how_pictures_were_prepared(
    run: Run, photos: Path, model: Path, cache: Path
) -> None:
    done = run("eval", photos, "--model", model, "--cache", cache)

    assert done.exit_code == 0, done.output
    for words in (
        "photos (en): 3 pictures, 6 texts, 6 links",
        "text to image: 6 queries, ranked among 3",
        "image to text: 3 queries, ranked among 6",
        "protocol     a corpus of your own",
        "denominator  every text",
        "precision float32 (images torch, texts numpy); preprocessing: image.",
        "image.backbone tiny, ",
        "hit rate@K",
        "recall@K",
        "with ties",
        "95 %: bootstrap by picture",
    ):
        assert words in done.stdout


def test_ks_beyond_the_smallest_gallery_are_left_out_unless_asked_for(
    run: Run, photos: Path, model: Path, cache: Path
) -> None:
    usual = run("eval", photos, "--model", model, "--cache", cache, "--json")
    asked = run("eval", photos, "--model", model, "--cache", cache, "--json", "--k", "3,2,2")
    beyond = run("eval", photos, "--model", model, "--cache", cache, "--k", "1,4")

    assert [name for name in records(usual.stdout)[0]["metrics"] if "l_recall@" in name] == [
        "image_retrieval_recall@1", "text_retrieval_recall@1",
    ]  # fmt: skip
    assert {"image_retrieval_recall@2", "image_retrieval_recall@3"} <= set(
        records(asked.stdout)[0]["metrics"]
    )
    assert (beyond.exit_code, "they have 3; choose a k from 1 to 3" in beyond.stderr) == (1, True)


def test_json_and_trec_files_agree_with_ir_measures(
    run: Run, photos: Path, model: Path, cache: Path, tmp_path: Path
) -> None:
    done = run(
        "eval", photos, "--model", model, "--cache", cache, "--json", "--k", "1,2", "--trec", tmp_path / "t"
    )

    assert done.exit_code == 0, done.output
    metrics = records(done.stdout)[0]["metrics"]
    for direction, kind in (("t2i", "image"), ("i2t", "text")):
        theirs = ir_measures.calc_aggregate(
            [Success @ 1, Success @ 2, R @ 2, nDCG @ 2],
            read_trec_qrels(tmp_path / "t" / f"{direction}.qrels"),
            read_trec_run(tmp_path / "t" / f"{direction}.tiny.run"),
        )
        assert theirs[Success @ 1] == pytest.approx(metrics[f"{kind}_retrieval_recall@1"])
        assert theirs[Success @ 2] == pytest.approx(metrics[f"{kind}_retrieval_recall@2"])
        assert theirs[R @ 2] == pytest.approx(metrics[f"{kind}_retrieval_trec_recall@2"])
        assert theirs[nDCG @ 2] == pytest.approx(metrics[f"{kind}_retrieval_ndcg@2"])
        assert metrics[f"{kind}_retrieval_hits@1"] == round(
            metrics[f"{kind}_retrieval_recall@1"] * metrics[f"{kind}_retrieval_queries"]
        )


def test_several_models_stand_side_by_side_with_their_differences_tested(
    run: Run, photos: Path, model: Path, cache: Path, tmp_path: Path
) -> None:
    shutil.copytree(model, tmp_path / "other")

    done = run("eval", photos, "--model", model, "--model", tmp_path / "other", "--cache", cache)

    assert done.exit_code == 0, done.output
    assert "differences between models" in done.stdout
    assert "two-sided paired sign-flip permutation test by image" in done.stdout
    assert "corrected by Holm over all 2 comparisons" in done.stdout
    assert "+0.00   1.0000      1.0000" in done.stdout


def test_a_second_run_takes_its_vectors_from_the_cache(
    run: Run, photos: Path, model: Path, cache: Path
) -> None:
    first = run("eval", photos, "--model", model, "--cache", cache)
    second = run("eval", photos, "--model", model, "--cache", cache)

    assert "vectors encoded in" in first.stdout
    assert "vectors from the cache" in second.stdout


def test_a_collection_is_asked_with_its_own_model_and_its_indexes_are_compared(
    run: Run, indexed_photos: Path, collection: Path, cache: Path
) -> None:
    done = run(
        "eval", indexed_photos, "--collection", collection, "--cache", cache, "--ann", "--index", "Flat"
    )

    assert done.exit_code == 0, done.output
    assert "asked of collection" in done.stdout
    assert "it holds 3 pictures, 6 texts" in done.stdout
    assert "recall lost" in done.stdout


def test_json_has_all_that_was_measured(
    run: Run, indexed_photos: Path, collection: Path, cache: Path, model: Path, tmp_path: Path
) -> None:
    shutil.copytree(model, tmp_path / "other")
    of_collection = ("--collection", collection, "--ann", "--index", "Flat")

    one = json.loads(run("eval", indexed_photos, *of_collection, "--cache", cache, "--json").stdout)
    several = run(
        "eval", indexed_photos, "--model", model, "--model", tmp_path / "other", "--cache", cache, "--json"
    )

    assert (
        one["collection"]["metrics"]["image_retrieval_recall@1"] == one["metrics"]["image_retrieval_recall@1"]
    )
    assert one["collection"]["seconds"]["image_retrieval"]["p50"] > 0
    assert [(index["name"], index["recall"]) for index in one["indexes"]] == [("Flat", 1.0)]
    for record in map(json.loads, several.stdout.splitlines()):
        assert {(found["first"], found["second"]) for found in record["comparisons"]} == {
            (model.name, "other")
        }


def test_the_model_of_the_working_folder_has_the_folder_s_name(
    run: Run, photos: Path, model: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model)

    done = run("eval", photos, "--model", ".", "--cache", cache, "--json", "--trec", tmp_path / "runs")

    assert json.loads(done.stdout)["model"] == model.name
    lines = (tmp_path / "runs" / f"t2i.{model.name}.run").read_text(encoding="utf-8").splitlines()
    assert {len(line.split(" ")) for line in lines} == {6}


def test_a_report_is_written_and_named(
    run: Run, photos: Path, model: Path, cache: Path, tmp_path: Path
) -> None:
    done = run("eval", photos, "--model", model, "--cache", cache, "--report", tmp_path / "report")

    assert done.exit_code == 0, done.output
    assert f"wrote {tmp_path / 'report' / 'report.html'}" in done.stderr
    assert "Worst misses of" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A folder with two classes, of one picture each."""
    for name in ("red square", "blue square"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        Image.new("RGB", (40, 30), name.split()[0]).save(tmp_path / "pets" / name / "1.png")
    return tmp_path / "pets"


def test_classify_prints_accuracies_or_clip_benchmarks_record(
    run: Run, model: Path, cache: Path, pets: Path
) -> None:
    arguments: list[str | Path] = ["classify", pets, "--model", model, "--cache", cache]

    shown, record = run(*arguments, "--template", "a {}", "--template", "the {}"), run(*arguments, "--json")

    assert shown.exit_code == 0, shown.output
    assert shown.stderr == ""
    assert "2 pictures of 2 classes" in shown.stdout
    assert "templates    a {}; the {}" in shown.stdout
    assert list(records(record.stdout)[0]["metrics"]) == ["acc1", "mean_per_class_recall"]


def test_classify_has_the_limits_of_every_command_that_decodes(
    run: Run, model: Path, cache: Path, pets: Path
) -> None:
    done = run("classify", pets, "--model", model, "--cache", cache, "--max-bytes", "10")

    assert done.exit_code == 1
    assert "red%20square/1.png" in done.stderr or "blue%20square/1.png" in done.stderr
    assert "fewer pictures would be other figures" in done.stderr


def test_eval_with_a_task_goes_on_for_one_release_and_names_the_new_command(
    run: Run, model: Path, cache: Path, pets: Path
) -> None:
    options: list[str | Path] = ["--model", model, "--cache", cache, "--template", "a {}", "--json"]
    names = pets.parent / "names.tsv"
    names.write_text("red square\tred\nblue square\tblue\n", encoding="utf-8")

    old = run("eval", pets, "--task", "classification", "--class-names", names, *options)
    new = run("classify", pets, "--class-names", names, *options)

    assert old.exit_code == new.exit_code == 0, old.output
    assert old.stdout == new.stdout
    assert old.stderr == (
        "vlsearch eval --task classification is deprecated and ends with the next release; use vlsearch classify\n"
    )


def test_the_help_of_eval_does_not_offer_what_is_deprecated(run: Run) -> None:
    shown = run("eval", "--help").stdout

    assert "classification" not in shown
    assert "--class-names" not in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--k", "ten"], "'ten' is not a list of numbers; write it as 1,5,10"),
        (["--k", "0"], "K counts from 1, not 0"),
        (["--seed", "-1"], "-1 is not in the range x>=0"),
        (
            ["--ann", "--index", "Flat;nprobe=0"],
            "FAISS takes no setting 'nprobe=0' of the index 'Flat;nprobe=0'",
        ),
        (["--protocol", "imagenet"], "there is no protocol 'imagenet'; there are flickr8k"),
        (["--template", "a photo"], "has no {} where the text goes"),
        (["--task", "classification", "--k", "1"], "--k has no meaning for vlsearch classify; leave it out"),
        (["--class-names", "x.txt"], "--class-names is an option of vlsearch classify; leave it out"),
        (["--caption-column", "captions_zh"], "--caption-column has no meaning for"),
    ],
)
def test_what_cannot_be_done_as_asked_is_a_sentence_and_exit_code_2(
    run: Run, photos: Path, model: Path, cache: Path, arguments: list[str], sentence: str
) -> None:
    done = run("eval", photos, "--model", model, "--cache", cache, *arguments)

    assert done.exit_code == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.output


def test_an_unreadable_picture_ends_the_evaluation_with_its_name(
    run: Run, photos: Path, model: Path, cache: Path
) -> None:
    (photos / "red.png").write_bytes(b"no picture")

    done = run("eval", photos, "--model", model, "--cache", cache)

    assert done.exit_code == 1
    assert "red.png" in done.stderr
    assert "figures over fewer pictures would be other figures" in done.stderr


def test_every_option_that_the_document_names_exists() -> None:
    document = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    command = main.get_command(click.Context(main), "eval")
    assert command is not None

    named = set(re.findall(r"--[a-z][a-z-]*", document))
    assert {"--protocol", "--trec", "--report", "--collection", "--ann"} <= named
    assert named <= {spelling for option in command.params for spelling in option.opts}


def test_every_protocol_that_help_and_document_name_is_one_and_none_is_left_out() -> None:
    document = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    command = main.get_command(click.Context(main), "eval")
    assert command is not None
    text = next(option for option in command.params if option.name == "protocol").to_info_dict()["help"]

    assert set(re.findall(r"[a-z0-9-]{4,}", text.partition(":")[2].partition(". [")[0])) == set(PROTOCOLS)
    assert set(re.findall(r"(?m)^\| `([a-z][a-z0-9-]+)` \|", document)) == set(PROTOCOLS)
