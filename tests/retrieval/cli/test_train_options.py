"""The options of ``vlsearch train`` say and do what the values that they make up do without them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, fields

import click
import pytest

import indexer
from retrieval.cli import main


def _command() -> click.Command:
    command = main.get_command(click.Context(main), "train")
    assert command is not None
    return command


def _defaults(value: type) -> Iterator[tuple[str, object]]:
    for field in fields(value):
        if field.default is not MISSING:
            yield field.name, field.default


OPTIONS = {str(option.name): option for option in _command().params if isinstance(option, click.Option)}


def given_by_default(name: str) -> object:
    """The value that the command gets where the option is left out."""
    return _command().make_context("train", ["corpus.csv", "--out", "run"]).params[name]


def said_by_default(name: str) -> str | None:
    """The default that the help text names, where it is written by hand."""
    found = re.search(r"\[default: ([^\];]*)", OPTIONS[name].help or "")
    return None if found is None else found[1]


@pytest.mark.parametrize(("name", "default"), [*_defaults(indexer.Recipe), *_defaults(indexer.Augmentation)])
def test_an_option_that_is_left_out_is_the_recipes_default(name: str, default: object) -> None:
    assert given_by_default(name) == default


def test_every_setting_of_a_recipe_has_an_option() -> None:
    settings = {field.name for field in (*fields(indexer.Recipe), *fields(indexer.Augmentation))}

    assert settings - {"augmentation"} <= OPTIONS.keys()


@pytest.mark.parametrize(("name", "default"), list(_defaults(indexer.NewTwoTower)))
def test_an_option_of_a_new_model_that_is_left_out_is_that_models_default(name: str, default: object) -> None:
    assert given_by_default(name) in (None, default)
    if said_by_default(name) and default is not None:
        assert said_by_default(name) == str(default)


def test_how_often_checkpoints_are_written_and_adapters_count_is_what_the_help_says() -> None:
    saving = indexer.Saving()

    assert given_by_default("checkpoint_minutes") == saving.minutes
    assert given_by_default("checkpoint_steps") == saving.steps
    assert said_by_default("lora_alpha") == str(indexer.Lora().alpha)
