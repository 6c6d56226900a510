"""After any history of changes, a collection on a server answers as one in a folder."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.postgres.collections import STEPS, Step
from tests.postgres.histories import check_history


@settings(max_examples=5)
@given(steps=STEPS)
def test_after_any_history_a_server_answers_as_a_folder(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as parent:
        check_history(steps, Path(parent) / "c")


@pytest.mark.slow
@settings(max_examples=100)
@given(steps=STEPS)
def test_after_any_of_many_histories_a_server_answers_as_a_folder(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as parent:
        check_history(steps, Path(parent) / "c")
