from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cgnet_deploy.engines.fast import labels
from cgnet_deploy.engines.fast.launch import Tile
from cgnet_deploy.engines.fast.tiles import usual
from tests.engines.fast.held import DEVICE


def scores_for(classes: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, classes, -(-height // 8), -(-width // 8), generator=generator).to(DEVICE)


@pytest.mark.parametrize(
    ("classes", "height", "width"),
    [(3, 41, 131), (3, 32, 64), (3, 8, 8), (3, 1, 1), (1, 33, 35), (19, 33, 35)],  # 33 rows are 5: far from an eighth
)
def test_labels_are_the_argmax_of_enlarged_scores(classes: int, height: int, width: int) -> None:
    scores = scores_for(classes, height, width)
    out = torch.full((2, height, width), 255, dtype=torch.uint8, device=DEVICE)
    labels.labels(scores, out, usual(torch.float16).labels).run()
    wanted = F.interpolate(scores.double(), size=(height, width), mode="bilinear", align_corners=False)
    values = wanted.gather(1, out.long().unsqueeze(1)).squeeze(1)  # what the chosen class has
    assert (wanted.amax(1) - values).max() <= 1e-5 * wanted.abs().max()
    assert (out == wanted.argmax(1)).double().mean() > 0.999
    assert len(set(out.flatten().tolist())) == classes or out.numel() < 200


def test_the_first_of_equal_classes_wins() -> None:
    scores = scores_for(2, 40, 56)[:, [0, 1, 0, 1]]
    out = torch.zeros(2, 40, 56, dtype=torch.uint8, device=DEVICE)
    labels.labels(scores, out, Tile(8, 64, warps=2)).run()
    assert set(out.flatten().tolist()) == {0, 1}


@pytest.mark.parametrize("rows", [1, 2, 4, 16])
def test_every_height_of_a_tile_reads_the_rows_it_needs(rows: int) -> None:
    """Enlarged by a factor that is no integer, each row of labels lies between two other rows of scores."""
    scores = scores_for(3, 29, 16)
    expected, got = (torch.zeros(2, 29, 16, dtype=torch.uint8, device=DEVICE) for _ in range(2))
    labels.labels(scores, expected, Tile(8, 16, warps=1)).run()
    labels.labels(scores, got, Tile(rows, 16, warps=1)).run()
    assert torch.equal(got, expected)
