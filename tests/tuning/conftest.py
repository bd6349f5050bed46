"""cgnet-tune on a made-up machine, and what became of each candidate."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.tuning.api import tune
from cgnet_deploy.tuning.kept import Tuned
from tests.networks import drawn
from tests.tuning.machines import RES, SPEC, Machine, export_nothing

HERE = ("ort", "openvino")  # the runtimes of a made-up machine
SECOND_GROUP = "openvino:openvino-f32-unpruned.onnx"
Run = Callable[..., Tuned]


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tuning") / "model.pth"
    save_checkpoint(path, drawn(11, (3, 21)), SPEC, {})
    return path


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: Path) -> Run:
    """Tune on a machine; exports are empty files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cgnet_deploy.tuning.make.export_as", export_nothing)
    monkeypatch.setattr("cgnet_deploy.tuning.kept.page", names_of_rows)  # charts take seconds
    monkeypatch.setattr(
        "cgnet_deploy.export.plain.export_plain", lambda ckpt, res, path, weights: path.write_bytes(b"")
    )
    monkeypatch.setattr(
        "cgnet_deploy.tuning.api.why_not", lambda backend: None if backend in HERE else f"no {backend} here"
    )

    def run(machine: Machine, **options: Any) -> Tuned:
        monkeypatch.setattr("cgnet_deploy.tuning.api.engine_process", machine.start)
        return tune(weights, "scenes:0:32x48", limit=1, res=RES, threads=2, **options)

    return run


def names_of_rows(records: Sequence[Record], *more: object) -> str:
    """In the place of the report."""
    return "\n".join(record.engine for record in records)


def fates(folder: str = "tuned") -> dict[str, str]:
    """`backend:file` -> what became of it and why."""
    rows = json.loads(Path(folder, "tune.json").read_text())["candidates"]
    files = {row_name(row["candidate"]): ": ".join(filter(None, (row["fate"], row["why"]))) for row in rows}
    return files


def row_name(candidate: dict[str, Any]) -> str:
    variant = candidate["variant"]
    parts = (variant["target"], variant["precision"], variant["scope"], None if variant["prune"] else "unpruned")
    return f"{candidate['backend']}:{'-'.join(filter(None, parts))}.onnx"
