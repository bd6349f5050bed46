"""Checkpoint to file: what is written, that it computes what the checkpoint does, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from cgnet_deploy.artifact import IO, read_artifact
from cgnet_deploy.checkpoint.reading import Checkpoint, load_checkpoint
from cgnet_deploy.errors import AccuracyError
from cgnet_deploy.export import lower, pipeline
from cgnet_deploy.export.choices import Dynamic
from cgnet_deploy.export.fuse.linear import convolution, kernel_and_bias
from cgnet_deploy.export.fuse.rule import Rule
from cgnet_deploy.export.fuse.rules import FOLD
from cgnet_deploy.export.graph import constant, insert
from cgnet_deploy.export.graph import replace as replace_value
from cgnet_deploy.export.io_nodes import take_frames
from cgnet_deploy.export.pipeline import ExportedOnnx, Request, export_onnx
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.targets import TARGETS, Target, target_named
from cgnet_deploy.model import CGNet
from cgnet_deploy.pixels import U8, to_tensor
from cgnet_deploy.spec import InputSpec, Precision, Res
from tests.engines.graphs import drawn_frames
from tests.export.graphs import ROUNDING
from tests.export.networks import F64, Character, logits, save, trained, trained_overflowing

RES = Res(33, 47)
GENERIC, ORT_CPU = target_named("generic"), target_named("ort-cpu")
U8_CAST = onnx.helper.make_attribute("to", onnx.TensorProto.UINT8)
PLAIN = Request(Precision.F32, RES, 2, "none", "frames", GENERIC)


@pytest.fixture
def checkpoint(workplace: Path) -> Checkpoint:
    save(trained(character=Character(dead=0.2)), workplace / "model.safetensors")
    return load_checkpoint(workplace / "model.safetensors")


def frames(batch: int = 2, count: int = 2) -> list[U8]:
    return [drawn_frames(batch, *RES, seed=seed) for seed in range(count)]


def exported(checkpoint: Checkpoint, request: Request, given: Sequence[U8] | None = None) -> tuple[ExportedOnnx, bytes]:
    path = checkpoint.path.with_name("out.onnx")
    result = export_onnx(checkpoint, request, frames() if given is None else given, path)
    content = path.read_bytes()
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    return result, content


def truth(model: CGNet, given: U8, spec: InputSpec) -> F64:
    return logits(model, torch.from_numpy(to_tensor(given, spec)))


def test_the_file_and_its_sidecar_say_what_they_are(checkpoint: Checkpoint) -> None:
    result, _ = exported(checkpoint, PLAIN)
    found = read_artifact(result.artifact.path)
    assert found == result.artifact
    assert (found.kind, found.precision, found.io, found.shape) == ("onnx", Precision.F32, "frames", (2, *RES))
    assert (found.spec, found.parent_sha256) == (checkpoint.spec, checkpoint.sha256)
    assert found.made_with["target"] == "generic"
    assert {"cgnet-deploy", "torch", "onnx_ir", "opset"} <= set(found.made_with)
    assert sorted(path.name for path in found.path.parent.iterdir()) == [
        "model.safetensors",
        "out.onnx",
        "out.onnx.json",
    ]


@pytest.mark.parametrize("prune", [False, True], ids=["whole", "pruned"])
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_tensor_file_gives_the_network_s_logits(checkpoint: Checkpoint, target: Target, prune: bool) -> None:
    request = replace(PLAIN, io="tensor", target=target, prune=prune)
    result, content = exported(checkpoint, request)
    new = drawn_frames(2, *RES, seed=9)  # not those that the export was verified on
    wanted = truth(checkpoint.model, new, checkpoint.spec.input)
    (found,) = run_single(content, [to_tensor(new, checkpoint.spec.input)])
    assert np.abs(found - wanted).max() <= ROUNDING * np.abs(wanted).max()
    assert (result.pruning is not None) == prune
    assert (result.verification.images, result.kept_f32) == (4, ())


@pytest.mark.parametrize("precision", [Precision.F32, Precision.F16])
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_frames_file_gives_the_network_s_labels(checkpoint: Checkpoint, target: Target, precision: Precision) -> None:
    result, content = exported(checkpoint, replace(PLAIN, precision=precision, target=target))
    new = drawn_frames(2, *RES, seed=9)
    scores = truth(checkpoint.model, new, checkpoint.spec.input)
    (labels,) = run_single(content, [new])
    agreement = (labels == scores.argmax(1)).mean()
    assert agreement >= (0.9995 if precision is Precision.F32 else 0.98)  # f32: ties aside; f16: see verify.py
    assert len(np.unique(labels)) > 1
    assert result.artifact.precision is precision


@pytest.mark.parametrize("precision", [Precision.F32, Precision.F16])
def test_a_frames_file_for_tensorrt_casts_to_u8_from_what_its_header_allows(
    checkpoint: Checkpoint, precision: Precision
) -> None:
    """f32 and f16. What other passes make of the labels' end must leave it so."""
    _, content = exported(checkpoint, replace(PLAIN, precision=precision, target=target_named("tensorrt")))
    inferred = onnx.shape_inference.infer_shapes(onnx.load_from_string(content)).graph
    types = {value.name: value.type.tensor_type.elem_type for value in [*inferred.value_info, *inferred.input]}
    sources = [types[node.input[0]] for node in inferred.node if node.op_type == "Cast" and U8_CAST in node.attribute]
    assert sources
    assert set(sources) <= {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize(("dynamic", "shape"), [("batch", (None, 33, 47)), ("both", (None, None, None))])
def test_an_open_file_says_so_and_takes_other_sizes(
    checkpoint: Checkpoint, dynamic: Dynamic, shape: tuple[int | None, ...]
) -> None:
    result, content = exported(checkpoint, replace(PLAIN, batch=1, dynamic=dynamic), frames(batch=1))
    assert result.artifact.shape == shape
    for given in [drawn_frames(3, *RES)] + ([drawn_frames(1, 64, 40)] if dynamic == "both" else []):
        wanted = truth(checkpoint.model, given, checkpoint.spec.input).argmax(1)
        (found,) = run_single(content, [given])
        assert (found == wanted).mean() >= 0.9995


@pytest.mark.parametrize("target", [GENERIC, ORT_CPU], ids=str)
def test_what_leaves_the_range_of_f16_is_kept_in_a_frames_file_too(checkpoint: Checkpoint, target: Target) -> None:
    loud = replace(checkpoint, model=trained_overflowing())
    result, content = exported(loud, replace(PLAIN, precision=Precision.F16, target=target))
    assert {"stem.0.conv/Conv", "stem.1.conv/Conv"} <= set(result.kept_f32)
    assert len(result.kept_f32) < 10
    new = drawn_frames(2, *RES, seed=9)
    (labels,) = run_single(content, [new])
    assert (labels == truth(loud.model, new, loud.spec.input).argmax(1)).mean() >= 0.98  # see verify.py


def test_the_same_checkpoint_gives_the_same_file(checkpoint: Checkpoint) -> None:
    request = replace(PLAIN, precision=Precision.F16, io="tensor", target=ORT_CPU, prune=True)
    assert exported(checkpoint, request)[1] == exported(checkpoint, request)[1]


def test_rules_can_be_left_out(checkpoint: Checkpoint) -> None:
    result, _ = exported(checkpoint, replace(PLAIN, without=("batchnorm-join", "prelu-max")))
    assert "batchnorm-join" not in result.fusion.fired
    assert result.fusion.ops_after["BatchNormalization"] == 3


def test_frames_that_were_watched_prune_at_least_what_the_weights_do(checkpoint: Checkpoint) -> None:
    watch = tuple(drawn_frames(2, *RES, seed=seed) for seed in (5, 6))
    pruned = [exported(checkpoint, replace(PLAIN, prune=True, watch=seen))[0].pruning for seen in ((), watch)]
    by_weights, by_frames = ((report.macs_before, report.macs_after) for report in pruned if report is not None)
    assert by_weights[0] is not None
    assert by_weights[1] is not None
    assert by_frames[1] is not None
    assert by_frames[1] <= by_weights[1] < by_weights[0] == by_frames[0]


def fault(module: str) -> Rule[ir.Node]:
    """A rule that makes one filter of a convolution a thousandth larger, and says nothing of it."""

    def rewrite(conv: ir.Node) -> None:
        x = conv.inputs[0]
        assert x is not None
        kernel, bias = kernel_and_bias(conv)
        kernel[0] *= 1.001
        replace_value(conv.outputs[0], convolution(conv, conv, x, kernel, bias, name="fault"))

    return Rule("fault", lambda node: node if node.name == f"{module}/Conv" else None, lambda node: None, rewrite)


def assert_refused(checkpoint: Checkpoint, request: Request, message: str) -> None:
    """AccuracyError, and what was there before is there still, and nothing else."""
    folder = checkpoint.path.parent
    old = folder / "out.onnx"
    old.write_bytes(b"the old file")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(AccuracyError, match=message):
        export_onnx(checkpoint, request, frames(), old)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("where", "io"), [("stem.0.conv", "frames"), ("stage3.1.entry.conv", "tensor"), ("classifier", "frames")]
)
def test_one_filter_a_thousandth_too_large_is_refused(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, where: str, io: IO
) -> None:
    monkeypatch.setattr(pipeline, "FOLD", (*FOLD, fault(where)))
    request = replace(PLAIN, io=io)
    assert_refused(checkpoint, request, "fused: the f32 graph disagrees with its parent")


