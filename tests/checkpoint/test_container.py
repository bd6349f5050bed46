"""Files of named tensors: what is read, and that hostile bytes only ever give a CheckpointError."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import pickle
import struct
import sys
import types
import warnings
import zipfile
from collections import defaultdict
from datetime import datetime
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cgnet_deploy.checkpoint.container import read_container, short_notes
from cgnet_deploy.checkpoint.reading import read_network
from cgnet_deploy.checkpoint.unparsed import MAX_BYTES
from cgnet_deploy.errors import CheckpointError
from tests.files import Hostile, saved
from tests.networks import drawn

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def read(folder: Path, data: bytes) -> dict[str, torch.Tensor]:
    path = folder / "file.pth"
    path.write_bytes(data)
    return dict(read_container(path).weights.tensors)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
def test_torch_files_are_read_bare_or_wrapped(tmp_path: Path, zipped: bool, wrapper: str | None) -> None:
    content = {wrapper: WEIGHTS, "optimizer": {"lr": 1e-3}} if wrapper else WEIGHTS
    tensors = read(tmp_path, saved(content, zipped=zipped))
    assert list(tensors) == list(WEIGHTS)
    assert all(torch.equal(tensors[key], WEIGHTS[key]) for key in WEIGHTS)


def test_safetensors_are_read(tmp_path: Path) -> None:
    assert torch.equal(read(tmp_path, safetensors.torch.save(WEIGHTS))["a.weight"], WEIGHTS["a.weight"])


def test_tensors_of_a_gpu_come_to_the_cpu(tmp_path: Path) -> None:
    """The older format spells each storage's device out, so a file of a GPU can be made without one."""
    data = saved(WEIGHTS, zipped=False)
    of_gpu = data.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    assert of_gpu != data
    assert torch.equal(read(tmp_path, of_gpu)["a.weight"], WEIGHTS["a.weight"])


