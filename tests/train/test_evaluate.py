"""Evaluation of a torch network: the confusion against a loop by hand, and what the many scales average."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.dataset import fit
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.errors import DataError
from cgnet_deploy.pixels import to_tensor
from cgnet_deploy.spec import Res
from cgnet_deploy.train.evaluate import ONE_SCALE, SCALES, confusion_of, predict, probabilities
from cgnet_deploy.train.feed import Share
from cgnet_deploy.train.learner import fresh
from cgnet_deploy.train.recipes import CAMVID
from tests.data.trees import camvid_tree

SPEC = replace(CAMVID.input, res=Res(40, 56))
MODEL = fresh(replace(CAMVID, blocks=(2, 2)), 11).eval()
X = torch.randn(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))


def test_one_scale_is_softmax_of_the_network() -> None:
    with torch.inference_mode():
        assert torch.equal(probabilities(MODEL, X, ONE_SCALE, False), MODEL(X).softmax(1))


def test_many_scales_average_twelve_views() -> None:
    assert SCALES == (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
    with torch.inference_mode():
        views = []
        for scale in SCALES:
            size = (round(40 * scale), round(56 * scale))
            view = F.interpolate(X, size=size, mode="bilinear")
            back = F.interpolate(MODEL(view.flip(3)), size=(40, 56), mode="bilinear").softmax(1).flip(3)
            views += [F.interpolate(MODEL(view), size=(40, 56), mode="bilinear").softmax(1), back]
        found = probabilities(MODEL, X, SCALES, True)
    assert len(views) == 12
    assert torch.allclose(found, torch.stack(views).mean(0), atol=1e-6)
    assert torch.allclose(found.sum(1), torch.ones(1, 40, 56), atol=1e-5)


def test_mirroring_makes_a_mirrored_image_give_mirrored_labels() -> None:
    both = [probabilities(MODEL, x, ONE_SCALE, True) for x in (X, X.flip(3))]
    assert torch.allclose(both[0], both[1].flip(3), atol=1e-6)


def test_confusion_is_of_fitted_whole_images(tmp_path: Path) -> None:
    val = open_dataset(str(camvid_tree(tmp_path)), "val")
    wanted = Confusion.empty(11)
    for i in range(3):
        frame, truth = fit(val.frame(i), val.labels(i), SPEC.res)
        with torch.inference_mode():
            labels = MODEL(torch.from_numpy(to_tensor(frame[None], SPEC))).argmax(1)[0].numpy().astype(np.uint8)
        assert np.array_equal(predict(MODEL, frame, SPEC, ONE_SCALE, False), labels)
        wanted += Confusion.of(truth, labels, 11, 11)
    whole = confusion_of(MODEL, val, SPEC)
    assert np.array_equal(whole.counts, wanted.counts)
    shared_out = [confusion_of(MODEL, val, SPEC, share=Share(rank, 2)) for rank in range(2)]
    assert np.array_equal((shared_out[0] + shared_out[1]).counts, wanted.counts)


def test_every_module_keeps_its_mode(tmp_path: Path) -> None:
    val = open_dataset(str(camvid_tree(tmp_path, images=1)), "val")
    model = fresh(replace(CAMVID, blocks=(2, 2)), 11).train()
    model.join1.eval()
    confusion_of(model, val, SPEC)
    assert model.training
    assert not model.join1.training
    assert model.join2.training


def test_another_class_count_is_refused(tmp_path: Path) -> None:
    val = open_dataset(str(camvid_tree(tmp_path, images=1)), "val")
    with pytest.raises(DataError, match="11 classes, the network has 19"):
        confusion_of(fresh(replace(CAMVID, blocks=(2, 2)), 19), val, SPEC)
