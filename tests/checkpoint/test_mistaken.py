"""What people give in place of a checkpoint is named, and what the message advises works as it stands."""

from __future__ import annotations

import bz2
import io
import lzma
import os
import shlex
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from torch.distributed import checkpoint as distributed

from cgnet_deploy.checkpoint.reading import read_network
from cgnet_deploy.errors import CheckpointError
from tests.files import saved
from tests.networks import drawn

NETWORK = drawn(11)
STATE = NETWORK.state_dict()


def tarred(content: bytes) -> bytes:
    with tarfile.open(fileobj=(stream := io.BytesIO()), mode="w") as archive:
        (info := tarfile.TarInfo("a.pth")).size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def zipped(content: bytes, compression: int) -> bytes:
    with zipfile.ZipFile(stream := io.BytesIO(), "w", compression) as archive:
        archive.writestr("run 3/best.pth", content)
        archive.writestr("__MACOSX/run 3/._best.pth", b"x")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.pth", b"\n  <html>quota", "it is a web page"),
        ("a.pth", b"\xef\xbb\xbf<!DOCTYPE html>", "it is a web page"),
        ("a.pth", b'{"message": "Not Found"}', "it is JSON: was an error saved in place of the download?"),
        ("a.pth", b"404: Not Found\n", "it is a text that begins with '404: Not Found'"),
        ("a.pth", bz2.compress(b"x"), "bzip2: unpack it first"),
        ("a.pth", lzma.compress(b"x"), "xz: unpack it first"),
        ("a.pth", tarred(b"x"), "a tar archive: unpack it first"),
        ("a.pth", zipped(b"x", zipfile.ZIP_STORED), "is a zip around run 3/best.pth: unpack it first"),
        ("a.pth", zipped(b"x", zipfile.ZIP_DEFLATED), "is a zip around run 3/best.pth: unpack it first"),
        ("a.onnx", b"\x08\x08:\xcd", "it is an ONNX file: it is exported already"),
        ("a.pth", bytes(100), "it begins with b'\\x00"),
    ],
    ids=["page", "BOM", "JSON", "text", "bz2", "xz", "tar", "zip", "deflated", "onnx", "zeros"],
)
def test_what_is_there_in_place_of_a_checkpoint_is_named(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (path := tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_network(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_network(path)
    return str(caught.value)


def assert_is_the_network(path: Path) -> None:
    assert torch.equal(read_network(path).model.classifier.weight, NETWORK.classifier.weight)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_advice_about_a_distributed_checkpoint_works(tmp_path: Path) -> None:
    distributed.state_dict_saver.save({"model": STATE}, checkpoint_id=tmp_path / "run 3", no_dist=True)
    said = refusal(tmp_path / "run 3")
    command = shlex.split(said[said.index("python -m torch.distributed") : said.index(" makes a file")])
    subprocess.run([sys.executable, *command[1:]], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert_is_the_network(tmp_path / "NEW.pth")


def test_the_advice_about_an_unpacked_checkpoint_works(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(saved({"model": STATE}))) as archive:
        archive.extractall(tmp_path)
        (folder,) = {Path(name).parts[0] for name in archive.namelist()}
    said = refusal(tmp_path / folder)
    assert f"is a checkpoint that was unpacked: zip -0 -r NEW.pth {folder}, in the folder around it" in said
    assert_is_the_network(packed(tmp_path / folder))


def packed(folder: Path) -> Path:
    """What `zip -0 -r NEW.pth FOLDER` does: every file as it is."""
    with zipfile.ZipFile(new := folder.parent / "NEW.pth", "w", zipfile.ZIP_STORED) as archive:
        for where, _, names in os.walk(folder):
            for name in names:
                archive.write(Path(where, name), Path(where, name).relative_to(folder.parent))
    return new


@pytest.mark.parametrize("root", ["run 3/", ""])
def test_the_advice_about_a_checkpoint_that_was_packed_again_works(root: str, tmp_path: Path) -> None:
    """As by a file manager: compressed, or without the folder."""
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(io.BytesIO(saved({"model": STATE}))) as good, zipfile.ZipFile(path, "w", 8) as bad:
        for name in good.namelist():
            bad.writestr(root + name.partition("/")[2], good.read(name))
    assert "unpack it, and zip -0 -r NEW.pth FOLDER packs the folder around its data.pkl" in refusal(path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
    (pickled,) = (tmp_path / "unpacked").rglob("data.pkl")
    assert_is_the_network(packed(pickled.parent))


def test_the_files_in_a_folder_are_named(tmp_path: Path) -> None:
    assert refusal(tmp_path).endswith("is a folder; wanted a file")
    (file := tmp_path / "global_step10" / "mp_rank_00_model_states.pt").parent.mkdir()
    file.write_bytes(saved({"module": STATE}))
    (tmp_path / "latest").write_text("global_step10")
    assert refusal(tmp_path).endswith(f"is a folder; wanted a file in it, such as {file}")
    assert_is_the_network(file)
    (tmp_path / "zero_to_fp32.py").touch()
    assert f"is a folder of DeepSpeed: python {tmp_path / 'zero_to_fp32.py'} {tmp_path} NEW" in refusal(tmp_path)
