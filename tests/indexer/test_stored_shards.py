"""Shards in an S3 store: there as a whole or not at all, and merged only if they are what was sent."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import indexer
from indexer import stored_shards
from indexer.stored_shards import StoredShards
from retrieval.corpora import CorpusOptions, Shard, open_corpus
from retrieval.errors import ClusterError, UsageError
from retrieval.locations.object_store import StoreFault, read_object, write_object
from tests.builders import HashEncoder
from tests.command_line import Run
from tests.faults.states import state_of
from tests.faults.work import make_corpus
from tests.s3_server import Bucket, requests_counted


def shards_of(corpus: Path, count: int = 2) -> list[Path]:
    paths = [corpus.parent / f"shard-{number}" for number in range(1, count + 1)]
    for number, path in enumerate(paths, start=1):
        opened = open_corpus(str(corpus), CorpusOptions(shard=Shard(number, count)))
        indexer.build(opened, path, model=HashEncoder(), workers=1)
    return paths


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus, both its shards, and what a single run makes; only read."""
    folder = tmp_path_factory.mktemp("made")
    corpus = make_corpus(folder / "corpus", pictures=6)
    shards_of(corpus)
    indexer.build(corpus, folder / "single", model=HashEncoder(), workers=1)
    return folder


@pytest.fixture
def sent(bucket: Bucket, made: Path) -> str:
    """The address at which both shards are."""
    for number in (1, 2):
        indexer.send_shard(made / f"shard-{number}", f"s3://{bucket.name}/run")
    return f"s3://{bucket.name}/run"


def test_shards_that_are_sent_merge_to_what_a_single_run_makes(sent: str, made: Path, tmp_path: Path) -> None:
    indexer.merge([sent], tmp_path / "merged")

    assert state_of(tmp_path / "merged") == state_of(made / "single")
    assert not (tmp_path / "merged.fetched").exists()


def test_a_shard_that_is_there_is_not_sent_again(sent: str, made: Path) -> None:
    with requests_counted() as asked:
        indexer.send_shard(made / "shard-1", sent)

    assert "PutObject" not in {name for name, _ in asked}


def test_a_shard_that_changed_takes_the_place_of_what_was_sent(bucket: Bucket, tmp_path: Path) -> None:
    corpus, address = make_corpus(tmp_path / "corpus", pictures=4), f"s3://{bucket.name}/run"
    for shard in shards_of(corpus):
        indexer.send_shard(shard, address)
    (corpus / "new.png").write_bytes((corpus / "001.png").read_bytes() + b"behind its end")
    for shard in shards_of(corpus):
        indexer.send_shard(shard, address)
    indexer.build(corpus, tmp_path / "single", model=HashEncoder(), workers=1)

    indexer.merge([address], tmp_path / "merged")

    assert state_of(tmp_path / "merged") == state_of(tmp_path / "single")


