"""One worker process as the run sees it: started isolated, asked one image at a time, killed when it is over time."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from retrieval.decoding.frames import (
    GO,
    MAPPED_BYTES,
    SHARED_BYTES,
    SKIP,
    Reply,
    Request,
    Status,
    read_reply,
    write_request,
)
from retrieval.errors import VlsearchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

START_SECONDS = 300.0  # a machine that is short of memory may take minutes
_SITE_FOLDERS = ("site-packages", "dist-packages")


class ProcessEnded(Exception):
    """The worker process ended before it answered.

    Attributes:
        reason: why, in one clause.
        before_decoding: while it was still reading the bytes, which is hardly their fault.
    """

    def __init__(self, reason: str, before_decoding: bool) -> None:
        super().__init__(reason, before_decoding)
        self.reason, self.before_decoding = reason, before_decoding


class WorkerProcess:
    """One process; used by one thread at a time, but for :meth:`kill` and :meth:`kill_if_overdue`.

    Raises:
        VlsearchError: it cannot be started.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deadline: float | None = None
        self._overdue = False
        self._shared = _SharedMemory()
        try:
            self._process = _start(self._shared)
        except BaseException:
            self._shared.close()
            raise
        self._ready = False

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Wait until the decoders are imported.

        Raises:
            VlsearchError: it does not come up.
        """
        if self._ready:
            return
        self._set_deadline(START_SECONDS)
        reply = self._receive()
        self._set_deadline(None)
        if reply is None or reply.status is not Status.READY:
            self.kill()
            why = reply.reason if reply is not None else f"exit code {self._process.wait()}"
            raise VlsearchError(
                f"the process that decodes pictures does not start ({why}); check the installation: "
                f"{sys.executable} -I -c 'import PIL, numpy'"
            )
        if reply.needed == SHARED_BYTES:
            self._shared.map()
        self._ready = True

    def ask(
        self, request: Request, is_wanted: Callable[[bytes], bool] | None
    ) -> tuple[Reply, NDArray[np.uint8] | None]:
        """Send one request and wait for its outcome; the reply is ``DIGEST`` where ``is_wanted`` said no to the digest.

        Raises:
            ProcessEnded: by itself, by somebody else's hand, or because it was over time.
        """
        seconds = request.limits.seconds
        try:
            self._set_deadline(seconds)
            self._shared.is_decoding = False
            self._send(lambda: write_request(self._stdin, request))
            reply = self._receive()
            has_digest = reply is not None and reply.status is Status.DIGEST
            if reply is not None and has_digest:
                if request.pause:
                    self._set_deadline(None)
                    wanted = is_wanted is None or is_wanted(reply.digest)
                    self._send(lambda: self._write(GO if wanted else SKIP))
                    if not wanted:
                        return reply, None
                self._set_deadline(seconds)
                reply = self._receive()
            array = self._array(reply) if reply is not None and reply.status is Status.DONE else None
            if reply is None or (array is None and reply.status is Status.DONE):
                raise self._ended(request, not (has_digest or self._shared.is_decoding))
            return reply, array
        finally:
            self._set_deadline(None)

    def kill_if_overdue(self, now: float) -> None:
        """End the process if the deadline of what it is at has passed."""
        with self._lock:
            if self._deadline is not None and now > self._deadline:
                self._overdue = True
                self._process.kill()

    def kill(self) -> None:
        """End the process and wait for its end."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that hangs in the kernel is not waited for
            self._process.wait(5)

    def close(self) -> None:
        """End the process and free its pipes and memory; for the thread that uses it."""
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                assert stream is not None
                stream.close()
        self._shared.close()

    def resident_bytes(self) -> int:
        """Read how much memory it holds now; 0 where that cannot be found out."""
        try:
            fields = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()
            return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError):
            return 0

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _write(self, data: bytes) -> None:
        self._stdin.write(data)
        self._stdin.flush()

    def _send(self, write: Callable[[], None]) -> None:
        """Write; if the process has ended, that shows when the reply is read."""
        with contextlib.suppress(BrokenPipeError, ConnectionError):
            write()

    def _receive(self) -> Reply | None:
        assert self._process.stdout is not None
        return read_reply(self._process.stdout)

    def _array(self, reply: Reply) -> NDArray[np.uint8] | None:
        import numpy as np

        count = 1
        for side in reply.shape:
            count *= side
        if not self._shared.memory:  # no memory of that size could be shared, and the pixels follow the reply
            assert self._process.stdout is not None
            data = self._process.stdout.read(count)
            return np.frombuffer(data, np.uint8).reshape(reply.shape) if len(data) == count else None
        return np.frombuffer(self._shared.memory, np.uint8, count).reshape(reply.shape).copy()

    def _set_deadline(self, seconds: float | None) -> None:
        with self._lock:
            self._deadline = None if seconds is None else time.monotonic() + seconds

    def _ended(self, request: Request, before_decoding: bool) -> ProcessEnded:
        self.kill()  # a reply that makes no sense is the end of it too
        with self._lock:
            overdue = self._overdue
        if overdue:
            return ProcessEnded(
                f"took longer than {request.limits.seconds:g} s to read and decode (--timeout)", False
            )
        code = self._process.returncode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return ProcessEnded(f"the decoder was ended by {signal.Signals(-code).name}", before_decoding)
        return ProcessEnded(f"the decoder crashed (exit code {code})", before_decoding)


