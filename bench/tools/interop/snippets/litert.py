import glob

import numpy
import onnx2tf
from ai_edge_litert.interpreter import Interpreter


def load(path):
    # Pictures for a check of its own, which it would download: any do.
    numpy.save("calibration_image_sample_data_20x128x128x3_float32.npy", numpy.zeros((20, 128, 128, 3), "float32"))
    onnx2tf.convert(path, output_folder_path=path + ".tf", keep_shape_absolutely_input_names=["frames"])
    net = Interpreter(glob.glob(path + ".tf/*_float32.tflite")[0])
    net.allocate_tensors()
    source, result = net.get_input_details()[0], net.get_output_details()[0]

    def run(x):
        net.set_tensor(source["index"], x if x.shape[-1] == 3 else x.transpose(0, 2, 3, 1))
        net.invoke()
        y = net.get_tensor(result["index"])
        return y if y.ndim == 3 else y.transpose(0, 3, 1, 2)

    return run
