"""What test-time augmentation brings, and how far off MediaPipe's model is, from records of `view_averaging`."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from thesislib.chapters.stored_pose import HALF, MEDIAPIPE, WHOLE
from thesislib.chapters.view_averaging import SHARES, SINGLE, SYNTHETIC, TURNS_DEGREES, VIEWED, VIEWS
from thesislib.figures.chapter2_numbers import GOAL
from thesislib.figures.joint_tables import real_set
from thesislib.figures.tables import listed, missing
from thesislib.peers import INPUT_PX

INVENTED = "invented hands of unseen signers"
NAMES = {HALF: "half width", WHOLE: "whole width"}
LARGEST = "asl7"  # of the sets of photographs
UNTOUCHED = "rhd"  # by the choice of the views; see `view_averaging`
TRACKED = f"{MEDIAPIPE}_{INPUT_PX}px_tracked"


def latency_and_error(
    record: Mapping[str, Any] | None, speed: Mapping[str, Any]
) -> dict[str, tuple[float, float]]:
    """Return MediaPipe's point beside those of `joint_tables.latency_and_error`; {} where it was not asked.

    One run of its model, on the crop that its tracking takes.
    """
    timed = speed["metrics"]["systems"].get(MEDIAPIPE)
    if record is None or timed is None or TRACKED not in record["metrics"]["finders"]:
        return {}
    error = record["metrics"]["finders"][TRACKED][SYNTHETIC]["epe_px_at_256"]
    return {finder_name(TRACKED): (timed["latency_ms_litert"], error)}


def settings() -> dict[str, Any]:
    """Return what the views are: how many, the smallest share of a picture's side, and the turn in degrees."""
    return {"views": VIEWS, "view_share": f"{min(SHARES):.0%}", "view_turn": f"{max(TURNS_DEGREES):g}"}


