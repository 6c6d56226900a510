"""Mistakes on the command lines that care for a collection, train and evaluate: a sentence and an exit code each."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.command_line import Run

USAGE, FAILED, NOT_EXAMINED = 2, 1, 3

NO_COLLECTION = "there is no collection at {here}; make one with: vlsearch index CORPUS --collection {here}"
MISTAKES = [
    # arguments, exit code, what the sentence says
    ("hide", USAGE, "Missing argument 'NAME...'"),
    ("hide ''", USAGE, "the name of an item is empty; name its key, its uri or a path (. is this folder)"),
    ("hide nothing", USAGE, "has no item under nothing; index it first, or name a file"),
    ("hide notes.txt", USAGE, "has no item under notes.txt; index it first"),
    ("hide red --wait -1", USAGE, "-1.0 is not in the range x>=0"),
    ("hide red --wait nan", USAGE, "the timeout is nan; give seconds to wait for another writer, 0 or more"),
    ("hide red --collection {here}", FAILED, NO_COLLECTION),
    ("hide red --collection ''", USAGE, "it is empty; name a folder, or leave the option out"),
    ("unhide", USAGE, "Missing argument 'NAME...'"),
    ("unhide ''", USAGE, "the name of an item is empty"),
    ("unhide nothing", USAGE, "hides nothing under nothing; see what it hides with: vlsearch info --hidden"),
    ("unhide red --collection {here}", FAILED, NO_COLLECTION),
    ("delete red --collection {here}", FAILED, NO_COLLECTION),
    ("delete red --wait later", USAGE, "'later' is not a valid float range"),
    ("optimize --recall 0", USAGE, "0.0 is not in the range 0<x<1"),
    ("optimize --recall 1", USAGE, "1.0 is not in the range 0<x<1"),
    ("optimize --collection {here}", FAILED, NO_COLLECTION),
    ("optimize {here}", USAGE, "Got unexpected extra argument ({here})"),
    ("doctor --collection {here}", NOT_EXAMINED, NO_COLLECTION),
    ("doctor --repair --collection {here}", NOT_EXAMINED, NO_COLLECTION),
    ("doctor extra", USAGE, "Got unexpected extra argument (extra)"),
    ("info extra", USAGE, "Got unexpected extra argument (extra)"),
    ("info --hidden --failures", USAGE, "are lists of their own; ask for one of them"),
    ("export", USAGE, "Missing argument 'FOLDER'"),
    ("export {here}", USAGE, "{here} is there already; export into a new folder"),
    ("export notes.txt", USAGE, "notes.txt is there already; export into a new folder"),
    ("export {collection}", USAGE, "is there already; export into a new folder"),
    ("export new --collection {here}", FAILED, NO_COLLECTION),
    ("import", USAGE, "Missing argument 'FOLDER'"),
    ("import {here}", USAGE, "Name a folder that vlsearch export or clip-retrieval inference wrote."),
    ("import none", USAGE, "does not hold metadata/metadata_*.parquet"),
    ("import notes.txt", USAGE, "does not hold metadata/metadata_*.parquet"),
    ("reindex", USAGE, "Missing option '--model'"),
    ("reindex --model none", USAGE, "no model goes by the name 'none'; known are mini,"),
    ("reindex --model minny", USAGE, "no model goes by the name 'minny'; did you mean mini"),
    ("reindex --model {here}", FAILED, "{here}/config.json cannot be read"),
    ("reindex --model {model} --collection {here}", FAILED, NO_COLLECTION),
    ("reindex --model {model} --max-memory 1M", USAGE, "1M is too little; give at least 1G"),
    ("reindex --model {model} --max-memory lots", USAGE, "'lots' is not an amount of memory; write it as in 4G"),
    ("reindex --model {model} --timeout 0", USAGE, "0.0 is not in the range 0<x<=86400"),
    ("reindex --model {model} --timeout 86401", USAGE, "86401.0 is not in the range 0<x<=86400"),
    ("reindex --model {model} --runtime tpu", USAGE, "'tpu' is not one of 'auto', 'torch', 'openvino'"),
    ("train", USAGE, "Missing argument 'CORPUS'"),
    ("train {here}", USAGE, "Missing option '--out'"),
    ("train {here} --out {here}/notes.txt", FAILED, "Not a directory; check the path and your rights to it"),
    ("train {here} --out new --epochs 0", USAGE, "0 is not in the range x>=1"),
    ("train {here} --out new --batch-size 1", USAGE, "1 is not in the range x>=2"),
    ("train {here} --out new --val-share 0.9", USAGE, "0.9 is not in the range 0<x<=0.5"),
    ("train {here} --out new --loss hinge", USAGE, "'hinge' is not one of 'infonce', 'sigmoid', 'triplet', 'disti"),
    ("train {here} --out new --model {model} --image-size 32 --text-backbone bag", USAGE, "make a new model, and --mo"),
    ("train {here} --out new --model {model} --image-size 32", USAGE, "--image-size makes a new model"),
    ("eval", USAGE, "Missing argument 'CORPUS'"),
    ("eval none", USAGE, "none: there is no such file or folder. Check the path."),
    ("eval {here} --protocol none", USAGE, "there is no protocol 'none'; there are flickr8k, flickr30k, coco-5k,"),
    ("eval {here} --k 0", USAGE, "K counts from 1, not 0; give --k 1,5,10"),
    ("eval {here} --k x", USAGE, "'x' is not a list of numbers; write it as 1,5,10"),
    ("eval {photos} --model none", USAGE, "no model goes by the name 'none'"),
    ("eval {photos} --model {model} --collection {here}", FAILED, NO_COLLECTION),
    ("eval {photos} --model {model} --folds 2", FAILED, "3 pictures cannot be cut into 2 equal folds"),
    ("eval {photos} --model {model} --template words", USAGE, "template 'words' has no {{}} where the text goes"),
    ("eval {photos} --model {model} --k 5", FAILED, "have 3; choose a k from 1 to 3"),
    ("eval {here}/sub --model {model}", FAILED, "sub has 0 pictures, 0 texts and 0 links between them"),
    ("eval {here}/captions.csv --model {model}", FAILED, "so mend or replace it"),
    ("classify", USAGE, "Missing argument 'CORPUS'"),
    ("classify {here}/none", FAILED, "{here}/none does not exist; give a folder with one folder a class, or a tar"),
    ("classify {here}/sub --model {model}", FAILED, "{here}/sub holds no labelled pictures"),
    ("classify {here}/notes.txt --model {model}", USAGE, "Give a folder with one folder a class, or a plain tar."),
    ("models show", USAGE, "No such command 'show'"),
    ("models get", USAGE, "Missing argument 'NAME'"),
    ("models get ../escape", USAGE, "there is no model folder at {here}/../escape"),
    ("models remove", USAGE, "Missing argument 'NAME'"),
    ("models remove none", USAGE, "no model goes by the name 'none'"),
    ("models remove {here}", USAGE, "is a folder of yours, not in the hub's cache; delete it yourself"),
    ("demo extra", USAGE, "Got unexpected extra argument (extra)"),
    ("demo --model none", USAGE, "no model goes by the name 'none'"),
    ("demo --collection ''", USAGE, "it is empty; name a folder, or leave the option out"),
    ("demo --collection {here} --model {model}", USAGE, "is not a collection and holds other files"),
    ("--nothing", USAGE, "No such option '--nothing'"),
    ("index {photos} --caption-column x", USAGE, "--caption-column has no meaning for {photos}, read as folder"),
    ("index {photos} --image-column x", USAGE, "--image-column has no meaning for {photos}, read as folder"),
    ("index captions.csv --image-column nope", USAGE, "captions.csv:1: has no column 'nope'; its columns are: image,"),
    ("index captions.csv --caption-column nope", USAGE, "has no column 'nope'; its columns are: image, caption."),
    ("index captions.csv --images none", USAGE, "is not a folder; pictures are looked for in the folder that --im"),
    ("index captions.csv --lang e", USAGE, "'e' is not a language tag; write one such as en, zh or pt-BR"),
    ("index {photos} --workers 0", USAGE, "0 is not in the range x>=1"),
    ("index {photos} --max-bytes 0", USAGE, "0 is not in the range x>=1"),
    ("index {photos} --max-memory 0.5G", USAGE, "0.5G is too little; give at least 1G"),
    ("index {photos} --wait -3", USAGE, "-3.0 is not in the range x>=0"),
    ("query --from {here}", USAGE, "Is a directory"),
    ("query image:", USAGE, "a picture of the query has no name; write its path or URL after image:"),
    ("query 'image: '", USAGE, "a picture of the query has no name"),
    ("query text:", USAGE, "the text of a query is empty; write the words to look for"),
    ("query key:nothing", USAGE, "has no item with the key 'nothing', or hides it"),
    ("query 0:red", USAGE, "the weight of 'red' is 0; a weight is a finite number other than 0"),
]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a text, a folder without pictures and a table of a picture that is not there."""
    folder = tmp_path / "here"
    (folder / "sub").mkdir(parents=True)
    (folder / "notes.txt").write_text("words\n")
    (folder / "captions.csv").write_text("image,caption\na.jpg,red\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(("line", "code", "sentence"), MISTAKES, ids=[line for line, _, _ in MISTAKES])
def test_a_mistake_is_a_sentence_and_an_exit_code(
    run: Run,
    line: str,
    code: int,
    sentence: str,
    collection: Path,
    model: Path,
    here: Path,
    indexed_photos: Path,
) -> None:
    places = {"here": here, "collection": collection, "model": model, "photos": indexed_photos}
    before = sorted(path for path in here.rglob("*") if path.name not in ("new", ".lock"))

    done = run(*(word.format(**places) for word in shlex.split(line)))

    assert isinstance(done.exception, SystemExit)  # anything else would be a traceback
    assert done.exit_code == code, done.output
    assert sentence.format(**places) in done.stderr
    assert done.stdout == ""
    assert sorted(path for path in here.rglob("*") if path.name not in ("new", ".lock")) == before


@pytest.mark.parametrize("command", sorted({line.split()[0] for line, _, _ in MISTAKES if line[0] != "-"}))
def test_every_command_explains_an_option_that_it_does_not_have(run: Run, command: str) -> None:
    done = run(command, "--no-such-option")

    assert done.exit_code == USAGE
    assert "No such option '--no-such-option'" in done.stderr or "no-such" in done.stderr
    assert "Traceback" not in done.output
