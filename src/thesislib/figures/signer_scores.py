"""Scores of chapter 4 as figures and tables want them: the only place that knows how a record stores them.

All accuracies are in percent. Records given together are seeds of one experiment on one set of people.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thesislib import published
from thesislib.evaluation.intervals import of_the_mean

THESIS = "thesis"
TOP1, TOP2 = "top1_macro", "top2_macro"
SYSTEMS = {
    "pixels": "pixels",
    "hog": "edges (HOG)",
    "mediapipe": "MediaPipe's landmarks",
    "mediapipe_angles_lda": "MediaPipe's bends, LDA",
    "keypoints": "joints found",
    "angles": "bends of joints found",
    "pooled": "pose features, pooled",
    "thesis": "the thesis's embedding",
    "thesis_plain": "its head, standardised, no dropout",
    "cross_entropy": "cross-entropy embedding",
    "heatmaps": "heatmaps",
    "spatial": "pose features, spatial",
    "spatial_mean": "spatial, class means",
    "spatial_lda": "spatial, shrunk LDA",
    "spatial_ridge": "spatial, ridge",
    "spatial_centred": "spatial, signer centred",
    "spatial_adapted": "spatial, batch norm adapted",
    "spatial_views": "spatial, several views",
    "spatial_pairwise": "spatial, linear, pairwise loss",
    "spatial_supcon": "spatial, linear, SupCon",
    "spatial_proxy_anchor": "spatial, linear, Proxy-Anchor",
    "spatial_cosface": "spatial, linear, CosFace",
    "letters_pooled": "letter features, pooled",
    "letters_thesis": "thesis's head on letter features",
    "letters_spatial": "letter features, spatial",
    "letters_lda": "letter features, LDA",
    "letters_centred": "letter features, signer centred",
    "letters_views": "letter features, several views",
    "letters_cosface": "letter features, linear, CosFace",
    "letters_together": "letter features, all together",
}
PROTOCOLS = {
    "zero_shot": "zero-shot",
    "same_signer": "contiguous halves",
    "random_split": "random halves",
}
CONFUSION_KEY, LETTER_KEY = "ignatiev2019_asl_confusion_", "ignatiev2019_asl_letter_"
SWEPT = (6, 8, 10, 12)  # numbers of features in the thesis's figure 3.26

Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Scores:
    """One system under one protocol, in percent: each asked signer's mean over the seeds, their mean, its interval.

    Seeds share the people, so the bounds are the mean of each seed's bounds; more seeds do not narrow them.
    """

    by_signer: dict[str, float]
    mean: float
    low: float
    high: float
    seeds: int

    @property
    def text(self) -> str:
        """The mean and its interval, as a table shows them."""
        return f"{self.mean:.1f} [{self.low:.1f}, {self.high:.1f}]"

    @property
    def said(self) -> str:
        """The same, as a sentence says it."""
        return f"{self.mean:.1f} % [{self.low:.1f}, {self.high:.1f}]"


def scores(records: Records, system: str, protocol: str, metric: str = TOP1) -> Scores:
    """Return a system's scores over the seeds that have it; KeyError where none of the records does."""
    _same_people(records)
    stored = [r["metrics"]["systems"].get(system, {}).get(protocol, {}).get(metric) for r in records]
    found = [value for value in stored if value is not None]
    if not found:
        raise KeyError(f"no record has {metric} of {system!r} under {protocol!r}")
    return _over_seeds(found, records[0]["metrics"]["protocols"][protocol]["signers"])


def chosen(records: Records, metric: str = TOP1) -> Scores | None:
    """Return the scores of strangers each read by the system that inner folds chose, None where none were run."""
    found = [choice["zero_shot"][metric] for choice in choices(records)]
    return _over_seeds(found, choices(records)[0]["signers"]) if found else None


def choices(records: Records) -> list[Mapping[str, Any]]:
    """Return what inner folds chose among most systems; seeds that measured fewer had less to choose from."""
    every = [record["metrics"].get("chosen_by_inner_folds") for record in records]
    found = [choice for choice in every if choice]
    most = max((len(choice["inner"]) for choice in found), default=0)
    return [choice for choice in found if len(choice["inner"]) == most]


