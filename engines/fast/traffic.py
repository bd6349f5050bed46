"""What the fast path moves in one run, by kernel: every map it reads or writes, once.

Weights (2 MB in f32), a tile's borders and what stays in caches between kernels are left out, as in the floors that
it is compared with (`bench/tools/floor.py`). Needs no GPU and takes no memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from cgnet_deploy.engines.fast.launch import Launch
from cgnet_deploy.engines.fast.network import FastNetwork


@dataclass(frozen=True, slots=True)
class Traffic:
    """Of all launches of one kernel."""

    kernel: str
    launches: int
    bytes_read: int
    bytes_written: int

    @property
    def nbytes(self) -> int:
        return self.bytes_read + self.bytes_written


def traffic(network: FastNetwork) -> tuple[Traffic, ...]:
    """By kernel, in the order in which they first run."""
    by_name: dict[str, list[Launch]] = {}
    for launch in network.launches:
        by_name.setdefault(launch.name, []).append(launch)
    return tuple(
        Traffic(name, len(all_), sum(one.bytes_read() for one in all_), sum(one.bytes_written() for one in all_))
        for name, all_ in by_name.items()
    )
