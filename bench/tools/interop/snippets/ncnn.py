import functools
import subprocess

import ncnn
import numpy
import pnnx


def load(path):
    @functools.cache
    def net(height, width):
        shape = f"inputshape=[1,3,{height},{width}]"
        subprocess.run([pnnx.EXEC_PATH, path, shape, "fp16=0"], check=True)
        net = ncnn.Net()
        for name in ("packed", "storage", "arithmetic"):
            setattr(net.opt, f"use_fp16_{name}", False)
        net.load_param(path.replace(".onnx", ".ncnn.param"))
        net.load_model(path.replace(".onnx", ".ncnn.bin"))
        return net

    def run(image):
        extractor = net(*image.shape[1:]).create_extractor()
        extractor.input("in0", ncnn.Mat(image).clone())
        return extractor.extract("out0")[1].numpy()

    return lambda x: numpy.stack([run(image) for image in x])
