"""Mutated corpora of every format through the real command line: ``python -m tests.fuzz.corpora COUNT SEED``.

No command may print a traceback, hang, die, leave a process behind or take much memory; a run says in numbers what
the collection holds afterwards, and a second run finds nothing to encode.
"""

from __future__ import annotations

import datetime
import decimal
import io
import json
import random
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.command_line import save_tiny_model
from tests.fuzz import harness

MEMORY_BOUND = 3 * 2**29  # bytes resident, of which the imports alone take a third
EXIT_CODES = {0, 1, 2}
NAMES = ("red.png", "green.png", "sub/blue.png", "none.jpg")
COLOURS = ("red", "lime", "blue")

NASTY_TEXTS = (
    "", " ", "\0", "\ud800", "\udfff\ud800", "\u202e", "a\x1b[2J", "x" * 70_000, "\U0001f600" * 40_000,
    "../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "file://%00", "http://[::1",
    "http://127.0.0.1:9/x.png", "C:\\x\\y.png", "red.png ", "RED.PNG", "sub\\blue.png", "re\u0301d.png",
    "." * 5000, "a/" * 3000, "{a,b}", "#", "%", "%ff", "1", "NaN", "\ufeff", "\r", "\n",
)  # fmt: skip
NASTY_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 1.0, 1e308, 10**18, 10**30, -(2**63), 2**63, float("nan"), float("inf"), [], {},
    [[]], {"": ""}, {"\ud800": "\ud800"}, [None, "a", ["b"]], ["a"] * 3000,
    {str(n): n for n in range(5000)},
)  # fmt: skip
NASTY_JSON = (
    "1" * 5000, "1" * 1_200_000, "[" * 5000, "[" * 90 + "]" * 90, '{"a":' * 2000, "-", "1e999999",
    '"\\ud800"', '"\\u00', "\xff", "nul", "[,]", '{"a":1,"a":2}', "//", "'a'", "Infinity",
)  # fmt: skip
NASTY_BYTES = (
    b"\0", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\n", b"\r\n", b'"', b",", b"\t",
    b"PAR1", b"\0" * 512, b"\xff" * 8, b"\xff\xff\xff\x7f", b"ustar", b"{", b"]", b'\\ud800', b"\x1f\x8b",
    b"9" * 400,
)  # fmt: skip

Written = dict[str, bytes]
"""Files of a corpus by their relative path; the first is the corpus itself."""


def any_text(rng: random.Random) -> str:
    """A text that a corpus may hold, at times a hostile one."""
    return (
        rng.choice(NASTY_TEXTS)
        if rng.random() < 0.4
        else rng.choice(["a red square", "two dogs", "日本語", "café"])
    )


def any_value(rng: random.Random) -> Any:
    """A JSON value, at times a hostile one."""
    return rng.choice(NASTY_VALUES) if rng.random() < 0.5 else any_text(rng)


def any_name(rng: random.Random) -> str:
    """The name of a picture, mostly of one that is there."""
    return rng.choice(NASTY_TEXTS) if rng.random() < 0.15 else rng.choice(NAMES)


def record(rng: random.Random) -> dict[str, Any]:
    """A row of a table."""
    row: dict[str, Any] = {"image": any_name(rng), "caption": any_text(rng)}
    if rng.random() < 0.3:
        row["caption"] = [any_text(rng) for _ in range(rng.randrange(4))]
    for _ in range(rng.randrange(3)):
        row[any_text(rng)[:100]] = any_value(rng)
    if rng.random() < 0.2:
        row[rng.choice(["image", "caption"])] = any_value(rng)
    return row


