"""How long a run is: a number of steps, or minutes, on a machine of unknown speed.

A run of T minutes, less the time of the last validation, learns at the peak rate until (1 - FALL) T have passed. Then
its steps are fixed: the fall takes as many as fit into SAFE of the time that is left, at the mean time of a step so far
(with validations, without the first step, which is slow). If steps take longer from there on, the fall is shortened,
from the rate that it has reached. All of it stands in the run's state.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cgnet_deploy.clock import CLOCK
from cgnet_deploy.train.recipe import FALL, Recipe, Trapezoid
from cgnet_deploy.train.schedule import learning_rate

SAFE = 0.9
TIMED = 10


@dataclass(slots=True)
class Length:
    """steps: of the run, None until they are fixed. fall, top: where time decides, the rate falls from `top` of the
    peak over the last `fall` steps.

    val_images: the last validation takes `validation_s`, or, before that is known, an estimate from them.
    before_s: spent by earlier processes of this run. began_ns: when this one began.
    """

    recipe: Recipe
    steps: int | None
    val_images: int = 0
    fall: int | None = None
    top: float = 1.0
    before_s: float = 0.0
    began_ns: int = field(default_factory=CLOCK.now_ns)
    began: tuple[int, float] | None = None  # step and spent_s after the first step of this process
    fall_began: tuple[int, float] | None = None  # the same, of the fall
    validation_s: float | None = None  # of the last one, if in this process

    @property
    def here_s(self) -> float:
        """Spent by this process."""
        return (CLOCK.now_ns() - self.began_ns) / 1e9

    @property
    def spent_s(self) -> float:
        return self.before_s + self.here_s

    @property
    def limit_s(self) -> float:
        return 60 * (self.recipe.minutes or 0.0)

    @property
    def left_s(self) -> float:
        """Until the end of a run of so many minutes."""
        return self.limit_s - self.spent_s

    @property
    def total(self) -> float:
        """What the progress counts to: steps, or seconds for a run of so many minutes."""
        return float(self.steps or 0) if self.recipe.minutes is None else self.limit_s

    def done(self, step: int) -> float:
        """How far that is, of `total`, after `step` steps."""
        return float(step) if self.recipe.minutes is None else min(self.spent_s, self.limit_s)

    def new_fall(self, step: int) -> int:
        """Over how many steps the rate must fall from here on; 0 if nothing changes. To be asked after each step.

        step: so many are done.
        """
        if self.began is None:
            self.began = step, self.spent_s
            return 1 if self.left_s <= 0 and self.steps != step else 0
        step_s, reserve_s = self._step_s(step, *self.began), self.validation_s
        if reserve_s is None:
            timed = step - self.began[0] >= TIMED  # a few steps are too few to multiply
            reserve_s = step_s * validation_steps(self.recipe, self.val_images) if timed else 0.0
        fit = (self.left_s - reserve_s) / step_s
        if self.steps is None:
            return max(1, int(SAFE * fit)) if fit * step_s <= FALL * (self.limit_s - reserve_s) else 0
        left = self.steps - step
        return max(1, int(fit)) if left > max(1.0, fit) else 0

    def fix(self, step: int, fall: int) -> None:
        """The rate falls over the next `fall` steps, then the run ends."""
        self.top = 1.0 if self.fall is None else self.rate(step) / self.recipe.optimiser.lr
        self.fall_began = self.fall_began or (step, self.spent_s)
        self.steps, self.fall = step + fall, fall

    def rate(self, step: int) -> float:
        """The learning rate of step `step`, from 0."""
        schedule = self.recipe.schedule
        if self.fall and isinstance(schedule, Trapezoid):
            schedule = replace(schedule, fall=self.fall)
        return self.top * learning_rate(schedule, self.recipe.optimiser.lr, step, self.steps)

    def _step_s(self, step: int, first: int, first_s: float) -> float:
        """The time of a step: the mean so far, or in the fall, whichever is longer."""
        mean_s = (self.spent_s - first_s) / max(1, step - first)
        if self.fall_began and step > self.fall_began[0]:
            mean_s = max(mean_s, (self.spent_s - self.fall_began[1]) / (step - self.fall_began[0]))
        return max(mean_s, 1e-9)


def validation_steps(recipe: Recipe, images: int) -> float:
    """The time of a validation in steps, about: a pixel costs a third as much to label as to learn from."""
    labelled = images * recipe.input.res.height * recipe.input.res.width
    return labelled / (3 * recipe.batch * recipe.augment.crop.height * recipe.augment.crop.width)
