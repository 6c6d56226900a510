"""``reread``: everything is read again, and only what has changed is encoded."""

from __future__ import annotations

import os
from pathlib import Path

from retrieval.types import Limits
from tests.builders import Index, draw
from tests.loopback import server_on_loopback

SIZE = 4096


def pad(path: Path) -> None:
    """Bring a file to one size, whatever it holds; decoders ignore what follows a picture."""
    path.write_bytes(path.read_bytes().ljust(SIZE, b"\0"))


def replace_in_secret(path: Path, colour: tuple[int, int, int]) -> None:
    """Put another picture under the same name, size and time: nothing in a file's stamp tells of it."""
    before = path.stat()
    draw(path, colour)
    pad(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_file_whose_size_and_time_are_as_before_is_read_again_only_with_reread(
    index: Index, photos: Path
) -> None:
    pad(photos / "red.png")
    index(photos)
    replace_in_secret(photos / "red.png", (255, 0, 1))

    assert index(photos).encoded == 0
    again = index(photos, reread=True)
    assert (again.encoded, again.unchanged, again.failed) == (1, 4, 0)


def test_what_has_not_changed_is_read_and_not_encoded(index: Index, photos: Path) -> None:
    first = index(photos)

    again = index(photos, reread=True)

    assert first.encoded == 5
    assert (again.encoded, again.unchanged) == (0, 5)


def test_what_failed_before_is_read_again_too(index: Index, photos: Path) -> None:
    broken = photos / "broken.png"
    broken.write_bytes(bytes(SIZE))
    index(photos)
    replace_in_secret(broken, (9, 9, 9))

    assert index(photos).failed == 1
    assert index(photos, reread=True).failed == 0


def test_a_url_is_downloaded_again_only_with_reread(index: Index, tmp_path: Path) -> None:
    draw(tmp_path / "a.png", (255, 0, 0))
    draw(tmp_path / "b.png", (0, 255, 0))
    limits = Limits(private_addresses=True)
    with server_on_loopback() as server:
        server.files["x.png"] = (tmp_path / "a.png").read_bytes()
        (tmp_path / "urls.txt").write_text(f"{server.url}/x.png\n")
        index(tmp_path / "urls.txt", limits=limits)
        server.files["x.png"] = (tmp_path / "b.png").read_bytes()

        assert index(tmp_path / "urls.txt", limits=limits).encoded == 0
        assert server.asked == ["x.png"]
        assert index(tmp_path / "urls.txt", limits=limits, reread=True).encoded == 1