def _start(shared: _SharedMemory) -> subprocess.Popen[bytes]:
    if not sys.executable or getattr(sys, "frozen", False):
        raise VlsearchError(
            "pictures are decoded in processes of their own, and there is no Python interpreter to start them with; "
            "run vlsearch in a Python that is installed"
        )
    package = Path(__file__).absolute().parents[1]
    command = [
        sys.executable, "-I", "-W", "ignore", str(package / "decoding" / "child.py"),
        str(package), json.dumps(installed_folders()), f"[{os.getpid()}, {shared.name}]",
    ]  # fmt: skip
    windows = sys.platform == "win32"
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=package.anchor,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        pass_fds=() if shared.descriptor is None else (shared.descriptor,),
        start_new_session=not windows,  # a Ctrl-C is the run's to answer
        creationflags=0x08000200 if windows else 0,  # no window, and a process group of its own
    )


def installed_folders() -> list[str]:
    """Give the folders of installed packages that this process imports from, never the working directory."""
    here = Path.cwd()
    folders = [Path(entry) for entry in sys.path if entry]
    return [
        str(folder)
        for folder in folders
        if folder.is_absolute() and folder.name in _SITE_FOLDERS and folder != here
    ]


class _SharedMemory:
    """Memory that a worker writes pixels to: of no name and in no folder, so that nothing can be left behind.

    The worker gives it its size, since what limits the size of this process's files (``ulimit -f``) would count.

    Attributes:
        descriptor: to hand over; None on Windows, where the memory has a name.
        name: the JSON of what the worker maps it by.
        memory: empty until it is mapped.
    """

    def __init__(self) -> None:
        self.memory: mmap.mmap | bytes = b""
        self.descriptor: int | None = None
        if sys.platform == "win32":
            tag = f"vlsearch-{os.getpid()}-{os.urandom(8).hex()}"
            self.memory, self.name = mmap.mmap(-1, MAPPED_BYTES, tagname=tag), json.dumps(tag)
            return
        if hasattr(os, "memfd_create"):
            self.descriptor = os.memfd_create("vlsearch-images")
        else:
            import tempfile  # late: macOS only

            with tempfile.TemporaryFile() as file:
                self.descriptor = os.dup(file.fileno())
        self.name = str(self.descriptor)

    def map(self) -> None:
        """Map the memory, whose size the worker has set."""
        if self.descriptor is not None:
            self.memory = mmap.mmap(self.descriptor, MAPPED_BYTES)
            self.close()

    @property
    def is_decoding(self) -> bool:
        """Whether the worker has read the bytes of the request that it is at; False where nothing is mapped."""
        return bool(self.memory and self.memory[SHARED_BYTES])

    @is_decoding.setter
    def is_decoding(self, decoding: bool) -> None:
        if isinstance(self.memory, mmap.mmap):
            self.memory[SHARED_BYTES] = decoding

    def close(self) -> None:
        """Close the descriptor; the mapping lasts while something refers to it."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
