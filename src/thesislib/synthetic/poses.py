"""Which pose each picture shows: letters by signers, random valid poses, flat hands.

Each function returns angles [B, 21] in degrees and orientations [B, 3, 3], which turn the hand frame to camera
axes (x right, y up, z to the viewer). Both follow from (seed, index) and the signer alone, never from batch
mates. No returned hand overlaps itself by more than contacts.MAX_PENETRATION: a chance move that would is
shortened until it does not.
"""

import torch
from torch import Tensor

from thesislib.synthetic.contacts import MAX_PENETRATION, penetration, signer_handshapes
from thesislib.synthetic.draws import fold, normal, uniform
from thesislib.synthetic.hand import LIMITS, Anatomy, draw_anatomy, draw_habits
from thesislib.synthetic.handshapes import alphabet, handshape
from thesislib.synthetic.rotations import about_xyz, compose

_LETTERS, _RANDOM, _FLAT = 11, 12, 13  # purposes of the draws
_SHORTER = (1.0, 0.8, 0.6, 0.4, 0.2)  # shares of a chance move that are tried, longest first

# Standard deviations in degrees. A whole hand also opens and closes a little: fingers do not jitter alone.
_JITTER = torch.tensor((3.0, 3.0, 4.0, 3.0, 4.0) + 4 * (2.0, 3.0, 3.0, 2.5))
_CLOSING = torch.tensor((0.0, 1.5, 0.0, 1.5, 2.0) + 4 * (0.0, 2.5, 3.5, 2.0))
_LETTER_TURN = torch.tensor([10.0, 12.0, 8.0])
_FLAT_TURN = torch.tensor([8.0, 8.0, 15.0])


def letters(
    seed: int,
    index: Tensor,
    signers: Tensor,
    labels: Tensor,
    alphabet_name: str = "american letters",
    *,
    signer_spread: float = 1.0,
    pose_jitter: float = 1.0,
    rotation: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Pose letters: a signer's own solved handshape and habitual turn, and chance moves for each image.

    index, signers and labels are int64 [B]; labels count along handshapes.alphabet(alphabet_name).
    signer_spread scales how people differ, pose_jitter and rotation how one person's attempts do; 1 is usual.
    """
    shapes = list(alphabet(alphabet_name).values())
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < len(shapes):
        raise ValueError(f"labels of {alphabet_name} are from 0 to {len(shapes) - 1}")
    who, place = torch.unique(signers, return_inverse=True)
    solved = signer_handshapes(alphabet_name, who, signer_spread)[place, labels]
    key = fold(seed, _LETTERS, index)
    z = normal(key, 25)
    move = pose_jitter * (z[:, :21] * _JITTER.to(z) + z[:, 21:22] * _CLOSING.to(z))
    angles = _as_far_as_free(draw_anatomy(signers, signer_spread), solved, move)
    habit = draw_habits(signers, signer_spread)[1]
    chance = rotation * z[:, 22:] * _LETTER_TURN.to(z)
    facing = torch.stack([shape.orientation() for shape in shapes]).to(z)[labels]
    return angles, compose(about_xyz(chance), about_xyz(habit), facing)


def random(
    seed: int,
    index: Tensor,
    signers: Tensor,
    *,
    signer_spread: float = 1.0,
    pose_jitter: float = 1.0,
    rotation: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Pose hands at random inside the joints' limits, fingers bending together, seen from all sides.

    index and signers are int64 [B]. pose_jitter scales how far poses depart from a hand at rest, rotation how
    far it turns away from facing the viewer.
    """
    key = fold(seed, _RANDOM, index)
    u, z = uniform(key, 16), normal(fold(key, 1), 24)
    # Each finger bends like its hand, or goes its own way; the last joint follows the middle one.
    alone = (u[:, 1:5] < 0.45).float()
    bend = (1 - alone) * u[:, :1] + alone * u[:, 5:9] + 0.08 * z[:, :4]  # [B, 4], 0 straight to 1 a fist
    knuckle = (85 * bend + 16 * z[:, 4:8]).clamp(-12, 90)
    middle = (105 * (bend + 0.12 * z[:, 8:12]).clamp(0, 1)).clamp(0, 108)
    last = (0.6 * middle + 6 * z[:, 12:16]).clamp(0, 80)
    sideways = 5 * torch.tensor([1.0, 0.0, -1.0, -1.0]).to(z) * z[:, 16:17] + 5 * z[:, 17:21]
    fingers = torch.stack([sideways, knuckle, middle, last], dim=-1).flatten(1)  # [B, 16]
    low = torch.tensor([-10.0, 2.0, -150.0, -5.0, -8.0]).to(z)
    high = torch.tensor([58.0, 60.0, -75.0, 50.0, 65.0]).to(z)
    target = torch.cat([low + u[:, 9:14] * (high - low), fingers], dim=1)

    rest = torch.tensor(handshape("spread").angles).to(z).expand_as(target)
    angles = _as_far_as_free(draw_anatomy(signers, signer_spread), rest, pose_jitter * (target - rest))
    turn = torch.stack([35 * z[:, 21], 360 * (u[:, 14] - 0.5), 40 * z[:, 22]], dim=1)
    return angles, about_xyz(rotation * turn)


def flat(
    seed: int,
    index: Tensor,
    signers: Tensor,
    *,
    signer_spread: float = 1.0,
    pose_jitter: float = 1.0,
    rotation: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Pose flat open hands, palm or back to the viewer, fingers together to wide apart, as on a scanner.

    index and signers are int64 [B]. pose_jitter scales how much the fingers bend, rotation how far the hand
    turns in the picture and out of it.
    """
    key = fold(seed, _FLAT, index)
    u, z = uniform(key, 3), normal(fold(key, 1), 24)
    straight = torch.tensor(handshape("spread").angles).to(z)
    together = straight.clone()
    together[[0, 5, 9, 13, 17]] = torch.tensor([12.0, -3.0, 0.0, 3.0, 7.0]).to(z)
    start = torch.lerp(together, straight, 1.3 * u[:, :1])
    anatomy = draw_anatomy(signers, signer_spread)
    open_hand = _as_far_as_free(anatomy, straight.expand_as(start), start - straight)
    angles = _as_far_as_free(anatomy, open_hand, pose_jitter * z[:, :21] * _JITTER.to(z))
    turn = rotation * z[:, 21:] * _FLAT_TURN.to(z)
    back = torch.where(u[:, 1] < 0.5, 180.0, 0.0)
    over = torch.stack([torch.zeros_like(back), back, torch.zeros_like(back)], dim=1)
    return angles, compose(about_xyz(turn), about_xyz(over))


def _as_far_as_free(anatomy: Anatomy, start: Tensor, move: Tensor) -> Tensor:
    """Add to angles [B, 21] the longest of a few shares of a move that leaves the hand free of itself."""
    limits = LIMITS.to(start)
    angles = start.clone()
    waiting = torch.arange(len(start), device=start.device)
    for share in _SHORTER:
        moved = (start[waiting] + share * move[waiting]).clamp(limits[0], limits[1])
        free = penetration(anatomy[waiting], moved) <= MAX_PENETRATION
        angles[waiting[free]] = moved[free]
        waiting = waiting[~free]
        if len(waiting) == 0:
            break
    return angles