def test_the_log_of_a_training_run_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mmengine's HistoryBuffer pickles numpy arrays, numpy scalars and its own methods, by getattr."""

    class HistoryBuffer:
        def __init__(self) -> None:
            self.history = np.arange(3.0)
            self.statistics = {"last": HistoryBuffer.last, "best": np.float64(0.5)}

        def last(self) -> float:
            raise AssertionError("code of the file ran")

        def __setstate__(self, state: object) -> None:
            raise AssertionError("code of the file ran")

    module = types.ModuleType("mmengine.logging.history_buffer")
    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = module.__name__, "HistoryBuffer"
    HistoryBuffer.last.__module__, HistoryBuffer.last.__qualname__ = module.__name__, "HistoryBuffer.last"
    module.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    for name in ("mmengine", "mmengine.logging", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    data = saved({"state_dict": WEIGHTS, "meta": {"iter": 60_000}, "message_hub": {"loss": HistoryBuffer()}})
    assert b"getattr" in data
    path = tmp_path / "iter_60000.pth"
    path.write_bytes(data)
    contents = read_container(path)
    assert torch.equal(contents.weights.tensors["a.weight"], WEIGHTS["a.weight"])
    assert contents.notes == {"iter": "60000"}


def test_getattr_of_a_file_reaches_nothing(tmp_path: Path) -> None:
    """The name is let through for the training log; what it stands for is not the builtin."""
    tensors = read(tmp_path, saved({"model": {"x": Hostile(getattr, torch.Tensor, "shape")}}))
    assert type(tensors["x"]).__name__ == "Inert"


def test_a_file_over_the_bound_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.pth"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(CheckpointError, match="larger than 256 MiB"):
        read_container(path)


def test_a_folder_and_a_missing_file_get_different_messages(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a folder; wanted a file"):
        read_container(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        read_container(tmp_path / "missing.pth")


def test_notes_keep_only_short_texts_and_integers() -> None:
    notes = {"epoch": 3, "note": "x", "long": "x" * 257, "lines": "a\nb", "flag": True, 5: "five", "lr": 0.1}
    assert short_notes(notes) == {"epoch": "3", "note": "x"}
    assert len(short_notes({f"note {i}": i for i in range(1000)})) == 64


FILES = {
    "zip": saved({"model": WEIGHTS}),
    "pickle": saved({"model": WEIGHTS}, zipped=False),
    "safetensors": safetensors.torch.save(WEIGHTS, metadata={"cgnet": "{}"}),
}


@settings(max_examples=150)
@given(data=st.data(), kind=st.sampled_from(sorted(FILES)))
def test_damage_gives_a_checkpoint_error_or_does_no_harm(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    damaged = bytearray(FILES[kind])
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    with contextlib.suppress(CheckpointError):
        read(tmp_path_factory.mktemp("damaged"), bytes(damaged[: cut or None]))


def advised(path: Path) -> Path:
    """Follow the advice of the refusal, as a user who trusts the file would."""
    with pytest.raises(CheckpointError) as caught:
        read_container(path)
    code = str(caught.value)[str(caught.value).index("torch.save(") :]
    new = path.with_name("new.pth")
    exec(code, {"torch": torch, "pickle": pickle, "OLD": path, "NEW": new})
    return new


NETWORK = drawn(11)


class Settings(dict[str, object]):
    """What many projects derive from dict, under names that don't say it."""

    def __init__(self, **values: object) -> None:
        super().__init__(**values)
        self.__dict__ = self


class Losses(list[float]): ...


@pytest.mark.parametrize(
    "content",
    [
        NETWORK,
        {"model": NETWORK, "epoch": 3},
        {"ema": NETWORK, "args": argparse.Namespace(lr=1)},
        {"args": argparse.Namespace(lr=1), "model": NETWORK.state_dict()},
        {"config": argparse.Namespace(lr=1), "weights": {"module." + k: v for k, v in NETWORK.state_dict().items()}},
        {"state_dict": NETWORK.state_dict(), "path": PurePosixPath("a")},
        NETWORK.state_dict() | {"args": argparse.Namespace(lr=1)},
        {"log": defaultdict(list, loss=[0.5]), "net": NETWORK.state_dict()},
        defaultdict(dict, weights=NETWORK.state_dict()),
        {"cfg": Settings(lr=1), "log": Losses([0.5, 0.4]), "when": datetime.now(), "model": NETWORK.state_dict()},
        Settings(model=NETWORK.state_dict()),
    ],
    ids=[
        *("module", "model", "ema", "args", "prefix", "path", "flat", "defaultdict", "in a defaultdict"),
        *("dictionary and list of a project", "in a dictionary of a project"),
    ],
)
def test_the_advice_about_a_refused_pickle_works(content: object, tmp_path: Path) -> None:
    (path := tmp_path / "old.pth").write_bytes(saved(content))
    loaded = read_network(advised(path)).model
    assert torch.equal(loaded.classifier.weight, NETWORK.classifier.weight)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_the_advice_about_newer_pickles_works(protocol: int, zipped: bool, tmp_path: Path) -> None:
    old = tmp_path / "old.pth"
    torch.save(NETWORK.state_dict(), old, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_network(advised(old)).model.classifier.weight, NETWORK.classifier.weight)


@pytest.mark.parametrize("protocol", [2, 5])
def test_the_advice_about_a_pickle_that_is_not_torch_s_works(protocol: int, tmp_path: Path) -> None:
    (old := tmp_path / "old.pkl").write_bytes(pickle.dumps(NETWORK.state_dict(), protocol))
    assert torch.equal(read_network(advised(old)).model.classifier.weight, NETWORK.classifier.weight)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        (b"<!DOCTYPE html><title>Virus scan warning</title>", "web page"),
        (gzip.compress(b"x"), "gzip: unpack it first"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
    ],
    ids=["LFS", "page", "gzip", "HDF5"],  # gzip writes the time
)
def test_what_is_there_in_place_of_a_checkpoint_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    (path := tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=words):
        read_container(path)


def test_arrays_of_numpy_are_no_tensors(tmp_path: Path) -> None:
    arrays = {key: tensor.numpy() for key, tensor in NETWORK.state_dict().items()}
    (path := tmp_path / "a.pth").write_bytes(saved(arrays))
    with pytest.raises(CheckpointError, match=r"not a dense tensor; NumPy's arrays .* torch.from_numpy"):
        read_network(path)


def test_torchscript_is_called_so_and_its_advice_works(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and people have it
        traced = torch.jit.trace(NETWORK, torch.zeros(1, 3, 32, 32))  # type: ignore[no-untyped-call]
        torch.jit.save(traced, path := tmp_path / "old.pt")
        assert torch.equal(read_network(advised(path)).model.classifier.weight, NETWORK.classifier.weight)


def test_an_exported_program_is_called_so_and_its_advice_works(tmp_path: Path) -> None:
    """It holds sample_inputs/model.pt, which is no checkpoint."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(NETWORK.eval(), (torch.zeros(1, 3, 32, 32),)), path := tmp_path / "a.pt2")
    assert torch.equal(read_network(advised(path)).model.classifier.weight, NETWORK.classifier.weight)


@pytest.mark.parametrize("name", ["a.npy", "word/document.xml"])
def test_another_zip_is_called_so(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(path := tmp_path / "a.pth", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(CheckpointError, match=r"is a zip without a data\.pkl"):
        read_container(path)


@pytest.mark.parametrize("elements", [2**31 - 1, -1])
def test_a_storage_larger_than_its_file_is_refused_before_it_is_allocated(elements: int, tmp_path: Path) -> None:
    whole = saved({"x": torch.zeros(1000)}, zipped=False)
    number = b"M" + struct.pack("<H", 1000)
    assert whole.count(number) == 2  # of the storage's elements, and of the tensor's
    content = whole.replace(number, b"J" + struct.pack("<i", elements), 1)
    with pytest.raises(
        CheckpointError, match=rf"is damaged: it has {len(content)} bytes, and names {elements} weights"
    ):
        read(tmp_path, content)
