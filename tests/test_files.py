"""Outputs that are no regular files: links stay, devices and FIFOs are written to, `-` is stdout."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from cgnet_deploy.errors import CgnetError, NoSpace, UserError
from cgnet_deploy.files import replacing, scratch, write_bytes, write_json, write_together
from cgnet_deploy.places import STDOUT, check_writable, real
from cgnet_deploy.terminal import show
from tests.disks import READ_ONLY, full_disk


@pytest.mark.parametrize("steps", [1, 3])
def test_a_link_stays_and_its_target_is_replaced(steps: int, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (target := tmp_path / "data" / "0.json").write_text("old")
    link = target
    for step in range(steps):
        (tmp_path / f"{step}.json").symlink_to(link)
        link = tmp_path / f"{step}.json"
    check_writable(link)
    write_json(link, {"a": 1})
    assert link.is_symlink()
    assert json.loads(target.read_text()) == {"a": 1}
    assert [path.name for path in target.parent.iterdir()] == ["0.json"]


def test_a_dangling_link_s_target_is_made(tmp_path: Path) -> None:
    (link := tmp_path / "a").symlink_to("b")
    write_bytes(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "b").read_bytes() == b"new"


def test_a_failed_write_through_a_link_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"old")
    (link := tmp_path / "a").symlink_to("b")

    def half() -> None:
        with replacing(link) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert link.read_bytes() == b"old"


@pytest.mark.parametrize("linked", [False, True])
def test_a_fifo_s_reader_gets_the_content(linked: bool, tmp_path: Path) -> None:
    os.mkfifo(fifo := tmp_path / "fifo")
    path = fifo
    if linked:
        (path := tmp_path / "link").symlink_to(fifo)
    content, read = b"x" * 200_000, []
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    check_writable(path)
    write_bytes(path, content)
    reader.join()
    assert read == [content]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.parametrize("linked", [False, True])
def test_a_device_stays_a_device(linked: bool, tmp_path: Path) -> None:
    """Renaming over it, as root, would replace /dev/null for the whole machine: a node of our own stands in."""
    path = Path("/dev/null")
    if os.geteuid() == 0:
        try:
            os.mknod(path := tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            path.write_bytes(b"")
        except OSError:
            path = Path("/dev/null")
    node = path
    if linked:
        (path := tmp_path / "link").symlink_to(node)
    check_writable(path)
    write_json(path, {"a": 1})
    assert stat.S_ISCHR(node.stat().st_mode)


def test_a_full_device_is_one_line() -> None:
    with pytest.raises(CgnetError, match="/dev/full can't be written: No space left on device"):
        write_bytes(Path("/dev/full"), b"x")


def test_files_that_belong_together_are_replaced_together(tmp_path: Path) -> None:
    """A page's network and its hash; a model and its configuration."""
    old, new = tmp_path / "a" / "old", tmp_path / "b" / "c" / "new"
    write_together({old: b"old"})
    with full_disk(5000), pytest.raises(NoSpace, match="new can't be written: File too large"):
        write_together({old: b"2", tmp_path / "first": b"1", new: bytes(5001)})
    assert old.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "old"]
    write_together({old: b"2", new: bytes(5001)})
    assert (old.read_bytes(), new.stat().st_size) == (b"2", 5001)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"old")
    with full_disk(5000), pytest.raises(NoSpace, match="a can't be written: File too large"):
        write_bytes(tmp_path / "a", bytes(5001))
    assert (tmp_path / "a").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_is_mounted_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by docker run -v report.json:/report.json, where a rename is refused."""

    def busy(*paths: Path) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    (mounted := tmp_path / "a.json").write_text("something longer than what comes")
    monkeypatch.setattr(os, "replace", busy)
    write_json(mounted, {"a": 1})
    assert json.loads(mounted.read_text()) == {"a": 1}
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("letter", ["x", "ö", "漢"])
def test_a_name_may_be_as_long_as_file_systems_allow(letter: str, tmp_path: Path) -> None:
    path = tmp_path / (letter * (255 // len(letter.encode())))
    check_writable(path)
    write_bytes(path, b"x")
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_no_place_for_temporary_files_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose root is read-only."""
    monkeypatch.setattr(tempfile, "tempdir", str(READ_ONLY))
    with pytest.raises(UserError, match=r"temporary files can't be written: .*; TMPDIR names"), scratch("x"):
        pass
    write_bytes(Path("/dev/null"), b"x")  # needs none


def test_a_full_place_for_temporary_files_is_one_line() -> None:
    with full_disk(5000), pytest.raises(NoSpace, match="File too large; TMPDIR names another"), scratch("x") as folder:
        (folder / "a").write_bytes(bytes(5001))
    assert not folder.exists()


def test_a_link_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (link := tmp_path / "a").symlink_to("missing/b")
    with pytest.raises(UserError, match="missing a folder that you may write to"):
        check_writable(link)


def test_a_current_folder_that_is_gone_is_no_circle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where another process has removed a job's folder."""
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for use in (real, lambda path: write_bytes(path, b"x")):
        with pytest.raises(UserError, match="a: the current folder is gone"):
            use(Path("a"))


@pytest.mark.parametrize("targets", [("a",), ("b", "a")])
def test_links_in_a_circle_are_one_line(targets: tuple[str, ...], tmp_path: Path) -> None:
    for name, target in zip(("a", "b"), targets, strict=False):
        (tmp_path / name).symlink_to(tmp_path / target)
    for use in (check_writable, lambda path: write_bytes(path, b"x")):
        with pytest.raises(UserError, match="a is a link that leads in a circle"):
            use(tmp_path / "a")


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("redirected", [False, True])
def test_stdout_by_any_name(name: str, redirected: bool, tmp_path: Path) -> None:
    code = "from pathlib import Path; from cgnet_deploy import files, places; p = Path({!r}); "
    code += "places.check_writable(p); files.write_bytes(p, b'x')"
    with (tmp_path / "out").open("wb") as file:
        out = file if redirected else subprocess.PIPE
        command = [sys.executable, "-c", code.format(name)]
        run = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, cwd=tmp_path, check=False)
    assert run.stderr == b""
    assert ((tmp_path / "out").read_bytes() if redirected else run.stdout) == b"x"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_result_makes_room_for_an_output_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    show("result", None, Path("a.json"))
    show("table", STDOUT)
    write_json(STDOUT, {"a": 1})
    shown = capsys.readouterr()
    assert (shown.out.split("\n", 1)[0], shown.err) == ("result", "table\n")
    assert json.loads(shown.out.split("\n", 1)[1]) == {"a": 1}
