"""Worker processes: the same pixels as in this process; what a picture does to them costs that picture alone."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.decoding.image_rule import ImageRule
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.preparations import (
    Fit,
    Patches,
    Preparation,
    Shrink,
    Squeeze,
    Whole,
    from_json,
    to_json,
)
from retrieval.errors import ImageError, ImageGivenUp, ImageTooLarge, ImageUnreadable
from retrieval.images import decode
from retrieval.types import FileBytes, InlineBytes, Limits, MemberBytes
from tests.retrieval.decoding.pictures import black_png, encoded, photo, slow_bmp

UNIT = (1.0, 1.0, 1.0)
RULES: list[Preparation] = [
    ImageRule(32, 3, (32, 32), UNIT, UNIT),
    ImageRule((24, 32), 2, (24, 32), UNIT, UNIT),
    Patches(16, 12, 2),
    Squeeze(32, 1.5, 0),
    Squeeze(32, 1.0, 40),
    Shrink(24, 2.0),
    Fit(24),
    Whole(16),
]
SQUARE = Squeeze(32, 1.0, 0)


@pytest.fixture
def pool() -> Iterator[DecodePool]:
    with DecodePool(Limits(), workers=2) as pool:
        yield pool


def children() -> set[int]:
    """Processes that this one has started and that still run."""
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text() if sys.platform == "linux" else ""
    return {int(pid) for pid in found.split()}


def kill_workers(pool: DecodePool) -> None:
    """Kill the pool's workers alone: this process has other children too, such as multiprocessing's tracker."""
    for process in tuple(pool._all):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_worker_prepares_the_same_pixels_as_this_process(rule: Preparation, pool: DecodePool) -> None:
    data = encoded(photo(), "JPEG")

    found = pool.prepare(InlineBytes(data), rule)

    assert found.array is not None
    assert np.array_equal(found.array, rule.prepare(decode(data, Limits(), rule.short_side)))
    assert (found.digest, found.width, found.height) == (hashlib.sha256(data).digest(), 64, 48)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_comes_back_from_its_json(rule: Preparation) -> None:
    assert from_json(to_json(rule)) == rule


def test_files_and_members_are_read_in_the_worker_from_relative_paths_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: DecodePool
) -> None:
    data = encoded(photo())
    (tmp_path / "a.png").write_bytes(data)
    (tmp_path / "b.tar").write_bytes(b"before" + data + b"behind")
    monkeypatch.chdir(tmp_path)

    of_file = pool.prepare(FileBytes(Path("a.png")), SQUARE)
    of_member = pool.prepare(MemberBytes(Path("b.tar"), "", 6, len(data)), SQUARE)

    assert of_file.digest == of_member.digest == hashlib.sha256(data).digest()


def test_what_is_not_wanted_by_its_digest_is_not_decoded(pool: DecodePool) -> None:
    asked: list[bytes] = []

    def refuse(digest: bytes) -> bool:
        asked.append(digest)
        return False

    found = pool.prepare(InlineBytes(b"not a picture"), SQUARE, refuse)

    assert asked == [hashlib.sha256(b"not a picture").digest()]
    assert found.array is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"words", "not a picture"),
        (b"", "the file is empty"),
        (encoded(photo())[:300], "damaged or cut short"),
    ],
)
def test_a_picture_that_cannot_be_decoded_has_its_reason(data: bytes, reason: str, pool: DecodePool) -> None:
    with pytest.raises(ImageError, match=reason):
        pool.prepare(InlineBytes(data), SQUARE)


def test_bytes_that_cannot_be_read_are_told_from_pictures_that_cannot_be_decoded(
    tmp_path: Path, pool: DecodePool
) -> None:
    with pytest.raises(ImageUnreadable, match="No such file"):
        pool.prepare(FileBytes(tmp_path / "none.png"), SQUARE)


def test_many_threads_may_ask_at_once(pool: DecodePool) -> None:
    data = [encoded(Image.new("RGB", (20, 20), (n, 0, 0))) for n in range(24)]
    found: dict[int, int] = {}

    def ask(number: int) -> None:
        array = pool.prepare(InlineBytes(data[number]), SQUARE).array
        assert array is not None
        found[number] = int(array[0, 0, 0])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == {number: number for number in range(24)}


# What goes wrong


def test_a_decode_that_takes_too_long_ends_at_the_deadline_and_its_process_with_it() -> None:
    others = children()
    with DecodePool(Limits(seconds=1.0), workers=1) as pool:
        pool.prepare(InlineBytes(encoded(photo())), SQUARE)
        before = children() - others
        with pytest.raises(ImageGivenUp, match=r"took longer than 1 s .*--timeout"):
            pool.prepare(InlineBytes(slow_bmp(4000)), SQUARE)

        assert not before & children()
        assert pool.prepare(InlineBytes(encoded(photo())), SQUARE).array is not None


def test_a_worker_that_dies_at_a_picture_costs_that_picture_alone(pool: DecodePool) -> None:
    good = InlineBytes(encoded(photo()))
    pool.prepare(good, SQUARE)

    def kill_all(_: bytes) -> bool:
        kill_workers(pool)
        return True

    with pytest.raises(ImageGivenUp, match="the decoder was ended by SIGKILL"):
        pool.prepare(good, SQUARE, kill_all)
    assert pool.prepare(good, SQUARE).array is not None


def test_a_worker_that_dies_between_two_pictures_costs_none(pool: DecodePool) -> None:
    good = InlineBytes(encoded(photo()))
    for _ in range(5):
        assert pool.prepare(good, SQUARE).array is not None
        kill_workers(pool)


def test_a_worker_that_dies_while_it_decodes_costs_that_picture_and_no_second_worker() -> None:
    others = children()
    with DecodePool(Limits(), workers=1) as pool:
        pool.prepare(InlineBytes(encoded(photo())), SQUARE)
        (process,) = pool._all

        def kill_at_decoding() -> None:
            while not process._shared.is_decoding:
                time.sleep(0.01)
            process.kill()

        killer = threading.Thread(target=kill_at_decoding)
        process._shared.is_decoding = False
        killer.start()
        with pytest.raises(ImageGivenUp, match="the decoder was ended by SIGKILL"):
            pool.prepare(InlineBytes(slow_bmp(4000)), SQUARE)
        killer.join()

        assert not children() - others


def test_a_picture_over_the_budget_is_refused_with_what_it_takes() -> None:
    with DecodePool(Limits(memory=2**30), workers=2) as pool, pytest.raises(ImageTooLarge) as caught:
        pool.prepare(InlineBytes(black_png(14000, 14000, 8, 6)), SQUARE)

    assert "GiB of memory to decode, more than there is for it (--max-memory)" in str(caught.value)


def test_a_picture_over_a_workers_share_is_decoded_alone_with_the_same_pixels() -> None:
    data = black_png(6000, 5000, 8, 6)  # 240 MB, and a share of 1 GiB's workers is 256
    with DecodePool(Limits(memory=2**30), workers=3) as pool:
        outcomes = []
        small = InlineBytes(encoded(photo()))
        threads = [
            threading.Thread(target=lambda source=source: outcomes.append(pool.prepare(source, SQUARE).array))
            for source in (small, InlineBytes(data), small, InlineBytes(data), small)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    white = np.full((32, 32, 3), 255, np.uint8)  # all of it is transparent
    assert sum(outcome is not None and np.array_equal(outcome, white) for outcome in outcomes) == 2
    assert len(outcomes) == 5


# Processes


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_runs_any_more_once_a_pool_is_closed_or_forgotten() -> None:
    before = children()
    with DecodePool(Limits(), workers=2) as pool:
        pool.start()
        assert len(children() - before) == 1  # a second one comes when there is work for two
    assert children() <= before

    forgotten = DecodePool(Limits(), workers=1)
    forgotten.start()
    del forgotten
    assert children() <= before


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_idle_workers_end_when_they_are_told_to_and_others_start_where_they_are_needed(
    pool: DecodePool,
) -> None:
    before, data = children(), encoded(photo(), "PNG")
    expected = pool.prepare(InlineBytes(data), SQUARE).array
    assert expected is not None
    assert len(children() - before) == 1

    pool.end_idle()
    assert children() <= before

    found = pool.prepare(InlineBytes(data), SQUARE).array
    assert found is not None
    assert np.array_equal(found, expected)
    assert len(children() - before) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_with_a_run_that_is_killed_even_in_the_middle_of_a_picture(tmp_path: Path) -> None:
    (tmp_path / "slow.bmp").write_bytes(slow_bmp(6000))
    program = f"""
        from pathlib import Path
        from retrieval.decoding.pool import DecodePool
        from retrieval.decoding.preparations import Squeeze
        from retrieval.types import FileBytes, Limits
        pool = DecodePool(Limits(seconds=300), workers=1)
        pool.start()
        print(*(process.pid for process in pool._all), flush=True)
        pool.prepare(FileBytes(Path({str(tmp_path / "slow.bmp")!r})), Squeeze(8, 1.0, 0))
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        time.sleep(1.5)  # it is decoding now
        assert Path(f"/proc/{pid}").exists()
        run.kill()

    for _ in range(100):
        if not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text():
            break
        time.sleep(0.1)
    else:
        pytest.fail("the worker outlived its run by ten seconds")


