"""What people load ONNX files with, one entry each: how it is installed, and the snippet that loads a file there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cgnet_deploy.artifact import IO

SNIPPETS = Path(__file__).parent / "snippets"
BOTH: tuple[IO, ...] = ("frames", "tensor")


@dataclass(frozen=True, slots=True)
class Consumer:
    """snippet: a file of snippets/, which the page shows. takes: the kinds of file that it is tried with. packages:
    of PyPI or npm; a Debian package is the system's own Python's. half: it computes in f16, whatever the file's type.
    note: what the page says of it.
    """

    key: str
    title: str
    snippet: str
    packages: tuple[str, ...]
    source: Literal["pip", "npm", "apt"] = "pip"
    takes: tuple[IO, ...] = BOTH
    half: bool = False
    note: str = ""

    @property
    def install(self) -> str:
        """What a user types."""
        command = {"pip": "pip install", "npm": "npm install", "apt": "apt install"}[self.source]
        return f"{command} {' '.join(repr(one) if '<' in one else one for one in self.packages)}"


CV, OLD_NUMPY = "opencv-python-headless", "numpy<2"

BY_SHAPE = "It reads an open height and width as a fault (the resize asks for them): export a fixed size."
NO_TYPES = f"Only f32: it has neither f16 nor our int8. {BY_SHAPE}"
ROUNDS = "f16: it rounds after every operator, as ONNX's ReferenceEvaluator; see [f16](#f16)."

CONSUMERS = (
    Consumer("ort115", "ONNX Runtime 1.15", "onnxruntime.py", ("onnxruntime==1.15.1", OLD_NUMPY)),
    Consumer("ort117", "ONNX Runtime 1.17", "onnxruntime.py", ("onnxruntime==1.17.3", OLD_NUMPY)),
    Consumer("ort120", "ONNX Runtime 1.20", "onnxruntime.py", ("onnxruntime==1.20.1",)),
    Consumer("ort132", "ONNX Runtime 1.32", "onnxruntime.py", ("onnxruntime==1.32.0",)),
    Consumer(
        "node",
        "ONNX Runtime for Node 1.30",
        "onnxruntime_node.mjs",
        ("onnxruntime-node@1.30.0", "--onnxruntime-node-install=skip"),
        "npm",
    ),
    Consumer("web", "ONNX Runtime Web 1.30 (WebAssembly)", "onnxruntime_web.mjs", ("onnxruntime-web@1.30.0",), "npm"),
    Consumer(
        "openvino",
        "OpenVINO 2026.4",
        "openvino.py",
        ("openvino==2026.4.1",),
        note="`ovc cgnet.onnx --compress_to_fp16=False` writes its own format, as `convert_model` reads it.",
    ),
    Consumer("cv455", "OpenCV 4.5.5", "opencv.py", (f"{CV}==4.5.5.64", OLD_NUMPY), note=NO_TYPES),
    Consumer("debian", "OpenCV 4.6 (Debian 12)", "opencv.py", ("python3-opencv",), "apt", note=NO_TYPES),
    Consumer("cv412", "OpenCV 4.12", "opencv.py", (f"{CV}==4.12.0.88",), note=BY_SHAPE),
    Consumer("cv5", "OpenCV 5", "opencv.py", (f"{CV}==5.0.0.93",), note=ROUNDS),
    Consumer("cv5classic", "OpenCV 5, classic engine", "opencv_classic.py", (f"{CV}==5.0.0.93",), note=BY_SHAPE),
    Consumer("tract", "tract 0.23", "tract.py", ("tract==0.23.9", "numpy"), note=ROUNDS),
    Consumer("mnn", "MNN 3.6", "mnn.py", ("MNN==3.6.1", "numpy"), note="Not int8: quantise with MNN."),
    Consumer(
        "ncnn",
        "ncnn 20261020, by pnnx",
        "ncnn.py",
        ("ncnn==1.0.20261020", "pnnx==20261020", "numpy"),
        takes=("tensor",),
        note="Only f32, one image, with `--tensor-io`: ncnn takes planes, and chooses its types itself. Its "
        "default is f16, in which one pixel in 25,000 differed; the three options turn that off.",
    ),
    Consumer(
        "litert",
        "LiteRT 1.2, by onnx2tf",
        "litert.py",
        (
            "onnx2tf==1.28.8",
            "tensorflow-cpu==2.19.1",
            "tf-keras==2.19.0",
            "onnx==1.17.0",
            "ai-edge-litert==1.2.0",
            "onnxruntime",
            "onnx-graphsurgeon",
            "psutil",
            "simple_onnx_processing_tools",
            "sng4onnx",
            "sne4onnx",
        ),
        note="**Never int8: it converts without a word, and the labels are wrong.** Quantise there, from f32. On the "
        "command line: `onnx2tf -i cgnet.onnx -kat frames`.",
    ),
    Consumer(
        "rknn",
        "RKNN Toolkit2 2.5, simulator",
        "rknn.py",
        ("rknn-toolkit2==2.5.0", "setuptools<80"),
        half=True,
        note="Only with `--tensor-io`: the toolkit aborts on u8 frames. Without quantisation the NPU computes in f16, "
        "so the limit is that of f16; to quantise, give `build` your frames, and f32.",
    ),
    Consumer(
        "reference",
        "ONNX's ReferenceEvaluator",
        "reference.py",
        ("onnx==1.23.2",),
        note="What the standard says, operator by operator, in NumPy.",
    ),
    Consumer(
        "onnx2torch",
        "onnx2torch 1.5",
        "onnx2torch.py",
        ("onnx2torch==1.5.15", "torch==2.14.1", "torchvision==0.29.1"),
        note=f"{ROUNDS} It needs a torchvision made for its torch.",
    ),
    Consumer("onnxsim", "onnxsim, then ONNX Runtime", "onnxsim.py", ("onnxsim==0.8.1", "onnxruntime==1.32.0")),
    Consumer("onnxslim", "onnxslim, then ONNX Runtime", "onnxslim.py", ("onnxslim==0.1.98", "onnxruntime==1.32.0")),
    Consumer(
        "graphsurgeon",
        "onnx-graphsurgeon, then ONNX Runtime",
        "graphsurgeon.py",
        ("onnx-graphsurgeon==0.6.1", "onnxruntime==1.32.0"),
    ),
    Consumer(
        "polygraphy",
        "Polygraphy, then ONNX Runtime",
        "polygraphy.py",
        ("polygraphy==0.53.6", "onnx-graphsurgeon==0.6.1", "onnxruntime==1.32.0"),
    ),
)
