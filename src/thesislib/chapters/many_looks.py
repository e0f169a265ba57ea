"""Many looks at one picture: the stored pose network beside itself, asked more often, and beside MediaPipe's.

Nothing is trained. All are asked about the same unseen signers and the same real hands, with errors in the same two
units, so that invented and real hands can be compared.
"""

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from tqdm.auto import tqdm

from thesislib import mediapipe_joints, paths, peers, pose_model, results, runtime
from thesislib.chapters import finding_joints
from thesislib.chapters.eight_bits import MEDIAPIPE, REAL_SETS
from thesislib.chapters.hand_sets import HandSet, data_entry, digest
from thesislib.chapters.joint_choices import decoders, hand_sets, real_crops, real_hands
from thesislib.config import ConfigError, ExperimentConfig, unknown
from thesislib.datasets import hands
from thesislib.datasets.hand_images import HandImages
from thesislib.datasets.sources import DataError
from thesislib.regions import about_middle

EXPERIMENT = "many_looks"
# The views of one picture whose answers are averaged: parts of it, turned, and their mirror images.
SHARES, TURNS_DEGREES = (0.8, 0.9, 1.0), (-20.0, 0.0, 20.0)
LOOKS = 2  # of MediaPipe's model: the first, and one about what it has found
SYNTHETIC = "unseen_signers"

Find = Callable[[Tensor], Mapping[str, Tensor]]  # pictures uint8 [N, 3, S, S] to {finder: joints [N, 21, 2]}


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """How many hands are asked about, and whether MediaPipe's model is asked too.

    ``thesis run many_looks --profile quick`` takes about ten seconds, the profile full ten minutes, most of it for
    MediaPipe: hands are drawn anew at its 224 pixels. It wants MediaPipe's wheel as `pose_speed` does;
    ``-p mediapipe false`` does without.
    """

    test_hands: int | None = None  # None: the test hands of the stored network's own record
    real_sets: tuple[str, ...] = ()  # names of datasets.hands.NAMES; fetched, or named by THESIS_DATA
    mediapipe: bool = False

    profiles: ClassVar = {
        "smoke": dict(test_hands=16),
        "quick": dict(test_hands=200),
        "full": dict(mediapipe=True, real_sets=REAL_SETS),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.real_sets:
            if name not in hands.NAMES:
                raise ConfigError(unknown("set of real hands", name, hands.NAMES))
        if self.test_hands is not None and self.test_hands < 1:
            raise ConfigError(f"test_hands must be positive, not {self.test_hands}")


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{len(config.real_sets)}-real-sets")
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def data_sha256(config: Config) -> str | None:
    """Return the digest of the hands and the network of a run, None where its real sets are not here."""
    trained = pose_model.load(pose_model.default_model()).config
    try:
        real = _real(config, trained.size)
    except DataError:
        return None
    return _digest(_test(config, trained), real)


def in_views(find: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return the mean of what a network finds in all views of pictures uint8 [N, 3, S, S]: joints [N, 21, 2].

    ``find`` takes pictures of S pixels and returns joints in their pixels. A mirrored hand is one of the other side
    of the body, and has its joints in the same order.
    """
    size, found = images.shape[-1], []
    choices = list(product(SHARES, TURNS_DEGREES, (False, True)))
    for share, turn, mirrored in tqdm(choices, "views", leave=False):
        regions = about_middle(images, share=share, turn=math.radians(turn), mirrored=mirrored)
        found.append(regions.in_picture(find(regions.cut_out(images, size)) / size))
    return torch.stack(found).mean(dim=0)


def _test(config: Config, trained: finding_joints.Config) -> HandSet:
    test = hand_sets(trained)["test"]
    return test if config.test_hands is None else replace(test, hands=config.test_hands)


def _real(config: Config, size: int) -> dict[tuple[str, str], HandImages]:
    return {(name, box): real_hands(name, box, size) for name, box in real_crops(config)}


def _digest(test: HandSet, real: dict[tuple[str, str], HandImages]) -> str:
    of_hands, network = digest([test], list(real.values())), pose_model.default_model()
    return hashlib.sha256(of_hands.encode() + network.read_bytes()).hexdigest()


def _ours(model: pose_model.PoseModel) -> Find:
    read = next(iter(decoders(model.config, model.network).values()))

    def find(images: Tensor) -> Tensor:
        return finding_joints.predict(model.network, read, images)

    views = len(SHARES) * len(TURNS_DEGREES) * 2
    return lambda images: {"ours_1_view": find(images), f"ours_{views}_views": in_views(find, images)}


def _mediapipe(model: Path, size: int) -> Find:
    find = mediapipe_joints.finder(model)

    def looks(images: Tensor) -> dict[str, Tensor]:
        found = mediapipe_joints.look(find, images, looks=LOOKS)
        return {f"{MEDIAPIPE}_{size}px_look_{number}": joints for number, joints in enumerate(found, 1)}

    return looks


def _scores(test: HandImages, real: Mapping[tuple[str, str], HandImages], find: Find) -> dict[str, Any]:
    """Return {finder: its errors}: `score` of the synthetic hands, and `over_box` of them and of each real set."""
    scores: dict[str, Any] = {}
    for name, joints in find(torch.from_numpy(test.image)).items():
        of_synthetic = {SYNTHETIC: finding_joints.over_box(test, joints)}
        scores[name] = {SYNTHETIC: finding_joints.score(test, joints), "over_box": of_synthetic}
    for (of_set, box), shown in real.items():
        for name, joints in find(torch.from_numpy(shown.image)).items():
            scores[name]["over_box"][f"{of_set}_{box}_box"] = finding_joints.over_box(shown, joints)
    return scores


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    models = peers.mediapipe_landmark_models(paths.raw_data() / "mediapipe") if config.mediapipe else {}
    model = pose_model.load(pose_model.default_model())
    size, test = model.config.size, _test(config, model.config)
    real = _real(config, size)
    scores = _scores(drawn := test.load(), real, _ours(model))
    if models:
        scores |= _scores(drawn, real, _mediapipe(models[MEDIAPIPE], size))
        px = peers.INPUT_PX  # the same hands, drawn and cut out at the size the model reads
        drawn = replace(test, size=px).load()
        scores |= _scores(drawn, _real(config, px), _mediapipe(models[MEDIAPIPE], px))
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=data_entry(
            _digest(test, real),
            "hands of unseen signers; nothing is trained",
            real_sets={f"{name}_{box}_box": len(of_set) for (name, box), of_set in real.items()},
        ),
        split={"test": {"signers": [test.signer_range.start, test.signer_range.stop], "hands": test.hands}},
        metrics={"trained": model.record, "finders": scores},
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )
