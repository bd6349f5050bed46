"""The folder of a page: the ONNX file, what the page has to know of it, and a frame with the labels it must give.

    DIR/index.html, page.css, *.js                   the same for every network
    DIR/cgnet.onnx                                   as exported
    DIR/page.json                                    size, classes and colours, and the hash of each file to load
    DIR/check.png, check-labels.png                  a drawn scene, and its labels by ONNX Runtime
    DIR/runtime/                                     ONNX Runtime Web, with --web-runtime

In each browser the page first labels the check frame; how far that agrees with `check-labels.png` is shown, and decides
whether WebGPU is used.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from cgnet_deploy import __version__
from cgnet_deploy.artifact import IO, Artifact
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.errors import UsageError
from cgnet_deploy.export.choices import Dynamic
from cgnet_deploy.export.runtime import run_single
from cgnet_deploy.export.web.runtime import FILES, ON_CDN, WebRuntime, integrity_of, local_runtime
from cgnet_deploy.files import json_bytes, write_together
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Precision, Res

HERE = Path(__file__).parent
PAGE = ("index.html", "page.css", "page.js", "frames.js", "png.js", "worker.js")
NETWORK = "cgnet.onnx"
# The share of pixels that a backend must label as ONNX Runtime does: as docs/runtimes.md asks of every runtime.
LEAST_EQUAL = {Precision.F32: 0.9999, Precision.F16: 0.9999, Precision.INT8: 0.999}


def check_web(web: Path | None, package: Path | None, io: IO, batch: int, dynamic: Dynamic) -> WebRuntime | None:
    """The runtime of the page at `web`, None without one. Raises UsageError for what a page can't show."""
    if web is None:
        if package is not None:
            raise UsageError("--web-runtime needs --web DIR")
        return None
    if io != "frames":
        raise UsageError("--web needs a file that takes frames: leave out --tensor-io")
    if batch != 1 and dynamic not in ("batch", "both"):
        raise UsageError(f"--web shows one frame at a time: leave out --batch {batch}, or add --dynamic batch")
    return ON_CDN if package is None else local_runtime(package)


def write_web(folder: Path, onnx: Artifact, res: Res, runtime: WebRuntime) -> str:
    """Write the folder; what was written, in one line. res: of the frames, where the file leaves their size open."""
    content = onnx.path.read_bytes()
    frame = open_dataset(f"scenes:0:{res}", "val").frame(0)
    labels = run_single(content, [frame[None]])[0][0]
    spec = onnx.spec
    facts = {
        "made_with": f"cgnet-deploy {__version__}",
        "network": {
            "file": NETWORK,
            "integrity": integrity_of(content),
            "name": spec.name,
            "precision": onnx.precision.value,
            "height": res.height,
            "width": res.width,
        },
        "classes": [
            {"name": name, "color": list(color)} for name, color in zip(spec.class_names, spec.palette, strict=True)
        ],
        "check": {"frame": "check.png", "labels": "check-labels.png", "least_equal": LEAST_EQUAL[onnx.precision]},
        "runtime": {
            backend: [{"url": runtime.base + name, "integrity": runtime.integrity[name]} for name in names]
            for backend, names in FILES.items()
        },
    }
    write_together(
        {
            folder / "page.json": json_bytes(facts),  # replaced last: it names the hashes of the others
            folder / NETWORK: content,
            folder / "check.png": _png(frame),
            folder / "check-labels.png": _png(labels.astype(np.uint8)),
            **{folder / name: (HERE / name).read_bytes() for name in PAGE},
            **{folder / runtime.base / name: part for name, part in runtime.content.items()},
        }
    )
    loads = f"ONNX Runtime Web {runtime.version} from {runtime.base}"
    return f"{folder}  a page with {loads}; show it by python -m cgnet_deploy.export.web.serve {folder}"


def _png(pixels: U8) -> bytes:
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
