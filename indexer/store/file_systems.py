"""Whether a folder can hold a collection: locks and mapped files need a local file system."""

from __future__ import annotations

import os
from pathlib import Path

from retrieval.errors import CollectionError

_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs", "lustre"}
)


def check_local(folder: Path) -> None:
    """Refuse a network file system, where the kind is known (Linux).

    Raises:
        CollectionError: locks on it do not exclude other hosts, and a lost mapping kills the process.
    """
    kind = _kind(Path(os.path.realpath(folder)))  # Path.resolve() raises RuntimeError for a loop of links
    if kind in _NETWORK:
        raise CollectionError(
            f"{folder} is on a network file system ({kind}), where locks do not hold between hosts; "
            "put the collection on a local disk with --collection"
        )


def _kind(folder: Path) -> str | None:
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    best, kind = "", None
    for line in mounts.splitlines():
        fields = line.split(" ")
        point = fields[1].replace("\\040", " ")
        if len(point) >= len(best) and folder.is_relative_to(point):
            best, kind = point, fields[2]
    return kind
