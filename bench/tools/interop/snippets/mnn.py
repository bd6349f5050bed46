import subprocess

import MNN


def load(path):
    convert = ["mnnconvert", "-f", "ONNX", "--bizCode", "cgnet", "--modelFile", path, "--MNNModel", path + ".mnn"]
    subprocess.run(convert, check=True)
    net = MNN.nn.load_module_from_file(path + ".mnn", [], [])
    kinds = {"uint8": MNN.expr.uint8, "float32": MNN.expr.float}
    # NCHW is said of frames too: MNN takes the shape as it is then.
    return lambda x: net.onForward([MNN.expr.const(x, list(x.shape), MNN.expr.NCHW, kinds[x.dtype.name])])[0].read()
