"""What many looks at a picture bring, and how far MediaPipe's model is, from records of `many_looks`."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from thesislib.chapters.eight_bits import MEDIAPIPE
from thesislib.chapters.many_looks import SYNTHETIC
from thesislib.figures.chapter2_numbers import GOAL
from thesislib.figures.joint_tables import real_set
from thesislib.figures.tables import listed, missing

INVENTED = "invented hands of unseen signers"
TEACHER = "asl7"  # the set whose points are MediaPipe's own


def table(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a set of hands, one column a finder: mean error in parts of the joints' box, its longer side.

    Brackets hold 95 % when people are drawn again, or images where a set has fewer than two known people.
    """
    finders = record["metrics"]["finders"]
    one = next(iter(finders.values()))["over_box"]
    rows = {}
    for row in one:
        found = {name: scores["over_box"][row] for name, scores in finders.items()}
        rows[_set(row)] = {
            "n": str(one[row]["n_images"]),
            "drawn again": f"{people} people" if (people := one[row].get("n_signers", 0)) > 1 else "images",
            **{
                finder_name(
                    name
                ): "{error_over_box:.3f} [{error_over_box_low:.3f}, {error_over_box_high:.3f}]".format(
                    **errors
                )
                for name, errors in found.items()
            },
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def finder_name(name: str) -> str:
    """Return what a page calls a finder of `many_looks`: "ours_18_views", "mediapipe_full_64px_look_1"."""
    if name.startswith("ours"):
        views = name.split("_")[1]
        return f"ours, {views} view{'s' * (views != '1')}"
    size, _, look = name.removeprefix(f"{MEDIAPIPE}_").split("_")
    return f"MediaPipe, {size.removesuffix('px')} px, look {look}"


def words(record: Mapping[str, Any] | None) -> str:
    """Return the paragraph on what the table says."""
    if record is None:
        return missing("many looks", "thesis run many_looks --profile full")
    finders = record["metrics"]["finders"]
    once, often = (name for name in finders if name.startswith("ours"))
    errors = {name: _errors(scores) for name, scores in finders.items()}
    real = [row for row in errors[once] if row != SYNTHETIC]
    before, after = (finders[name][SYNTHETIC]["epe_px_at_256"] for name in (once, often))
    said = (
        f"On {INVENTED}, the mean over {often.split('_')[1]} views is {after:.1f} px of 256 from the truth and a "
        f"single look {before:.1f}; in parts of the box, {errors[often][SYNTHETIC]:.3f} and "
        f"{errors[once][SYNTHETIC]:.3f}. "
    )
    if real:
        lower = [row for row in real if errors[often][row] < errors[once][row]]
        met = [_set(row) for row in real if errors[often][row] <= GOAL]
        said += (
            f"On {len(lower)} of {len(real)} rows of real hands the mean over views is nearer as well. The goal of "
            f"{GOAL:.0%} of the box is {f'met on {listed(met)}' if met else 'still missed by all of them'}. "
        )
    photographs = [row for row in real if row.startswith(TEACHER)]
    for row in photographs[-1:]:
        harder = errors[often][row] / errors[often][SYNTHETIC]
        said += (
            f"On {_set(row)}, the error goes from {errors[once][row]:.3f} to {errors[often][row]:.3f}, which is "
            f"{harder:.1f} times that on invented hands. "
        )
    if peers := [name for name in finders if name.startswith(MEDIAPIPE)]:
        peer = errors[peers[-1]]
        others = [row for row in real if row not in photographs]
        nearer = [row for row in others if peer[row] < errors[often][row]]
        said += (
            "MediaPipe's model, which learned from photographs, is off by "
            f"{peer[SYNTHETIC]:.3f} on invented hands in its last column"
        )
        said += f", and nearer than the views on {len(nearer)} of {len(others)} rows" if others else ""
        said += " whose points are not its own." if others else "."
    return said.strip()


def _errors(scores: Mapping[str, Any]) -> dict[str, float]:
    return {row: found["error_over_box"] for row, found in scores["over_box"].items()}


def _set(row: str) -> str:
    return INVENTED if row == SYNTHETIC else real_set(row)
