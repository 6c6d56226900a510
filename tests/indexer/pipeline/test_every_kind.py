"""A folder of every kind of still picture becomes items, each with what its file says of it."""

from __future__ import annotations

from pathlib import Path

from tests.every_kind import table


def test_every_kind_of_still_picture_is_indexed_with_its_metadata(tmp_path: Path) -> None:
    rows, report = table(tmp_path)

    assert (report.failed, report.left_out) == (0, {})
    assert {suffix: (row.files, row.items) for suffix, row in rows.items()} == {
        ".jpg": (2, 2), ".mpo": (1, 1), ".png": (1, 1), ".webp": (1, 1), ".gif": (1, 1), ".bmp": (1, 1),
        ".avif": (1, 1), ".heic": (1, 1), ".jxl": (1, 1),
        ".tif": (2, 4), ".pdf": (2, 5), ".dng": (3, 2),
    }  # fmt: skip
    for suffix in (".jpg", ".png", ".webp", ".avif", ".heic", ".jxl", ".dng"):
        assert rows[suffix].attributes["camera"] == rows[suffix].items, suffix
    assert rows[".jpg"].attributes["raw"] == 1
    assert (rows[".tif"].attributes["page"], rows[".pdf"].attributes["page"]) == (3, 5)
    assert rows[".pdf"].texts == 3
