from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, external_data_helper, helper, numpy_helper

from cgnet_deploy.artifact import IO, Artifact, sidecar_path
from cgnet_deploy.engines import onnxfile
from cgnet_deploy.engines.backends import BY_NAME, Backend
from cgnet_deploy.engines.onnxfile import read_onnx
from cgnet_deploy.engines.open import backend_and_path, open_engine
from cgnet_deploy.engines.request import Hints, Request
from cgnet_deploy.errors import ArtifactError, UsageError
from cgnet_deploy.onnxmeta import read_metadata, with_metadata
from cgnet_deploy.spec import Precision, Res
from tests.engines.graphs import CLASSES, SPEC, drawn_frames, logits_of, model, network, tensor, written


@pytest.mark.parametrize(
    ("ref", "backend", "path"),
    [
        ("a.pth", "torch", "a.pth"),
        ("a.pt", "torch", "a.pt"),
        ("some/a.ONNX", "ort", "some/a.ONNX"),
        ("a.plan", "trt", "a.plan"),
        ("a.engine", "trt", "a.engine"),
        ("openvino-bf16:a.onnx", "openvino-bf16", "a.onnx"),
        ("ort-cuda:/tmp/a:b.onnx", "ort-cuda", "/tmp/a:b.onnx"),
        ("./odd:name.onnx", "ort", "./odd:name.onnx"),
        ("torch:weights", "torch", "weights"),
    ],
)
def test_the_prefix_chooses_the_backend_else_the_suffix(ref: str, backend: str, path: str) -> None:
    assert backend_and_path(ref) == (BY_NAME[backend], Path(path))


@pytest.mark.parametrize(
    ("ref", "hint"),
    [
        ("opnvino:a.onnx", "no backend is called 'opnvino'; did you mean openvino?"),
        ("zzz:a.onnx", "there are: " + ", ".join(BY_NAME)),
        ("a.onxn", "cannot infer a backend from the suffix '.onxn'; did you mean .onnx?"),
        ("README", "there are: .pth, .pt, .onnx, .plan, .engine"),
        ("a.onnx.json", "the suffix '.json'"),
    ],
)
def test_an_unknown_backend_or_suffix_is_refused_with_a_hint(ref: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_engine(ref)
    assert hint in str(caught.value)


@pytest.mark.parametrize("ref", ["no.onnx", "no.plan", "openvino:no.onnx"])
def test_a_missing_file_is_named(ref: str, tmp_path: Path) -> None:
    backend, _, name = ref.rpartition(":")
    with pytest.raises(ArtifactError, match=r"no\.\w+ does not exist"):
        open_engine(f"{backend}{':' if backend else ''}{tmp_path / name}")


def test_sizes_narrow_what_a_file_leaves_open() -> None:
    assert Request(Path("a"), shape=(2, 32, None)).shape_within((None, None, None)) == (2, 32, None)
    assert Request(Path("a"), shape=(None, 40, None)).shape_within((1, 40, 56)) == (1, 40, 56)
    with pytest.raises(UsageError, match="a takes N=1 W=56, any H, not W=64; export it again"):
        Request(Path("a"), shape=(None, None, 64)).shape_within((1, None, 56))


def test_sizes_that_a_file_does_not_take_are_refused_when_it_is_opened(fixed_onnx: Artifact) -> None:
    path = str(fixed_onnx.path)
    with open_engine(fixed_onnx.path, res="40x56", batch=1) as engine:
        assert engine.info.shape == (1, 40, 56)
    with pytest.raises(UsageError, match="takes N=1 H=40 W=56, not H=64 W=64"):
        open_engine(path, res=Res(64, 64))
    with pytest.raises(UsageError, match="takes N=1 H=40 W=56, not N=2"):
        open_engine(path, batch=2)


def test_one_of_ours_has_its_spec_and_precision_from_the_sidecar(tmp_path: Path) -> None:
    file = read_onnx(Request(written(tmp_path / "half.onnx", "tensor", (1, 40, 56), half=True).path))
    assert (file.spec, file.precision, file.ends.takes, file.shape) == (SPEC, Precision.F16, "tensor", (1, 40, 56))


def test_one_of_ours_is_not_run_by_another_contract(fixed_onnx: Artifact) -> None:
    with pytest.raises(UsageError, match="made for the input contract custom, not camvid-official"):
        open_engine(str(fixed_onnx.path), contract="camvid-official")


def test_one_of_ours_that_was_cut_is_refused(fixed_onnx: Artifact) -> None:
    fixed_onnx.path.write_bytes(fixed_onnx.path.read_bytes()[:-9])
    with pytest.raises(ArtifactError, match="sha256 differs"):
        open_engine(str(fixed_onnx.path))


def test_one_of_ours_that_another_tool_rewrote_runs_and_says_so(
    fixed_onnx: Artifact, caplog: pytest.LogCaptureFixture
) -> None:
    model = onnx.load(fixed_onnx.path)
    model.producer_name = "another tool"
    onnx.save(model, fixed_onnx.path)
    frames = drawn_frames(1, 40, 56)
    with open_engine(str(fixed_onnx.path)) as engine:
        np.testing.assert_array_equal(engine.infer(frames), logits_of(frames).argmax(1))
        assert engine.info.sha256 == hashlib.sha256(fixed_onnx.path.read_bytes()).hexdigest()
    assert "tiny.onnx was changed after tiny.onnx.json was written (sha256 differs)" in caplog.text


def test_a_rewritten_file_that_takes_something_else_is_refused(fixed_onnx: Artifact) -> None:
    model = onnx.load(fixed_onnx.path)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 48
    onnx.save(model, fixed_onnx.path)
    with pytest.raises(ArtifactError, match="is not what its metadata say"):
        open_engine(str(fixed_onnx.path))


def test_a_plan_under_an_onnx_name_is_refused(fixed_onnx: Artifact) -> None:
    sidecar = sidecar_path(fixed_onnx.path)
    sidecar.write_text(sidecar.read_text().replace('"kind": "onnx"', '"kind": "plan"'))
    with pytest.raises(ArtifactError, match="is a plan, wanted an ONNX file"):
        open_engine(str(fixed_onnx.path))


def foreign(path: Path, classes: int = 11, change: Callable[[ModelProto], object] = lambda _: None) -> Path:
    """A file such as torch's exporter writes: a tensor to logits, no sidecar. `change` alters it."""
    weights = {"weights": np.zeros((classes, 3, 1, 1), np.float32)}
    graph = model(
        [helper.make_node("Conv", ["planes", "weights"], ["logits"])],
        [tensor("planes", "FLOAT", 1, 3, 40, 56)],
        [tensor("logits", "FLOAT", 1, classes, 40, 56)],
        weights,
    )
    change(graph)
    path.write_bytes(graph.SerializeToString())
    return path


@pytest.mark.parametrize(("classes", "contract"), [(11, "camvid-official"), (19, "cityscapes-official")])
def test_a_file_from_outside_gets_the_contract_of_its_class_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, classes: int, contract: str
) -> None:
    caplog.set_level(logging.INFO, logger="cgnet_deploy")
    file = read_onnx(Request(foreign(tmp_path / "a.onnx", classes)))
    assert (file.spec.classes, file.ends.takes, file.shape, file.precision) == (
        classes,
        "tensor",
        (1, 40, 56),
        Precision.F32,
    )
    assert f"input contract {contract}, from its {classes} classes" in caplog.text
    assert file.assumed == (
        f"class names, from their number, {classes}",
        f"input contract {contract}, from its {classes} classes",
    )
    caplog.clear()
    with open_engine(str(tmp_path / "a.onnx"), contract=contract) as engine:
        assert engine.info.spec == file.spec
        assert engine.infer(drawn_frames(1, 40, 56)).shape == (1, 40, 56)
    assert not caplog.messages  # a contract that was asked for goes without saying


