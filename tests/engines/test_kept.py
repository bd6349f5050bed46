"""What is kept for the next start: used where it can be trusted, made anew everywhere else, and never in the way."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cgnet_deploy.engines import kept
from cgnet_deploy.engines.kept import Kept, bound, cache_folder
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.spec import Res
from tests.engines.graphs import drawn_frames

pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

FOLDERS = {"ort": "onnxruntime", "openvino": "openvino"}
ENTRY = Kept.of("a runtime", "1.0", b"a file", "a setting")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cgnet-deploy"


def entries(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.rglob("*") if path.is_file()}


def test_what_is_written_is_read_and_nobody_else_may_look(home: Path) -> None:
    assert ENTRY.read() is None
    ENTRY.write(b"compiled")
    assert ENTRY.read() == b"compiled"
    path = home / "a runtime" / ENTRY.name
    assert [found.stat().st_mode & 0o777 for found in (path, path.parent)] == [0o600, 0o700]


def of_another(path: Path) -> None:
    other = replace(ENTRY, made_of="something else")
    other.write(b"compiled otherwise")
    os.replace(path.with_name(other.name), path)


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


SPOILS: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: os.truncate(path, 36),
    "empty": lambda path: os.truncate(path, 0),
    "flipped": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"D"),
    "of another file": of_another,
    "a link": link,
    "a FIFO": fifo,
    "a folder": folder,
    "writable by others": lambda path: path.chmod(0o602),
    "in a folder that others may write to": lambda path: path.parent.chmod(0o770),
    "too large": lambda path: os.truncate(path, kept.MAX_CACHE_BYTES + 1),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_what_is_damaged_or_may_be_somebody_elses_is_not_read(home: Path, spoil: Callable[[Path], object]) -> None:
    ENTRY.write(b"compiled")
    spoil(home / "a runtime" / ENTRY.name)
    assert ENTRY.read() is None


def test_what_belongs_to_somebody_else_is_neither_read_nor_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ENTRY.write(b"compiled")
    before = entries(home)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert ENTRY.read() is None
    ENTRY.write(b"compiled anew")
    assert entries(home) == before


@pytest.mark.parametrize(
    "other",
    [
        Kept.of("a runtime", "1.1", b"a file", "a setting"),
        Kept.of("a runtime", "1.0", b"another file", "a setting"),
        Kept.of("a runtime", "1.0", b"a file", "another setting"),
    ],
    ids=["version", "file", "setting"],
)
def test_another_version_file_or_setting_has_an_entry_of_its_own(other: Kept) -> None:
    assert other.name != ENTRY.name


def test_another_cpu_has_an_entry_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "cpu_flags", lambda: {"avx2", "avx512f"})
    assert Kept.of("a runtime", "1.0", b"a file", "a setting").name != ENTRY.name


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_where_nothing_can_be_kept_nothing_fails(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir(parents=True)
    (home / "a runtime").touch()
    ENTRY.write(b"compiled")
    assert ENTRY.read() is None
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    ENTRY.write(b"compiled")
    assert ENTRY.read() is None


def test_a_folder_is_bounded_by_age(tmp_path: Path) -> None:
    for age, name in enumerate(("newest", "new", "old", "oldest")):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / "link").symlink_to(tmp_path / "newest")
    bound(tmp_path, 250)
    assert {path.name for path in tmp_path.iterdir()} == {"newest", "new", "link"}
    bound(tmp_path / "none", 250)


def test_what_was_used_last_stays(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MAX_CACHE_BYTES", 2 * (kept.DIGEST_BYTES + 10))
    used, unused, new = (replace(ENTRY, made_of=name) for name in ("used", "unused", "new"))
    for entry in (used, unused):
        entry.write(bytes(10))
        os.utime(cache_folder(entry.runtime) / entry.name, (1000, 1000))
    assert used.read() is not None
    new.write(bytes(10))
    assert set(entries(home)) == {used.name, new.name}
    new.write(bytes(kept.MAX_CACHE_BYTES))  # more than all of it
    assert new.read() == bytes(10)


@pytest.mark.parametrize("backend", FOLDERS)
def test_a_second_start_uses_what_the_first_one_left(
    backend: str, frames_onnx: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = drawn_frames(1, 40, 56)
    with open_engine(f"{backend}:{frames_onnx}", cache=False) as engine:
        wanted, info = engine.infer(frames), engine.info
    assert entries(home) == {}
    with open_engine(f"{backend}:{frames_onnx}") as engine:
        np.testing.assert_array_equal(engine.infer(frames), wanted)
    (left,) = entries(home)
    assert (home / FOLDERS[backend] / left).is_file()
    monkeypatch.setattr(Kept, "write", lambda self, content: pytest.fail("compiled again"))
    with open_engine(f"{backend}:{frames_onnx}") as engine:
        np.testing.assert_array_equal(engine.infer(frames), wanted)
        assert engine.info == info


@pytest.mark.parametrize("backend", FOLDERS)
@pytest.mark.parametrize("nonsense", [b"", b"nonsense", bytes(4096)])
def test_what_the_runtime_refuses_is_made_anew(
    backend: str, nonsense: bytes, frames_onnx: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, ours, and yet of no use."""
    frames = drawn_frames(1, 40, 56)
    with open_engine(f"{backend}:{frames_onnx}") as engine:
        wanted = engine.infer(frames)
    before = entries(home)
    (name,) = before
    digest = hashlib.sha256(name.encode() + nonsense).digest()
    (home / FOLDERS[backend] / name).write_bytes(digest + nonsense)
    for _ in range(2):  # what was made anew is used
        with open_engine(f"{backend}:{frames_onnx}") as engine:
            np.testing.assert_array_equal(engine.infer(frames), wanted)
        monkeypatch.setattr(Kept, "write", lambda self, content: pytest.fail("compiled again"))
    assert entries(home).keys() == before.keys()


@pytest.mark.parametrize("backend", FOLDERS)
def test_an_engine_that_is_profiled_or_cannot_be_made_leaves_nothing(
    backend: str, frames_onnx: Path, tmp_path: Path, home: Path
) -> None:
    open_engine(f"{backend}:{frames_onnx}", profile=True).close()
    shutil.copy(frames_onnx, broken := tmp_path / "broken.onnx")
    broken.write_bytes(broken.read_bytes().replace(b"Conv", b"Conw"))
    with pytest.raises(Exception, match=r"can't run|not a valid"):
        open_engine(f"{backend}:{broken}", mean=(1, 2, 3), std=(1, 1, 1), color="rgb", names=None)
    assert entries(home) == {}


def test_sizes_that_openvino_compiles_for_are_kept_apart(frames_onnx: Path, home: Path) -> None:
    for res in (Res(40, 56), Res(48, 56), Res(40, 56)):
        with open_engine(f"openvino:{frames_onnx}", res=res) as engine:
            assert engine.infer(drawn_frames(1, *res)).shape == (1, *res)
    assert len(entries(home)) == 2


def test_a_temporary_folder_that_cannot_be_written_only_costs_the_cache(
    frames_onnx: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime writes what it has optimised to a file of its own."""
    monkeypatch.setattr("tempfile.tempdir", str(home / "missing"))
    with open_engine(f"ort:{frames_onnx}") as engine:
        assert engine.infer(drawn_frames(1, 40, 56)).shape == (1, 40, 56)
    assert entries(home) == {}
