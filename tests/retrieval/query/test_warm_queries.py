"""What a warm query costs: one read transaction of a few statements, whatever it asks."""

from __future__ import annotations

from pathlib import Path

import pytest

import indexer
import retrieval
from retrieval.types import Kind
from tests.builders import HashEncoder, unit_rows


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Thirty images with two captions each, one of them hidden."""
    path = tmp_path / "collection"
    with indexer.open_writer(path, model=HashEncoder()) as writer:
        for number in range(30):
            writer.add(f"{number}", None, vector=unit_rows(1, seed=number)[0])
            for which in range(2):
                writer.add(f"{number}/{which}", f"caption {which} of {number}", describes=[f"{number}"])
        writer.hide("3")
    return path


@pytest.mark.parametrize("k", [1, 10, 1000])
@pytest.mark.parametrize(
    "query", ["words that nothing has", "caption 1 of 7", ["caption 0 of 2", "caption 1 of 7", "other words"]]
)
@pytest.mark.parametrize("find", ["image", "text"])
def test_a_warm_query_is_one_transaction_of_few_statements(
    collection: Path, statements: list[str], query: str | list[str], find: Kind, k: int
) -> None:
    with retrieval.open(collection, encoder=HashEncoder()) as engine:
        engine.search(query, k=k, find=find)
        statements.clear()

        assert engine.search(query, k=k, find=find)

    # statements of a trigger or a virtual table begin with a comment
    control = [said for said in statements if said.startswith(("BEGIN", "COMMIT", "ROLLBACK"))]
    asked = [said for said in statements if said not in control and not said.startswith("--")]
    assert control == ["BEGIN", "COMMIT"]
    # where captions have a say: one that counts the texts, one for each word, and three for what holds some of them
    words = len(query.split()) if isinstance(query, str) and find == "image" else -5
    assert len(asked) <= 7 + 5 + words
