"""Label an archive with an engine, by Ray Data: one worker a share of the CPU, or a GPU, each with its own engine.

Ray gives batches of files to workers; it restarts a worker that died and repeats its batch. What is done is in the
index (index.py), so a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cgnet_deploy import __version__, errors
from cgnet_deploy.codec import to_json
from cgnet_deploy.engines.base import EngineInfo
from cgnet_deploy.errors import CgnetError, EngineUnavailable, UsageError, UserError, one_line, require
from cgnet_deploy.files import read_json, write_json
from cgnet_deploy.label.archive import Item, items_of
from cgnet_deploy.label.index import Index
from cgnet_deploy.label.labeller import Labeller
from cgnet_deploy.places import check_folder, make_folder
from cgnet_deploy.progress import task
from cgnet_deploy.spec import Color, Res, Triple
from cgnet_deploy.threads import cores
from cgnet_deploy.video.segmenter import Segmenter

log = logging.getLogger(__name__)

CLASSES = "classes.json"
SCHEMA = 1
MAX_CLASSES_BYTES = 1 << 20
CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Labelled:
    """What of an archive is labelled.

    items: pictures and videos of the archive. earlier: how many of them earlier runs had done.

    masks, unreadable: rows of the index, with a mask and without one.
    """

    items: int
    earlier: int
    masks: int
    unreadable: int


def label_archive(
    archive: str | Path,
    output: str | Path,
    engine: str,
    *,
    ray: str | None = None,
    workers: int | None = None,
    threads: int = 1,
    gpus: float = 0.0,
    batch: int = 16,
    res: Res | str | None = None,
    contract: str | None = None,
    names: str | Path | None = None,
    mean: Triple | None = None,
    std: Triple | None = None,
    color: Color | None = None,
    trust: bool = False,
    weights: str | None = None,
    cache: bool = True,
) -> Labelled:
    """Label every picture and every frame of every video of `archive`.

    archive          a folder, a glob pattern, or a Parquet file with a column `path`
    output           a folder: masks/ (palette PNG), classes.json, index.parquet. On a cluster all its machines must
                     see archive, output, engine and names under the same path
    ray              the address of a cluster; default: this machine alone
    workers          engines at work at once; default: as many as the CPUs allow with `threads` each
    threads, gpus    of each of them
    batch            pictures that a worker gets at once, and that are repeated if it dies; a video is one of its own
    engine, res, contract, names, mean, std, color, trust, weights, cache    as of `open_engine`

    What can't be read becomes a row of the index with its reason. Raises DataError if the archive holds nothing to
    label, UsageError if `output` holds masks of another engine, and what `open_engine` raises.
    """
    output = Path(output)
    check_folder(output)
    opens = partial(
        Segmenter,
        _absolute(engine),
        res=res,
        threads=threads,
        contract=contract,
        names=None if names is None else Path(names).resolve(),  # a worker has another current folder
        mean=mean,
        std=std,
        color=color,
        trust=trust,
        weights=weights,
        cache=cache,
    )
    items = items_of(str(archive))
    with opens() as segmenter:
        info = segmenter.info  # a file that can't be used is refused here, in one line, not by a worker
    _prepare(output, info)
    index = Index(output, info.spec.class_names)
    done = index.done()
    left = [item for item in items if item.path not in done]
    log.info("%d pictures and videos, %d of them done earlier", len(items), len(items) - len(left))
    if left:
        with _terminated(), _connected(ray, None if workers is None else workers * threads):
            _run(left, opens, output, workers, threads, gpus, batch)
    masks, unreadable = index.merge()
    return Labelled(len(items), len(items) - len(left), masks, unreadable)


def _run(
    items: list[Item],
    opens: Callable[[], Segmenter],
    output: Path,
    workers: int | None,
    threads: int,
    gpus: float,
    batch: int,
) -> None:
    data, ray, arrow = (require(name, extra="archive") for name in ("ray.data", "ray", "pyarrow"))
    if workers is None:
        workers = max(int(ray.cluster_resources().get("CPU", 1) // threads), 1)
    batches = _batches(items, batch)
    tables = data.from_arrow([arrow.Table.from_pylist([asdict(item) for item in batch]) for batch in batches])
    labelled = tables.map_batches(
        Labeller,
        batch_size=None,  # a table is a batch
        fn_constructor_args=(opens, str(output.resolve())),
        compute=data.ActorPoolStrategy(size=min(workers, len(batches)), max_tasks_in_flight_per_actor=2),
        num_cpus=threads,
        num_gpus=gpus or None,
    )
    try:
        with task("labelling", len(items)) as progress:
            for row in labelled.iter_rows():
                if row["error"]:
                    raise getattr(errors, row["error"], CgnetError)(row["message"])
                progress.update(progress.done + int(row["items"]))
    except ray.exceptions.RayError as error:
        raise _ours(error) from error


def _batches(items: list[Item], size: int) -> list[list[Item]]:
    """Each video alone and first, since it takes longest: none is left to one worker while the others have no more."""
    pictures = [item for item in items if item.kind == "picture"]
    videos = [[item] for item in items if item.kind == "video"]
    return videos + [pictures[i : i + size] for i in range(0, len(pictures), size)]


def _ours(error: BaseException) -> CgnetError:
    """The error of ours that a worker met, or one that shows what Ray says."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, CgnetError):
            return type(cause)(str(cause))
        cause = getattr(cause, "cause", None) or cause.__cause__
    return CgnetError(f"a worker failed: {one_line(error)}")


