"""Images and labels in: CamVid, Cityscapes, drawn scenes, or a folder of pictures."""

from cgnet_deploy.data.dataset import Dataset, check_classes, fit, fit_frame, fit_labels, sample
from cgnet_deploy.data.images import images_in, read_image
from cgnet_deploy.data.opening import open_dataset

__all__ = [
    "Dataset",
    "check_classes",
    "fit",
    "fit_frame",
    "fit_labels",
    "images_in",
    "open_dataset",
    "read_image",
    "sample",
]
