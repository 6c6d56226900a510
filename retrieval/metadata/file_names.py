"""Dates in the names that cameras, telephones and messengers give to files."""

from __future__ import annotations

import re

_DATE = (
    r"(?P<year>(?:19|20)\d\d)(?P<mark>[-_.]?)(?P<month>0[1-9]|1[0-2])(?P=mark)(?P<day>0[1-9]|[12]\d|3[01])"
)
_TIME = (
    r"(?:[-_ T]|[ _-]at[ _-])(?P<hour>[01]\d|2[0-3])(?P<colon>[-_.h:]?)(?P<minute>[0-5]\d)[-_.m:]?"
    r"(?P<second>[0-5]\d)(?:[-_.]?\d{1,3})?"
)
_NAME = re.compile(rf"(?<![0-9A-Fa-f]){_DATE}(?:{_TIME})?(?![0-9])")
_UTC_NAMES = re.compile(
    r"PXL_", re.IGNORECASE
)  # Google's camera names files by UTC, others by the local clock


def taken_from_name(name: str) -> str | None:
    """Find when a file was made by its name, in ISO 8601: ``IMG_20210412_153012.jpg``, ``IMG-20210412-WA0003.jpg``."""
    found = _NAME.search(name)
    if found is None:
        return None
    day = f"{found['year']}-{found['month']}-{found['day']}"
    if found["hour"] is None:
        return day
    zone = "+00:00" if _UTC_NAMES.match(name) else ""
    return f"{day}T{found['hour']}:{found['minute']}:{found['second']}{zone}"
