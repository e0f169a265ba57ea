"""Are scans not in the shape space? The hand model fitted to scans of people whose pose and shape are known.

Komorowicz 2018, section 5.3.2, fitted MANO to registered scans by gradient descent in three stages, found that
poses come out well and shapes do not, and concluded that scans are not in the space of shapes. The true shapes were
not known. Here the same people are scanned in several ways that differ in one thing each (BODIES and noise), and
several optimisers make the same fit. Whatever separates the fitted shape from the true one then has a name: the
shape space, noise, too few steps, or pose and shape that can stand in for each other.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from tqdm.auto import tqdm

from thesislib import results, runtime
from thesislib.chapters import hand_mesh, hand_sets
from thesislib.chapters.scanned_people import BODIES, KINDS, Scans, errors, scans_of
from thesislib.config import ConfigError, ExperimentConfig, unknown
from thesislib.evaluation.intervals import of_the_mean
from thesislib.hand_model import UNIT_MM, HandModel
from thesislib.scan_fitting import (
    OPTIMISERS,
    POSE,
    SHAPE,
    Fit,
    Stage,
    curvatures,
    fit_scans,
    laid_over,
    shape_standard_errors,
    three_stages,
    vertices,
)

EXPERIMENT = "fitting_scans"
Protocols = dict[str, dict[str, Any]]  # protocol -> metric -> mean, low, high
Rates = dict[str, dict[str, Any]]  # gradient descent -> the step size chosen, and what each left
FIRST_PERSON, FIRST_FOR_RATES = 9_000_000, 9_500_000  # far from everybody else, the model's own people too
ROUNDS = 1000  # of the bootstrap

FINISH = (Stage("both", POSE + SHAPE, 100),)  # Levenberg-Marquardt needs about ten, and no stages
DESCENTS = tuple(name for name in OPTIMISERS if name != "levenberg_marquardt")
COMPARED = ("inside_exact", "own_flesh_exact")  # kinds on which optimisers are compared
SHOWN = ("scan_mm", "joint_deg", "shape_sd")  # on the way


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """People, scans of each, and what is fitted to them how.

    ``thesis run fitting_scans --profile full`` takes a laptop's core about ten minutes. The thesis prints no
    number.
    """

    people: int = 20
    scans: int = 10  # of each person, in different poses
    shared: tuple[int, ...] = (2, 5, 10)  # scans that share a shape
    kinds: tuple[str, ...] = tuple(KINDS)
    iterations: int = 300  # that every optimiser gets
    budgets: tuple[int, ...] = (100, 300, 1000, 3000)  # and that gradient descent gets on one exact scan
    in_turn: int = 5  # scans that are taken in turn
    rates: tuple[float, ...] = (0.01, 0.03, 0.1, 0.2, 0.4)  # step sizes to choose from
    rate_people: int = 8  # other people, on whom they are chosen
    pictures: int = 1  # people whose fit is drawn

    profiles: ClassVar = {
        "smoke": dict(people=2, scans=2, shared=(2,), kinds=("inside_exact", "inside_2mm", "own_flesh_exact"))
        | dict(iterations=6, budgets=(6,), in_turn=2, rates=(0.1,), rate_people=1),
        "quick": dict(people=4, scans=2, shared=(2,), iterations=120, budgets=(120,), in_turn=2)
        | dict(kinds=("inside_exact", "inside_2mm", "own_shape_exact", "own_flesh_exact"))
        | dict(rates=(0.03, 0.4), rate_people=1),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.kinds:
            if name not in KINDS:
                raise ConfigError(unknown("kind of scan", name, KINDS))
        for name in ("people", "rate_people", "in_turn", "pictures"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if max((*self.shared, self.in_turn)) > self.scans:
            raise ConfigError(
                f"{self.shared} and {self.in_turn} scans cannot share a shape, there are {self.scans}"
            )
        if min((*self.budgets, self.iterations)) < 3:
            raise ConfigError("three stages need 3 iterations or more")
        if not set(COMPARED) <= set(self.kinds):
            raise ConfigError(f"kinds must hold {' and '.join(COMPARED)}: optimisers are compared on them")


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{config.people}-people-{config.scans}-scans-seed{config.seed}")
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def arrays_path(config: Config) -> Path:
    """Return the file of shape numbers and meshes that the figures draw, beside the record."""
    return record_path(config).with_suffix(".npz")


def data_sha256(config: Config) -> str:
    """Return the digest of the hand model and of the numbers that draw the scans."""
    named = (hand_mesh.model_sha256(), hand_sets.digest(), FIRST_PERSON, FIRST_FOR_RATES, KINDS, BODIES)
    return hashlib.sha256(repr(named).encode()).hexdigest()


# Scores -----------------------------------------------------------------------------------------------


def correlation(fitted: np.ndarray, true: np.ndarray, seed: int) -> dict[str, Any]:
    """Return mean, low, high of the correlation of shape numbers [P, N], all together; people are drawn anew."""
    random = np.random.RandomState(seed)
    draws = random.randint(len(true), size=(ROUNDS, len(true)))
    value = np.corrcoef(fitted.ravel(), true.ravel())[0, 1]
    drawn = [np.corrcoef(fitted[rows].ravel(), true[rows].ravel())[0, 1] for rows in draws]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"mean": float(value), "low": float(low), "high": float(high), "n": len(true)}


def over_people(values: np.ndarray) -> dict[str, Any]:
    """Return mean, low, high of values [P] with Student's interval of the mean, and these as ``by_person``."""
    return of_the_mean(values) | {"by_person": values.tolist()}


