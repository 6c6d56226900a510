"""Random histories on a folder and on a server, which must give equal answers; a command for many of them.

``python -m tests.postgres.histories N`` plays N histories on a server of its own session, and says what they showed.
"""

from __future__ import annotations

import itertools
import random
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import indexer
from retrieval.places import CollectionPlace
from tests.postgres.collections import NAMES, Step, answers, play
from tests.postgres_server import new_place


def answers_of_any_generation(place: CollectionPlace) -> dict[str, Any]:
    """What a reader is told, but for the generation's number and a sample's order, which depend on a folder's files."""
    told = answers(place)
    _, identity = told.pop("state")
    counts = {name: told.pop(name)[1] for name in list(told) if name.endswith(" sample")}
    return told | counts | {"identity": identity}


def check_history(steps: list[Step], folder: Path) -> None:
    """Play a history on both, and compare what they answer, what the doctor finds, and a copy of the server's."""
    place = new_place()
    for one in (folder, place):
        with patch("indexer.store.rows.time.time", itertools.count(1_000_000).__next__):
            play(one, steps)

    told = answers_of_any_generation(folder)
    assert answers_of_any_generation(place) == told
    assert indexer.doctor(place).faults == ()
    indexer.copy_collection(place, folder.with_name("back"))
    assert answers_of_any_generation(folder.with_name("back")) == told
    assert indexer.doctor(folder.with_name("back")).faults == ()


def random_history(chance: random.Random) -> list[Step]:
    """A history of up to 14 steps, as the property tests draw them."""
    return [(chance.choice(NAMES), chance.randrange(10)) for _ in range(chance.randrange(1, 15))]


if __name__ == "__main__":
    number, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    for at in range(number):
        history = random_history(random.Random(seed + at))
        with tempfile.TemporaryDirectory() as parent:
            try:
                check_history(history, Path(parent) / "c")
            except BaseException:
                print(f"history {seed + at}: {history}", flush=True)
                raise
        if at % 10 == 9:
            print(f"{at + 1} histories, equal answers", flush=True)
    print(f"{number} histories from seed {seed}: equal answers on both, doctor clean")
