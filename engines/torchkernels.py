"""The time of each kernel that a recorded graph starts, as the driver tells torch.profiler. Not yet run on a GPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity
from torch.profiler import profile as recording

from cgnet_deploy.engines.base import WARM_RUNS, Layer


def kernels(replay: Callable[[], None], runs: int) -> tuple[Layer, ...]:
    """One layer a kernel, the longest first: all its starts in one replay together, the mean of `runs`."""
    for _ in range(WARM_RUNS):
        replay()
    torch.cuda.synchronize()
    with recording(activities=[ProfilerActivity.CUDA]) as recorded:
        for _ in range(runs):
            replay()
        torch.cuda.synchronize()
    found = [event for event in recorded.key_averages() if event.device_type.name == "CUDA"]
    layers = [Layer(event.key, "kernel", 1e3 * event.self_device_time_total / runs) for event in found]  # told in us
    return tuple(sorted(layers, key=lambda layer: -layer.mean_ns))
