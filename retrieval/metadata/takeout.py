"""The JSON files that Google Takeout lays beside photographs."""

from __future__ import annotations

from datetime import UTC, datetime

from retrieval.json_files import parse_object


def read_takeout(data: bytes) -> dict[str, object]:
    """Get attributes out of a file; an empty result if it is JSON of another kind.

    Raises:
        ValueError: it does not hold a JSON object.
    """
    whole = parse_object(data)
    if "photoTakenTime" not in whole and "geoData" not in whole:
        return {}
    people = whole.get("people")
    places = [place for name in ("geoData", "geoDataExif") if isinstance(place := whole.get(name), dict)]
    place = next((one for one in places if one.get("latitude") or one.get("longitude")), {})
    found = {
        "taken": _time(whole.get("photoTakenTime")),
        "description": whole.get("description"),
        "people": [one.get("name") for one in people if isinstance(one, dict)]
        if isinstance(people, list)
        else [],
        "favorite": whole.get("favorited"),
        "lat": place.get("latitude"),
        "lon": place.get("longitude"),
        "altitude": place.get("altitude"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _time(value: object) -> str | None:
    seconds = value.get("timestamp") if isinstance(value, dict) else None
    try:
        return datetime.fromtimestamp(int(str(seconds)), UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None
