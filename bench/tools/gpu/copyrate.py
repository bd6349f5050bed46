"""What the GPU's memory really moves: a large copy within it, read and written bytes counted. Not yet run on a GPU."""

from __future__ import annotations

from statistics import median

import torch

from cgnet_deploy.bench.measure.latency import measure, warm_up
from cgnet_deploy.errors import EngineUnavailable

COPY_BYTES = 1 << 30  # far more than any cache holds
WARM_NS, TIMED_NS, LEAST_COPIES = 200_000_000, 1_000_000_000, 50


def copy_bytes_per_s() -> float:
    """The median over a second of copies. Raises EngineUnavailable where PyTorch sees no GPU."""
    if not torch.cuda.is_available():
        raise EngineUnavailable("PyTorch sees no NVIDIA GPU")
    source = torch.randint(0, 256, (COPY_BYTES,), dtype=torch.uint8, device="cuda")  # zeros may be faster than data
    target = torch.empty_like(source)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]

    def sample() -> int:
        start.record()
        target.copy_(source)
        end.record()
        end.synchronize()
        return int(start.elapsed_time(end) * 1e6)  # CUDA reports milliseconds

    warm_up(sample, WARM_NS, LEAST_COPIES, patience=2)
    taken = measure(sample, TIMED_NS, LEAST_COPIES)
    return 2 * COPY_BYTES * 1e9 / median(taken.samples_ns)
