"""`cgnet_deploy.evaluate`: the accuracy of an engine or of a file, from Python."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from cgnet_deploy.confusion import Confusion
from cgnet_deploy.data.dataset import check_classes
from cgnet_deploy.data.opening import open_dataset
from cgnet_deploy.engines.base import Engine
from cgnet_deploy.engines.open import open_engine
from cgnet_deploy.errors import UsageError
from cgnet_deploy.evaluation import confusion_of
from cgnet_deploy.spec import Res


def evaluate(
    engine: Engine | str | Path,
    data: str | Path,
    *,
    split: str = "val",
    limit: int | None = None,
    res: str | Res | None = None,
) -> Confusion:
    """Label the frames of a data set and compare the labels with the truth, at the truth's own size.

    engine: an open engine, which stays open, or what `open_engine` takes. data: a folder in any known format, or
    `scenes[:SEED[:HxW]]`. limit: only the first so many images. res: the size that frames are resized to;
    by default the engine's own, or that of its input contract.

        evaluate("cgnet.onnx", "camvid").miou    # 0 to 1

    Raises DataError for data that can't be used or that has other classes, UsageError for a limit below 1, and what
    `open_engine` raises.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit {limit}: must be at least 1 image")
    size = None if res is None else Res.of(res)
    dataset = open_dataset(str(data), split)
    with ExitStack() as stack:
        opened = engine if isinstance(engine, Engine) else stack.enter_context(open_engine(engine, res=size))
        info = opened.info
        check_classes(dataset, info.spec.classes)
        images = range(len(dataset))[:limit]
        return confusion_of(opened.infer, dataset, size or info.res, batch=info.shape[0] or 1, images=images)
