"""What records of chapter 6 say of a start, a rung, a subset; seeds are repetitions, and shares lie in 0 to 1."""

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest

from thesislib.evaluation.intervals import of_the_mean
from thesislib.figures.signs import RUNGS, STARTS

Record = Mapping[str, Any]
Records = Sequence[Record]
Interval = Mapping[str, float]
Ladder = dict[str, list[Record]]  # rung -> one record a seed

PANEL = ("accuracy", "validation_accuracy", "loss", "validation_loss")
BEST_EPOCH = "validation_best_epoch"
REPEATED = {"profile_name", "seed", "rung"}  # what may differ between records of one ladder


# Frames to LSTM --------------------------------------------------------------------------------------------


def of_films(record: Record) -> bool:
    """Return whether a record of `frames_to_lstm` is of films by one person, with every take left out once."""
    return "left_out_take" in record["metrics"]["accuracy"]


def accuracy(record: Record) -> Mapping[str, Mapping[str, Interval]]:
    """Return start -> clips a word -> share right, under the protocol that answers the question."""
    return record["metrics"]["accuracy"]["left_out_take" if of_films(record) else "strangers"]


def clips_a_word(record: Record) -> list[int]:
    """Return the numbers of clips a word that were learned from, from the fewest to the most."""
    return sorted(map(int, accuracy(record)["scratch"]))


def panels(arrays: Mapping[str, np.ndarray], clips: int) -> dict[str, dict[str, np.ndarray]]:
    """Return the histories [seeds, epochs] of the notebook's three networks for signs, by their names on a page."""
    return {
        STARTS[start][0]: {key: arrays[f"history_{start}_{clips}_{key}"] for key in PANEL}
        for start in ("scratch", "transfer_all", "transfer_frozen")
    }


def flattery_of_the_best_epoch(record: Record, start: str, clips: int) -> Interval:
    """Return by how much the best epoch on the way is better than the last, on the same validation clips."""
    by_protocol = record["metrics"]["accuracy"]
    last = by_protocol["left_out_take" if of_films(record) else "validation"]
    best, end = (of[start][str(clips)]["by_seed"] for of in (by_protocol[BEST_EPOCH], last))
    return of_the_mean(np.subtract(best, end))


def against_order(record: Record, reader: str, start: str = "scratch") -> Interval:
    """Return by how much a network is better than a reader without order, from the most clips, seed by seed."""
    most = str(clips_a_word(record)[-1])
    without = record["metrics"]["without_order"][reader][most]["by_seed"]
    return of_the_mean(np.subtract(accuracy(record)[start][most]["by_seed"], without))


# Signs in video --------------------------------------------------------------------------------------------


def spread(runs: Records, *way: str) -> dict[str, float]:
    """Return the mean over runs of a share, named by the way to it, with Student's interval, cut off at 0 and 1."""
    return within_one(of_the_mean([_metric(run, *way) for run in runs]))


def by_person(runs: Records, *way: str) -> np.ndarray:
    """Return which share of each stranger's clips is named right, float [P]: the mean over runs.

    ``way`` leads to another metric that holds ``by_signer``, such as that of a subset.
    """
    return np.mean([_metric(run, *(way or ("strangers_top1",)), "by_signer") for run in runs], axis=0)


def _metric(run: Record, *way: str) -> Any:
    """Return what a record's metrics hold at the end of a way of names."""
    return functools.reduce(operator.getitem, way, run["metrics"])


def over_people(runs: Records, *way: str) -> dict[str, float]:
    """Return the mean over strangers of what is named right, with Student's interval, cut off at 0 and 1."""
    return within_one(of_the_mean(by_person(runs, *way)))


def within_one(share: Interval) -> dict[str, float]:
    """Return a share whose interval ends at 0 and 1, as shares do."""
    return {**share, "low": max(share["low"], 0.0), "high": min(share["high"], 1.0)}


def chance(record: Record) -> float:
    """Return what guessing gets of the words of a record of `signs_in_video`."""
    return 1 / record["config"]["words"]


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share of so many clips, as if they were independent."""
    found = binomtest(round(share * count), count).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def above_chance(runs: Records) -> bool:
    """Return whether strangers are named better than by guessing: the whole interval over them lies above it."""
    return over_people(runs)["low"] > chance(runs[0])


def taught_above_chance(runs: Records) -> bool:
    """Return whether at least the clips that taught are, by Wilson's interval of their share."""
    of = runs[0]["metrics"]["signers_of_training"]
    return wilson(spread(runs, "signers_of_training", "top1")["mean"], of["n_clips"])[0] > chance(runs[0])