def test_a_halving_that_goes_wrong_is_refused(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def negated(model: ir.Model, keep: frozenset[str]) -> None:
        last = model.graph.outputs[0].producer()
        assert last is not None
        x = last.inputs[0]
        assert x is not None
        last.replace_input_with(0, insert(last, "Neg", [x]))

    monkeypatch.setattr(lower, "to_half", negated)
    assert_refused(checkpoint, replace(PLAIN, precision=Precision.F16), "halved: the f16 graph disagrees")


def naive(model: ir.Model, spec: InputSpec) -> None:
    """The mean subtracted behind the first convolution and pool, as if their padding had it too."""
    take_frames(model, replace(spec, mean=(0.0, 0.0, 0.0)))
    order = next(node for node in model.graph if node.name == "frames/Gather")
    for reader in [use.node for use in order.outputs[0].uses()]:
        mean = np.asarray(spec.mean)
        if reader.op_type == "Conv":
            kernel = kernel_and_bias(reader)[0].sum((2, 3))
            mean = kernel @ mean if kernel.shape[1] > 1 else kernel[:, 0] * mean  # the latter of the image's pool
        after = next(iter(reader.outputs[0].uses())).node
        shift = constant(after, mean.astype(np.float32)[:, None, None], "naive")
        moved = insert(after, "Sub", [reader.outputs[0], shift])
        for use in list(reader.outputs[0].uses()):
            if use.node is not moved.producer():
                use.node.replace_input_with(use.idx, moved)


def test_a_mean_folded_as_if_borders_had_it_is_refused(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "take_frames", naive)
    assert_refused(checkpoint, PLAIN, "frames to labels: labels equal the argmax of the same network's logits on")


def test_swapped_colours_are_refused(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def swapped(model: ir.Model, spec: InputSpec) -> None:
        take_frames(model, replace(spec, color="bgr"))

    monkeypatch.setattr(pipeline, "take_frames", swapped)
    assert_refused(checkpoint, PLAIN, "frames to labels")
