"""Hands out of numbers: what the generator of synthetic hands draws, how exactly, how fast, and how hard.

Each knob of `scene.Difficulty` is turned down and up by itself, and two simple readers say what that does to
the letters of people who are new to them: one that is given the true joints, and one that sees the edges in
the picture. They learn nothing, so what they show is a property of the pictures, not of a training. Beside them
the stored network of chapter 2, which has learned from other people, finds the joints in the same pictures.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize

from thesislib import pose_model, results, runtime
from thesislib.chapters import finding_joints
from thesislib.chapters.hand_sets import FIRST_SIGNER, SEEDS, data_entry, digest
from thesislib.chapters.joint_choices import decoders
from thesislib.config import ExperimentConfig
from thesislib.evaluation.keypoints import errors_px
from thesislib.synthetic import scene
from thesislib.synthetic.contacts import (
    CONTACT_TOLERANCE,
    MAX_PENETRATION,
    contact_error,
    penetration,
    signer_handshapes,
)
from thesislib.synthetic.hand import draw_anatomy
from thesislib.synthetic.handshapes import alphabet
from thesislib.synthetic.scene import ALPHABETS, Difficulty

EXPERIMENT = "hands_out_of_numbers"
LETTERS = alphabet(ALPHABETS["letters"])

# Each knob turned away from its usual value, down and up where there is room, one at a time.
KNOBS: dict[str, tuple[float, float]] = {
    "signer_spread": (0.0, 2.0),
    "pose_jitter": (0.0, 2.0),
    "rotation": (0.0, 2.0),
    "clutter": (0.0, 0.5),  # usual is the most there is
    "resolution": (64.0, 16.0),
    "blur": (0.0, 2.5),
    "noise": (0.0, 0.15),
}


def ladder(knob: str) -> list[float]:
    """Return the values of a knob that the chapter shows, its usual one among them, from easy to hard."""
    first, last = KNOBS[knob]
    return sorted({first, last, getattr(Difficulty(), knob)}, reverse=first > last)


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """What the generator draws: contacts solved, knobs turned, pictures a second.

    ``thesis run hands_out_of_numbers --profile quick`` takes about a minute on two laptop cores. None of the five
    documents prints a number for it: synthetic hands are the thesis's own future work (chapter 4).
    """

    known_signers: int = 32  # whose labelled pictures the readers compare with
    new_signers: int = 16  # whose letters they read
    known_images: int = 4_096
    new_images: int = 2_048
    size: int = 64
    sizes: tuple[int, ...] = (64, 128, 256)  # pixels, of the speed measurement

    profiles: ClassVar = {
        "smoke": dict(known_signers=16, new_signers=16, known_images=64, new_images=32, size=32, sizes=(32,)),
        "quick": dict(known_signers=16, new_signers=16, known_images=512, new_images=256, sizes=(64, 128)),
        "full": {},
    }


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(record_path(config), config, __name__, lambda: _measure(config), data_sha256)


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"seed{config.seed}")
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def data_sha256() -> str:
    """Return a digest of what all synthetic hands share and of the stored network's weights."""
    return hashlib.sha256(digest().encode() + pose_model.default_model().read_bytes()).hexdigest()


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    find = joint_finder(config.size)
    metrics: dict[str, Any] = {"contacts": solved_contacts(config.known_signers)}
    metrics["knobs"] = {"usual": turned(config, Difficulty(), find)}
    for knob, values in KNOBS.items():
        for value in values:
            difficulty = replace(Difficulty(), **{knob: value})
            metrics["knobs"][f"{knob}={value:g}"] = turned(config, difficulty, find)
    metrics["usual"] = {field.name: getattr(Difficulty(), field.name) for field in fields(Difficulty)}
    metrics["images_per_second"] = {
        f"{size} px": images_per_second(config.seed, size) for size in config.sizes
    }
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=data_entry(
            data_sha256(), "drawn from (seed, index) alone", weights=pose_model.default_model().name
        ),
        split={
            "known_signers": list(range(FIRST_SIGNER["train"], FIRST_SIGNER["train"] + config.known_signers)),
            "new_signers": list(range(FIRST_SIGNER["test"], FIRST_SIGNER["test"] + config.new_signers)),
        },
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )


def solved_contacts(signers: int) -> dict[str, Any]:
    """Return what solving does to each letter of so many signers: contact error and penetration, in hand units.

    These are the hands that pictures show, solved with their signers' habits.
    Before solving a hand has the angles of the table; nobody's bones fit them exactly. ``contacts_missed`` is the
    share of solved hands whose worst contact is off by more than the solver's tolerance.
    """
    seeds = torch.arange(signers)
    anatomy = draw_anatomy(seeds)
    solved = signer_handshapes(ALPHABETS["letters"], seeds)  # [S, L, 21]
    found: dict[str, Any] = {
        "signers": signers,
        "max_penetration_allowed": MAX_PENETRATION,
        "contact_tolerance": CONTACT_TOLERANCE,
        "letters": {},
    }
    for (letter, shape), after in zip(LETTERS.items(), solved.unbind(1), strict=True):
        shapes, table = [shape] * signers, torch.tensor(shape.angles).expand(signers, -1)
        row: dict[str, float] = {}
        for when, angles in (("before", table), ("after", after)):
            error = contact_error(anatomy, angles, shapes)
            row[f"contact_error_{when}"] = float(error.mean())
            row[f"penetration_{when}"] = float(penetration(anatomy, angles).mean())
        row["contacts_missed"] = float((error > CONTACT_TOLERANCE).float().mean())  # after solving
        found["letters"][letter] = row
    for name in row:
        values = [row[name] for row in found["letters"].values()]
        found[f"mean_{name}"] = sum(values) / len(values)
    return found


