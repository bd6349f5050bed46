"""The Triton model repository, parsed by Triton's own definitions and held to the ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from cgnet_deploy.artifact import IO, Shape
from cgnet_deploy.engines.backends import RUNTIMES
from cgnet_deploy.export.tritonserver import write_repository
from cgnet_deploy.spec import Res
from tests.engines.graphs import SPEC, written

onnxruntime = pytest.importorskip("onnxruntime")
text_format = pytest.importorskip("google.protobuf.text_format")
definitions = pytest.importorskip("tritonclient.grpc.model_config_pb2")  # Triton's own
DataType = definitions.DataType

OPEN: Shape = (None, 40, 56)
CASES: list[tuple[IO, Shape]] = [
    ("frames", OPEN),
    ("frames", (None, None, None)),
    ("frames", (2, 40, 56)),
    ("tensor", OPEN),
]
TYPES = {onnx.TensorProto.UINT8: DataType.TYPE_UINT8, onnx.TensorProto.FLOAT: DataType.TYPE_FP32}


def configs(folder: Path) -> dict[str, Any]:
    """What Triton reads; an unknown key or a wrong type would be an error here, as is a model without its file."""
    read = {}
    for home in folder.iterdir():
        config = text_format.Parse((home / "config.pbtxt").read_text(), definitions.ModelConfig())
        assert (home / "1" / config.default_model_filename).is_file()
        read[home.name.removeprefix("cgnet_")] = config
    return read


@pytest.mark.parametrize(("io", "shape"), CASES)
def test_names_types_and_dims_are_those_of_the_onnx_file(io: IO, shape: Shape, tmp_path: Path) -> None:
    file = written(tmp_path / "tiny.onnx", io, shape)
    (plan := tmp_path / "tiny.plan").write_bytes(b"a plan")
    write_repository(tmp_path / "models", file, plan, batch=8, res=Res(40, 56))
    graph = onnx.load(file.path).graph
    served = {runtime.triton.name for runtime in RUNTIMES if runtime.triton}
    assert set(configs(tmp_path / "models")) == served
    for name, config in configs(tmp_path / "models").items():
        assert (config.name, config.backend) == (f"cgnet_{name}", name)
        assert config.max_batch_size == (8 if shape[0] is None else 0)
        for told, real in ((config.input, graph.input), (config.output, graph.output)):
            (one,), (value,) = told, real
            dims = [side.dim_value if side.HasField("dim_value") else -1 for side in value.type.tensor_type.shape.dim]
            # Where Triton batches, the batch is no part of dims.
            assert list(one.dims) == (dims[1:] if config.max_batch_size else dims)
            assert (one.name, one.data_type) == (value.name, TYPES[value.type.tensor_type.elem_type])


def test_each_backend_finds_its_model_and_its_labels(tmp_path: Path) -> None:
    file = written(tmp_path / "tiny.onnx", "frames", OPEN)
    (plan := tmp_path / "tiny.plan").write_bytes(b"a plan")
    lines = write_repository(tmp_path / "models", file, plan, batch=8, res=Res(40, 56))
    assert len(lines) == 3
    kinds = {}
    for name, config in configs(tmp_path / "models").items():
        home = tmp_path / "models" / config.name
        content = (home / "1" / config.default_model_filename).read_bytes()
        assert content == (b"a plan" if name == "tensorrt" else file.path.read_bytes())
        assert (home / config.output[0].label_filename).read_text().splitlines() == list(SPEC.class_names)
        (group,) = config.instance_group
        kinds[name] = group.kind
    kind = definitions.ModelInstanceGroup.Kind
    assert kinds == {"onnxruntime": kind.KIND_AUTO, "openvino": kind.KIND_CPU, "tensorrt": kind.KIND_GPU}


def test_requests_that_wait_are_batched_up_to_what_the_model_takes(tmp_path: Path) -> None:
    file = written(tmp_path / "tiny.onnx", "frames", OPEN)
    write_repository(tmp_path / "models", file, None, batch=8, res=Res(40, 56))
    for config in configs(tmp_path / "models").values():
        assert list(config.dynamic_batching.preferred_batch_size) == [4, 8]
        assert 0 < config.dynamic_batching.max_queue_delay_microseconds < 10_000
    write_repository(tmp_path / "models", file, None, batch=1, res=Res(40, 56))
    assert not any(config.HasField("dynamic_batching") for config in configs(tmp_path / "models").values())


@pytest.mark.parametrize(("io", "shape"), CASES)
def test_the_first_inference_is_done_at_the_start_on_a_size_that_runs(io: IO, shape: Shape, tmp_path: Path) -> None:
    file = written(tmp_path / "tiny.onnx", io, shape)
    write_repository(tmp_path / "models", file, None, batch=8, res=Res(40, 56))
    config = configs(tmp_path / "models")["onnxruntime"]
    (warmup,) = config.model_warmup
    assert warmup.batch_size == 1
    fed = warmup.inputs[config.input[0].name]
    assert fed.zero_data
    dims = [1, *fed.dims] if config.max_batch_size else list(fed.dims)
    zeros = np.zeros(dims, np.uint8 if fed.data_type == DataType.TYPE_UINT8 else np.float32)
    session = onnxruntime.InferenceSession(file.path, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {config.input[0].name: zeros})
    assert result.shape[-2:] == (40, 56)


def test_without_a_plan_of_tensorrt_there_is_no_folder_that_ends_triton(tmp_path: Path) -> None:
    file = written(tmp_path / "tiny.onnx", "frames", OPEN)
    *_, line = write_repository(tmp_path / "models", file, None, batch=8, res=Res(40, 56))
    assert line.endswith("cgnet_tensorrt  is left out: its plan is built on the server, with --builder tensorrt")
    assert set(configs(tmp_path / "models")) == {"onnxruntime", "openvino"}
    (tmp_path / "models" / "cgnet_tensorrt").mkdir()
    *_, line = write_repository(tmp_path / "models", file, None, batch=8, res=Res(40, 56))
    assert line.endswith("; the one that is there is another export's: remove it")
