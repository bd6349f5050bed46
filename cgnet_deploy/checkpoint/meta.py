"""What mmsegmentation writes about a network beside its weights, in `meta`.

    CLASSES, PALETTE                      0.x: class names, and RGB colours
    dataset_meta: classes, palette        1.x
    config (0.x), cfg (1.x)               the config of the training run, as text (configtext.py):
        data_preprocessor                 1.x: mean, std, bgr_to_rgb, size (H, W)
        img_norm_cfg, or a step Normalize 0.x: mean, std, to_rgb
        img_scale, scale (W, H)           of the test pipeline; else crop_size (H, W), what was trained on

Each value comes with where it is from. What is missing or odd is None, and is left to the user.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

from cgnet_deploy.checkpoint.configtext import Config, Unreadable
from cgnet_deploy.errors import UserError
from cgnet_deploy.spec import Color, ModelSpec, Res, Rgb, Triple

IGNORE_LABEL = 255  # mmsegmentation's default
MAX_VISITED = 20_000
WORDS = {"color": "colour order", "res": "size", "ignore_label": "ignore label"}  # of the log
Palette = tuple[Rgb, ...]


class Origin(NamedTuple):
    """A field of Meta, and where in the file its value is."""

    field: str
    place: str


@dataclass(frozen=True, slots=True)
class Meta:
    """None where the file has no such value. unread: why a config was not read."""

    names: tuple[str, ...] | None = None
    palette: Palette | None = None
    mean: Triple | None = None
    std: Triple | None = None
    color: Color | None = None
    res: Res | None = None
    ignore_label: int | None = None
    origins: tuple[Origin, ...] = ()
    unread: str | None = None

    def summary(self, used: Set[str]) -> str:
        """Where those values are from that were used, `names from CLASSES; mean, std from img_norm_cfg; `."""
        places: dict[str, list[str]] = {}
        for field, place in self.origins:
            if field in used:
                places.setdefault(place, []).append(WORDS.get(field, field))
        return "".join(f"{', '.join(names)} from {place}; " for place, names in places.items())


def read_meta(beside: Mapping[Any, Any]) -> Meta:
    """From what stands beside the weights; an empty Meta if nothing of that is known."""
    found: dict[str, tuple[Any, str]] = {}

    def note(field: str, value: Any, place: str) -> None:
        if value is not None:
            found.setdefault(field, (value, place))

    dataset = beside.get("dataset_meta")
    for held, prefix in ((dataset, "dataset_meta."), (beside, "")):
        if isinstance(held, Mapping):
            for names, palette in (("classes", "palette"), ("CLASSES", "PALETTE")):
                note("names", _names(held.get(names)), f"{prefix}{names}")
                note("palette", _palette(held.get(palette)), f"{prefix}{palette}")
    unread = None
    for key in ("cfg", "config"):
        if isinstance(text := beside.get(key), str):
            try:
                for field, value, place in _of_config(Config(text)):
                    note(field, value, f"{place} in {key}")
            except Unreadable as error:
                unread = f"{key}: {error}"
    values = {field: value for field, (value, _) in found.items()}
    origins = tuple(Origin(field, place) for field, (_, place) in found.items())
    return Meta(**values, origins=origins, unread=unread)


def mmseg_meta(spec: ModelSpec) -> dict[str, Any]:
    """What mmsegmentation 1.x writes of a network, from which `read_meta` has the same."""
    height, width = spec.input.res
    preprocessor = {
        "type": "SegDataPreProcessor",
        "mean": list(spec.input.mean),
        "std": list(spec.input.std),
        "bgr_to_rgb": spec.input.color == "rgb",
        "pad_val": 0,
        "seg_pad_val": spec.ignore_label,
    }
    pipeline = [
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "scale": (width, height), "keep_ratio": False},
        {"type": "PackSegInputs"},
    ]
    return {
        "dataset_meta": {"classes": spec.class_names, "palette": [list(colour) for colour in spec.palette]},
        "cfg": f"data_preprocessor = {preprocessor!r}\ntest_pipeline = {pipeline!r}\n",
    }


def _of_config(config: Config) -> Iterator[tuple[str, Any, str]]:
    model = config.get("model")
    for place, step in (
        ("data_preprocessor", config.get("data_preprocessor")),
        ("model.data_preprocessor", model.get("data_preprocessor") if isinstance(model, dict) else None),
        ("img_norm_cfg", config.get("img_norm_cfg")),
        *(("Normalize", step) for step in _steps(config) if step.get("type") == "Normalize"),
    ):
        if isinstance(step, dict) and (mean := _triple(step.get("mean"))) and (std := _triple(step.get("std"))):
            yield "mean", mean, place
            yield "std", std, place
            # mmcv's Normalize turns BGR to RGB unless told not to; data_preprocessor only when told to, either way
            turned = step.get("to_rgb", True) if "preprocessor" not in place else _turns(step)
            yield "color", "rgb" if turned else "bgr", place
            yield "ignore_label", _label(step.get("seg_pad_val")), place
            break
    for step in _steps(config):
        for key in ("img_scale", "scale"):
            yield "res", _res(step.get(key), width_first=True), f"{key} of the test pipeline"
    preprocessor = config.get("data_preprocessor")
    yield "res", _res(preprocessor.get("size"), False) if isinstance(preprocessor, dict) else None, "data_preprocessor"
    yield "res", _res(config.get("crop_size"), width_first=False), "crop_size"
    yield "ignore_label", IGNORE_LABEL, "mmsegmentation's default"


def _turns(step: Mapping[str, Any]) -> bool:
    return bool(step.get("bgr_to_rgb") or step.get("rgb_to_bgr"))


def _steps(config: Config) -> Iterator[dict[str, Any]]:
    """The steps of the test pipelines, those within others too."""
    visited = 0
    stack = [config.get("test_pipeline"), _within(config.get("test_dataloader"), "dataset", "pipeline")]
    stack += [_within(config.get("data"), "test", "pipeline")]
    stack.reverse()
    while stack and (visited := visited + 1) < MAX_VISITED:
        match stack.pop():
            case list() as items:
                stack += reversed(items[:100])
            case dict() as step:
                yield step
                stack.append(step.get("transforms"))


def _within(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _names(value: Any) -> tuple[str, ...] | None:
    return tuple(value) if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value) else None


def _palette(value: Any) -> Palette | None:
    if not isinstance(value, list | tuple):
        return None
    colours = [tuple(c) for c in value if isinstance(c, list | tuple) and len(c) == 3 and all(_is_int(v) for v in c)]
    return tuple((r, g, b) for r, g, b in colours) if len(colours) == len(value) > 0 else None


def _triple(value: Any) -> Triple | None:
    if not isinstance(value, list) or len(value) != 3 or not all(_is_int(v) or isinstance(v, float) for v in value):
        return None
    first, second, third = map(float, value)
    return first, second, third


def _res(value: Any, width_first: bool) -> Res | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, list) or len(value) != 2 or not all(_is_int(v) for v in value):
        return None
    height, width = reversed(value) if width_first else value
    try:
        return Res(height, width).checked()
    except UserError:
        return None


def _label(value: Any) -> int | None:
    return value if _is_int(value) and 0 <= value <= 255 else None


def _is_int(value: Any) -> bool:
    return type(value) is int