def joint_finder(size: int) -> Callable[[Tensor], Tensor]:
    """Return what finds joints [N, 21, 2] in pictures uint8 [N, 3, size, size]: chapter 2's stored network."""
    model = pose_model.load(pose_model.default_model())
    read = next(iter(decoders(replace(model.config, size=size), model.network).values()))
    return lambda images: finding_joints.predict(model.network, read, images)


def turned(config: Config, difficulty: Difficulty, find: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """Return what readers and a finder of joints, see `joint_finder`, make of new signers' hands at a difficulty.

    The readers name a letter by the nearest picture of known signers: one compares true joints, moved to the wrist
    and scaled; one the directions of edges in the picture. ``chance`` is one letter of them all. Of the joints
    found there is the mean error in pixels of 256.
    """
    sets = {}
    for part, signers, count in (
        ("train", config.known_signers, config.known_images),
        ("test", config.new_signers, config.new_images),
    ):
        first = FIRST_SIGNER[part]
        drawn = scene.generate(
            "letters",
            fold_seed(config.seed, part),
            torch.arange(count),
            size=config.size,
            difficulty=difficulty,
            signers=range(first, first + signers),
        )
        sets[part] = drawn
    known, new = sets["train"], sets["test"]
    accuracy = {}
    for name, reader in (("joints", joint_vectors), ("edges", edge_vectors)):
        nearest = (reader(new) @ reader(known).T).argmax(dim=1)
        right = (known["letter"][nearest] == new["letter"]).float()
        accuracy[f"new_signers_letter_accuracy_1nn_{name}"] = float(right.mean())
    error = errors_px(find(new["image"]), new["keypoints"], input_size=config.size)
    accuracy["new_signers_epe_px_at_256"] = float(error.mean())
    accuracy["visible_share"] = float(new["visible"].float().mean())
    return accuracy | {"chance": 1 / len(LETTERS), "n": len(new["letter"])}


def fold_seed(seed: int, part: str) -> int:
    """Return a seed of a part's own: with one seed, hand i of both parts would have one scene and one pose."""
    return len(SEEDS) * seed + SEEDS[part]


def joint_vectors(drawn: dict[str, Tensor]) -> Tensor:
    """Return the true joints as unit vectors, from the wrist and in a right hand's view: [B, 42]."""
    points = drawn["keypoints"] - drawn["keypoints"][:, :1]  # [B, 21, 2]
    points[..., 0] = torch.where(drawn["left"][:, None], -points[..., 0], points[..., 0])
    return normalize(points.flatten(1), dim=1)


def edge_vectors(drawn: dict[str, Tensor]) -> Tensor:
    """Return which way the edges run, cell by cell, in a right hand's view: unit vectors [B, 9 * 8 * 8].

    A plain histogram of oriented gradients (Dalal and Triggs 2005): nine directions, 8 x 8 cells, each cell's
    histogram scaled to length 1.
    """
    image = drawn["image"].float().mean(dim=1)
    image = torch.where(drawn["left"][:, None, None], image.flip(-1), image)  # [B, S, S]
    across = torch.nn.functional.pad(image[:, :, 2:] - image[:, :, :-2], (1, 1))
    down = torch.nn.functional.pad(image[:, 2:] - image[:, :-2], (0, 0, 1, 1))
    direction = torch.atan2(down, across).remainder(torch.pi) * (9 / torch.pi)  # 0 to 9
    strength = torch.hypot(across, down)
    bins = torch.stack([strength * (direction.long().clamp(max=8) == b) for b in range(9)], dim=1)
    cells = normalize(adaptive_avg_pool2d(bins, 8), dim=1, eps=1.0)  # [B, 9, 8, 8]; eps: of no contrast, 0
    return normalize(cells.flatten(1), dim=1)


def images_per_second(seed: int, size: int, *, seconds: float = 2.0) -> dict[str, float]:
    """Return how fast letters are drawn, poses solved before: on one CPU thread, and on a GPU where one is."""
    found = {}

    def clock(device: torch.device) -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # it draws on after the call came back
        return time.perf_counter()

    devices = [torch.device("cpu")] + [torch.device("cuda")] * torch.cuda.is_available()
    threads = torch.get_num_threads()
    try:
        for device in devices:
            torch.set_num_threads(1)
            index = torch.arange(64 if device.type == "cpu" else 1024, device=device)
            scene.generate("letters", seed, index, size=size, signers=range(16))
            drawn, start = 0, clock(device)
            while (passed := clock(device) - start) < seconds:
                scene.generate("letters", seed, index + drawn, size=size, signers=range(16))
                drawn += len(index)
            found["one_cpu_thread" if device.type == "cpu" else "gpu"] = drawn / passed
    finally:
        torch.set_num_threads(threads)
    return found
