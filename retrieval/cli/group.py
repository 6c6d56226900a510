"""The group ``vlsearch``: imports a command when it is called, and turns errors into exit codes.

Exit codes: 0 done, 1 a :class:`~retrieval.errors.VlsearchError`, 2 usage, 130 interrupted.
"""

from __future__ import annotations

import difflib
import errno
import warnings
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from retrieval.cli.printing import printable
from retrieval.cli.streams import survive_any_encoding
from retrieval.errors import UsageError, VlsearchError
from retrieval.uris import hide_passwords

INTERRUPTED = 130  # 128 + SIGINT, as shells count

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Search": {
        "index": ("retrieval.cli.index", "Index a corpus of pictures and texts into a collection."),
        "query": ("retrieval.cli.query", "Find pictures and texts by words, pictures or sums of both."),
        "similar": ("retrieval.cli.similar", "Find what is most like items of the collection."),
        "caption": ("retrieval.cli.caption", "Write captions of pictures."),
        "ask": (
            "retrieval.cli.ask",
            "Answer a question about a picture, or about pictures of the collection.",
        ),
        "album": ("retrieval.cli.album", "Keep searches under names, and ask them again."),
        "serve": ("retrieval.cli.serve", "Look and search in the browser; answer other programs over HTTP."),
        "mcp": ("retrieval.cli.mcp_", "Let assistants search and look at pictures (MCP)."),
        "demo": ("retrieval.cli.demo", "Index a few photographs with captions and search them."),
    },
    "Collections": {
        "watch": (
            "retrieval.cli.watch",
            "Keep a collection up to date with the folders that it was made from.",
        ),
        "list": ("retrieval.cli.list_", "List the items of a collection."),
        "info": ("retrieval.cli.info", "Show what a collection holds, and what failed to index."),
        "duplicates": ("retrieval.cli.duplicates", "Find copies among the pictures, the best of each first."),
        "cluster": ("retrieval.cli.cluster", "Put the pictures into groups by what they show."),
        "tag": ("retrieval.cli.tag", "Tag pictures with what they are likely to show."),
        "delete": ("retrieval.cli.delete", "Delete items from a collection."),
        "hide": ("retrieval.cli.hide", "Keep items out of all hits, until they are unhidden."),
        "unhide": ("retrieval.cli.hide", "Let hidden items be found again."),
        "relocate": ("retrieval.cli.relocate", "Tell a collection where its pictures have been moved."),
        "reindex": ("retrieval.cli.reindex", "Encode a collection again with another model."),
        "merge": ("retrieval.cli.merge", "Make one collection of the shards of a corpus."),
        "optimize": ("retrieval.cli.optimize", "Merge segments, drop deleted rows, speed up searches."),
        "doctor": ("retrieval.cli.doctor", "Check a collection byte by byte, and repair it."),
        "export": ("retrieval.cli.export", "Write a collection as npy and Parquet files."),
        "import": ("retrieval.cli.import_", "Read a folder of npy and Parquet files into a collection."),
        "copy": ("retrieval.cli.copy_", "Copy a collection to a server of PostgreSQL, or from one."),
    },
    "Models": {
        "models": ("retrieval.cli.models", "List, download and remove models."),
        "train": (
            "retrieval.cli.train",
            "Train a model on a corpus: a new one, or fine-tune an existing one.",
        ),
        "eval": ("retrieval.cli.eval", "Measure how well a model retrieves on a captioned corpus."),
        "classify": ("retrieval.cli.classify", "Measure how well a model names the class of each picture."),
    },
    "Shell": {
        "completion": (
            "retrieval.cli.completion",
            "Print what makes a shell complete commands, options, files, collections, models and fields.",
        ),
    },
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called; its help needs none of them.

    ``sections`` maps a heading to commands, and a command's name to its module and its short help. The module
    holds the command under any name; tests compare the short helps with the commands' own.
    """

    def __init__(self, sections: dict[str, dict[str, tuple[str, str]]], **settings: Any) -> None:
        super().__init__(**settings)
        self.sections = sections
        self.table = {name: entry for commands in sections.values() for name, entry in commands.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names of all commands, in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and give the command with a name; None if there is no such command."""
        if cmd_name not in self.table:
            return None
        module = import_module(self.table[cmd_name][0])
        commands = [value for value in vars(module).values() if isinstance(value, click.Command)]
        return _with_blocks(next(command for command in commands if command.name == cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name.

        Raises:
            click.UsageError: there is none; the sentence names the nearest ones.
        """
        if args and args[0] not in self.table and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.table)
            advice = (
                f"did you mean {' or '.join(near)}?" if near else "to search for words, put query before them"
            )
            ctx.fail(printable(f"there is no command {args[0]!r}; {advice}"))
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer commands to a shell, from the table alone, and the options of the group."""
        commands = [
            CompletionItem(name, help=text)
            for name, (_, text) in self.table.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands under their headings, from the table alone."""
        width = max(len(name) for name in self.table)
        for heading, commands in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), text) for name, (_, text) in commands.items()])

    def main(self, *arguments: Any, **settings: Any) -> Any:
        """Run as a program, with output that survives any encoding."""
        survive_any_encoding()
        return super().main(*arguments, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; the one place that turns errors into a sentence and an exit code."""
        _quiet_pillow()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nInterrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except VlsearchError as error:
            fault = UsageFault if isinstance(error, UsageError) else click.ClickException
            raise fault(printable(hide_passwords(error.in_shell()))) from error
        except OSError as error:
            if error.errno == errno.EPIPE or error.filename is None:
                raise  # a closed pipe, which click ends quietly; or a fault of ours, shown with its trace
            sentence = f"{error.filename}: {error.strerror}; check the path and your rights to it"
            raise click.ClickException(printable(sentence)) from error


def _quiet_pillow() -> None:
    """Ignore Pillow's warnings about odd metadata: the image is read anyway, or its failure has a reason."""
    warnings.filterwarnings("ignore", module=r"PIL\.")


def _with_blocks(command: click.Command) -> click.Command:
    r"""The command, its help's lines ``\b`` made the character by which click leaves a paragraph as it is.

    Docstrings with a backslash are raw (ruff's D301), and click would show a raw ``\b`` to the user.
    """
    command.help = command.help and command.help.replace("\\b\n", "\b\n")
    for subcommand in getattr(command, "commands", {}).values():
        _with_blocks(subcommand)
    return command


class UsageFault(click.ClickException):
    """A :class:`~retrieval.errors.UsageError` as click reports it, with exit code 2."""

    exit_code = 2


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    import importlib.metadata  # late: a third of the time that --help takes

    try:
        version = importlib.metadata.version("vlsearch")
    except importlib.metadata.PackageNotFoundError:
        version = "(not installed: run from its source)"
    click.echo(f"vlsearch {version}")
    ctx.exit()


@click.group(
    name="vlsearch",
    cls=LazyGroup,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command explains itself: vlsearch query --help. Without --collection, commands use "
    "$VLSEARCH_COLLECTION, or else a collection in your data folder.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version.",
)
def main() -> None:
    r"""Find pictures by words and captions by picture, offline.

    \b
        vlsearch index ~/Pictures
        vlsearch query "a dog in the snow"
        vlsearch query ./photo.jpg
    """


_with_blocks(main)
