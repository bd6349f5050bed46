"""One file in one consumer, by the consumer's own Python: python worker.py SNIPPET MODEL BATCHES.npz RESULT.npz

BATCHES holds the inputs; RESULT gets what the snippet's `load(path)` makes of each. Needs NumPy alone.
"""

import importlib.util
import sys

import numpy as np

snippet, model, batches, result = sys.argv[1:]
sys.path.pop(0)  # this folder
spec = importlib.util.spec_from_file_location("snippet", snippet)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
run = module.load(model)
given = np.load(batches)
np.savez(result, *(np.array(run(given[name])) for name in given.files))
