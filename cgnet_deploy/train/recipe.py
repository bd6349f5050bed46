"""What a recipe is: all that decides what a training run does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from cgnet_deploy.errors import UsageError
from cgnet_deploy.spec import InputSpec, Res

FALL = 0.4  # the share of a trapezoid in which the rate falls, where nothing else is known


@dataclass(frozen=True, slots=True)
class Scale:
    """Random resize before the crop: uniform in low..high, or one of `choices` evenly spaced values of it."""

    low: float
    high: float
    choices: int | None = None


@dataclass(frozen=True, slots=True)
class Augment:
    """crop: in pixels. single_class_limit: a crop is drawn again (10 times at most) while one class covers more
    than this share of it, 1 for never. photometric: PhotoMetricDistortion's strength, 0 for none, 1 for its own.
    """

    crop: Res
    scale: Scale
    flip: float = 0.5
    single_class_limit: float = 1.0
    photometric: float = 0.0


@dataclass(frozen=True, slots=True)
class Poly:
    """lr(t) = (lr - floor) (1 - t/T)^power + floor."""

    label: ClassVar[str] = "poly"

    power: float = 0.9
    floor: float = 0.0


@dataclass(frozen=True, slots=True)
class OneCycle:
    """lr rises by a cosine from lr/start to lr over the first `warmup` share of T, then falls by one to lr/end."""

    label: ClassVar[str] = "one-cycle"

    warmup: float = 0.15
    start: float = 10.0
    end: float = 1000.0


@dataclass(frozen=True, slots=True)
class Trapezoid:
    """lr rises linearly over the first `rise` steps, stays, and falls linearly to 0 over the last `fall` steps.

    Before the fall, the length of the run has no effect, so a run can be extended on a machine of unknown speed.
    """

    label: ClassVar[str] = "trapezoid"

    rise: int = 50
    fall: int = 300


@dataclass(frozen=True, slots=True)
class Optimiser:
    """Adam couples weight decay into the gradient, AdamW doesn't.

    decayed: "all" parameters; "weights", those of convolutions and gates, without BatchNorm, PReLU and biases; or only
    those of "dense" convolutions, which leaves depthwise filters and gates alive too.
    """

    kind: Literal["adam", "adamw"] = "adam"
    lr: float = 1e-3
    beta2: float = 0.999
    weight_decay: float = 5e-4
    decayed: Literal["all", "weights", "dense"] = "all"

    def __post_init__(self) -> None:
        for name, known in (("kind", ("adam", "adamw")), ("decayed", ("all", "weights", "dense"))):
            if getattr(self, name) not in known:
                raise UsageError(f"optimiser.{name} = {getattr(self, name)}: there are {', '.join(known)}")


@dataclass(frozen=True, slots=True)
class Distill:
    """Soft labels of --teacher: weight * temperature^2 * KL(teacher || network), both softened by the temperature."""

    weight: float = 1.0
    temperature: float = 2.0

    def __post_init__(self) -> None:
        if not self.weight >= 0 or not self.temperature > 0:
            raise UsageError(
                f"distill: weight {self.weight}, temperature {self.temperature}: wanted a weight from 0 and a "
                "temperature above 0"
            )


@dataclass(frozen=True, slots=True)
class ByFrequency:
    """Class weight 1 / ln(c + share of the class among valid pixels): the paper's with c = 1.10, softer above."""

    c: float = 1.10


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training run.

    split: of the data set, trained on; validation is on "val". input: the contract stored in the checkpoint.
    fit: resize every training picture to the test size first, as at test time; without, crops are of the stored size.
    batch: images a step, over all processes together. epochs, steps or minutes: the length; an epoch drops its last,
    incomplete batch; minutes need a trapezoid, which then falls over the last FALL of them. class_weights: a rule, or
    one weight a class, or None. clip: the largest gradient norm, 0 for no limit. ema: decay a step of the averaged
    weights that are validated and shipped, 0 for none.
    sync_bn: BatchNorm statistics over all processes (needs GPUs). frozen_bn: keep the statistics as they are.
    amp: f16 with loss scaling, on a GPU. captured: replay the step from CUDA graphs, on one GPU.
    distill: what --teacher adds to the loss. smoothing: share of a label that is spread over all classes. ohem: pixels
    whose own class has a probability above it don't count (online hard example mining), 0 for all pixels.
    revive: with --init, re-initialise its dead filters and constant gates (revive.py).
    validate_every, save_every, log_every: in steps.
    """

    name: str
    summary: str
    split: Literal["train", "trainval"]
    input: InputSpec
    batch: int
    augment: Augment
    optimiser: Optimiser
    schedule: Poly | OneCycle | Trapezoid
    class_weights: ByFrequency | tuple[float, ...] | None
    epochs: int | None = None
    steps: int | None = None
    minutes: float | None = None
    fit: bool = False
    blocks: tuple[int, int] = (3, 21)
    classifier_bias: bool = False
    initial: Literal["official", "mmseg"] = "official"
    clip: float = 0.0
    ema: float = 0.0
    sync_bn: bool = False
    frozen_bn: bool = False
    distill: Distill = Distill()
    smoothing: float = 0.0
    ohem: float = 0.0
    revive: bool = False
    amp: bool = False
    captured: bool = False
    seed: int = 0
    validate_every: int = 1000
    save_every: int = 100
    log_every: int = 10

    def __post_init__(self) -> None:
        for name in ("batch", "validate_every", "save_every", "log_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} = {getattr(self, name)}: must be at least 1")
        if self.minutes is not None and not isinstance(self.schedule, Trapezoid):
            raise UsageError(f"a length in minutes needs the schedule {Trapezoid.label}, not {self.schedule.label}")
        if not 0 <= self.ema < 1:
            raise UsageError(f"ema = {self.ema}: a decay is from 0 (no averaging) to below 1")
        for name in ("smoothing", "ohem"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} = {getattr(self, name)}: wanted 0 (off) to below 1")
