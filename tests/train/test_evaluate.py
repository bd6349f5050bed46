"""Evaluation of a torch network: the confusion against a loop by hand, and what ms+flip averages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.dataset import fit_frame
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.errors import DataError
from cgnet_deploy.evaluation import SCALES
from cgnet_deploy.pixels import U8, to_tensor
from cgnet_deploy.spec import Res
from cgnet_deploy.train.evaluate import confusion_of, labeller, ms_flip_labeller
from cgnet_deploy.train.feed import Share
from cgnet_deploy.train.learner import fresh
from cgnet_deploy.train.recipes import CAMVID
from tests.data.trees import camvid_tree

SPEC = replace(CAMVID.input, res=Res(40, 56))
MODEL = fresh(replace(CAMVID, blocks=(2, 2)), 11).eval()
FRAMES: U8 = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8)


def test_ms_flip_averages_twelve_views() -> None:
    assert SCALES == (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
    found = ms_flip_labeller(MODEL, SPEC)(FRAMES)
    for frame, labels in zip(FRAMES, found, strict=True):
        views = []
        for scale in SCALES:
            view = cv2.resize(frame, (round(56 * scale), round(40 * scale)), interpolation=cv2.INTER_LINEAR)
            x = torch.from_numpy(to_tensor(np.asarray(view, np.uint8)[None], SPEC))
            with torch.inference_mode():
                back = F.interpolate(MODEL(x.flip(3)), size=(40, 56), mode="bilinear").softmax(1).flip(3)
                views += [F.interpolate(MODEL(x), size=(40, 56), mode="bilinear").softmax(1), back]
        assert len(views) == 12
        # Sums in another order tie-break a pixel or two.
        assert (labels == torch.stack(views).mean(0).argmax(1)[0].numpy()).mean() > 0.999


def test_confusion_is_of_labels_at_the_size_of_the_truth(tmp_path: Path) -> None:
    val = open_dataset(str(camvid_tree(tmp_path)), "val")
    wanted = Confusion.empty(11)
    for i in range(3):
        frame, truth = fit_frame(val.frame(i), SPEC.res), val.labels(i)
        assert truth.shape == (48, 64)
        with torch.inference_mode():
            small = MODEL(torch.from_numpy(to_tensor(frame[None], SPEC))).argmax(1)[0].numpy().astype(np.uint8)
        assert np.array_equal(labeller(MODEL, SPEC)(frame[None])[0], small)
        labels = np.asarray(cv2.resize(small, (64, 48), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
        wanted += Confusion.of(truth, labels, 11, 11)
    together = confusion_of(MODEL, val, SPEC)
    assert np.array_equal(together.counts, wanted.counts)
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
