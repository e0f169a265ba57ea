"""What test-time augmentation brings, and how far off MediaPipe's model is, from records of `view_averaging`."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from thesislib.chapters.stored_pose import MEDIAPIPE
from thesislib.chapters.view_averaging import SHARES, SINGLE, SYNTHETIC, TURNS_DEGREES, VIEWS
from thesislib.figures.chapter2_numbers import GOAL
from thesislib.figures.joint_tables import real_set
from thesislib.figures.tables import listed, missing
from thesislib.peers import INPUT_PX

INVENTED = "invented hands of unseen signers"
VIEWED = f"{VIEWS}_views"
LARGEST = "asl7"  # of the sets of photographs
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
    for row, single in finders[SINGLE]["over_box"].items():
        cells = rows[_set(row)] = {"n": str(single["n_images"])}
        for finder, scores in finders.items():
            cells[finder_name(finder)] = f"{scores['over_box'][row]['error_over_box']:.3f}"
    return pd.DataFrame.from_dict(rows, orient="index")


def intervals(record: Mapping[str, Any]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Return finder -> set of hands -> mean error and its 95 %, in parts of the box, for `hand_errors.by_set`.

    People are drawn again, or pictures where a set has fewer than two known people.
    """
    keys = ("error_over_box", "error_over_box_low", "error_over_box_high")
    return {
        finder_name(finder): {
            _set(row): tuple(found[key] for key in keys) for row, found in scores["over_box"].items()
        }
        for finder, scores in record["metrics"]["finders"].items()
    }


def finder_name(finder: str) -> str:
    """Return what a page calls a finder of a record, such as "mediapipe_full_64px_tracked"."""
    if not finder.startswith(MEDIAPIPE):
        return {SINGLE: "ours, one view", VIEWED: f"ours, {VIEWS} views"}[finder]
    size, crop = finder.removeprefix(f"{MEDIAPIPE}_").split("_")
    return f"MediaPipe, {size.removesuffix('px')} px, {'tracking crop' if crop == 'tracked' else crop}"


def words(record: Mapping[str, Any] | None) -> str:
    """Return the paragraph on what the table says; errors are called different where 95 % of differences agree."""
    if record is None:
        return missing("test-time augmentation", "thesis run view_averaging --profile full")
    finders = record["metrics"]["finders"]
    once, viewed = finders[SINGLE], finders[VIEWED]
    of_views = viewed["over_box"]
    errors = {finder: _errors(scores) for finder, scores in finders.items()}
    before, after = (scores[SYNTHETIC]["epe_px_at_256"] for scores in (once, viewed))
    said = (
        f"On {INVENTED}, the mean over {VIEWS} views is {after:.1f} px of 256 off, a "
        f"single view {before:.1f}; in parts of the box {errors[VIEWED][SYNTHETIC]:.3f} "
        f"and {errors[SINGLE][SYNTHETIC]:.3f}, which is {_verdict(of_views[SYNTHETIC])}. "
    )
    medians = [scores[SYNTHETIC]["epe_median_px_at_256"] for scores in (once, viewed)]
    blurred = after < before and medians[1] > medians[0]
    said += f"The median goes from {medians[0]:.1f} to {medians[1]:.1f} px"
    said += ", so large errors shrink and good answers are blurred. " if blurred else ". "
    others = [row for row in of_views if row != SYNTHETIC]
    if others:
        told = [
            f"{verdict} on {len(rows)}: {', '.join(map(_set, rows))}"
            for verdict in ("lower", "higher", "undecided")
            if (rows := [row for row in others if _verdict(of_views[row]) == verdict])
        ]
        met = [_set(row) for row in others if errors[VIEWED][row] <= GOAL]
        said += (
            f"Of {len(others)} rows of other hands, the views' error is {'; '.join(told)}. The goal of {GOAL:.0%} "
            f"of the box is {f'met on {listed(met)}' if met else 'missed on all of these rows'}. "
        )
    if photographed := [row for row in others if row.startswith(LARGEST)]:
        times = errors[VIEWED][photographed[-1]] / errors[VIEWED][SYNTHETIC]
        said += f"On {_set(photographed[-1])}, it is {times:.2f} times the views' error on invented hands. "
    peers = [finder for finder in finders if finder.startswith(MEDIAPIPE)]
    if peers:
        at = [
            f"{errors[peer][SYNTHETIC]:.3f} ({finder_name(peer).removeprefix('MediaPipe, ')})"
            for peer in peers
        ]
        said += (
            f"MediaPipe's model, without its detector of palms, is off by {listed(at)} on the invented hands."
        )
    return said.strip()


def _errors(scores: Mapping[str, Any]) -> dict[str, float]:
    return {row: found["error_over_box"] for row, found in scores["over_box"].items()}


def _verdict(found: Mapping[str, float]) -> str:
    """Return whether errors are lower or higher than a single view's of the same pictures, as far as 95 % tell."""
    if found["above_single_low"] <= 0 <= found["above_single_high"]:
        return "undecided"
    return "lower" if found["above_single"] < 0 else "higher"


def _set(row: str) -> str:
    return INVENTED if row == SYNTHETIC else real_set(row)
