"""CGNet on NVIDIA GPUs by kernels of our own, in Triton: one kernel a file, `network.py` puts them together."""
