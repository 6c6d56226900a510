"""``vlsearch eval --task caption``: what it prints and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import Run

CAPTIONS = {"red": "a red square", "green": "a green thing", "blue": "blue"}


def written(tmp_path: Path, captions: dict[str, str], suffix: str = ".json") -> Path:
    """A file of captions, as another program would write it."""
    file = tmp_path / f"captions{suffix}"
    records = [{"image_id": name, "caption": caption} for name, caption in captions.items()]
    if suffix == ".json":
        text = json.dumps(records)
    elif suffix == ".jsonl":
        text = "\n".join(map(json.dumps, records))
    else:
        text = "image\tcaption\n" + "".join(f"{name}.png\t{words}\n" for name, words in captions.items())
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".tsv"])
def test_the_figures_of_a_file_are_printed_whatever_its_format(
    run: Run, photos: Path, tmp_path: Path, suffix: str
) -> None:
    file = written(tmp_path, CAPTIONS, suffix)

    shown = run("eval", photos, "--task", "caption", "--predictions", file)
    record = json.loads(run("eval", photos, "--task", "caption", "--predictions", file, "--json").stdout)

    assert shown.exit_code == 0, shown.output
    assert "photos (en): 3 pictures, 6 references" in shown.stdout
    assert "words after the Penn Treebank" in shown.stdout
    assert f"{100 * record['metrics']['bleu_1']:.2f}" in shown.stdout
    assert list(record["metrics"]) == ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "cider_d", "rouge_l"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "a.csv",
            'image,caption\nred.png,"a red\n\nsquare"\ngreen.png,"a ""green"" thing"\n\nblue.png,blue\n',
        ),
        (
            "a.tsv",
            'image\tcaption\nred.png\t"a red square\ngreen.png\ta "green" thing\n\nblue.png\tblue\n',
        ),
    ],
)
def test_tables_are_read_as_those_of_corpora_are(
    run: Run, photos: Path, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    plain = written(tmp_path, CAPTIONS)  # marks do not count

    of_table = run("eval", photos, "--task", "caption", "--predictions", tmp_path / name, "--json")

    assert of_table.exit_code == 0, of_table.output
    expected = run("eval", photos, "--task", "caption", "--predictions", plain, "--json")
    assert json.loads(of_table.stdout)["metrics"] == json.loads(expected.stdout)["metrics"]


def test_a_row_with_other_fields_is_named_by_the_line_it_ends_on(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv"
    file.write_text('image,caption\nred.png,"a\nb"\ngreen.png,a,thing\n', encoding="utf-8")

    done = run("eval", photos, "--task", "caption", "--predictions", file)

    assert done.exit_code == 2
    assert "a.csv:4: the row that ends here has 3 fields, and the heading 2" in " ".join(done.stderr.split())


def test_a_picture_may_be_named_by_any_end_of_its_path(run: Run, photos: Path, tmp_path: Path) -> None:
    names = (f"{photos.name}/red.png", f"./{photos.name}/green.png", "blue")
    file = written(tmp_path, dict(zip(names, CAPTIONS.values(), strict=True)))

    done = run("eval", photos, "--task", "caption", "--predictions", file, "--json")

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["metrics"]["bleu_1"] > 0


def test_captions_that_are_references_have_the_highest_figures(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    own = {name: (photos / f"{name}.txt").read_text(encoding="utf-8").splitlines()[0] for name in CAPTIONS}

    done = run("eval", photos, "--task", "caption", "--predictions", written(tmp_path, own), "--json")

    metrics = json.loads(done.stdout)["metrics"]
    assert metrics["bleu_1"] == pytest.approx(1)
    assert metrics["rouge_l"] == pytest.approx(1)


def test_clipscore_is_printed_by_the_model_that_is_named(
    run: Run, photos: Path, model: Path, tmp_path: Path
) -> None:
    file = written(tmp_path, CAPTIONS)
    options: list[str | Path] = ["--predictions", file, "--clip-model", model, "--cache", tmp_path / "c"]

    metrics = json.loads(run("eval", photos, "--task", "caption", *options, "--json").stdout)["metrics"]

    assert 0 <= metrics["clipscore"] <= 2.5
    assert 0 <= metrics["refclipscore"] <= 2.5


def test_pictures_without_a_reference_are_left_out_and_counted(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    (photos / "blue.txt").unlink()
    captions = {name: words for name, words in CAPTIONS.items() if name != "blue"}

    done = run("eval", photos, "--task", "caption", "--predictions", written(tmp_path, captions))

    assert done.exit_code == 0, done.output
    assert "2 pictures, 4 references" in done.stdout
    assert "1 picture without a reference left out" in done.stdout
    assert "miss" not in done.stdout


@pytest.mark.parametrize(
    ("captions", "sentence"),
    [
        ({"red": "a"}, "2 of the 3 pictures have no caption (the first is "),
        (CAPTIONS | {"yellow": "a"}, "'yellow': no picture has that name"),
        (CAPTIONS | {"red.png": "a"}, "'red.png' has a caption already"),
    ],
)
def test_captions_that_do_not_go_with_the_pictures_are_refused(
    run: Run, photos: Path, tmp_path: Path, captions: dict[str, str], sentence: str
) -> None:
    done = run("eval", photos, "--task", "caption", "--predictions", written(tmp_path, captions))

    assert (done.exit_code, done.stdout) == (1, "")
    assert sentence in done.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}\n", "no picture is named (image_id, image, uri, file_name, key)"),
        ('[{"image_id": 1}]', "there is no caption"),
        ("[1]", "this is not an object"),
        ("3", "this is not a list of captions"),
        ("red\ta red square", "this is not JSON"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_holds_no_captions_is_a_sentence(
    run: Run, photos: Path, tmp_path: Path, text: str, sentence: str
) -> None:
    file = tmp_path / "captions.json"
    file.write_text(text, encoding="utf-8")

    done = run("eval", photos, "--task", "caption", "--predictions", file)

    assert done.exit_code == 2
    assert sentence in done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--task", "caption"], "give --predictions FILE or --model MODEL"),
        (["--task", "caption", "--predictions", "x", "--k", "1"], "--k has no meaning for --task caption"),
        (["--predictions", "x"], "go with --task caption"),
    ],
)
def test_options_of_another_task_are_refused(
    run: Run, photos: Path, options: list[str], sentence: str
) -> None:
    done = run("eval", photos, *options)

    assert done.exit_code == 2
    assert sentence in done.stderr
