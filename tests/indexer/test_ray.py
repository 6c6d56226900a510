"""Encoding on a Ray cluster makes what one machine makes, whatever becomes of the workers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import indexer
from indexer import Progress
from indexer.shard_transfer import pieces_of, receive
from retrieval.errors import ClusterError, UsageError
from tests.builders import HashEncoder
from tests.command_line import Run
from tests.faults.deadly_encoder import DeadlyEncoder
from tests.faults.states import state_of
from tests.faults.work import make_corpus
from tests.without_packages import ROOT, run_without


@pytest.mark.slow
def test_a_run_on_ray_with_a_worker_killed_is_to_the_last_bit_the_plain_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for workers, which import the encoder
    corpus = make_corpus(tmp_path / "pictures")
    plain = indexer.build(corpus, tmp_path / "plain", model=HashEncoder(), workers=1)
    seen: list[Progress] = []

    report = indexer.build_on_ray(
        corpus,
        tmp_path / "collection",
        address="local",
        shards=3,
        model=DeadlyEncoder(tmp_path / "killed"),
        on_progress=seen.append,
    )

    assert (tmp_path / "killed").exists()
    assert "1 lost and begun again" in [one for one in seen if one.stage == "indexing shards"][-1].note
    assert state_of(tmp_path / "collection").holdings == state_of(tmp_path / "plain").holdings
    assert replace(report, seconds=0) == replace(plain, seconds=0)
    assert not (tmp_path / "collection.shards").exists()

    with pytest.raises(UsageError, match="index what is new without --ray"):
        indexer.build_on_ray(corpus, tmp_path / "collection", address="local", model=HashEncoder())


def test_a_shard_arrives_as_it_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = make_corpus(tmp_path / "pictures", 6)
    indexer.build(corpus, tmp_path / "sent", model=HashEncoder(), workers=1)
    monkeypatch.setattr("indexer.shard_transfer.PIECE_BYTES", 1000)

    folder = receive(pieces_of(tmp_path / "sent"), tmp_path / "received")

    assert state_of(folder) == state_of(tmp_path / "sent")
    assert indexer.doctor(folder) == indexer.Diagnosis((), ())


@pytest.mark.parametrize("name", ["../stray", "segments/../../stray", "segments/stray", "/etc/stray", ""])
def test_a_piece_of_no_file_of_a_collection_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ClusterError, match="not a file of a collection"):
        receive([(name, b"bytes")], tmp_path / "received")
    assert [path.name for path in tmp_path.rglob("*stray*")] == []


def test_a_shard_that_breaks_off_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="sent no whole shard"):
        receive([], tmp_path / "received")
    assert not (tmp_path / "received").exists()


def test_a_cluster_that_is_not_there_is_said(tmp_path: Path, run: Run) -> None:
    pytest.importorskip("ray")
    corpus = make_corpus(tmp_path / "pictures", 6)

    done = run("index", corpus, "--ray", "127.0.0.1:1", "--collection", tmp_path / "collection")

    assert done.exit_code == 1
    assert "there is no Ray cluster at 127.0.0.1:1" in done.stderr


@pytest.mark.parametrize("option", ["--prune", "--reread", "--retry-failed", "--regions", "--relative"])
def test_what_a_run_on_ray_does_not_do_is_refused(tmp_path: Path, run: Run, option: str) -> None:
    done = run("index", tmp_path, "--ray", "local", option, "--collection", tmp_path / "collection")

    assert (done.exit_code, f"leave {option} out" in done.stderr) == (2, True)


def test_options_of_a_cluster_need_one(tmp_path: Path, run: Run) -> None:
    assert "say how --ray ADDRESS divides" in run("index", tmp_path, "--ray-cpus", "0.5").stderr
    assert "name it" in run("index", "--ray", "local").stderr


def test_without_ray_its_extra_is_named(tmp_path: Path) -> None:
    arguments: list[str | Path] = [
        "index",
        tmp_path,
        "--ray",
        "local",
        "--collection",
        tmp_path / "collection",
    ]

    (done,), imported = run_without(["ray"], arguments)

    assert (done.exit_code, "pip install 'vlsearch[ray]'" in done.stderr, imported) == (1, True, [])
