"""What the container of a video says of it, as attributes by their fixed names, not yet tidied."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_APPLE, _ANDROID = "com.apple.quicktime.", "com.android."
_NAMES = {
    "taken": (f"{_APPLE}creationdate", "creation_time", "date"),
    "title": (f"{_APPLE}title", f"{_APPLE}displayname", "title"),
    "description": (f"{_APPLE}description", "description", "synopsis", "comment"),
    "creator": (f"{_APPLE}author", "artist", "author"),
}
_MAKE = (f"{_APPLE}make", f"{_ANDROID}manufacturer", "make")
_MODEL = (f"{_APPLE}model", f"{_ANDROID}model", "model")
_KEYWORDS = (f"{_APPLE}keywords", "keywords")
_PLACE = (f"{_APPLE}location.iso6709", "location", "location-eng")
_ISO_6709 = re.compile(
    r"(?P<lat>[+-]\d{1,2}(?:\.\d{1,12})?)(?P<lon>[+-]\d{1,3}(?:\.\d{1,12})?)(?P<altitude>[+-]\d{1,6}(?:\.\d{1,6})?)?"
    r"(?:CRS.*)?/?\s*"
)
_NEVER_SET = ("1904-01-01", "1970-01-01")  # the zero of QuickTime's clock, and of Unix's


def attributes_of(*sources: Mapping[str, str]) -> dict[str, object]:
    """Give the attributes in the metadata of a container and its streams; of several that say something, the first."""
    said: dict[str, str] = {}
    for source in sources:
        for name, value in source.items():
            said.setdefault(name.lower(), value)
    named = {name: _first(said, keys) for name, keys in _NAMES.items()}
    found: dict[str, object] = {name: value for name, value in named.items() if value is not None}
    if str(found.get("taken", "")).startswith(_NEVER_SET):
        del found["taken"]
    make, model = _first(said, _MAKE) or "", _first(said, _MODEL) or ""
    camera = model if model.lower().startswith(make.lower()) else f"{make} {model}"
    if camera.strip():
        found["camera"] = camera
    if keywords := _first(said, _KEYWORDS):
        found["keywords"] = keywords.split(",")
    return found | _place(_first(said, _PLACE) or "")


def _first(said: Mapping[str, str], keys: Iterable[str]) -> str | None:
    return next((value for key in keys if (value := said.get(key, "").strip())), None)


def _place(written: str) -> dict[str, object]:
    """Read a place as ISO 6709 has it in degrees with decimals: ``+48.8577+002.295+035/``."""
    found = _ISO_6709.fullmatch(written)
    if found is None:
        return {}
    return {name: float(value) for name, value in found.groupdict().items() if value is not None}