@contextmanager
def _connected(address: str | None, cpus: int | None) -> Iterator[None]:
    """A Ray cluster: the one at `address`, the one that this process is connected to, or this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody asked it to report home
    ray: Any = require("ray", extra="archive")
    if ray.is_initialized():
        yield
        return
    where: dict[str, Any] = {"address": address}
    if address is None:
        where = {"address": "local", "num_cpus": cpus or cores(), "include_dashboard": False}
    try:
        if match := re.fullmatch(r"(?:ray://)?(?P<host>[^/]+):(?P<port>\d{1,5})", address or ""):
            # Ray itself waits for minutes for a cluster that isn't there.
            socket.create_connection((match["host"], int(match["port"])), CONNECT_S).close()
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # of a machine that is too slow for its patience, Ray says no more exactly
        raise EngineUnavailable(f"no Ray cluster at {address or 'this machine'}: {one_line(error)}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _terminated() -> Iterator[None]:
    """Let SIGTERM end this process with 143: the handler that Ray sets exits with 15, so that its atexit ends Ray."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as end:
        if end.code == signal.SIGTERM:
            sys.exit(128 + signal.SIGTERM)
        raise
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _prepare(output: Path, info: EngineInfo) -> None:
    """Make the folder and its class table; remove what a killed run left half written."""
    make_folder(output)
    table = {
        "schema": SCHEMA,
        "engine_sha256": info.sha256,
        "made_with": {"cgnet-deploy": __version__},
        "input": to_json(info.spec.input),
        "ignore_label": info.spec.ignore_label,
        "classes": [
            {"label": label, "name": name, "colour": list(colour)}
            for label, (name, colour) in enumerate(zip(info.spec.class_names, info.spec.palette, strict=True))
        ],
    }
    path = output / CLASSES
    if path.exists():
        try:
            earlier = read_json(path, MAX_CLASSES_BYTES)
            differing = next((key for key in ("engine_sha256", "input", "classes") if earlier[key] != table[key]), None)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} can't be read: {one_line(error)}; give another --output") from error
        if differing:
            raise UsageError(
                f"{output} holds masks of another engine or of other settings: {differing} is {earlier[differing]} in "
                f"{path.name}; give another --output"
            )
    for half in output.rglob(".*.tmp"):
        half.unlink(missing_ok=True)
    write_json(path, table)


def _absolute(engine: str) -> str:
    """The engine's file by its full path: a worker has another current folder."""
    backend, colon, path = engine.rpartition(":")
    return f"{backend}{colon}{os.path.abspath(path)}"
