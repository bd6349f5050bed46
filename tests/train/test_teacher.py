"""Soft labels: where a crop lies in them, what they add to the loss, and teachers that can't teach."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.contracts import CAMVID_CLASSES
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.model import CGNet
from cgnet_deploy.pixels import to_tensor
from cgnet_deploy.spec import InputSpec, ModelSpec, Res
from cgnet_deploy.train.augment import View
from cgnet_deploy.train.learner import Learner, fresh
from cgnet_deploy.train.recipe import Distill
from cgnet_deploy.train.recipes import CAMVID
from cgnet_deploy.train.softlabels import SoftLabels, subsampled
from cgnet_deploy.train.teacher import Teacher, read_soft_labels, write_soft_labels
from tests.data.trees import camvid_tree
from tests.networks import drawn
from tests.train.runs import TINY, losses, trained
from tests.train.test_resume import largest_difference

CPU = torch.device("cpu")
NAMES = CAMVID_CLASSES.names
BGR = InputSpec((90.0, 100.0, 110.0), (50.0, 60.0, 70.0), "bgr", Res(40, 56))
RGB = InputSpec((105.0, 100.0, 95.0), (60.0, 60.0, 60.0), "rgb", Res(48, 64))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return camvid_tree(tmp_path_factory.mktemp("camvid"), images=4)


def saved(path: Path, spec: InputSpec = RGB, names: tuple[str, ...] = NAMES, model: CGNet | None = None) -> Path:
    palette = tuple((i, i, i) for i in range(len(names)))
    save_checkpoint(path, model or drawn(len(names)), ModelSpec(spec, names, palette, 255, (2, 2)), {})
    return path


@pytest.mark.parametrize(
    "view",
    [
        View(48, 64, 3, 10, False),
        View(83, 97, 40, 21, True),  # enlarged, of no multiple of 8
        View(24, 32, 0, 0, False),  # smaller than the crop
        View(30, 36, 0, 0, True),  # mirrored, with the padding still at the right
    ],
)
def test_a_crop_shows_what_the_teacher_saw_there(view: View) -> None:
    crop = Res(40, 48)
    maps = np.random.default_rng(0).normal(0, 3, (2, 5, 6, 8)).astype(np.float16)
    whole = F.interpolate(torch.from_numpy(maps[1:].astype(np.float32)), (view.height, view.width), mode="bilinear")
    part = whole.softmax(1)[:, :, view.top : view.top + crop.height, view.left : view.left + crop.width]
    part = part.flip(3) if view.mirrored else part
    padded = F.pad(part, (0, crop.width - part.shape[3], 0, crop.height - part.shape[2]))
    wanted = subsampled(padded)[0].numpy()
    seen = SoftLabels(maps).seen(1, view, crop)
    assert seen.shape == (5, 5, 6)
    assert np.allclose(seen, wanted, atol=1e-5)


def test_each_teacher_sees_the_picture_in_its_own_contract_and_class_order(data: Path, tmp_path: Path) -> None:
    turned = (*NAMES[1:], NAMES[0])
    paths = saved(tmp_path / "rgb.pth"), saved(tmp_path / "bgr.pth", BGR, turned, drawn(11, seed=1))
    teachers = [Teacher.read(path, NAMES) for path in paths]
    dataset = open_dataset(str(data), "train")
    write_soft_labels(teachers, dataset, 2.0, tmp_path / "soft.npy", CPU)
    maps = read_soft_labels(tmp_path / "soft.npy", dataset).maps
    assert maps.shape == (4, 11, 6, 8)
    mean = torch.zeros(11, 6, 8)
    with torch.inference_mode():
        for path, order in zip(paths, (list(range(11)), [10, *range(10)]), strict=True):
            checkpoint = load_checkpoint(path)
            spec = checkpoint.spec.input
            frame = (
                F.interpolate(  # linear without antialiasing, as OpenCV's; its rounding to u8 shows in the tolerance
                    torch.from_numpy(dataset.frame(2)).permute(2, 0, 1)[None].float(), tuple(spec.res), mode="bilinear"
                )
            )
            pixels = frame[0].round().permute(1, 2, 0).numpy().astype(np.uint8)
            image = torch.from_numpy(to_tensor(pixels[None], spec))
            for mirrored in (False, True):
                scores = checkpoint.model.scores(image.flip(3) if mirrored else image)[:, order]
                scores = scores.flip(3) if mirrored else scores
                mean += (F.interpolate(scores, (6, 8), mode="bilinear") / 2).softmax(1)[0] / 4
    assert np.abs(np.exp(maps[2].astype(np.float32)) - mean.numpy()).max() < 0.02


def test_the_loss_adds_the_divergence_from_the_teacher() -> None:
    recipe = replace(CAMVID, blocks=(2, 2), distill=Distill(weight=0.7, temperature=3.0))
    rng = torch.Generator().manual_seed(0)
    images, labels = torch.randn(2, 3, 24, 32, generator=rng), torch.randint(0, 11, (2, 24, 32), generator=rng)
    soft = torch.rand(2, 11, 3, 4, generator=rng)
    soft /= soft.sum(1, keepdim=True)
    soft[:, :, 2] = 0  # padding
    weights = np.ones(11, np.float32)
    plain, taught = (Learner(fresh(recipe, 11), recipe, weights, 11, CPU) for _ in range(2))
    with torch.no_grad():
        mine = plain.model.train()(images)[:, :, 4::8, 4::8].div(3).softmax(1).numpy()
    p = soft.numpy()[:, :, :2]
    divergence = (p * np.log(p / mine[:, :, :2])).sum() / (2 * 2 * 4)
    alone, _ = Learner(fresh(recipe, 11), recipe, weights, 11, CPU).learn(images, labels, 1e-3)
    both, _ = taught.learn(images, labels, 1e-3, soft)
    assert math.isclose(float(both), float(alone) + 0.7 * 9 * divergence, rel_tol=1e-4)


def test_a_run_with_a_teacher_goes_on_exactly(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bitwise on one thread; what the teacher saw is read again, so its file may be gone."""
    teacher, runs = saved(tmp_path / "teacher.pth"), (tmp_path / "straight", tmp_path / "stopped")
    for out, more in zip(runs, ((), ("--time-limit", "0")), strict=True):
        assert trained(data, out, "--iterations", "3", "--teacher", str(teacher), *more) == 0
    teacher.unlink()
    assert trained(data, runs[1], "--iterations", "3", "--resume") == 0
    assert largest_difference(runs[0] / "last.pth", runs[1] / "last.pth") == 0
    assert losses(runs[0]) == losses(runs[1])
    assert load_checkpoint(runs[1] / "last.pth").provenance["teacher"].startswith("teacher.pth, sha256 ")
    other = saved(tmp_path / "other.pth", model=drawn(11, seed=2))
    assert trained(data, runs[1], "--iterations", "3", "--resume", "--teacher", str(other)) == 2
    assert "the run to go on with has teacher.pth" in capsys.readouterr().err.splitlines()[-1]
    (runs[1] / "teacher.npy").write_bytes(b"cut")
    assert trained(data, runs[1], "--iterations", "3", "--resume") == 2
    assert "teacher.npy, which the teacher's labels are kept in, can't be read" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["missing", "fewer", "other", "infinite"])
