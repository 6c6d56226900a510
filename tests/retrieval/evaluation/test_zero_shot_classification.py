"""Zero-shot classification: folders and tars with labels, templates, accuracies."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import CorpusFormatError, EvaluationError
from retrieval.evaluation.classification import LabelledImages, classify, classify_models, load_labelled
from retrieval.evaluation.metrics import Share
from retrieval.types import CorpusImage, InlineBytes, MemberBytes
from tests.builders import HashEncoder
from tests.retrieval.evaluation.small_sets import random_units, unit


def labelled(labels: Sequence[int], classes: int) -> LabelledImages:
    images = tuple(CorpusImage(f"test:{row}", InlineBytes(b"")) for row in range(len(labels)))
    return LabelledImages("toy", images, np.array(labels), tuple(f"class {n}" for n in range(classes)))


def class_folders(root: Path, **classes: int) -> Path:
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for n in range(count):
            Image.new("RGB", (8, 8), (n, 0, len(name))).save(root / name / f"{n}.png")
    return root


def tar_of(path: Path, **members: bytes) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_accuracies_are_counted_by_hand() -> None:
    images = unit([[1, 0], [1, 0.2], [0.2, 1], [1, 0]])  # the first two are of class 0
    found = classify(labelled([0, 0, 1, 1], 2), images, unit([[1, 0], [0, 1]]))

    assert found.top1 == Share(3, 4)
    assert found.mean_per_class == pytest.approx((1 + 1 / 2) / 2)
    assert found.top5 is None
    assert found.interval.low < 0.75 <= found.interval.high


def test_a_class_without_images_takes_part_as_an_answer_but_not_in_the_mean_over_classes() -> None:
    found = classify(labelled([0, 0], 2), unit([[1, 0], [0, 1]]), unit([[1, 0], [0, 1]]))

    assert (found.top1, found.mean_per_class) == (Share(1, 2), 0.5)


def test_equal_scores_go_to_the_class_that_comes_first() -> None:
    found = classify(labelled([0, 1], 2), unit([[1, 1], [1, 1]]), unit([[1, 0], [0, 1]]))

    assert found.top1 == Share(1, 2)


def test_top_5_counts_five_classes() -> None:
    images, classes = random_units(50), random_units(9, seed=1)
    labels = [row % 9 for row in range(50)]

    found = classify(labelled(labels, 9), images, classes)

    order = np.argsort(-(images.astype(np.float64) @ classes.T), axis=1)[:, :5]
    assert found.top5 == Share(sum(label in five for label, five in zip(labels, order, strict=True)), 50)


def test_folders_are_classes_in_alphabetical_order_their_underscores_blanks(tmp_path: Path) -> None:
    found = load_labelled(class_folders(tmp_path / "pets", tabby_cat=2, dog=1))

    assert found.classes == ("dog", "tabby cat")
    assert found.labels.tolist() == [0, 1, 1]
    assert [image.key for image in found.images] == ["dog/0.png", "tabby_cat/0.png", "tabby_cat/1.png"]


def test_a_file_gives_folders_other_names(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("n02\ttabby cat\nn01\tdog\n")

    found = load_labelled(class_folders(tmp_path / "imagenet", n01=1, n02=1), names)

    assert found.classes == ("dog", "tabby cat")


def test_a_picture_in_no_class_is_named_and_not_left_out_in_silence(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "pets", cat=1, dog=1)
    Image.new("RGB", (8, 8)).save(root / "stray.png")

    with pytest.raises(EvaluationError, match=r"stray.png lies in no class's folder"):
        load_labelled(root)


def test_two_classes_of_one_name_are_refused_since_the_second_is_never_right(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "pets", **{"cat_a": 1, "cat a": 1})

    with pytest.raises(EvaluationError, match=r"'cat a' and 'cat_a' have the same name 'cat a'"):
        load_labelled(root)


def test_a_tar_has_labels_beside_its_images(tmp_path: Path) -> None:
    path = tar_of(
        tmp_path / "pets.tar",
        a__jpg=b"1", a__json=json.dumps({"label": "dog"}).encode(), b__json=b'{"label": "cat"}', b__jpg=b"2",
    )  # fmt: skip

    found = load_labelled(path)

    assert found.classes == ("cat", "dog")
    assert found.labels.tolist() == [1, 0]
    location = found.images[0].location
    assert isinstance(location, MemberBytes)
    assert location.size == 1


def test_numbered_classes_are_named_line_by_line(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "x.tar", a__jpg=b"1", a__cls=b"10", b__jpg=b"2", b__cls=b"9")
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"name {n}" for n in range(11)))

    assert load_labelled(path, names).classes == ("name 9", "name 10")
    with pytest.raises(EvaluationError, match="are numbers, of which no model knows the meaning"):
        load_labelled(path)


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"a__jpg": b"1"}, r"a\.jpg has no label; put a\.json"),
        ({"a__jpg": b"1", "a__json": b"{"}, r"a\.json: is not JSON"),
        ({"a__jpg": b"1", "a__json": b"{}"}, r"a\.json: there is no 'label' in it"),
        ({"a__txt": b"1"}, "holds no labelled pictures"),
    ],
)
def test_a_tar_without_labels_is_refused_with_the_place(
    tmp_path: Path, members: dict[str, bytes], sentence: str
) -> None:
    with pytest.raises((EvaluationError, CorpusFormatError), match=sentence):
        load_labelled(tar_of(tmp_path / "x.tar", **members))


def test_what_is_no_tar_no_folder_or_has_unnamed_classes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"no tar" * 200)
    (tmp_path / "names.txt").write_text("n01\tdog\n")
    folders = class_folders(tmp_path / "pets", n01=1, n02=1)

    with pytest.raises(CorpusFormatError, match="cannot be read as an uncompressed tar"):
        load_labelled(tmp_path / "x.tar")
    with pytest.raises(EvaluationError, match="does not exist; give a folder with one folder a class"):
        load_labelled(tmp_path / "absent")
    with pytest.raises(EvaluationError, match=r"names no class n02 of .*pets \(1 of 2 are missing\)"):
        load_labelled(folders, tmp_path / "names.txt")


def test_class_names_are_put_into_every_template(encoder: HashEncoder, tmp_path: Path) -> None:
    pets = load_labelled(class_folders(tmp_path / "pets", cat=1, dog=1))

    found = classify_models(pets, {"hash": encoder}, ["a {}", "the {}"], tmp_path / "cache")

    assert [text for text in encoder.encoded if isinstance(text, str)] == [
        "a cat",
        "a dog",
        "the cat",
        "the dog",
    ]
    assert found.models["hash"][1].top1.of == 2


def test_what_corpora_leave_out_is_left_out_of_classes_too(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "pets", cat=1, dog=1)
    (root / "cat" / "._0.png").write_bytes(b"resource fork")
    (root / ".thumbnails").mkdir()
    (root / ".thumbnails" / "0.png").write_bytes((root / "cat" / "0.png").read_bytes())
    collection = root / "dog" / "collection"
    collection.mkdir()
    (collection / "catalogue.sqlite").write_bytes(b"")
    (collection / "0.png").write_bytes((root / "dog" / "0.png").read_bytes())
    packed = tar_of(tmp_path / "x.tar", a__jpg=b"1", a__json=b'{"label": "cat"}', **{"._a__jpg": b"2"})

    assert [image.key for image in load_labelled(root).images] == ["cat/0.png", "dog/0.png"]
    assert [image.key for image in load_labelled(packed).images] == ["a"]


def test_an_image_that_cannot_be_read_is_not_left_out_in_silence(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "pets", cat=1, dog=1)
    (root / "cat" / "1.png").symlink_to("nowhere")

    with pytest.raises(EvaluationError, match=r"cat/1\.png: is a link that leads nowhere; .*fewer pictures"):
        load_labelled(root)


def test_of_members_with_one_name_the_last_is_classified(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in [("a.jpg", b"old"), ("a.cls", b"0"), ("./a.jpg", b"newer"), ("a.cls", b"1")]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    (tmp_path / "names.txt").write_text("cat\ndog\n")

    found = load_labelled(path, tmp_path / "names.txt")

    (image,) = found.images
    assert isinstance(image.location, MemberBytes)
    assert image.location.size == len(b"newer")
    assert found.classes == ("dog",)
