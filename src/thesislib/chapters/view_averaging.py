"""Test-time augmentation of the stored pose networks: their answers in many views of a picture, averaged.

Nothing is trained. MediaPipe's landmark model is asked about the same unseen signers and the same real hands, and
all errors are in parts of the joints' box, so that invented and real hands can be compared.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from string import ascii_uppercase
from typing import Any, ClassVar

import torch
from torch import Tensor
from tqdm.auto import tqdm

from thesislib import mediapipe_joints, paths, peers, pose_model, results, runtime
from thesislib.chapters import finding_joints, stored_pose
from thesislib.chapters.hand_sets import HandSet
from thesislib.chapters.joint_choices import decoders
from thesislib.chapters.stored_pose import HALF, MEDIAPIPE, REAL_SETS
from thesislib.datasets.hand_images import UNKNOWN, HandImages
from thesislib.evaluation.keypoints import bootstrap_interval, box_side
from thesislib.regions import about_middle

EXPERIMENT = "view_averaging"
# The views whose answers are averaged: parts of the picture, turned, and their mirror images. Sets of views were
# compared on asl7 and on all samples but RHD's, so those rows are no test of the choice.
SHARES, TURNS_DEGREES = (0.8, 0.9, 1.0), (-20.0, 0.0, 20.0)
VIEWS = 2 * len(SHARES) * len(TURNS_DEGREES)
SINGLE, VIEWED = "single_view", f"{VIEWS}_views"  # of a stored network
SYNTHETIC = "unseen_signers"

# Pictures uint8 [N, 3, S, S] to {finder: joints [N, 21, 2]}.
Finders = Callable[[Tensor], Mapping[str, Tensor]]


@dataclass(frozen=True, kw_only=True)
class Config(stored_pose.Asked):
    """How many hands are asked about, and whether MediaPipe's model is asked too.

    ``thesis run view_averaging --profile quick`` takes about half a minute, the profile full half an
    hour. For MediaPipe, hands are drawn anew at its 224 pixels. It wants MediaPipe's wheel as `pose_speed` does;
    ``-p mediapipe false`` does without.
    """

    mediapipe: bool = False

    profiles: ClassVar = {
        "smoke": dict(test_hands=16),
        "quick": dict(test_hands=200),
        "full": dict(mediapipe=True, real_sets=REAL_SETS),
    }


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{VIEWS}-views")
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def data_sha256(config: Config) -> str | None:
    """Return the digest of the hands and the networks of a run, None where its real sets are not here."""
    trained = stored_pose.trained()
    return stored_pose.sha256_here(config, {"test": stored_pose.test_set(config, trained)}, trained.size)


def averaged_over_views(find: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
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


def _ours(width: str, model: pose_model.PoseModel) -> Finders:
    read = next(iter(decoders(model.config, model.network).values()))

    def find(images: Tensor) -> Tensor:
        return finding_joints.predict(model.network, read, images)

    return lambda images: {
        f"{width}_{SINGLE}": find(images),
        f"{width}_{VIEWED}": averaged_over_views(find, images),
    }


def _mediapipe(model: Path, size: int) -> Finders:
    find = mediapipe_joints.landmark_model(model)

    def both(images: Tensor) -> dict[str, Tensor]:
        whole, tracked = mediapipe_joints.whole_and_tracked(find, images)
        return {f"{MEDIAPIPE}_{size}px_whole": whole, f"{MEDIAPIPE}_{size}px_tracked": tracked}

    return both


def error_of_pictures(of_set: HandImages, joints: Tensor) -> Tensor:
    """Return each picture's mean error over its labelled joints, in parts of the longer side of their box: [N]."""
    truth, labelled = torch.from_numpy(of_set.keypoints), torch.from_numpy(of_set.labelled)
    distance = torch.where(labelled, (joints - truth).norm(dim=-1), 0)
    return distance.sum(1) / labelled.sum(1) / box_side(truth, labelled)


def difference(errors: Tensor, single: Tensor, signer: Tensor) -> dict[str, float]:
    """Return by how much errors [N] are above a single view's of the same pictures, and the 95 % of it.

    People are drawn again, or pictures where fewer than two people are known, as for the errors themselves.
    """
    more = errors - single
    used = more.isfinite()
    people = len(signer[used & (signer != UNKNOWN)].unique())
    low, high = bootstrap_interval(more[used], signer[used] if people > 1 else None)
    return {"above_single": float(more[used].mean()), "above_single_low": low, "above_single_high": high}


def error_by_letter(errors: Tensor, of_set: HandImages) -> dict[str, dict[str, float]]:
    """Return each known letter's mean error of its pictures, of errors [N] over the box, its 95 % and n.

    People are drawn again for the 95 %. Pictures without a box are left out, and so are other hands than letters.
    """
    letter, signer = torch.from_numpy(of_set.letter), torch.from_numpy(of_set.signer)
    found = {}
    for place in letter[errors.isfinite() & (letter != UNKNOWN)].unique().tolist():
        of_it = errors.isfinite() & (letter == place)
        low, high = bootstrap_interval(errors[of_it], signer[of_it])
        found[ascii_uppercase[place]] = {
            "error_over_box": float(errors[of_it].mean()),
            "error_over_box_low": low,
            "error_over_box_high": high,
            "n_images": int(of_it.sum()),
            "n_signers": len(signer[of_it & (signer != UNKNOWN)].unique()),
        }
    return found


def _shown(config: Config, test: HandSet) -> dict[str, HandImages]:
    """Return all hands that are asked about by their rows' names, at the test's size."""
    return {SYNTHETIC: test.load(), **stored_pose.real_sets(config, test.size)}


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    models = peers.mediapipe_landmark_models(paths.raw_data() / "mediapipe") if config.mediapipe else {}
    stored = stored_pose.stored()
    trained = stored[HALF].config
    size, test = trained.size, stored_pose.test_set(config, trained)
    small = _shown(config, test)
    asked: list[tuple[Finders, dict[str, HandImages]]] = [
        (_ours(width, model), small) for width, model in stored.items()
    ]
    if models:
        px = peers.INPUT_PX  # the same hands at the size the model reads; small pixels need one ray each
        large = _shown(config, replace(test, size=px, supersample=1))
        asked += [(_mediapipe(models[MEDIAPIPE], side), of) for side, of in ((size, small), (px, large))]
    found: dict[str, dict[str, Any]] = {}
    for finders, shown in asked:
        for row, of_set in shown.items():
            errors: dict[str, Tensor] = {}
            for finder, joints in finders(torch.from_numpy(of_set.image)).items():
                errors[finder] = error_of_pictures(of_set, joints)
                scores = found.setdefault(finder, {"over_box": {}})
                scores["over_box"][row] = finding_joints.over_box(of_set, joints)
                if letters := error_by_letter(errors[finder], of_set):
                    scores["over_box"][row]["by_letter"] = letters
                if finder.endswith(VIEWED):
                    single = errors[finder.replace(VIEWED, SINGLE)]
                    compared = difference(errors[finder], single, torch.from_numpy(of_set.signer))
                    scores["over_box"][row] |= compared
                if row == SYNTHETIC:
                    scores[row] = finding_joints.score(of_set, joints)
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        **stored_pose.described(
            {"test": test},
            {row: of_set for row, of_set in small.items() if row != SYNTHETIC},
            "hands of unseen signers; nothing is trained",
        ),
        metrics={"trained": {width: model.record for width, model in stored.items()}, "finders": found},
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )
