from __future__ import annotations

from dataclasses import fields, replace

from cgnet_deploy.engines.fast.launch import Tile
from cgnet_deploy.engines.fast.tiles import CANDIDATES, F16, F32, Tiles, tune


def test_every_kernel_has_candidates() -> None:
    assert set(CANDIDATES) == {field.name for field in fields(Tiles)}


def test_tiles_are_powers_of_two() -> None:
    """Triton's ranges must be, and a matrix product takes at least 16 rows."""
    for tiles in (F16, F32):
        chosen = [(field.name, getattr(tiles, field.name)) for field in fields(Tiles)]
        tried = [(name, tile) for name, several in CANDIDATES.items() for tile in several]
        for name, tile in [*chosen, *tried]:
            assert all(side > 0 and side & (side - 1) == 0 for side in (tile.rows, tile.cols, tile.warps)), name
            assert tile.pixels >= 16


def test_tuning_finds_the_best_tile_of_each_kernel_and_passes_by_what_does_not_fit() -> None:
    wanted = replace(F16, mix3=Tile(1, 128, warps=8), labels=Tile(8, 64, warps=2))
    asked: list[Tiles] = []

    def time_ns(tiles: Tiles) -> int | None:
        asked.append(tiles)
        if tiles.first == Tile(16, 16, warps=8):
            return None
        wrong: list[bool] = [getattr(tiles, field.name) != getattr(wanted, field.name) for field in fields(Tiles)]
        return 1000 + wrong.count(True)

    assert tune(time_ns, F16) == wanted
    assert len(set(asked)) == len(asked)
