"""Logits to labels on the CPU, by a running maximum over the class planes.

For c = 1 ... K-1:  labels = max(labels, c * [logits_c > best]),  best = max(best, logits_c). Where a class wins,
its number is larger than any before it, so the maximum writes it; a strict > keeps the first of equals, as
`numpy.argmax` does. Every step runs over contiguous planes, which a reduction over axis 1 doesn't.
"""

from __future__ import annotations

import numpy as np

from cgnet_deploy.pixels import F32, U8


def labels_of(logits: F32) -> U8:
    """(N, K, H, W) f32 -> (N, H, W) u8, a new array; equal to `logits.argmax(1)`. K is at most 256."""
    n, k, h, w = logits.shape
    labels = np.zeros((n, h, w), np.uint8)
    for planes, label in zip(logits, labels, strict=True):
        best = planes[0].copy()
        for c in range(1, k):
            wins = planes[c] > best
            np.maximum(best, planes[c], out=best)
            np.maximum(label, wins.view(np.uint8) * np.uint8(c), out=label)
    return labels
