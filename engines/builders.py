"""Who builds plans here, and for which GPU: TensorRT on the GPU that will run them, TensorRT for RTX anywhere."""

from __future__ import annotations

from typing import Literal

from cgnet_deploy.engines.gpu import Gpu, find_gpu
from cgnet_deploy.engines.plan import PORTABLE
from cgnet_deploy.engines.trtapi import (
    RTX_PORTABLE,
    Api,
    Builder,
    create,
    is_installed,
    load_api,
    new_log,
    no_collection,
    rtx_architectures,
)
from cgnet_deploy.errors import EngineUnavailable, UserError


def choose_builder(builder: Builder | Literal["auto"]) -> Builder:
    """`builder`, or for "auto" TensorRT where it and a GPU are, else TensorRT for RTX where that is installed.

    TensorRT for RTX is not chosen beside a GPU that it doesn't run on. Raises UserError, saying what to install, where
    there is neither.
    """
    if builder != "auto":
        return builder
    gpu = None
    try:
        gpu = find_gpu()
        if is_installed("tensorrt"):
            return "tensorrt"
        missing = "TensorRT is not installed"
    except EngineUnavailable as error:
        missing = str(error)
    if is_installed("rtx"):
        if gpu and gpu.architecture not in (supported := rtx_architectures(load_api("rtx"))):
            raise UserError(
                f"no plan that runs here can be built: TensorRT for RTX runs on {', '.join(supported)}, this GPU "
                f"({gpu.name}) is {gpu.architecture}, and {missing}; pip install 'cgnet-deploy[trt]', or build for "
                "another machine: --builder rtx, or keep the ONNX file: --no-engine"
            )
        return "rtx"
    raise UserError(
        f"no plan can be built here: {missing}, and TensorRT for RTX, which needs no GPU to build, is not installed; "
        "install one with: pip install 'cgnet-deploy[trt]' or 'cgnet-deploy[rtx]', or keep the ONNX file: --no-engine"
    )


def rtx_target(trt: Api) -> str:
    """What TensorRT for RTX builds for here: PORTABLE, or this machine's GPU where no portable plan runs on it."""
    try:
        architecture = find_gpu().architecture
    except EngineUnavailable:
        return PORTABLE
    return PORTABLE if architecture in RTX_PORTABLE or architecture not in rtx_architectures(trt) else architecture


def probe(builder: Builder) -> str:
    """What builds plans, started: TensorRT needs a GPU to start on, TensorRT for RTX needs none."""
    if builder == "tensorrt":
        find_gpu()
    trt = load_api(builder)
    with no_collection():
        create(trt.Builder, new_log(trt))
    return f"{trt.__name__} {trt.__version__}"


def gpu_to_build_on() -> Gpu:
    try:
        return find_gpu()
    except EngineUnavailable as error:
        raise EngineUnavailable(f"TensorRT can't build here: {error}; use --builder rtx, or --no-engine") from error
