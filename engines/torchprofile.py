"""The time of each step of a CGNet in PyTorch, modules and plain functions alike, called by where they stand.

The network is traced by torch.fx and its steps are run one by one, each in a range of torch.profiler's, whose
clock is the CPU's or, for a step on the GPU, that of the kernels which it started.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx, nn
from torch.profiler import ProfilerActivity, record_function
from torch.profiler import profile as recording

from cgnet_deploy.engines.base import Layer


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


def profile(model: nn.Module, planes: Tensor, warm: int, runs: int) -> tuple[Layer, ...]:
    """Layers of `model` on (N, 3, H, W) `planes`, on whose device it is: the mean of `runs` after `warm` more."""
    graph = fx.symbolic_trace(model)
    steps = Steps(graph)
    for _ in range(warm):
        steps.run(planes)
    cuda = planes.is_cuda
    activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA] if cuda else [ProfilerActivity.CPU]
    with recording(activities=activities) as recorded:
        for _ in range(runs):
            steps.run(planes)
    order = dict.fromkeys(label(node) for node in graph.graph.nodes if node.op.startswith("call"))
    found = {event.key: event for event in recorded.key_averages()}
    times = {name: found[name].device_time_total if cuda else found[name].cpu_time_total for name in order}  # us
    return tuple(Layer(name, name.rpartition("/")[2], 1e3 * time / runs) for name, time in times.items())
