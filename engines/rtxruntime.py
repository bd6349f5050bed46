"""How TensorRT for RTX runs a plan: with kernels for the very size, compiled before they run, and kept beside the plan.

Left alone it starts a new size with kernels of any size and compiles better ones meanwhile. A CUDA graph that is
recorded then holds the former for ever. Not yet run on a GPU.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cgnet_deploy.engines.trtapi import Api
from cgnet_deploy.errors import CgnetError
from cgnet_deploy.files import write_bytes

if TYPE_CHECKING:
    import tensorrt_rtx

log = logging.getLogger(__name__)

MAX_CACHE_BYTES = 256 << 20


@dataclass(slots=True)
class KernelCache:
    """Compiled kernels as TensorRT for RTX keeps them: of one GPU, driver and release, which it checks itself."""

    path: Path
    cache: tensorrt_rtx.IRuntimeCache
    content: bytes = field(default=b"", repr=False)

    def keep(self) -> None:
        """Write it, if it has changed; a folder that can't be written is no error."""
        content = bytes(self.cache.serialize())
        if content == self.content or len(content) > MAX_CACHE_BYTES:
            return
        try:
            write_bytes(self.path, content)
            self.content = content
        except CgnetError as error:
            log.debug(f"compiled kernels aren't kept: {error}")


def execution_of(
    trt: Api, engine: tensorrt_rtx.ICudaEngine, plan: Path
) -> tuple[tensorrt_rtx.IExecutionContext, KernelCache]:
    """An execution context of `engine`, or None where there is none, and its cache, read from beside `plan`."""
    config = engine.create_runtime_config()
    config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    kept = KernelCache(plan.with_name(f"{plan.name}.cache"), config.create_runtime_cache())
    try:
        content = kept.path.read_bytes() if kept.path.stat().st_size <= MAX_CACHE_BYTES else b""
    except OSError:
        content = b""
    if content and kept.cache.deserialize(content):
        kept.content = content
    elif content:
        log.info(f"{kept.path} is of another GPU, driver or TensorRT for RTX; a new one is made")
    config.set_runtime_cache(kept.cache)
    return engine.create_execution_context(runtime_config=config), kept


def can_be_recorded(execution: tensorrt_rtx.IExecutionContext, stream: int) -> bool:
    """Whether a CUDA graph can hold it; TensorRT needs no asking."""
    return bool(execution.is_stream_capturable(stream))
