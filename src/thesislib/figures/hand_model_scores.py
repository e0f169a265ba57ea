"""Scores of chapter 5 as figures and tables want them: the only place that knows how a record stores them.

Records of `hand_from_picture` that agree in everything but the seed are runs of one configuration. What was added
to a configuration to repair it is its repairs; records without any are the thesis's own seven, or a laptop's one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thesislib import published
from thesislib.evaluation.intervals import of_the_mean

DOCUMENT = "komorowicz2018"
ENCODERS = {
    "resnet50": "ResNet-50",
    "densenet121": "DenseNet",
    "inception_v3": "Inception-v3",
    "small": "small network",
}
STEMS = (  # of the keys of Table 7.1 in published.csv, in its order
    "resnet_no_shape_loss",
    "resnet_pretrained",
    "resnet_freeze",
    "resnet_random",
    "densenet_pretrained",
    "densenet_freeze",
    "inception_v3_freeze",
)
_FAMILY = {"resnet50": "resnet", "densenet121": "densenet", "inception_v3": "inception_v3"}
REPAIRS = {  # field of the configuration -> what it adds, in words
    "fingertips": "fingertips",
    "limits_weight": "joint limits",
    "person_weight": "one shape a person",
    "silhouette_weight": "outlines of drawn hands",
    "truth_weight": "parameters of drawn hands",
}
NO_REPAIR = ()
MEAN_HAND = "the mean hand, laid on the true joints"


@dataclass(frozen=True)
class Quantity:
    """What an error measures: in words, in a few words, in which unit, and how many digits a page shows."""

    title: str
    short: str
    unit: str
    decimals: int = 1


ERRORS = {
    "detected_2d_px_at_224": Quantity(
        "the 16 joints of the loss, as detected", "16 joints, as detected", "px"
    ),
    "true_2d_px_at_224": Quantity("all 21 joints in the picture", "21 joints", "px"),
    "tips_2d_px_at_224": Quantity("fingertips in the picture", "2D tips", "px"),
    "joints_mm": Quantity("joints in space", "3D joints", "mm"),
    "joints_mm_aligned": Quantity("joints in space, aligned", "3D joints, aligned", "mm"),
    "tips_mm": Quantity("fingertips in space", "3D tips", "mm"),
    "tips_mm_aligned": Quantity("fingertips in space, aligned", "3D tips, aligned", "mm"),
    "bone_length_mm": Quantity("bone lengths", "bone length", "mm"),
    "bone_length_percent": Quantity("bone lengths after one scale", "bone length", "%"),
    "direction_deg": Quantity("direction of the bones", "direction", "°"),
    "direction_deg_aligned": Quantity("direction of the bones, aligned", "direction, aligned", "°"),
    "twist_deg": Quantity("twist about the bones", "twist", "°"),
    "twist_deg_aligned": Quantity("twist about the bones, aligned", "twist, aligned", "°"),
    "shape_abs": Quantity("size of the shape numbers", "shape numbers", "SD", 2),
    "limits_exceeded_deg": Quantity("beyond the joints' limits", "beyond limits", "°"),
    "mesh_mm": Quantity("surface", "surface", "mm"),
    "mesh_mm_aligned": Quantity("surface, aligned", "surface, aligned", "mm"),
}
IN_SPACE = (
    *("joints_mm", "joints_mm_aligned", "tips_mm_aligned", "bone_length_mm", "direction_deg_aligned"),
    *("twist_deg_aligned", "limits_exceeded_deg", "shape_abs", "mesh_mm_aligned"),
)

Record = Mapping[str, Any]
Records = Sequence[Record]


@dataclass(frozen=True)
class Configuration:
    """How a network was started and trained, its repairs aside."""

    encoder: str
    start: str
    frozen: bool
    shape_loss: bool

    @property
    def stem(self) -> str | None:
        """What names this configuration in the keys of Table 7.1; None where it has no such row."""
        mode = "freeze" if self.frozen else "random" if self.start == "random" else "pretrained"
        if not self.shape_loss:
            mode = "no_shape_loss" if mode == "pretrained" else f"{mode}_no_shape_loss"
        stem = f"{_FAMILY.get(self.encoder, self.encoder)}_{mode}"
        return stem if stem in STEMS else None

    @property
    def title(self) -> str:
        """The configuration in words."""
        start = {"random": "random start", "imagenet": "ImageNet"}.get(self.start, "pretrained")
        parts = ["frozen" if self.frozen and self.start == "hands" else start] if self.shape_loss else []
        parts += ["frozen"] * (self.frozen and self.start != "hands")
        parts += [] if self.shape_loss else ["no shape loss"]
        return ", ".join([ENCODERS.get(self.encoder, self.encoder), *parts])


def configuration_of(record: Record) -> Configuration:
    """Return which configuration a record is a run of."""
    config = record["config"]
    return Configuration(config["encoder"], config["start"], config["frozen"], config["shape_weight"] > 0)


def repairs_of(record: Record) -> tuple[str, ...]:
    """Return what was added to a record's configuration, as fields of it; nothing in the thesis's own."""
    return tuple(field for field in REPAIRS if record["config"].get(field))


def repair_name(repairs: Sequence[str]) -> str:
    """Return repairs in words; all of them are "all together"."""
    if set(repairs) == set(REPAIRS):
        return "all together"
    return ", ".join(REPAIRS[field] for field in repairs) or "no repair"


def is_together(repairs: Sequence[str]) -> bool:
    """Return whether more than one thing was repaired."""
    return len(repairs) > 1


def by_configuration(records: Records) -> dict[Configuration, list[Record]]:
    """Return unrepaired records by configuration, one record a seed: the thesis's in its order, then others."""
    found: dict[Configuration, list[Record]] = {}
    for record in records:
        if not repairs_of(record):
            found.setdefault(configuration_of(record), []).append(record)
    place = {stem: row for row, stem in enumerate(STEMS)}
    return dict(sorted(found.items(), key=lambda item: place.get(item[0].stem, len(STEMS))))


