"""What has to hold so that a resumed run's vectors are those of an uninterrupted one, bit for bit.

Each test computes in a process of its own: MKL settles its mode at its first product and keeps it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ENCODE = """
import hashlib, sys
from pathlib import Path
import numpy as np
from PIL import Image
{before}
from retrieval.encoders.registry import load_encoder
encoder = load_encoder({model!r})
random = np.random.default_rng(0)
pictures = [encoder.prepare_image(Image.fromarray(random.integers(0, 256, (50, 40 + n, 3), np.uint8)))
            for n in range(11)]
texts = ["a dog", "two red cats on the beach", "", "snow " * 30, "the man", "a red ball", "in the snow"]
def rows(order):
    for found in (encoder.encode_prepared([pictures[n] for n in order], 8),
                  encoder.encode_texts([texts[n % 7] for n in order], 8)):
        yield dict(zip(order, found))
whole = list(rows(list(range(11))))
for start in range(11):
    for expected, found in zip(whole, rows(list(range(start, 11)))):
        assert all(np.array_equal(expected[n], found[n]) for n in found), start
digest = hashlib.sha256()
for found in whole:
    for n in sorted(found): digest.update(found[n].tobytes())
print(digest.hexdigest())
"""


def encode(model: str, threads: int = 2, before: str = "", **environment: str) -> str:
    """Encode eleven pictures and texts, and what is left of them after each possible interruption, in batches of 8.

    Asserts that no vector's bits depend on where the run began, and returns a digest of all of them.
    """
    kept = {name: value for name, value in os.environ.items() if name != "MKL_CBWR"}
    done = subprocess.run(
        [sys.executable, "-c", ENCODE.format(model=model, before=before)],
        env=kept | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["clip", "siglip2-naflex", "chinese-clip", "align"])
def test_a_run_resumed_anywhere_gives_the_bits_of_one_that_was_not_interrupted(
    family: str, tiny: Callable[[str], Path]
) -> None:
    encode(str(tiny(family)))


@pytest.mark.slow
def test_a_run_resumed_with_another_number_of_threads_gives_the_same_bits(
    tiny: Callable[[str], Path],
) -> None:
    assert encode(str(tiny("clip")), threads=1) == encode(str(tiny("clip")), threads=2)


@pytest.mark.slow
def test_the_bits_of_mini_do_not_depend_on_where_a_run_began() -> None:
    encode("mini")


@pytest.mark.slow
def test_mini_computes_as_in_a_process_that_was_started_in_mkls_strict_mode() -> None:
    """The mode counts from MKL's first product on, and the probe of places makes one before the model is built."""
    assert encode("mini") == encode("mini", MKL_CBWR="AUTO,STRICT")


@pytest.mark.slow
def test_in_a_program_that_computed_before_rows_still_do_not_depend_on_their_place(
    tiny: Callable[[str], Path],
) -> None:
    encode(str(tiny("clip")), before="import torch; torch.ones(64, 64) @ torch.ones(64, 64)")


@pytest.mark.slow
def test_a_mode_that_the_user_asked_of_mkl_is_kept_and_rows_still_do_not_depend_on_their_place(
    tiny: Callable[[str], Path],
) -> None:
    encode(str(tiny("clip")), MKL_CBWR="COMPATIBLE")
