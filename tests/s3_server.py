"""An S3 server on loopback: moto's, one for the tests of a process; and settings that lead to it."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest

from retrieval.locations import object_store

SECRET = "a-secret-that-nothing-repeats"
_NUMBERS = itertools.count(1)
_known: list[str] = []  # the store of the client that is there
_outer: list[str] = []  # stores of the settings that hold now, the innermost last


@cache
def endpoint() -> str:
    """Start the server, which ends with this process, and give its address."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


@contextmanager
def settings_of(address: str) -> Iterator[None]:
    """Let a store be the one at an address, and nothing of this machine's own AWS settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE"):
            patch.delenv(name, raising=False)
        for name, value in {
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": address,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }.items():
            patch.setenv(name, value)
        _lead_to(address)
        _outer.append(address)
        try:
            yield
        finally:
            _outer.pop()
            if _outer:
                _lead_to(_outer[-1])


def _lead_to(address: str) -> None:
    """Make the client anew where it is of another store: that takes a tenth of a second."""
    if _known != [address]:
        object_store.forget_client()
        _known[:] = [address]


class Bucket:
    """A bucket of its own for a test, on the server that runs."""

    def __init__(self) -> None:
        self.name = f"pictures-{next(_NUMBERS)}"
        self._client: Any = object_store._client()
        self._client.create_bucket(Bucket=self.name)

    def put(self, key: str, data: bytes | str) -> str:
        """Write an object, and give its address."""
        self._client.put_object(
            Bucket=self.name, Key=key, Body=data.encode() if isinstance(data, str) else data
        )
        return f"s3://{self.name}/{key}"

    def put_later(self, key: str, data: bytes) -> None:
        """Write an object that is there, until its time is a later one: the server tells whole seconds."""
        before = self._time(key)
        while self._time(key) == before:
            self.put(key, data)
            time.sleep(0.05)

    def _time(self, key: str) -> object:
        return self._client.head_object(Bucket=self.name, Key=key)["LastModified"]

    def get(self, key: str) -> bytes:
        """Read an object."""
        data: bytes = self._client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return data

    def delete(self, key: str) -> None:
        """Delete an object."""
        self._client.delete_object(Bucket=self.name, Key=key)

    def listed(self) -> list[str]:
        """List the keys of all objects."""
        return [one["Key"] for one in self._client.list_objects_v2(Bucket=self.name).get("Contents", ())]


@contextmanager
def requests_counted() -> Iterator[list[tuple[str, str]]]:
    """Note the operation and the key of every request of this process."""
    seen: list[tuple[str, str]] = []

    def note(params: dict[str, Any], model: Any, **_: object) -> None:
        seen.append((model.name, str(params.get("Key", params.get("Prefix", "")))))

    client = object_store._client()
    client.meta.events.register("before-parameter-build.s3", note)
    try:
        yield seen
    finally:
        client.meta.events.unregister("before-parameter-build.s3", note)
