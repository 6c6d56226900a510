from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from retrieval.errors import CorpusFormatError, EvaluationError, UsageError
from retrieval.evaluation.protocols import PROTOCOLS, ProtocolOptions, load_protocol
from retrieval.evaluation.protocols.chinese import untagged
from retrieval.types import InlineBytes
from tests.retrieval.evaluation.protocol_files import (
    coco_cn,
    coco_names,
    flickr30k_cn,
    flickr_names,
    karpathy,
    muge,
    touch_all,
    xm3600,
)

PLAIN = ProtocolOptions()


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """COCO's Karpathy test split at its published size: ten images have a sixth caption."""
    folder = tmp_path_factory.mktemp("coco")
    names = coco_names(5000)
    touch_all(folder / "val2014", names)
    karpathy(folder / "dataset_coco.json", names, extra=10, filepath="val2014")
    return folder


@pytest.fixture(scope="module")
def flickr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flickr")
    names = flickr_names(1000)
    touch_all(folder / "images", names)
    for name in ("flickr8k", "flickr30k"):
        karpathy(folder / f"dataset_{name}.json", names)
    return folder


def test_coco_5k_has_25010_captions_as_its_denominator(coco: Path) -> None:
    loaded = load_protocol("coco-5k", coco, PLAIN)

    assert (len(loaded.images), len(loaded.texts)) == (5000, 25010)
    assert loaded.denominator("text to image") == 25010
    assert loaded.denominator("image to text") == 5000
    assert "25,010 queries" in loaded.summary()


def test_coco_5k_with_first5_has_25000(coco: Path) -> None:
    loaded = load_protocol("coco-5k", coco, ProtocolOptions(captions="first5"))

    assert loaded.denominator("text to image") == 25000
    assert any("first 5 captions" in note for note in loaded.notes)


def test_coco_1k_is_five_folds_in_the_order_of_the_file_with_first_five_captions(coco: Path) -> None:
    loaded = load_protocol("coco-1k", coco, PLAIN)

    assert len(loaded.folds) == 5
    assert loaded.denominator("text to image") == 25000
    assert [fold.images[0] for fold in loaded.folds] == [0, 1000, 2000, 3000, 4000]
    for fold in loaded.folds:
        keys = {loaded.images[row].key for row in fold.images}
        owners = {loaded.texts[row].text.rpartition(" of ")[2] for row in fold.texts}
        assert len(fold.texts) == 5000
        assert owners == keys
    assert [p.key for p in loaded.images] == coco_names(5000)


def test_five_folds_of_all_captions_are_refused_because_their_mean_would_weigh_queries_differently(
    coco: Path,
) -> None:
    with pytest.raises(EvaluationError, match=r"unequal numbers of texts.*--captions first5"):
        load_protocol("coco-5k", coco, ProtocolOptions(folds=5))


def test_folds_that_do_not_divide_the_images_are_refused(coco: Path) -> None:
    with pytest.raises(EvaluationError, match="5,000 pictures cannot be cut into 7 equal folds"):
        load_protocol("coco-5k", coco, ProtocolOptions(folds=7, captions="first5"))


def test_val2017_annotations_instead_of_the_karpathy_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "captions_val2017.json"
    path.write_text(json.dumps({"images": [{}] * 5000, "annotations": [{}]}))

    with pytest.raises(
        EvaluationError, match="5,000 pictures; val2017 and val2014 are other pictures than the Karp"
    ):
        load_protocol("coco-5k", path, PLAIN)


def test_val2017_images_in_a_karpathy_layout_are_refused(tmp_path: Path) -> None:
    names = coco_names(5000, prefix="")
    touch_all(tmp_path / "images", names)
    karpathy(tmp_path / "dataset_coco.json", names, extra=10)

    with pytest.raises(
        EvaluationError, match=r"5,000 test pictures that are not of val2014.*val2017 is another"
    ):
        load_protocol("coco-5k", tmp_path, PLAIN)


def test_missing_images_are_counted_and_the_first_is_named(coco: Path, tmp_path: Path) -> None:
    touch_all(tmp_path / "val2014", coco_names(5000)[:4990])

    with pytest.raises(
        EvaluationError, match=r"10 of the 5,000 pictures.*first is val2014/COCO_val2014_0000000349"
    ):
        load_protocol("coco-5k", coco, ProtocolOptions(images=tmp_path))


