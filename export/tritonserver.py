"""A model repository for Triton Inference Server: one exported network, served by each of its backends that run it.

    DIR/cgnet_onnxruntime/config.pbtxt, labels.txt, 1/model.onnx
    DIR/cgnet_openvino/config.pbtxt, labels.txt, 1/model.onnx
    DIR/cgnet_tensorrt/config.pbtxt, labels.txt, 1/model.plan   (only where TensorRT built the plan)

Triton ends at its start over a folder without a model, so a model without its file is not written.

Names, types and dims are read from the ONNX file, not repeated here. Triton batches requests that wait at the same
time where the file leaves the batch open; of a fixed batch every request is one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from cgnet_deploy.artifact import Artifact
from cgnet_deploy.engines.backends import RUNTIMES, Triton
from cgnet_deploy.export.graph import required
from cgnet_deploy.files import write_together
from cgnet_deploy.spec import Res

TYPES = {ir.DataType.UINT8: "TYPE_UINT8", ir.DataType.FLOAT: "TYPE_FP32", ir.DataType.FLOAT16: "TYPE_FP16"}
QUEUE_US = 2000  # how long a request may wait for others: well below the time of one frame


@dataclass(frozen=True, slots=True)
class Tensor:
    """dims: without the batch where that is Triton's, -1 where open."""

    name: str
    type: str
    dims: tuple[int, ...]


def write_repository(folder: Path, onnx: Artifact, plan: Path | None, *, batch: int, res: Res) -> list[str]:
    """Write the repository; what was written, a line each.

    plan: built by TensorRT of that ONNX file, None where there is none. batch: frames per inference at most, where
    the file leaves that open. res: what is fed at the start where the file leaves the size open.
    """
    model = ir.load(onnx.path)
    given, result = model.graph.inputs[0], model.graph.outputs[0]
    open_batch = onnx.shape[0] is None
    tensors = (_tensor(given, open_batch), _tensor(result, open_batch))
    labels = "".join(f"{name}\n" for name in onnx.spec.class_names)
    lines, files = [], {}
    for runtime in RUNTIMES:
        if runtime.triton is None:
            continue
        home, file = folder / f"cgnet_{runtime.triton.name}", f"model.{runtime.reads}"
        source = plan if runtime.reads == "plan" else onnx.path
        if source is None:
            stale = "; the one that is there is another export's: remove it" if home.exists() else ""
            lines.append(f"{home}  is left out: its plan is built on the server, with --builder tensorrt{stale}")
            continue
        config = pbtxt(home.name, runtime.triton, file, *tensors, batch=batch if open_batch else 0, res=res)
        files[home / "config.pbtxt"] = config.encode()
        files[home / "labels.txt"] = labels.encode()
        files[home / "1" / file] = source.read_bytes()
        lines.append(f"{home}  {tensors[0].name} {tensors[0].type} -> {tensors[1].name} {tensors[1].type}")
    write_together(files)
    return lines


def pbtxt(name: str, served: Triton, file: str, source: Tensor, result: Tensor, *, batch: int, res: Res) -> str:
    """The text of a config.pbtxt. batch: 0 where a request is a batch."""
    height_px, width_px = (1, 2) if source.type == "TYPE_FP32" else (0, 1)  # where in dims, after the batch
    fed = list(source.dims)
    for place, side in ((height_px, res.height), (width_px, res.width)):
        place += 0 if batch else 1
        fed[place] = side if fed[place] < 0 else fed[place]
    preferred = sorted({size for size in (batch // 2, batch) if size > 1})
    batching = (
        f"dynamic_batching {{\n{_list('  preferred_batch_size', preferred)}"
        f"  max_queue_delay_microseconds: {QUEUE_US}\n}}\n"
        if batch > 1
        else ""
    )
    return (
        f'name: "{name}"\n'
        f'backend: "{served.name}"\n'
        f'default_model_filename: "{file}"\n'
        f"max_batch_size: {batch}\n"
        f"input [\n  {{\n{_tensor_text(source)}  }}\n]\n"
        f'output [\n  {{\n{_tensor_text(result)}    label_filename: "labels.txt"\n  }}\n]\n'
        f"{batching}"
        f"instance_group [\n  {{\n    count: 1\n    kind: {served.instances}\n  }}\n]\n"
        # The first inference plans kernels and memory; it is done before the first request.
        f'model_warmup [\n  {{\n    name: "first"\n    batch_size: 1\n    inputs {{\n      key: "{source.name}"\n'
        f"      value {{\n        data_type: {source.type}\n{_list('        dims', fed)}"
        "        zero_data: true\n      }\n    }\n  }\n]\n"
    )


def _tensor_text(tensor: Tensor) -> str:
    return f'    name: "{tensor.name}"\n    data_type: {tensor.type}\n{_list("    dims", tensor.dims)}'


def _list(key: str, values: Sequence[int]) -> str:
    return f"{key}: [ {', '.join(map(str, values))} ]\n"


def _tensor(value: ir.Value, open_batch: bool) -> Tensor:
    kind = TYPES[required(value.dtype, f"the type of {value.name}")]
    sides = [side if isinstance(side, int) else -1 for side in required(value.shape, f"the shape of {value.name}")]
    return Tensor(value.name or "", kind, tuple(sides[1:] if open_batch else sides))
