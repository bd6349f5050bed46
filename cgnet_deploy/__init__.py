"""CGNet (arXiv 1811.08201) from a checkpoint to a verified engine. Importing this imports no heavy package."""

__version__ = "0.1.0"