def test_a_image_name_that_leaves_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").touch()
    inner = tmp_path / "inner"
    inner.mkdir()
    karpathy(inner / "dataset_flickr8k.json", ["../secret.jpg"])

    with pytest.raises(EvaluationError, match="1 of the 1 pictures"):
        load_protocol("flickr8k", inner, PLAIN)


@pytest.mark.parametrize("name", ["flickr8k", "flickr30k"])
def test_flickr_is_1000_images_with_5000_captions(flickr: Path, name: str) -> None:
    loaded = load_protocol(name, flickr, PLAIN)

    assert (loaded.denominator("text to image"), loaded.denominator("image to text")) == (5000, 1000)
    assert loaded.name == name
    assert loaded.language == "en"


def test_all_of_flickr30k_is_refused(tmp_path: Path) -> None:
    names = flickr_names(31014)
    touch_all(tmp_path / "images", names)
    karpathy(tmp_path / "dataset_flickr30k.json", names, per_image=1)

    with pytest.raises(
        EvaluationError, match=r"31,014 pictures.*that is all of Flickr30k.*1,000 test pictures alone"
    ):
        load_protocol("flickr30k", tmp_path, PLAIN)


def test_one_caption_a_image_is_refused(tmp_path: Path) -> None:
    touch_all(tmp_path / "images", flickr_names(1000))
    karpathy(tmp_path / "dataset_flickr30k.json", flickr_names(1000), per_image=1)

    with pytest.raises(
        EvaluationError, match="has one caption a picture, and figures from it cannot be compared"
    ):
        load_protocol("flickr30k", tmp_path, PLAIN)


def test_a_split_that_is_not_there_is_refused_with_those_that_are(flickr: Path) -> None:
    with pytest.raises(EvaluationError, match="no split 'dev', it has test; Flickr8k is reported on 'test'"):
        load_protocol("flickr8k", flickr, ProtocolOptions(split="dev"))


def test_duplicate_images_are_refused(tmp_path: Path) -> None:
    touch_all(tmp_path, ["a.jpg"])
    karpathy(tmp_path / "dataset_flickr8k.json", ["a.jpg", "a.jpg"])

    with pytest.raises(EvaluationError, match=r"lists the picture a\.jpg 2 times; every picture needs an id"):
        load_protocol("flickr8k", tmp_path, PLAIN)


def test_duplicate_captions_ids_are_refused(tmp_path: Path) -> None:
    touch_all(tmp_path, ["a.jpg"])
    images = karpathy(tmp_path / "dataset_flickr8k.json", ["a.jpg"])
    images[0]["sentences"][1]["sentid"] = 0
    (tmp_path / "dataset_flickr8k.json").write_text(json.dumps({"images": images}))

    with pytest.raises(EvaluationError, match=r"names the text .*sentid%3D0 2 times"):
        load_protocol("flickr8k", tmp_path, PLAIN)


def token_file(folder: Path, lines: Callable[[str], list[str]]) -> None:
    names = flickr_names(1000)
    touch_all(folder, names)
    (folder / "Flickr_8k.testImages.txt").write_text("\n".join(names))
    (folder / "Flickr8k.token.txt").write_text("".join(line + "\n" for name in names for line in lines(name)))


def test_flickr8k_loads_from_its_original_token_file_and_list(tmp_path: Path) -> None:
    token_file(tmp_path, lambda name: [f"{name}#{n}\tA dog {n} ." for n in range(5)])

    loaded = load_protocol("flickr8k", tmp_path, PLAIN)

    assert (len(loaded.images), len(loaded.texts)) == (1000, 5000)
    assert loaded.texts[6].key == f"{flickr_names(2)[1]}#1"


def test_captions_in_the_wrong_column_are_refused_with_the_line(tmp_path: Path) -> None:
    token_file(tmp_path, lambda name: [f"A dog runs .\t{name}#0"])

    with pytest.raises(CorpusFormatError, match=r"token\.txt:1: .*captions are in the wrong column"):
        load_protocol("flickr8k", tmp_path, PLAIN)


def test_a_token_file_without_its_split_list_is_refused(tmp_path: Path) -> None:
    token_file(tmp_path, lambda name: [f"{name}#{n}\tA dog {n} ." for n in range(5)])
    (tmp_path / "Flickr_8k.testImages.txt").unlink()

    with pytest.raises(EvaluationError, match="holds the captions of every split"):
        load_protocol("flickr8k", tmp_path, PLAIN)


