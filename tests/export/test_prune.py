"""Dead channels: found from weights or frames, removed without a trace, borders included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx_ir as ir
import pytest

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.export.choices import Dynamic
from cgnet_deploy.export.constants import constants, observe
from cgnet_deploy.export.fuse.rule import apply
from cgnet_deploy.export.fuse.rules import FOLD
from cgnet_deploy.export.graph import count_macs, serialise
from cgnet_deploy.export.prune import PruneReport, prune_dead
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.targets import TARGETS, Target
from cgnet_deploy.export.trace import trace
from cgnet_deploy.pixels import F32, to_tensor
from cgnet_deploy.spec import Res
from tests.export.graphs import Array, assert_same_outputs, check_onnx, example, graph
from tests.export.networks import Character, trained

SMALL = Res(33, 47)


def dead(array: Array, *rows: int) -> Array:
    """The filters without the weights of some."""
    array[list(rows)] *= 1e-20
    return array


def pruned(
    model: ir.Model,
    *,
    multiple: int = 1,
    moves: bool = True,
    watched: Sequence[Array] = (),
    inputs: Sequence[Array] = (),
) -> PruneReport:
    """Prune a graph and hold it to what it gave before, on inputs that were not watched."""
    inputs = inputs or [example(model, seed=seed) for seed in range(3)]
    apply(model, ())
    before = serialise(model)
    report = prune_dead(model, multiple, observe(model, watched) if watched else {}, moves)
    assert_same_outputs(before, serialise(model), inputs)
    check_onnx(model)
    return report


def kernels(model: ir.Model) -> list[tuple[int, ...]]:
    """The shape of every convolution's weights, in order."""
    shapes = [node.inputs[1].shape for node in model.graph if node.op_type == "Conv" and node.inputs[1]]
    return [tuple(shape.numpy()) for shape in shapes if shape is not None]


POINTWISE = """(float[2, 4, 9, 7] x) => (float[2, 5, 9, 7] y) {
    a = Conv <pads = [1, 1, 1, 1]> (x, w, b)
    p = PRelu (a, slope)
    y = Conv (p, v, c)
}"""


def weights(rng: np.random.Generator) -> dict[str, Array]:
    return {
        "w": rng.normal(size=(6, 4, 3, 3)),
        "b": rng.normal(size=6),
        "slope": rng.normal(size=(6, 1, 1)),
        "v": rng.normal(size=(5, 6, 1, 1)),
        "c": rng.normal(size=5),
    }


def test_constants_go_into_the_bias_of_a_pointwise_convolution(rng: np.random.Generator) -> None:
    given = weights(rng)
    model = graph(POINTWISE, given | {"w": dead(given["w"], 0, 3)})
    report = pruned(model)
    assert kernels(model) == [(4, 4, 3, 3), (5, 4, 1, 1)]
    assert report.channels["Conv_1"] == (4, 6)
    assert report.macs_before == 9 * 7 * (6 * 4 * 9 + 5 * 6)
    assert report.macs_after == 9 * 7 * (4 * 4 * 9 + 5 * 4) == count_macs(model)


def test_what_no_reader_weighs_is_removed_however_it_varies(rng: np.random.Generator) -> None:
    given = weights(rng)
    given["v"][:, 2] *= 1e-20
    model = graph(POINTWISE, given)
    pruned(model)
    assert kernels(model) == [(5, 4, 3, 3), (5, 5, 1, 1)]


def test_one_constant_carries_the_others_through_a_padded_convolution(rng: np.random.Generator) -> None:
    given = weights(rng)
    text = POINTWISE.replace("y = Conv", "y = Conv <pads = [1, 1, 1, 1]>")
    model = graph(text, given | {"w": dead(given["w"], 0, 3, 4), "v": rng.normal(size=(5, 6, 3, 3))})
    pruned(model)
    # Its border sees fewer of the constants: three alive, and one that stands for all the dead.
    assert kernels(model) == [(4, 4, 3, 3), (5, 4, 3, 3)]


def test_dead_channels_that_are_zero_need_no_carrier(rng: np.random.Generator) -> None:
    given = weights(rng)
    given["b"][[0, 3]] = 0
    text = POINTWISE.replace("y = Conv", "y = Conv <pads = [1, 1, 1, 1]>")
    model = graph(text, given | {"w": dead(given["w"], 0, 3), "v": rng.normal(size=(5, 6, 3, 3))})
    pruned(model)
    assert kernels(model) == [(4, 4, 3, 3), (5, 4, 3, 3)]


