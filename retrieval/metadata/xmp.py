"""XMP packets (ISO 16684-1), in images and in sidecar files of Lightroom, digiKam and darktable."""

from __future__ import annotations

import re
from collections import defaultdict
from fractions import Fraction
from xml.etree import ElementTree

from retrieval.metadata.exif import parse_time

MOST_BYTES = 4 * 2**20  # of a packet
_MOST_LEVELS = 64
_MOST_VALUES = 20_000

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_SPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
}


class XmpError(ValueError):
    """A packet that cannot be read, with the reason."""


def read_xmp(packet: bytes) -> dict[str, object]:
    """Get attributes out of a packet, as they are written; unusable ones may be among them.

    Raises:
        XmpError: it is not XML, too large, too deep, or declares entities, which may unpack without end.
    """
    values = _Values(_properties(packet))
    make, model = values.first("tiff:Make"), values.first("tiff:Model")
    found = {
        "taken": values.time("exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate"),
        "camera": model if make is None or (model or "").startswith(make) else f"{make} {model or ''}",
        "lens": values.first("exifEX:LensModel", "aux:Lens"),
        "focal_length": values.number("exif:FocalLength"),
        "aperture": values.number("exif:FNumber"),
        "exposure": values.number("exif:ExposureTime"),
        "iso": values.number("exifEX:PhotographicSensitivity", "exif:ISOSpeedRatings"),
        "lat": _degrees(values.first("exif:GPSLatitude")),
        "lon": _degrees(values.first("exif:GPSLongitude")),
        "altitude": values.number("exif:GPSAltitude"),
        "title": values.first("dc:title"),
        "description": values.first("dc:description"),
        "keywords": values.keywords(),
        "people": values.people(),
        "rating": values.number("xmp:Rating"),
        "label": values.first("xmp:Label"),
        "creator": values.first("dc:creator"),
        "city": values.first("photoshop:City"),
        "region": values.first("photoshop:State"),
        "country": values.first("photoshop:Country"),
    }
    return {name: value for name, value in found.items() if value is not None}


class _Values:
    """The properties of a packet by their qualified names, in their usual prefixes."""

    def __init__(self, properties: dict[str, list[str]]) -> None:
        self._properties = properties

    def all(self, name: str) -> list[str]:
        prefix, _, local = name.partition(":")
        return self._properties.get(f"{{{_SPACES[prefix]}}}{local}", [])

    def first(self, *names: str) -> str | None:
        return next((text for name in names for text in self.all(name)), None)

    def number(self, *names: str) -> float | None:
        """Read the first number, which may be a fraction, ``28/10``."""
        text = self.first(*names)
        # no exponents, which would make numbers of any length
        if text is None or not re.fullmatch(r"[+-]?\d{1,15}(?:\.\d{1,15}|/\d{1,15})?", text.strip()):
            return None
        try:
            return float(Fraction(text.strip()))
        except ZeroDivisionError:
            return None

    def time(self, *names: str) -> str | None:
        for name in names:
            for text in self.all(name):
                found = re.fullmatch(r"(.{10}[T ][\d:]{5,8})(?:\.\d+)?(Z|[+-]\d\d:\d\d)?", text.strip())
                if found and (time := parse_time(found[1], found[2])):
                    return time
                if re.fullmatch(r"\d{4}-\d\d-\d\d", text.strip()):
                    return text.strip()
        return None

    def keywords(self) -> list[str]:
        with_slashes = [*self.all("digiKam:TagsList"), *self.all("MicrosoftPhoto:LastKeywordXMP")]
        return [
            *self.all("dc:subject"),
            *(path.rpartition("|")[2] for path in self.all("lr:hierarchicalSubject")),
            *(path.rpartition("/")[2] for path in with_slashes),
        ]

    def people(self) -> list[str]:
        names, types = self.all("mwg-rs:Name"), self.all("mwg-rs:Type")
        if len(names) == len(types):
            names = [name for name, kind in zip(names, types, strict=True) if kind == "Face"]
        return [*self.all("Iptc4xmpExt:PersonInImage"), *names, *self.all("MPReg:PersonDisplayName")]


class _Collector:
    """Collects texts under the nearest element around them that is not RDF's own, and attributes under their names.

    That reads each way in which RDF/XML writes a property: an attribute, an element, a list of elements.
    """

    def __init__(self) -> None:
        self.properties: dict[str, list[str]] = defaultdict(list)
        self._stack: list[str] = []
        self._text: list[str] = []
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._stack) >= _MOST_LEVELS:
            raise XmpError(f"is nested in more than {_MOST_LEVELS} levels")
        self._stack.append(tag)
        self._text.clear()
        for name, value in attributes.items():
            self._add(name, value)

    def data(self, text: str) -> None:
        self._text.append(text)

    def end(self, _tag: str) -> None:
        text = "".join(self._text)
        self._text.clear()
        if not text.isspace():
            owner = next((tag for tag in reversed(self._stack) if not tag.startswith(_RDF)), None)
            if owner is not None:
                self._add(owner, text)
        self._stack.pop()

    def close(self) -> None:
        pass

    def _add(self, name: str, value: str) -> None:
        if value := value.strip():
            self._count += 1
            if self._count > _MOST_VALUES:
                raise XmpError(f"holds more than {_MOST_VALUES:,} values")
            self.properties[name].append(value)


def _properties(packet: bytes) -> dict[str, list[str]]:
    if len(packet) > MOST_BYTES:
        raise XmpError(f"is larger than {MOST_BYTES:,} bytes")
    packet = packet.strip(b"\0 \t\r\n")
    if b"\0" in packet or b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        raise XmpError("is not UTF-8, or declares entities")
    try:
        # in UTF-8 whatever it declares, so that a declaration of entities cannot hide in another encoding
        parser = ElementTree.XMLParser(target=(collector := _Collector()), encoding="utf-8")
        parser.feed(packet)
        parser.close()
    except (ElementTree.ParseError, LookupError) as error:
        raise XmpError(f"is not XML that can be read ({error})") from error
    return collector.properties


def _degrees(text: str | None) -> float | None:
    """Read ``48,8.4N`` or ``48,8,24N``."""
    found = re.fullmatch(
        r"(\d{1,3}),(\d{1,2}(?:\.\d+)?)(?:,(\d{1,2}(?:\.\d+)?))?([NSEW])", (text or "").strip()
    )
    if found is None:
        return None
    degrees = float(found[1]) + float(found[2]) / 60 + float(found[3] or 0) / 3600
    return -degrees if found[4] in "SW" else degrees
