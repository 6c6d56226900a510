"""What ``__all__`` says is what there is, in both packages."""

from __future__ import annotations

import inspect
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import indexer
import retrieval
from retrieval.evaluation.figures import Figures
from retrieval.types import CorpusImage, Entry, FileBytes

PACKAGES = pytest.mark.parametrize("package", [retrieval, indexer], ids=lambda package: package.__name__)


@PACKAGES
def test_every_public_name_is_there_and_is_no_module(package: ModuleType) -> None:
    for name in package.__all__:
        assert not isinstance(getattr(package, name), ModuleType)
    assert set(package.__all__) <= set(dir(package))


@PACKAGES
def test_no_module_has_a_public_name_for_importing_it_would_take_the_names_place(package: ModuleType) -> None:
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}

    assert modules.isdisjoint(package.__all__)


@PACKAGES
def test_what_type_checkers_see_is_what_runs(package: ModuleType) -> None:
    source = inspect.getsource(package)
    seen = {line.rpartition(" as ")[2] for line in source.splitlines() if line.startswith("    from ")}

    assert seen == set(package.__all__)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("retrieval.PicturePart", "retrieval.ImagePart"),
        ("indexer.classify", "retrieval.classify"),
        ("indexer.evaluate", "retrieval.evaluate"),
    ],
)
def test_a_deprecated_name_warns_with_the_new_name_and_is_the_same_object(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"^{old} is {new} now$"):
        found = pkgutil.resolve_name(old.replace(".", ":"))

    assert found is pkgutil.resolve_name(new.replace(".", ":"))


def test_the_image_of_an_entry_can_be_read_by_its_deprecated_name() -> None:
    image = CorpusImage("file:///a.jpg", FileBytes(Path("/a.jpg")))

    with pytest.warns(DeprecationWarning, match=r"^Entry\.picture is Entry\.image now$"):
        assert Entry(image).picture is image


def test_the_directions_of_figures_can_be_read_by_their_deprecated_name() -> None:
    figures = Figures({}, None)

    with pytest.warns(DeprecationWarning, match=r"^Figures\.sides is Figures\.directions now$"):
        assert figures.sides is figures.directions


@PACKAGES
def test_an_unknown_name_is_an_attribute_error_that_names_it(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        package.nonsense  # noqa: B018
