from rknn.api import RKNN


def load(path):
    rknn = RKNN()
    rknn.config(target_platform="rk3588")
    if rknn.load_onnx(path) or rknn.build(do_quantization=False) or rknn.init_runtime():
        raise SystemExit("error: its log says why")
    return lambda x: rknn.inference([x], data_format=["nhwc" if x.shape[-1] == 3 else "nchw"])[0]
