"""Measures unit costs and writes them beside what other tables say: unit_costs.json.

    python -m benchmarks.scale.unit_costs pictures [--pictures 20000] [--folder F]
    python -m benchmarks.scale.unit_costs search FOLDER [--rows 100000 200000 400000]

``pictures`` lists, indexes and merges small pictures (``real_run.py``): what encoding and decoding cost, their own
tables say. ``search`` fits the costs of an accelerator (``search_costs.py``) to what ``benchmarks.search.scale`` has
left in its ``--folder``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.scale import real_run, search_costs

COSTS = Path(__file__).with_name("unit_costs.json")


def costs() -> dict[str, float]:
    """Read the unit costs."""
    return {name: one["value"] for name, one in json.loads(COSTS.read_text(encoding="utf-8")).items()}


def keep(found: Mapping[str, float], command: str) -> None:
    """Write costs that a command has measured, with three digits."""
    known = json.loads(COSTS.read_text(encoding="utf-8"))
    source = f"benchmarks.scale.unit_costs {command}, {time.strftime('%Y-%m-%d', time.gmtime())}"
    known |= {name: {"value": float(f"{value:.3g}"), "source": source} for name, value in found.items()}
    COSTS.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(known, indent=2))


def main() -> None:
    """Measure, and put the figures into the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_subparsers(dest="what", required=True)
    of_pictures = what.add_parser("pictures")
    of_pictures.add_argument("--pictures", type=int, default=20_000)
    of_pictures.add_argument("--folder", type=Path, help="where the run stays; by default it is removed")
    of_search = what.add_parser("search")
    of_search.add_argument("folder", type=Path)
    of_search.add_argument("--rows", type=int, nargs="+", default=[100_000, 200_000, 400_000])
    options = parser.parse_args()
    if options.what == "pictures":
        with tempfile.TemporaryDirectory() as place:
            found = real_run.costs_of(real_run.run(options.folder or Path(place), options.pictures))
        keep(found, f"pictures --pictures {options.pictures}")
    else:
        written = " ".join(map(str, options.rows))
        keep(search_costs.measure(costs(), options.folder, options.rows), f"search FOLDER --rows {written}")


if __name__ == "__main__":
    main()
