"""What telephones and cameras write into the containers of their videos."""

from __future__ import annotations

import pytest

from retrieval.images.video.metadata import attributes_of
from retrieval.metadata.attributes import tidied


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (
            {
                "creation_time": "2021-04-12T13:30:12.000000Z",
                "com.apple.quicktime.creationdate": "2021-04-12T15:30:12+0200",
                "com.apple.quicktime.make": "Apple",
                "com.apple.quicktime.model": "iPhone 12",
                "com.apple.quicktime.location.ISO6709": "+48.8577+002.2950+035.000/",
            },
            {
                "taken": "2021-04-12T15:30:12+02:00",
                "camera": "Apple iPhone 12",
                "lat": 48.8577,
                "lon": 2.295,
                "altitude": 35.0,
            },
        ),
        (
            {"creation_time": "2021-04-12T13:30:12.000000Z", "location": "+48.8577+002.2950/"},
            {"taken": "2021-04-12T13:30:12+00:00", "lat": 48.8577, "lon": 2.295},
        ),
        ({"TITLE": "A walk", "COMMENT": "by the sea", "DATE": "2010-05-12"},
         {"taken": "2010-05-12", "title": "A walk", "description": "by the sea"}),
        ({"com.android.manufacturer": "Google", "com.android.model": "Pixel 7"}, {"camera": "Google Pixel 7"}),
        ({"make": "Canon", "model": "Canon EOS R5", "keywords": "sea, sun"},
         {"camera": "Canon EOS R5", "keywords": ["sea", "sun"]}),
    ],
)  # fmt: skip
def test_attributes_of_a_video_come_from_its_container(
    written: dict[str, str], found: dict[str, object]
) -> None:
    assert tidied(attributes_of(written)) == found


@pytest.mark.parametrize(
    "written",
    [
        {"creation_time": "1904-01-01T00:00:00.000000Z"},
        {"creation_time": "1970-01-01T00:00:00.000000Z"},
        {"creation_time": "yesterday"},
        {"location": "+9999+9999/"},
        {"location": "+00.0000+000.0000/"},
        {"location": "48, 2"},
        {"title": " "},
        {"title": "x" * 100_000},
    ],
)
def test_what_was_never_set_or_cannot_be_read_gives_no_attribute(written: dict[str, str]) -> None:
    assert tidied(attributes_of(written)) == {}