def told(kind: str, model: HandModel, fit: Fit, scans: Scans, seed: int) -> dict[str, Any]:
    """Return the errors of a fit over people, named <kind>_<quantity>_<unit>, and the shapes' correlation."""
    found = {f"{kind}_{name}": over_people(value) for name, value in errors(model, fit, scans).items()}
    numbers = [
        shape.flatten(1).double().numpy() for shape in (fit.shape, scans.truth.shape.expand_as(fit.shape))
    ]
    if numbers[0].any():  # the mean hand correlates with nothing
        found[f"{kind}_shape_correlation"] = correlation(*numbers, seed)
    return found


# Measurements -----------------------------------------------------------------------------------------


def finished(
    model: HandModel, kind: str, scans: Scans, config: Config
) -> Iterator[tuple[str, dict[str, Any], Fit]]:
    """Yield protocol, errors and fit for one kind of scan, optimised to the end.

    mean_hand: the mean hand laid over each scan, with which every fit begins; nearest: what the model has nearest
    to the person, in the true pose; one_scan: each scan alone; shared_K: K scans with one shape; pose_given: each
    scan alone, with the true pose, rotation and translation.
    """
    for protocol, fit in (("mean_hand", laid_over(model, scans.scan)), ("nearest", scans.truth)):
        yield protocol, told(kind, model, fit, scans, config.seed), fit
    alone = fit_scans(model, scans.scan, stages=FINISH, shared_shape=False)
    yield "one_scan", told(kind, model, alone, scans, config.seed), alone
    for count in config.shared:
        part, start = scans.first(count), alone.first(count)
        start = replace(start, shape=start.shape.mean(dim=1, keepdim=True))
        fit = fit_scans(model, part.scan, stages=FINISH, start=start)
        yield f"shared_{count}", told(kind, model, fit, part, config.seed), fit
    shape_alone = (Stage("shape", SHAPE, 20),)
    fit = fit_scans(model, scans.scan, stages=shape_alone, shared_shape=False, start=scans.truth)
    yield "pose_given", told(kind, model, fit, scans, config.seed), fit


def differences(protocols: Protocols, kinds: tuple[str, ...]) -> Protocols:
    """Return by how much less the shape's error is under other protocols than from one scan, person by person."""
    found: Protocols = {}
    for protocol in protocols:
        if protocol == "pose_given" or protocol.startswith("shared_"):
            for name in (f"{kind}_shape_sd" for kind in kinds):
                one, other = (np.array(protocols[of][name]["by_person"]) for of in ("one_scan", protocol))
                found.setdefault(f"one_scan_minus_{protocol}", {})[name] = of_the_mean(one - other)
    return found


def chosen_rates(model: HandModel, config: Config) -> Rates:
    """Return for each gradient descent the step size that leaves the least distance to other people's scans."""
    others = FIRST_FOR_RATES + torch.arange(config.rate_people)
    scans = scans_of(model, KINDS["inside_exact"], others, 1, config.seed)
    found: Rates = {}
    for name in DESCENTS:
        left: dict[str, float | None] = {}
        for rate in config.rates:
            try:
                fit = fit_scans(
                    model, scans.scan, stages=three_stages(config.iterations), optimiser=name, rate=rate
                )
                left[f"{rate:g}"] = float(errors(model, fit, scans)["scan_mm"].mean())
            except ValueError:  # the step was too long
                left[f"{rate:g}"] = None
        stable = {rate: mm for rate, mm in left.items() if mm is not None}
        if not stable:
            raise ConfigError(f"every step size of {config.rates} is too long for {name}; add smaller ones")
        found[name] = {"rate": float(min(stable, key=stable.get)), "scan_mm": left}
    return found


def history(
    model: HandModel, scans: Scans, optimiser: str, rate: float | None, iterations: int
) -> tuple[dict[str, Any], Fit]:
    """Return the errors of one scan a person on the way through three stages, and the fit."""
    stages = three_stages(iterations)
    ends = np.cumsum([0, *(stage.iterations for stage in stages)])
    watch = sorted({*ends.tolist(), *np.unique(np.linspace(0, iterations, 41).round().astype(int)).tolist()})
    fit = fit_scans(model, scans.scan, stages=stages, optimiser=optimiser, rate=rate, watch=watch)
    curve: dict[str, Any] = {"iteration": watch, "stage_ends": ends.tolist()}
    for moment in fit.history:
        found = errors(model, moment.fit, scans)
        for name in SHOWN:
            spread = of_the_mean(found[name])
            row = curve.setdefault(name, {"mean": [], "low": [], "high": []})
            for end in row:
                row[end].append(spread[end])
    return curve, fit


