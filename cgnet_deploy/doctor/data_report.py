"""A survey of a data set as text and as JSON."""

from __future__ import annotations

from typing import Any

from cgnet_deploy.data.classes import spelled
from cgnet_deploy.doctor.survey import DataSurvey, SplitSurvey
from cgnet_deploy.tables import text_table

SIZES = 3  # shown of a split


def text(survey: DataSurvey) -> str:
    counts = ", ".join(f"{len(split.dataset)} {name}" for name, split in survey.splits.items())
    lines = [f"{survey.where}: {survey.format}; {len(survey.table.names)} classes; {counts}"]
    lines += [f"note: {note}" for note in survey.notes]
    rows = [
        (name, str(len(split.dataset)), sizes(split), f"{100 * split.ignored_share:.2f}")
        for name, split in survey.splits.items()
    ]
    tables = [text_table(("split", "pictures", "sizes", "ignored %"), rows, right=("pictures", "ignored %"))]
    shares = [f"{name} %" for name in survey.splits]
    rows_of_classes = [
        (str(k), name, spelled(survey.table.palette[k]), *(f"{100 * s.shares[k]:.3f}" for s in survey.splits.values()))
        for k, name in enumerate(survey.table.names)
    ]
    tables.append(text_table(("label", "class", "colour", *shares), rows_of_classes, right=("label", *shares)))
    problems = [f"{'error' if problem.error else 'warning'}: {problem.text}" for problem in survey.problems]
    return "\n\n".join(["\n".join(lines), *tables, "\n".join(problems) or "no problem"])


def sizes(split: SplitSurvey) -> str:
    """The most frequent sizes: `360x480`, or `360x480 (12), 720x960 (3)`."""
    ordered = sorted(split.sizes.items(), key=lambda one: (-one[1], one[0]))
    if len(ordered) == 1:
        return str(ordered[0][0])
    shown = [f"{res} ({count})" for res, count in ordered[:SIZES]]
    return ", ".join(shown + ([f"{len(ordered) - SIZES} more"] if len(ordered) > SIZES else []))


def to_json(survey: DataSurvey) -> dict[str, Any]:
    return {
        "schema": 1,
        "data": survey.where,
        "format": survey.format,
        "notes": list(survey.notes),
        "classes": [
            {"label": k, "name": name, "colour": list(survey.table.palette[k])}
            for k, name in enumerate(survey.table.names)
        ],
        "ignore_label": survey.table.ignore_label,
        "splits": {
            name: {
                "pictures": len(split.dataset),
                "sizes": {str(res): count for res, count in split.sizes.items()},
                "pixels": split.pixels.tolist(),
                "ignored_pixels": split.ignored,
                "exif_turned": split.turned,
            }
            for name, split in survey.splits.items()
        },
        "problems": [{"error": problem.error, "text": problem.text} for problem in survey.problems],
    }
