"""The page in a real browser: its labels by camera, picture and video are ONNX Runtime's, and nothing stops it."""

from __future__ import annotations

import os
import shutil
import threading
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Request, Route, sync_playwright

import cgnet_deploy as cg
from cgnet_deploy.artifact import read_artifact
from cgnet_deploy.bench.tools.web.__main__ import turns
from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.contracts import model_spec
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.export.web.folder import write_web
from cgnet_deploy.export.web.runtime import CDN, ON_CDN
from cgnet_deploy.export.web.serve import server
from cgnet_deploy.pixels import U8
from cgnet_deploy.spec import Res
from tests.export.web.sites import Tab, context_options, npm_package, opened
from tests.networks import drawn

av = pytest.importorskip("av")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WEIGHTS = Path(cg.__file__).parent / "weights"
NAMES = ("road", "vehicle", "<img src=x onerror=alert(1)>", "other")
PALETTE = ((128, 64, 128), (0, 0, 142), (220, 20, 60), (70, 70, 70))
SMALL = Res(64, 96)
HALF = Res(180, 240)  # of CamVid's frames: a browser takes seconds for each of the full ones
CAMERA_FRAMES = 8


@pytest.fixture(scope="module")
def package(pytestconfig: pytest.Config) -> Path:
    return npm_package(Path(pytestconfig.cache.mkdir("web")))


@pytest.fixture(scope="module")
def frames(shared: Path) -> list[U8]:
    """CamVid's val, (180, 240, 3) u8 BGR each."""
    paths = sorted((shared / "camvid" / "val").iterdir())
    return [np.asarray(cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_2), np.uint8) for path in paths]


