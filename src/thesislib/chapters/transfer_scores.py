"""What networks and readers got right after lessons in signs, and by how much one start is better than another."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thesislib.chapters.lstm_starts import SCRATCH, Clips, Trained
from thesislib.chapters.sign_sets import Lesson
from thesislib.evaluation.intervals import of_the_mean

PANEL = ("accuracy", "validation_accuracy", "loss", "validation_loss")
BEST_EPOCH = "validation_best_epoch"

Shares = Mapping[str, Mapping[str, Sequence[float]]]  # name -> clips a word -> a share a seed
Spreads = dict[str, dict[str, dict[str, Any]]]  # name -> clips a word -> mean, sd, low, high, n, by_seed


@dataclass(frozen=True)
class Outcome:
    """What came of one seed's lessons with so many clips a word.

    right: protocol -> share of the clips; said: int64 [n], of the clips asked under the main protocol, in the order
    of their rows; history: quantity of PANEL -> [epochs], nothing of a reader that does not train.
    """

    name: str
    clips: int
    right: Mapping[str, float]
    said: np.ndarray
    history: Mapping[str, np.ndarray]


def outcome(
    name: str, data: Clips, lessons: Sequence[Lesson], trained: Sequence[Trained], main: str
) -> Outcome:
    """Return what came of lessons that belong together: every clip is asked once under each protocol.

    *validation_best_epoch* is the best validation accuracy on the way, which Schorr 2018 prints.
    """
    answers = [one.said for one in trained]
    right = {name: _right(data, lessons, answers, name) for name in lessons[0].asked}
    history = {key: np.mean([[row[key] for row in one.history] for one in trained], axis=0) for key in PANEL}
    right[BEST_EPOCH] = float(
        np.mean([max(row["validation_accuracy"] for row in one.history) for one in trained])
    )
    return Outcome(name, lessons[0].clips, right, _in_order(lessons, answers, main), history)


def outcome_without_training(
    name: str, data: Clips, lessons: Sequence[Lesson], said: Sequence[np.ndarray], main: str
) -> Outcome:
    """Return what a reader made of lessons that belong together; it was asked under the main protocol alone."""
    answers = [{main: one} for one in said]
    right = {main: _right(data, lessons, answers, main)}
    return Outcome(name, lessons[0].clips, right, _in_order(lessons, answers, main), {})


def shares(outcomes: Sequence[Outcome], protocol: str) -> dict[str, dict[str, list[float]]]:
    """Return shares right under a protocol by name and clips a word, one a seed in the order of the outcomes."""
    found: dict[str, dict[str, list[float]]] = {}
    for one in outcomes:
        if protocol in one.right:
            found.setdefault(one.name, {}).setdefault(str(one.clips), []).append(one.right[protocol])
    return found


def only(values: Shares, names: Iterable[str]) -> Shares:
    """Return the shares of these names alone."""
    return {name: values[name] for name in names if name in values}


def spreads(values: Shares) -> Spreads:
    """Return the mean of each, Student's interval over seeds, and the values themselves as ``by_seed``."""
    return {
        name: {clips: of_the_mean(v) | {"by_seed": [float(one) for one in v]} for clips, v in row.items()}
        for name, row in values.items()
    }


def differences(of: Shares, less: Shares) -> dict[str, dict[str, list[float]]]:
    """Return ``of`` less ``less``, name by name, clips by clips and seed by seed."""
    return {
        name: {clips: np.subtract(v, less[name][clips]).tolist() for clips, v in row.items()}
        for name, row in of.items()
    }


def gains(of: Shares) -> dict[str, dict[str, list[float]]]:
    """Return by how much more was right than from scratch, seed by seed: both learned from the same clips."""
    others = {name: row for name, row in of.items() if name != SCRATCH}
    return differences(others, dict.fromkeys(others, of[SCRATCH]))


def clear(gain: Spreads, sign: int) -> dict[str, list[int]]:
    """Return the clips a word at which the whole interval of a gain lies above 0, or below for ``sign`` -1."""
    return {
        name: [int(clips) for clips, v in row.items() if min(sign * v["low"], sign * v["high"]) > 0]
        for name, row in gain.items()
    }


def gains_by_signer(
    outcomes: Sequence[Outcome], names: Iterable[str], word: np.ndarray, signer: np.ndarray
) -> Spreads:
    """Return gains over scratch with Student's interval over the people asked, each person's mean over seeds.

    word, signer: int64 [n], of the clips asked under the main protocol.
    """
    people = np.unique(signer)
    right: dict[tuple[str, int], list[np.ndarray]] = {}
    for one in outcomes:
        by_person = [(one.said == word)[signer == who].mean() for who in people]
        right.setdefault((one.name, one.clips), []).append(np.array(by_person))
    mean = {key: np.mean(values, axis=0) for key, values in right.items()}
    found: Spreads = {}
    for (name, clips), value in mean.items():
        if name in names and name != SCRATCH:
            found.setdefault(name, {})[str(clips)] = of_the_mean(value - mean[SCRATCH, clips])
    return found


def arrays(outcomes: Sequence[Outcome]) -> dict[str, np.ndarray]:
    """Return said_<name>_<clips> int16 [seeds, n] and history_<name>_<clips>_<quantity> [seeds, epochs]."""
    found: dict[str, list[np.ndarray]] = {}
    for one in outcomes:
        found.setdefault(f"said_{one.name}_{one.clips}", []).append(one.said.astype(np.int16))
        for key, values in one.history.items():
            found.setdefault(f"history_{one.name}_{one.clips}_{key}", []).append(values)
    return {name: np.stack(rows) for name, rows in found.items()}


def _rows(lessons: Sequence[Lesson], protocol: str) -> np.ndarray:
    return np.concatenate([lesson.asked[protocol] for lesson in lessons])


def _right(
    data: Clips, lessons: Sequence[Lesson], said: Sequence[Mapping[str, np.ndarray]], protocol: str
) -> float:
    answers = np.concatenate([one[protocol] for one in said])
    return float((answers == data.label[_rows(lessons, protocol)]).mean())


def _in_order(
    lessons: Sequence[Lesson], said: Sequence[Mapping[str, np.ndarray]], protocol: str
) -> np.ndarray:
    return np.concatenate([one[protocol] for one in said])[np.argsort(_rows(lessons, protocol))]
