"""``python -m retrieval.cli``: the command line without an installed script."""

from retrieval.cli.group import main

main(prog_name="vlsearch")
