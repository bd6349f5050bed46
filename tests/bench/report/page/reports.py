"""A report of rows that are known, whose every name tries to break out of the page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cgnet_deploy.bench.accuracy.gallery import Gallery, ScoredPicture
from cgnet_deploy.bench.machine.environment import Environment
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.contracts import ClassTable
from cgnet_deploy.engines.base import Layer
from cgnet_deploy.spec import Res
from tests.bench.records import record

COUNTS = [[600, 20, 0], [3, 400, 0], [0, 0, 0]]  # the third class occurs nowhere
HOSTILE = (
    'x"><script>alert(1)</script>.onnx',
    "$\\frac{</svg><img src=x onerror=alert(2)>.onnx",
    "' onmouseover='alert(3)' {{ 7 * 7 }} &lt;.onnx",
    "</style><link rel=stylesheet href=https://evil.example>\n\u202e.onnx",
)
CLASSES = ("<b>road", "]]><script>alert(4)</script>", "car&amp;")
LAYERS = (
    Layer("/stem/conv", "Conv", 1_234_567.0),
    Layer("/stage2.0/f_loc", "Conv", 2_000_000.0),
    Layer("/stage2.1/<script>alert(6)</script>", "Conv", 345_678.0),
)
HERE = Environment(
    date="2026-01-01T00:00:00+00:00",
    command=("cgnet-bench", "--engine", "</script><script>alert(5)</script>"),
    cpu="<i>CPU</i>",
    cores=2,
    threads=2,
    os="Linux",
    python="3.11",
    packages={"<u>numpy": "2"},
)


def hostile_records() -> list[Record]:
    return [
        replace(
            record(name, ((5.125 + i, 6.25, 7.5), (5.5, 6.125 + i, 9.0)), counts=COUNTS, profile=LAYERS if i else None),
            class_names=CLASSES,
        )
        for i, name in enumerate(HOSTILE)
    ]


def pictures(engines: int = len(HOSTILE), names: tuple[str, ...] = HOSTILE) -> Gallery:
    """One picture; engine 2 differs from the first on a tie, engine 3 where the first was sure."""
    truth = np.zeros((40, 60), np.uint8)
    labels = [truth.copy() for _ in range(engines)]
    for number in range(1, engines):
        labels[number][7, number] = 1
    bands = np.full(truth.shape, 3, np.uint8)
    bands[7, 1] = 0
    picture = ScoredPicture("<em>0001", np.full((40, 60, 3), 90, np.uint8), truth, tuple(labels), bands)
    table = ClassTable(CLASSES, ((1, 2, 3), (4, 5, 6), (7, 8, 9)), 11)
    return Gallery(Res(40, 60), 1, table, names, (picture,))
