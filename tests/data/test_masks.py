"""Masks of every kind give the values that they store; what is no mask is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cgnet_deploy.data.masks import read_mask
from cgnet_deploy.errors import DataError

VALUES = np.arange(6 * 8, dtype=np.uint8).reshape(6, 8)


def stored(path: Path, values: np.ndarray, bits: int | None = None, palette: bool = False) -> Path:
    image = Image.fromarray(values)
    if palette:
        image = Image.frombytes("P", (values.shape[1], values.shape[0]), values.tobytes())
        image.putpalette([v for i in range(256) for v in (255 - i, 7, 3)])  # index i has nothing to do with i
    if bits is None:
        image.save(path)
    else:
        image.save(path, bits=bits)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
@pytest.mark.parametrize("palette", [False, True])
def test_grey_and_palette_masks_give_what_they_store(suffix: str, palette: bool, tmp_path: Path) -> None:
    mask = read_mask(stored(tmp_path / f"m.{suffix}", VALUES, palette=palette))
    assert mask.kind == "values"
    assert np.array_equal(mask.pixels, VALUES)


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("palette", [False, True])
def test_few_bits_are_not_spread_over_8(bits: int, palette: bool, tmp_path: Path) -> None:
    values = VALUES % (1 << bits)
    assert np.array_equal(read_mask(stored(tmp_path / "m.png", values, bits, palette)).pixels, values)


def test_one_bit_is_0_and_1(tmp_path: Path) -> None:
    Image.fromarray(VALUES % 2 == 1).save(tmp_path / "m.png")
    assert np.array_equal(read_mask(tmp_path / "m.png").pixels, VALUES % 2)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_are_not_cut_to_8(suffix: str, tmp_path: Path) -> None:
    values = VALUES.astype(np.uint16) + 250
    assert np.array_equal(read_mask(stored(tmp_path / f"m.{suffix}", values)).pixels, values)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_are_read_as_red_green_blue(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (4, 3), (128, 64, 32)).save(tmp_path / "m.png")
    mask = read_mask(tmp_path / "m.png")
    assert mask.kind == "colours"
    assert np.unique(mask.pixels).tolist() == [0x804020]


@pytest.mark.parametrize(("name", "mode"), [("m.jpg", "L"), ("m.webp", "RGB"), ("m.tif", "F"), ("m.png", None)])
def test_what_is_no_mask_is_refused(name: str, mode: str | None, tmp_path: Path) -> None:
    path = tmp_path / name
    if mode is None:
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(path)
        path.write_bytes(path.read_bytes()[:900])
    else:
        Image.new(mode, (4, 3)).save(path)
    with pytest.raises(DataError, match=r"is no mask|has pixels of float32|cut or damaged") as caught:
        read_mask(path)
    assert str(path) in str(caught.value)
