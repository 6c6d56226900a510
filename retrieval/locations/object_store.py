"""Objects of an S3 store: listed, read and written within limits, through botocore.

Which store it is, and who asks, say the AWS settings of the user alone (environment variables, ``~/.aws``, the role of
the machine): nothing that is read can name another one, and no redirect is followed to an address that an answer gives.
An answer's own words are not repeated in messages, only its code: they may quote parts of a signed request.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from retrieval.errors import UsageError, VlsearchError
from retrieval.extras import require
from retrieval.locations.deadline import within
from retrieval.types import StoredObject

MOST_NAMES = 1_000_000
"""Objects and folders right in one folder; they are held in memory."""

PIECE_BYTES = 8 * 2**20
"""Bytes that are asked for at once of what is read whole."""

_PAGE_NAMES = 1000  # of one answer; S3 gives no more
_PIECE_SECONDS = 120.0  # for one of them: 68 KB/s
_CONNECT_SECONDS, _IDLE_SECONDS = 5.0, 20.0
_TRIES = 3  # of a request; the waits between them double from at most a second
_BODIES = 2  # tries of an answer that breaks off
_CONNECTIONS = 32
_CHUNK = 2**16
_NAME_LIMIT = 1024  # bytes of a key, as S3 has it
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,62}")
_CODE = re.compile(r"[A-Za-z0-9.]{1,60}")


class StoreFault(OSError):
    """A store has not given what it was asked for; the argument is the reason, a clause.

    ``status`` is that of an answer which refuses; None where there was none.
    """

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class StoredFolder:
    """What lies right in a folder of a bucket: what stands behind its prefix up to the next slash.

    Attributes:
        objects: by name, without the prefix.
        folders: names, without the slash.
        faults: what is wrong with a name, by name; nothing of that name is read.
    """

    objects: dict[str, StoredObject] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)


def check_bucket(bucket: str) -> None:
    """Refuse what cannot be a bucket's name.

    Raises:
        UsageError: with what one looks like.
    """
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(
            f"{bucket!a} is not the name of a bucket (3 to 63 letters, digits, dots and hyphens); "
            "write s3://BUCKET/KEY"
        )


def find_object(bucket: str, key: str) -> StoredObject | None:
    """Find an object; None where the store has none of this key.

    Raises:
        StoreFault: it cannot be asked, or does not say.
    """
    with _told():
        try:
            answer = _within(lambda: _client().head_object(Bucket=bucket, Key=key))
        except StoreFault as fault:
            if fault.status == 404:
                return None
            raise
        return _stored(bucket, key, answer["ContentLength"], answer)


def list_folder(bucket: str, prefix: str) -> StoredFolder:
    """List what lies right in a folder; ``prefix`` is empty, or ends in a slash.

    Raises:
        StoreFault: it cannot be listed, or holds more than a million names.
    """
    found = StoredFolder()
    with _told():
        for page in _pages(bucket, prefix):
            for one in page.get("Contents", ()):
                name = _name_in(one["Key"], prefix)
                if not name:
                    continue  # the folder's own mark
                if (fault := _fault_of_name(name)) is not None:
                    found.faults[name] = fault
                else:
                    found.objects[name] = _stored(bucket, one["Key"], one["Size"], one)
            for one in page.get("CommonPrefixes", ()):
                name = _name_in(one["Prefix"], prefix).removesuffix("/")
                if (fault := _fault_of_name(name)) is not None:
                    found.faults[name] = fault
                else:
                    found.folders.append(name)
            if len(found.objects) + len(found.folders) + len(found.faults) > MOST_NAMES:
                raise StoreFault(f"it holds more than {MOST_NAMES:,} names")
    return found


def is_folder(bucket: str, prefix: str) -> bool:
    """Whether any object's key begins so.

    Raises:
        StoreFault: the store cannot be asked.
    """
    with _told():
        answer = _within(lambda: _client().list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1))
        return bool(answer.get("Contents"))


def read_object(
    at: StoredObject, most: int, seconds: float, offset: int = 0, length: int | None = None
) -> bytes:
    """Read an object, or ``length`` bytes of it, in its version of ``at.etag`` where that is known.

    Args:
        at: the object.
        most: bytes, at most.
        seconds: for all of it, at most.
        offset: of the first byte.
        length: how many; None for all of the object.

    Raises:
        TimeoutError: it takes longer.
        OverflowError: there are more than ``most`` bytes.
        StoreFault: otherwise, with the reason.
    """
    known = at.size if length is None else length
    if known is not None and known > most:
        raise OverflowError(known)
    if length == 0:
        return b""
    wanted = {} if length is None else {"Range": f"bytes={offset}-{offset + length - 1}"}
    unchanged = {"IfMatch": at.etag} if at.etag else {}

    def work() -> bytes:
        for attempt in range(_BODIES):
            try:
                with _told():
                    answer = _client().get_object(Bucket=at.bucket, Key=at.key, **wanted, **unchanged)
                    with closing(answer["Body"]) as body:
                        if wanted and answer["ResponseMetadata"]["HTTPStatusCode"] != 206:
                            raise StoreFault("the store gives no parts of objects")
                        return _body(body, most, known)
            except StoreFault as fault:
                if fault.status is not None or attempt + 1 == _BODIES:
                    raise
        raise AssertionError("the last try returns or raises")

    return within(seconds, work)


def copy_object(at: StoredObject, file: BinaryIO) -> None:
    """Write the bytes of an object to a file, piece by piece; its size must be known.

    Raises:
        StoreFault: it cannot be read, or has changed meanwhile.
    """
    assert at.size is not None, "it was listed"
    for offset in range(0, at.size, PIECE_BYTES):
        length = min(PIECE_BYTES, at.size - offset)
        try:
            file.write(read_object(at, PIECE_BYTES, _PIECE_SECONDS, offset, length))
        except TimeoutError as error:
            raise StoreFault("the store gives it too slowly") from error


def write_object(bucket: str, key: str, data: bytes) -> None:
    """Write an object as a whole: a reader sees all of it or what was there before.

    Raises:
        StoreFault: it cannot be written.
    """
    with _told():
        _within(lambda: _client().put_object(Bucket=bucket, Key=key, Body=data), _PIECE_SECONDS)


def _pages(bucket: str, prefix: str) -> Iterator[Mapping[str, Any]]:
    more: dict[str, str] = {}
    for _ in range(MOST_NAMES):  # pages may be empty, so that names alone do not bound them
        answer = _within(
            lambda more=more: _client().list_objects_v2(
                Bucket=bucket, Prefix=prefix, Delimiter="/", MaxKeys=_PAGE_NAMES, **more
            )
        )
        yield answer
        if not answer.get("IsTruncated"):
            return
        token = answer["NextContinuationToken"]
        if more.get("ContinuationToken") == token:
            raise StoreFault("the store's listing does not go on")
        more = {"ContinuationToken": token}
    raise StoreFault("the store's listing has no end")


def _within(ask: Any, seconds: float = 2 * _IDLE_SECONDS) -> Any:
    def work() -> Any:
        with _told():
            return ask()

    try:
        return within(seconds, work)
    except TimeoutError:
        raise StoreFault(f"the store did not answer within {seconds:g} s") from None


def _body(body: Any, most: int, known: int | None) -> bytes:
    data = bytearray()
    while chunk := body.read(_CHUNK):
        data += chunk
        if len(data) > most:
            raise OverflowError(len(data))
        if known is not None and len(data) > known:
            break
    if known is not None and len(data) != known:
        more = "more" if len(data) > known else f"{len(data):,}"
        raise StoreFault(f"the store listed {known:,} bytes and gave {more}")
    return bytes(data)


def _stored(bucket: str, key: str, size: object, answer: Mapping[str, Any]) -> StoredObject:
    modified, etag = answer.get("LastModified"), answer.get("ETag")
    if type(size) is not int or not 0 <= size < 2**63 or not isinstance(modified, datetime):
        raise StoreFault("the store's answer has no size or no time")
    moment = round(modified.timestamp() * 1000) * 1_000_000
    return StoredObject(bucket, key, size, moment, etag if isinstance(etag, str) else "")


def _name_in(key: object, prefix: str) -> str:
    if not isinstance(key, str) or not key.startswith(prefix):
        raise StoreFault("the store lists what is not in the folder")
    return key.removeprefix(prefix)


def _fault_of_name(name: str) -> str | None:
    if name in (".", ".."):
        return "a part of its key is . or .., which leads elsewhere as a path"
    if not name.isprintable():
        return "its key holds control characters"
    if len(name.encode()) > _NAME_LIMIT:
        return f"its key is longer than {_NAME_LIMIT:,} bytes"
    return None


@contextmanager
def _told() -> Iterator[None]:
    """Give every fault of the client as a StoreFault; however hostile the answer."""
    try:
        yield
    except (StoreFault, OverflowError, VlsearchError):
        raise
    except Exception as error:  # on a hostile answer, a parser may raise anything at all
        raise _fault(error) from error


def _fault(error: Exception) -> StoreFault:
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = str(answer.get("Error", {}).get("Code", ""))
        reason = _reason(status, code if _CODE.fullmatch(code) else "")
        return StoreFault(reason, status if isinstance(status, int) else 0)
    name = type(error).__name__
    known = next((clause for words, clause in _CLAUSES.items() if any(word in name for word in words)), None)
    return StoreFault(known or f"the store could not be asked ({name})")


def _reason(status: object, code: str) -> str:
    if status == 412:
        return "it has changed since it was listed"
    if status == 404:
        return "there is no such bucket" if code == "NoSuchBucket" else "there is no such object"
    shown = f"{code} ({status})" if code and code != str(status) else str(status)
    return f"the store answered {shown}"


_CLAUSES = {
    ("NoCredentials", "PartialCredentials", "ProfileNotFound", "Token", "SSO", "CredentialRetrieval"): (
        "the store needs credentials; set them as for other AWS programs"
    ),
    ("ConnectTimeout", "EndpointConnection", "ConnectionError", "ProxyConnection"): (
        "no connection to the store can be made"
    ),
    ("ReadTimeout",): "the store did not answer in time",
    ("ConnectionClosed", "IncompleteRead", "ResponseStreaming", "HTTPClient"): (
        "the connection to the store broke off"
    ),
    ("SSLError",): "the store's certificate is not trusted",
    ("InvalidEndpoint", "UnknownEndpoint", "InvalidRegion"): "the settings name no valid store",
}
"""What may be wrong, by parts of the names of botocore's exceptions, whose texts may hold addresses with passwords."""

