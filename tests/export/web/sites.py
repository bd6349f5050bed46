"""Pages to open: the npm package that they load, folders of real and of small networks, and a browser with a camera."""

from __future__ import annotations

import base64
import contextlib
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page

from cgnet_deploy.export.web.runtime import PACKAGE, VERSION
from cgnet_deploy.pixels import U8

NO_GPU = "No available adapters."  # what Chromium itself says on a machine without one
WAIT_MS = 120_000  # on a busy machine; nothing waits longer than it must


def npm_package(folder: Path) -> Path:
    """onnxruntime-web as npm brings it, kept in `folder` for later runs. Skips the test where npm can't."""
    package = folder / f"{PACKAGE}-{VERSION}"
    if not (package / "package.json").is_file():
        with tempfile.TemporaryDirectory(dir=folder) as own:
            pack = ["npm", "pack", "--silent", "--ignore-scripts", f"{PACKAGE}@{VERSION}"]
            try:
                subprocess.run(pack, cwd=own, check=True, capture_output=True, timeout=240)
            except (OSError, subprocess.SubprocessError) as error:
                pytest.skip(f"npm can't bring {PACKAGE} here: {error}")
            with tarfile.open(Path(own) / f"{PACKAGE}-{VERSION}.tgz") as archive:
                wanted = [one for one in archive.getmembers() if not one.name.endswith(".map")]
                archive.extractall(own, members=wanted, filter="data")
            with contextlib.suppress(OSError):  # another worker was first
                (Path(own) / "package").rename(package)
    return package


@dataclass
class Tab:
    """A page of a folder that was opened, and all that it said and asked for."""

    page: Page
    address: str
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def wait_for(self, condition: str) -> None:
        """Until `condition`, JavaScript over the page's own variables, holds. (The page's policy forbids what
        Playwright's `wait_for_function` does.)"""
        self.page.evaluate(
            f"""() => new Promise((resolve, reject) => {{
                const end = performance.now() + {WAIT_MS};
                const look = () => {{
                    if ({condition}) resolve();
                    else if (performance.now() > end) reject(new Error("still not: " + {condition!r}));
                    else setTimeout(look, 10);
                }};
                look();
            }})"""
        )

    def text(self, name: str) -> str:
        return self.page.locator(f"#{name}").inner_text()

    def message(self) -> str:
        """What the page complains of, waited for."""
        self.page.locator("#message").wait_for(state="visible", timeout=WAIT_MS)
        return self.text("message")

    def put(self, *files: str | Path) -> None:
        self.page.locator("#file").set_input_files(list(files))

    def saved(self, what: str) -> U8:
        """What the button saves: (H, W, 3) u8 BGR, or (H, W) u8 labels by the indices of the palette."""
        with self.page.expect_download() as download:
            self.page.click(f"[data-save={what}]")
        path = download.value.path()
        if what == "labels":
            from PIL import Image

            with Image.open(path) as picture:
                assert picture.mode == "P"
                return np.asarray(picture, np.uint8)
        return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)

    def next_still(self) -> tuple[U8, U8]:
        """The next frame that is shown, (H, W, 3) u8 BGR, and its labels, (H, W) u8."""
        self.page.evaluate("before = last")
        self.wait_for("last && last !== before")
        height, width, encoded = self.page.evaluate(
            """() => new Promise((resolve) => {
                const reader = new FileReader(), {height, width} = facts.network;
                reader.onload = () => resolve([height, width, reader.result.split(",")[1]]);
                reader.readAsDataURL(new Blob([last.rgba, last.labels]));
            })"""
        )
        content = np.frombuffer(base64.b64decode(encoded), np.uint8)
        rgba = content[: 4 * height * width].reshape(height, width, 4)
        return np.ascontiguousarray(rgba[..., 2::-1]), content[4 * height * width :].reshape(height, width)

    def shown(self) -> None:
        """Wait for labels."""
        self.page.locator("[data-save=labels]:enabled").wait_for(timeout=WAIT_MS)


def opened(context: BrowserContext, address: str, *, script: str = "", ready: bool = True, query: str = "") -> Tab:
    """The page at `address`, by default when its network is there. script: run before the page's own."""
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    tab = Tab(page, address)
    page.on("console", lambda message: tab.said.append(message.text) if message.text != NO_GPU else None)
    page.on("pageerror", lambda error: tab.said.append(str(error)))
    context.on("request", lambda request: tab.asked.append(request.url))
    if script:
        page.add_init_script(script)
    page.goto(address + query)
    if ready:
        page.locator("#open:enabled, #message:visible").first.wait_for(timeout=WAIT_MS)
    return tab


def context_options(width: int = 1440, scheme: str = "light") -> dict[str, Any]:
    return {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "accept_downloads": True}