def test_a_listed_image_without_caption_is_refused(tmp_path: Path) -> None:
    first = flickr_names(1)[0]
    token_file(tmp_path, lambda name: [f"{name}#{n}\tA dog {n} ." for n in range(5) if name != first])

    with pytest.raises(EvaluationError, match=f"lists {first}, of which .* has no caption"):
        load_protocol("flickr8k", tmp_path, PLAIN)


def test_coco_cn_is_1000_images_with_1053_captions_that_people_wrote(tmp_path: Path) -> None:
    coco_cn(tmp_path)

    loaded = load_protocol("coco-cn", tmp_path, PLAIN)

    assert (loaded.denominator("text to image"), loaded.denominator("image to text")) == (1053, 1000)
    assert loaded.language == "zh"


def test_coco_cn_with_other_counts_is_refused(tmp_path: Path) -> None:
    coco_cn(tmp_path, second=0)

    with pytest.raises(
        EvaluationError, match="1,000 captions, but the test split of COCO-CN is 1,000 pictures and 1,053"
    ):
        load_protocol("coco-cn", tmp_path, PLAIN)


def test_flickr30k_cn_captions_lose_their_part_of_speech_tags(tmp_path: Path) -> None:
    root = flickr30k_cn(tmp_path)
    options = ProtocolOptions(images=tmp_path / "flickr30k-images")

    for corpus in (tmp_path, root):
        loaded = load_protocol("flickr30k-cn", corpus, options)

        assert (len(loaded.images), len(loaded.texts)) == (1000, 5000)
        assert loaded.texts[0].text == "一个戴帽子的男人在3:15跑步。0:0"


@pytest.mark.parametrize(
    ("tagged", "plain"), [("警车:n ，:wd", "警车，"), ("两 个 人", "两个人"), ("10:30:t", "10:30"), ("", "")]
)
def test_only_the_tag_is_taken_off_a_word(tagged: str, plain: str) -> None:
    assert untagged(tagged) == plain


@pytest.mark.parametrize(
    "names", [("MR_valid_imgs.tsv", "MR_valid_queries.jsonl"), ("valid_imgs.tsv", "valid_texts.jsonl")]
)
def test_muge_asks_text_to_image_only_in_both_of_its_layouts(tmp_path: Path, names: tuple[str, str]) -> None:
    muge(tmp_path, names=names)

    loaded = load_protocol("muge", tmp_path, PLAIN)

    assert set(loaded.directions) == {"text to image"}
    assert loaded.denominator("text to image") == 5008
    assert len(loaded.images) == 29806
    assert loaded.images[0].location == InlineBytes(b"\xff\xd8 tiny")
    assert set(loaded.directions["text to image"].relevance.counts.tolist()) == {6}


def test_muge_with_a_dangling_image_id_is_refused_with_its_line(tmp_path: Path) -> None:
    muge(tmp_path, images=20, queries=3)
    with (tmp_path / "MR_valid_queries.jsonl").open("a") as file:
        file.write('{"query_id": 9, "query_text": "x", "item_ids": [5]}\n')

    with pytest.raises(
        EvaluationError, match=r"queries\.jsonl:4 names picture 5, which is not in MR_valid_imgs"
    ):
        load_protocol("muge", tmp_path, PLAIN)


def test_muge_test_split_is_refused_because_its_answers_are_not_published(tmp_path: Path) -> None:
    muge(tmp_path, images=6, queries=0, names=("MR_test_imgs.tsv", "MR_test_queries.jsonl"))
    (tmp_path / "MR_test_queries.jsonl").write_text('{"query_id": 1, "query_text": "x"}\n')

    with pytest.raises(EvaluationError, match=r"test split of MUGE has no answers.*--split valid"):
        load_protocol("muge", tmp_path, ProtocolOptions(split="test"))


def test_xm3600_is_one_language_and_a_image_without_caption_in_it_stays_in_the_denominator(
    tmp_path: Path,
) -> None:
    xm3600(tmp_path)

    english = load_protocol("xm3600", tmp_path, PLAIN)
    quechua = load_protocol("xm3600", tmp_path, ProtocolOptions(language="quz"))

    assert (english.denominator("text to image"), english.denominator("image to text")) == (7200, 3600)
    assert (quechua.denominator("text to image"), quechua.denominator("image to text")) == (3240, 3600)
    assert quechua.name == "xm3600-quz"
    assert quechua.language == "quz"


def test_xm3600_in_a_language_it_lacks_is_refused_with_those_it_has(tmp_path: Path) -> None:
    xm3600(tmp_path, count=3)

    with pytest.raises(
        EvaluationError, match="no captions in 'ca', it has en, quz, zh; choose one with --lang"
    ):
        load_protocol("xm3600", tmp_path, ProtocolOptions(language="ca"))


