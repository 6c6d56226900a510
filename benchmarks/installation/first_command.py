"""Run the first command of the README, as commits have it, in new clones: seconds and disk.

    python -m benchmarks.installation.first_command [COMMIT ...]

Each commit (by default HEAD and 3361a8a, whose command installs torch with CUDA: 6.1 GB) is unpacked into a folder of
its own, and its README's first block of shell commands runs there, one commit after the other. pip reads and writes no
cache unless ``--pip-cache`` names a folder; that one is filled by a run before the one that is timed. Disk is that of
``.venv``. A commit that would leave less than 2 GB of disk is not begun; say what it takes with ``--needs``. Rewrites
first_command.md.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commits import unpack
from benchmarks.processes import timed
from benchmarks.provenance import markdown_table, provenance, write_table

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("commit", "seconds", "CPU s", "disk, MB", "share of the disk", "share of the seconds")
COMMITS = ("HEAD", "3361a8a")
KEPT_FREE = 2 * 10**9
NEEDS_GB = 10.0
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Cost:
    """What the command took: seconds of the clock, of its processes, and bytes of the environment."""

    seconds: float
    cpu: float
    disk: int


def first_command(readme: str) -> str:
    """Give the first block of shell commands of a README."""
    found = _BLOCK.search(readme)
    if found is None:
        raise SystemExit("the README has no block of shell commands")
    return found[1].strip()


def disk_bytes(folder: Path) -> int:
    """Add up the blocks of all files of a folder, each once."""
    every = (path.lstat() for path in folder.rglob("*"))
    return sum({status.st_ino: status.st_blocks * 512 for status in every}.values())


def run(folder: Path, cache: Path | None) -> Cost:
    """Run the first command of an unpacked commit in its folder."""
    command = first_command((folder / "README.md").read_text(encoding="utf-8"))
    private = {"HOME": folder / "home", "XDG_CACHE_HOME": folder / "cache", "TMPDIR": folder / "tmp"}
    for path in private.values():
        path.mkdir()
    pip = {"PIP_NO_CACHE_DIR": "1"} if cache is None else {"PIP_CACHE_DIR": str(cache)}
    unset = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    environment = kept | {name: str(path) for name, path in private.items()} | pip
    taken = timed(["bash", "-ec", command], environment, folder)
    return Cost(taken.wall, taken.cpu, disk_bytes(folder / ".venv"))


def measure(commit: str, needs_gb: float, cache: Path | None) -> Cost:
    """Run the first command of a commit; with a cache once before, so that it holds all that is fetched."""
    with tempfile.TemporaryDirectory() as temporary:
        if shutil.disk_usage(temporary).free < needs_gb * 10**9 + KEPT_FREE:
            raise SystemExit(
                f"{commit} may take {needs_gb:g} GB, and {temporary} has not as much; see --needs"
            )
        cost = None
        for number in range(1 if cache is None else 2):
            folder = Path(temporary) / str(number)
            unpack(commit, folder)
            cost = run(folder, cache)
            shutil.rmtree(folder)
        assert cost is not None, "it has run once at least"
        return cost


def main() -> None:
    """Measure, and rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("commits", nargs="*", metavar="COMMIT", default=list(COMMITS))
    parser.add_argument("--pip-cache", type=Path, metavar="FOLDER")
    parser.add_argument("--needs", type=float, metavar="GB", default=NEEDS_GB)
    parser.add_argument("--table", type=Path, default=TABLE)
    args = parser.parse_args()
    cache = None if args.pip_cache is None else args.pip_cache.absolute()
    costs = {commit: measure(commit, args.needs, cache) for commit in args.commits}
    last = costs[args.commits[-1]]
    rows = [
        (
            commit,
            f"{cost.seconds:.0f}",
            f"{cost.cpu:.0f}",
            f"{cost.disk / 10**6:,.0f}",
            f"{cost.disk / last.disk:.3f}",
            f"{cost.seconds / last.seconds:.2f}",
        )
        for commit, cost in costs.items()
    ]
    how = "pip without a cache" if cache is None else "all that pip fetches in its cache"
    head = provenance(
        f"python -m benchmarks.installation.first_command {' '.join(args.commits)}",
        packages=("pip",),
        note=how,
    )
    note = "The first block of shell commands of the README; shares are of the last commit's."
    write_table(args.table, ["# The first command", "", *head, "", note, "", *markdown_table(HEAD, rows)])


if __name__ == "__main__":
    main()
