"""Whatever is exported can be built: every target, type and pruning, by NVIDIA's own parser and builder."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import onnx_ir as ir
import pytest

from cgnet_deploy.artifact import write_artifact
from cgnet_deploy.contracts import CONTRACTS, model_spec
from cgnet_deploy.engines.build import build_plan
from cgnet_deploy.export.graph import global_context, serialise
from cgnet_deploy.export.half import to_half
from cgnet_deploy.export.io_nodes import give_labels, take_frames
from cgnet_deploy.export.targets import TARGETS, Target
from cgnet_deploy.export.trace import trace
from cgnet_deploy.spec import ModelSpec, Precision, Res
from tests.export.networks import Character, trained
from tests.export.test_rules import fuse

RES = Res(33, 47)


@cache
def network(prune: bool) -> tuple[ir.Model, ModelSpec]:
    model = trained(character=Character(dead=0.3, constant_gates=prune))
    return trace(model, RES, batch=2), model_spec("camvid-official", model.classes, model.blocks)


@pytest.mark.parametrize("prune", [False, True], ids=["whole", "pruned"])
@pytest.mark.parametrize("precision", [Precision.F32, Precision.F16])
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_builds_and_keeps_its_types(tmp_path: Path, target: Target, precision: Precision, prune: bool) -> None:
    pytest.importorskip("tensorrt_rtx")
    traced, spec = network(prune)
    graph = traced.clone()
    take_frames(graph, CONTRACTS["camvid-official"])
    give_labels(graph, by_float=target.labels_by_float)
    fuse(graph, target, prune=prune)
    if precision is Precision.F16:
        to_half(graph, frozenset())
    onnx = tmp_path / "cgnet.onnx"
    write_artifact(
        onnx,
        serialise(graph),
        kind="onnx",
        precision=precision,
        spec=spec,
        io="frames",
        shape=(2, *RES),
        parent_sha256=None,
        made_with={},
    )
    built = build_plan(onnx, tmp_path / "cgnet.plan", builder="rtx")
    convolutions = {node for node in graph.graph if node.op_type == "Conv"}
    gates = convolutions & global_context(graph)  # stay in f32
    rest = "half" if precision is Precision.F16 else "float"
    assert Counter(dict(built.convolutions)) == Counter({rest: len(convolutions - gates)}) + Counter(float=len(gates))
