"""Networks for tests that need one without training it: random ones whose every tensor matters, and a trained one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

import cgnet_deploy
from cgnet_deploy.checkpoint.reading import load_checkpoint
from cgnet_deploy.checkpoint.writing import save_checkpoint
from cgnet_deploy.model import CGNet
from cgnet_deploy.spec import Res

SCENES = Path(cgnet_deploy.__file__).parent / "weights" / "scenes.pth"


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


def save_shallow(path: Path, res: Res, blocks: tuple[int, int] = (2, 2)) -> None:
    """Write the shipped network of drawn scenes without most of its blocks, at a size of its own.

    Blocks add to their input, so it still segments scenes (mIoU 0.41, all of it 0.45), and is exported much sooner.
    """
    shipped = load_checkpoint(SCENES)
    model = CGNet(shipped.model.classes, blocks, classifier_bias=shipped.model.classifier.bias is not None)
    tensors = shipped.model.state_dict()
    model.load_state_dict({name: tensors[name] for name in model.state_dict()})
    save_checkpoint(path, model, replace(shipped.spec, blocks=blocks, input=replace(shipped.spec.input, res=res)), {})