@pytest.fixture(scope="module")
def browser(frames: list[U8], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """With a camera that shows `frames`, one after the other."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    film = tmp_path_factory.mktemp("camera") / "frames.mjpeg"
    film.write_bytes(b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames))
    arguments = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    arguments.append(f"--use-file-for-fake-video-capture={film}")
    if os.geteuid() == 0:  # Chromium's own sandbox needs a user other than root, whom CI often is.
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def served(folder: Path) -> Iterator[str]:
    with server(folder, 0) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://localhost:{serving.server_address[1]}/"
        serving.shutdown()


@pytest.fixture(scope="module")
def camvid_folder(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("camvid")
    cg.export(WEIGHTS / "camvid.pth", home / "cgnet.onnx", res=HALF, web=home / "site", web_runtime=package)
    return home / "site"


@pytest.fixture(scope="module")
def camvid(camvid_folder: Path) -> Iterator[str]:
    yield from served(camvid_folder)


@pytest.fixture(scope="module")
def small_folder(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes, one of them named by somebody who means harm."""
    home = tmp_path_factory.mktemp("small")
    model = drawn(4)
    spec = replace(model_spec("camvid-official", 4, model.blocks), class_names=NAMES, palette=PALETTE)
    save_checkpoint(home / "model.pth", model, spec, {})
    cg.export(home / "model.pth", home / "cgnet.onnx", res=SMALL, web=home / "site", web_runtime=package)
    return home / "site"


@pytest.fixture(scope="module")
def small(small_folder: Path) -> Iterator[str]:
    yield from served(small_folder)


@pytest.fixture
def tab(browser: Browser, small: str) -> Iterator[Tab]:
    """The page of the small network, which must have said nothing when the test is over."""
    with browser.new_context(**context_options()) as context:
        tab = opened(context, small)
        yield tab
        assert tab.said == []
        assert [url for url in tab.asked if not url.startswith((small, "blob:", "data:"))] == []


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "frame.png"
    noise = np.random.default_rng(0).integers(0, 256, (*SMALL, 3), np.uint8)
    assert cv2.imwrite(str(path), cv2.blur(noise, (5, 5)))
    return path


def equal(folder: Path, stills: list[tuple[U8, U8]]) -> float:
    """The share of pixels of `stills`, each a frame and its labels, that ONNX Runtime labels alike."""
    with open_engine(folder / "cgnet.onnx") as engine:
        same = [engine.infer(frame[None])[0] == labels for frame, labels in stills]
    return float(np.mean(same))


def test_labels_by_camera_picture_and_video_are_onnx_runtime_s(
    browser: Browser, camvid: str, camvid_folder: Path, frames: list[U8], tmp_path: Path
) -> None:
    with browser.new_context(**context_options()) as context:
        tab = opened(context, camvid)
        assert "100 % of the labels are ONNX Runtime's" in tab.text("backend")

        # A picture of the network's size reaches it as it is.
        assert cv2.imwrite(str(tmp_path / "frame.png"), frames[0])
        tab.put(tmp_path / "frame.png")
        tab.shown()
        by_picture = (tab.saved("frame"), tab.saved("labels"))
        np.testing.assert_array_equal(by_picture[0], frames[0])

        tab.page.click("#camera")
        by_camera = distinct(tab, CAMERA_FRAMES)

        clip(tmp_path / "drive.webm", frames[:10])
        tab.put(tmp_path / "drive.webm")
        tab.wait_for("source && source.src")
        by_video = distinct(tab, 3)

        for stills in ([by_picture], by_camera, by_video):
            assert equal(camvid_folder, stills) >= 0.9999
            assert min(len(np.unique(labels)) for _, labels in stills) > 5  # a street, not one class
        assert tab.said == []
        assert [url for url in tab.asked if not url.startswith((camvid, "blob:", "data:"))] == []


def distinct(tab: Tab, count: int) -> list[tuple[U8, U8]]:
    """Frames that differ from one another, with their labels."""
    stills: list[tuple[U8, U8]] = []
    while len(stills) < count:
        frame, labels = tab.next_still()
        if not any(np.array_equal(frame, other) for other, _ in stills):
            stills.append((frame, labels))
    return stills


def clip(path: Path, frames: list[U8]) -> None:
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libvpx", rate=10)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "bgr24")))
        film.mux(stream.encode())


def test_a_folder_without_the_runtime_is_small(camvid_folder: Path) -> None:
    assert sum(path.stat().st_size for path in camvid_folder.iterdir() if path.is_file()) <= 3_000_000


def test_names_and_colours_are_the_file_s_and_text(tab: Tab, picture: Path) -> None:
    assert tab.page.locator("#classes .name").all_inner_texts() == list(NAMES)
    assert tab.page.locator("#classes img").count() == 0
    swatches = tab.page.locator("#classes .swatch")
    shown = [swatches.nth(k).evaluate("one => getComputedStyle(one).backgroundColor") for k in range(4)]
    assert shown == [f"rgb({r}, {g}, {b})" for r, g, b in PALETTE]
    tab.put(picture)
    tab.shown()
    labels, frame = tab.saved("labels"), tab.saved("frame")
    tab.page.locator("#opacity").fill("100")
    np.testing.assert_array_equal(tab.saved("overlay"), np.asarray(PALETTE, np.uint8)[labels][..., ::-1])
    tab.page.locator("#opacity").fill("0")
    np.testing.assert_array_equal(tab.saved("overlay"), frame)
    assert frame.shape == (*SMALL, 3)


def test_the_class_under_the_pointer_and_under_the_cross_is_named(tab: Tab, picture: Path) -> None:
    tab.put(picture)
    tab.shown()
    labels = tab.saved("labels")
    box = tab.page.locator("#stage").bounding_box()
    assert box is not None
    x, y = 30, 20
    tab.page.mouse.move(box["x"] + (x + 0.5) / 96 * box["width"], box["y"] + (y + 0.5) / 64 * box["height"])
    assert tab.text("under") == f"{NAMES[labels[y, x]]} at {x}, {y}"
    assert tab.page.locator("#classes li.here .name").inner_text() == NAMES[labels[y, x]]
    tab.page.mouse.move(0, 0)
    tab.page.locator("#stage").focus()
    tab.page.keyboard.press("ArrowLeft")
    x, y = int(0.48 * 96), 32
    assert tab.text("under") == f"{NAMES[labels[y, x]]} at {x}, {y}"
    assert tab.page.locator("#cross").is_visible()


def test_everything_can_be_reached_by_the_tab_key(tab: Tab, picture: Path) -> None:
    tab.put(picture)
    tab.shown()
    reached = []
    for _ in range(7):
        tab.page.keyboard.press("Tab")
        reached.append(tab.page.evaluate("document.activeElement.id || document.activeElement.dataset.save"))
    assert reached == ["stage", "camera", "open", "opacity", "frame", "overlay", "labels"]  # nothing to pause


def test_a_bad_file_is_one_line_and_the_page_goes_on(tab: Tab, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("no picture")
    (tmp_path / "cut.webm").write_bytes(b"\x1a\x45\xdf\xa3 and no more")
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 1, 8000, 800, "NONE", ""))
        sound.writeframes(bytes(800))
    Image.new("1", (10_000, 10_000)).save(tmp_path / "huge.png")
    tab.page.click("#camera")
    tab.shown()
    for name, words in (
        ("note.png", "is neither a picture nor a video"),
        ("cut.webm", "is no video that this browser plays"),
        ("sound.wav", "has no picture: its frames are 0 x 0 pixels"),
        ("huge.png", "is 10000 x 10000 pixels: a side may have 8192"),
    ):
        tab.put(tmp_path / name)
        tab.wait_for(f"document.getElementById('message').textContent.startsWith('{name}')")
        line = tab.message()
        assert words in line
        assert "\n" not in line
        tab.page.evaluate("last = null")
        tab.wait_for("last")  # the camera goes on
    tab.put(picture)
    tab.wait_for("!source")
    assert tab.page.locator("#message").is_hidden()


