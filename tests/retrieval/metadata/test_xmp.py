"""XMP packets: each way of writing a property, what sidecars of several programs hold, and hostile ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.metadata.attributes import RULES, tidied
from retrieval.metadata.read import Sidecar, read_metadata
from retrieval.metadata.xmp import XmpError, read_xmp

SPACES = " ".join(
    f'xmlns:{prefix}="{uri}"'
    for prefix, uri in {
        "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        "dc": "http://purl.org/dc/elements/1.1/",
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "exif": "http://ns.adobe.com/exif/1.0/",
        "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "lr": "http://ns.adobe.com/lightroom/1.0/",
        "digiKam": "http://www.digikam.org/ns/1.0/",
        "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
        "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
        "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
        "stArea": "http://ns.adobe.com/xmp/sType/Area#",
    }.items()
)


def packet(properties: str = "", attributes: str = "") -> bytes:
    """Write a packet with elements and attributes of its one description."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF {SPACES}><rdf:Description rdf:about="" {attributes}>{properties}</rdf:Description></rdf:RDF>'
        '</x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def bag(name: str, *values: str, kind: str = "Bag") -> str:
    """Write a property with a list of values."""
    return (
        f"<{name}><rdf:{kind}>"
        + "".join(f"<rdf:li>{value}</rdf:li>" for value in values)
        + f"</rdf:{kind}></{name}>"
    )


@pytest.mark.parametrize(
    "written",
    [
        packet("<xmp:Rating>4</xmp:Rating>"),
        packet(attributes='xmp:Rating="4"'),
        packet(attributes='xmp:Rating=" 4 "'),
    ],
    ids=["element", "attribute", "blanks"],
)
def test_each_way_of_writing_a_plain_property_is_read(written: bytes) -> None:
    assert tidied(read_xmp(written)) == {"rating": 4}


def test_titles_descriptions_keywords_and_places_are_read() -> None:
    written = packet(
        bag("dc:title", "An evening", kind="Alt")
        + bag("dc:description", "Two people by the river\n夕阳", kind="Alt")
        + bag("dc:subject", "river", "evening", "河")
        + bag("dc:creator", "Ann Other", kind="Seq")
        + "<photoshop:City>Wien</photoshop:City><photoshop:Country>Österreich</photoshop:Country>",
        'xmp:Label="Green" exif:GPSLatitude="48,12.5N" exif:GPSLongitude="16,22,12E" '
        'exif:DateTimeOriginal="2021-04-12T15:30:12.25+02:00" exif:FNumber="28/10"',
    )

    assert tidied(read_xmp(written)) == {
        "taken": "2021-04-12T15:30:12+02:00",
        "aperture": 2.8,
        "lat": 48.2083333,
        "lon": 16.37,
        "title": "An evening",
        "description": "Two people by the river\n夕阳",
        "keywords": ["river", "evening", "河"],
        "label": "Green",
        "creator": "Ann Other",
        "city": "Wien",
        "country": "Österreich",
    }


def test_paths_of_keywords_give_their_last_names() -> None:
    written = packet(
        bag("dc:subject", "dog")
        + bag("lr:hierarchicalSubject", "animal|dog", "place|Wien")
        + bag("digiKam:TagsList", "Places/Wien", kind="Seq")
    )

    assert tidied(read_xmp(written)) == {"keywords": ["dog", "Wien"]}


@pytest.mark.parametrize(
    ("written", "keyword"),
    [
        (bag("lr:hierarchicalSubject", "style|b/w"), "b/w"),
        (bag("digiKam:TagsList", "style/a|b", kind="Seq"), "a|b"),
        (bag("MicrosoftPhoto:LastKeywordXMP", "Places/Wien"), "Wien"),
    ],
    ids=["Lightroom", "digiKam", "Windows"],
)
def test_a_path_of_keywords_is_cut_where_its_program_cuts_it(written: str, keyword: str) -> None:
    assert tidied(read_xmp(packet(written))) == {"keywords": [keyword]}


def test_faces_give_people_and_other_regions_do_not() -> None:
    def region(name: str, kind: str) -> str:
        return f'<rdf:li><rdf:Description mwg-rs:Name="{name}" mwg-rs:Type="{kind}"/></rdf:li>'

    regions = f"<mwg-rs:RegionList><rdf:Bag>{region('Ann', 'Face')}{region('Rex', 'Pet')}</rdf:Bag></mwg-rs:RegionList>"
    written = packet(bag("Iptc4xmpExt:PersonInImage", "Bob") + f"<mwg-rs:Regions>{regions}</mwg-rs:Regions>")

    assert tidied(read_xmp(written)) == {"people": ["Bob", "Ann"]}


LAUGHS = b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "written",
    [
        LAUGHS + packet(),
        packet().replace(b"<x:xmpmeta", LAUGHS + b"<x:xmpmeta"),
        (LAUGHS + packet()).decode().encode("utf-16"),
        b'<?xml version="1.0" encoding="utf-16"?>' + packet(),
        packet("<dc:title>" * 100 + "</dc:title>" * 100),
        packet()[:200],
        packet("<xmp:Rating>4</xmp:Rating>" * 30_000),
        b" " * 5_000_000 + packet("x" * 5_000_000),
        b"",
        b"\xff\xfe" * 40,
    ],
    ids=[
        "entities",
        "entities within",
        "utf-16",
        "declared",
        "deep",
        "cut",
        "many",
        "large",
        "empty",
        "noise",
    ],
)
def test_a_hostile_packet_is_refused_and_costs_nothing_else(written: bytes) -> None:
    if b"declared" not in written and b'encoding="utf-16"' not in written:
        with pytest.raises(XmpError):
            read_xmp(written)

    beside = [Sidecar("a.jpg.xmp", written), Sidecar("a.xmp", packet(attributes='xmp:Rating="3"'))]

    assert read_metadata(b"", sidecars=beside) == {"rating": 3}


@pytest.mark.parametrize("number", ["1e999999999", "1/0", "nan", "9" * 50, "0x10", "", "1_000"])
def test_a_number_that_is_none_is_left_out(number: str) -> None:
    assert tidied(read_xmp(packet(attributes=f'exif:FNumber="{number}"'))) == {}


@given(st.data())
def test_a_damaged_packet_gives_usable_attributes_or_none(data: st.DataObject) -> None:
    written = bytearray(packet(bag("dc:subject", "river", "河") + "<xmp:Rating>4</xmp:Rating>"))
    for _ in range(data.draw(st.integers(1, 4))):
        written[data.draw(st.integers(0, len(written) - 1))] = data.draw(st.integers(0, 255))

    for name, value in read_metadata(b"", sidecars=[Sidecar("a.xmp", bytes(written))]).items():
        assert RULES[name].tidy(value) == value
