"""A right hand: who has it (anatomy, habits), how it may bend (limits), where its joints then are (kinematics).

Lengths are in hand units: wrist to middle knuckle is about 1. Angles are in degrees. The hand frame has +y
from the wrist to the middle knuckle, +x towards the thumb and +z out of the palm. A left hand is a mirrored
picture of a right one.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from thesislib.synthetic.draws import fold, normal
from thesislib.synthetic.rotations import about, compose

FINGERS = ("thumb", "index", "middle", "ring", "little")
JOINTS = ("wrist", "thumb CMC", "thumb MCP", "thumb IP", "thumb tip") + tuple(
    f"{finger} {joint}" for finger in FINGERS[1:] for joint in ("MCP", "PIP", "DIP", "tip")
)
BONES = tuple((0 if i % 4 == 1 else i - 1, i) for i in range(1, 21))  # (parent, child)

ANGLES = ("thumb radial", "thumb palmar", "thumb twist", "thumb MCP", "thumb IP") + tuple(
    f"{finger} {joint}" for finger in FINGERS[1:] for joint in ("abduction", "MCP", "PIP", "DIP")
)
_FINGER_LIMITS = ((-24.0, -20.0, 0.0, 0.0), (24.0, 92.0, 110.0, 85.0))
LIMITS = torch.tensor(
    [
        (-25.0, 0.0, -175.0, -10.0, -15.0) + 4 * _FINGER_LIMITS[0],
        (60.0, 65.0, -50.0, 65.0, 85.0) + 4 * _FINGER_LIMITS[1],
    ]
)  # [2, 21] least and greatest angle

# The average hand. Lengths of phalanges are those that Buryanov and Kotiuk 2010 ("Proportions of hand segments",
# table I) measured on X-ray pictures, the last one with its soft tissue, 90 mm to the unit: a fingertip keypoint
# lies on the skin. The thumb's first joint stands where hand landmarks usually put it, a little up its metacarpal.
# Where the other joints stand and how thick fingers are was found by trial.
_BASE = torch.tensor(
    [[0.26, 0.26, 0.11], [0.30, 0.96, 0.00], [0.08, 1.00, -0.03], [-0.14, 0.95, -0.015], [-0.34, 0.84, 0.03]]
)
_LENGTH = torch.tensor(
    [
        [0.450, 0.351, 0.304],
        [0.442, 0.249, 0.219],
        [0.496, 0.293, 0.237],
        [0.460, 0.285, 0.236],
        [0.363, 0.201, 0.218],
    ]
)
_RADIUS = torch.tensor(
    [
        [0.135, 0.120, 0.110, 0.082],
        [0.114, 0.104, 0.092, 0.071],
        [0.116, 0.106, 0.093, 0.072],
        [0.110, 0.100, 0.088, 0.069],
        [0.098, 0.088, 0.077, 0.061],
    ]
)
_FAN = torch.tensor([6.0, 0.0, -6.0, -13.0])
_THICKNESS = 0.30
_FOREARM = 0.27

# Habits of signers, standard deviations in degrees: of each angle, and of turns about x, y and z of the viewer.
_HABIT = torch.tensor((4.0, 4.0, 5.0, 4.0, 6.0) + 4 * (2.5, 5.0, 5.0, 4.0))
_HABITUAL_TURN = torch.tensor([8.0, 10.0, 7.0])

# How far people differ, beside the deviations that this file states: found together with scene.LETTER_JITTER.
_PEOPLE = 1.5
_ANATOMY, _HABITS = 1, 2  # purposes of the draws


@dataclass(frozen=True)
class Anatomy:
    """Sizes of B right hands, float32, one row a hand.

    base: [B, 5, 3], thumb CMC and the four knuckles in the hand frame; length: [B, 5, 3], phalanges from base
    to the skin of the tip (the thumb's first is its metacarpal); radius: [B, 5, 4], at the base, the two joints
    and the tip;
    fan: [B, 4] degrees, how the straight fingers point apart; thickness: [B], of the palm, back to front;
    forearm: [B], its radius at the wrist.
    """

    base: Tensor
    length: Tensor
    radius: Tensor
    fan: Tensor
    thickness: Tensor
    forearm: Tensor

    def __getitem__(self, rows: Tensor | slice) -> "Anatomy":
        """Return the anatomy of some rows."""
        return Anatomy(**{name: values[rows] for name, values in vars(self).items()})


def draw_anatomy(seeds: Tensor, spread: float = 1.0) -> Anatomy:
    """Draw the hands of signers, int64 [B]: the same seed is the same person, whatever the batch.

    spread scales how far people differ: 1 is the person whom every picture shows, 0 the average hand for all.
    """
    _check_seeds(seeds)
    z = _PEOPLE * spread * normal(fold(_ANATOMY, seeds), 48).clamp(-2.5, 2.5)  # [B, 48]
    size = 1 + 0.03 * z[:, 0]
    slim = torch.exp(0.07 * z[:, 1] + 0.03 * z[:, 2])
    width = 1 + 0.06 * z[:, 2]
    finger = 1 + 0.05 * z[:, 3:8]
    phalanx = 1 + 0.03 * z[:, 8:23].unflatten(1, (5, 3))
    girth = 1 + 0.04 * z[:, 23:28]
    knuckle = 0.01 * z[:, 28:43].unflatten(1, (5, 3))
    stretch = torch.stack([width, torch.ones_like(width), torch.ones_like(width)], dim=-1)  # [B, 3]
    base = (_BASE.to(z) + knuckle) * (stretch * size[:, None])[:, None]
    radius = _RADIUS.to(z) * (girth * (size * slim)[:, None])[..., None]  # [B, 5, 4]
    return Anatomy(
        base=base,
        length=_LENGTH.to(z) * phalanx * finger[..., None] * size[:, None, None],
        radius=radius * _room_for_fingers(base, radius)[:, None, None],
        fan=_FAN.to(z) + 1.5 * z[:, 43:47],
        thickness=_THICKNESS * size * slim,
        forearm=_FOREARM * size * slim * (1 + 0.05 * z[:, 47]),
    )


def _room_for_fingers(base: Tensor, radius: Tensor) -> Tensor:
    """Return [B] at most 1: how much thinner fingers must be to lie side by side, each a tenth squeezed."""
    spacing = (base[:, 1:4] - base[:, 2:5]).norm(dim=-1)
    side_by_side = radius[:, 1:4, 1] + radius[:, 2:5, 1]
    return (1.1 * spacing / side_by_side).amin(dim=1).clamp(max=1)


def draw_habits(seeds: Tensor, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Draw how signers, int64 [B], differ from the table: angle offsets [B, 21] and turns [B, 3], in degrees."""
    _check_seeds(seeds)
    z = _PEOPLE * spread * normal(fold(_HABITS, seeds), len(ANGLES) + 3).clamp(-2.5, 2.5)
    return z[:, :-3] * _HABIT.to(z), z[:, -3:] * _HABITUAL_TURN.to(z)


def _check_seeds(seeds: Tensor) -> None:
    if seeds.ndim != 1 or seeds.dtype != torch.int64:
        raise ValueError(f"signer seeds are int64 [B], got {seeds.dtype} {list(seeds.shape)}")


@dataclass(frozen=True)
class PosedHand:
    """Where the parts of B hands are, in the hand frame.

    joints: [B, 21, 3]; frames: [B, 5, 3, 3, 3], the orientation of each phalanx of each finger: its columns
    are the radial side, the direction of the bone and the palmar normal, a right-handed frame.
    """

    joints: Tensor
    frames: Tensor


def pose(anatomy: Anatomy, angles: Tensor) -> PosedHand:
    """Pose hands by their angles [B, 21] in degrees, in the order of ANGLES; differentiable.

    A finger is planar: it turns sideways by its fan and abduction, then bends by sums of flexion. Abduction
    fades as the knuckle bends, as the ligaments of a real knuckle demand. Raises ValueError where the angles
    do not fit the anatomy.
    """
    if angles.ndim != 2 or angles.shape[1] != len(ANGLES) or len(angles) != len(anatomy.base):
        raise ValueError(f"angles must be [{len(anatomy.base)}, {len(ANGLES)}], got {list(angles.shape)}")
    frames = torch.cat([_thumb_frames(angles[:, :5]), _finger_frames(angles[:, 5:], anatomy.fan)], dim=1)
    steps = frames[..., 1] * anatomy.length[..., None]  # [B, 5, 3 phalanges, 3]
    ends = anatomy.base[:, :, None] + steps.cumsum(dim=2)
    chains = torch.cat([anatomy.base[:, :, None], ends], dim=2)  # [B, 5, 4, 3]
    wrist = torch.zeros_like(chains[:, 0, :1])
    return PosedHand(torch.cat([wrist, chains.flatten(1, 2)], dim=1), frames)


def centres(anatomy: Anatomy, hand: PosedHand) -> Tensor:
    """Return [B, 5, 4, 3]: centres of the spheres, radius [B, 5, 4], that a finger's flesh is strung on.

    They are the joints, but for the last: a fingertip is on the skin, its sphere one radius further in.
    """
    chains = hand.joints[:, 1:].unflatten(1, (5, 4))
    inside = chains[:, :, 3] - anatomy.radius[..., 3:] * hand.frames[:, :, 2, :, 1]
    return torch.cat([chains[:, :, :3], inside[:, :, None]], dim=2)


def _thumb_frames(angles: Tensor) -> Tensor:
    """Return [B, 1, 3, 3, 3]: the metacarpal turns by Rz Rx Ry, then both joints bend about its own side."""
    radial, palmar, twist, mcp, ip = angles.unbind(1)
    metacarpal = compose(about(2, -radial), about(0, palmar), about(1, twist))
    proximal = compose(metacarpal, about(0, mcp))
    return torch.stack([metacarpal, proximal, compose(proximal, about(0, ip))], dim=1)[:, None]


def _finger_frames(angles: Tensor, fan: Tensor) -> Tensor:
    """Return [B, 4, 3, 3, 3] in closed form: Rz(-(fan + abduction)) Rx(flexion so far)."""
    abduction, flexion = (
        torch.deg2rad(angles).unflatten(1, (4, 4)).split([1, 3], dim=2)
    )  # [B, 4, 1], [B, 4, 3]
    faded = abduction * torch.cos(flexion[..., :1].clamp(0, torch.pi / 2))
    sideways = (torch.deg2rad(fan)[..., None] + faded).expand_as(flexion)
    bend = flexion.cumsum(dim=2)
    (sin_s, cos_s), (sin_b, cos_b) = (sideways.sin(), sideways.cos()), (bend.sin(), bend.cos())
    radial = torch.stack([cos_s, -sin_s, torch.zeros_like(bend)], dim=-1)
    along = torch.stack([sin_s * cos_b, cos_s * cos_b, sin_b], dim=-1)
    normal_ = torch.stack([-sin_s * sin_b, -cos_s * sin_b, cos_b], dim=-1)
    return torch.stack([radial, along, normal_], dim=-1)
