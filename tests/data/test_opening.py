"""Data sets recognised by their content, their labels, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cgnet_deploy.contracts import CAMVID_CLASSES, CITYSCAPES_CLASSES
from cgnet_deploy.data.dataset import check_classes, fit, sample
from cgnet_deploy.data.formats import FORMATS
from cgnet_deploy.data.opening import format_of, open_dataset
from cgnet_deploy.errors import DataError, UserError
from cgnet_deploy.spec import Res
from tests.data.own import Sample, camvid_colours, cvat, mmseg, yaml_grey
from tests.data.trees import camvid_tree, cityscapes_tree, write


def test_camvid_is_recognised_by_its_folders(tmp_path: Path) -> None:
    camvid_tree(tmp_path)
    train, val, both = (open_dataset(str(tmp_path), split) for split in ("train", "val", "trainval"))
    assert (train.name, train.table, len(train), len(val), len(both)) == ("CamVid", CAMVID_CLASSES, 3, 3, 6)
    assert [both.identifier(i) for i in range(6)] == ["train0", "train1", "train2", "val0", "val1", "val2"]
    frame, labels = sample(val, 1)
    assert frame.shape == (48, 64, 3)
    assert labels.tolist() == np.asarray(cv2.imread(str(tmp_path / "valannot/val1.png"), cv2.IMREAD_UNCHANGED)).tolist()


def test_cityscapes_label_ids_become_train_ids(tmp_path: Path) -> None:
    cityscapes_tree(tmp_path)
    train = open_dataset(str(tmp_path), "train")
    assert (train.name, train.table, len(train)) == ("Cityscapes", CITYSCAPES_CLASSES, 3)
    stored = np.arange(256, dtype=np.uint8)
    stored[34:255] = 0  # 0 to 33 and 255 (id -1) are all the ids there are
    write(tmp_path / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png", np.tile(stored[:128], (64, 1)))
    labels = train.labels(0)[0]
    # The official table (cityscapesScripts, helpers/labels.py), by name: road 7, sidewalk 8, car 26, bicycle 33.
    assert [int(labels[i]) for i in (7, 8, 26, 33)] == [
        CITYSCAPES_CLASSES.names.index(n) for n in ("road", "sidewalk", "car", "bicycle")
    ]
    assert sorted({int(v) for v in labels} - {255}) == list(range(19))
    assert sum(int(labels[i]) == 255 for i in range(34)) == 34 - 19


@pytest.mark.parametrize(
    "name", ["._{}", "@eaDir/{}", "__MACOSX/{}", ".AppleDouble/{}", "$Recycle.Bin/{}", "@Recycle/{}", "#snapshot/{}"]
)
@pytest.mark.parametrize("layout", ["camvid", "cityscapes"])
def test_what_a_system_puts_beside_pictures_is_no_picture(layout: str, name: str, tmp_path: Path) -> None:
    (camvid_tree if layout == "camvid" else cityscapes_tree)(tmp_path)
    for picture in sorted(tmp_path.rglob("*.png")):
        beside = picture.parent / name.format(picture.name)
        city = picture.parent.parent / name.format(picture.name)  # beside the cities
        for path in (beside, city):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"\0\5\x16\7")
    dataset = open_dataset(str(tmp_path), "val")
    assert len(dataset) == 3
    assert dataset.labels(0).ndim == 2


def test_a_system_s_folder_is_none_of_camvid_s_folders(tmp_path: Path, drawn: list[Sample]) -> None:
    camvid_colours(tmp_path, drawn)
    (tmp_path / "@eaDir").mkdir()
    (tmp_path / "@eaDir" / "a.png").write_bytes(b"\0\5\x16\7")
    assert len(open_dataset(str(tmp_path), "trainval")) == len(drawn)


def test_cityscapes_takes_train_ids_where_they_are(tmp_path: Path) -> None:
    cityscapes_tree(tmp_path)
    for path in tmp_path.glob("gtFine/*/*/*_labelIds.png"):
        made = np.full((64, 128), 18, np.uint8)
        made[0] = 255
        write(path.with_name(path.name.replace("labelIds", "labelTrainIds")), made)
    assert np.unique(open_dataset(str(tmp_path), "val").labels(0)).tolist() == [18, 255]


Fault = Callable[[Path], object]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda d: (d / "trainannot" / "train1.png").unlink(), "train1.png has no mask train1.png.* in .*trainannot"),
        (lambda d: (d / "train" / "train1.png").unlink(), "trainannot/train1.png has no picture"),
        (lambda d: [p.unlink() for p in (d / "train").iterdir()], "train holds no picture"),
        (lambda d: (d / "train").rename(d / "other"), "train is missing"),
        (lambda d: write(d / "train" / "train1.webp", np.zeros((48, 64, 3), np.uint8)), "4 pictures with 3 names"),
    ],
)
def test_a_camvid_that_does_not_pair_up(fault: Fault, message: str, tmp_path: Path) -> None:
    camvid_tree(tmp_path)
    fault(tmp_path)
    with pytest.raises(DataError, match=message):
        open_dataset(str(tmp_path), "train")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            np.full((48, 64), 12, np.uint8),
            r"label 12 \(100 % of its pixels\), which CamVid doesn't have: wanted 0 to 10, or 11",
        ),
        (np.zeros((48, 65), np.uint8), "is 48x65, its image train1.png is 48x64"),
        (np.zeros((48, 64, 3), np.uint8), "is an RGB mask: it repeats one grey channel"),
    ],
)
def test_labels_that_do_not_fit(labels: np.ndarray, message: str, tmp_path: Path) -> None:
    camvid_tree(tmp_path)
    write(tmp_path / "trainannot" / "train1.png", labels)
    train = open_dataset(str(tmp_path), "train")
    with pytest.raises(DataError, match=message) as caught:
        train.labels(1)
    assert "trainannot/train1.png" in str(caught.value)


def test_cityscapes_faults(tmp_path: Path) -> None:
    cityscapes_tree(tmp_path)
    with pytest.raises(DataError, match="split 'test' unpacked"):
        open_dataset(str(tmp_path), "test")
    write(tmp_path / "gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png", np.full((64, 128), 34, np.uint8))
    with pytest.raises(DataError, match=r"label 34 .*, which Cityscapes"):
        open_dataset(str(tmp_path), "val").labels(0)
    (tmp_path / "gtFine/val/lindau/lindau_000001_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(DataError, match=r"lindau_000001.*has no labels"):
        open_dataset(str(tmp_path), "val")


def test_every_format_recognises_its_own_data_set(tmp_path: Path) -> None:
    labels = np.zeros((12, 16), np.uint8)
    samples = [Sample(split, split, np.zeros((12, 16, 3), np.uint8), labels) for split in ("train", "val")]
    own = {"YAML": yaml_grey, "VOC": cvat, "CamVid in colours": camvid_colours, "folders": mmseg}
    for name, written in own.items():
        written(tmp_path / name, samples)
    (tmp_path / "folders" / "data.yaml").unlink()
    trees = {
        "scenes": "scenes:7",
        "CamVid": str(camvid_tree(tmp_path / "camvid")),
        "Cityscapes": str(cityscapes_tree(tmp_path / "city")),
        **{name: str(tmp_path / name) for name in own},
    }
    assert {format.name for format in FORMATS} == trees.keys()
    for name, where in trees.items():
        assert format_of(where).name == name
        assert set(format_of(where).loader().splits(where)) >= {"train", "val"}


def test_an_unknown_data_set_error_lists_the_formats(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"wanted scenes.*, Cityscapes .*, CamVid \(folders SPLIT and SPLITannot\)"):
        open_dataset(str(tmp_path), "train")


@pytest.mark.parametrize("where", ["missing", ".", "scenes:x", "scenes:1:axb", "scenes:1:", "scenes:-1"])
def test_a_bad_data_set_argument_is_refused(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        open_dataset(where, "train")


def test_class_counts_must_agree() -> None:
    train = open_dataset("scenes", "train")
    check_classes(train, 11)
    with pytest.raises(DataError, match="11 classes, the network has 19"):
        check_classes(train, 19)


def test_fitting_invents_no_label() -> None:
    frame = np.zeros((40, 60, 3), np.uint8)
    frame[:, 30:] = 200
    labels = np.where(frame[..., 0] > 0, 9, 2).astype(np.uint8)
    small, fitted = fit(frame, labels, Res(20, 30))
    assert (small.shape, fitted.shape) == ((20, 30, 3), (20, 30))
    assert np.unique(fitted).tolist() == [2, 9]
    assert np.array_equal(fitted == 9, small[..., 0] > 100)  # labels and frame keep their edge at one place
    same, kept = fit(frame, labels, Res(40, 60))
    assert same is frame
    assert kept is labels


@pytest.mark.shared
def test_the_real_camvid(shared: Path) -> None:
    train, val = (open_dataset(str(shared / "camvid"), split) for split in ("train", "val"))
    assert (len(train), len(val)) == (367, 101)
    frame, labels = sample(val, 0)
    assert (frame.shape, labels.shape) == ((360, 480, 3), (360, 480))
    assert set(np.unique(labels)) <= set(range(12))
