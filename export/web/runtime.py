"""Where a page gets ONNX Runtime Web from: a pinned release on a CDN, or a copy of a local npm package.

The page loads each file with `fetch(..., {integrity})`: one that is not byte for byte the file named here is refused by
the browser, the WebAssembly binary too, which a plain `import` would load unchecked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

from cgnet_deploy.errors import UsageError

log = logging.getLogger(__name__)

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
CDN = f"https://cdn.jsdelivr.net/npm/{PACKAGE}@{VERSION}/dist/"
LOCAL = "runtime"  # the copy's folder in the page's
MAX_FILE_BYTES = 1 << 27
MAX_PACKAGE_JSON_BYTES = 1 << 20

# Of the npm package's dist folder: sha384, as in `openssl dgst -sha384 -binary FILE | base64`.
PINNED = {
    "ort.wasm.bundle.min.mjs": "sha384-PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
    "ort-wasm-simd-threaded.wasm": "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
    "ort.webgpu.bundle.min.mjs": "sha384-1ntMeyj+z5diX6vBR5h+zlJBPc4iNvhCxE6nlammh8daBYcLBZkzrwDkuJjhwI+f",
    "ort-wasm-simd-threaded.asyncify.wasm": "sha384-EPVDLTxuO663dkZO/pcKJF6vOyyfq/5z9FY1oksN0UWFX2ABH4wDDZQHeNoUleWR",
}
# Backend -> its script and its WebAssembly binary. The one of WebGPU is twice as large.
FILES = {
    "wasm": ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
    "webgpu": ("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"),
}


@dataclass(frozen=True, slots=True)
class WebRuntime:
    """base: an address with a slash behind it, relative to the page for a copy. integrity: file -> its hash."""

    version: str
    base: str
    integrity: dict[str, str]
    content: dict[str, bytes]  # what to copy beside the page: empty for the CDN


ON_CDN = WebRuntime(VERSION, CDN, PINNED, {})


def integrity_of(content: bytes) -> str:
    """`content`'s hash, as `integrity` attributes have it."""
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


def local_runtime(package: Path) -> WebRuntime:
    """The npm package in the folder `package`. Raises UsageError if it is none, or lacks a file that a page loads."""
    wanted = f"wanted the folder of the npm package, such as node_modules/{PACKAGE}"
    try:
        described = json.loads(_bounded(package / "package.json", MAX_PACKAGE_JSON_BYTES))
        if not isinstance(described, dict) or described.get("name") != PACKAGE:
            raise UsageError(f"--web-runtime {package} is not {PACKAGE}; {wanted}")
        content = {name: _bounded(package / "dist" / name, MAX_FILE_BYTES) for name in PINNED}
    except OSError as error:
        raise UsageError(
            f"--web-runtime {package}: {error.filename} can't be read: {error.strerror}; {wanted}"
        ) from None
    except ValueError as error:
        raise UsageError(f"--web-runtime {package}: {error}; {wanted}") from None
    version = str(described.get("version"))
    integrity = {name: integrity_of(part) for name, part in content.items()}
    if version == VERSION and integrity != PINNED:
        wrong = ", ".join(name for name, found in integrity.items() if found != PINNED[name])
        raise UsageError(f"--web-runtime {package}: {wrong} is not as released in {VERSION}; install the package again")
    if version != VERSION:
        log.warning(f"{package} is {PACKAGE} {version}: this page was tested with {VERSION}")
    return WebRuntime(version, f"{LOCAL}/", integrity, content)


def _bounded(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{path.name} is larger than {most} bytes")
    return content
