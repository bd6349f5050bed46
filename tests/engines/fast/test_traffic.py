from __future__ import annotations

from cgnet_deploy.bench.tools.floor import floor_bytes
from cgnet_deploy.engines.fast.compile import network_of
from cgnet_deploy.engines.fast.traffic import traffic
from cgnet_deploy.spec import Precision, Res

FULL = Res(1024, 2048)
M, N, CLASSES = 3, 21, 19
JOINT, MIX, JOIN = 1.5, 3.5, 3  # of C: t to y; x, y to x, t; x, y to x


def test_the_fast_path_moves_what_was_planned() -> None:
    """Counted by hand, in values a pixel of each size; only the sums of the global means are not maps."""
    full, half, quarter, eighth = (1024 * 2048 // 4**i for i in range(4))
    stem = (32 + 3) * half + 2 * 64 * half  # first, which also halves the image; two convolutions
    entries = (32 + 3) * half + (64 + 3) * quarter + (64 + 64 + 3) * quarter + 128 * eighth
    downs = (3 + 3.5) * (64 * quarter + 128 * eighth)  # joint; y to d and the next t
    blocks2 = ((M - 1) * JOINT + (M - 2) * MIX + JOIN) * 64 * quarter
    blocks3 = ((N - 1) * JOINT + (N - 2) * MIX) * 128 * eighth
    head = 3 * 128 * eighth
    scores = 2 * CLASSES * eighth
    for precision, size in ((Precision.F16, 2), (Precision.F32, 4)):
        rows = traffic(network_of(FULL, precision))
        means = sum(row.nbytes for row in rows if row.kernel.startswith("gate"))
        written = sum(row.bytes_read for row in rows if row.kernel.startswith("gate"))  # by the joint features
        maps = sum(row.nbytes for row in rows) - means - written
        wanted = size * (stem + entries + downs + blocks2 + blocks3 + head) + 4 * scores + 3 * full + full
        assert maps == wanted
        assert means + written < 0.01 * maps
        assert sum(row.launches for row in rows) == 3 * (M + N) + 6


def test_the_fast_path_moves_less_than_its_schedules_floor() -> None:
    """Below `next`, which spends a pass on a down block's mean; `twice` is for a schedule that this is not."""
    moved = sum(row.nbytes for row in traffic(network_of(FULL, Precision.F16)))
    assert floor_bytes("twice", FULL, CLASSES, 2) < moved < floor_bytes("next", FULL, CLASSES, 2)
