"""The rules of every target on complete networks: what they count, that nothing is left over, and equal logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import given, note, settings
from hypothesis import strategies as st

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.export.fuse.rule import FusionReport, apply
from cgnet_deploy.export.fuse.rules import FOLD
from cgnet_deploy.export.graph import count_ops, serialise
from cgnet_deploy.export.prune import prune_dead
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.targets import TARGETS, Target, target_named
from cgnet_deploy.export.trace import trace
from cgnet_deploy.spec import Res
from tests.export.graphs import ROUNDING, Array, check_onnx
from tests.export.networks import Character, logits, planes, trained

BATCHNORM = ("batchnorm-conv", "batchnorm-depthwise", "batchnorm-join")
FIXTURE = Res(97, 131)  # of the published inputs, which are two in a batch
JOIN_NODES = 11  # Mul and Add for the five branches that can't absorb a shift; one pool that is read raw too stays


def fuse(graph: ir.Model, target: Target, *, prune: bool = False) -> FusionReport:
    """What the export does to a graph."""
    folded = apply(graph, FOLD)
    if prune:
        prune_dead(graph, target.block)
    return folded.then(apply(graph, target.forms))


def assert_every_norm_is_folded(report: FusionReport, blocks: tuple[int, int], target: Target) -> None:
    """The counts that the architecture gives, and that no PRelu node is left either: only our own engine runs those."""
    counts = (3 + sum(blocks), sum(blocks), 3)
    assert tuple(report.fired[rule] for rule in BATCHNORM) == counts
    assert report.ops_before["BatchNormalization"] == sum(counts)
    left = {"PRelu"} if target.name == "native" else set()
    assert {"BatchNormalization", "PRelu"} & set(report.ops_after) == left


def assert_places(report: FusionReport, rule: str, *, fired: int, skipped: int) -> None:
    assert report.fired[rule] == fired
    assert len([reason for name, _, reason in report.skipped if name == rule]) == skipped


def assert_logits(graph: ir.Model, x: Array, wanted: Array) -> None:
    (given,) = run_single(serialise(graph), [x])
    assert np.isfinite(wanted).all()
    assert np.abs(given - wanted).max() <= ROUNDING * np.abs(wanted).max()


@pytest.mark.shared
@pytest.mark.parametrize("name", ["official_k19", "mmseg_k19"])
def test_fused_fixtures_give_the_published_logits(shared: Path, name: str) -> None:
    pair = np.load(shared / f"fixtures/{name}_97x131.npz")
    traced = trace(load_checkpoint(shared / f"fixtures/{name}.pth").model, FIXTURE, batch=2)
    for target in TARGETS:
        graph = traced.clone()
        report = fuse(graph, target)
        assert_every_norm_is_folded(report, (3, 21), target)
        assert_places(report, "gate-constant", fired=0, skipped=24)  # every gate is alive
        assert_logits(graph, pair["input"], pair["logits"])
        check_onnx(graph)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["official_k19", "mmseg_k19"])
def test_live_gates_of_one_image_become_kernels(shared: Path, name: str) -> None:
    pair = np.load(shared / f"fixtures/{name}_97x131.npz")
    graph = trace(load_checkpoint(shared / f"fixtures/{name}.pth").model, FIXTURE, batch=1)
    report = fuse(graph, target_named("ort-cpu"))
    assert_places(report, "gate-conv", fired=24, skipped=0)
    assert_logits(graph, pair["input"][:1], pair["logits"][:1])
    check_onnx(graph)


@pytest.mark.shared
def test_fused_official_weights_give_the_network_s_logits(shared: Path) -> None:
    model = load_checkpoint(shared / "checkpoints/cgnet_camvid_official.pth").model
    x = planes(FIXTURE, batch=2)
    wanted, traced = logits(model, x), trace(model, FIXTURE, batch=2)
    for target in TARGETS:
        graph = traced.clone()
        report = fuse(graph, target)
        assert_every_norm_is_folded(report, (3, 21), target)
        assert_places(report, "gate-constant", fired=24, skipped=0)  # none is
        # One factor is zero and can't pass its PReLU; two down blocks are read by their stage and by a join.
        assert_places(report, "scale-fold", fired=46, skipped=3)
        assert_logits(graph, x.numpy(), wanted)
        check_onnx(graph)
        if target.name == "ort-cpu":  # nothing that leaves the runtime's blocked layout
            assert set(report.ops_after) == {"Conv", "Add", "Relu", "MatMul", "Gather", "Reshape", "Mul"}
            assert report.ops_after["Mul"] == 1  # that of the logits, the last node


def test_folding_leaves_one_node_less_for_each_norm_but_the_joins() -> None:
    graph = trace(trained(), Res(33, 47), batch=2)
    report = apply(graph, FOLD)
    before, after = sum(report.ops_before.values()), sum(report.ops_after.values())
    assert after == before - report.ops_before["BatchNormalization"] + JOIN_NODES
    assert count_ops(graph) == report.ops_after
    assert f"{before} -> {after} nodes; batchnorm-conv 7, batchnorm-depthwise 4, batchnorm-join 3" == report.summary()


# (M, N), size and batch: each is traced once, whatever the weights.
NETWORKS = (((2, 2), Res(33, 47), 2), ((2, 3), Res(40, 64), 1), ((3, 2), Res(64, 48), 1))


@settings(max_examples=6, derandomize=True)
@given(
    network=st.sampled_from(NETWORKS),
    character=st.builds(
        Character,
        steepest=st.sampled_from([0.0, 0.9, 1.0, 1.7]),
        dead=st.sampled_from([0.0, 0.3]),
        constant_gates=st.booleans(),
    ),
    classes=st.sampled_from([1, 3, 20]),
    prune=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_network_is_fused_to_the_same_function(
    network: tuple[tuple[int, int], Res, int], character: Character, classes: int, prune: bool, seed: int
) -> None:
    blocks, res, batch = network
    model = trained(classes, blocks, character, bias=bool(seed % 2), seed=seed)
    x = planes(res, batch=batch, generator=torch.Generator().manual_seed(seed))
    wanted, traced = logits(model, x), trace(model, res, batch=batch)
    for target in TARGETS:
        note(str(target))
        graph = traced.clone()
        report = fuse(graph, target, prune=prune)
        assert_every_norm_is_folded(report, blocks, target)
        if target.name == "ort-cpu" and character.steepest <= 1:  # a slope above 1 leaves a Min, and no convolution
            assert_places(report, "stem-rows", fired=res.height % 4 == 0, skipped=res.height % 4 != 0)
        assert_logits(graph, x.numpy(), wanted)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_an_open_graph_is_fused_and_stays_open(target: Target) -> None:
    model = trained()
    graph = trace(model, Res(33, 47), dynamic="both")
    assert_every_norm_is_folded(fuse(graph, target), model.blocks, target)
    for batch, res in ((1, Res(33, 47)), (3, Res(64, 40))):
        x = planes(res, batch=batch)
        assert_logits(graph, x.numpy(), logits(model, x))
    check_onnx(graph)
