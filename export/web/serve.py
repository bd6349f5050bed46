"""python -m cgnet_deploy.export.web.serve DIR --port 8000

Serves a folder of `cgnet-export --web` on this machine, with the two headers that make a page cross-origin isolated,
which browsers want before they let WebAssembly use threads. `python -m http.server` shows the same page on one thread.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cgnet_deploy.errors import UsageError
from cgnet_deploy.terminal import Parser, run, show

ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".onnx": "application/onnx"}


class Handler(SimpleHTTPRequestHandler):
    def guess_type(self, path: str | os.PathLike[str]) -> str:
        return TYPES.get(Path(path).suffix) or super().guess_type(path)

    def end_headers(self) -> None:
        for name, value in ISOLATED.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """No line for each request."""


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """On this machine's own address only. port: 0 for any that is free. Raises UsageError."""
    if not (folder / "page.json").is_file():
        raise UsageError(f"{folder} is no folder of cgnet-export --web")
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise UsageError(f"--port {port} can't be used: {error}; choose another") from None


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("python -m cgnet_deploy.export.web.serve", "Serve a folder of cgnet-export --web on this machine.")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="default 8000")
    return run(parser, _serve, argv)


def _serve(args: argparse.Namespace) -> int:
    with server(args.folder, args.port) as serving:
        show(f"http://localhost:{serving.server_address[1]}")
        sys.stdout.flush()  # it is all that is printed, and perhaps into a pipe
        serving.serve_forever()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
