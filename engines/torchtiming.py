"""The time of PyTorch's work: of one inference by CUDA's own events, of each step of a network, of each GPU kernel.

Steps are modules and plain functions alike. The network is traced by torch.fx and its steps run one by one, each in a
range of torch.profiler's, whose clock is the CPU's or, for a step on the GPU, that of the kernels that it started.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.profiler import ProfilerActivity, record_function
from torch.profiler import profile as recording

from cgnet_deploy.engines.base import Layer


def event_ns(enqueue: Callable[[], object]) -> int:
    """The GPU's time of what `enqueue` starts on the current stream."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    enqueue()
    end.record()
    end.synchronize()
    return int(start.elapsed_time(end) * 1e6)  # CUDA gives milliseconds


class Steps(fx.Interpreter):
    """Runs a traced network step by step, each in a range called "module.path/what"."""

    def run_node(self, node: fx.Node) -> Any:
        with record_function(label(node)):
            return super().run_node(node)


def label(node: fx.Node) -> str:
    """`stage2.1.entry.conv/conv`, or `stage2.1/cat` for a function that the module calls."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    module = stack[-1][0] if stack else ""
    kind = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return f"{module}/{kind.rpartition('.')[2]}"


def profile_modules(model: nn.Module, tensor: Tensor, warm: int, runs: int) -> tuple[Layer, ...]:
    """Layers of `model` on (N, 3, H, W) `tensor`, on whose device it is: the mean of `runs` after `warm` more."""
    graph = fx.symbolic_trace(model)
    steps = Steps(graph)
    for _ in range(warm):
        steps.run(tensor)
    cuda = tensor.is_cuda
    activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA] if cuda else [ProfilerActivity.CPU]
    with recording(activities=activities) as recorded:
        for _ in range(runs):
            steps.run(tensor)
    order = dict.fromkeys(label(node) for node in graph.graph.nodes if node.op.startswith("call"))
    events = {event.key: event for event in recorded.key_averages()}
    times = {name: events[name].device_time_total if cuda else events[name].cpu_time_total for name in order}  # us
    return tuple(Layer(name, name.rpartition("/")[2], 1e3 * time / runs) for name, time in times.items())


def profile_kernels(replay: Callable[[], None], warm: int, runs: int) -> tuple[Layer, ...]:
    """One layer a kernel of a recorded graph, the longest first: all its starts in one replay, the mean of `runs`.

    Not yet run on a GPU.
    """
    for _ in range(warm):
        replay()
    torch.cuda.synchronize()
    with recording(activities=[ProfilerActivity.CUDA]) as recorded:
        for _ in range(runs):
            replay()
        torch.cuda.synchronize()
    events = [event for event in recorded.key_averages() if event.device_type.name == "CUDA"]
    layers = [Layer(event.key, "kernel", 1e3 * event.self_device_time_total / runs) for event in events]  # in us
    return tuple(sorted(layers, key=lambda layer: -layer.mean_ns))