def test_a_class_count_without_a_contract_asks_for_one(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.onnx", 7)
    with pytest.raises(
        UsageError, match=r"for 7 classes; choose one with --contract .*, or give --mean and --std and --color"
    ):
        read_onnx(Request(path))
    assert read_onnx(Request(path, hints=Hints("cityscapes-mmseg"))).spec.classes == 7


def test_the_precision_of_a_file_from_outside_is_that_of_its_convolutions(tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    path.write_bytes(network("tensor", (1, 40, 56), half=True).SerializeToString())
    assert read_onnx(Request(path, hints=Hints("camvid-official"))).precision is Precision.F16


def _wide_input(graph: ModelProto) -> None:
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4


def _two_outputs(graph: ModelProto) -> None:
    graph.graph.output.append(tensor("planes", "FLOAT", 1, 3, 40, 56))


def _half_input(graph: ModelProto) -> None:
    graph.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16


def _open_classes(graph: ModelProto) -> None:
    graph.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "K"


def _weights_elsewhere(graph: ModelProto) -> None:
    weights = graph.graph.initializer[0]
    external_data_helper.set_external_data(weights, location="weights.bin")
    weights.data_location = TensorProto.EXTERNAL
    weights.ClearField("raw_data")


def _constant_elsewhere(graph: ModelProto) -> None:
    constant = numpy_helper.from_array(np.zeros(1, np.float32))
    external_data_helper.set_external_data(constant, location="weights.bin")
    constant.data_location = TensorProto.EXTERNAL
    graph.graph.node.append(helper.make_node("Constant", [], ["unused"], value=constant))


def _no_such_operator(graph: ModelProto) -> None:
    graph.graph.node[0].op_type = "Convolve"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_wide_input, r"takes \(1, 4, 40, 56\) float32; wanted \(N, 3, H, W\) float32 or \(N, H, W, 3\) uint8"),
        (_half_input, r"takes \(1, 3, 40, 56\) float16; wanted"),
        (_two_outputs, "1 inputs and 2 outputs, wanted 1 and 1"),
        (_weights_elsewhere, "keeps weights in other files, which is refused"),
        (_constant_elsewhere, "keeps weights in other files, which is refused"),
        (_no_such_operator, "is not a valid ONNX file: .*Convolve"),
    ],
)
def test_a_file_from_outside_that_is_no_segmentation_network_is_refused(
    tmp_path: Path, change: Callable[[ModelProto], object], reason: str
) -> None:
    with pytest.raises(ArtifactError, match=reason) as caught:
        read_onnx(Request(foreign(tmp_path / "a.onnx", change=change)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", np.random.default_rng(0).bytes(5000), b"\x08\x09" * 9], ids=["empty", "random", "two bytes"]
)
def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="is not a valid ONNX file: "):
        read_onnx(Request(path))


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.onnx")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match="is not a valid ONNX file: "):
        read_onnx(Request(path))


