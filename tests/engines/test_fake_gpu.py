"""The faked GPU refuses what pycuda, CUDA and TensorRT refuse: what it let pass would pass our tests too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from cgnet_deploy.engines.trtapi import new_log, no_collection
from tests.engines.fake_gpu import THREAD_LOCAL, FakeGpu
from tests.engines.fake_pycuda import NON_BLOCKING, Stream
from tests.engines.fake_streams import OURS, THEIRS
from tests.engines.fake_tensorrt import MAX_BATCH, MAX_SIDE, VERSION, Execution

SHAPE = (1, 40, 56, 3)
HEADER = bytes(map(int, VERSION.split(".")))


@pytest.fixture
def gpu() -> FakeGpu:
    """Its context is current in this thread."""
    gpu = FakeGpu("frames")
    gpu.contexts = 1
    return gpu


@pytest.fixture
def log(gpu: FakeGpu) -> Any:
    return new_log(gpu.trt)


@pytest.fixture
def execution(gpu: FakeGpu, log: Any) -> Iterator[Execution]:
    with no_collection():
        plan = gpu.trt.Runtime(log).deserialize_cuda_engine(b"ftrt" + bytes(20) + HEADER)
        yield plan.create_execution_context()


def elsewhere(work: Callable[[], Any]) -> Any:
    """In a thread without a context."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (b"ftrt" + bytes(20) + bytes([10, 13, 3, 8]), "the plan is of another release"),
        (b"onnx" + bytes(20) + HEADER, "the plan is of another release"),
        (b"vtrt" + bytes(20) + HEADER, "this compute capability is not supported"),
    ],
    ids=["version", "tag", "RTX on 9.0"],
)
def test_plans_that_tensorrt_refuses(gpu: FakeGpu, log: Any, plan: bytes, says: str) -> None:
    with no_collection():
        assert gpu.trt.Runtime(log).deserialize_cuda_engine(plan) is None
    assert log.reason() == says


def test_a_version_of_three_numbers_is_what_the_package_says_not_the_library(gpu: FakeGpu, log: Any) -> None:
    gpu.install("10.3.0.30", shown=3)
    assert gpu.trt.__version__ == "10.3.0"
    with no_collection():
        assert gpu.trt.Runtime(log).deserialize_cuda_engine(b"ftrt" + bytes(20) + bytes([10, 3, 0, 26])) is None
        assert gpu.trt.Runtime(log).deserialize_cuda_engine(b"ftrt" + bytes(20) + bytes([10, 3, 0, 30])) is not None


def test_a_context_is_of_one_thread(gpu: FakeGpu) -> None:
    for work in (
        lambda: gpu.cuda.mem_alloc(4),
        lambda: gpu.cuda.pagelocked_empty((4,), np.uint8),
        lambda: gpu.cuda.Stream(NON_BLOCKING),
        lambda: gpu.cuda.Event(),
        lambda: gpu.cudart.cudaStreamBeginCapture(OURS, THREAD_LOCAL),
    ):
        with pytest.raises(AssertionError, match="no context is current"):
            elsewhere(work)


@pytest.mark.parametrize("made", ["Stream", "Event", "mem_alloc", "pagelocked_empty"])
def test_what_another_thread_lets_go_of_without_the_context_leaks(gpu: FakeGpu, made: str) -> None:
    owned = [getattr(gpu.cuda, made)(*{"mem_alloc": (4,), "pagelocked_empty": ((4,), np.uint8)}.get(made, ()))]
    elsewhere(owned.clear)
    assert len(gpu.leaked) == 1


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (lambda gpu, _: gpu.cuda.mem_alloc(4), "allocating ends a recording"),
        (lambda gpu, _: gpu.cuda.pagelocked_empty((4,), np.uint8), "pinning memory ends a recording"),
        (lambda _, had: had[0].free(), "freeing ends a recording"),
        (lambda _, had: had[1].synchronize(), "waiting ends a recording"),
    ],
    ids=["allocate", "pin", "free", "wait"],
)
def test_what_ends_a_recording(gpu: FakeGpu, work: Callable[[FakeGpu, Any], Any], says: str) -> None:
    had = gpu.cuda.mem_alloc(4), gpu.cuda.Stream(NON_BLOCKING)
    gpu.cudart.cudaStreamBeginCapture(OURS, THREAD_LOCAL)
    work(gpu, had)
    with pytest.raises(AssertionError, match=says):
        gpu.cudart.cudaStreamEndCapture(OURS)


def test_other_threads_may_allocate_meanwhile(gpu: FakeGpu) -> None:
    gpu.cudart.cudaStreamBeginCapture(OURS, THREAD_LOCAL)

    def allocate() -> None:
        gpu.contexts = 1
        gpu.cuda.mem_alloc(4)
        gpu.contexts = 0

    elsewhere(allocate)
    assert gpu.cudart.cudaStreamEndCapture(OURS) == ("success", [])


