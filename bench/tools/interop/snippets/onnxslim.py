import onnx
import onnxruntime
import onnxslim


def load(path):
    onnx.save(onnxslim.slim(onnx.load(path)), path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]
