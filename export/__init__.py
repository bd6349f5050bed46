"""Checkpoint to ONNX, fused ONNX, half or int8 ONNX: each step one function that writes a verified file."""