def table(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a set of hands, one column a finder: its mean error in parts of the joints' box."""
    finders = record["metrics"]["finders"]
    rows: dict[str, dict[str, str]] = {}
    for row, single in next(iter(finders.values()))["over_box"].items():
        cells = rows[_set(row)] = {"n": str(single["n_images"])}
        for finder, scores in finders.items():
            cells[finder_name(finder)] = f"{scores['over_box'][row]['error_over_box']:.3f}"
    return pd.DataFrame.from_dict(rows, orient="index")


def intervals(record: Mapping[str, Any]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Return finder -> set of hands -> mean error and its 95 %, in parts of the box, for `hand_errors.by_set`.

    People are drawn again, or pictures where a set has fewer than two known people. The half width is left out.
    """
    return {
        finder_name(finder): {_set(row): _interval(found) for row, found in scores["over_box"].items()}
        for finder, scores in record["metrics"]["finders"].items()
        if not finder.startswith(HALF)
    }


def by_letter(record: Mapping[str, Any]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Return set -> letter -> the whole width's mean error over views and its 95 %, in parts of the box.

    Photographs come first, then invented hands, as `hand_errors.by_letter` wants; {} where none are stored.
    """
    over_box = record["metrics"]["finders"][f"{WHOLE}_{VIEWED}"]["over_box"]
    photographed = _photographs(over_box)
    if photographed is None:
        return {}
    return {
        _set(row): {letter: _interval(found) for letter, found in over_box[row]["by_letter"].items()}
        for row in (photographed, SYNTHETIC)
    }


def of_letters(record: Mapping[str, Any] | None, farthest: int = 5) -> str:
    """Return the sentences on which letters of photographs are farthest off; "" where none are stored."""
    sets = by_letter(record) if record else {}
    if not sets:
        return ""
    means = {name: {letter: found[0] for letter, found in of_set.items()} for name, of_set in sets.items()}
    (name, real), invented = next(iter(means.items())), means[INVENTED]
    worst = sorted(real, key=real.__getitem__, reverse=True)[:farthest]
    others = [error for letter, error in real.items() if letter not in worst]
    within = [sum(error <= GOAL for error in of_set.values()) for of_set in (real, invented)]
    told = [f"{letter} ({real[letter]:.3f}, invented {invented[letter]:.3f})" for letter in worst]
    return (
        f"On {name} {within[0]} of {len(real)} letters are within {GOAL:.0%} of the box, and {within[1]} of "
        f"{len(invented)} on invented hands. Farthest off are {listed(told)}; the others are "
        f"{np.mean(others):.3f} off on average."
    )


def finder_name(finder: str) -> str:
    """Return what a page calls a finder of a record, such as "mediapipe_full_64px_tracked"."""
    for width, name in NAMES.items():
        if finder.startswith(width):
            return f"{name}, {'one view' if finder.endswith(SINGLE) else f'{VIEWS} views'}"
    size, crop = finder.removeprefix(f"{MEDIAPIPE}_").split("_")
    return f"MediaPipe, {size.removesuffix('px')} px, {'tracking crop' if crop == 'tracked' else crop}"


def words(record: Mapping[str, Any] | None) -> str:
    """Return the paragraph on what the table says; errors are called different where 95 % of differences agree."""
    if record is None:
        return missing("test-time augmentation", "thesis run view_averaging --profile full")
    finders = record["metrics"]["finders"]
    errors = {finder: _errors(scores) for finder, scores in finders.items()}
    said = "".join(_of_invented(width, finders) for width in NAMES) + "\n\n"
    viewed = f"{WHOLE}_{VIEWED}"  # what is said of other hands is of the better network
    of_views = finders[viewed]["over_box"]
    others = [row for row in of_views if row != SYNTHETIC]
    if chosen := [row for row in others if not row.startswith(UNTOUCHED)]:
        said += (
            "On the rows by which the views were chosen, the whole width's error over views is "
            f"{_verdicts(of_views, chosen)}, which proves little. "
        )
    if untouched := [row for row in others if row.startswith(UNTOUCHED)]:
        said += f"Of the rows left out of that choice it is {_verdicts(of_views, untouched)}. "
    if others:
        met = [_set(row) for row in others if errors[viewed][row] <= GOAL]
        verdict = f"met on {listed(met)}" if met else f"missed on all {len(others)} rows"
        said += f"The goal of {GOAL:.0%} of the box is {verdict}. "
    if row := _photographs(of_views):
        times = errors[viewed][row] / errors[viewed][SYNTHETIC]
        said += (
            f"On {_set(row)} the error is {errors[viewed][row]:.3f} "
            f"({errors[f'{HALF}_{VIEWED}'][row]:.3f} at half width), {times:.2f} times that on invented hands. "
        )
    return f"{said.strip()}\n\n{_of_mediapipe(finders, errors)}".strip()


def _of_mediapipe(finders: Mapping[str, Any], errors: Mapping[str, Mapping[str, float]]) -> str:
    """Return who is nearer, the whole width or MediaPipe's model on its tracking crop; '' where that is missing."""
    if TRACKED not in finders:
        return ""
    once, viewed = (f"{WHOLE}_{views}" for views in (SINGLE, VIEWED))
    ours, theirs = (finders[finder]["over_box"][SYNTHETIC] for finder in (once, TRACKED))
    overlap = (
        ours["error_over_box_low"] <= theirs["error_over_box_high"]
        and theirs["error_over_box_low"] <= ours["error_over_box_high"]
    )
    nearer = "the whole width" if errors[once][SYNTHETIC] < errors[TRACKED][SYNTHETIC] else "MediaPipe"
    said = (
        f"On {INVENTED}, where our networks alone are at home, MediaPipe's model at {INPUT_PX} px, on the crop "
        f"of its tracking, is {errors[TRACKED][SYNTHETIC]:.3f} of the box off and the whole width in one view "
        f"{errors[once][SYNTHETIC]:.3f}: {'level' if overlap else f'{nearer} is nearer'}."
    )
    samples = [row for row in errors[TRACKED] if row != SYNTHETIC and not row.startswith(LARGEST)]
    lost = [row for row in samples if errors[TRACKED][row] < errors[viewed][row]]
    told = [f"{_set(row)} ({errors[TRACKED][row]:.3f} against {errors[viewed][row]:.3f})" for row in lost]
    if samples:
        said += (
            f" On {len(lost)} of {len(samples)} rows of labelled samples MediaPipe is nearer than the whole width "
            f"over views{': ' * bool(told)}{listed(told) if told else ''}. They are few pictures."
        )
    return said


def _of_invented(width: str, finders: Mapping[str, Any]) -> str:
    once, viewed = (finders[f"{width}_{views}"] for views in (SINGLE, VIEWED))
    means, medians = (
        [scores[SYNTHETIC][name] for scores in (once, viewed)]
        for name in ("epe_px_at_256", "epe_median_px_at_256")
    )
    over_box = [scores["over_box"][SYNTHETIC] for scores in (once, viewed)]
    said = (
        f"On {INVENTED}, the {NAMES[width]} is {means[0]:.1f} px of 256 off in a single view and {means[1]:.1f} in "
        f"the mean over {VIEWS}; in parts of the box {over_box[0]['error_over_box']:.3f} and "
        f"{over_box[1]['error_over_box']:.3f}, which is {_verdict(over_box[1])}. "
        f"The median goes from {medians[0]:.1f} to {medians[1]:.1f} px"
    )
    blurred = means[1] < means[0] and medians[1] > medians[0]
    return said + (", so large errors shrink and good answers are blurred. " if blurred else ". ")


def _interval(found: Mapping[str, float]) -> tuple[float, float, float]:
    return found["error_over_box"], found["error_over_box_low"], found["error_over_box_high"]


def _errors(scores: Mapping[str, Any]) -> dict[str, float]:
    return {row: found["error_over_box"] for row, found in scores["over_box"].items()}


def _verdict(found: Mapping[str, float]) -> str:
    """Return whether errors are lower or higher than a single view's of the same pictures, as far as 95 % tell."""
    if found["above_single_low"] <= 0 <= found["above_single_high"]:
        return "undecided"
    return "lower" if found["above_single"] < 0 else "higher"


def _verdicts(of_views: Mapping[str, Mapping[str, float]], rows: Iterable[str]) -> str:
    """Return how many rows are lower than a single view, higher or undecided, and which."""
    by_verdict: dict[str, list[str]] = {}
    for row in rows:
        by_verdict.setdefault(_verdict(of_views[row]), []).append(_set(row))
    return "; ".join(f"{verdict} on {len(of)}: {', '.join(of)}" for verdict, of in by_verdict.items())


def _photographs(rows: Iterable[str]) -> str | None:
    return next((row for row in reversed(list(rows)) if row.startswith(LARGEST)), None)


def _set(row: str) -> str:
    return INVENTED if row == SYNTHETIC else real_set(row)
