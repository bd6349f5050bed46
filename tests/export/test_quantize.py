"""int8 as a property of the file: where the pairs stand, what they hold, and that the network is still the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from cgnet_deploy.export.calibrate import calibrate, correct, rounding_bias
from cgnet_deploy.export.choices import SCOPES, Scope
from cgnet_deploy.export.fuse.linear import kernel_and_bias
from cgnet_deploy.export.fuse.rule import apply
from cgnet_deploy.export.fuse.rules import FOLD
from cgnet_deploy.export.graph import count_ops, global_context, producer, serialise, weights
from cgnet_deploy.export.half import to_half
from cgnet_deploy.export.io_nodes import give_labels, take_frames
from cgnet_deploy.export.prune import prune_dead
from cgnet_deploy.export.qdq_check import faults
from cgnet_deploy.export.quantize import quantize, quantize_weights
from cgnet_deploy.export.ranges import LEVELS
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.sites import chosen, sites
from cgnet_deploy.export.targets import TARGETS, Target, target_named
from cgnet_deploy.export.trace import trace
from cgnet_deploy.model import CGNet
from cgnet_deploy.pixels import F32
from cgnet_deploy.spec import Res
from tests.export.graphs import check_onnx, example, graph
from tests.export.networks import Character, fingerprint, planes, trained
from tests.export.test_io_nodes import spec
from tests.export.test_rules import FIXTURE

SMALL = Res(33, 47)
NONE: frozenset[str] = frozenset()
GENERIC, ORT_CPU, TENSORRT = (target_named(name) for name in ("generic", "ort-cpu", "tensorrt"))
DEAD = Character(dead=0.4, constant_gates=True)


FUSED: dict[tuple[bytes, str, bool], ir.Model] = {}  # of the networks that several tests quantise


def fused(model: CGNet, target: Target = GENERIC, *, prune: bool = False) -> ir.Model:
    key = (fingerprint(model), target.name, prune)
    if key not in FUSED:
        made = trace(model, SMALL, batch=2)
        apply(made, FOLD)
        if prune:
            prune_dead(made, target.block)
        apply(made, target.int8_forms)
        FUSED[key] = made
    return FUSED[key].clone()


def frames() -> list[F32]:
    return [planes(SMALL, batch=2).numpy(), 0.7 * planes(SMALL, batch=2).numpy()[::-1].copy()]


def quantised(model: ir.Model, scope: Scope = "all", target: Target = GENERIC) -> ir.Model:
    names = [site.name for site in chosen(model, scope)]
    made = model.clone()
    scales = calibrate(model, names, frames(), "mse", raw_results=target.raw_results)
    results = scales.results or None
    correct(made, rounding_bias(model, scales.reads, frames()))
    added = scales.added if scope == "stored" else None
    quantize(made, scales.reads, target.storage, results=results, added=added)
    return made


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_every_convolution_of_the_network_is_found_once_in_any_form(target: Target) -> None:
    counts = Counter(site.role for site in sites(fused(trained(), target)))
    if target.name == "ort-cpu":  # trunk and joins in halves: a convolution over a concat is a sum of several
        assert (counts["image"], counts["depthwise"]) == (1, 2 * 4)
    else:
        assert counts == {"image": 1, "dense": 2 + 2 * 2 + 2, "depthwise": 2 * 4, "classifier": 1}


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_gates_are_no_convolutions_of_the_network(target: Target) -> None:
    """ONNX Runtime computes live ones as convolutions of one pixel."""
    model = fused(trained(), target)
    gates = {node for node in global_context(model) if node.op_type in ("Conv", "Gemm")}
    assert len(gates) >= 4 * 2  # a gate of two layers in each of four blocks, in halves where the trunk is
    assert not {node.name for node in gates} & {site.name for site in sites(model)}


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("prune", [False, True], ids=["whole", "pruned"])
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_pairs_are_in_order_and_nowhere_but_on_what_convolutions_read(
    target: Target, prune: bool, scope: Scope
) -> None:
    plain = fused(trained(character=DEAD), target, prune=prune)
    model = quantised(plain, scope, target)
    check_onnx(model)
    assert faults(model, target.storage, raw_results=target.raw_results) == ()
    pairs = [node for node in model.graph if node.op_type == "DequantizeLinear"]
    if scope != "stored" and not target.raw_results:
        assert {use.node.op_type for node in pairs for use in node.outputs[0].uses()} == {"Conv"}
    in_int8 = [node for node in model.graph if node.op_type == "Conv" and producer(node.inputs[1], "DequantizeLinear")]
    assert len(in_int8) == len(chosen(plain, scope))
    assert any(is_depthwise_size(node) for node in in_int8) == (scope != "most")


def is_depthwise_size(conv: ir.Node) -> bool:
    stored = producer(conv.inputs[1], "DequantizeLinear")
    assert stored is not None
    levels = weights(stored.inputs[0])
    assert levels is not None
    return bool(levels.shape[1] == 1)


def test_a_value_that_two_convolutions_read_is_quantised_once() -> None:
    model = quantised(fused(trained()))
    assert count_ops(model)["QuantizeLinear"] == 1 + 2 + 4 * 1 + 4 + 2 + 1  # local and surround share theirs


def test_weights_are_off_by_half_a_step_at_most(rng: np.random.Generator) -> None:
    kernel = rng.normal(size=(6, 4, 3, 3)) * np.geomspace(1e-4, 30, 6)[:, None, None, None]
    levels, scale = quantize_weights(kernel)
    assert np.abs(levels.astype(int)).max() <= LEVELS
    assert (np.abs(levels.astype(int)).reshape(6, -1).max(1) >= LEVELS - 8).all()  # none wastes its range
    assert (np.abs(kernel - levels * scale[:, None, None, None]) <= 0.5001 * scale[:, None, None, None]).all()


def test_dead_filters_are_zero_and_their_scale_is_not() -> None:
    levels, scale = quantize_weights(np.stack([np.zeros((2, 1, 1)), np.full((2, 1, 1), 1e-20)]))
    assert not levels.any()
    assert (scale > 0).all()


def test_two_convolutions_compute_what_integers_say(rng: np.random.Generator) -> None:
    """Against int8 arithmetic by NumPy: exact products and sums of integers, scaled once."""
    text = "(float[1, 3, 5, 7] x) => (float[1, 4, 5, 7] y) { y = Conv (x, w, b) }"
    w, b = rng.normal(size=(4, 3, 1, 1)), rng.normal(size=4)
    model = graph(text, {"w": w, "b": b})
    x = example(model)
    quantize(model, {node.name or "": 0.02 for node in _named(model)})
    (given,) = run_single(serialise(model), [x])
    step = float(np.nextafter(np.float16(0.02), np.float16(1))) if np.float16(0.02) < 0.02 else float(np.float16(0.02))
    integers = np.clip(np.rint(x / np.float32(step)), -LEVELS, LEVELS).astype(np.int64)
    levels, scale = quantize_weights(w)
    sums = np.einsum("oi,nihw->nohw", levels[..., 0, 0].astype(np.int64), integers)
    wanted = sums * step * scale[:, None, None] + b.astype(np.float32)[:, None, None]
    assert np.abs(given - wanted).max() < 1e-5


def _named(model: ir.Model) -> list[ir.Node]:
    for node in model.graph:
        node.name = node.name or node.op_type
    return list(model.graph)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_u8_and_s8_are_the_same_numbers(target: Target) -> None:
    model, (x, _) = fused(trained(), target), frames()
    names = [site.name for site in sites(model)]
    scales = calibrate(model, names, frames()).reads
    outputs = []
    for storage in ("s8", "u8"):
        made = model.clone()
        quantize(made, scales, storage)
        outputs += run_single(serialise(made), [x])
    assert np.abs(outputs[0] - outputs[1]).max() <= 1e-5 * np.abs(outputs[0]).max()


def noise(model: ir.Model, fused_model: ir.Model) -> float:
    """Of the logits, as a share of their power."""
    wanted, given = (run_single(serialise(each), frames()) for each in (fused_model, model))
    apart = sum(np.square(a - b).sum() for a, b in zip(wanted, given, strict=True))
    return float(apart / sum(np.square(a).sum() for a in wanted))


def test_onnx_runtime_gets_a_pair_on_both_sides_of_each_convolution() -> None:
    model = quantised(fused(trained(), ORT_CPU), "most", ORT_CPU)
    for node in model.graph:
        if node.op_type == "Conv" and producer(node.inputs[1], "DequantizeLinear"):
            assert producer(node.inputs[0], "DequantizeLinear")
            assert {use.node.op_type for use in node.outputs[0].uses()} == {"QuantizeLinear"}


def test_where_all_that_is_stored_is_int8_the_trunk_is_too() -> None:
    model = quantised(fused(trained()), "stored")
    sums = [n for n in model.graph if n.op_type == "Add" and not any(weights(value) is not None for value in n.inputs)]
    assert len(sums) == 2  # a normal block in each stage
    for node in sums:
        assert all(producer(value, "DequantizeLinear") for value in node.inputs)
    context = [node for node in model.graph if node.op_type == "GlobalAveragePool"]
    assert len(context) == 4
    assert not any(producer(node.inputs[0], "DequantizeLinear") for node in context)


@pytest.mark.parametrize("blocks", [(2, 2), (3, 9)], ids=["M2N2", "M3N9"])
def test_logits_stay_near(blocks: tuple[int, int]) -> None:
    model = fused(trained(blocks=blocks))
    # 8 bits through 10 to 40 layers in a row of random weights; one lost or doubled layer gives 1 and more.
    assert noise(quantised(model), model) < 0.05


def test_bias_correction_brings_the_mean_back() -> None:
    model = fused(trained())
    names = [site.name for site in sites(model)]
    scales = calibrate(model, names, frames()).reads
    before = rounding_bias(model, scales, frames())
    made = model.clone()
    correct(made, before)
    assert set(before) == set(names)
    corrected = {node.name: node for node in made.graph if node.op_type == "Conv"}
    for node in model.graph:
        if node.name in names:
            own, changed = kernel_and_bias(node)[1], kernel_and_bias(corrected[node.name])[1]
            assert np.allclose(changed, own - before[node.name or ""], atol=1e-6)


def test_bias_correction_measures_what_rounding_moves(rng: np.random.Generator) -> None:
    """One convolution whose input is always rounded up."""
    model = graph(
        "(float[1, 2, 6, 6] x) => (float[1, 3, 6, 6] y) { y = Conv (x, w) }", {"w": rng.normal(size=(3, 2, 1, 1))}
    )
    (conv,) = _named(model)
    x = np.full((1, 2, 6, 6), 0.75, np.float32)  # of a step of 1: becomes 1
    found = rounding_bias(model, {"Conv": 1.0}, [x])["Conv"]
    kernel = weights(conv.inputs[1])
    assert kernel is not None
    levels, scale = quantize_weights(kernel.astype(np.float64))
    wanted = (levels * scale[:, None, None, None]).sum((1, 2, 3)) - 0.75 * kernel.sum((1, 2, 3))
    assert np.allclose(found, wanted, atol=1e-6)


def test_frames_to_labels_are_those_of_the_same_network_s_logits() -> None:
    """The scales are measured on the tensor graph and go to the frame graph by the convolutions' names."""
    network, given = trained(), spec("bgr")
    folded = trace(network, SMALL, batch=2)
    take_frames(folded, given)
    give_labels(folded)
    apply(folded, FOLD)
    for target in TARGETS:
        whole = folded.clone()
        apply(whole, target.int8_forms)
        assert [site.name for site in sites(whole)] == [site.name for site in sites(fused(network, target))]


