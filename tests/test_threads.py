"""How many threads fit into a container's share of the CPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cgnet_deploy import threads
from cgnet_deploy.threads import cores, in_threads, quota

ALL = set(range(16))


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: ALL)


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


V1 = "12:pids:/\n4:cpu,cpuacct:/docker/ab\n3:cpuset:/docker/ab\n0::/\n"


SHARES: list[tuple[dict[str, str], int]] = [
    ({}, 16),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 16),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "350000 100000\n"}, 3),
    # systemd: the slice around the service is the one with a limit
    ({"proc/self/cgroup": "0::/a.slice/b.service\n", "sys/fs/cgroup/a.slice/cpu.max": "200000 100000\n"}, 2),
    ({"proc/self/cgroup": "0::/host/path\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
    (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu,cpuacct/docker/ab/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/ab/cpu.cfs_period_us": "100000\n",
        },
        1,
    ),
    (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "50000\n",
        },
        5,
    ),
    (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        16,
    ),
    ({"proc/self/cgroup": "nonsense\n\n::\n", "sys/fs/cgroup/cpu.max": "\x00"}, 16),
]


@pytest.mark.parametrize(("files", "wanted"), SHARES)
def test_a_quota_bounds_the_threads(files: dict[str, str], wanted: int, tmp_path: Path) -> None:
    assert cores(written(tmp_path, files)) == wanted


def test_affinity_bounds_the_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}
    assert cores(written(tmp_path, files)) == 1


def test_work_in_threads_comes_in_order_and_ends_at_the_first_error() -> None:
    assert list(in_threads(lambda n: n * n, range(50))) == [n * n for n in range(50)]
    came: list[int] = []
    with pytest.raises(ZeroDivisionError):
        came.extend(in_threads(lambda n: 6 // (3 - n), range(50)))
    assert came == [2, 3, 6]


@pytest.mark.parametrize(("limit", "wanted"), [("max 100000", None), ("1600000 100000", None), ("150000 100000", 1)])
def test_runtimes_are_told_of_a_quota_only(limit: str, wanted: int | None, tmp_path: Path) -> None:
    assert quota(written(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": limit})) == wanted


def test_openmp_is_told_of_a_quota_unless_the_user_has_told_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "quota", lambda: 3)
    for own, wanted in ((None, "3"), ("5", "5")):
        with monkeypatch.context() as patch:
            patch.setenv("OMP_NUM_THREADS", own or "")
            if own is None:
                patch.delenv("OMP_NUM_THREADS")
            threads.heed_quota()
            assert os.environ["OMP_NUM_THREADS"] == wanted