def by_repair(records: Records) -> dict[tuple[str, ...], list[Record]]:
    """Return records of the configuration that was repaired, by repairs: unrepaired, alone, together.

    Of the seeds only those that all of them have, because luck in training is as large as some repairs do good.
    Empty where nothing was repaired. Raises ValueError where repairs were tried on several configurations, or where
    the configuration was not run without any or with another seed: there would be nothing to compare with.
    """
    repaired = {configuration_of(record) for record in records if repairs_of(record)}
    if not repaired:
        return {}
    if len(repaired) > 1:
        raise ValueError(
            f"repairs of several configurations: {', '.join(c.title for c in repaired)}; pass one"
        )
    found: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        if configuration_of(record) in repaired:
            found.setdefault(repairs_of(record), []).append(record)
    if NO_REPAIR not in found:
        raise ValueError(f"{repaired.pop().title} was not run without repairs")
    seeds = set.intersection(*({run["config"]["seed"] for run in runs} for runs in found.values()))
    if not seeds:
        raise ValueError("no seed was run with every repair and without; `make records` runs what is missing")
    order = list(REPAIRS)
    ranked = sorted(
        found, key=lambda r: (bool(r), is_together(r), len(r), [order.index(field) for field in r])
    )
    return {repairs: [run for run in found[repairs] if run["config"]["seed"] in seeds] for repairs in ranked}


@dataclass(frozen=True)
class Score:
    """One error of one configuration: its mean over seeds, the interval, each subject's mean over seeds.

    Seeds share the subjects, so the bounds are the mean of each seed's bounds; more seeds do not narrow them.
    ``over_seeds`` is the standard deviation of the seeds' means, None for a single seed.
    """

    quantity: Quantity
    mean: float
    low: float
    high: float
    by_subject: tuple[float, ...]
    over_seeds: float | None
    seeds: int

    @property
    def text(self) -> str:
        """The mean and its interval, as a table shows them."""
        d = self.quantity.decimals
        return f"{self.mean:.{d}f} [{self.low:.{d}f}, {self.high:.{d}f}]"

    @property
    def said(self) -> str:
        """The mean with its unit and its interval, as a sentence says them."""
        d, unit = self.quantity.decimals, spaced(self.quantity)
        return f"{self.mean:.{d}f}{unit} [{self.low:.{d}f}, {self.high:.{d}f}]"