def test_a_camera_that_is_unplugged_is_one_line_and_it_can_be_started_again(tab: Tab) -> None:
    tab.page.click("#camera")
    tab.shown()
    tab.page.evaluate("source.srcObject.getTracks()[0].dispatchEvent(new Event('ended'))")
    assert "unplugged" in tab.message()
    assert tab.page.locator("#pause").is_disabled()
    tab.page.click("#camera")
    tab.wait_for("source")
    assert tab.page.locator("#message").is_hidden()


def test_frames_that_come_while_one_is_worked_on_are_dropped(tab: Tab) -> None:
    tab.page.evaluate("""() => {
        window.waiting = 0; window.most = 0; window.done = 0;
        const post = worker.postMessage.bind(worker), shown = worker.onmessage;
        worker.postMessage = (...given) => { most = Math.max(most, ++waiting); post(...given); };
        worker.onmessage = (event) => { waiting--; done++; shown(event); };
    }""")
    tab.page.click("#camera")
    tab.wait_for("done >= 10")
    assert tab.page.evaluate("most") == 1


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("WebAssembly.validate = () => false", "no WebAssembly SIMD"),
        ("delete Navigator.prototype.mediaDevices", "https:// and localhost only"),
        (
            "MediaDevices.prototype.getUserMedia = async () => { throw new DOMException('', 'NotFoundError') }",
            "No camera",
        ),
        (
            "MediaDevices.prototype.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError') }",
            "refused",
        ),
    ],
    ids=["simd", "insecure", "none", "refused"],
)
def test_what_is_missing_is_said_in_plain_words(browser: Browser, small: str, script: str, words: str) -> None:
    with browser.new_context(**context_options()) as context:
        tab = opened(context, small, script=script)
        if "SIMD" not in words:
            tab.page.click("#camera")
        assert words in tab.message()
        assert tab.said == []


def test_a_page_that_is_opened_as_a_file_says_to_use_a_server(browser: Browser, small_folder: Path) -> None:
    with browser.new_context(**context_options()) as context:
        assert "python -m http.server" in opened(context, (small_folder / "index.html").as_uri()).message()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_fits_a_phone_and_a_desk(browser: Browser, small: str, picture: Path, width: int, scheme: str) -> None:
    with browser.new_context(**context_options(width, scheme)) as context:
        tab = opened(context, small)
        tab.put(picture)
        tab.shown()
        assert tab.page.evaluate("document.documentElement.scrollWidth") == width
        paper = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 21, 26)"}[scheme]
        buttons = tab.page.locator("button").all()
        assert min(box["height"] for button in buttons if (box := button.bounding_box())) >= 44


def test_webgpu_is_taken_only_where_it_gives_the_same_labels(browser: Browser, small: str) -> None:
    """This browser's WebGPU, if any, is software; what the check decides is the same."""
    with browser.new_context(**context_options()) as context:
        script = "Object.defineProperty(navigator, 'gpu', {value: {requestAdapter: async () => ({info: {}})}})"
        tab = opened(context, small, script=script)
        assert tab.text("backend").startswith(("WebAssembly", "WebGPU"))
        assert any("asyncify" in url for url in tab.asked)  # it was tried
        assert tab.page.locator("#message").is_hidden()


def test_it_is_measured_beside_the_exporter_s_graph_of_the_same_network(
    browser: Browser, small_folder: Path, tmp_path: Path
) -> None:
    home = small_folder.parent
    cg.export(home / "model.pth", tmp_path / "plain.onnx", res=SMALL, io="tensor")
    found = turns(browser, small_folder, tmp_path / "plain.onnx", rounds=2, frames=2, threads=2)
    assert found["equal"] >= 0.9999
    assert {name: len(samples) for name, samples in found["ms"].items()} == {"page": 4, "plain": 4}


@pytest.mark.parametrize("spoiled", [False, True])
def test_a_file_of_the_cdn_is_run_only_if_it_is_the_pinned_one(
    browser: Browser, small_folder: Path, package: Path, tmp_path: Path, spoiled: bool
) -> None:
    onnx = read_artifact(small_folder.parent / "cgnet.onnx")
    write_web(tmp_path / "site", onnx, SMALL, ON_CDN)
    assert not (tmp_path / "site" / "runtime").exists()
    with browser.new_context(**context_options()) as context:

        def answer(route: Route, request: Request) -> None:
            content = (package / "dist" / request.url.removeprefix(CDN)).read_bytes()
            headers = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
            route.fulfill(body=content + b" " * spoiled, headers=headers)

        context.route(f"{CDN}**", answer)
        for address in served(tmp_path / "site"):
            tab = opened(context, address)
            if spoiled:
                assert "is not the file that this page was made with" in tab.message()
                assert tab.page.locator("#camera").is_disabled()
            else:
                assert "% of the labels are ONNX Runtime's" in tab.text("backend")
                assert any(url.startswith(CDN) for url in tab.asked)