def test_a_constant_that_meets_a_padded_border_is_alive_behind_it(rng: np.random.Generator) -> None:
    """Constant on the inside only: seen on the full map, missed by whoever looks at the interior."""
    text = POINTWISE.replace(
        "y = Conv (p, v, c)", "d = Conv <group = 6, pads = [1, 1, 1, 1]> (p, f) y = Conv (d, v, c)"
    )
    given = weights(rng) | {"f": rng.normal(size=(6, 1, 3, 3))}
    given["b"][3] = 0
    model = graph(text, given | {"w": dead(given["w"], 0, 3)})
    report = pruned(model)
    assert report.channels["Conv_2"] == (5, 6)  # channel 3 is zero and dies, channel 0 is not and lives on
    assert kernels(model) == [(5, 4, 3, 3), (5, 1, 3, 3), (5, 5, 1, 1)]


def test_a_filter_without_weight_behind_it_is_dead_again(rng: np.random.Generator) -> None:
    text = POINTWISE.replace(
        "y = Conv (p, v, c)", "d = Conv <group = 6, pads = [1, 1, 1, 1]> (p, f) y = Conv (d, v, c)"
    )
    model = graph(text, weights(rng) | {"f": dead(rng.normal(size=(6, 1, 3, 3)), 1, 2)})
    pruned(model)
    assert kernels(model) == [(4, 4, 3, 3), (4, 1, 3, 3), (5, 4, 1, 1)]


def test_counts_are_filled_up_to_blocks(rng: np.random.Generator) -> None:
    given = weights(rng)
    model = graph(POINTWISE, given | {"w": dead(given["w"], 0, 2, 3)})
    pruned(model, multiple=4)
    assert kernels(model) == [(4, 4, 3, 3), (5, 4, 1, 1)]


def test_where_nothing_is_dead_nothing_changes(rng: np.random.Generator) -> None:
    model = graph(POINTWISE, weights(rng))
    report = pruned(model)
    assert kernels(model) == [(6, 4, 3, 3), (5, 6, 1, 1)]
    assert report.macs_before == report.macs_after
    assert report.summary() == "no dead channels"


@pytest.mark.parametrize("moves", [True, False])
def test_a_residual_trunk_keeps_its_channels_and_gets_the_constants(rng: np.random.Generator, moves: bool) -> None:
    text = """(float[2, 16, 9, 7] x) => (float[2, 16, 9, 7] y) {
        t = Conv (x, w, b)
        d = Conv <group = 24, pads = [1, 1, 1, 1]> (t, f, g)
        z = Conv (d, v, c)
        y = Add (x, z)
    }"""
    given = {
        "w": rng.normal(size=(24, 16, 1, 1)),
        "b": rng.normal(size=24),
        "f": rng.normal(size=(24, 1, 3, 3)),
        "g": rng.normal(size=24),
        "v": dead(rng.normal(size=(16, 24, 1, 1)), *range(12)),
        "c": rng.normal(size=16),
    }
    model = graph(text, given)
    report = pruned(model, moves=moves)
    assert report.macs_after is not None
    assert report.macs_before is not None
    assert (report.macs_after < report.macs_before) == moves
    assert any((node.name or "").endswith("/place") for node in model.graph) == moves
    assert model.graph.outputs[0].shape == (2, 16, 9, 7)


def test_frames_show_what_the_weights_do_not(rng: np.random.Generator) -> None:
    """A filter that only ever sees negative values before a Relu-like PReLU of slope zero."""
    given = weights(rng)
    given["b"][2], given["slope"][2] = -1e6, 0
    model = graph(POINTWISE, given)
    assert pruned(model.clone()).channels["Conv_1"] == (6, 6)
    watched = [example(model, seed=seed) for seed in range(10, 12)]
    assert pruned(model, watched=watched).channels["Conv_1"] == (5, 6)
    assert kernels(model) == [(5, 4, 3, 3), (5, 5, 1, 1)]


def test_what_differs_from_one_frame_to_the_next_varies(rng: np.random.Generator) -> None:
    """Each frame of one colour, on which nothing varies."""
    model = graph(POINTWISE.replace("<pads = [1, 1, 1, 1]>", ""), weights(rng) | {"w": rng.normal(size=(6, 4, 1, 1))})
    apply(model, ())
    dark, light = (np.full((2, 4, 9, 7), value, np.float32) for value in (-1, 1))
    assert not np.isnan(observe(model, [dark])["p"]).any()
    for watched in ([dark, light], [light, dark]):
        assert np.isnan(observe(model, watched)["p"]).all()


def test_constants_are_what_the_runtime_computes(rng: np.random.Generator) -> None:
    given = weights(rng)
    model = graph(POINTWISE, given | {"w": dead(given["w"], 0, 3), "v": dead(given["v"], 1)})
    apply(model, ())
    proven, seen = constants(model, {}), observe(model, [example(model)])
    for value, found in proven.items():
        if value.is_graph_input():
            continue
        known = ~np.isnan(found)
        assert np.array_equal(known, ~np.isnan(seen[value.name or ""]))
        assert np.allclose(found[known], seen[value.name or ""][known], rtol=1e-6, atol=0)