def spaced(quantity: Quantity) -> str:
    """Return a quantity's unit as it follows a number."""
    return quantity.unit if quantity.unit == "°" else f" {quantity.unit}"


def score(records: Records, error: str, *, of: str = "errors") -> Score:
    """Return one error over records of one configuration.

    ``of``: 'errors', or 'trivial', those of the mean hand laid on the true joints.

    Raises KeyError for an error that no record has, ValueError where they do not have the same subjects.
    """
    found = [r["metrics"][of][error] for r in records if error in r["metrics"].get(of, {})]
    if not found:
        raise KeyError(f"no record has {of} {error!r}; there are {', '.join(ERRORS)}")
    if len({len(value["by_subject"]) for value in found}) > 1:
        raise ValueError("these records were measured on different numbers of subjects")
    means = [value["mean"] for value in found]
    mean, low, high = (float(np.mean([value[end] for value in found])) for end in ("mean", "low", "high"))
    return Score(
        ERRORS[error],
        mean,
        low,
        high,
        tuple(np.mean([value["by_subject"] for value in found], axis=0).tolist()),
        float(np.std(means, ddof=1)) if len(means) > 1 else None,
        len(found),
    )


def measured(records: Records, errors: Iterable[str]) -> list[str]:
    """Return those of the errors that all of the records have."""
    return [name for name in errors if all(name in r["metrics"]["errors"] for r in records)]


def change(records: Records, others: Records, error: str) -> dict[str, float]:
    """Return by how much an error is higher than that of other records, paired by subject: mean, sd, low, high, n.

    Each subject's error is its mean over the seeds; the interval is Student's of the mean over subjects. Raises
    ValueError where the two were measured on different numbers of subjects.
    """
    ours, theirs = score(records, error).by_subject, score(others, error).by_subject
    if len(ours) != len(theirs):
        raise ValueError(
            f"{len(ours)} subjects against {len(theirs)}: these were measured on different people"
        )
    return of_the_mean([a - b for a, b in zip(ours, theirs, strict=True)])


def is_clear(difference: Mapping[str, float]) -> bool:
    """Return whether the interval of a difference leaves zero out; a single subject has none."""
    return difference["n"] > 1 and not difference["low"] <= 0 <= difference["high"]


def values(records: Records, metric: str) -> list[float]:
    """Return a plain metric, one value a record that has it."""
    return [r["metrics"][metric] for r in records if r["metrics"].get(metric) is not None]


def counts(record: Record, part: str) -> tuple[int, int]:
    """Return how many hands of how many people are in a part of a record, 'train' or 'validation'."""
    return record["split"][part]["hands"], len(record["split"][part]["subjects"])


def images_seen(record: Record) -> np.ndarray:
    """Return how many pictures had been learned from after each epoch of a record's history."""
    epochs = len(record["metrics"]["history"]["loss"])
    return record["metrics"]["images_seen"] / epochs * np.arange(1, epochs + 1)


def by_iteration(records: Records) -> np.ndarray:
    """Return [seeds, T + 1], the error in the picture at the start and after each iteration, px at 224."""
    return np.array([r["metrics"]["true_2d_px_at_224_by_iteration"] for r in records])


def printed(configuration: Configuration, metric: str) -> published.PublishedNumber | None:
    """Return what the thesis prints of a configuration: 'training_loss', 'validation_loss', 'speed', 'batch', ...

    None where it prints nothing.
    """
    return _printed(configuration.stem, metric)


def _printed(stem: str | None, metric: str) -> published.PublishedNumber | None:
    key = f"{DOCUMENT}_{stem}_{metric}"
    return published.by_key(key) if any(number.key == key for number in published.load()) else None


def printed_images_per_second(configuration: Configuration) -> float | None:
    """Return iterations a second times the batch, both of Table 6.2; None for a configuration it does not have."""
    return None if configuration.stem is None else _images_per_second(configuration.stem)


def printed_speeds_at(batch: int) -> list[float]:
    """Return the images a second of all rows of Table 6.2 that were trained with this batch."""
    return [_images_per_second(stem) for stem in STEMS if _printed(stem, "batch").value == batch]


def _images_per_second(stem: str) -> float:
    return _printed(stem, "batch").value * _printed(stem, "speed").value