def json_text(value: Any, rng: random.Random) -> str:
    """JSON, at times with something in it that no writer of JSON writes."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.2:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(NASTY_JSON) + text[at + rng.randrange(3) :]
    return text


def encoded(text: str, rng: random.Random) -> bytes:
    """Bytes of a text: mostly UTF-8, with halves of surrogate pairs as they are."""
    encoding = rng.choice(["utf-8"] * 12 + ["utf-8-sig", "utf-16", "utf-32", "latin-1"])
    return text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")


def make_csv(rng: random.Random) -> Written:
    mark = rng.choice([",", ",", ";", "\t", "|"])
    lines = [mark.join(["image", "caption", rng.choice(["lang", "x", "caption"])])]
    for _ in range(rng.randrange(12)):
        fields = [any_name(rng), any_text(rng), any_text(rng)][: rng.choice([3, 3, 3, 2, 1])]
        lines.append(mark.join(f'"{field}"' if rng.random() < 0.5 else field for field in fields))
    return {rng.choice(["t.csv", "t.tsv", "t.txt"]): encoded("\n".join(lines), rng)}


def make_jsonl(rng: random.Random) -> Written:
    return {"t.jsonl": encoded("\n".join(json_text(record(rng), rng) for _ in range(rng.randrange(12))), rng)}


def make_lines(rng: random.Random) -> Written:
    lines = [any_text(rng) for _ in range(rng.randrange(10))]
    if rng.random() < 0.3:
        lines.insert(0, "http://127.0.0.1:9/a.png\tcaption")
    if rng.random() < 0.3:
        lines = [f"{any_name(rng)}#{n % 5}\t{line}" for n, line in enumerate(lines)]
    return {
        rng.choice(["t.txt", "Flickr8k.token.txt", "results_20130124.token"]): encoded("\n".join(lines), rng)
    }


def make_coco(rng: random.Random) -> Written:
    images = [
        {
            "id": rng.choice([n, str(n), any_value(rng)]),
            "file_name": any_name(rng),
            any_text(rng)[:50]: any_value(rng),
        }
        for n in range(rng.randrange(6))
    ]
    annotations = [
        {
            "id": rng.choice([n, n, any_value(rng)]),
            "image_id": rng.choice([0, "1", 2, any_value(rng)]),
            "caption": any_text(rng),
        }
        for n in range(rng.randrange(9))
    ]
    document: dict[str, Any] = {"info": any_value(rng), "images": images, "annotations": annotations}
    if rng.random() < 0.2:
        document[rng.choice(["images", "annotations", "info"])] = any_value(rng)
    return {"c.json": encoded(json_text(document, rng), rng)}


def make_karpathy(rng: random.Random) -> Written:
    images = [
        {
            "filename": any_name(rng),
            "split": rng.choice(["train", "test", any_text(rng)[:100]]),
            "sentences": [
                {"raw": any_text(rng), "sentid": rng.choice([n, any_value(rng)])}
                for n in range(rng.randrange(4))
            ]
            if rng.random() < 0.8
            else any_value(rng),
        }
        for _ in range(rng.randrange(1, 5))
    ]
    return {"dataset.json": encoded(json_text({"images": images, "dataset": any_value(rng)}, rng), rng)}


def make_tar(rng: random.Random) -> Written:
    buffer = io.BytesIO()
    format_ = rng.choice([tarfile.PAX_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
    with tarfile.open(fileobj=buffer, mode="w", format=format_, errors="surrogateescape") as archive:
        for _ in range(rng.randrange(1, 12)):
            info = tarfile.TarInfo(
                rng.choice(["a", "b", "./a", "d/c", "a.b"])
                + rng.choice([".png", ".txt", ".json", ".mp4", ""])
            )
            data = png(rng.choice(COLOURS)) if info.name.endswith(".png") else encoded(any_text(rng), rng)
            if info.name.endswith(".json"):
                data = encoded(json_text(record(rng), rng), rng)
            if rng.random() < 0.15:
                info.type = rng.choice(
                    [
                        tarfile.LNKTYPE,
                        tarfile.SYMTYPE,
                        tarfile.DIRTYPE,
                        tarfile.FIFOTYPE,
                        b"S",
                        b"K",
                        b"L",
                        b"x",
                    ]
                )
                info.linkname = rng.choice(["a.png", "/etc/passwd", info.name])
            if rng.random() < 0.2 and format_ == tarfile.PAX_FORMAT:
                keys = ["size", "path", "GNU.sparse.name", "GNU.sparse.size", "linkpath", "mtime", "x" * 2000]
                info.pax_headers = {
                    rng.choice(keys): rng.choice(["0", "-1", "9" * 19, "9" * 400, "a.png", "x" * 5000])
                }
            info.size = len(data)
            try:
                archive.addfile(info, io.BytesIO(data))
            except (ValueError, tarfile.TarError, UnicodeError):
                continue
    return {rng.choice(["t.tar", "t-000.tar"]): buffer.getvalue()}


def make_parquet(rng: random.Random) -> Written:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = rng.randrange(1, 20)
    stored = rng.random() < 0.5
    names = [any_name(rng).encode(errors="replace").decode() for _ in range(rows)]
    data = [rng.choice([None, b"", png(rng.choice(COLOURS))]) for _ in range(rows)]
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    structs = pa.array([{"bytes": one, "path": "p"} for one in data], struct)
    columns: dict[str, Any] = {
        "image": rng.choice([data, structs]) if stored else names,
        "caption": [any_text(rng).encode(errors="replace").decode() for _ in range(rows)],
        "x": rng.choice([
            pa.array([1.5] * rows),
            pa.array([[1, None]] * rows),
            pa.array([{"a": [{"b": b"\xff"}]}] * rows),
            pa.array([datetime.datetime(1, 1, 1)] * rows),
            pa.array([2**62] * rows, pa.timestamp("ns")),
            pa.array([decimal.Decimal("1.5")] * rows),
            pa.array([b"\xff"] * rows),
            pa.array(["y" * 100_000]).take(pa.array([0] * rows)),
            pa.DictionaryArray.from_arrays(pa.array([0] * rows), pa.array(["z" * 2_000_000])),
            pa.nulls(rows),
        ]),
    }  # fmt: skip
    buffer = io.BytesIO()
    pq.write_table(
        pa.table(columns),
        buffer,
        compression=rng.choice(["none", "snappy", "zstd", "gzip"]),
        row_group_size=rng.choice([1, 3, 100]),
        use_dictionary=rng.random() < 0.5,
        data_page_version=rng.choice(["1.0", "2.0"]),
    )
    return {"t.parquet": buffer.getvalue()}


def make_folder(rng: random.Random) -> Written:
    files: Written = {"": b""}
    for _ in range(rng.randrange(8)):
        stem = rng.choice(["a", "b", ".c", "@eaDir/d", "lost+found/e", "IMG_1", "sub/f", "日本", "g\udce9"])
        suffix = rng.choice([".png", ".txt", ".jpg", "", ".cr2", ".JPG_original", ".heic", ".psd", ".what"])
        files[stem + suffix] = rng.choice(
            [png(rng.choice(COLOURS)), encoded(any_text(rng), rng), b"", b"\xff\xd8\xff"]
        )
    return files


MAKERS: Sequence[Callable[[random.Random], Written]] = (
    make_csv, make_jsonl, make_lines, make_coco, make_karpathy, make_tar, make_tar, make_parquet,
    make_parquet, make_folder,
)  # fmt: skip


def png(colour: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (24, 24), colour).save(buffer, "PNG")
    return buffer.getvalue()


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes of a corpus with something flipped, cut, doubled or put in."""
    out = bytearray(data)
    for _ in range(rng.choice([0, 0, 1, 1, 2, 8])):
        if not out:
            break
        at = rng.randrange(len(out))
        if rng.random() < 0.3:
            at = max(0, len(out) - 1 - rng.randrange(min(len(out), 400)))  # Parquet's footer
        match rng.randrange(5):
            case 0:
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                del out[at : at + rng.choice([1, 10, len(out)])]
            case 2:
                out[at:at] = out[at : at + rng.choice([1, 100, 512, 2000])]
            case 3:
                value = rng.choice(NASTY_BYTES)
                out[at : at + len(value)] = value
            case _:
                out[at:at] = rng.choice(NASTY_BYTES)
    return bytes(out)


