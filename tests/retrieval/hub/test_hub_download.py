"""``models get``: the one thing that reaches a network, here against a hub on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from retrieval.cli import main
from retrieval.encoders import registry
from retrieval.encoders.registry import download, is_cached, load_encoder, resolve
from retrieval.errors import ModelError, UnknownModel
from tests.retrieval.hub.fake_hub import FakeHub, hub_on_loopback, use_hub

REPO, ALIAS = "openai/clip-vit-base-patch16", "clip-b16"
FIRST, SECOND = "1" * 40, "2" * 40


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> Iterator[FakeHub]:
    with hub_on_loopback() as running:
        use_hub(monkeypatch, running.url)
        yield running


@pytest.fixture
def published(hub: FakeHub, tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """A folder that the hub gives out as clip-b16: a tiny CLIP, with things beside it that nobody needs."""
    folder = Path(shutil.copytree(tiny("clip"), tmp_path / "published"))
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "flax_model.msgpack").write_bytes(b"other weights")
    (folder / "modeling_clip.py").write_text("raise SystemExit")
    hub.publish(REPO, folder, FIRST)
    return folder


def get(name: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["models", "get", name])
    return done.exit_code, done.stdout, done.stderr


def test_a_model_is_not_there_then_got_then_loaded_without_the_hub(
    hub: FakeHub, published: Path, tiny: Callable[[str], Path]
) -> None:
    with pytest.raises(ModelError, match=f"not in the local cache; get it with: vlsearch models get {ALIAS}"):
        load_encoder(ALIAS)
    assert hub.requests == []

    code, out, _ = get(ALIAS)

    asked = list(hub.requests)
    assert code == 0
    assert Path(out.strip(), "model.safetensors").is_file()
    encoder = load_encoder(ALIAS)
    assert hub.requests == asked
    assert np.array_equal(encoder.encode_texts(["a dog"]), load_encoder(tiny("clip")).encode_texts(["a dog"]))


def test_the_identity_holds_the_alias_and_the_commit(published: Path) -> None:
    download(ALIAS)

    identity = load_encoder(ALIAS).identity

    assert (identity.name, identity.revision) == (ALIAS, FIRST)


def test_neither_pickles_nor_code_are_fetched(hub: FakeHub, published: Path) -> None:
    download(ALIAS)

    assert hub.fetched() == {file.name for file in published.iterdir()} - {
        "pytorch_model.bin",
        "flax_model.msgpack",
        "modeling_clip.py",
    }


def test_progress_counts_the_bytes_of_the_wanted_files(hub: FakeHub, published: Path) -> None:
    told: list[tuple[int, int]] = []
    wanted = sum(
        file.stat().st_size for file in published.iterdir() if file.suffix in (".json", ".safetensors")
    )

    download(ALIAS, lambda done, total: told.append((done, total)))

    assert {total for _, total in told} == {wanted}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] <= wanted


def test_what_is_there_is_not_fetched_again(hub: FakeHub, published: Path) -> None:
    download(ALIAS)
    hub.requests.clear()

    download(ALIAS)

    assert hub.fetched() == set()


def test_weights_that_were_cut_off_on_the_way_are_never_taken_for_whole(
    hub: FakeHub, published: Path
) -> None:
    hub.cut_after = 100

    try:
        download(ALIAS)
    except ModelError:
        assert not is_cached(resolve(ALIAS))
        download(ALIAS)

    assert load_encoder(ALIAS).encode_texts(["a dog"]).shape == (1, 24)


def test_a_collection_built_at_one_commit_keeps_it_when_the_branch_moves_on(
    hub: FakeHub, published: Path, tmp_path: Path
) -> None:
    download(ALIAS)
    bound = load_encoder(ALIAS).identity
    moved = Path(shutil.copytree(published, tmp_path / "moved"))
    (moved / "README.json").write_text("{}")
    hub.publish(REPO, moved, SECOND)
    download(ALIAS)

    assert load_encoder(ALIAS).identity.revision == SECOND
    assert registry.load_bound_encoder(bound).identity == bound


def test_a_bound_commit_that_is_not_here_is_named_with_the_command_that_gets_it(
    hub: FakeHub, published: Path, own_cache: Path
) -> None:
    download(ALIAS)
    bound = load_encoder(ALIAS).identity
    shutil.rmtree(own_cache)

    with pytest.raises(ModelError, match=f"vlsearch models get {ALIAS}@{FIRST}"):
        registry.load_bound_encoder(bound)


def test_a_revision_that_is_asked_for_is_the_one_that_is_loaded(
    hub: FakeHub, published: Path, tmp_path: Path
) -> None:
    hub.publish(REPO, Path(shutil.copytree(published, tmp_path / "moved")), SECOND)
    download(f"{REPO}@{FIRST}")

    assert load_encoder(f"{REPO}@{FIRST}").identity.revision == FIRST
    assert load_encoder(f"{ALIAS}@{FIRST}").identity.revision == FIRST
    assert not is_cached(resolve(ALIAS))


def test_a_model_with_pickles_alone_is_refused_before_a_byte_of_it_is_fetched(
    hub: FakeHub, published: Path
) -> None:
    (published / "model.safetensors").unlink()

    code, _, err = get(ALIAS)

    assert code == 1
    assert "has no model.safetensors, and vlsearch opens no pickles" in err
    assert hub.fetched() == set()


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("nobody/nothing", 1, "the hub has no model nobody/nothing; check its name"),
        (f"{REPO}@nowhere", 1, f"the hub has {REPO}, but no revision nowhere"),
        ("closed/model", 1, "only to those who accepted its terms"),
        ("siglip2-bas", 2, "did you mean siglip2-base"),
        ("mini@2", 2, "has no revisions"),
    ],
)
def test_what_cannot_be_had_is_a_sentence(
    hub: FakeHub, published: Path, name: str, code: int, sentence: str
) -> None:
    hub.gated.add("closed/model")

    found, _, err = get(name)

    assert found == code
    assert sentence in " ".join(err.split())
    assert "Traceback" not in err


def test_without_a_network_the_sentence_says_what_to_do(own_cache: Path) -> None:
    code, _, err = get(ALIAS)

    assert code == 1
    assert "cannot be downloaded" in err
    assert "copy the model's folder here and give its path" in " ".join(err.split())


def test_a_folder_is_nothing_to_download(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="nothing to download"):
        download(str(tmp_path))


def test_a_cached_folder_of_pickles_alone_is_not_here(hub: FakeHub, published: Path, own_cache: Path) -> None:
    folder = download(ALIAS)
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()

    assert not is_cached(resolve(ALIAS))
    with pytest.raises(ModelError, match="only in part, or only as pickles"):
        load_encoder(ALIAS)