def on_the_way(
    model: HandModel, kind: str, scans: Scans, rates: Rates, config: Config
) -> Iterator[tuple[str, dict[str, Any], dict[str, Any], np.ndarray]]:
    """Yield each optimiser's name, errors, history, and the shown people's meshes at the ends of stages."""
    for name in tqdm(OPTIMISERS, desc=f"optimisers, {kind}", unit=" optimisers"):
        curve, fit = history(model, scans, name, rates.get(name, {}).get("rate"), config.iterations)
        ends = [moment.fit for moment in fit.history if moment.iteration in curve["stage_ends"]]
        meshes = torch.stack([vertices(model, end)[: config.pictures, 0] for end in ends], dim=1)
        yield name, told(kind, model, fit, scans, config.seed), curve, meshes.numpy().astype(np.float16)


def by_budget(model: HandModel, kind: str, scans: Scans, rates: Rates, config: Config) -> Protocols:
    """Return the errors of each gradient descent after other numbers of iterations in three stages."""
    found: Protocols = {}
    for budget in tqdm(sorted({*config.budgets} - {config.iterations}), desc="budgets", unit=" budgets"):
        for name in DESCENTS:
            stages, rate = three_stages(budget), rates[name]["rate"]
            fit = fit_scans(model, scans.scan, stages=stages, optimiser=name, rate=rate)
            found[f"{name}_{budget}"] = told(kind, model, fit, scans, config.seed)
    return found


def by_order(model: HandModel, kind: str, scans: Scans, rates: Rates, config: Config) -> Protocols:
    """Return the errors when gradient descent finds one shape from scans at once and in turn (section 5.3.2)."""
    stages, rate = three_stages(config.iterations), rates["sgd"]["rate"]
    found: Protocols = {}
    for order in ("at_once", "in_turn"):
        fit = fit_scans(
            model, scans.scan, stages=stages, optimiser="sgd", rate=rate, in_turn=order == "in_turn"
        )
        name = f"sgd_{config.iterations}_shared_{config.in_turn}_{order}"
        found[name] = told(kind, model, fit, scans, config.seed)
    return found


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    model, sha256 = hand_mesh.load_model(), data_sha256(config)
    people = FIRST_PERSON + torch.arange(config.people)
    sets = {kind: scans_of(model, KINDS[kind], people, config.scans, config.seed) for kind in config.kinds}
    protocols: Protocols = {}
    arrays: dict[str, np.ndarray] = {"faces": model.faces.numpy().astype(np.int16)}
    for kind, scans in tqdm(sets.items(), desc="kinds of scan", unit=" kinds"):
        arrays[f"{kind}_true_shape"] = scans.truth.shape[:, 0].numpy()
        for protocol, row, fit in finished(model, kind, scans, config):
            protocols.setdefault(protocol, {}).update(row)
            arrays[f"{kind}_{protocol}_shape"] = fit.shape.numpy()

    rates = chosen_rates(model, config)
    one = {kind: sets[kind].first(1) for kind in COMPARED}
    curves: dict[str, dict[str, Any]] = {kind: {} for kind in one}
    for kind, scans in one.items():
        for name, row, curve, meshes in on_the_way(model, kind, scans, rates, config):
            protocols.setdefault(f"{name}_{config.iterations}", {}).update(row)
            curves[kind][name] = curve
            arrays[f"{name}_meshes"] = meshes  # those of the last kind stay, and the scan below is its
        arrays["scan"] = scans.scan[: config.pictures, 0].numpy().astype(np.float16)
    inside, outside = COMPARED
    protocols |= by_budget(model, inside, one[inside], rates, config)
    protocols |= by_order(model, outside, sets[outside].first(config.in_turn), rates, config)
    results.write_arrays(arrays_path(config), arrays)
    metrics = {
        "vertices": len(model.template),
        "kinds": {kind: asdict(KINDS[kind]) for kind in sets},
        "iterations": config.iterations,
        "protocols": protocols,
        "differences": differences(protocols, config.kinds),
        "bounds": _bounds(model, one[inside].truth),
        "rates": rates,
        "history": curves,
    }
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=hand_sets.data_entry(sha256, "scans of invented people", hand_model=hand_mesh.model_sha256()),
        split={
            "people": [FIRST_PERSON, config.people],
            "people_for_rates": [FIRST_FOR_RATES, config.rate_people],
        },
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )


def _bounds(model: HandModel, truth: Fit) -> dict[str, Any]:
    """Return what one scan allows: standard errors of shape numbers under 1 mm of noise, curvatures of the loss."""
    found = {
        f"shape_sd_at_1mm_{name}": over_people(
            shape_standard_errors(model, truth, 1 / UNIT_MM, pose_known=known)
            .square()
            .mean(dim=1)
            .sqrt()
            .numpy()
        )
        for name, known in (("pose_sought", False), ("pose_given", True))
    }
    bent = curvatures(model, truth)
    return found | {
        "least_curvature": over_people(bent[:, 0].numpy()),
        "greatest_curvature": over_people(bent[:, -1].numpy()),
    }
