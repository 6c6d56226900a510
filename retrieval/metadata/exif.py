"""EXIF, after CIPA DC-008 (Exif 3.0), and the fields that Windows writes beside it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

_IFD_EXIF, _IFD_GPS = 0x8769, 0x8825
_DESCRIPTION, _MAKE, _MODEL, _DATE, _ARTIST = 0x010E, 0x010F, 0x0110, 0x0132, 0x013B
_RATING, _XP_TITLE, _XP_COMMENT, _XP_AUTHOR, _XP_KEYWORDS = 0x4746, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E
_EXPOSURE, _APERTURE, _ISO, _FOCAL_LENGTH, _LENS = 0x829A, 0x829D, 0x8827, 0x920A, 0xA434
_ORIGINAL, _DIGITISED, _OFFSET, _OFFSET_ORIGINAL, _OFFSET_DIGITISED = 0x9003, 0x9004, 0x9010, 0x9011, 0x9012
_DATE_TIME = re.compile(r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d)(?::(\d\d))?")
_UTC_OFFSET = re.compile(r"[+-]\d\d:\d\d|Z")
_WRITTEN_BY_CAMERAS = re.compile(
    r"OLYMPUS DIGITAL CAMERA|SONY DSC|DCIM.*|Exif_JPEG.*|MINOLTA DIGITAL CAMERA|KODAK Digital Still Camera"
    r"|SAMSUNG.*|CASIO.*|<.*>|dig|default|[a-z0-9_.-]+\.(?:jpg|jpeg)",
    re.IGNORECASE,
)


def read_exif(exif: Any) -> dict[str, object]:
    """Get attributes out of a :class:`PIL.Image.Exif`, as they are written; unusable ones may be among them."""
    main: Mapping[int, Any] = exif
    detail: Mapping[int, Any] = exif.get_ifd(_IFD_EXIF)
    found = {
        "taken": _taken(main, detail),
        "camera": _camera(_string(main.get(_MAKE)), _string(main.get(_MODEL))),
        "lens": _string(detail.get(_LENS)),
        "focal_length": detail.get(_FOCAL_LENGTH),
        "aperture": detail.get(_APERTURE),
        "exposure": detail.get(_EXPOSURE),
        "iso": _first(detail.get(_ISO)),
        "title": _windows_text(main.get(_XP_TITLE)),
        "description": _description(main),
        "keywords": (_windows_text(main.get(_XP_KEYWORDS)) or "").split(";"),
        "creator": _string(main.get(_ARTIST)) or _windows_text(main.get(_XP_AUTHOR)),
        "rating": main.get(_RATING) or None,  # 0 is what cameras write of what nobody has rated
        **_place(exif.get_ifd(_IFD_GPS)),
    }
    return {name: value for name, value in found.items() if value is not None}


def parse_time(text: str, offset: str | None = None) -> str | None:
    """Turn EXIF's ``2021:04:12 15:30:12`` to ISO 8601, with the offset where it is well formed."""
    parts = _DATE_TIME.match(text.strip())
    if parts is None:
        return None
    year, month, day, hour, minute, second = (part or "00" for part in parts.groups())
    zone = offset.strip() if offset is not None and _UTC_OFFSET.fullmatch(offset.strip()) else ""
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}{zone}"


def _taken(main: Mapping[int, Any], detail: Mapping[int, Any]) -> str | None:
    for source, tag, offset in (
        (detail, _ORIGINAL, _OFFSET_ORIGINAL),
        (detail, _DIGITISED, _OFFSET_DIGITISED),
        (main, _DATE, _OFFSET),
    ):
        time = parse_time(_string(source.get(tag)) or "", _string(detail.get(offset)))
        if time is not None and not time.startswith("0000"):
            return time
    return None


def _camera(make: str | None, model: str | None) -> str | None:
    if not make or not model:
        return model or make
    return model if model.lower().startswith(make.split()[0].lower()) else f"{make} {model}"


def _description(main: Mapping[int, Any]) -> str | None:
    text = _string(main.get(_DESCRIPTION))
    if text is None or _WRITTEN_BY_CAMERAS.fullmatch(text):
        return _windows_text(main.get(_XP_COMMENT))
    return text


def _place(gps: Mapping[int, Any]) -> dict[str, object]:
    altitude = _first(gps.get(6))
    below = _first(gps.get(5)) in (1, b"\x01")
    return {
        "lat": _degrees(gps.get(2), _string(gps.get(1)), "S"),
        "lon": _degrees(gps.get(4), _string(gps.get(3)), "W"),
        "altitude": -altitude if below and altitude is not None else altitude,
    }


def _degrees(value: object, side: str | None, negative: str) -> float | None:
    if not isinstance(value, tuple) or not 1 <= len(value) <= 3:
        return None
    try:
        degrees = sum((float(part) / 60**power for power, part in enumerate(value)), 0.0)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return -degrees if (side or "").upper().startswith(negative) else degrees


def _first(value: Any) -> Any:
    return (value[0] if value else None) if isinstance(value, tuple) else value


def _string(value: object) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    text = value.partition("\0")[0]
    with contextlib.suppress(ValueError):  # Pillow decodes as Latin-1 what many programs write as UTF-8
        text = text.encode("latin-1").decode("utf-8")
    return text.strip() or None


def _windows_text(value: object) -> str | None:
    if isinstance(value, tuple):
        value = bytes(byte for byte in value if isinstance(byte, int) and 0 <= byte < 256)
    if not isinstance(value, bytes):
        return None
    return value.decode("utf-16-le", "ignore").partition("\0")[0].strip() or None
