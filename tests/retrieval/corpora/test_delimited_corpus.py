from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.corpora import CaptionColumn, CorpusOptions, open_corpus
from retrieval.errors import CorpusFormatError, UsageError
from retrieval.types import CorpusImage, CorpusText, Entry, FileBytes, UrlBytes
from retrieval.uris import file_uri
from tests.retrieval.corpora.corpus_reading import read, write


def test_a_row_is_a_picture_with_its_caption_and_its_other_columns_as_attributes(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "image,caption,author,year\na.jpg,A dog.,Ann,\n")

    (entry,) = read(table, lang="en").entries

    picture = CorpusImage(
        file_uri(tmp_path / "a.jpg"), FileBytes(tmp_path / "a.jpg"), None, {"author": "Ann"}
    )
    assert entry == Entry(
        picture, (CorpusText(f"{file_uri(table, 'row=1')}/caption/0", "A dog.", lang="en"),)
    )


def test_repeated_rows_give_repeated_entries_of_one_picture(tmp_path: Path) -> None:
    found = read(write(tmp_path / "t.csv", "image,caption\na.jpg,one\na.jpg,two\n"))

    assert [picture.uri for picture in found.pictures] == [file_uri(tmp_path / "a.jpg")] * 2
    assert found.words == ["one", "two"]


def test_several_caption_columns_have_their_own_languages_and_names(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "image,en text,zh\na.jpg,A dog.,一只狗。\n")

    found = read(table, caption_columns=(CaptionColumn("en text", "en"), CaptionColumn("zh")), lang="zh-Hans")

    assert found.texts == [
        CorpusText(f"{file_uri(table, 'row=1')}/en%20text/0", "A dog.", lang="en"),
        CorpusText(f"{file_uri(table, 'row=1')}/zh/0", "一只狗。", lang="zh-Hans"),
    ]


def test_a_further_caption_column_does_not_rename_the_captions_of_the_first(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "image,caption,zh\na.jpg,A dog.,一只狗。\n")

    both = read(table, caption_columns=(CaptionColumn("caption"), CaptionColumn("zh")))

    assert both.texts[:1] == read(table).texts


def test_a_url_stands_where_a_path_may_stand(tmp_path: Path) -> None:
    found = read(write(tmp_path / "t.csv", "url,text\nhttps://example.org/a.jpg,A dog.\n"))

    assert found.pictures == [CorpusImage("https://example.org/a.jpg", UrlBytes("https://example.org/a.jpg"))]


def test_picture_names_count_from_the_images_folder(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    table = write(tmp_path / "tables" / "t.csv", "image,caption\na.jpg,A dog.\n")

    (picture,) = read(table, images=tmp_path / "photos").pictures

    assert picture.location == FileBytes(tmp_path / "photos" / "a.jpg")


def test_a_table_of_captions_alone_is_a_corpus_of_texts(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "n,caption\n7,A dog.\n8,\n")

    found = read(table)

    assert found.entries == [
        Entry(None, (CorpusText(f"{file_uri(table, 'row=1')}/caption/0", "A dog.", attributes={"n": "7"}),))
    ]
    assert found.reasons == ["the caption is empty"]


def test_a_table_of_pictures_alone_is_a_corpus_of_pictures(tmp_path: Path) -> None:
    found = read(write(tmp_path / "t.csv", "path,n\na.jpg,7\n"))

    assert [(entry.texts, entry.image and entry.image.attributes) for entry in found.entries] == [
        ((), {"n": "7"})
    ]


def test_an_empty_caption_costs_a_picture_nothing_and_an_empty_picture_is_a_failure(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "image,caption\na.jpg,\n,A dog.\n")

    found = read(table)

    assert [entry.texts for entry in found.entries] == [()]
    assert [failure.uri for failure in found.failures] == [file_uri(table, "row=2")]
    assert "picture's name is empty" in found.reasons[0]


@pytest.mark.parametrize(
    ("header", "options", "fault"),
    [
        ("id,words", {}, "no column with a usual name for pictures or captions; its columns are: id, words"),
        ("image,url,caption", {}, "the columns image, url could all be meant"),
        ("image,caption,text", {}, "the columns caption, text could all be meant"),
        ("image,caption", {"image_column": "photo"}, "no column 'photo'; its columns are: image, caption"),
        ("image,caption", {"caption_columns": (CaptionColumn("words"),)}, "no column 'words'"),
        ("image,caption,x,x", {"caption_columns": (CaptionColumn("x"),)}, "more than one column 'x'"),
        ("", {}, "is empty"),
        ("\n\n", {}, "is empty"),
        ("image\ra.jpg\rb.jpg", {}, "the header cannot be read"),
        ('"image', {}, "the header cannot be read"),
    ],
)
def test_a_table_without_the_columns_it_needs_is_an_error_that_names_those_there_are(
    tmp_path: Path, header: str, options: dict[str, object], fault: str
) -> None:
    table = write(tmp_path / "t.csv", f"{header}\n")

    with pytest.raises(CorpusFormatError, match=fault):
        read(table, **options)


def test_a_bad_row_is_a_failure_with_its_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    table = write(
        tmp_path / "t.csv",
        b"image,caption\n"
        b"a.jpg,fine\n"
        b"b.jpg,too,many\n"
        b"c.jpg\n"
        b'd.jpg,"two\nlines, \xff"\n'
        b'e.jpg,"quoted" badly\n'
        b"\n"
        b"../f.jpg,outside\n"
        b"g.jpg,fine again\n",
    )

    found = read(table)

    assert found.words == ["fine", "fine again"]
    assert [failure.uri for failure in found.failures] == [
        file_uri(table, f"row={row}") for row in (2, 3, 4, 5, 6)
    ]
    assert found.reasons[0] == "the row that ends in line 3: has 3 fields, and the header 2"
    assert found.reasons[1] == "the row that ends in line 4: has 1 fields, and the header 2"
    assert found.reasons[2] == "the row that ends in line 6: byte 8 of the line (0xff) is not UTF-8"
    assert "the row that ends in line 7: is not CSV" in found.reasons[3]
    assert "is not inside" in found.reasons[4]


def test_a_line_that_is_too_long_is_a_failure_and_the_rest_goes_on(tmp_path: Path) -> None:
    long = "x" * (2**20 + 1)

    found = read(write(tmp_path / "t.csv", f"image,caption\na.jpg,{long}\nb.jpg,fine\n"))

    assert found.words == ["fine"]
    assert found.reasons == ["the row that ends in line 2: a line is longer than 1,048,576 bytes"]


def test_a_quote_that_is_never_closed_costs_a_bounded_number_of_rows(tmp_path: Path) -> None:
    rows = "".join(f"{number}.jpg,caption {number}\n" for number in range(20_000))

    found = read(write(tmp_path / "t.csv", f'image,caption\nbad.jpg,"never closed\n{rows}'))

    assert len(found.failures) == 1
    assert "field larger than field limit" in found.reasons[0]
    assert len(found.words) > 12_000
    assert found.words[-1] == "caption 19999"


def test_an_endless_row_of_quoted_fields_is_a_failure(tmp_path: Path) -> None:
    endless = '","\n' * 400_000

    found = read(write(tmp_path / "t.csv", f'image,caption\na.jpg,"\n{endless}"\n'))

    assert found.entries == []
    assert "a row is longer than" in found.reasons[0]


def test_the_process_wide_field_limit_of_the_csv_module_is_left_alone(tmp_path: Path) -> None:
    before = csv.field_size_limit()

    read(write(tmp_path / "t.csv", "image,caption\na.jpg,A dog.\n"))

    assert csv.field_size_limit() == before


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "| "])
def test_a_csv_is_delimited_by_what_its_header_is_delimited_by(tmp_path: Path, delimiter: str) -> None:
    rows = [["image", "comment number", "caption"], ["a.jpg", "0", '"A dog, no cat; no pipe | no tab \t"']]

    found = read(write(tmp_path / "t.csv", "\r\n".join(delimiter.join(row) for row in rows)))

    assert found.words == ["A dog, no cat; no pipe | no tab \t"]
    assert found.pictures[0].attributes == {"comment number": "0"}


