import onnx2torch
import torch


def load(path):
    model = onnx2torch.convert(path).eval()
    return lambda x: model(torch.from_numpy(x)).detach().numpy()