def ladder(records: Records) -> Ladder:
    """Return the rungs of table II, in its order, of the setting that most of them share; {} where none is stored.

    Runs of one setting differ in rung and seed alone. Those that were shown something else than clips, and the
    preset of the author's code, stand on no rung.
    """
    settings: dict[str, Ladder] = {}
    for record in records:
        config = record["config"]
        if config["rung"] in RUNGS and config["shown"] == "clip":
            settings.setdefault(_setting(record), {}).setdefault(config["rung"], []).append(record)
    fullest = max(settings.values(), key=lambda one: (len(one), sum(map(len, one.values()))), default={})
    return {rung: fullest[rung] for rung in RUNGS if rung in fullest}


def rungs(of: Ladder) -> dict[str, dict[str, Interval]]:
    """Return rung -> top1, with an interval over people, and map, over seeds, as `signs.ladder` draws them."""
    return {
        rung: {"top1": over_people(runs), "map": spread(runs, "strangers", "map")}
        for rung, runs in of.items()
    }


def steps(of: Ladder) -> dict[str, dict[str, Any]]:
    """Return what each rung adds to the one below it, person by person, by runs whose seeds both have.

    The interval is over people; ``by_seed`` has each seed's own mean. Where the rung below is not stored, or has no
    seed in common, nothing is told.
    """
    found, order = {}, list(RUNGS)
    for rung, runs in of.items():
        below = of.get(order[order.index(rung) - 1], []) if rung != order[0] else []
        pairs = [
            (run, base) for run in runs for base in below if run["config"]["seed"] == base["config"]["seed"]
        ]
        if pairs:
            gained = np.array(
                [by_person([run]) - by_person([base]) for run, base in pairs]
            )  # [seeds, people]
            found[rung] = of_the_mean(gained.mean(axis=0)) | {"by_seed": gained.mean(axis=1).tolist()}
    return found


def subsets(records: Records) -> list[tuple[Record, Record]]:
    """Return pairs of runs that learned from a subset of the words alone, and from all.

    They may differ in epochs too, because fewer words are fewer clips an epoch; in nothing else.
    """
    alike: dict[str, list[Record]] = {}
    for record in records:
        setting = _setting(record, "words", "subset", "epochs", also=("rung", "seed"))
        alike.setdefault(setting, []).append(record)
    return [
        (few, many)
        for runs in alike.values()
        for few in runs
        for many in runs
        if few["config"]["words"] == many["config"]["subset"] < many["config"]["words"]
    ]


def shown_as(records: Records, shown: str) -> list[tuple[Record, Record]]:
    """Return pairs: a run that learned from frames "shuffled" or from one "still", and the same on whole clips."""
    robbed, whole = (
        {_setting(r, "shown", also=("rung", "seed")): r for r in records if r["config"]["shown"] == kind}
        for kind in (shown, "clip")
    )
    return [(record, whole[setting]) for setting, record in robbed.items() if setting in whole]


def by_start(records: Records) -> dict[str, list[Record]]:
    """Return start -> runs that differ in start and seed alone: of the setting with most starts, the last rung."""
    settings: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        if record["config"]["rung"] in RUNGS and record["config"]["shown"] == "clip":
            starts = settings.setdefault(_setting(record, "start", also=("rung",)), {})
            starts.setdefault(record["config"]["start"], []).append(record)
    order = list(RUNGS)

    def worth(starts: dict[str, list[Record]]) -> tuple[int, int]:
        return len(starts), order.index(next(iter(starts.values()))[0]["config"]["rung"])

    return max(settings.values(), key=worth, default={})


def by_authors_code(records: Records) -> list[tuple[Record, Record]]:
    """Return pairs: a run of the preset of the author's code, and the last rung that differs in nothing else."""
    theirs, paper = (
        {_setting(r, also=("seed",)): r for r in records if r["config"]["rung"] == rung}
        for rung in ("repository", list(RUNGS)[-1])
    )
    return [(record, paper[setting]) for setting, record in theirs.items() if setting in paper]


def last_of(of: Ladder) -> Record | None:
    """Return the first seed of the last rung, which has every mechanism, None without a ladder."""
    return of[list(of)[-1]][0] if of else None


def without_tv_loss(records: Records, run: Record) -> Record | None:
    """Return the run that differs in nothing but the loss on the masks, None where it is not stored."""
    if run["config"]["rung"] != "tv_loss":
        return None
    wanted = _setting(run, also=("seed",))
    without = (record for record in records if record["config"]["rung"] == "attention")
    return next((record for record in without if _setting(record, also=("seed",)) == wanted), None)


def _setting(record: Record, *left_out: str, also: Sequence[str] = ()) -> str:
    """Return what a record was asked for, but for what may differ; ``also`` may not."""
    named = {
        name: value
        for name, value in record["config"].items()
        if name in also or name not in REPEATED and name not in left_out
    }
    return repr(sorted(named.items()))
