"""The gate against an earlier result: what is worse is caught, noise is not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.bench.machine.environment import describe
from cgnet_deploy.bench.report.baseline import check_against, ratio_between, read_baseline
from cgnet_deploy.bench.report.compare import Ratio
from cgnet_deploy.bench.report.record import Record
from cgnet_deploy.bench.report.table import to_json
from cgnet_deploy.errors import AccuracyError, CgnetError, PerformanceError, UsageError, UserError
from tests.bench.records import record

HERE = describe(2, ())
COUNTS = [[900, 100, 0], [100, 900, 0], [0, 0, 1000]]


def timed(rng: np.random.Generator, slower: float = 1.0, noise: float = 0.02) -> Record:
    """Ten turns round 20 ms, each with a pace of its own; on a quiet machine they vary by less."""
    return record(
        rounds_ms=tuple((20 * slower * float(pace),) * 10 for pace in np.exp(noise * rng.standard_normal(10)))
    )


def written(path: Path, *records: Record) -> Path:
    path.write_text(json.dumps(to_json(records, HERE)))
    return path


def test_a_regression_of_ten_per_cent_fails_and_noise_does_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    failures = dict.fromkeys([(1.0, 0.02), (1.0, 0.1), (1.1, 0.02)], 0)
    for slower, noise in failures:
        for _ in range(20):
            baseline = read_baseline(written(tmp_path / "then.json", timed(rng, noise=noise)))
            try:
                check_against(baseline, [timed(rng, slower, noise)], HERE)
            except PerformanceError:
                failures[slower, noise] += 1
    assert failures == {(1.0, 0.02): 0, (1.0, 0.1): 0, (1.1, 0.02): 20}


def test_a_clear_regression_always_fails(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    baseline = read_baseline(written(tmp_path / "then.json", timed(rng, noise=0.01)))
    with pytest.raises(PerformanceError, match="slower by more than noise and 5%") as raised:
        check_against(baseline, [timed(rng, 1.1, noise=0.01)], HERE)
    assert raised.value.exit_code == 4


def test_what_is_faster_passes(tmp_path: Path) -> None:
    rng = np.random.default_rng(13)
    check_against(read_baseline(written(tmp_path / "then.json", timed(rng))), [timed(rng, 0.5)], HERE)


@pytest.mark.parametrize(("moved", "passes"), [(0, True), (1, True), (9, False)])
def test_half_a_point_of_miou_fails_and_the_last_digits_do_not(moved: int, passes: bool, tmp_path: Path) -> None:
    now = [[900 - moved, 100 + moved, 0], *COUNTS[1:]]
    baseline = read_baseline(written(tmp_path / "then.json", record(counts=COUNTS)))
    before, after = record(counts=COUNTS).miou, record(counts=now).miou
    assert before is not None
    assert after is not None
    if passes:
        assert before - after < 0.001
        check_against(baseline, [record(counts=now)], HERE)
    else:
        assert 0.0045 < before - after < 0.0055
        with pytest.raises(AccuracyError, match=r"it was 0\.8788 in .*: down more than 0\.001") as raised:
            check_against(baseline, [record(counts=now)], HERE)
        assert raised.value.exit_code == 3


def test_accuracy_is_judged_first(tmp_path: Path) -> None:
    baseline = read_baseline(written(tmp_path / "then.json", record(counts=COUNTS)))
    worse = record(rounds_ms=((50, 50, 50),), counts=[[500, 500, 0], *COUNTS[1:]])
    with pytest.raises(AccuracyError):
        check_against(baseline, [worse], HERE)


def test_unlike_machines_are_not_compared(tmp_path: Path) -> None:
    baseline = read_baseline(written(tmp_path / "then.json", record()))
    with pytest.raises(UsageError, match=r"2 threads, this on .* 4 threads"):
        check_against(baseline, [record()], replace(HERE, threads=4))


@pytest.mark.parametrize("other", [record("b.onnx"), record(boundary="host"), record(batch=2)])
def test_unlike_rows_are_not_compared(other: Record, tmp_path: Path) -> None:
    baseline = read_baseline(written(tmp_path / "then.json", other))
    with pytest.raises(UsageError, match="has no row"):
        check_against(baseline, [record()], HERE)


def test_unlike_numbers_of_images_are_not_compared(tmp_path: Path) -> None:
    baseline = read_baseline(written(tmp_path / "then.json", replace(record(counts=COUNTS), images=6)))
    with pytest.raises(UsageError, match="5 images scored, 6 in"):
        check_against(baseline, [record(counts=COUNTS)], HERE)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"environment": {}}',
        '{"environment": {"cpu": "x", "cores": 2, "threads": 2}, "rows": [1]}',
        "[" * 100_000,
        "\udcff",
    ],
    ids=["empty", "list", "object", "no machine", "no row", "deep", "no text"],
)
def test_what_is_no_result_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "then.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"then\.json is not a result of cgnet-bench"):
        read_baseline(path)


@pytest.mark.parametrize("turns", [[], [0.0], [float("nan")], ["x"], None])
def test_times_that_are_none_are_refused(turns: object, tmp_path: Path) -> None:
    result = to_json([record()], HERE)
    result["rows"][0]["p50_ms_by_round"] = turns
    (path := tmp_path / "then.json").write_text(json.dumps(result))
    with pytest.raises(CgnetError, match="is not a result"):
        read_baseline(path)


def test_a_missing_baseline_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_baseline(tmp_path / "none.json")


def test_the_interval_covers_the_noise_of_both_sides() -> None:
    assert ratio_between([2.0] * 5, [1.0] * 5) == Ratio(2, 2, 2)
    steady, scattered = [1.0] * 10, [0.8, 0.9, 1.0, 1.1, 1.2] * 2
    for now, then in ((steady, scattered), (scattered, steady)):
        found = ratio_between(now, then)
        assert found.low < 0.95 < 1 < 1.05 < found.high
