"""A 5-class checkpoint as mmsegmentation writes it: its classes, and its config as text in every form it had."""

from __future__ import annotations

from typing import Any

from cgnet_deploy.model import CGNet
from cgnet_deploy.spec import Color, InputSpec, Res
from tests.files import named, saved

NAMES = ("road", "kerb, low", "traffic light", "Fußgänger", "other")
PALETTE = [[128, 64, 128], [244, 35, 232], [250, 170, 30], [220, 20, 60], [0, 0, 0]]
INPUT = InputSpec((101.25, 99.5, 88.75), (58.395, 57.12, 57.375), "rgb", Res(64, 96))

CONFIG_0X = """/home/me/configs/cgnet.py
_base_ = ['../_base_/default_runtime.py']  # a comment, with brackets )]}
import os
img_norm_cfg = dict(
    mean=[101.25, 99.5, 88.75], std=[58.395, 57.12, 57.375], to_rgb=True)
crop_size = (48, 48)
train_pipeline = [dict(type='Resize', img_scale=(999, 777)), dict(type='Normalize', **img_norm_cfg)]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiScaleFlipAug', img_scale=(96, 64), flip=False,
         transforms=[dict(type='Normalize', **img_norm_cfg), dict(type='Collect', keys=['img'])])
]
data = dict(samples_per_gpu=8, test=dict(type='MyDataset', pipeline=test_pipeline))
work_dir = os.path.join('work', 'x')
"""
CONFIG_1X = """crop_size = (48, 48)
data_preprocessor = dict(
    bgr_to_rgb=True,
    mean=[101.25, 99.5, 88.75],
    pad_val=0,
    seg_pad_val=255,
    size=(48, 48),
    std=[58.395, 57.12, 57.375],
    type='SegDataPreProcessor')
log_level = 'INFO'
model = dict(data_preprocessor=data_preprocessor, type='EncoderDecoder')
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(keep_ratio=True, scale=(96, 64), type='Resize'),
    dict(type='PackSegInputs'),
]
"""
DICT_1X = repr(
    {
        "model": {
            "data_preprocessor": {
                "type": "SegDataPreProcessor",
                "mean": list(INPUT.mean),
                "std": list(INPUT.std),
                "bgr_to_rgb": True,
            }
        },
        "test_dataloader": {"dataset": {"pipeline": [{"type": "Resize", "scale": (96, 64)}]}},
    }
)

ALL_FORMS: dict[str, dict[str, Any]] = {
    "0.x": {"CLASSES": NAMES, "PALETTE": PALETTE, "config": CONFIG_0X},
    "0.x on one line": {"CLASSES": NAMES, "PALETTE": PALETTE, "config": " ".join(CONFIG_1X.split())},
    "0.x with escaped ends of lines": {"CLASSES": NAMES, "PALETTE": PALETTE, "config": CONFIG_1X.replace("\n", "\\n")},
    "0.x as repr": {"CLASSES": NAMES, "PALETTE": PALETTE, "config": f"Config (path: cgnet.py): {DICT_1X}"},
    "1.x": {"dataset_meta": {"classes": NAMES, "palette": PALETTE}, "cfg": CONFIG_1X},
    "1.x as a dictionary": {"dataset_meta": {"classes": list(NAMES), "palette": PALETTE}, "cfg": DICT_1X},
}


def mmseg_file(model: CGNet, meta: dict[str, Any]) -> bytes:
    return saved({"meta": {"epoch": 3, **meta}, "state_dict": named(model, "mmseg")})


def turned(config: str, color: Color) -> str:
    """The config of a network that reads channels in the order `color`."""
    return config.replace("to_rgb=True", f"to_rgb={color == 'rgb'}")
