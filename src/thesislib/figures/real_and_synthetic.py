"""Real hands' keypoints beside synthetic ones. No picture of a real hand is shown, only where its joints are.

Skeletons are [n, 21, 2], y downwards, scaled to the unit square.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from thesislib.datasets import hand_test_sets
from thesislib.datasets.sources import DataError
from thesislib.figures.hand_portraits import flat_skeleton
from thesislib.figures.synthetic_hands import FILLED, in_unit_square
from thesislib.synthetic import poses
from thesislib.synthetic.hand import draw_anatomy, pose
from thesislib.synthetic.handshapes import alphabet
from thesislib.synthetic.scene import LETTER_JITTER

SAMPLES = ("freihand_samples", "onehand10k_samples", "panoptic_samples", "interhand_samples")  # real hands


def letters_of_people(data_root: Path, letters: Sequence[str], people: Sequence[int]) -> np.ndarray:
    """Return the first skeleton of each letter by each person of asl7, [people, letters, 21, 2].

    The points are MediaPipe's. Raises DataError where the set is not there or lacks one of the letters.
    """
    first: dict[tuple[int, int], np.ndarray] = {}
    for hand in hand_test_sets.asl7(data_root):
        first.setdefault((hand.signer, hand.letter), hand.keypoints)
    wanted = [[(who, ord(name) - ord("a")) for name in letters] for who in people]
    if lacking := [key for row in wanted for key in row if key not in first]:
        raise DataError(f"asl7 has no hand of (person, letter) {lacking[0]}")
    return np.stack([in_unit_square(np.stack([first[key] for key in row])) for row in wanted])


def letters_of_signers(
    letters: Sequence[str], signers: Sequence[int], *, jitter: float = LETTER_JITTER, seed: int = 0
) -> np.ndarray:
    """Return one synthetic skeleton of each letter by each signer, [signers, letters, 21, 2].

    ``jitter``: how far one attempt differs from the next, in pose and in how the hand turns; 0 leaves the person.
    """
    names = list(alphabet("american letters"))
    labels = torch.tensor([names.index(name) for name in letters]).repeat(len(signers))
    who = torch.tensor(signers).repeat_interleave(len(letters))
    attempt = dict.fromkeys(("pose_jitter", "rotation"), jitter)
    angles, orientation = poses.letters(seed, torch.arange(len(who)), who, labels, **attempt)
    joints = pose(draw_anatomy(who), angles).joints @ orientation.mT
    return in_unit_square(flat_skeleton(joints)).reshape(len(signers), len(letters), 21, 2)


def samples(data_root: Path) -> np.ndarray:
    """Return the first and the last fully labelled hand of each sample set, as published, [n, 21, 2].

    Raises DataError where a set is not there.
    """
    chosen = []
    for name in SAMPLES:
        whole = [hand.keypoints for hand in hand_test_sets.TEST_SETS[name](data_root) if hand.visible.all()]
        chosen += [whole[0], whole[-1]] if len(whole) > 1 else whole
    return in_unit_square(np.stack(chosen))


def nearest(hands: np.ndarray, *, among: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each skeleton, the nearest of so many free synthetic poses or their mirror images.

    Returns skeletons [n, 21, 2] and mean distances of joints [n], as shares of the longer side of the joints' box.
    """
    index = torch.arange(among)
    angles, orientation = poses.random(seed, index, index)
    drawn = in_unit_square(flat_skeleton(pose(draw_anatomy(index), angles).joints @ orientation.mT))
    drawn = np.concatenate([drawn, drawn * [-1, 1] + [1, 0]])  # left hands too
    far = np.stack([np.linalg.norm(drawn - hand, axis=-1).mean(axis=-1) for hand in hands])
    return drawn[far.argmin(axis=1)], far.min(axis=1) / FILLED
