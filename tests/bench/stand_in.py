"""A program for `EngineProcess` with an engine that needs no runtime and misbehaves as its name says.

Run as: python stand_in.py FD. It labels every pixel 0.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from multiprocessing.connection import Connection

import numpy as np

from cgnet_deploy.bench.measure.opening import Open, Start
from cgnet_deploy.bench.measure.worker import serve
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.engines.base import Engine, EngineInfo
from cgnet_deploy.errors import EngineUnavailable
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Precision


class StandIn(Engine):
    def __init__(self, behaviour: str) -> None:
        spec = model_spec("camvid-official", 11, (3, 21))
        shape = (4, 32, 48)
        self.info = EngineInfo("stand-in", behaviour, Precision.F32, spec, shape, "0" * 64)

    def _load(self, frames: U8) -> None:
        self.labels = np.zeros(frames.shape[:3], np.uint8)

    def enqueue(self) -> None:
        match self.info.provider:
            case "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exits":
                os._exit(7)
            case "hangs":
                threading.Event().wait()
            case "has a bug":
                raise ZeroDivisionError("as asked")
            case "chatters":
                print("a runtime's chatter on stdout")

    def sync(self) -> None: ...

    def fetch(self) -> U8:
        return self.labels


def open_stand_in(request: Open) -> Start:
    if request.engine == "needs a GPU":
        raise EngineUnavailable("no GPU here")
    return Start(StandIn(request.engine), 0, 0, 0)


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])), open_stand_in)
