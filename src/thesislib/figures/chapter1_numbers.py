"""The numbers that the sentences of chapter 1 quote, and its tables, each from a record or from the generator."""

from collections.abc import Mapping
from math import sqrt
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from thesislib.chapters.hands_out_of_numbers import KNOBS, ladder
from thesislib.figures.tables import listed, plain
from thesislib.synthetic.contacts import BLOCK, FREE_PENETRATION, MAX_PENETRATION, STEPS
from thesislib.synthetic.hand import ANGLES, BONES, JOINTS
from thesislib.synthetic.handshapes import alphabet
from thesislib.synthetic.scene import ALPHABETS

MEANINGS = {
    "signer_spread": "how far people differ, in bones and in habits",
    "pose_jitter": "how far one person's attempts at a letter differ",
    "rotation": "how far the hand turns from its usual direction",
    "clutter": "how much stands behind the hand",
    "resolution": "pixels to a side of the poorest camera",
    "blur": "the strongest blur, in pixels of a picture of 64",
    "noise": "the strongest grain, and JPEG's loss with it",
}
SPEED_GOAL = 150  # pictures of 64 px a second, on two CPU threads
READERS = {
    "joints": "new_signers_letter_accuracy_1nn_joints",
    "edges": "new_signers_letter_accuracy_1nn_edges",
}


def of_the_model() -> dict[str, int | float]:
    """Return sizes and constants of the generator; depths in percent of a hand unit."""
    counts = {name: len(alphabet(full)) for name, full in ALPHABETS.items()}
    return {f"num_{name}": count for name, count in counts.items()} | {
        "num_angles": len(ANGLES),
        "num_joints": len(JOINTS),
        "num_bones": len(BONES),
        "solve_steps": STEPS,
        "solve_block": BLOCK,
        "max_penetration": 100 * MAX_PENETRATION,
        "free_penetration": 100 * FREE_PENETRATION,
    }


def of_the_run(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the run measured: contacts in percent of a hand unit, letters read in percent, speeds."""
    metrics = record["metrics"]
    contacts, usual = metrics["contacts"], metrics["knobs"]["usual"]
    numbers = {
        "contact_signers": contacts["signers"],
        "contact_tolerance": 100 * contacts["contact_tolerance"],
        "contacts_missed": 100 * contacts["mean_contacts_missed"],
        "letters_missed": letters_missed(contacts["letters"]),
    }
    for name in ("contact_error", "penetration"):
        for when in ("before", "after"):
            numbers[f"{name}_{when}"] = 100 * contacts[f"mean_{name}_{when}"]
            for letter, row in contacts["letters"].items():
                numbers[f"{name}_{when}_{letter}"] = 100 * row[f"{name}_{when}"]
    for reader, metric in READERS.items():
        numbers[f"read_{reader}"] = 100 * usual[metric]
        numbers[f"margin_{reader}"] = 100 * margin(usual[metric], usual["n"])
    numbers |= {"read_n": usual["n"], "chance": 100 * usual["chance"]}
    numbers["found_px"] = usual["new_signers_epe_px_at_256"]
    numbers["hardest_for_network"] = hardest(metrics)
    numbers["unmoved"] = listed(unmoved(metrics) or ["none"])
    numbers["visible"] = 100 * usual["visible_share"]
    if rates := metrics["images_per_second"]:
        size, rate = next(iter(rates.items()))
        numbers["speed"] = f"{rate['one_cpu_thread']:.0f} of {size} a second on one thread of its processor"
        numbers["speed_verdict"] = (
            "met by one thread" if rate["one_cpu_thread"] >= SPEED_GOAL else "not met by one"
        )
        numbers["speed_goal"] = SPEED_GOAL
    for name in ("known", "new"):
        numbers[f"{name}_signers"] = record["config"][f"{name}_signers"]
        numbers[f"{name}_images"] = record["config"][f"{name}_images"]
    return numbers


def letters_missed(letters: Mapping[str, Mapping[str, float]], most: int = 4) -> str:
    """Return in words the letters with the most hands that miss a contact after solving, most missed first."""
    missed = sorted(letters, key=lambda letter: -letters[letter]["contacts_missed"])[:most]
    told = [
        f"{letter} ({100 * share:.0f} %)"
        for letter in missed
        if (share := letters[letter]["contacts_missed"])
    ]
    return ", ".join(told) if told else "no letter"


def margin(share: float, n: int) -> float:
    """Return half the width of the 95 % interval of a share of n independent pictures (normal approximation)."""
    return 1.96 * sqrt(share * (1 - share) / n)


def hardest(metrics: Mapping[str, Any], px: float = 1.0) -> str:
    """Return in words the highest error of the network, and the settings that come within a pixel of it."""
    errors = {
        setting: row["new_signers_epe_px_at_256"]
        for setting, row in metrics["knobs"].items()
        if setting != "usual"
    }
    most = max(errors.values())
    told = [
        "{} at {}".format(*setting.replace("_", " ").split("="))
        for setting, error in errors.items()
        if error > most - px
    ]
    return f"{most:.0f} px, with {listed(told)}"


def unmoved(metrics: Mapping[str, Any], px: float = 1.0) -> list[str]:
    """Return the knobs that move no reader by more than its margin, nor the network's error by a pixel of 256."""
    usual = metrics["knobs"]["usual"]
    allowed = {metric: margin(usual[metric], usual["n"]) for metric in READERS.values()}
    allowed["new_signers_epe_px_at_256"] = px

    def moves(knob: str) -> bool:
        rows = [metrics["knobs"][f"{knob}={value:g}"] for value in KNOBS[knob]]
        return any(abs(row[name] - usual[name]) > most for row in rows for name, most in allowed.items())

    return [knob.replace("_", " ") for knob in KNOBS if not moves(knob)]


def knobs(record: Mapping[str, Any]) -> Styler:
    """Return one row a knob: its values from easy to hard, letters that readers get, errors of joints found."""
    metrics, rows = record["metrics"], []
    for knob in KNOBS:
        usual, values = metrics["usual"][knob], ladder(knob)
        settings = ["usual" if value == usual else f"{knob}={value:g}" for value in values]
        row = {"knob": knob.replace("_", " "), "what it is": MEANINGS[knob]}
        row["from easy to hard"] = ", ".join(f"{value:g}" for value in values)
        row["usual"] = f"{usual:g}"
        for reader, metric in READERS.items():
            shares = [100 * metrics["knobs"][setting][metric] for setting in settings]
            row[f"{reader}, %"] = ", ".join(f"{share:.0f}" for share in shares)
        errors = [metrics["knobs"][setting]["new_signers_epe_px_at_256"] for setting in settings]
        row["network, px"] = ", ".join(f"{error:.0f}" for error in errors)
        rows.append(row)
    return plain(pd.DataFrame(rows), words=True)


def handshape(name: str, label: str) -> Styler:
    """Return the table's angles of one handshape, in degrees: a finger a row, a joint a column."""
    shape = alphabet(name)[label]
    angles = dict(zip(ANGLES, shape.angles, strict=True))
    rows: dict[str, dict[str, str]] = {}
    for angle, value in angles.items():
        finger, joint = angle.split()
        rows.setdefault(finger, {"finger": finger})[joint] = f"{value:g}"
    columns = ["finger", "radial", "palmar", "twist", "abduction", "MCP", "PIP", "IP", "DIP"]
    return plain(pd.DataFrame(rows.values(), columns=columns).fillna("–"))
