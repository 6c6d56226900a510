"""IPTC's Information Interchange Model, as JPEG files carry it in Photoshop's segment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TITLE, _KEYWORDS, _DATE, _TIME, _CREATOR = (2, 5), (2, 25), (2, 55), (2, 60), (2, 80)
_CITY, _REGION, _COUNTRY, _CAPTION = (2, 90), (2, 95), (2, 101), (2, 120)


def read_iptc(records: Mapping[tuple[int, int], bytes | list[bytes]]) -> dict[str, object]:
    """Get attributes out of what :func:`PIL.IptcImagePlugin.getiptcinfo` gives."""

    def every(key: tuple[int, int]) -> list[str]:
        found: Any = records.get(key, [])
        return [_decoded(one) for one in (found if isinstance(found, list) else [found])]

    def first(key: tuple[int, int]) -> str | None:
        return next(iter(every(key)), None)

    found = {
        "taken": _time(first(_DATE), first(_TIME)),
        "title": first(_TITLE),
        "description": first(_CAPTION),
        "keywords": every(_KEYWORDS),
        "creator": first(_CREATOR),
        "city": first(_CITY),
        "region": first(_REGION),
        "country": first(_COUNTRY),
    }
    return {name: value for name, value in found.items() if value is not None}


def _decoded(value: bytes) -> str:
    try:  # most programs write UTF-8, with or without saying so
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _time(date: str | None, time: str | None) -> str | None:
    """Join ``20210412`` and ``153012+0200``."""
    if date is None or len(date) != 8 or not date.isdigit():
        return None
    day = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    if time is None or len(time) < 6 or not time[:6].isdigit():
        return day
    zone = time[6:]
    offset = f"{zone[:3]}:{zone[3:]}" if len(zone) == 5 and zone[0] in "+-" and zone[1:].isdigit() else ""
    return f"{day}T{time[:2]}:{time[2:4]}:{time[4:6]}{offset}"
