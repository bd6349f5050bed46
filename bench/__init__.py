"""mIoU and latency of any engine, measured from the same file."""
