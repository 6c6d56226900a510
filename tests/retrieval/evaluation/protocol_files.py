"""Builds published layouts at their published sizes, with empty image files: loading decodes nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any


def touch_all(folder: Path, names: Iterable[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def karpathy(
    path: Path,
    images: Sequence[str],
    per_image: int = 5,
    extra: int = 0,
    split: str = "test",
    filepath: str | None = None,
    captions: Callable[[int, int], str] | None = None,
) -> list[dict[str, Any]]:
    """A Karpathy file of these image names; the first ``extra`` have one caption more."""
    records = []
    sentid = 0
    for row, name in enumerate(images):
        sentences = []
        for n in range(per_image + (row < extra)):
            raw = captions(row, n) if captions else f"caption {n} of {name}"
            sentences.append({"raw": raw, "sentid": sentid, "imgid": row})
            sentid += 1
        image = {"filename": name, "split": split, "sentences": sentences, "imgid": row}
        records.append(image | ({"filepath": filepath} if filepath else {}))
    path.write_text(json.dumps({"images": records, "dataset": path.stem}))
    return records


def coco_names(count: int, prefix: str = "COCO_val2014_") -> list[str]:
    return [f"{prefix}{7 * row + 42:012d}.jpg" for row in range(count)]


def flickr_names(count: int) -> list[str]:
    return [f"{1000 + row}_{row:05x}.jpg" for row in range(count)]


def coco_cn(folder: Path, count: int = 1000, second: int = 53) -> None:
    ids = [f"COCO_{'train' if row % 2 else 'val'}2014_{row:012d}" for row in range(count)]
    for half in ("train2014", "val2014"):
        touch_all(folder / half, [f"{key}.jpg" for key in ids if half in key])
    (folder / "coco-cn_test.txt").write_text("\n".join(ids) + "\n")
    lines = [f"{key}#0\t一只猫坐在沙发上{row}" for row, key in enumerate(ids)]
    lines += [f"{key}#1\t第二句{row}" for row, key in enumerate(ids[:second])]
    lines.append("COCO_train2014_000099999999#0\t别的图片")  # of another split
    (folder / "imageid.human-written-caption.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def flickr30k_cn(folder: Path, count: int = 1000) -> Path:
    root = folder / "flickr30kzhmbosontest"
    (root / "ImageSets").mkdir(parents=True)
    (root / "TextData").mkdir()
    ids = [str(100000 + row) for row in range(count)]
    touch_all(folder / "flickr30k-images", [f"{key}.jpg" for key in ids])
    (root / "ImageSets" / "flickr30kzhmbosontest.txt").write_text("\n".join(ids))
    words = "一个:m 戴:v 帽子:n 的:ude 男人:n 在:p 3:15:m 跑步:v 。:wj"
    lines = [f"{key}#zhm#{n} {words} {row}:{n}:m" for row, key in enumerate(ids) for n in range(5)]
    (root / "TextData" / "seg.flickr30kzhmbosontest.caption.txt").write_text(
        "\n".join(lines), encoding="utf-8"
    )
    return root


def muge(
    folder: Path,
    images: int = 29806,
    queries: int = 5008,
    names: tuple[str, str] = ("MR_valid_imgs.tsv", "MR_valid_queries.jsonl"),
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    encoded = base64.b64encode(b"\xff\xd8 tiny").decode()
    (folder / names[0]).write_text("".join(f"{10**6 + row}\t{encoded}\n" for row in range(images)))
    with (folder / names[1]).open("w", encoding="utf-8") as file:
        for row in range(queries):
            ids = [10**6 + (6 * row + n) % images for n in range(6)]
            keys = (
                ("query_id", "query_text", "item_ids")
                if "MR" in names[1]
                else ("text_id", "text", "image_ids")
            )
            record = dict(zip(keys, (row, f"胖妹妹松紧腰长裤{row}", ids), strict=True))
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def xm3600(folder: Path, count: int = 3600) -> None:
    keys = [f"{row:016x}" for row in range(count)]
    touch_all(folder / "images", [f"{key}.jpg" for key in keys])
    with (folder / "captions.jsonl").open("w", encoding="utf-8") as file:
        for row, key in enumerate(keys):
            record: dict[str, object] = {"image/key": key, "image/locale": "en"}
            for language, many in (("en", 2), ("zh", 1 + row % 2), ("quz", 0 if row % 10 == 0 else 1)):
                captions = [f"{language} {row} {n}" for n in range(many)]
                record[language] = {"caption": captions, "caption/tokenized": captions}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