def test_the_rest_may_be_f16_and_pairs_stay_pairs() -> None:
    before = fused(trained(character=DEAD), TENSORRT)
    names, model = {site.name for site in sites(before)}, quantised(before)
    to_half(model, NONE)
    check_onnx(model)
    assert faults(model) == ()
    for node in model.graph:
        if node.name in names:
            assert {value.dtype for value in node.inputs if value} == {ir.DataType.FLOAT16}
            assert producer(node.inputs[0], "DequantizeLinear") is not None  # no cast between
        if node.op_type == "DequantizeLinear":
            assert np.asarray(weights(node.inputs[1])).min() > 0


@pytest.mark.shared
def test_the_official_weights_quantise_without_a_zero_scale(shared: Path) -> None:
    from cgnet_deploy.checkpoint.reading import load_checkpoint

    model = load_checkpoint(shared / "checkpoints/cgnet_camvid_official.pth").model
    made = trace(model, FIXTURE, batch=2)
    apply(made, FOLD)
    apply(made, GENERIC.int8_forms)
    x = planes(FIXTURE, batch=2).numpy()
    (wanted,) = run_single(serialise(made), [x])
    quantize(made, calibrate(made, [site.name for site in sites(made)], [x]).reads)
    assert faults(made) == ()  # a scale of zero among them: half of the filters are dead
    (given,) = run_single(serialise(made), [x])
    assert np.mean(given.argmax(1) == wanted.argmax(1)) > 0.9  # no real frame: what the network sees is noise
