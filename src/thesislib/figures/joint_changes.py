"""What one change of chapter 2's training does, how much of it may be luck, and what the thesis says of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from thesislib.figures.joint_runs import (
    OPTIMISER,
    Records,
    StoredRuns,
    by_seed,
    departures,
    main_errors,
    seeds_of,
)

# Verdicts on a change: luck alone could have made it, or not, or it kept the network from learning at all.
WITHIN_LUCK, BETTER, WORSE, NOT_LEARNED = "within luck", "better", "worse", "did not learn"


@dataclass(frozen=True)
class Claim:
    """What the thesis says of a change (sections 3.1.2 and 3.1.3), and the verdicts that do not contradict it."""

    said: str
    verdicts: tuple[str, ...]


def claim_of(changed: Mapping[str, Any]) -> Claim | None:
    """Return what the thesis says of changing these choices, given by their new values; None where it is silent."""
    match changed:
        case {"loss": "l2" | "default", **others} if "optimizer" not in others:  # its rate may go with it
            return Claim("no difference", (WITHIN_LUCK,))
        case {"radius": 1.0, **others} if not others:
            return Claim("worse", (WORSE,))
        case {"last_radius": float()}:
            return Claim("no benefit", (WITHIN_LUCK, WORSE))
        case {"optimizer": "adam" | "adamw", **others} if "loss" not in others:  # the thesis's is Adam
            return Claim("no better", (WITHIN_LUCK, WORSE))
        case {"optimizer": "adabound"}:
            return Claim("worse", (WORSE,))
        case {"lr_min": float(), **others} if not others:
            return Claim("no difference", (WITHIN_LUCK,))
    return None


def errors_by_train_hands(records: Records) -> dict[int, list[float]]:
    """Return {training hands: error of each seed in px at 256} of runs that differ in their hands and epochs."""
    groups = {group[0]["config"]["train_hands"]: main_errors(group) for group in by_seed(records)}
    return dict(sorted(groups.items()))


def errors_by_loss(runs: StoredRuns) -> dict[str, list[float]]:
    """Return {loss: error of each run in px at 256} of the small trainings of the thesis's network by AdamW."""
    found: dict[str, list[float]] = {}
    for record in runs.changes:
        if record["config"]["optimizer"] == "adamw":
            found.setdefault(record["config"]["loss"], []).extend(main_errors([record]))
    return found


def usual_errors(runs: StoredRuns) -> list[float]:
    """Return the error of each seed of the usual small training, px at 256; [] where there is none."""
    return main_errors(seeds_of(runs.usual, runs.changes)) if runs.usual else []


def reach_of_luck(runs: StoredRuns) -> tuple[float, float] | None:
    """Return between which errors luck alone takes a single run of the usual small training, 95 %.

    None where that has no second seed.
    """
    errors = usual_errors(runs)
    if len(errors) < 2:
        return None
    return float(np.mean(errors)) - luck(errors), float(np.mean(errors)) + luck(errors)


def luck_between_two(runs: StoredRuns) -> float | None:
    """Return how far luck alone takes two single runs of one training apart, 95 %; None without its spread."""
    errors = usual_errors(runs)
    if len(errors) < 2:
        return None
    return luck(errors) * math.sqrt(2 / (1 + 1 / len(errors)))  # `luck` is of their mean and a single run


@dataclass(frozen=True)
class Change:
    """What one change of the usual training does to the error, in px at 256, and how much luck alone could do."""

    error: float  # mean over its seeds
    usual: float  # the same of the usual training
    mean_pose: float  # the same of the mean pose of the training hands
    luck: float  # how far luck alone takes the one from the other, 95 %; see `luck`
    luck_of_all: float  # the same where all changes are judged at once
    seeds: int
    claim: Claim | None = None

    @property
    def difference(self) -> float:
        """Its error less the usual one: negative where the change helps."""
        return self.error - self.usual

    @property
    def verdict(self) -> str:
        """Better, worse, nothing that luck could not do, or no better than the mean pose."""
        if self.error >= self.mean_pose:
            return NOT_LEARNED
        if abs(self.difference) <= self.luck:
            return WITHIN_LUCK
        return BETTER if self.difference < 0 else WORSE

    @property
    def contradicts(self) -> bool | None:
        """Whether it comes out other than the thesis says, None where that is silent or nothing was learned."""
        if self.claim is None or self.verdict == NOT_LEARNED:
            return None
        return self.verdict not in self.claim.verdicts


def luck(usual: Sequence[float], other: Sequence[float] = (0.0,), *, questions: int = 1) -> float:
    """Return how far two means of errors lie apart by luck alone, 95 %, if what was changed does nothing.

    Student's t, with the spread of the seeds of both; a single seed adds nothing to it. Where so many ``questions``
    are asked at once, luck stays within it in all of them, 95 % (Bonferroni). Raises ValueError for fewer than two
    seeds of the usual training.
    """
    if len(usual) < 2:
        raise ValueError("one seed of the usual training has no spread to tell luck by")
    degrees = len(usual) - 1 + len(other) - 1
    squares = sum(len(errors) * np.var(errors) for errors in (usual, other))
    reach = stats.t.ppf(1 - 0.025 / questions, degrees) * np.sqrt(squares / degrees)
    return float(reach * np.sqrt(1 / len(usual) + 1 / len(other)))


def changes(runs: StoredRuns) -> dict[str, Change]:
    """Return what each change does, named by parameters, usual and changed, the most helpful first.

    Of an optimiser's own rates nothing is told where its name alone tells the change from all others. {} where the
    usual training has a single seed.
    """
    if len(usual := usual_errors(runs)) < 2:
        return {}
    found, groups = {}, by_seed(runs.changes)
    for group in groups:
        if changed := departures(group[0], runs.usual):
            usually = runs.usual["config"]
            told = {field: f"{field} {usually[field]} → {value}" for field, value in changed.items()}
            its_own = set(OPTIMISER) - {"optimizer"} if "optimizer" in changed else set()
            name = " and ".join(words for field, words in told.items() if field not in its_own)
            if name in found:  # another optimiser's rates tell them apart
                name = " and ".join(told.values())
            errors = main_errors(group)
            found[name] = Change(
                error=float(np.mean(errors)),
                usual=float(np.mean(usual)),
                mean_pose=runs.usual["metrics"]["unseen_signers_mean_pose"]["epe_px_at_256"],
                luck=luck(usual, errors),
                luck_of_all=luck(usual, errors, questions=len(groups) - 1),
                seeds=len(errors),
                claim=claim_of(changed),
            )
    return dict(sorted(found.items(), key=lambda item: item[1].error))


def changes_table(found: Mapping[str, Change]) -> pd.DataFrame:
    """Return one row a change: its error, the difference to the usual training, and what luck alone can do."""
    rows = {
        name: {
            "seeds": str(change.seeds),
            "error, px at 256": f"{change.error:.1f}",
            "difference (luck, 95 %)": f"{change.difference:+.1f} (± {change.luck:.1f})",
            "so it is": change.verdict,
            "the thesis says": change.claim.said if change.claim else "–",
            "contradicted": {True: "yes", False: "no", None: "–"}[change.contradicts],
        }
        for name, change in found.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")