def test_a_byte_order_mark_of_utf8_is_dropped_and_one_of_utf16_is_an_error(tmp_path: Path) -> None:
    table = "image,caption\na.jpg,Ein Bär.\n"

    assert read(write(tmp_path / "a.csv", table.encode("utf-8-sig"))).words == ["Ein Bär."]
    with pytest.raises(CorpusFormatError, match="is UTF-16"):
        read(write(tmp_path / "b.csv", table.encode("utf-16")))
    with pytest.raises(CorpusFormatError, match="is UTF-32"):
        read(write(tmp_path / "c.csv", table.encode("utf-32")))


def test_quotation_marks_in_a_tsv_are_part_of_the_text(tmp_path: Path) -> None:
    found = read(write(tmp_path / "t.tsv", 'image\tcaption\na.jpg\t"Stop!" said the "sign\nb.jpg\t"x"\n'))

    assert found.words == ['"Stop!" said the "sign', '"x"']


def test_a_bad_row_of_a_tsv_is_a_failure(tmp_path: Path) -> None:
    table = write(tmp_path / "t.tsv", b"image\tcaption\na.jpg\t\xff\nb.jpg\nc.jpg\tfine\n")

    found = read(table)

    assert found.words == ["fine"]
    assert [failure.uri for failure in found.failures] == [file_uri(table, f"row={row}") for row in (1, 2)]


def test_the_total_is_about_the_number_of_rows(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "image,caption\n" + "a.jpg,A dog.\n" * 20_000)

    total = open_corpus(str(table), CorpusOptions()).total

    assert total is not None
    assert 19_900 < total < 20_100


def test_an_images_option_that_is_no_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        read(write(tmp_path / "t.csv", "image,caption\n"), images=tmp_path / "nowhere")


_WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=40)


@settings(max_examples=60)
@given(captions=st.lists(_WORDS.filter(lambda text: bool(text.strip()))))
def test_any_captions_written_as_csv_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, captions: list[str]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([["image", "caption"], *(["a.jpg", text] for text in captions)])

    found = read(path)

    assert found.failures == []
    assert found.texts == [
        CorpusText(f"{file_uri(path, f'row={row}')}/caption/0", text) for row, text in enumerate(captions, 1)
    ]


@settings(max_examples=60)
@given(
    captions=st.lists(_WORDS.map(lambda text: text.replace("\t", " ").replace("\n", " ")).filter(str.strip))
)
def test_any_captions_written_as_tsv_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, captions: list[str]
) -> None:
    path = write(
        tmp_path_factory.mktemp("tsv") / "t.tsv",
        "image\tcaption\n" + "".join(f"a.jpg\t{text}\n" for text in captions),
    )

    found = read(path)

    assert (found.words, found.failures) == (captions, [])