def _over_seeds(found: Sequence[Mapping[str, Any]], asked: Sequence[str]) -> Scores:
    means = 100 * np.mean([value["by_signer"] for value in found], axis=0)
    ends = {end: 100 * float(np.mean([value[end] for value in found])) for end in ("mean", "low", "high")}
    return Scores(dict(zip(asked, means.tolist(), strict=True)), **ends, seeds=len(found))


def systems_under(records: Records, protocol: str) -> list[str]:
    """Return the systems that any of the records measured under a protocol."""
    found = {
        name: None
        for record in records
        for name, by_protocol in record["metrics"]["systems"].items()
        if protocol in by_protocol
    }
    return list(found)


def measured(records: Records, names: Iterable[str], *protocols: str) -> list[str]:
    """Return those of the systems that were measured under all of the protocols: a set may lack what one needs.

    KeyError for a name that is no system's.
    """
    if strange := [name for name in names if name not in SYSTEMS]:
        raise KeyError(f"there is no system {strange[0]!r}; there are {', '.join(SYSTEMS)}")
    there = [systems_under(records, protocol) for protocol in protocols]
    return [name for name in names if all(name in systems for systems in there)]


def protocols_of(records: Records) -> list[str]:
    """Return the protocols of the records: zero-shot, then by shots, shots with the others' pictures, halves."""
    found = {p: None for record in records for of in record["metrics"]["systems"].values() for p in of}
    halves = [p for p in PROTOCOLS if p != "zero_shot"]

    def rank(protocol: str) -> tuple[int, int, int]:
        if protocol in halves:
            return 1, halves.index(protocol), 0
        joined = joined_shots_of(protocol)
        return (0, joined, 1) if joined else (0, shots_of(protocol) or 0, 0)

    return sorted(found, key=rank)


def shots_of(protocol: str) -> int | None:
    """Return how many pictures a letter the new signer gives: 0 in zero-shot, None in the other protocols."""
    match = re.fullmatch(r"k_shot_s(\d+)", protocol)
    return int(match[1]) if match else 0 if protocol == "zero_shot" else None


def joined_shots_of(protocol: str) -> int | None:
    """Return how many pictures a letter the new signer adds to the others' prototypes, None in other protocols."""
    match = re.fullmatch(r"joined_s(\d+)", protocol)
    return int(match[1]) if match else None


def guessing(records: Records) -> float:
    """Return what the trivial predictor reaches: one letter for all pictures."""
    return 100 * records[0]["metrics"]["chance"]


def difference(
    records: Records, system: str, other: str, protocol: str, metric: str = TOP1, *, to: str | None = None
) -> dict[str, float]:
    """Return by how many points a system is above another, paired by signer: mean, sd, low, high, n.

    The interval is Student's of the mean over signers. ``to``: the other's protocol, if another one; signers who
    were asked under one alone are left out. KeyError where none was asked under both.
    """
    ours = scores(records, system, protocol, metric).by_signer
    theirs = scores(records, other, to or protocol, metric).by_signer
    pairs = [(ours[name], theirs[name]) for name in ours if name in theirs]
    if not pairs:
        raise KeyError(f"no signer was asked under both {protocol} and {to}")
    return of_the_mean([a - b for a, b in pairs])


def points(gain: Mapping[str, float]) -> str:
    """Return a difference with its interval as a table shows it; a single signer has no interval."""
    text = f"{gain['mean']:+.1f}"
    return text if gain["n"] < 2 else f"{text} [{gain['low']:+.1f}, {gain['high']:+.1f}]"


@dataclass(frozen=True)
class Rung:
    """One row of a ladder: what was changed, how well it does, how far above the start of the ladder."""

    label: str
    scores: Scores
    gain: Mapping[str, float] | None  # none for the start itself
    together: bool = False