def eccv(
    coco: Path, folder: Path, captions: int = 1332, images: int = 1261, answer: int = 0
) -> ProtocolOptions:
    document = json.loads((coco / "dataset_coco.json").read_text())
    (folder / "dataset_coco.json").write_text(json.dumps(document))
    listed = document["images"]
    ids = [int(image["filename"][-16:-4]) for image in listed]
    first5 = [image["sentences"][n]["sentid"] for image in listed for n in range(5)]
    by_text = {str(first5[row]): [ids[row // 5], ids[(row + 7) % 5000], ids[4999]] for row in range(captions)}
    by_image = {str(ids[row]): [*first5[5 * row : 5 * row + 5], first5[answer]] for row in range(images)}
    (folder / "eccv_caption_to_image.json").write_text(json.dumps(by_text))
    (folder / "eccv_image_to_caption.json").write_text(json.dumps(by_image))
    return ProtocolOptions(images=coco / "val2014")


def test_eccv_asks_its_judged_queries_against_the_full_gallery_of_25000_captions(
    coco: Path, tmp_path: Path
) -> None:
    loaded = load_protocol("eccv", tmp_path, eccv(coco, tmp_path))

    assert (len(loaded.images), len(loaded.texts)) == (5000, 25000)
    assert (loaded.denominator("text to image"), loaded.denominator("image to text")) == (1332, 1261)
    text_side, image_side = loaded.directions["text to image"], loaded.directions["image to text"]
    assert text_side.relevance.answers(int(text_side.query_rows[3])).tolist() == [0, 10, 4999]
    # the two directions are judged apart, so one is not the other turned around
    assert image_side.relevance.answers(int(image_side.query_rows[9])).tolist() == [0, *range(45, 50)]


def test_eccv_with_an_id_outside_the_gallery_is_refused(coco: Path, tmp_path: Path) -> None:
    options = eccv(coco, tmp_path)
    (tmp_path / "eccv_image_to_caption.json").write_text('{"42": [99999999]}')

    with pytest.raises(EvaluationError, match="names 99999999, which is not in the gallery"):
        load_protocol("eccv", tmp_path, options)


def test_eccv_with_other_query_counts_is_refused(coco: Path, tmp_path: Path) -> None:
    with pytest.raises(
        EvaluationError, match="1,331 judged queries text to image, and ECCV Caption has 1,332"
    ):
        load_protocol("eccv", tmp_path, eccv(coco, tmp_path, captions=1331))


def test_captions_of_one_image_are_one_group(coco: Path) -> None:
    texts, images = load_protocol("coco-5k", coco, PLAIN).groups

    assert len(np.unique(images)) == 5000
    assert texts[:6].tolist() == [images[0]] * 6


def test_an_unknown_protocol_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no protocol 'imagenet'; there are flickr8k, flickr30k, coco-5k"):
        load_protocol("imagenet", tmp_path, PLAIN)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_says_what_it_needs_when_the_corpus_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(EvaluationError, match="does not exist; give"):
        load_protocol(name, tmp_path / "nowhere", PLAIN)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_states_its_denominators_source_and_layout(name: str) -> None:
    protocol = PROTOCOLS[name]

    assert protocol.denominators
    assert protocol.source
    assert protocol.layout
    assert protocol.split in protocol.sizes


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"{", "not JSON"), (b'{"a": 1}', "no list 'images'"), (b"\xff\xfe\x00", "not UTF-8"),
     (b'{"images": [{"split": "test"}]}', "no 'filename'"),
     (b'{"images": [{"split": "test", "filename": "a.jpg"}]}', "no list 'sentences'")],
)  # fmt: skip
def test_a_broken_annotation_file_says_what_is_wrong(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "a.jpg").touch()
    (tmp_path / "dataset_flickr8k.json").write_bytes(content)

    with pytest.raises(CorpusFormatError, match=fault):
        load_protocol("flickr8k", tmp_path, PLAIN)


def test_a_file_that_is_no_json_at_all_is_refused_as_such(tmp_path: Path) -> None:
    (tmp_path / "val.tar").write_bytes(b"\xff\xd8\xff" * 300)

    with pytest.raises(CorpusFormatError, match=r"val\.tar: this is not JSON .*file as it was published"):
        load_protocol("coco-5k", tmp_path / "val.tar", PLAIN)