HOSTILE = ["json.py", "numpy.py", "struct.py", "sitecustomize.py", "usercustomize.py", "PIL/__init__.py",
           "retrieval/__init__.py", "pillow_heif.py", "numpy/__init__.py"]  # fmt: skip


def test_nothing_of_the_working_directory_or_pythonpath_runs_in_a_worker(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    hostile = tmp_path / "hostile"
    for name in HOSTILE:
        path = hostile / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"open({str(witness)!r}, 'a').write({name!r})\n")
    root = Path(__file__).resolve().parents[3]
    program = f"""
        import sys
        sys.path.insert(0, {str(root)!r})
        import retrieval.decoding.pool as pools
        from retrieval.decoding.preparations import Squeeze
        from retrieval.types import InlineBytes, Limits
        import os
        os.chdir({str(hostile)!r})
        sys.path.insert(0, "")
        sys.path.insert(0, {str(hostile)!r})
        os.environ["PYTHONPATH"] = {str(hostile)!r}
        os.environ["PYTHONSTARTUP"] = {str(hostile / "json.py")!r}
        import pathlib
        data = pathlib.Path({str(tmp_path / "a.png")!r}).read_bytes()
        with pools.DecodePool(Limits(), workers=1) as pool:
            for process in (1, 2):
                pool.start()
                reply, _ = pool._ask(pools.Request(InlineBytes(data), pools.to_json(Squeeze(8, 1.0, 0)), pool.limits,
                                     2**30, 2**29, True), lambda digest: False)
                print(reply.status.name)
    """
    (tmp_path / "a.png").write_bytes(encoded(photo()))

    done = subprocess.run(
        [sys.executable, "-I", "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False
    )

    assert done.stdout.split() == ["DIGEST", "DIGEST"], done.stderr
    assert not witness.exists(), witness.read_text()


def test_a_worker_imports_neither_torch_nor_what_stores_collections() -> None:
    with DecodePool(Limits(), workers=1) as pool:
        pool.prepare(InlineBytes(encoded(photo())), SQUARE)
        (process,) = pool._all
        maps = Path(f"/proc/{process.pid}/maps").read_text() if sys.platform == "linux" else ""

    assert not [
        name for name in ("torch", "faiss", "sqlalchemy", "tokenizers", "pyarrow") if f"/{name}" in maps
    ]