def test_a_teacher_that_can_t_teach(fault: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, code, message = tmp_path / "teacher.pth", 2, "does not exist"
    if fault == "fewer":
        saved(path, names=NAMES[:7])
        message = "it has 7 classes, the data set has 11, and they must be the same"
    elif fault == "other":
        saved(path, names=(*NAMES[:10], "tram"))
        message = f"it has no {NAMES[10]!r}"
    elif fault == "infinite":
        model = drawn(11)
        torch.nn.init.constant_(model.classifier.weight, 3e38)
        saved(path, model=model)
        code, message = 1, "gives scores that are not finite numbers on picture train0"
    assert trained(data, tmp_path / "out", "--iterations", "2", "--teacher", str(path)) == code
    output = capsys.readouterr()
    assert message in output.err.splitlines()[-1]
    assert "Traceback" not in output.err
    assert not list((tmp_path / "out").glob("*.np*"))


def test_a_sequence_is_held_out(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert trained(data, out, "--iterations", "2", "--holdout", "train[01]*", "--time-limit", "0") == 0
    assert "2 pictures are validated on, the other 2 trained on" in capsys.readouterr().err
    assert trained(data, out, "--iterations", "2", "--resume", "--holdout", "train3*") == 2
    assert "--holdout: the run to go on with has train[01]*, not train3*" in capsys.readouterr().err
    assert trained(data, out, "--iterations", "2", "--resume") == 0
    wanted = "CamVid, train without train[01]*, which is validated on, 2 images"
    assert load_checkpoint(out / "last.pth").provenance["data"] == wanted
    for pattern, which in (("seq*", "no picture has"), ("*", "each of the 4 pictures has")):
        assert trained(data, tmp_path / "no", "--iterations", "2", "--holdout", pattern) == 2
        assert which in capsys.readouterr().err.splitlines()[-1]


def test_settings_of_the_loss_are_checked(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for setting in ("distill.temperature=0", "distill.weight=-1", "smoothing=1", "ohem=1", "optimiser.decayed=none"):
        assert trained(data, tmp_path / "out", settings=(*TINY, setting)) == 2
        assert setting.partition("=")[0].rpartition(".")[2] in capsys.readouterr().err.splitlines()[-1]
