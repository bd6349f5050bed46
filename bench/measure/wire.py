"""What the bench and the process of an engine say to each other.

A message is one frozen dataclass, sent as ["name", {field: value}] in JSON over a `multiprocessing`
connection, which frames and bounds it. Nothing is pickled. A field holds a string, a number, None or a flat
sequence of them, which arrives as a tuple; frames and label maps travel as files.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any

from cgnet_deploy import errors
from cgnet_deploy.bench.measure.latency import Boundary, Warmed
from cgnet_deploy.errors import CgnetError

MAX_MESSAGE_BYTES = 64 << 20  # a round of MAX_SAMPLES samples fits


@dataclass(frozen=True, slots=True)
class Open:
    """Load an engine. res: (H, W) px, None for the engine's own; batch: None for the engine's own, else 1.

    profile: so that it can tell the time of its layers, which makes it slower.
    """

    engine: str
    res: tuple[int, int] | None
    batch: int | None
    threads: int
    contract: str | None
    profile: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """The engine is loaded: what it is, and the size and batch that it will be timed at.

    libraries_ns: to import its runtime; load_ns: to read, build or compile the file then.
    """

    backend: str
    provider: str
    precision: str
    sha256: str
    class_names: tuple[str, ...]
    res: tuple[int, int]
    batch: int
    file_bytes: int
    libraries_ns: int
    load_ns: int


@dataclass(frozen=True, slots=True)
class Begin:
    """Do the very first inference, on the frames of a .npy file."""

    frames: str


@dataclass(frozen=True, slots=True)
class Begun:
    """What it took, from frame to labels: what is compiled or allocated at the first inference is in it."""

    first_ns: int


@dataclass(frozen=True, slots=True)
class Warm:
    """Make ready for a boundary on the frames of a .npy file, and warm up (see latency.warm_up).

    fps: how fast frames come where they are paced, else None.
    """

    boundary: Boundary
    fps: float | None
    frames: str
    least_ms: float
    least_steps: int
    patience: int


@dataclass(frozen=True, slots=True)
class Measure:
    """Take one round of samples at the boundary that was warmed up last."""

    least_s: float
    least_samples: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One round, and the peak memory of the process so far, its interpreter and libraries included."""

    samples_ns: tuple[int, ...]
    window_ns: int
    peak_memory_mib: float


@dataclass(frozen=True, slots=True)
class Score:
    """Label the first `images` pictures of a data set and compare them with the truth.

    outlines: count boundaries too. keep: a folder for the labels, None to drop them. margins: keep, beside
    the labels, by how much each won. views: label from several scales and mirrored too (see views.py).
    """

    data: str
    split: str
    images: int
    outlines: bool
    keep: str | None
    margins: bool
    views: bool = False


@dataclass(frozen=True, slots=True)
class Scored:
    """confusion: the (K, K) counts, row by row. outlines: (K, 4), views: (K, K), None if they weren't asked for."""

    confusion: tuple[int, ...]
    outlines: tuple[int, ...] | None
    views: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """Time each layer over `runs` inferences on the frames of a .npy file."""

    frames: str
    runs: int


@dataclass(frozen=True, slots=True)
class Profiled:
    """Of each layer, in the order of the first run: its name, its kind, and its mean time."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    mean_ns: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """So many images are done; the answer is still to come."""

    done: int


@dataclass(frozen=True, slots=True)
class Failed:
    """error: the name of the class in errors.py, so that the exit code survives the way."""

    error: str
    message: str

    def exception(self) -> CgnetError:
        kind = getattr(errors, self.error, None)
        if isinstance(kind, type) and issubclass(kind, CgnetError):
            return kind(self.message)
        return CgnetError(self.message)


Request = Open | Begin | Warm | Measure | Score | Profile
Reply = Opened | Begun | Warmed | Measured | Scored | Profiled | Progress | Failed
KINDS: dict[str, Callable[..., Request | Reply]] = {
    kind.__name__: kind
    for kind in (
        Open,
        Begin,
        Warm,
        Measure,
        Score,
        Profile,
        Opened,
        Begun,
        Warmed,
        Measured,
        Scored,
        Profiled,
        Progress,
        Failed,
    )
}


def send(connection: Connection[Any, Any], message: Request | Reply) -> None:
    connection.send_bytes(json.dumps([type(message).__name__, asdict(message)]).encode())


def receive(connection: Connection[Any, Any]) -> Request | Reply:
    """The next message. Raises EOFError when the other side is gone, CgnetError for anything but a message."""
    try:
        name, fields = json.loads(connection.recv_bytes(MAX_MESSAGE_BYTES))
        values = {field: tuple(value) if isinstance(value, list) else value for field, value in fields.items()}
        return KINDS[name](**values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CgnetError(f"a message between bench and engine can't be read: {error}") from error
