"""What bench and engine say to each other arrives as it was sent, or is refused."""

from __future__ import annotations

from multiprocessing import Pipe

import pytest

from cgnet_deploy.bench.measure import wire
from cgnet_deploy.bench.measure.latency import Warmed
from cgnet_deploy.errors import CgnetError, DataError, EngineUnavailable


@pytest.mark.parametrize(
    "message",
    [
        wire.Open("cgnet.plan", (1024, 2048), None, 2, "camvid-official"),
        wire.Opened("ort", "cpu", "f16", "ab", ("Sky", "Straße"), (360, 480), 4, 2**40, 10, 2**40),
        wire.Begin("frames.npy"),
        wire.Begun(2**40),
        wire.Profile("frames.npy", 20),
        wire.Profiled(("a", "b"), ("Conv", ""), (1.5, 2e9)),
        wire.Warm("paced", 29.97, "frames.npy", 200.0, 10, 1),
        Warmed(10, 12345678901, False),
        wire.Measure(1.5, 34),
        wire.Measured((1, 2, 10**12), 10**13, 71.25),
        wire.Score("scenes", "val", 5, True, None, False),
        wire.Scored((1, 0, 0, 2**40), (1, 2, 3, 4)),
        wire.Progress(3),
        wire.Failed("DataError", "no"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_arrives_as_it_was_sent(message: wire.Request | wire.Reply) -> None:
    ours, theirs = Pipe()
    with ours, theirs:
        wire.send(ours, message)
        assert wire.receive(theirs) == message


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[1, 2]", b'["Open", {}]', b'["Unknown", {}]', b'["Progress", {"done": 1, "more": 2}]', b"\xff\xfe"],
)
def test_anything_else_is_refused(content: bytes) -> None:
    ours, theirs = Pipe()
    with ours, theirs:
        ours.send_bytes(content)
        with pytest.raises(CgnetError, match="can't be read"):
            wire.receive(theirs)


def test_a_failure_keeps_its_kind_and_so_its_exit_code() -> None:
    assert isinstance(wire.Failed("EngineUnavailable", "no GPU").exception(), EngineUnavailable)
    assert isinstance(wire.Failed("DataError", "cut").exception(), DataError)
    for name in ("NoSuchError", "require", "annotations", "ModuleType"):
        assert type(wire.Failed(name, "x").exception()) is CgnetError
