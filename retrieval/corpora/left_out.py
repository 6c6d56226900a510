"""Kinds of files and folders that a reader skips; each is counted by its kind, so that nothing is skipped in silence.

Kinds are nouns in the singular, which take a plural ``s``; they stand in reports, in ``info`` and in JSON.
"""

from __future__ import annotations

import re

from retrieval.file_kinds import FILE_KINDS
from retrieval.suffixes import suffix_of

HIDDEN_FILE, HIDDEN_FOLDER = "hidden file", "hidden folder"
SYSTEM_FILE, SYSTEM_FOLDER = "system file", "system folder"
EXCLUDED_FILE, EXCLUDED_FOLDER = "excluded file", "excluded folder"
COLLECTION, OTHER_FILE = "collection", "other file"
LIVE_PHOTO_VIDEO = "Live Photo video"
REPLACED_MEMBER = "replaced member"

_SYSTEM_FOLDERS = frozenset(
    {
        "@eadir",
        "#recycle",
        "@recycle",
        "@recently-snapshot",
        "#snapshot",
        "@snapshot",
        "@tmp",
        "@sharesnap",  # NAS
        "lost+found",
        "$recycle.bin",
        "recycler",
        "recycled",
        "system volume information",
        "__macosx",
        "photo booth library thumbnails",
    }
)
_SYSTEM_FILES = frozenset(
    {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "zbthumbnail.info"}
)
_HIDDEN_SYSTEM = re.compile(
    r"\._.*|\.ds_store|\.trash(es|-.*)?|\.thumbnails|\.thumb|\.spotlight-v100|\.fseventsd|\.appledouble|\.@__thumb"
    r"|\.directory|\.picasa.*|\.photostructure|\.temporaryitems|\.documentrevisions-v100|\.dtrash|\.localized"
)

_VIDEO = "wmv flv mpg mpeg mpe m2v mts m2ts ts vob ogv asf rm rmvb divx insv lrv"
_AUDIO = "mp3 wav flac aac m4a ogg oga opus wma aif aiff mid midi amr"
_LAYERED = "psd psb xcf kra ora clip procreate afphoto afdesign sketch fig cdr indd"
_DRAWING = "svg svgz eps ps ai wmf emf dxf"
_UNSUPPORTED = (
    "jp2 j2k jpf jpx jpm j2c ico cur icns tga exr hdr pic dds pcx ppm pgm pbm pnm pam pfm xbm "
    "xpm qoi bpg flif jxr wdp hdp sgi ras wbmp fits fit dcm"
)
_DOCUMENT = "doc docx xls xlsx ppt pptx odt ods odp rtf epub mobi djvu pages numbers key"
_TEXT = (
    "txt text md rst csv tsv tab json jsonl ndjson xml html htm yaml yml toml ini log tex bib srt "
    "vtt py js css c h cpp java sh ipynb lst"
)
_SIDECAR = "xmp aae thm pp3 dop cos on1 vrd nksc arp xml2 modd moff gpx cls"
_ARCHIVE = "zip tar gz tgz bz2 tbz2 xz txz zst 7z rar iso dmg cab jar apk"
_KIND_BY_SUFFIX = {suffix: kind.noun for kind in FILE_KINDS if kind.extra for suffix in kind.suffixes} | {
    f".{suffix}": kind
    for kind, suffixes in {
        "unsupported video": _VIDEO,
        "audio file": _AUDIO,
        "layered picture": _LAYERED,
        "drawing": _DRAWING,
        "unsupported picture": _UNSUPPORTED,
        "document": _DOCUMENT,
        "text file": _TEXT,
        "sidecar file": _SIDECAR,
        "archive": _ARCHIVE,
        "table": "parquet pq arrow feather avro npy npz h5 hdf5 sqlite sqlite3 db",
    }.items()
    for suffix in suffixes.split()
}


def kind_of_file(name: str) -> str:
    """Name the kind of a file that is not read by its suffix: ``RAW picture``, ``video``, ..., else ``other file``."""
    return _KIND_BY_SUFFIX.get(suffix_of(name), OTHER_FILE)


def is_hidden_or_system(name: str, is_folder: bool) -> str | None:
    """Say under which count a file or folder is left out by default; None where it is read.

    Hidden names begin with a dot. System names are those that storage devices, operating systems and programs
    for photographs give to thumbnails, waste baskets and their own records.
    """
    lowered = name.lower()
    if is_folder:
        if lowered in _SYSTEM_FOLDERS or lowered.endswith(".lrdata") or _is_hidden_system(lowered):
            return SYSTEM_FOLDER
        return HIDDEN_FOLDER if name.startswith(".") else None
    if lowered in _SYSTEM_FILES or _is_hidden_system(lowered):
        return SYSTEM_FILE
    return HIDDEN_FILE if name.startswith(".") else None


def _is_hidden_system(lowered: str) -> bool:
    return _HIDDEN_SYSTEM.fullmatch(lowered) is not None