def write_case(folder: Path, rng: random.Random) -> tuple[Path, str]:
    """Write a mutated corpus, with the pictures that it names beside it; its path, and its maker's name."""
    maker = rng.choice(MAKERS)
    files = maker(rng)
    corpus = folder / "corpus"
    for name, colour in zip(NAMES, COLOURS, strict=False):
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus / name).write_bytes(png(colour))
    for name, data in files.items():
        if name:
            (corpus / name).parent.mkdir(parents=True, exist_ok=True)
            (corpus / name).write_bytes(data if maker is make_folder else mutated(data, rng))
    return corpus / next(iter(files)), maker.__name__.removeprefix("make_")


def try_case(number: int, seed: int, work: Path, tally: harness.Tally) -> None:
    """Index a mutated corpus, and hold what the run says beside what the collection holds."""
    rng = random.Random(f"{seed}/{number}")
    folder = work / "case"
    shutil.rmtree(folder, ignore_errors=True)
    corpus, kind = write_case(folder, rng)
    case = f"seed {seed} case {number} ({kind})"
    at: list[str | Path] = ["--collection", folder / "collection"]
    index: list[str | Path] = ["index", corpus, "--model", work / "model", "--json", *at]

    def call(*arguments: str | Path) -> harness.Outcome:
        started = time.monotonic()
        outcome = harness.run(*arguments, cwd=folder)
        tally.add(case, arguments, outcome, time.monotonic() - started)
        if outcome.code is not None and outcome.code not in EXIT_CODES:
            tally.fault(f"exit code {outcome.code}", case, f"{arguments}\n{outcome.output}")
        if outcome.memory > MEMORY_BOUND:
            tally.fault("memory", case, f"{arguments}\n{outcome.memory / 2**20:,.0f} MiB")
        return outcome

    tally.cases += 1
    first = counts_in(call(*index))
    if rng.random() < 0.1:
        call("eval", corpus, "--model", work / "model")
    if first is None:
        return
    held = counts_in(call("info", "--json", *at)) or {}
    said = (first["images"], first["captions"], first["links"], first["failed"])
    if said != (held.get("images"), held.get("texts"), held.get("links"), held.get("failures")):
        tally.fault("wrong counts", case, f"index {first}\ninfo {held}")
    if first["encoded"] + first["known"] + first["unchanged"] != first["images"] + first["captions"]:
        tally.fault("counts do not add up", case, f"{first}")
    if rng.random() < 0.3:
        second = counts_in(call(*index)) or {}
        same = all(
            second.get(name) == first[name] for name in ("images", "captions", "links", "failed", "left_out")
        )
        if second.get("encoded") or not same:
            tally.fault("second run differs", case, f"{first}\n{second}")
    if rng.random() < 0.3:
        doctor = call("doctor", *at)
        if doctor.code:
            tally.fault("doctor", case, doctor.output)


def counts_in(outcome: harness.Outcome) -> dict[str, Any] | None:
    """The JSON object of counts that a command printed, if it did."""
    for line in outcome.output.splitlines():
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    return None


def main(count: int, seed: int) -> int:
    """Try so many mutated corpora; 1 if anything went wrong."""
    harness.preload()
    tally = harness.Tally("corpora")
    work = Path(tempfile.mkdtemp(prefix="vlsearch-fuzz-")).resolve()
    try:
        save_tiny_model(work / "model")
        for number in range(count):
            try_case(number, seed, work, tally)
    finally:
        shutil.rmtree(work)
    return tally.finish()


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), int(sys.argv[2])))
