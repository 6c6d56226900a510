"""Mutated videos through the real command line: ``python -m tests.fuzz.videos COUNT SEED``.

Whatever a folder holds, indexing it prints no traceback, does not hang, leaves no process and keeps to its budget of
memory; each file has frames or is a failure with its reason, and the run after it encodes nothing.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from retrieval.collection import Collection
from retrieval.moments import video_of
from tests.command_line import save_tiny_model
from tests.fuzz import harness
from tests.fuzz.pictures import BUDGET, DEADLINE_S, MODEL_BYTES, Peak, mutated
from tests.videos import CODECS, COLOURS, make_video

FOLDERS = 4


def sound_videos(place: Path) -> dict[str, bytes]:
    """A small video of every kind that is read, by a name that says which."""
    place.mkdir()
    made = {
        name: make_video(place / name, COLOURS[:3], seconds=1.0, key_every=1.0, size=(64, 48))
        for name in CODECS
    }
    made["turned.mp4"] = make_video(place / "turned.mp4", COLOURS[:3], seconds=1.0, key_every=1.0, turn=90)
    return {name: path.read_bytes() for name, path in made.items()}


def run_folder(folder: Path, model: Path, tally: harness.Tally) -> None:
    """Index a folder twice and look for each of its files."""
    collection = folder.parent / f"{folder.name}.collection"
    encoded = []
    for _ in range(2):
        arguments = ("index", folder, "--collection", collection, "--model", model, "--json",
                     "--max-memory", f"{BUDGET >> 20}M", "--timeout", "10", "--frames-per-minute", "60")  # fmt: skip
        started = time.monotonic()
        outcome = harness.run(*arguments, cwd=folder, deadline=DEADLINE_S, memory=16 * 2**30)
        tally.add(folder.name, arguments, outcome, time.monotonic() - started)
        if outcome.code != 0:
            tally.fault("exit code", folder.name, f"{outcome.code}: {outcome.output}")
            return
        encoded.append(json.loads(outcome.output.splitlines()[-1])["encoded"])
    if encoded[1]:
        tally.fault("encoded again", folder.name, str(encoded))
    lost = {path.as_uri() for path in folder.iterdir()} - _taken_or_failed(collection)
    if lost:
        tally.fault("neither taken nor failed", folder.name, str(sorted(lost)))


def _taken_or_failed(collection: Path) -> set[str]:
    """The uris of files that items came from, or that have failed."""
    with Collection.open(collection) as opened, opened.reading() as view:
        found = {failure.uri for failure in view.failures()}
        for page in view.pages("image"):
            found |= {video_of(row.uri) or row.uri for row in page}
    return found | {video for uri in found if (video := video_of(uri)) is not None}


def main(count: int, seed: int) -> int:
    """Index ``count`` mutated videos in a handful of folders; the exit code is 1 if anything went wrong."""
    rng, tally = random.Random(seed), harness.Tally("videos")
    place = Path(tempfile.mkdtemp(prefix="vlsearch-fuzz-"))
    try:
        sound, model = sound_videos(place / "sound"), save_tiny_model(place / "model")
        harness.preload()
        with Peak() as peak:
            for number in range(FOLDERS):
                folder = place / f"folder{number}"
                folder.mkdir()
                for file in range(count // FOLDERS + (number < count % FOLDERS)):
                    name, data = mutated(sound, rng)
                    (folder / f"{file:05}-{name}").write_bytes(data)
                    tally.cases += 1
                run_folder(folder, model, tally)
        tally.memory = max(tally.memory, peak.bytes)
        if peak.bytes > BUDGET + MODEL_BYTES:
            tally.fault("memory", "all", f"{peak.bytes / 2**20:,.0f} MiB")
        return tally.finish()
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
