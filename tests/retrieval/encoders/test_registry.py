"""Names to encoders: what a name means, what ``auto`` takes, and what a mismatch says. No network anywhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import retrieval
from retrieval.cli import main
from retrieval.encoders import registry
from retrieval.encoders.registry import BEST_FIRST, RECOMMENDED, auto_choice, is_cached, load_encoder, resolve
from retrieval.errors import ModelError, UnknownModel

COMMIT = "3" * 40


def cache(hub: Path, repo: str, folder: Path, commit: str = COMMIT, branch: str = "main") -> Path:
    """Put a folder into the hub's cache as the commit that a branch is at, the way the hub's client does it."""
    root = hub / f"models--{repo.replace('/', '--')}"
    (root / "refs").mkdir(parents=True, exist_ok=True)
    (root / "refs" / branch).write_text(commit)
    return Path(shutil.copytree(folder, root / "snapshots" / commit))


def cache_alias(hub: Path, alias: str, folder: Path) -> Path:
    model = next(row for row in RECOMMENDED if row.alias == alias)
    assert model.hub_id is not None
    return cache(hub, model.hub_id, folder, model.revision or COMMIT)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_an_empty_cache_leaves_auto_with_mini_and_names_what_is_better() -> None:
    spec, line = auto_choice()

    assert (spec.name, spec.kind) == ("mini", "bundled")
    assert line.startswith("model: mini (")
    assert line.endswith("vlsearch models get siglip2-base")
    assert "\n" not in line


def test_auto_takes_the_best_model_that_is_here(own_cache: Path, tiny: Callable[[str], Path]) -> None:
    for alias in ("chinese-clip-base", "clip-b32", "siglip-base"):
        cache_alias(own_cache, alias, tiny("clip"))

        assert auto_choice()[0].name == alias


def test_auto_names_the_next_better_model_and_nothing_above_the_best(
    own_cache: Path, tiny: Callable[[str], Path]
) -> None:
    cache_alias(own_cache, "siglip2-base", tiny("siglip2"))
    assert auto_choice()[1].endswith("vlsearch models get siglip-so400m")

    cache_alias(own_cache, BEST_FIRST[0], tiny("siglip2"))
    assert "vlsearch models get" not in auto_choice()[1]


def test_without_the_packages_of_hub_models_auto_takes_mini_and_says_what_they_need(
    own_cache: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    spec, line = auto_choice()
    assert spec.name == "mini"
    assert line.endswith("vlsearch models get siglip2-base, which needs: pip install 'vlsearch[models]'")

    cache_alias(own_cache, "clip-b32", tiny("clip"))
    spec, line = auto_choice()
    assert spec.name == "mini"
    assert line.endswith("clip-b32, is on this machine and needs: pip install 'vlsearch[models]'")


@pytest.mark.parametrize(
    "missing", ["config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"]
)
def test_auto_passes_over_a_model_that_came_only_in_part(
    own_cache: Path, tiny: Callable[[str], Path], missing: str
) -> None:
    (cache_alias(own_cache, "clip-b32", tiny("clip")) / missing).unlink()

    assert auto_choice()[0].name == "mini"


def test_auto_passes_over_a_model_that_has_only_pickles(own_cache: Path, tiny: Callable[[str], Path]) -> None:
    folder = cache_alias(own_cache, "clip-b32", tiny("clip"))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    assert auto_choice()[0].name == "mini"


def test_auto_order_and_the_table_name_the_same_models() -> None:
    assert sorted(BEST_FIRST) == sorted(model.alias for model in RECOMMENDED)


def test_among_models_with_published_figures_on_coco_in_english_auto_goes_by_them() -> None:
    rows = {model.alias: model for model in RECOMMENDED}
    figures = [
        published.coco[0]
        for alias in BEST_FIRST
        if (published := rows[alias].published) and published.coco and rows[alias].languages != ("zh",)
    ]

    assert figures == sorted(figures, reverse=True)


@pytest.fixture(scope="module")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        Image.new("RGB", (40, 30), colour).save(folder / f"{name}.png")
    return folder


def test_a_new_collection_says_on_stderr_what_auto_took_and_later_runs_keep_it(
    own_cache: Path, photo_folder: Path, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    place = ("--collection", tmp_path / "c")
    cache_alias(own_cache, "clip-b32", tiny("clip"))

    first = run("index", photo_folder, *place)
    cache_alias(own_cache, "siglip2-base", tiny("siglip2"))
    second = run("index", photo_folder, *place)
    third = run("query", "red", *place)

    assert first.exit_code == second.exit_code == third.exit_code == 0
    assert first.stderr.splitlines()[0].startswith("model: clip-b32 (")
    assert "model:" not in second.stderr + third.stderr
    assert "2 unchanged" in second.stdout
    with retrieval.open(tmp_path / "c") as engine:
        assert engine.encoder.identity.name == "clip-b32"
        assert engine.encoder.identity.revision == next(
            model.revision for model in RECOMMENDED if model.alias == "clip-b32"
        )


def test_another_model_on_a_bound_collection_is_refused_with_both_names_and_what_to_do(
    photo_folder: Path, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    place = ("--collection", tmp_path / "c")
    bound, other = tiny("clip"), tiny("siglip")
    assert run("index", photo_folder, "--model", bound, *place).exit_code == 0

    for command in (("index", photo_folder), ("query", "red")):
        done = run(*command, "--model", other, *place)

        said = " ".join(done.stderr.split())
        assert done.exit_code == 1
        assert f"holds vectors of {bound}, but the encoder at hand is {other}" in said
        assert f"vlsearch reindex --model {other}" in said
        assert "family clip against siglip" in said


def test_a_changed_weight_in_a_bound_folder_is_refused(
    photo_folder: Path, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny("clip"), tmp_path / "model"))
    place = ("--collection", tmp_path / "c")
    assert run("index", photo_folder, "--model", folder, *place).exit_code == 0
    weights = load_file(folder / "model.safetensors")
    weights["visual_projection.weight"][0, 0] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    done = run("query", "red", *place)

    assert done.exit_code == 1
    assert "weights " in done.stderr


def test_a_moved_folder_is_the_same_model_when_it_is_named(
    photo_folder: Path, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny("clip"), tmp_path / "model"))
    place = ("--collection", tmp_path / "c")
    assert run("index", photo_folder, "--model", folder, *place).exit_code == 0
    folder.rename(tmp_path / "moved")

    lost, found = run("query", "red", *place), run("query", "red", "--model", tmp_path / "moved", *place)

    assert lost.exit_code == 2
    assert f"there is no model folder at {folder}" in " ".join(lost.stderr.split())
    assert found.exit_code == 0


@pytest.mark.parametrize("change", ["max_length", "resample"])
def test_what_changes_the_inputs_changes_the_identity(
    change: str, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    import json

    folder = Path(shutil.copytree(tiny("clip"), tmp_path / "model"))
    before = load_encoder(folder).identity
    file, key, value = {
        "max_length": ("tokenizer_config.json", "model_max_length", 20),
        "resample": ("preprocessor_config.json", "resample", 2),
    }[change]
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | {key: value}))

    after = load_encoder(folder).identity

    assert before.digest != after.digest
    assert before.weights == after.weights


def test_load_encoder_gives_unit_float32_rows_of_pil_pictures_and_texts(tiny: Callable[[str], Path]) -> None:
    encoder = retrieval.load_encoder(tiny("siglip"))

    images = encoder.encode_images([Image.new("L", (9, 50)), Image.new("RGBA", (300, 200), "red")])
    texts = encoder.encode_texts(["a dog", "一只狗", ""])

    for rows, count in ((images, 2), (texts, 3)):
        assert (rows.shape, rows.dtype) == ((count, encoder.identity.dimension), np.dtype(np.float32))
        assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-5


def test_a_folder_goes_by_path_or_by_its_name_as_a_string(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny("clip").parent)

    names: list[str | Path] = [tiny("clip"), str(tiny("clip")), f"./{tiny('clip').name}", tiny("clip").name]

    assert {load_encoder(name).identity for name in names} == {load_encoder(tiny("clip")).identity}


def test_an_alias_goes_before_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mini").mkdir()
    monkeypatch.chdir(tmp_path)

    assert resolve("mini").kind == "bundled"
    assert resolve("./mini").kind == "folder"


@pytest.mark.parametrize(
    "name", ["", "no such model", "mini ", "a/b/c", "org/", "/nowhere/at/all", "~nobody/x"]
)
def test_a_name_that_means_nothing_is_a_sentence(name: str) -> None:
    with pytest.raises(UnknownModel):
        load_encoder(name)


@given(st.text(max_size=30))
def test_any_name_at_all_means_a_model_or_is_unknown(name: str) -> None:
    try:
        spec = resolve(name)
    except UnknownModel:
        return
    assert spec.kind in ("bundled", "hub", "folder")


def test_a_model_that_is_not_here_names_the_command_that_gets_it() -> None:
    for name in ("siglip2-base", "some/model", "some/model@v1"):
        with pytest.raises(ModelError, match=f"vlsearch models get {name}"):
            load_encoder(name)


def test_models_says_which_are_here(own_cache: Path, tiny: Callable[[str], Path]) -> None:
    cache_alias(own_cache, "clip-b16", tiny("clip"))

    here = [line.split()[0] for line in run("models").stdout.splitlines() if line.split()[1:2] == ["yes"]]

    assert here == ["mini", "clip-b16"]
    assert is_cached(resolve("clip-b16"))
    assert not is_cached(resolve("clip-b32"))


def test_no_name_but_get_reaches_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("the network was reached for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    assert auto_choice()[0].name == "mini"
    assert run("models").exit_code == 0
    with pytest.raises(ModelError):
        load_encoder("siglip2-base")
    with pytest.raises(ModelError):
        registry.load_encoder("some/model")