def test_scores_of_an_open_number_of_classes_ask_for_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.onnx doesn't say how many classes it has: give --names FILE"):
        read_onnx(Request(foreign(tmp_path / "a.onnx", change=_open_classes)))


def test_labels_of_unnamed_classes_ask_for_names(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(network("frames", (1, 40, 56)).SerializeToString())
    with pytest.raises(UsageError, match=r"a\.onnx doesn't say how many classes it has: give --names FILE"):
        read_onnx(Request(path))


def test_a_huge_file_is_not_read(fixed_onnx: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxfile, "MAX_ONNX_BYTES", fixed_onnx.path.stat().st_size - 1)
    with pytest.raises(ArtifactError, match="is larger than"):
        read_onnx(Request(fixed_onnx.path))


@pytest.mark.shared
def test_the_exporters_graph_agrees_in_every_backend(shared: Path) -> None:
    """The official network three times: as a checkpoint, and as torch's exporter wrote it, in two runtimes."""
    graph = shared / "peers" / "exporter_graph_camvid_360x480.onnx"
    frames = drawn_frames(1, 360, 480)
    labels = []
    for ref in (f"{shared}/checkpoints/cgnet_camvid_official.pth", f"ort:{graph}", f"openvino:{graph}"):
        with open_engine(ref, threads=1) as engine:
            labels.append(engine.infer(frames))
    assert len(np.unique(labels[0])) >= CLASSES
    for other in labels[1:]:
        # f32 sums in another order: 2 to 3 labels of 40 million differ on real frames
        assert (other != labels[0]).mean() < 1e-4


@pytest.mark.parametrize(
    ("io", "change"),
    [
        ("frames", {"shape": [1, 40, 64]}),
        ("frames", {"shape": [None, 40, 56]}),
        ("frames", {"io": "tensor"}),
        ("tensor", {"io": "frames"}),
        ("tensor", {"spec": replace(SPEC, class_names=("a", "b"), palette=SPEC.palette[:2]).to_json()}),
    ],
)
def test_metadata_that_contradict_the_graph_are_refused(tmp_path: Path, io: IO, change: dict[str, Any]) -> None:
    path = written(tmp_path / "a.onnx", io, (1, 40, 56)).path
    sidecar_path(path).unlink()
    with open_engine(path) as engine:
        assert engine.info.spec == SPEC
    text = json.dumps(json.loads(read_metadata(path.read_bytes())["cgnet"]) | change)
    path.write_bytes(with_metadata(path.read_bytes(), {"cgnet": text}))
    with pytest.raises(ArtifactError, match=r"a\.onnx is not what its metadata say, ") as caught:
        open_engine(path)
    assert "\n" not in str(caught.value)


def test_an_open_file_without_its_sidecar_opens(tmp_path: Path) -> None:
    for io in ("frames", "tensor"):
        path = written(tmp_path / f"{io}.onnx", io, (None, None, None)).path
        sidecar_path(path).unlink()
        with open_engine(path, res="40x56") as engine:
            assert engine.infer(drawn_frames(2, 40, 56)).shape == (2, 40, 56)


@pytest.mark.parametrize("backend", ["ort", "openvino", "opencv"])
def test_a_quota_bounds_the_threads_that_a_runtime_takes(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "a.onnx", "frames", (1, 32, 48))
    taken: list[int | None] = []

    monkeypatch.setattr("cgnet_deploy.engines.open.quota", lambda: 3)
    monkeypatch.setattr(Backend, "open", lambda self, request: taken.append(request.threads))
    for threads in (None, 5):
        open_engine(f"{backend}:{tmp_path / 'a.onnx'}", threads=threads)
    assert taken == [3, 5]


def test_a_quota_bounds_the_threads_of_what_is_run_to_verify_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ort = pytest.importorskip("onnxruntime")
    from cgnet_deploy.engines.ort import session_options

    assert session_options(ort).intra_op_num_threads == 0
    monkeypatch.setattr("cgnet_deploy.engines.ort.quota", lambda: 1)
    assert session_options(ort).intra_op_num_threads == 1