@pytest.mark.parametrize("dynamic", ["batch", "both"])
def test_open_sizes_can_be_pruned_and_are_not_counted(dynamic: Dynamic) -> None:
    model = trained(character=Character(dead=0.3))
    pruning = trace(model, SMALL, dynamic=dynamic)
    apply(pruning, FOLD)
    before = serialise(pruning)
    report = prune_dead(pruning)
    sides = {"N": 2, "H": 33, "W": 47}
    assert_same_outputs(before, serialise(pruning), [80 * example(pruning, open_sides=sides)])
    if dynamic == "both":
        assert (report.macs_before, report.macs_after, report.summary()) == (None, None, "dead channels removed")
    else:
        assert report.macs_before is not None
        assert report.macs_after is not None
        assert report.macs_after < report.macs_before


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("constant_gates", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_pruning_never_costs_multiplications(target: Target, constant_gates: bool, seed: int) -> None:
    model = trained(character=Character(dead=0.4, constant_gates=constant_gates), seed=seed)
    pruning = trace(model, SMALL, batch=2)
    apply(pruning, FOLD)
    inputs = [80 * example(pruning, seed=seed)]
    report = pruned(pruning, multiple=target.block, moves=target.moves_channels, inputs=inputs)
    assert report.macs_after is not None
    assert report.macs_before is not None
    assert report.macs_after < report.macs_before


def test_what_frames_showed_holds_on_others() -> None:
    model = trained(character=Character(dead=0.3))
    pruning = trace(model, SMALL, batch=2)
    apply(pruning, FOLD)
    watched, others = ([80 * example(pruning, seed=seed) for seed in seeds] for seeds in ((0, 1), (2, 3)))
    report = pruned(pruning, watched=watched, inputs=others)
    assert report.macs_after is not None
    assert report.macs_before is not None
    assert report.macs_after < report.macs_before


@pytest.fixture(scope="module")
def official(shared: Path) -> tuple[ir.Model, Mapping[str, list[F32]]]:
    """The released weights, folded, at a small size, and real frames: to watch and to judge by."""
    checkpoint, res = load_checkpoint(shared / "checkpoints/cgnet_camvid_official.pth"), Res(97, 131)
    graph = trace(checkpoint.model, res, batch=2)
    apply(graph, FOLD)
    frames = {}
    for split, step in (("train", 37), ("val", 10)):
        paths = sorted((shared / "camvid" / split).glob("*.webp"))[::step]
        images = [cv2.resize(cv2.imread(str(path)), (res.width, res.height))[None] for path in paths]  # type: ignore[arg-type]
        tensors = [to_tensor(image.astype(np.uint8), checkpoint.spec.input) for image in images]
        frames[split] = [np.concatenate(pair) for pair in zip(tensors[::2], tensors[1::2], strict=False)]
    return graph, frames


@pytest.mark.shared
@pytest.mark.parametrize("watch", [False, True], ids=["weights alone", "frames too"])
def test_the_released_weights_lose_a_quarter_and_no_label(
    official: tuple[ir.Model, Mapping[str, list[F32]]], watch: bool
) -> None:
    graph, frames = official
    whole = run_single(serialise(graph), frames["val"])
    model = graph.clone()
    report = prune_dead(model, 1, observe(model, frames["train"]) if watch else None)
    assert report.macs_before is not None
    assert report.macs_after is not None
    assert report.macs_after <= 0.76 * report.macs_before
    changed = sum(
        (a.argmax(1) != b.argmax(1)).sum()
        for a, b in zip(whole, run_single(serialise(model), frames["val"]), strict=True)
    )
    assert changed <= 1e-5 * sum(logits[:, 0].size for logits in whole)  # less than two of some 120,000 labels


@pytest.mark.shared
@pytest.mark.parametrize("multiple", sorted({target.block for target in TARGETS}))
@pytest.mark.parametrize("name", ["official_k19", "mmseg_k19"])
def test_the_fixtures_have_no_dead_channels_and_stay_as_they_are(shared: Path, name: str, multiple: int) -> None:
    graph = trace(load_checkpoint(shared / f"fixtures/{name}.pth").model, Res(97, 131), batch=2)
    apply(graph, FOLD)
    before = serialise(graph)
    report = prune_dead(graph, multiple)
    assert report.summary() == "no dead channels"
    assert report.macs_before == report.macs_after
    x = np.load(shared / f"fixtures/{name}_97x131.npz")["input"]
    assert np.array_equal(run_single(before, [x]), run_single(serialise(graph), [x]))
