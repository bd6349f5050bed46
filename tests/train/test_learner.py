"""One step of the learner: the loss by hand, void pixels, averaged weights, weight decay, and going on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cgnet_deploy.train.learner import Learner, fresh, parameter_groups
from cgnet_deploy.train.recipe import Recipe
from cgnet_deploy.train.recipes import CAMVID, CAMVID_OFFICIAL, MMSEG_680

CPU = torch.device("cpu")
SMALL = replace(CAMVID, blocks=(2, 2))
WEIGHTS = np.linspace(1, 3, 11, dtype=np.float32)
IMAGES = torch.randn(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(0, 12, (2, 24, 32), generator=torch.Generator().manual_seed(1))  # 11 is void


def learner(recipe: Recipe = SMALL, ignore_label: int = 11) -> Learner:
    return Learner(fresh(recipe, 11), recipe, WEIGHTS, ignore_label, CPU)


def test_loss_is_the_weighted_mean_over_valid_pixels() -> None:
    taught = learner()
    with torch.no_grad():
        log_p = taught.model(IMAGES).log_softmax(1)  # in training mode: batch statistics, as `learn` uses
    above = below = 0.0
    for (n, y, x), label in np.ndenumerate(LABELS.numpy()):
        if label != 11:
            above -= float(WEIGHTS[label]) * float(log_p[n, label, y, x])
            below += float(WEIGHTS[label])
    loss, _ = learner().learn(IMAGES, LABELS, 1e-3)
    assert math.isclose(float(loss), above / below, rel_tol=1e-4)  # float32 sums of 1500 terms


def test_label_255_is_no_index_into_the_class_weights() -> None:
    cityscapes = LABELS.clone()
    cityscapes[LABELS == 11] = 255
    as_255, _ = learner(ignore_label=255).learn(IMAGES, cityscapes, 1e-3)
    as_11, _ = learner().learn(IMAGES, LABELS, 1e-3)
    assert float(as_255) == float(as_11)


def test_a_batch_of_void_teaches_nothing_and_breaks_nothing() -> None:
    taught = learner(replace(SMALL, optimiser=replace(SMALL.optimiser, weight_decay=0.0)))
    before = taught.model.classifier.weight.clone()
    loss, norm = taught.learn(IMAGES, torch.full_like(LABELS, 11), 1e-3)
    assert float(loss) == float(norm) == 0
    assert torch.equal(taught.model.classifier.weight, before)


def test_steps_lower_the_loss() -> None:
    taught = learner()
    losses = [float(taught.learn(IMAGES, LABELS // 6, 3e-3)[0]) for _ in range(12)]
    assert losses[-1] < 0.7 * losses[0]


def test_clipping_bounds_the_step_but_tells_the_norm() -> None:
    sgd_like = learner(replace(SMALL, clip=1e-3))
    loss, norm = sgd_like.learn(IMAGES, LABELS, 1e-3)
    free_loss, free_norm = learner(replace(SMALL, clip=0.0)).learn(IMAGES, LABELS, 1e-3)
    assert float(loss) == float(free_loss)
    assert float(norm) == float(free_norm) > 1e-3
    clipped = math.sqrt(sum(float(p.grad.square().sum()) for p in sgd_like.model.parameters() if p.grad is not None))
    assert math.isclose(clipped, 1e-3, rel_tol=1e-3)  # torch divides by norm + 1e-6


def test_averaged_weights_trail_the_network() -> None:
    taught = learner(replace(SMALL, ema=0.9))
    wanted = taught.model.classifier.weight.detach().clone()
    for step in range(1, 4):
        taught.learn(IMAGES, LABELS, 1e-3)
        decay = min(0.9, step / (step + 10))
        wanted = decay * wanted + (1 - decay) * taught.model.classifier.weight.detach()
    assert torch.allclose(taught.averaged.classifier.weight, wanted, atol=1e-6)
    bn, averaged_bn = taught.model.join1.bn, taught.averaged.join1.bn
    assert averaged_bn.running_mean is not None
    assert bn.running_mean is not None
    assert not torch.equal(averaged_bn.running_mean, torch.zeros_like(averaged_bn.running_mean))
    assert averaged_bn.num_batches_tracked == bn.num_batches_tracked == 3


def test_without_averaging_the_network_itself_is_shipped() -> None:
    taught = learner(replace(SMALL, ema=0.0))
    assert taught.averaged is taught.model


def test_decay_spares_norms_slopes_and_biases_in_our_recipes_only() -> None:
    model = fresh(SMALL, 11)
    (everything,) = parameter_groups(model, CAMVID_OFFICIAL.optimiser)
    assert len(everything["params"]) == len(list(model.parameters()))
    assert everything["weight_decay"] == 5e-4
    decayed, spared = parameter_groups(model, CAMVID.optimiser)
    assert spared["weight_decay"] == 0 < decayed["weight_decay"]
    matrices = {id(m.weight) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    assert {id(p) for p in decayed["params"]} == matrices
    assert len(decayed["params"]) + len(spared["params"]) == len(list(model.parameters()))


def test_frozen_statistics_stay() -> None:
    taught = learner(replace(SMALL, frozen_bn=True))
    before = {k: v.clone() for k, v in taught.model.state_dict().items() if "running" in k}
    taught.learn(IMAGES, LABELS, 1e-3)
    assert all(torch.equal(taught.model.state_dict()[k], v) for k, v in before.items())


def test_fresh_weights_follow_the_recipe_s_seed_and_style() -> None:
    one, same, other = (fresh(replace(SMALL, seed=seed), 11) for seed in (0, 0, 1))
    assert torch.equal(one.classifier.weight, same.classifier.weight)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)
    mmseg = fresh(replace(MMSEG_680, blocks=(2, 2)), 19)
    assert mmseg.classifier.bias is not None
    assert one.classifier.bias is None
    assert not mmseg.join1.act.weight.any()  # PReLU starts as ReLU there


def test_a_restored_learner_goes_on_exactly() -> None:
    straight = learner()
    for _ in range(4):
        straight.learn(IMAGES, LABELS, 1e-3)
    first = learner()
    for _ in range(2):
        first.learn(IMAGES, LABELS, 1e-3)
    second = learner()
    second.restore(first.state())
    for _ in range(2):
        second.learn(IMAGES, LABELS, 1e-3)
    assert second.step == straight.step == 4
    for part in ("model", "averaged"):
        wanted, found = straight.state()[part], second.state()[part]
        assert all(torch.equal(wanted[key], found[key]) for key in wanted)


def test_capturing_leaves_the_network_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """What make_graphed_callables does to the network, done on a CPU: it runs it, in training mode, a few times."""
    autocast: list[bool] = []

    def graphed(model: nn.Module, sample: tuple[torch.Tensor]) -> nn.Module:
        autocast.append(torch.is_autocast_cache_enabled())
        for _ in range(4):
            model(*sample)
        return model

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", graphed)
    captured, plain = learner(replace(SMALL, captured=True)), learner()
    for taught in (captured, plain):
        taught.learn(IMAGES, LABELS, 1e-3)
        taught.learn(IMAGES, LABELS, 1e-3)
    assert autocast == [False]  # once, and without the cache that a graph can't hold
    for (key, value), wanted in zip(
        captured.model.state_dict().items(), plain.model.state_dict().values(), strict=True
    ):
        assert torch.equal(value, wanted), key


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no NVIDIA GPU")
@pytest.mark.parametrize("amp", [False, True])
def test_a_captured_step_is_the_plain_one(amp: bool) -> None:
    recipes = [replace(SMALL, amp=amp, captured=captured) for captured in (False, True)]
    plain, captured = (Learner(fresh(r, 11), r, WEIGHTS, 11, torch.device("cuda")) for r in recipes)
    for step in range(4):
        batch = IMAGES.roll(step, 0), LABELS.roll(step, 0)  # a replay must read the new batch, not the recorded one
        wanted, _ = plain.learn(*batch, 1e-3)
        loss, _ = captured.learn(*batch, 1e-3)
        assert math.isclose(float(loss), float(wanted), rel_tol=2e-2 if amp else 1e-3)
    for (key, value), wanted in zip(
        captured.model.state_dict().items(), plain.model.state_dict().values(), strict=True
    ):
        assert torch.allclose(value.float(), wanted.float(), atol=2e-2 if amp else 2e-3), key
    assert captured.captured
