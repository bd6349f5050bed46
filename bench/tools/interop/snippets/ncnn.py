import subprocess

import ncnn
import pnnx


def load(path):
    subprocess.run([pnnx.EXEC_PATH, path, "inputshape=[1,3,360,480]", "fp16=0"], check=True)
    net = ncnn.Net()
    net.load_param(path.replace(".onnx", ".ncnn.param"))
    net.load_model(path.replace(".onnx", ".ncnn.bin"))

    def run(x):
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(x[0]).clone())
        return extractor.extract("out0")[1].numpy()

    return run
