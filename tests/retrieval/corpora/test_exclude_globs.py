from __future__ import annotations

import pytest

from retrieval.corpora.exclude import excluder


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*.png", "a.png"),
        ("*.png", "deep/er/a.png"),
        ("thumbnails", "2024/thumbnails"),
        ("thumbnails/", "2024/thumbnails"),
        ("2024/*.jpg", "2024/a.jpg"),
        ("/2024/a.jpg", "2024/a.jpg"),
        ("/2024", "2024"),
        ("**/raw/*", "raw/a.jpg"),
        ("**/raw/*", "x/y/raw/a.jpg"),
        ("2024/**", "2024/x/y.jpg"),
        ("a?.jpg", "ab.jpg"),
        ("[ab].jpg", "a.jpg"),
        ("[!ab].jpg", "c.jpg"),
        ("[a-c].jpg", "b.jpg"),
        ("[z-a].jpg", "[z-a].jpg"),
        ("a+b(1).jpg", "a+b(1).jpg"),
        ("two\nlines*", "two\nlines.jpg"),
    ],
)
def test_a_glob_leaves_out(glob: str, path: str) -> None:
    assert excluder([glob])(path)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("*.png", "a.jpg"),
        ("*.png", "a.PNG"),
        ("2024/*.jpg", "2024/x/a.jpg"),
        ("2024/*.jpg", "old/2024/a.jpg"),
        ("a?.jpg", "a.jpg"),
        ("[!ab].jpg", "a.jpg"),
        ("a.jpg", "aajpg"),
        ("thumb", "thumbnails"),
        ("", "a.jpg"),
        ("/", "a.jpg"),
    ],
)
def test_a_glob_keeps(glob: str, path: str) -> None:
    assert not excluder([glob])(path)


def test_a_path_is_left_out_by_any_one_of_several_globs() -> None:
    is_excluded = excluder(["*.png", "raw"])

    assert [path for path in ("a.png", "raw", "a.jpg") if is_excluded(path)] == ["a.png", "raw"]
