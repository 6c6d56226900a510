"""Download a checkpoint into the hub's cache: the only place that reaches the network for a model."""

from __future__ import annotations

import glob
import io
import re
import threading
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.errors import ModelError, first_line
from retrieval.hub.checkpoint import INDEX, WEIGHTS

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

OnBytes = Callable[[int, int], None]
"""Called with the bytes received so far and the bytes expected, whenever some have arrived."""

WANTED = ("*.safetensors", "*.json", "*.txt", "*.model", "chat_template.jinja")
UNWANTED = ("open_clip*", "*.fp16.safetensors", "*.bf16.safetensors")  # of other libraries, other precisions
_MODULE = re.compile(r"\d+_[A-Za-z]+/config\.json")  # of sentence-transformers; no other folder is wanted


def download_snapshot(repo: str, revision: str | None, progress: OnBytes | None = None) -> Path:
    """Download a revision's configuration, tokenizer and safetensors into the cache, and return its folder.

    Files that the cache has are not fetched again; a download that was cut off goes on where it stopped.

    Args:
        repo: ``organisation/name``.
        revision: commit, branch or tag; None is the main branch.
        progress: see :data:`OnBytes`.

    Raises:
        ModelError: the hub cannot be reached, has no such model, needs a login for it, or has it only as
            pickles.
    """
    from huggingface_hub import HfApi, constants, errors, snapshot_download

    what = repo if revision is None else f"{repo}@{revision}"
    try:
        info = HfApi(endpoint=constants.ENDPOINT).model_info(
            repo, revision=revision or constants.DEFAULT_REVISION, files_metadata=True
        )
        wanted = _wanted(info, what)
        folder = snapshot_download(
            repo,
            revision=revision or constants.DEFAULT_REVISION,
            endpoint=constants.ENDPOINT,
            allow_patterns=[glob.escape(file.rfilename) for file in wanted],
            tqdm_class=_meter(sum(file.size or 0 for file in wanted), progress),
        )
    except errors.GatedRepoError as exc:
        raise ModelError(
            f"{what} is given out only to those who accepted its terms on the hub; log in there"
        ) from exc
    except errors.RevisionNotFoundError as exc:
        raise ModelError(f"the hub has {repo}, but no revision {revision}") from exc
    except errors.RepositoryNotFoundError as exc:
        raise ModelError(f"the hub has no model {repo}; check its name") from exc
    except (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, _transport_error(), OSError) as exc:
        reason = first_line(exc)
        raise ModelError(
            f"{what} cannot be downloaded ({reason}); check the network, or copy the model's folder here "
            "and give its path"
        ) from exc
    return Path(folder)


def _transport_error() -> type[Exception]:
    """The error of the hub's HTTP client where nobody answers: the client is httpx or httpx2, by its version."""
    from huggingface_hub.errors import HfHubHTTPError

    return next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")


def is_wanted(name: str) -> bool:
    """Whether a file of a repository is downloaded."""
    if "/" in name:
        return _MODULE.fullmatch(name) is not None
    return any(fnmatch(name, pattern) for pattern in WANTED) and not any(
        fnmatch(name, pattern) for pattern in UNWANTED
    )


def _wanted(info: ModelInfo, what: str) -> list[RepoSibling]:
    """List the files to download.

    Raises:
        ModelError: there are no safetensors among them.
    """
    wanted = [file for file in info.siblings or () if is_wanted(file.rfilename)]
    names = {file.rfilename for file in wanted}
    if WEIGHTS not in names and INDEX not in names:
        raise ModelError(
            f"{what} has no {WEIGHTS}, and vlsearch opens no pickles; name a revision that has it (NAME@COMMIT)"
        )
    return wanted


def _meter(total: int, progress: OnBytes | None) -> type[Any]:
    """Make a progress bar class for huggingface_hub that draws nothing and reports the bytes that it counts.

    The hub makes several bars: for files, for bytes received, for bytes put together. The number reported is the
    most that any bar of bytes has counted, so that it never falls. Each bar keeps its own count, because a disabled
    one (``HF_HUB_DISABLE_PROGRESS_BARS``) keeps none.
    """
    from huggingface_hub.utils.tqdm import tqdm

    lock = threading.Lock()
    reported = 0

    class Meter(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counted = kwargs.get("initial") or 0
            self._of_bytes = kwargs.get("unit") == "B"
            super().__init__(*args, **{**kwargs, "file": io.StringIO()})  # type: ignore[no-untyped-call]  # theirs

        def update(self, n: float | None = 1) -> Any:
            nonlocal reported
            if progress is not None and self._of_bytes:
                with lock:
                    self._counted += int(n or 0)
                    reported = max(reported, min(self._counted, total))
                    progress(reported, total)
            return super().update(n)

    return Meter