def test_a_shard_whose_sending_breaks_off_at_any_object_is_not_there_until_it_is_sent_again(
    bucket: Bucket, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.shard_transfer.PIECE_BYTES", 100_000)
    monkeypatch.setattr(stored_shards, "PIECE_BYTES", 100_000)
    first, second = made / "shard-1", made / "shard-2"
    address = f"s3://{bucket.name}/deep/run/"
    indexer.send_shard(second, address)
    written: list[str] = []

    def write(bucket: str, key: str, data: bytes) -> None:
        if len(written) == limit:
            raise StoreFault("the connection to the store broke off")
        written.append(key)
        write_object(bucket, key, data)

    monkeypatch.setattr(stored_shards, "write_object", write)
    limit = 0
    while not written or written[-1] != "deep/run/shard-1-of-2.json":
        assert "deep/run/shard-1-of-2.json" not in bucket.listed()
        with pytest.raises(UsageError, match="has no shard 1/2; send what is missing"):
            indexer.merge([address], tmp_path / "merged")
        written.clear()
        with suppress(ClusterError):
            indexer.send_shard(first, address)
        limit += 1

    assert limit > 3
    indexer.merge([address], tmp_path / "merged")
    assert state_of(tmp_path / "merged") == state_of(made / "single")


def test_a_fetch_that_breaks_off_keeps_the_shards_that_are_whole(
    sent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(at: Any, *arguments: Any) -> bytes:
        if "shard-2-of-2/" in at.key:
            raise StoreFault("no connection to the store can be made")
        return read_object(at, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(stored_shards, "read_object", broken)
        with pytest.raises(ClusterError, match=r"shard 2/2 cannot be read from .* \(no connection"):
            indexer.merge([sent], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    with requests_counted() as asked:
        indexer.merge([sent], tmp_path / "merged")

    assert not [key for _, key in asked if "shard-1-of-2/" in key]


@pytest.mark.parametrize("harm", ["altered", "longer", "shorter", "gone"])
def test_a_shard_that_is_not_what_its_manifest_says_is_not_merged(
    sent: str, bucket: Bucket, tmp_path: Path, harm: str
) -> None:
    key = next(one for one in bucket.listed() if "shard-2-of-2/" in one)
    data = bucket.get(key)
    harmed = {"altered": bytes([data[0] ^ 1]) + data[1:], "longer": data + b"x", "shorter": data[:-1]}
    bucket.delete(key)
    if harm in harmed:
        bucket.put(key, harmed[harm])

    with pytest.raises(ClusterError, match="shard 2/2"):
        indexer.merge([sent], tmp_path / "merged")

    assert not (tmp_path / "merged").exists()


def rewritten(manifest: bytes, **changes: Any) -> bytes:
    """A manifest with other facts, and the id that goes with its files."""
    whole = json.loads(manifest) | changes
    if "id" not in changes and isinstance(whole["files"], list):
        whole["id"] = sha256(json.dumps(whole["files"]).encode()).hexdigest()[:32]
    return json.dumps(whole).encode()


FILE = {"name": "../../escaped", "size": 3, "sha256": sha256(b"abc").hexdigest()}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 2}, "is not a shard's manifest"),
        ({"id": "0" * 32}, "is not a shard's manifest"),
        ({"shard": "1/2"}, "is not a shard's manifest"),
        ({"shard": "2/0"}, "is not a shard's manifest"),
        ({"files": []}, "is not a shard's manifest"),
        ({"files": 7}, "is not a shard's manifest"),
        ({"files": [FILE | {"size": -1}]}, "is not a shard's manifest"),
        ({"files": [FILE | {"size": 2**70}]}, "is not a shard's manifest"),
        ({"files": [FILE | {"size": 2**49}]}, "the shards take 562,949,953,"),
        ({"files": [FILE | {"sha256": "x"}]}, "is not a shard's manifest"),
        ({"files": [FILE]}, "'../../escaped', which is not a file of a collection"),
    ],
)
def test_a_manifest_of_a_stranger_leads_nowhere(
    sent: str, bucket: Bucket, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    manifest = rewritten(bucket.get("run/shard-2-of-2.json"), **changes)
    bucket.put("run/shard-2-of-2.json", manifest)
    bucket.put(f"run/shard-2-of-2/{json.loads(manifest)['id']}/00000-000000", "abc")

    with pytest.raises(ClusterError, match=reason):
        indexer.merge([sent], tmp_path / "in/merged")

    assert not list(tmp_path.rglob("escaped"))


def test_what_is_not_all_shards_of_one_split_is_refused(
    sent: str, bucket: Bucket, made: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="is not a shard"):
        indexer.send_shard(made / "single", sent)
    with pytest.raises(UsageError, match="there are no shards in s3://"):
        indexer.merge([f"s3://{bucket.name}/elsewhere"], tmp_path / "merged")
    bucket.put("run/shard-3-of-3.json", "{}")
    with pytest.raises(UsageError, match="holds shards of splits into 2 and 3"):
        indexer.merge([sent], tmp_path / "merged")


def test_a_place_that_cannot_be_listed_is_told_before_the_work_begins(bucket: Bucket) -> None:
    with pytest.raises(
        ClusterError, match=r"s3://no-such-bucket/run/ cannot be listed \(there is no such bucket\)"
    ):
        StoredShards("s3://no-such-bucket/run").check()


def test_the_command_line_sends_shards_and_merges_them(
    bucket: Bucket, run: Run, photos: Path, tmp_path: Path
) -> None:
    place = f"s3://{bucket.name}/run/"
    common = ("index", photos, "--model", "mini", "--send-to", place)
    without = run(*common, "--collection", tmp_path / "whole")
    done = [run(*common, "--shard", f"{n}/2", "--collection", tmp_path / f"s{n}") for n in (1, 2)]
    merged = run("merge", place, "--collection", tmp_path / "merged")

    assert without.exit_code == 2
    assert "--send-to sends a shard; pass --shard i/n" in without.stderr
    assert not (tmp_path / "whole").exists()
    assert [one.exit_code for one in (*done, merged)] == [0, 0, 0]
    assert f"sent to {place}shard-1-of-2.json" in done[0].stdout
    assert "taken over" in merged.stdout