_making = threading.Lock()


def _client() -> Any:
    with _making:  # two threads that make one at once would read the settings twice
        return _client_of(os.getpid())


@lru_cache(1)
def _client_of(process: int) -> Any:
    """Make the client of this process; connections do not outlive a fork."""
    require("s3", "reading s3://")
    import botocore.session
    from botocore import UNSIGNED
    from botocore.config import Config

    session = botocore.session.Session()
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_IDLE_SECONDS,
        retries={"total_max_attempts": _TRIES, "mode": "standard"},
        max_pool_connections=_CONNECTIONS,
        request_checksum_calculation="when_required",  # stores other than AWS do not know them
        response_checksum_validation="when_required",
    )
    if session.get_credentials() is None:
        config = config.merge(Config(signature_version=UNSIGNED))  # buckets that are public
    client = session.create_client("s3", config=config)
    host = urlsplit(client.meta.endpoint_url).hostname or ""
    is_chosen = "addressing_style" in (session.get_scoped_config().get("s3") or {})
    is_address = host.replace(".", "").isdigit() or ":" in host  # of which the client makes paths by itself
    if "amazonaws.com" not in host and not is_chosen and not is_address:
        # few other stores have a host name for each bucket
        client = session.create_client("s3", config=config.merge(Config(s3={"addressing_style": "path"})))
    return client


def forget_client() -> None:
    """Let the next request read the user's settings again."""
    if _client_of.cache_info().currsize:
        _client().close()
    _client_of.cache_clear()
