"""What a run learns from: listed by links, decoded once, varied by draws that depend on their place alone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import numpy as np
import pytest
import torch
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from indexer.training.augment import (
    Augmentation,
    augment_image,
    draw_captions,
    drop_tokens,
    is_sided,
)
from indexer.training.batches import batches, positives_of
from indexer.training.image_cache import LONGEST, CacheRule, ImageCache, cache_images
from indexer.training.listing import Caption, Listing, list_corpus
from indexer.training.recipe import Recipe
from retrieval.corpora import CaptionColumn, CorpusOptions, open_corpus
from retrieval.decoding.preparations import Shrink
from retrieval.types import CorpusImage, CorpusText, Entry, Failure, FileBytes, Limits, Progress
from tests.indexer.training.training_runs import ABOVE, NAMES, cached, picture, tiny_two_tower, write_corpus

RULE = CacheRule(Shrink(16, LONGEST), "short side 16")


def ignore(_: Progress) -> None:
    pass


def decode(listing: Listing, folder: Path, tell: Callable[[Progress], None] = ignore) -> ImageCache:
    return cache_images(listing, RULE, folder, Limits(), 2, tell, Event())


def entry(path: Path, *captions: str) -> Entry:
    texts = tuple(CorpusText(f"{path}#{number}", words, lang="en") for number, words in enumerate(captions))
    return Entry(CorpusImage(path.as_uri(), FileBytes(path)), texts)


def png(path: Path, name: str) -> Path:
    Image.fromarray(picture(name)).save(path)
    return path


def test_several_caption_columns_give_captions_in_several_languages(tmp_path: Path) -> None:
    table = write_corpus(tmp_path, NAMES[:3])
    columns = CaptionColumn("caption", "en"), CaptionColumn("caption_zh", "zh")

    listing = list_corpus(open_corpus(str(table), CorpusOptions(caption_columns=columns)).entries())

    assert [(one.lang, one.text) for one in listing.entries[0].captions] == [
        ("en", NAMES[0]),
        ("zh", f"颜色 {NAMES[0]}"),
    ]
    assert (listing.images, listing.captions) == (3, 6)


def test_entries_of_one_picture_add_up_and_rows_count_what_the_corpus_has(tmp_path: Path) -> None:
    a, b, c = (png(tmp_path / f"{name}.png", NAMES[0]) for name in "abc")
    listing = list_corpus(
        [entry(a, "one"), entry(b), Failure("x", "gone"), entry(c, "two", "  "), entry(a, "three")]
    )

    assert [(one.row, [caption.text for caption in one.captions]) for one in listing.entries] == [
        (0, ["one", "three"]),
        (2, ["two"]),
    ]
    assert [caption.row for one in listing.entries for caption in one.captions] == [0, 3, 1]
    assert (listing.images, listing.captions, len(listing.failures)) == (3, 4, 1)


@given(count=st.integers(2, 40), share=st.floats(0.01, 0.5), seed=st.integers(0, 99))
def test_a_split_holds_every_picture_once_and_judges_on_one_at_least(
    count: int, share: float, seed: int
) -> None:
    listing = list_corpus([entry(Path(f"/{row}.png"), "words") for row in range(count)])

    train, val = listing.split(share, seed)

    assert len(val.entries) == max(1, round(share * count))
    rows = [one.row for one in train.entries] + [one.row for one in val.entries]
    assert sorted(rows) == list(range(count))
    assert listing.split(share, seed) == (train, val)


def test_equal_pictures_become_one_row_with_the_captions_of_all(tmp_path: Path) -> None:
    files = [png(tmp_path / f"{number}.png", NAMES[number % 2]) for number in range(4)]
    listing = list_corpus([entry(file, f"caption {number}") for number, file in enumerate(files)])

    found = decode(listing, tmp_path / "cache")

    assert [[caption.text for caption in own] for own in found.captions] == [
        ["caption 0", "caption 2"],
        ["caption 1", "caption 3"],
    ]
    assert found.rows == ((0, 2), (1, 3))


def test_pictures_come_out_of_the_cache_as_they_went_in_and_are_decoded_once(tmp_path: Path) -> None:
    names = NAMES[:5]
    files = [png(tmp_path / f"{number}.png", name) for number, name in enumerate(names)]
    listing = list_corpus([entry(file, name) for file, name in zip(files, names, strict=True)])
    told: list[Progress] = []

    first = decode(listing, tmp_path / "cache", told.append)
    again = decode(listing, tmp_path / "cache", told.append)

    assert len(told) == 5
    for row, name in enumerate(names):
        assert np.array_equal(first[row], picture(name))
        assert np.array_equal(again[row], picture(name))


def test_a_changed_file_is_decoded_anew(tmp_path: Path) -> None:
    files = [png(tmp_path / f"{number}.png", NAMES[number]) for number in range(2)]
    entries = [entry(file, "words") for file in files]
    decode(list_corpus(entries), tmp_path / "cache")

    Image.fromarray(picture(NAMES[9], 32)).save(files[0])
    found = decode(list_corpus(entries), tmp_path / "cache")

    assert not np.array_equal(found[0], picture(NAMES[0]))


def test_a_picture_that_cannot_be_decoded_is_a_failure_and_the_others_stay(tmp_path: Path) -> None:
    good, bad = png(tmp_path / "good.png", NAMES[0]), tmp_path / "bad.png"
    bad.write_bytes(b"no picture")

    found = decode(list_corpus([entry(bad, "words"), entry(good, "words")]), tmp_path / "cache")

    assert len(found) == 1
    assert [failure.uri for failure in found.failures] == [bad.as_uri()]
    assert "not a picture" in found.failures[0].reason


def test_a_cache_that_a_kill_left_half_written_is_made_anew(tmp_path: Path) -> None:
    listing = list_corpus([entry(png(tmp_path / "a.png", NAMES[0]), "words")])
    decode(listing, tmp_path / "cache")
    (table,) = (tmp_path / "cache").glob("*.json")
    table.unlink()  # the table comes last: without it there is no cache
    table.with_suffix(".tmp").write_bytes(b"half")

    assert np.array_equal(decode(listing, tmp_path / "cache")[0], picture(NAMES[0]))


def test_runs_that_need_the_same_pictures_at_once_decode_them_once(tmp_path: Path) -> None:
    files = [png(tmp_path / f"{number}.png", name) for number, name in enumerate(NAMES[:5])]
    listing = list_corpus([entry(file, "words") for file in files])
    told: list[Progress] = []
    both = Barrier(2)

    def run(_: int) -> ImageCache:
        both.wait()
        return decode(listing, tmp_path / "cache", told.append)

    with ThreadPoolExecutor(2) as pool:
        caches = list(pool.map(run, range(2)))

    assert [progress.done for progress in told] == [1, 2, 3, 4, 5]
    for cache in caches:
        assert all(np.array_equal(cache[row], picture(name)) for row, name in enumerate(NAMES[:5]))


def test_a_run_that_waits_for_another_s_pictures_can_be_stopped(tmp_path: Path) -> None:
    listing = list_corpus([entry(png(tmp_path / "a.png", NAMES[0]), "words")])
    stop, folder = Event(), tmp_path / "cache"
    decode(listing, folder)
    (table,) = folder.glob("*.json")
    with FileLock(table.with_suffix(".lock")):
        stop.set()
        with pytest.raises(KeyboardInterrupt):
            cache_images(listing, RULE, folder, Limits(), 2, lambda _: None, stop)


def test_shrinking_keeps_the_shape_never_enlarges_and_cuts_panoramas() -> None:
    assert Shrink(16, LONGEST).prepare(Image.new("RGB", (64, 48))).shape == (16, 21, 3)
    assert Shrink(16, LONGEST).prepare(Image.new("RGB", (10, 8))).shape == (8, 10, 3)
    assert Shrink(16, LONGEST).prepare(Image.new("RGB", (400, 40))).shape == (16, 32, 3)


def test_links_decide_what_is_positive_and_not_places_in_the_batch() -> None:
    a, b, shared = Caption("en", "a", 0), Caption("en", "b", 1), Caption("en", "both", 2)

    positives = positives_of([(a, shared), (b, shared)], [a, b, shared, a])

    assert positives.tolist() == [[True, False, True, True], [False, True, True, False]]


def test_captions_are_drawn_for_each_language_and_never_twice() -> None:
    captions = [Caption("en", str(row), row) for row in range(5)] + [Caption("zh", "一", 5)]

    for seed in range(20):
        drawn = draw_captions(captions, 3, np.random.default_rng(seed))
        assert [caption.lang for caption in drawn].count("en") == 3
        assert len(set(drawn)) == len(drawn) == 4


@given(
    ids=st.lists(st.integers(0, 99), min_size=1, max_size=30), share=st.floats(0, 1), seed=st.integers(0, 99)
)
def test_dropped_tokens_leave_the_first_the_last_and_the_order(
    ids: list[int], share: float, seed: int
) -> None:
    numbered = list(enumerate(ids))

    kept = drop_tokens([place for place, _ in numbered], share, np.random.default_rng(seed))

    assert kept[0] == 0
    assert kept[-1] == len(ids) - 1
    assert kept == sorted(set(kept))
    assert share > 0 or len(kept) == len(ids)


def test_about_the_asked_share_of_tokens_is_dropped() -> None:
    kept = drop_tokens(list(range(10_000)), 0.3, np.random.default_rng(0))

    assert len(kept) == pytest.approx(7000, abs=200)


def test_captions_about_a_side_forbid_mirroring() -> None:
    assert is_sided("a man on the Left")
    assert is_sided("左边的狗")
    assert not is_sided("leftover food")
    assert not is_sided("a bright day")


@pytest.mark.parametrize("may_flip", [True, False])
def test_a_picture_is_mirrored_only_where_it_may_be(may_flip: bool) -> None:
    sided = np.zeros((16, 16, 3), np.uint8)
    sided[:, 8:] = 255
    always = Augmentation(area=1, aspect=1, flip=1, colour=0, soft=0)

    seen = np.asarray(augment_image(sided, True, may_flip, always, np.random.default_rng(0)))

    assert np.array_equal(seen, sided[:, ::-1] if may_flip else sided)


@given(seed=st.integers(0, 999), width=st.integers(1, 60), height=st.integers(1, 60), whole=st.booleans())
def test_a_view_is_a_part_of_the_picture_of_at_least_the_asked_area(
    seed: int, width: int, height: int, whole: bool
) -> None:
    pixels = np.arange(width * height * 3, dtype=np.uint32).astype(np.uint8).reshape(height, width, 3)
    by = Augmentation(area=0.5, aspect=1.2, flip=0, colour=0, soft=0)

    view = augment_image(pixels, whole, False, by, np.random.default_rng(seed))

    assert view.width <= width
    assert view.height <= height
    side = min(width, height)
    base = width * height if whole else side * side
    # rounding to whole pixels, and a shape that the picture has no room for, take some away
    assert view.width * view.height >= 0.5 * base / 1.2 - (view.width + view.height) - 1


def test_light_varies_within_its_bounds() -> None:
    flat = np.full((8, 8, 3), 100, np.uint8)
    by = Augmentation(area=1, aspect=1, flip=0, colour=0.2, soft=0)

    seen = {
        int(np.asarray(augment_image(flat, True, False, by, np.random.default_rng(s)))[0, 0, 0])
        for s in range(60)
    }

    assert min(seen) >= 79
    assert max(seen) <= 120
    assert len(seen) > 10


def test_a_batch_depends_on_seed_epoch_and_step_alone() -> None:
    model, recipe = tiny_two_tower(), Recipe(batch_size=8, seed=3)

    with ThreadPoolExecutor(3) as three, ThreadPoolExecutor(1) as one:
        whole = list(batches(cached(), model, recipe, 1, 0, three))
        late = list(batches(cached(), model, recipe, 1, 2, one))

    assert [batch.step for batch in whole] == [0, 1, 2, 3]
    for expected, found in zip(whole[2:], late, strict=True):
        assert torch.equal(expected.images, found.images)
        assert (expected.rows, expected.captions, expected.tokens) == (
            found.rows,
            found.captions,
            found.tokens,
        )


def test_an_epoch_sees_every_picture_once_and_the_next_in_another_order() -> None:
    model, recipe = tiny_two_tower(), Recipe(batch_size=8)

    with ThreadPoolExecutor(1) as threads:
        first, second = (
            [row for batch in batches(cached(), model, recipe, epoch, 0, threads) for row in batch.rows]
            for epoch in range(2)
        )

    assert sorted(first) == sorted(second) == list(range(32))
    assert first != second


def test_the_names_of_the_test_pictures_differ_in_their_words() -> None:
    assert len({frozenset(name.split()) for name in NAMES}) == len(NAMES) == len(ABOVE) ** 2
