"""Every recipe, in full: what a training run does is decided here and nowhere else.

The published ones are written down as they were run (the official code's data/batch/schedule, mmsegmentation
1.2.2's configs), with the two faults that kept them from training repaired: class weights count valid pixels
only, and label 255 is never looked up in them. Ours are at the end; the last one, `own`, is completed by own.py.
"""

from __future__ import annotations

from dataclasses import replace

from cgnet_deploy.contracts import CONTRACTS
from cgnet_deploy.spec import InputSpec, Res
from cgnet_deploy.train.recipe import Augment, ByFrequency, OneCycle, Optimiser, Poly, Recipe, Scale, Trapezoid

SIXTEEN_SCALES = Scale(0.5, 2.0, choices=16)  # 0.5, 0.6, ... 2.0

CAMVID_OFFICIAL = Recipe(
    name="camvid-official",
    summary="the official code's, train+val, 800 epochs",
    split="trainval",
    input=CONTRACTS["camvid-official"],
    batch=8,
    epochs=800,
    augment=Augment(Res(360, 360), SIXTEEN_SCALES),
    optimiser=Optimiser(),
    schedule=Poly(),
    class_weights=ByFrequency(),
)

CITYSCAPES_OFFICIAL = replace(
    CAMVID_OFFICIAL,
    name="cityscapes-official",
    summary="the official code's, train, 300 epochs",
    split="train",
    input=CONTRACTS["cityscapes-official"],
    batch=16,
    epochs=300,
    augment=Augment(Res(680, 680), SIXTEEN_SCALES),
)

MMSEG_680 = Recipe(
    name="mmseg-680x680",
    summary="mmsegmentation's cgnet_fcn_4xb4-60k_cityscapes-680x680, 8 images on each of 4 GPUs",
    split="train",
    input=CONTRACTS["cityscapes-mmseg"],
    batch=32,
    steps=60_000,
    augment=Augment(Res(680, 680), Scale(0.5, 2.0)),
    optimiser=Optimiser(),
    schedule=Poly(floor=1e-4),
    class_weights=(
        2.5959933,
        6.7415504,
        3.5354059,
        9.8663225,
        9.690899,
        9.369352,
        10.289121,
        9.953208,
        4.3097677,
        9.490387,
        7.674431,
        9.396905,
        10.347791,
        6.3927646,
        10.226669,
        10.241062,
        10.280587,
        10.396974,
        10.055647,
    ),
    classifier_bias=True,
    initial="mmseg",
    sync_bn=True,
    validate_every=4000,
)

MMSEG_512 = replace(
    MMSEG_680,
    name="mmseg-512x1024",
    summary="mmsegmentation's cgnet_fcn_4xb8-60k_cityscapes-512x1024, 8 images on each of 4 GPUs",
    augment=Augment(Res(512, 1024), Scale(0.5, 2.0), single_class_limit=0.75, photometric=1.0),
)

# CamVid's training split: the true mean and the deviation, in RGB order.
CAMVID_INPUT = InputSpec((105.03, 108.41, 110.33), (71.1, 71.7, 67.9), "rgb", Res(360, 480))

CAMVID = Recipe(
    name="camvid",
    summary="ours, train only: small crops, averaged weights; made for an hour and a half of one CPU core",
    split="train",
    input=CAMVID_INPUT,
    batch=4,
    steps=7000,
    augment=Augment(Res(240, 240), Scale(0.5, 1.5), photometric=0.4),
    optimiser=Optimiser("adamw", lr=3e-3, beta2=0.99, weight_decay=0.01, decayed="weights"),
    schedule=Trapezoid(rise=100, fall=2800),
    class_weights=ByFrequency(c=1.15),
    clip=5.0,
    ema=0.995,
    validate_every=500,
)

CAMVID_FINE = replace(
    CAMVID_OFFICIAL,
    name="camvid-fine",
    summary="ours, to fine-tune the official weights (--init) in three quarters of an hour of one CPU core",
    epochs=None,
    steps=520,
    augment=replace(CAMVID_OFFICIAL.augment, photometric=0.4),
    optimiser=Optimiser("adamw", lr=4e-4, beta2=0.99, weight_decay=0.01, decayed="dense"),
    schedule=Trapezoid(rise=20, fall=500),
    clip=5.0,
    ema=0.995,
)

SCENES = Recipe(
    name="scenes",
    summary="drawn street scenes, from scratch in minutes on a CPU",
    split="train",
    input=InputSpec((120.0, 120.0, 120.0), (60.0, 60.0, 60.0), "rgb", Res(360, 480)),
    batch=4,
    steps=3000,
    augment=Augment(Res(192, 192), Scale(0.5, 1.15)),
    optimiser=Optimiser("adamw", lr=4e-3, beta2=0.99, weight_decay=0.01, decayed="weights"),
    schedule=OneCycle(),
    class_weights=ByFrequency(c=1.15),
    blocks=(3, 9),
    clip=5.0,
    ema=0.99,
    validate_every=1500,
)

# A template: own.py puts in what depends on the data set (input, crop, batch, rate, length, intervals).
OWN = replace(
    CAMVID,
    name="own",
    summary="made for any data set, from its pictures and classes (the default)",
    steps=None,
    fit=True,
    ema=0.99,
    schedule=Trapezoid(rise=50),
)

RECIPES = {
    recipe.name: recipe
    for recipe in (OWN, CAMVID_OFFICIAL, CITYSCAPES_OFFICIAL, MMSEG_680, MMSEG_512, CAMVID, CAMVID_FINE, SCENES)
}