def test_the_legacy_stream_is_not_recorded_and_ends_what_waits_for_it(gpu: FakeGpu) -> None:
    stream, memory = gpu.cuda.Stream(), gpu.cuda.mem_alloc(4)
    with pytest.raises(AssertionError, match="the legacy stream can't be recorded"):
        gpu.cudart.cudaStreamBeginCapture(0, THREAD_LOCAL)
    with pytest.raises(AssertionError, match="what other threads allocate"):
        gpu.cudart.cudaStreamBeginCapture(OURS, 0)
    gpu.cudart.cudaStreamBeginCapture(OURS, THREAD_LOCAL)
    kind = gpu.cudart.cudaMemcpyKind.cudaMemcpyDeviceToDevice
    with pytest.raises(AssertionError, match="on its own stream"):
        gpu.cudart.cudaMemcpyAsync(int(memory), int(memory), 4, kind, 1)
    assert stream.gpu.cudart.cudaStreamEndCapture(OURS) == ("cudaErrorStreamCaptureImplicit", None)


def test_a_recording_ends_in_the_thread_that_began_it(gpu: FakeGpu) -> None:
    gpu.cudart.cudaStreamBeginCapture(OURS, THREAD_LOCAL)
    assert elsewhere(lambda: gpu.cudart.cudaStreamEndCapture(OURS)) == ("cudaErrorStreamCaptureWrongThread", None)


def test_a_flag_that_a_stream_cannot_have(gpu: FakeGpu) -> None:
    with pytest.raises(AssertionError, match="no such flag"):
        gpu.cuda.Stream(2)


@pytest.mark.parametrize(
    "sides",
    [
        (1, 40, MAX_SIDE + 1, 3),
        (1, 2, 40, 3),
        (0, 40, 56, 3),
        (MAX_BATCH + 1, 40, 56, 3),
        (1, 40, 56, 4),
        (1, 40, 56),
        (1, 3, 40, 56),
    ],
    ids=str,
)
def test_a_shape_that_is_refused_is_not_kept(execution: Execution, log: Any, sides: tuple[int, ...]) -> None:
    assert not execution.set_input_shape("in", sides)
    assert log.reason() in ("a shape outside of the profile", "another number of channels", "no such input")
    assert execution.get_tensor_shape("in") == (-1, -1, -1, 3)
    assert execution.set_input_shape("in", SHAPE)
    assert not execution.set_input_shape("in", sides)
    assert (execution.get_tensor_shape("in"), execution.get_tensor_shape("out")) == (SHAPE, SHAPE[:3])


def test_sides_are_unknown_before_the_input_has_a_shape_and_make_no_buffer(gpu: FakeGpu, execution: Execution) -> None:
    assert execution.get_tensor_shape("out") == (-1, -1, -1)
    with pytest.raises(AssertionError, match="is no shape yet"):
        gpu.cuda.pagelocked_empty(execution.get_tensor_shape("out"), np.uint8)
    assert not execution.execute_async_v3(OURS)


def test_nothing_runs_without_every_address(gpu: FakeGpu, execution: Execution, log: Any) -> None:
    assert execution.set_input_shape("in", SHAPE)
    assert not execution.execute_async_v3(OURS)
    memory = [gpu.cuda.mem_alloc(int(np.prod(SHAPE))), gpu.cuda.mem_alloc(40 * 56)]
    assert execution.set_tensor_address("in", int(memory[0]))
    assert not execution.execute_async_v3(OURS)
    assert log.reason() == "a tensor has no address"
    assert not execution.set_tensor_address("out", int(memory[1]) + 8)
    assert not execution.set_tensor_address("labels", int(memory[1]))
    assert execution.set_tensor_address("out", int(memory[1]))
    assert execution.execute_async_v3(OURS)
    with pytest.raises(AssertionError, match="on its own stream"):
        execution.execute_async_v3(THEIRS)


def test_memory_that_is_freed_is_gone(gpu: FakeGpu) -> None:
    stream, memory = gpu.cuda.Stream(NON_BLOCKING), gpu.cuda.mem_alloc(4)
    gpu.cuda.memcpy_htod_async(memory, gpu.cuda.pagelocked_empty((4,), np.uint8), stream)
    with pytest.raises(AssertionError, match="freed before the transfer"):
        stream.synchronize()
    with pytest.raises(AssertionError, match="only pinned memory"):
        gpu.cuda.memcpy_htod_async(memory, np.zeros(4, np.uint8), stream)
    kept = gpu.cuda.pagelocked_empty((4,), np.uint8)
    gpu.cuda.memcpy_dtoh_async(kept, memory, stream)
    memory.free()
    with pytest.raises(KeyError):
        stream.synchronize()


def test_work_is_put_on_a_stream_of_its_own(gpu: FakeGpu) -> None:
    """pycuda's default for the stream is the legacy one."""
    host, memory = gpu.cuda.pagelocked_empty((4,), np.uint8), gpu.cuda.mem_alloc(4)
    with pytest.raises(TypeError):
        gpu.cuda.memcpy_htod_async(memory, host)
    assert isinstance(gpu.cuda.Stream(NON_BLOCKING), Stream)
