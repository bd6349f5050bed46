"""The command: without a GPU every row says why; with one, each part is bounded and leaves its record."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cgnet_deploy.bench.machine.environment import describe
from cgnet_deploy.bench.tools.gpu import __main__ as gpu
from cgnet_deploy.bench.tools.gpu import contenders, files, parts
from cgnet_deploy.bench.tools.gpu.contenders import CELLS, CONTENDERS, HEADLINE, Cell
from cgnet_deploy.bench.tools.gpu.files import FileTask, done
from cgnet_deploy.bench.tools.gpu.ideal import Ideal
from cgnet_deploy.bench.tools.gpu.job import Job, read_job, write_job
from cgnet_deploy.bench.tools.gpu.parts import PARTS, Part, images_per_s
from cgnet_deploy.bench.tools.gpu.rows import Result, read_record, table, write_record
from cgnet_deploy.clock import CLOCK
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.spec import Precision, Res

NO_GPU = contenders.gpu_missing()


@pytest.mark.skipif(not NO_GPU, reason="there is a GPU here")
def test_without_a_gpu_every_row_says_why_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    assert gpu.main(["--out", str(out), "--files", str(out / "files")]) == 5
    captured = capsys.readouterr()
    rows = captured.out.splitlines()[2:]
    assert all("not run" in row and NO_GPU in row for row in rows)
    for who in CONTENDERS:
        assert sum(f"{who.backend.title}, {who.precision.value}, " in row for row in rows) == 2  # boundaries
    for part in ("environment", "tests", "copy", "profile", "training"):
        assert any(row.startswith(f"{part} ") for row in rows)
    assert (
        captured.err.strip()
        == f"python -m cgnet_deploy.bench.tools.gpu: error: nothing could run: {NO_GPU}; nothing was recorded"
    )
    assert not out.exists()


def test_the_matrix_is_the_promised_one() -> None:
    assert {cell.res for cell in CELLS} == {Res(360, 480), Res(512, 1024), Res(680, 680), Res(1024, 2048)}
    assert {(cell.res, cell.batch) for cell in CELLS} == {(cell.res, n) for cell in CELLS for n in (1, 8)}
    assert (HEADLINE.res, HEADLINE.batch) == (Res(1024, 2048), 1)
    assert sum(part.limit_s for part in PARTS) <= gpu.LIMIT_S < 540


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "gpu_missing", lambda: "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    reasons = {who.backend.name: contenders.missing(who) for who in CONTENDERS}
    assert reasons["torch"] == "not installed: torch"
    assert reasons["trt-plain"] == "not installed: pycuda, cuda, tensorrt or tensorrt_rtx"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--ckpt", "none.pth"], "none.pth does not exist"),
        (["--part", "dance"], "invalid choice: 'dance'"),
        (["--limit", "0"], "must be an integer between 10 and 86400"),
        (["--prat", "tests"], "did you mean --part?"),
    ],
)
def test_usage(flags: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(flags) == 2
    assert words in capsys.readouterr().err


def job(tmp_path: Path, seconds: float = 30.0) -> Job:
    return Job(str(tmp_path), str(tmp_path), "model.pth", "", "A Card 9000", CLOCK.now_s() + seconds)


PART = Part("tests", 1.0, lambda _: [], lambda: {"one": "", "two": ""})


def ended(job: Job, code: str) -> list[Result]:
    """What becomes of a part whose process does as `code` says."""
    return gpu.one_part(PART, job, (sys.executable, "-c", code))


def test_a_part_that_dies_leaves_a_record_that_says_so(tmp_path: Path) -> None:
    assert ended(job(tmp_path), "raise SystemExit(3)") == [
        Result("one", "failed", "its process ended with code 3"),
        Result("two", "failed", "its process ended with code 3"),
    ]
    killed = ended(job(tmp_path), "import os; os.kill(os.getpid(), 9)")
    assert {row.outcome for row in killed} == {"its process was killed by signal 9"}
    assert json.loads((tmp_path / "gpu_a-card-9000_tests.json").read_text())["gpu"] == "A Card 9000"


def test_a_part_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "SPARE_S", 1.0)
    code = (
        "import subprocess, pathlib; child = subprocess.Popen(['sleep', '600']); "
        f"pathlib.Path({str(tmp_path / 'child')!r}).write_text(str(child.pid)); child.wait()"
    )
    rows = ended(job(tmp_path, 1.0), code)
    assert {row.state for row in rows} == {"not run"}
    assert "at its time limit" in rows[0].outcome
    status = Path(f"/proc/{(tmp_path / 'child').read_text()}/stat")
    assert not status.exists() or status.read_text().split(") ")[1][0] == "Z"  # ended, perhaps not yet reaped


def test_an_older_record_does_not_pass_for_this_runs(tmp_path: Path) -> None:
    write_record(job(tmp_path).record("tests"), "tests", "A Card 9000", [Result("old", "ran", "")], 1, describe(1, ()))
    assert {row.subject for row in ended(job(tmp_path), "raise SystemExit(1)")} == {"one", "two"}


def test_a_part_in_its_own_process_writes_its_record(tmp_path: Path) -> None:
    rows = gpu.one_part(next(part for part in PARTS if part.name == "training"), job(tmp_path))
    assert {(row.state, row.outcome) for row in rows} == {("not run", "needs CamVid: --data DIR")}
    profile = gpu.one_part(next(part for part in PARTS if part.name == "profile"), job(tmp_path))
    assert profile[0].outcome == "nothing was timed at 1024x2048x1: run --part 1024x2048x1 first"


def test_time_that_is_left_over_goes_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def noted(_: Part, job: Job) -> list[Result]:
        seen.append(job.left_s)
        return []

    monkeypatch.setattr(gpu, "one_part", noted)
    three = [replace(PART, name=name, limit_s=limit) for name, limit in (("a", 10.0), ("b", 20.0), ("c", 30.0))]
    gpu.all_parts(three, job(tmp_path), CLOCK.now_s() + 120)
    # Twice their limits, less what is kept for ending them; none takes any time here, so a second covers
    # a busy machine, and the shares lie far more than that apart.
    assert seen == pytest.approx([20 - gpu.SPARE_S, 60 - gpu.SPARE_S, 120 - gpu.SPARE_S], abs=1)


def test_a_job_goes_to_its_process_and_back(tmp_path: Path) -> None:
    before = job(tmp_path)
    write_job(tmp_path / "job.json", before)
    assert read_job(tmp_path / "job.json") == before


def test_a_file_that_is_no_record_is_refused(tmp_path: Path) -> None:
    (path := tmp_path / "record.json").write_text('{"rows": [{"odd": 1}]}')
    with pytest.raises(CgnetError, match="is no record of the GPU run"):
        read_record(path)


def test_the_table_has_a_line_a_row() -> None:
    lines = table([("tests", Result("pytest", "ran", "9 passed")), ("a", Result("b", "not run", "no c"))]).splitlines()
    assert lines[2:] == ["tests  pytest  ran      9 passed", "a      b       not run  no c"]


def test_floors_are_those_of_the_specification() -> None:
    """Its section 2.2, at 3 TB/s: 0.585 ms with plain fusion and 0.401 ms with the best schedule, labels out."""
    who = next(who for who in CONTENDERS if who.backend.name == "torch-graph")
    figures = Ideal(19, (3, 21), 3e12).judge(1.170, who, HEADLINE)
    # Half a unit of the last digit that the specification prints; the share is of its rounded figure.
    assert figures["floor_ms"] == pytest.approx(0.585, abs=5e-4)
    assert figures["least_ms"] == pytest.approx(0.401, abs=5e-4)
    assert figures["floor_share_of_copy"] == pytest.approx(0.5, abs=1e-3)
    assert "floor_ms" not in Ideal(19, (3, 21), None).judge(1.170, who, HEADLINE)


def test_files_are_made_once_and_say_why_they_are_not(tmp_path: Path) -> None:
    until = CLOCK.now_s() + 60
    made = tmp_path / "made.onnx"
    write = f"import pathlib; [pathlib.Path({str(made)!r} + end).write_text('x') for end in ('', '.json')]"
    assert done(FileTask(made, (sys.executable, "-c", write)), until).state == "ran"
    assert done(FileTask(made, (sys.executable, "-c", "raise SystemExit(1)")), until).outcome == "exists already"
    failing = (sys.executable, "-c", "import sys; sys.exit('no: the reason')")
    assert done(FileTask(tmp_path / "a", failing), until) == Result("a", "failed", "no: the reason")
    assert done(FileTask(tmp_path / "b", failing, after=tmp_path / "a"), until) == Result(
        "b", "not run", "a is missing"
    )
    assert done(FileTask(tmp_path / "c", failing), CLOCK.now_s()).outcome == "no time was left to make it"
    assert (
        done(FileTask(tmp_path / "e", (sys.executable, "-c", "")), until).state == "failed"
    )  # exit code 0, and no file
    missing = (sys.executable, "-c", "import sys; print('no builder', file=sys.stderr); sys.exit(2)")
    assert done(FileTask(tmp_path / "f", missing), until) == Result("f", "not run", "no builder")
    waiting = (sys.executable, "-c", "import threading; threading.Event().wait()")
    assert "stopped after" in done(FileTask(tmp_path / "d", waiting), CLOCK.now_s() + 0.5).outcome


def test_every_file_of_a_cell_is_requested_with_f16_first_and_no_f32_in_int8(tmp_path: Path) -> None:
    pairs = files.tasks(HEADLINE, Path("m.pth"), tmp_path)
    assert [export.path.name for export, _ in pairs] == [f"{one}_{HEADLINE}.onnx" for one in ("f16", "f32", "int8")]
    assert {task.path for pair in pairs for task in pair} >= {
        contenders.file_of(who, tmp_path, HEADLINE) for who in CONTENDERS if who.backend.runtime.reads != "checkpoint"
    }
    assert "--target tensorrt" in " ".join(pairs[2][0].command)  # there what is not int8 is f16


def test_a_plan_is_built_as_soon_as_its_file_is_there_and_what_failed_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order on one core; the second run makes what the first had no time for."""
    begun: list[str] = []
    plan_begun = threading.Event()

    def noted(task: FileTask, until: float) -> Result:
        begun.append(task.path.name.partition("_")[0] + task.path.suffix)
        if begun[-1] == "f16.plan":
            plan_begun.set()
        if begun[-1] == "int8.onnx":
            assert plan_begun.wait(60), "the first plan waits for the last export"
        return done(replace(task, command=(sys.executable, "-c", "raise SystemExit(1)")), until)

    monkeypatch.setattr(files, "cores", lambda: 1)
    monkeypatch.setattr(files, "done", noted)
    for until in (CLOCK.now_s(), CLOCK.now_s() + 60):
        plan_begun.clear()
        rows = files.make(HEADLINE, Path("m.pth"), tmp_path, until)
    assert [row.subject for row in rows] == [
        f"{one}_{HEADLINE}.{kind}" for one in ("f16", "f32", "int8") for kind in ("onnx", "plan")
    ]
    assert [row.state for row in rows] == ["failed", "not run"] * 3
    assert begun.index("f16.onnx") == 0
    assert all(begun.index(f"{one}.onnx") < begun.index(f"{one}.plan") for one in ("f16", "f32", "int8"))
    assert len(begun) == 12


def test_the_exporter_runs(tmp_path: Path) -> None:
    """With a checkpoint that isn't there: the command runs, and says what cgnet-export says."""
    rows = files.make(Cell(Res(64, 96), 1), tmp_path / "none.pth", tmp_path, CLOCK.now_s() + 240)
    assert [row.state for row in rows] == ["not run"] * 6
    assert all("none.pth" in row.outcome for row in rows[::2])
    assert rows[1].outcome == "f16_64x96x1.onnx is missing"


def test_the_headline_comes_before_all_that_takes_long() -> None:
    names = [part.name for part in PARTS]
    assert names.index(str(HEADLINE)) < min(names.index("tests"), *(names.index(str(c)) for c in CELLS[1:]))
    assert next(iter(files.FLAGS)) is Precision.F16


def test_training_speed_is_read_from_the_runs_log(tmp_path: Path) -> None:
    (log := tmp_path / "log.jsonl").write_text(
        '{"step": 10, "img_per_s": 5.5}\n{"val": 1}\n{"step": 20, "img_per_s": 7}\n'
    )
    assert images_per_s(log) == [5.5, 7.0]
    assert images_per_s(tmp_path / "none") == []
    assert parts.TRAINED["f16, captured"] == ("amp=true", "captured=true")
