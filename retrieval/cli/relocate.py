"""``vlsearch relocate``: tell a collection where its pictures have been moved."""

from __future__ import annotations

import click

from retrieval.cli.completing import complete_paths
from retrieval.cli.options import place_option, wait_option
from retrieval.cli.printing import counted, printable, short_name
from retrieval.places import CollectionPlace


@click.command()
@click.argument("old", shell_complete=complete_paths)
@click.argument("new", shell_complete=complete_paths)
@click.option("--dry-run", is_flag=True, help="Change nothing, and tell what would change.")
@place_option
@wait_option
def relocate(old: str, new: str, dry_run: bool, wait: float, collection: CollectionPlace) -> None:
    r"""Tell a collection where its pictures have been moved.

    What lay in the folder (or archive) OLD lies in NEW now: a drive is mounted elsewhere, the pictures are on
    another computer. Paths of items and corpora change in one commit, and nothing is encoded. No file is touched.
    OLD need not be there, and may be a path of another system, such as C:\Users\me\Pictures.

    \b
        vlsearch relocate /media/old-drive/Pictures ~/Pictures
        vlsearch relocate --dry-run 'D:\Photos' /mnt/photos
    """
    import indexer  # numpy, sqlalchemy: not for --help

    done = indexer.relocate(collection, old, new, dry_run=dry_run, timeout=wait)
    held = [counted(done.items, "item"), "1 corpus" if done.corpora == 1 else f"{done.corpora:,} corpora"]
    held += [counted(done.failures, "failure")] if done.failures else []
    would = "would move" if dry_run else "moved"
    click.echo(f"{', '.join(held)} {would} to {printable(new)} in {printable(str(collection))}")
    if done.example is not None:
        before, after = map(short_name, done.example)
        click.echo(f"such as {before} to {after}")
    if done.missing:
        click.echo(
            f"{done.missing:,} of {done.looked_at:,} files that were looked for are not there", err=True
        )
