"""A run of cgnet-tune that was stopped, killed or failed, and the next one: what is timed again, and what is not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cgnet_deploy.artifact import read_artifact
from cgnet_deploy.errors import NoSpace
from tests.tuning.conftest import HERE, SECOND_GROUP, Run, fates
from tests.tuning.machines import AVX2, VNNI, Machine, export_nothing


def test_a_run_that_was_killed_goes_on_where_it_stopped(on: Run) -> None:
    """By Ctrl-C: what is known is on the disk after each group."""
    machine = Machine(VNNI, interrupt=SECOND_GROUP)
    with pytest.raises(KeyboardInterrupt):
        on(machine)
    state = json.loads(Path("tuned/tune.json").read_text())
    assert (state["interrupted"], state["winner"]) == (True, None)
    assert {name for name, fate in fates().items() if fate == "waiting"} == {
        SECOND_GROUP,
        "ort:ort-cpu-f32-unpruned.onnx",
    }
    again = Machine(VNNI)
    assert on(again).winner.name.startswith("openvino:openvino-int8-most")
    assert "ort:ort-cpu-int8-most.onnx" not in again.tried("measure")  # it had left in the first group
    assert "torch" not in again.tried("score")


KILLED = f"""
import os, signal, sys
from cgnet_deploy.tuning import api, make
from tests.tuning.machines import RES, VNNI, Machine, export_nothing

class Killing(Machine):
    def start(self, ref, threads):
        if ref.startswith("openvino:") and ref.endswith({SECOND_GROUP.partition(":")[2]!r}):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().start(ref, threads)

make.export_as = export_nothing
api.why_not = lambda backend: None if backend in {HERE!r} else f"no {{backend}} here"
api.engine_process = Killing(VNNI).start
api.tune(sys.argv[1], "scenes:0:32x48", limit=1, res=RES, threads=2)
"""


def test_after_kill_9_it_goes_on_where_it_stopped(on: Run, weights: Path) -> None:
    root = str(Path(__file__).resolve().parents[2])
    words = [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r}){KILLED}", str(weights)]
    died = subprocess.run(words, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert fates()[SECOND_GROUP] == "waiting"
    assert not Path("tuned/cgnet.onnx").exists()
    machine = Machine(VNNI)
    assert on(machine).winner.name.startswith("openvino:openvino-int8-most")
    assert "ort:ort-cpu-int8-most.onnx" not in machine.tried("measure")  # it had left before the kill
    assert [name for name in machine.tried("score") if name == "torch"] == []


def test_another_limit_is_judged_by_what_was_scored(on: Run) -> None:
    on(Machine(VNNI))
    again = Machine(VNNI)
    assert on(again, max_drop=1.0).winner.name.startswith("openvino:openvino-int8-stored")
    assert again.tried("score") == []


def test_ctrl_c_leaves_the_best_so_far(on: Run) -> None:
    with pytest.raises(KeyboardInterrupt):
        on(Machine(AVX2, interrupt=SECOND_GROUP))
    assert read_artifact(Path("tuned/cgnet.onnx")).made_with["name"] == "openvino-f32.onnx"


def test_a_failure_is_tried_again_by_the_next_run_but_not_where_a_killed_one_goes_on(on: Run) -> None:
    fails = {**AVX2, "openvino:openvino-int8-most.onnx": "crashes"}
    with pytest.raises(KeyboardInterrupt):
        on(Machine(fails, interrupt=SECOND_GROUP))
    on(again := Machine(AVX2))
    assert "openvino:openvino-int8-most.onnx" not in again.tried("open")
    on(third := Machine(AVX2))
    assert "openvino:openvino-int8-most.onnx" in third.tried("open")


def test_a_full_disk_ends_it_and_condemns_no_candidate(on: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    full = "openvino-f32.onnx"

    def export(words: Sequence[str]) -> Any:
        if full in " ".join(words):
            raise NoSpace(f"{full} can't be written: No space left on device")
        return export_nothing(words)

    with monkeypatch.context() as patched:
        patched.setattr("cgnet_deploy.tuning.make.export_as", export)
        with pytest.raises(NoSpace, match="No space left"):
            on(Machine(AVX2))
    assert fates()[f"openvino:{full}"] == "waiting"
    monkeypatch.setattr("cgnet_deploy.tuning.make.export_as", export_nothing)
    assert on(Machine(AVX2)).winner.name == f"openvino:{full} 2 threads"


def test_a_file_that_was_changed_is_made_and_timed_again(on: Run) -> None:
    on(Machine(AVX2))
    Path("tuned/files/ort-cpu-int8-most.onnx").write_bytes(b"changed")
    on(again := Machine(AVX2))
    assert {name for name in again.tried("measure") if "unpruned" in name or "int8" in name} == {
        "ort:ort-cpu-int8-most.onnx"
    }


def test_another_checkpoint_or_machine_starts_anew(on: Run, caplog: pytest.LogCaptureFixture) -> None:
    on(Machine(VNNI), only="f32")
    again = Machine(VNNI)
    with caplog.at_level("INFO", logger="cgnet_deploy"):
        on(again, only="f32", calib_images=16)
    assert "was asked for something else (calibration): starting anew" in caplog.text
    assert len(again.tried("score")) > 1
