"""A file and its sidecar: written atomically, and every way in which they may not belong together."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cgnet_deploy.artifact import Artifact, read_artifact, sidecar_path, write_artifact
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.errors import ArtifactError, CgnetError, UserError
from cgnet_deploy.files import replacing, sha256_of
from cgnet_deploy.onnxmeta import read_metadata, with_metadata
from cgnet_deploy.spec import Precision

SPEC = model_spec("camvid-official", 11, (3, 21))


def written(path: Path, content: bytes = b"a plan", parent: Path | None = None, made_from: str = "ab" * 32) -> Artifact:
    return write_artifact(
        path,
        content,
        kind="plan",
        precision=Precision.F16,
        spec=SPEC,
        io="frames",
        shape=(1, None, None),
        parent_sha256=made_from,
        parent=parent,
        made_with={"tensorrt_rtx": "1.7"},
    )


def test_an_artifact_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "cgnet.plan"
    artifact = written(path)
    assert read_artifact(path) == artifact
    assert artifact.made_with["cgnet-deploy"]
    assert path.read_bytes() == b"a plan"
    assert {file.name for file in tmp_path.iterdir()} == {"cgnet.plan", "cgnet.plan.json"}


def test_a_file_has_the_permissions_of_other_new_files(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    written(tmp_path / "cgnet.plan")
    assert stat.S_IMODE((tmp_path / "cgnet.plan").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "cgnet.plan"
    path.write_bytes(b"old")

    def fill(temporary: Path) -> None:
        temporary.write_bytes(b"half of the n")
        raise OSError(28, "No space left on device")

    with pytest.raises(CgnetError, match="No space left"), replacing(path) as temporary:
        fill(temporary)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("cgnet.plan", b"old")]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no/cgnet\.plan can't be written: No such file or directory"):
        written(tmp_path / "no" / "cgnet.plan")


def test_a_file_of_one_run_and_a_sidecar_of_another_do_not_match(tmp_path: Path) -> None:
    # What a run that is killed between the two renames leaves.
    path = tmp_path / "cgnet.plan"
    written(path)
    path.write_bytes(b"another")
    with pytest.raises(ArtifactError, match="sha256 differs"):
        read_artifact(path)
    assert read_artifact(path, verify=False).kind == "plan"


def spoilt(**change: Any) -> Callable[[dict[str, Any]], str]:
    return lambda sidecar: json.dumps({**sidecar, **change})


SIDECARS: dict[str, tuple[Callable[[dict[str, Any]], str], str]] = {
    "no JSON": (lambda _: "{", "can't be read"),
    "too deep": (lambda _: "[" * 200_000, "can't be read"),
    "too large": (lambda _: " " * ((1 << 20) + 1), "larger than 1048576 bytes"),
    "a list": (lambda _: "[]", "not a sidecar of cgnet-deploy"),
    "empty": (lambda _: "{}", "not a sidecar of cgnet-deploy"),
    "a later schema": (spoilt(schema=2), "schema 2, wanted 1"),
    "another kind": (spoilt(kind="video"), "kind: 'video', wanted one of checkpoint"),
    "another precision": (spoilt(precision="f8"), "precision: 'f8', wanted one of f32"),
    "a shape of two": (spoilt(shape=[1, 2]), "shape: 2 items, wanted 3"),
    "no network": (spoilt(spec={}), "spec: no field"),
    "no tools": (spoilt(made_with=[]), "made_with: [], wanted dict"),
}


@pytest.mark.parametrize(("spoil", "message"), SIDECARS.values(), ids=SIDECARS)
def test_a_bad_sidecar_is_named(tmp_path: Path, spoil: Callable[[dict[str, Any]], str], message: str) -> None:
    path = tmp_path / "cgnet.plan"
    written(path)
    sidecar = sidecar_path(path)
    sidecar.write_text(spoil(json.loads(sidecar.read_text())), encoding="utf-8")
    with pytest.raises(ArtifactError) as caught:
        read_artifact(path)
    assert str(sidecar) in str(caught.value)
    assert message in str(caught.value)


def test_a_file_without_its_sidecar_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cgnet.plan"
    with pytest.raises(ArtifactError, match=r"cgnet\.plan does not exist"):
        read_artifact(path)
    path.write_bytes(b"a plan")
    with pytest.raises(ArtifactError, match=r"has no sidecar cgnet\.plan\.json"):
        read_artifact(path)
    with pytest.raises(ArtifactError, match="is not a file"):
        read_artifact(tmp_path)


def onnx_written(path: Path) -> Artifact:
    return write_artifact(
        path,
        b"\x08\x09",  # ir_version
        kind="onnx",
        precision=Precision.F32,
        spec=SPEC,
        io="tensor",
        shape=(1, None, None),
        parent_sha256="ab" * 32,
        made_with={"torch": "2"},
    )


def test_an_onnx_file_is_complete_without_its_sidecar(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    artifact = onnx_written(tmp_path / "cgnet.onnx")
    moved = (tmp_path / "cgnet.onnx").rename(tmp_path / "moved.onnx")
    caplog.set_level("INFO")
    assert read_artifact(moved) == replace(artifact, path=moved)
    assert "moved.onnx has no sidecar moved.onnx.json: its own metadata describe it" in caplog.text


def test_its_metadata_reads_well_in_a_viewer(tmp_path: Path) -> None:
    onnx_written(tmp_path / "cgnet.onnx")
    entries = read_metadata((tmp_path / "cgnet.onnx").read_bytes())
    assert entries["names"].startswith("0 Sky, 1 Building, ")
    assert entries["palette"].startswith("#808080, #800000, ")
    assert (entries["mean"], entries["std"]) == ("105.65775, 103.329834, 99.625404", "1.0, 1.0, 1.0")
    assert (entries["color"], entries["size"], entries["ignore label"]) == ("rgb", "H=360 W=480", "11")


def test_a_sidecar_that_contradicts_the_metadata_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cgnet.onnx"
    onnx_written(path)
    sidecar = sidecar_path(path)
    sidecar.write_text(sidecar.read_text().replace('"rgb"', '"bgr"'))
    with pytest.raises(ArtifactError, match=r"cgnet\.onnx\.json contradicts the metadata of cgnet\.onnx; export"):
        read_artifact(path)


METADATA = {name: case for name, case in SIDECARS.items() if name != "too large"}  # test_onnxmeta.py has that


@pytest.mark.parametrize(("spoil", "message"), METADATA.values(), ids=METADATA)
def test_bad_metadata_is_named(tmp_path: Path, spoil: Callable[[dict[str, Any]], str], message: str) -> None:
    path = tmp_path / "cgnet.onnx"
    onnx_written(path)
    sidecar_path(path).unlink()
    content = path.read_bytes()
    text = spoil(json.loads(read_metadata(content)["cgnet"]))
    path.write_bytes(with_metadata(content, {"cgnet": text}))
    with pytest.raises(ArtifactError, match=r"the metadata of .*cgnet\.onnx can't be read: ") as caught:
        read_artifact(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_link_is_described_by_its_target_s_sidecar(tmp_path: Path, steps: int) -> None:
    written(path := tmp_path / "v2.plan")
    (tmp_path / "elsewhere").mkdir()
    link = path
    for step in range(steps):
        (next_link := tmp_path / "elsewhere" / f"{step}.plan").symlink_to(link)
        link = next_link
    assert read_artifact(link).sha256 == read_artifact(path).sha256


def test_a_link_with_a_linked_sidecar_beside_it(tmp_path: Path) -> None:
    """As in a store that names its files by content."""
    written(path := tmp_path / "v2.plan")
    wanted = read_artifact(path).sha256
    sidecar = sidecar_path(path)
    path.rename(tmp_path / "blob-a")
    sidecar.rename(tmp_path / "blob-b")
    path.symlink_to("blob-a")
    sidecar.symlink_to("blob-b")
    assert read_artifact(path).sha256 == wanted


def test_an_artifact_written_through_a_link_leaves_the_link(tmp_path: Path) -> None:
    written(path := tmp_path / "v2.plan")
    (link := tmp_path / "cur.plan").symlink_to(path.name)
    written(link, b"another plan")
    assert link.is_symlink()
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([link.name, path.name, sidecar_path(path).name])
    assert read_artifact(link).sha256 == read_artifact(path).sha256


ROUNDS = 60  # without a lock, every third ends with a pair of two runs


def keep_writing(path: Path, turn: Any) -> None:
    for number in range(ROUNDS):
        turn.wait()
        written(path, f"{os.getpid()} {number}".encode())
        turn.wait()  # both are done: the pair is looked at
        turn.wait()


@pytest.mark.parametrize("other", ["cgnet.plan", "link.plan", "elsewhere/link.plan"])
def test_two_runs_that_write_to_one_name_at_once_leave_the_pair_of_one(other: str, tmp_path: Path) -> None:
    path = tmp_path / "cgnet.plan"
    written(path)
    if other != path.name:
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).symlink_to(path)
    fork = multiprocessing.get_context("fork")
    turn = fork.Barrier(3, timeout=60)
    writers = [fork.Process(target=keep_writing, args=(tmp_path / name, turn)) for name in (path.name, other)]
    for writer in writers:
        writer.start()
    for _ in range(ROUNDS):
        turn.wait()
        turn.wait()
        assert read_artifact(path).sha256 == sha256_of(path)
        turn.wait()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0


def test_what_was_made_from_a_file_that_is_no_longer_there_is_not_written(tmp_path: Path) -> None:
    source, plan = tmp_path / "cgnet.onnx", tmp_path / "cgnet.plan"
    source.write_bytes(b"one run's")
    old = written(plan, b"old", parent=source, made_from=sha256_of(source))
    with pytest.raises(CgnetError, match=r"cgnet.onnx was replaced, by another run"):
        written(plan, b"new", parent=source, made_from="cd" * 32)
    assert (plan.read_bytes(), read_artifact(plan)) == (b"old", old)