def rungs(
    records: Records,
    changes: Mapping[str, str],
    protocol: str,
    *,
    together: Mapping[str, str] | None = None,
    start: str = THESIS,
) -> list[Rung]:
    """Return the start, each change by itself, then the changes together: system -> what was changed.

    Changes that were not measured on this set are left out.
    """

    def rung(name: str, label: str, both: bool) -> Rung:
        return Rung(label, scores(records, name, protocol), difference(records, name, start, protocol), both)

    first = Rung(system_name(start), scores(records, start, protocol), None)
    alone, together = changes, together or {}
    singles = [rung(name, alone[name], False) for name in measured(records, alone, protocol)]
    return [first, *singles, *(rung(n, together[n], True) for n in measured(records, together, protocol))]


def f_sweep(records: Records, metric: str = TOP1) -> tuple[list[int], np.ndarray]:
    """Return the sizes f of the embedding, in order, and the accuracies [f, signers], means over the seeds."""
    _same_people(records)
    swept = [record["metrics"]["sweep"] for record in records]
    sizes = sorted(map(int, swept[0]))
    if any(sorted(map(int, sweep)) != sizes for sweep in swept):
        raise ValueError("the records sweep over different sizes of the embedding")
    by_seed = [[sweep[str(f)][metric]["by_signer"] for f in sizes] for sweep in swept]
    return sizes, 100 * np.mean(by_seed, axis=0)


def prototype_share(records: Records, protocol: str) -> float | None:
    """Return what share of a signer's own pictures the labelled examples are, in percent; None in zero-shot."""
    if protocol == "zero_shot":
        return None
    return 100 * records[0]["metrics"]["protocols"][protocol]["share_of_prototypes"]


def letters_of(records: Records) -> list[str]:
    """Return the letters that are told apart."""
    return list(records[0]["metrics"]["letters"])


def signers_of(records: Records) -> list[str]:
    """Return the names of the people; a protocol may have asked fewer."""
    return list(records[0]["metrics"]["signers"])


def images_of(records: Records) -> int:
    """Return how many pictures the set has."""
    return records[0]["metrics"]["images"]


def data_name(record: Mapping[str, Any]) -> str:
    """Return the name of a record's set for a page."""
    return record["data"].get("title", record["data"]["name"])


def system_name(system: str) -> str:
    """Return what a page calls a system."""
    return SYSTEMS.get(system, system.replace("_", " "))


def protocol_name(protocol: str) -> str:
    """Return what a page calls a protocol, shots counted."""
    if shots := shots_of(protocol) or joined_shots_of(protocol):
        alone = f"{shots} shot{'s' * (shots > 1)}"
        return f"{alone} and the others" if joined_shots_of(protocol) else alone
    return PROTOCOLS.get(protocol, protocol.replace("_", " "))


def _same_people(records: Records) -> None:
    """Refuse records that are not seeds of one experiment: an average over them would mean nothing."""
    if not records:
        raise ValueError("there are no records")
    for what in ("letters", "signers", "images"):
        if any(record["metrics"][what] != records[0]["metrics"][what] for record in records):
            raise ValueError(f"the records differ in their {what}; pool seeds of one data set alone")


# What the thesis prints -------------------------------------------------------------------------------


def printed_f_sweep() -> dict[str, dict[int, float]]:
    """Return figure 3.26 of the thesis: metric -> number of features -> percent."""
    keys = {TOP1: "top1", TOP2: "top2"}
    return {
        metric: {f: published.by_key(f"ignatiev2019_asl_unseen_f{f}_{top}").value for f in SWEPT}
        for metric, top in keys.items()
    }


def printed_confusions() -> dict[tuple[str, str], float]:
    """Return figure 3.28 of the thesis where it prints 10 % or more: (letter, read as) -> percent."""
    return {
        tuple(number.key.removeprefix(CONFUSION_KEY).split("_")): number.value
        for number in published.load()
        if number.key.startswith(CONFUSION_KEY)
    }


def printed_letters() -> dict[str, float]:
    """Return the diagonal of figure 3.28 of the thesis: letter -> percent read correctly."""
    return {
        number.key.removeprefix(LETTER_KEY): number.value
        for number in published.load()
        if number.key.startswith(LETTER_KEY)
    }
