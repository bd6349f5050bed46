"""Random networks whose every tensor matters, for tests that need one without training it."""

from __future__ import annotations

import torch

from cgnet_deploy.model import CGNet


def drawn(classes: int = 3, blocks: tuple[int, int] = (2, 2), *, bias: bool = False, seed: int = 0) -> CGNet:
    """A CGNet in eval mode with no weight, slope, mean or variance at its default."""
    model = CGNet(classes, blocks, classifier_bias=bias)
    generator = torch.Generator().manual_seed(seed)
    for key, tensor in model.state_dict().items():
        if key.endswith("num_batches_tracked"):
            tensor.fill_(46_400)
        elif key.endswith("running_var"):
            tensor.uniform_(0.2, 2.0, generator=generator)
        elif tensor.ndim >= 2:
            tensor.normal_(std=(2 / tensor[0].numel()) ** 0.5, generator=generator)
        else:
            tensor.normal_(mean=0.2, std=0.3, generator=generator)
    return model.eval()
