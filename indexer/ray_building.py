"""Index a corpus on a Ray cluster: what ``vlsearch index --ray`` does, as one call.

Shards on workers, then a merge here. Ray Data is not used: its pools of actors hold whole CPUs and starve the readers
beside them, and it starts a failed block from its beginning, where a shard goes on from its last commit.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.merging import merge
from indexer.pipeline.report import Report
from indexer.ray_cluster import RayCluster, ShardWork, ray_cluster, shard_name
from indexer.shard_schedule import State, run_shards
from retrieval.catalogue_name import is_collection
from retrieval.collection import Collection
from retrieval.corpora import Corpus, CorpusOptions, CorpusSpec, Shard, open_corpus
from retrieval.errors import UsageError
from retrieval.extras import require
from retrieval.types import Limits, OnProgress, Progress

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder

CPUS = 0.9
"""That a task reserves by default: one task a core, and a little left for whatever reads beside them."""

SHARDS_A_PLACE = 4  # so that a lost worker or a slow machine costs a part of the whole
_MOST = 1000
_NAME = re.compile(r"([0-9]{1,5})-of-([0-9]{1,5})")


def build_on_ray(
    source: str | Path | Corpus,
    collection: str | Path,
    *,
    address: str,
    shards: int | None = None,
    cpus: float = CPUS,
    gpus: float = 0.0,
    model: str | Path | Encoder = "auto",
    options: CorpusOptions | None = None,
    limits: Limits | None = None,
    workers: int = 1,
    timeout: float = 0.0,
    on_progress: OnProgress | None = None,
) -> Report:
    """Index a corpus into a new collection on the machines of a Ray cluster, to the last bit as one machine would.

    The corpus must lie at the same path on every machine, and each needs vlsearch and the model. A worker that is lost
    costs what its shard had not committed; finished shards are kept beside the collection (``NAME.shards``) until they
    are merged, so that this can be killed and run again.

    Args:
        source: as for :func:`indexer.build`.
        collection: folder of the collection, on this machine.
        address: ``local`` for a cluster of this machine alone, ``auto``, or host and port of a cluster's head.
        shards: parts of the corpus, each a task; by default four for each task that runs at once.
        cpus: CPUs that a task reserves, above 0; a fraction may be.
        gpus: likewise, from 0.
        model: as for :func:`indexer.build`; a name or a folder means the same model on every machine.
        options: as there, as are the next two.
        limits: as there.
        workers: processes that decode, in each task.
        timeout: seconds to wait for another process that writes to the collection; by default none.
        on_progress: called as shards end, and then for each entry that is merged.

    Raises:
        UsageError: the collection holds the corpus already, which :func:`indexer.build` keeps up to date.
        MissingExtra: Ray is not installed.
        ClusterError: the cluster cannot be reached, or loses the workers of one shard again and again.
        VlsearchError: as :func:`indexer.build`.
    """
    require("ray", "index --ray")
    if not (cpus > 0 and gpus >= 0 and workers >= 1):
        raise UsageError(
            "a task reserves CPUs above 0 and GPUs from 0, and has at least 1 process that decodes"
        )
    target = Path(collection)
    spec = _whole_corpus(source, options, target)
    received = target.with_name(f"{target.name}.shards")
    work = ShardWork(spec, shards or 0, model, limits or Limits(), workers, cpus, gpus, "")
    received.mkdir(parents=True, exist_ok=True)
    kept = _count_of(received)
    if kept is not None and shards not in (None, kept):
        raise UsageError(
            f"{received} has shards of a split into {kept}; ask for {kept} shards, or remove it to begin anew"
        )
    with ray_cluster(address, work, received) as cluster:
        count = kept or shards or min(_MOST, max(2, SHARDS_A_PLACE * cluster.capacity()))
        Shard(1, count)
        _run(cluster, replace(work, count=count, scratch=_scratch(spec, count, model)), received, on_progress)
    paths = [received / shard_name(number, count) for number in range(1, count + 1)]
    try:
        report = merge(paths, target, timeout=timeout, on_progress=on_progress)
    except UsageError as error:
        raise UsageError(f"{error}; if that cannot be, remove {received} and run this again") from error
    if not report.interrupted:
        shutil.rmtree(received)
    return report


def _whole_corpus(source: str | Path | Corpus, options: CorpusOptions | None, target: Path) -> CorpusSpec:
    """Open a corpus that is to be split, and give how the machines open it too.

    Raises:
        UsageError: it has no name to open it by, or is a shard, or the collection holds it.
    """
    corpus = source if isinstance(source, Corpus) else open_corpus(str(source), options or CorpusOptions())
    if corpus.spec is None or corpus.spec.options.shard is not None:
        raise UsageError("a corpus is indexed on a cluster as a whole and by its name; leave its shard out")
    _refuse_known(target, corpus.uri)
    return corpus.spec


def _run(cluster: RayCluster, work: ShardWork, received: Path, on_progress: OnProgress | None) -> None:
    """Index the shards that are not there yet."""
    missing = [
        number
        for number in range(1, work.count + 1)
        if not is_collection(received / shard_name(number, work.count))
    ]

    def tell(state: State) -> None:
        if on_progress is not None:
            note = f"{state.running} running" + (f", {state.lost} lost and begun again" if state.lost else "")
            done = work.count - state.total + state.done
            on_progress(Progress("indexing shards", done, work.count, 0, note))

    run_shards(cluster.at(work), missing, lambda number, folder: None, on_state=tell)


def _refuse_known(target: Path, uri: str) -> None:
    if not is_collection(target):
        return
    with Collection.open(target) as opened:
        if any(corpus.uri == uri and corpus.read is not None for corpus in opened.corpora()):
            raise UsageError(f"collection {target} holds {uri} already; index what is new without --ray")


def _count_of(received: Path) -> int | None:
    """Give how many shards the corpus was split into by a run that was killed; None where there was none."""
    names = (_NAME.fullmatch(path.name) for path in received.iterdir())
    return next((int(name[2]) for name in names if name is not None), None)


def _scratch(spec: CorpusSpec, count: int, model: str | Path | Encoder) -> str:
    """Name the folder that workers go on in when the same work is begun again."""
    made_by = str(model) if isinstance(model, (str, Path)) else model.identity.exact_digest
    return hashlib.sha256(f"{spec.to_json()}\0{count}\0{made_by}".encode()).hexdigest()[:16]
