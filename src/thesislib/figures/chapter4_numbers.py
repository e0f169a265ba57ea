"""The numbers that the sentences of chapter 4 quote, each computed from records; names carry the protocol."""

from collections.abc import Mapping, Sequence
from typing import Any

from thesislib import published
from thesislib.figures.signer_scores import (
    THESIS,
    TOP2,
    Records,
    difference,
    guessing,
    images_of,
    letters_of,
    measured,
    protocols_of,
    prototype_share,
    scores,
    shots_of,
    signers_of,
    system_name,
    systems_under,
)

# percent, what the page asks of the recipe on asl7
GOALS = {"zero_shot": 90.0, "k_shot_s5": 97.0, "joined_s5": 97.0}
AIM = 93.0  # zero-shot, beyond the goal
BASELINES = ("pixels", "hog", "mediapipe", "cross_entropy")
STRANGERS, HALVES, LEAKY = "zero_shot", "same_signer", "random_split"


PRINTED = {
    "printed_unseen": "ignatiev2019_asl_unseen",
    "printed_unseen_f10": "ignatiev2019_asl_unseen_f10_top1",
    "printed_same": "ignatiev2019_asl_same_signers",
    "printed_share": "ignatiev2019_rwth_prototype_share",
}


def printed() -> dict[str, str]:
    """Return what sentences quote of the thesis, as printed there."""
    return {name: published.by_key(key).printed for name, key in PRINTED.items()}


def numbers(records: Records, best: str) -> dict[str, Any]:
    """Return what sentences quote of one data set, its seeds pooled: percent, points and counts.

    ``best``: the recipe, chosen before these people were tested. It and the thesis's system are called so, under
    every protocol; baselines have their own names, under the protocols of the goals. What a record lacks is left
    out.
    """
    main = {"thesis": THESIS, "best": best}
    quoted = main | {name: name for name in BASELINES}
    found = of_the_set(records) | of_systems(records, main, protocols_of(records))
    found |= of_systems(records, quoted, list(GOALS)) | of_gains(records, quoted)
    found |= of_shots(records, main) | of_flattery(records, main) | of_signers(records, main)
    return found | of_goals(records, best) | {"best_name": system_name(best)}


def of_the_set(records: Records) -> dict[str, Any]:
    """Return how much there is, what guessing gets, and what share of a signer's pictures the examples are."""
    counts: dict[str, Any] = {
        "images": f"{images_of(records):,}",
        "signers": len(signers_of(records)),
        "letters": len(letters_of(records)),
        "seeds": len(records),
        "guessing": guessing(records),
    }
    of_set = {f"share_{p}": prototype_share(records, p) for p in protocols_of(records)}
    return counts | {name: share for name, share in of_set.items() if share is not None}


def of_systems(records: Records, quoted: Mapping[str, str], protocols: Sequence[str]) -> dict[str, Any]:
    """Return accuracies with their intervals by protocol, and which of all systems is highest."""
    found: dict[str, Any] = {}
    for protocol in (p for p in protocols if systems_under(records, p)):
        means = {name: scores(records, name, protocol) for name in systems_under(records, protocol)}
        for role, name in quoted.items():
            if name in means:
                found[f"{role}_{protocol}"] = means[name].mean
                found[f"{role}_{protocol}_low"] = means[name].low
                found[f"{role}_{protocol}_high"] = means[name].high
                if protocol == STRANGERS:
                    found[f"{role}_{protocol}_top2"] = scores(records, name, protocol, TOP2).mean
        highest = max(means, key=lambda name: means[name].mean)
        found[f"highest_{protocol}"] = means[highest].mean
        found[f"highest_{protocol}_name"] = system_name(highest)
    return found


def of_gains(records: Records, quoted: Mapping[str, str]) -> dict[str, float]:
    """Return by how many points the best system is above each other quoted one, paired by signer."""
    found: dict[str, float] = {}
    for protocol in GOALS:
        rivals = _measured(records, quoted, protocol)
        best = rivals.pop("best", None)
        for role, name in rivals.items() if best else ():
            found |= _parts(f"gain_over_{role}_{protocol}", difference(records, best, name, protocol))
    return found


def of_shots(records: Records, quoted: Mapping[str, str]) -> dict[str, float]:
    """Return what shots add to zero-shot, and what they leave to contiguous halves, paired by signer."""
    found: dict[str, float] = {}
    for protocol in protocols_of(records):
        if shots_of(protocol):
            for role, name in _measured(records, quoted, protocol, STRANGERS).items():
                gain = difference(records, name, name, protocol, to=STRANGERS)
                found |= _parts(f"added_{role}_{protocol}", gain)
            for role, name in _measured(records, quoted, protocol, HALVES).items():
                gap = difference(records, name, name, HALVES, to=protocol)
                found |= _parts(f"left_{role}_{protocol}", gap)
    return found


def of_flattery(records: Records, quoted: Mapping[str, str]) -> dict[str, float]:
    """Return by how many points each easier protocol looks better than strangers, paired by signer.

    And by how many random halves look better than contiguous ones, which differ in order and gap alone.
    """
    found: dict[str, float] = {}
    for easy, hard in ((LEAKY, STRANGERS), (HALVES, STRANGERS), (LEAKY, HALVES)):
        for role, name in _measured(records, quoted, easy, hard).items():
            flattered = difference(records, name, name, easy, to=hard)
            found |= _parts(f"flattery_{role}_{easy}_over_{hard}", flattered)
    return found


def of_goals(records: Records, best: str) -> dict[str, Any]:
    """Return the goals in percent, by how many points they are missed (0: met), and the verdict in words."""
    found: dict[str, Any] = {}
    for protocol, goal in GOALS.items():
        if best in systems_under(records, protocol):
            mean = scores(records, best, protocol).mean
            found[f"goal_{protocol}"] = goal
            found[f"missed_{protocol}"] = max(0.0, goal - mean)
            found[f"verdict_{protocol}"] = verdict(mean, goal)
    return found


def verdict(reached: float, goal: float) -> str:
    """Return in words whether a goal is met, and else by how many points it is missed."""
    return "met" if reached >= goal else f"missed by {goal - reached:.1f} points"


def of_signers(records: Records, quoted: Mapping[str, str]) -> dict[str, Any]:
    """Return who is easiest and who is hardest to read as a stranger."""
    found: dict[str, Any] = {}
    for role, name in _measured(records, quoted, STRANGERS).items():
        by_signer = scores(records, name, STRANGERS).by_signer
        for end, pick in (("easiest", max), ("hardest", min)):
            who = pick(by_signer, key=by_signer.__getitem__)
            found[f"{role}_{end}_signer"], found[f"{role}_{end}_signer_{STRANGERS}"] = who, by_signer[who]
    return found


def _measured(records: Records, quoted: Mapping[str, str], *protocols: str) -> dict[str, str]:
    """Return the quoted systems that were measured under all of the protocols."""
    there = measured(records, quoted.values(), *protocols)
    return {role: name for role, name in quoted.items() if name in there}


def _parts(name: str, gain: Mapping[str, float]) -> dict[str, float]:
    return {name: gain["mean"], f"{name}_low": gain["low"], f"{name}_high": gain["high"]}
