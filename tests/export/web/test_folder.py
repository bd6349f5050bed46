"""What `cgnet-export --web` writes and refuses, without a browser: test_page.py opens the page."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import UsageError
from cgnet_deploy.export.cli import main
from cgnet_deploy.export.web.folder import check_web, write_web
from cgnet_deploy.export.web.runtime import CDN, ON_CDN, PINNED, VERSION, local_runtime
from cgnet_deploy.export.web.serve import main as serve_main
from cgnet_deploy.export.web.serve import server
from cgnet_deploy.spec import Res
from tests.engines.graphs import written

SIZE = Res(32, 48)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A stand-in for another release of the npm package."""
    folder = tmp_path / "package"
    (folder / "dist").mkdir(parents=True)
    (folder / "package.json").write_text('{"name": "onnxruntime-web", "version": "9.9.9"}')
    for name in PINNED:
        (folder / "dist" / name).write_text(f"of {name}")
    return folder


def digest(content: bytes) -> str:
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


def test_the_folder_says_what_its_files_are(package: Path, tmp_path: Path) -> None:
    onnx = written(tmp_path / "tiny.onnx", "frames", (1, *SIZE))
    site = tmp_path / "site"
    assert VERSION not in write_web(site, onnx, SIZE, local_runtime(package))
    facts = json.loads((site / "page.json").read_text())
    assert (site / "cgnet.onnx").read_bytes() == onnx.path.read_bytes()
    assert facts["network"]["integrity"] == digest(onnx.path.read_bytes())
    assert (facts["network"]["height"], facts["network"]["width"]) == SIZE
    assert [(one["name"], tuple(one["color"])) for one in facts["classes"]] == list(
        zip(onnx.spec.class_names, onnx.spec.palette, strict=True)
    )
    for files in facts["runtime"].values():
        for file in files:
            assert file["integrity"] == digest((site / file["url"]).read_bytes())
    frame = np.asarray(cv2.imread(str(site / "check.png")), np.uint8)
    labels = cv2.imread(str(site / "check-labels.png"), cv2.IMREAD_UNCHANGED)
    assert len(np.unique(frame)) > 20
    with open_engine(site / "cgnet.onnx") as engine:
        np.testing.assert_array_equal(engine.infer(frame[None])[0], labels)


def test_the_cdn_s_files_are_named_with_version_and_hash_and_not_copied(tmp_path: Path) -> None:
    write_web(tmp_path / "site", written(tmp_path / "tiny.onnx", "frames", (1, *SIZE)), SIZE, ON_CDN)
    facts = json.loads((tmp_path / "site" / "page.json").read_text())
    files = [file for files in facts["runtime"].values() for file in files]
    assert {file["url"]: file["integrity"] for file in files} == {CDN + name: PINNED[name] for name in PINNED}
    assert f"@{VERSION}/" in CDN
    assert not (tmp_path / "site" / "runtime").exists()


def test_a_package_that_lacks_a_file_or_is_another_is_refused(package: Path) -> None:
    (package / "dist" / "ort-wasm-simd-threaded.wasm").unlink()
    with pytest.raises(UsageError, match=r"ort-wasm-simd-threaded\.wasm can't be read"):
        local_runtime(package)
    (package / "package.json").write_text('{"name": "left-pad"}')
    with pytest.raises(UsageError, match="is not onnxruntime-web"):
        local_runtime(package)
    (package / "package.json").write_text("{")
    with pytest.raises(UsageError, match="node_modules/onnxruntime-web"):
        local_runtime(package)


def test_a_file_that_claims_to_be_the_pinned_release_and_is_not_is_refused(package: Path) -> None:
    (package / "package.json").write_text(json.dumps({"name": "onnxruntime-web", "version": VERSION}))
    with pytest.raises(UsageError, match=f"is not as released in {VERSION}"):
        local_runtime(package)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--web", "site", "--tensor-io"], "leave out --tensor-io"),
        (["--web", "site", "--batch", "2"], "leave out --batch 2"),
        (["--web", "model.pth"], "model.pth is no folder"),
        (["--web-runtime", "package"], "needs --web DIR"),
        (["--web", "site", "--web-runtime", "nowhere"], "node_modules/onnxruntime-web"),
    ],
)
def test_what_a_page_can_t_show_is_refused_before_any_work(
    flags: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.pth").write_text("never read")
    assert main(["--ckpt", "model.pth", "--no-engine", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]


def test_an_open_batch_can_be_shown(tmp_path: Path) -> None:
    assert check_web(tmp_path, None, "frames", 8, "batch") is ON_CDN


def test_the_server_isolates_the_page_and_knows_the_types(tmp_path: Path) -> None:
    (tmp_path / "page.json").write_text("{}")
    (tmp_path / "a.mjs").write_text("1")
    with server(tmp_path, 0) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{serving.server_address[1]}/a.mjs") as answer:
            assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
            assert answer.headers["Content-Type"] == "text/javascript"
        with pytest.raises(UsageError, match="choose another"):
            server(tmp_path, serving.server_address[1])
        serving.shutdown()


def test_the_server_refuses_another_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert serve_main([str(tmp_path)]) == 2
    assert "is no folder of cgnet-export --web" in capsys.readouterr().err
