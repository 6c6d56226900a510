"""Options that several commands share, with one name, help text and default."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from retrieval.cli.completing import complete_collections, complete_models
from retrieval.encoders.runtimes.choice import PRECISION_VARIABLE, PRECISIONS, RUNTIMES, VARIABLE
from retrieval.places import CollectionPlace
from retrieval.postgres_address import FORM, place_of
from retrieval.query.location import collection_place

Command = TypeVar("Command", bound=Callable[..., Any])


def given_folder(_: click.Context, __: click.Parameter, chosen: str | None) -> Path | None:
    """Give the folder that an option names; None where it was left out."""
    if chosen == "":  # a variable of the shell that is not set; as a path it would be the working directory
        raise click.BadParameter("it is empty; name a folder, or leave the option out")
    return None if chosen is None else Path(chosen)


def given_place(_: click.Context, __: click.Parameter, chosen: str | None) -> CollectionPlace | None:
    """Give the folder, or the address on a server, that an option names; None where it was left out."""
    folder = given_folder(_, __, chosen)
    return folder if chosen is None else place_of(chosen)


def given_places(
    context: click.Context, argument: click.Parameter, chosen: tuple[str, ...]
) -> list[CollectionPlace]:
    """Give the folders, or addresses on servers, of the collections that are named, or that of the default one."""
    places = [given_place(context, argument, one) for one in chosen] or [None]
    return [collection_place(place) for place in places]


def _resolve_place(context: click.Context, option: click.Parameter, chosen: str | None) -> CollectionPlace:
    return collection_place(given_place(context, option, chosen))


def place_option(command: Command) -> Command:
    """``--collection PATH``, of a folder or on a server; the command always receives a place."""
    option = click.option(
        "--collection",
        type=click.Path(),
        metavar="PATH",
        callback=_resolve_place,
        shell_complete=complete_collections,
        help=f"The collection's folder, or {FORM}. [default: $VLSEARCH_COLLECTION, else one in your data folder]",
    )
    return option(command)


def _as_the_environment(variable: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    """Make the callback that lets all that a command loads use an option's value, as its variable would."""

    def choose(context: click.Context, _: click.Parameter, chosen: str | None) -> None:
        if chosen is None or context.resilient_parsing:
            return
        before = os.environ.get(variable)
        os.environ[variable] = chosen
        context.call_on_close(
            lambda: os.environ.pop(variable) if before is None else os.environ.update({variable: before})
        )

    return choose


def use_one_blas_thread() -> None:
    """Let numpy, not imported yet, compute in one thread while this command runs, unless the user has said otherwise.

    The products of one query are small. Threads take longer to start than to compute them, and on a busy machine they
    wait for each other: five times as long.
    """
    name = "OPENBLAS_NUM_THREADS"
    if not {name, "OMP_NUM_THREADS"} & set(os.environ):
        os.environ[name] = "1"
        click.get_current_context().call_on_close(lambda: os.environ.pop(name, None))


def runtime_options(command: Command) -> Command:
    """``--runtime NAME`` and ``--precision NAME``: what computes a model's towers, and in what."""
    precision = click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        callback=_as_the_environment(PRECISION_VARIABLE),
        expose_value=False,
        help="Numbers to compute with; a collection may mix them. auto: bfloat16 where the processor has it and the "
        "model allows it. int8: the fastest and least exact, of pictures. "
        "[default: $VLSEARCH_PRECISION, else auto]",
    )
    runtime = click.option(
        "--runtime",
        type=click.Choice(RUNTIMES),
        callback=_as_the_environment(VARIABLE),
        expose_value=False,
        help="What computes a model; vectors agree. auto: OpenVINO where it gives torch's vectors. "
        "[default: $VLSEARCH_RUNTIME, else auto]",
    )
    return runtime(precision(command))


def moved_model_option(command: Command) -> Command:
    """``--model MODEL``: where the model of the collection that is asked lies."""
    option = click.option(
        "--model",
        metavar="MODEL",
        shell_complete=complete_models,
        help="Where the collection's model is now, if it was moved.",
    )
    return option(command)


def json_option(help_text: str) -> Callable[[Command], Command]:
    """``--json``, passed on as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


def quiet_option(command: Command) -> Command:
    """``--quiet``: neither progress nor summary."""
    return click.option("-q", "--quiet", is_flag=True, help="Show no progress and no summary.")(command)


def wait_option(command: Command) -> Command:
    """``--wait SECONDS``: how long to wait for another writer."""
    option = click.option(
        "--wait",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        default=0.0,
        help="Wait so long for another process that writes to the collection. [default: not at all]",
    )
    return option(command)
