"""What a detector of joints, such as OpenPose's, would say of a picture whose joints are known.

Komorowicz 2018 (section 5.2, figures 5.2 and 5.4) shows its kinds of error: wrists that the photograph does not
show and that are put elsewhere, fingers taken for each other, hands that are not understood at all, small errors
everywhere, and certainties that fall where it is unsure. He prints no rates. The numbers here are this project's:
the size of small errors is what chapter 2 measured of detectors on real hands, 1.5 to 4 % of the hand's box, and
gross failures are as frequent as the pictures that he threw away.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from thesislib.synthetic.draws import fold, normal, uniform, whole
from thesislib.synthetic.hand import JOINTS
from thesislib.synthetic.scene import in_chunks

_DETECTOR, _FAILURES, _ERRORS, _WRIST, _HAND, _SWAP = 111, 112, 113, 114, 115, 116  # purposes of the draws


@dataclass(frozen=True, kw_only=True)
class DetectorFaults:
    """How a detector errs; lengths are shares of the longer side of the joints' box.

    spread: the usual standard deviation of a joint's error along an axis; by_picture and by_joint: how far it
    differs between pictures and between joints (standard deviation of its logarithm), which makes heavy tails;
    certainty: of a joint with the usual error; steepness: by how much the logit of the certainty falls where the
    error is e times as likely large; certainty_noise: standard deviation of that logit;
    wrist_away, whole_hand, swapped: shares of pictures where the wrist, the whole hand, or two neighbouring
    fingers are wrong; unaware: share of these failures of which the certainties tell nothing.
    """

    spread: float = 0.013
    by_picture: float = 0.35
    by_joint: float = 0.4
    certainty: float = 0.78
    steepness: float = 1.2
    certainty_noise: float = 0.5
    wrist_away: float = 0.40
    whole_hand: float = 0.11
    swapped: float = 0.01
    unaware: float = 0.3

    def __post_init__(self):
        for name, value in vars(self).items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be a number from 0, got {value!r}")
        for name in ("wrist_away", "whole_hand", "swapped", "unaware"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is a share, at most 1, got {getattr(self, name)!r}")
        if not 0 < self.certainty < 1:
            raise ValueError(f"certainty must be between 0 and 1, got {self.certainty!r}")


USUAL = DetectorFaults()


@dataclass(frozen=True)
class Detections:
    """What a detector said of B pictures, and where it failed.

    keypoints: [B, 21, 2], in the units of the true ones; certainty: [B, 21], 0 to 1; wrist_away, whole_hand,
    swapped: bool [B], the gross failures.
    """

    keypoints: Tensor
    certainty: Tensor
    wrist_away: Tensor
    whole_hand: Tensor
    swapped: Tensor


def detect(keypoints: Tensor, seed: int, index: Tensor, faults: DetectorFaults = USUAL) -> Detections:
    """Say where a detector finds joints whose true places, float32 [B, 21, 2], are known.

    index: int64 [B]. Everything follows from a hand's own places, (seed, index) and the faults, never from batch
    mates; larger hands have errors as much larger. Raises ValueError for shapes that do not fit.
    """
    if keypoints.ndim != 3 or keypoints.shape[1:] != (len(JOINTS), 2) or index.shape != keypoints.shape[:1]:
        raise ValueError(
            f"detect needs keypoints [B, {len(JOINTS)}, 2] and index [B], "
            f"got {list(keypoints.shape)} and {list(index.shape)}"
        )
    if not len(index):
        raise ValueError("detect needs at least one hand")
    rows = torch.arange(len(index), device=index.device)
    found = in_chunks(
        lambda some: _detect(keypoints[some], fold(seed, _DETECTOR, index[some]), faults), rows, 1
    )
    return Detections(**found)


def _detect(true: Tensor, key: Tensor, faults: DetectorFaults) -> dict[str, Tensor]:
    joints = len(JOINTS)
    box = (true.amax(1) - true.amin(1)).amax(-1)[:, None]  # [B, 1]
    fails = uniform(fold(_FAILURES, key), 4)
    away, wrong, swapped = (
        fails[:, i] < share for i, share in enumerate((faults.wrist_away, faults.whole_hand, faults.swapped))
    )
    aware = fails[:, 3:] >= faults.unaware

    z = normal(fold(_ERRORS, key), 1 + 4 * joints)
    worse = faults.by_picture * z[:, :1] + faults.by_joint * z[:, 1 : 1 + joints]  # [B, 21] logarithms
    worse = torch.where(wrong[:, None], worse + 1.6, worse)
    error = z[:, 1 + joints : 1 + 3 * joints].unflatten(1, (joints, 2))
    place = torch.where(wrong[:, None, None], _misunderstood(true, box, key), true)
    place = torch.where(swapped[:, None, None], _swapped(place, key), place)
    place = place + (faults.spread * box * worse.exp())[..., None] * error

    # A wrist outside the photograph is put somewhere on the hand, or beside it.
    u = uniform(fold(_WRIST, key), 3)
    middle, side = true[:, 9] - true[:, 0], (true[:, 5] - true[:, 17])
    wrist = true[:, 0] + (0.2 + 0.5 * u[:, :1]) * middle + 1.2 * (u[:, 1:2] - 0.5) * side
    is_wrist = torch.arange(joints, device=true.device) == 0
    gone = away[:, None] & is_wrist
    place = torch.where(gone[..., None], wrist[:, None], place)

    doubt = worse + torch.where(gone & aware, 1.5 + u[:, 2:], 0.0)
    doubt = doubt + torch.where(swapped[:, None] & aware & ~is_wrist, 0.5, 0.0)
    doubt = torch.where(wrong[:, None] & ~aware, worse - 1.6, doubt)  # it does not know that it is lost
    logit = torch.logit(torch.tensor(faults.certainty)) - faults.steepness * doubt
    certainty = torch.sigmoid(logit + faults.certainty_noise * z[:, 1 + 3 * joints :])
    return {
        "keypoints": place,
        "certainty": certainty,
        "wrist_away": away,
        "whole_hand": wrong,
        "swapped": swapped,
    }


def _misunderstood(true: Tensor, box: Tensor, key: Tensor) -> Tensor:
    """Return the joints [B, 21, 2] of a hand taken for another: turned, smaller and moved."""
    u = uniform(fold(_HAND, key), 4)
    angle = torch.pi * (0.25 + 1.5 * u[:, 0])  # at least an eighth of a turn
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    centre = true.mean(1, keepdim=True)
    x, y = ((0.45 + 0.5 * u[:, 1])[:, None, None] * (true - centre)).unbind(-1)
    turned = torch.stack([cos * x - sin * y, sin * x + cos * y], -1)
    return centre + turned + 0.4 * (box * (u[:, 2:] - 0.5))[:, None]


def _swapped(place: Tensor, key: Tensor) -> Tensor:
    """Exchange two neighbouring fingers [B, 21, 2] from the middle joint on, and the knuckles half of the time."""
    first = 1 + whole(fold(_SWAP, key), 3)  # index, middle or ring, and the one beside it
    knuckles = uniform(fold(_SWAP, key, 1), 1) < 0.5
    joint = torch.arange(place.shape[1], device=place.device).expand(len(place), -1)
    finger, number = (joint - 1) // 4, (joint - 1) % 4
    moved = (number > 0) | knuckles
    take = torch.where((finger == first[:, None]) & moved, joint + 4, joint)
    take = torch.where((finger == first[:, None] + 1) & moved, joint - 4, take)
    return place.gather(1, take[..., None].expand_as(place))
