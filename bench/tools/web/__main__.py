"""Milliseconds a frame in a browser: a page of ours, and the exporter's graph with the usual JavaScript around it.

    cgnet-export --ckpt official.pth --no-engine --web page --web-runtime node_modules/onnxruntime-web
    python -m cgnet_deploy.bench.tools.web --page page --plain exporter.onnx --json web.json

One Chromium, one runtime (the page's own copy), WebAssembly, in turn: frames of the one, then of the other. A frame is
timed from its bitmap to its labels, in a worker of its own, with everything in between.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cgnet_deploy.artifact import read_artifact
from cgnet_deploy.bench.machine.environment import describe
from cgnet_deploy.codec import to_json
from cgnet_deploy.errors import AccuracyError, EngineUnavailable, UsageError
from cgnet_deploy.export.web.serve import server
from cgnet_deploy.files import write_json
from cgnet_deploy.terminal import Parser, run, show
from cgnet_deploy.threads import cores

if TYPE_CHECKING:  # a package of the extra `dev`
    from playwright.sync_api import Browser

HERE = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
START_MS = 120_000


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("python -m cgnet_deploy.bench.tools.web", "Measure a page beside the exporter's graph.")
    add = parser.add_argument
    add("--page", type=Path, required=True, metavar="DIR", help="written by cgnet-export --web --web-runtime")
    add("--plain", type=Path, required=True, metavar="FILE", help="the same network as torch.onnx.export writes it")
    add("--rounds", type=int, default=6, metavar="N", help="turns of each (default 6)")
    add("--frames", type=int, default=5, metavar="N", help="frames a turn (default 5)")
    add("--threads", type=int, default=cores(), metavar="N", help="of WebAssembly (default: the cores)")
    add("--json", type=Path, metavar="FILE", help="write every sample and the environment")
    command = tuple(sys.argv[1:] if argv is None else argv)
    return run(parser, lambda args: _measure(args, command), argv)


def _measure(args: argparse.Namespace, command: tuple[str, ...]) -> int:
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        raise EngineUnavailable(f"no Chromium is installed here: looked for {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        found = turns(browser, args.page, args.plain, rounds=args.rounds, frames=args.frames, threads=args.threads)
        browser.close()
    p50 = {name: statistics.median(samples) for name, samples in found["ms"].items()}
    for name, ms in p50.items():
        show(f"{name:5}  p50 {ms:7.1f} ms a frame, {1000 / ms:5.2f} frames per second", args.json)
    show(
        f"page is {p50['plain'] / p50['page']:.2f} times as fast; {100 * found['equal']:.4f} % equal labels", args.json
    )
    if args.json:
        write_json(args.json, {**found, "environment": to_json(describe(args.threads, command))})
    return 0


def turns(browser: Browser, page: Path, plain: Path, *, rounds: int, frames: int, threads: int) -> dict[str, Any]:
    """Share of equal labels, samples of "page" and "plain" in ms, and the browser.

    Raises AccuracyError if they are not one network, UsageError.
    """
    spec = read_artifact(page / "cgnet.onnx").spec.input
    facts = json.loads((page / "page.json").read_text(encoding="utf-8"))
    files = [file["url"] for file in facts["runtime"]["wasm"]]
    if any("://" in url for url in files):
        raise UsageError(f"{page} loads its runtime from a CDN: write it with --web-runtime")
    usual = {
        "model": "plain.onnx",
        "runtime": [f"./{files[0]}", files[1]],
        "width": facts["network"]["width"],
        "height": facts["network"]["height"],
        "mean": spec.mean,
        "std": spec.std,
        "order": [0, 1, 2] if spec.color == "rgb" else [2, 1, 0],
    }
    with tempfile.TemporaryDirectory() as temporary:
        site = Path(temporary) / "site"
        shutil.copytree(page, site)
        shutil.copy(plain, site / "plain.onnx")
        shutil.copy(HERE / "plain.js", site)
        with server(site, 0) as serving, browser.new_page() as tab:
            threading.Thread(target=serving.serve_forever, daemon=True).start()
            tab.goto(f"http://localhost:{serving.server_address[1]}/?backend=wasm")
            tab.locator("#open:enabled").wait_for(timeout=START_MS)
            script = (HERE / "turns.js").read_text(encoding="utf-8")
            asked = {"rounds": rounds, "frames": frames, "threads": threads, "plain": usual}
            found: dict[str, Any] = tab.evaluate(script, asked)
            serving.shutdown()
    if found["equal"] < 0.999:
        raise AccuracyError(
            f"only {100 * found['equal']:.2f} % equal labels: {plain} is another network than the page's"
        )
    return {**found, "browser": f"Chromium {browser.version}", "runtime": files[0]}


if __name__ == "__main__":
    raise SystemExit(main())
