"""``vlsearch completion``: print what makes a shell complete commands, options and names."""

from __future__ import annotations

from typing import Literal

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: Literal["bash", "zsh", "fish"]) -> None:
    r"""Print what makes a shell complete commands, options, files, collections, models and fields.

    Once, for all shells to come; zsh needs its own completion switched on before (autoload -U compinit; compinit):

    \b
        echo 'eval "$(vlsearch completion bash)"' >> ~/.bashrc
        echo 'eval "$(vlsearch completion zsh)"' >> ~/.zshrc
        vlsearch completion fish > ~/.config/fish/completions/vlsearch.fish
    """
    program = context.find_root()
    completer = get_completion_class(shell)
    assert completer is not None, "click knows these shells"
    click.echo(completer(program.command, {}, "vlsearch", "_VLSEARCH_COMPLETE").source())
