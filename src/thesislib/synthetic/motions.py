"""Hands in motion: smooth ways from pose to pose, and the letters that are motions themselves.

People move a hand from rest to rest with the least jerk (Flash and Hogan 1985). All motions here keep to that
timing. J and Z, and the German Ä, Ö and Ü, are a static handshape that travels or turns.
"""

from dataclasses import dataclass

import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from thesislib.synthetic import poses
from thesislib.synthetic.contacts import MAX_PENETRATION, descend, overlap_cost, penetration
from thesislib.synthetic.draws import fold, normal
from thesislib.synthetic.hand import LIMITS, Anatomy, pose
from thesislib.synthetic.handshapes import alphabet, handshape
from thesislib.synthetic.rotations import about_xyz, compose

_MOTION = 21  # purpose of the draws
_FREE = 0.8 * MAX_PENETRATION  # overlap that costs nothing on the way: as deep, nearly, as at its ends
# How open a hand passes from pose to pose, 0 to 1, and whether fingers then bend round each other: tried in turn.
_ATTEMPTS = ((0.0, False), (0.3, False), (0.3, True), (0.7, True), (1.0, True))


@dataclass(frozen=True)
class MovingLetter:
    """A letter that moves: the alphabet and label whose handshape it has, and its way.

    strokes: each a list of (x, y, z) of the wrist in hand units, in camera axes; the hand rests for a moment
    between strokes. turn: degrees about x, y, z by which the hand has turned at the end.
    """

    alphabet: str
    label: str
    strokes: tuple[tuple[tuple[float, float, float], ...], ...]
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)


# As a viewer who faces the signer sees them: what the signer writes from left to right runs to the left here.
_HOOK = (
    (0, 0, 0),
    (0, -0.25, 0),
    (0, -0.5, 0),
    (0.06, -0.68, 0),
    (0.22, -0.78, 0),
    (0.4, -0.7, 0),
    (0.46, -0.55, 0),
)
_Z = (((0, 0, 0), (-0.7, 0, 0)), ((-0.7, 0, 0), (0, -0.8, 0)), ((0, -0.8, 0), (-0.7, -0.8, 0)))
_DOWN = (((0, 0, 0), (0, -0.7, 0)),)
MOVING = {
    "american letters": {
        "j": MovingLetter("american letters", "i", (_HOOK,), (0, 130, -25)),
        "z": MovingLetter("american digits", "1", _Z),
    },
    "german alphabet": {
        "j": MovingLetter("german alphabet", "i", (_HOOK,), (0, 130, -25)),
        "z": MovingLetter("american digits", "1", _Z),
        "ä": MovingLetter("german alphabet", "a", _DOWN),
        "ö": MovingLetter("german alphabet", "o", _DOWN),
        "ü": MovingLetter("german alphabet", "u", _DOWN),
    },
}


def minimum_jerk(share: Tensor) -> Tensor:
    """Return how far, 0 to 1, a movement of least jerk has come after a share of its time."""
    share = share.clamp(0, 1)
    return share**3 * (10 - 15 * share + 6 * share**2)


def moving_letter(
    seed: int,
    index: Tensor,
    signers: Tensor,
    label: str,
    alphabet_name: str = "american letters",
    *,
    frames: int = 24,
    signer_spread: float = 1.0,
    pose_jitter: float = 1.0,
    rotation: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sign a moving letter: angles [B, T, 21], orientation [B, T, 3, 3] and translation [B, T, 3] of the wrist.

    index and signers are int64 [B]; translation is in hand units and camera axes, 0 at the start. Attempts
    differ in size and slant. Raises ValueError where the alphabet has no such moving letter.
    """
    moving = MOVING.get(alphabet_name, {})
    if label not in moving:
        known = ", ".join(moving) or "none"
        raise ValueError(f"{label!r} is no moving letter of {alphabet_name!r}; there are: {known}")
    letter = moving[label]
    place = list(alphabet(letter.alphabet)).index(letter.label)
    angles, facing = poses.letters(
        seed,
        index,
        signers,
        torch.full_like(index, place),
        letter.alphabet,
        signer_spread=signer_spread,
        pose_jitter=pose_jitter,
        rotation=rotation,
    )
    z = normal(fold(seed, _MOTION, index), 4)
    path, done = _along(letter.strokes, frames)
    slant = torch.stack([0 * z[:, 0], 0 * z[:, 0], 8 * rotation * z[:, 0]], dim=1)
    size = torch.exp(0.15 * pose_jitter * z[:, 1])
    translation = size[:, None, None] * (about_xyz(slant)[:, None] * path.to(z)[:, None]).sum(dim=-1)
    amount = (1 + 0.1 * pose_jitter * z[:, 2:3]) * done.to(z)  # [B, T]
    turn = about_xyz(amount[..., None] * torch.tensor(letter.turn, dtype=torch.float32).to(z))
    return angles[:, None].expand(-1, frames, -1), compose(turn, facing[:, None]), translation


def between(
    anatomy: Anatomy, angles: Tensor, orientation: Tensor, *, frames: int = 24
) -> tuple[Tensor, Tensor, Tensor]:
    """Move from pose to pose, angles [B, 2, 21] and orientation [B, 2, 3, 3], in frames from rest to rest.

    Returns angles [B, T, 21], orientation [B, T, 3, 3] and translation [B, T, 3] (zero). Where fingers would run
    through each other on the direct way, they open in between and bend round what is left. The wrist turns
    about one axis.
    """
    done = minimum_jerk(torch.linspace(0, 1, frames, device=angles.device))  # [T]
    direct = torch.lerp(angles[:, :1], angles[:, 1:], done[:, None])  # [B, T, 21]
    spread = torch.tensor(handshape("spread").angles).to(angles)
    path, depth = direct.clone(), torch.full_like(angles[:, 0, 0], torch.inf)
    for opening, bend in _ATTEMPTS:
        waiting = torch.nonzero(depth > MAX_PENETRATION)[:, 0]
        if len(waiting) == 0:
            break
        way = torch.lerp(direct[waiting], spread, opening * (4 * done * (1 - done))[:, None])
        if bend:
            way = _round_obstacles(anatomy[waiting], way)
        deepest = _deepest(anatomy[waiting], way)
        better = deepest < depth[waiting]
        path[waiting[better]], depth[waiting[better]] = way[better], deepest[better]
    turned = _turn_between(orientation[:, 0], orientation[:, 1], done)
    return path, turned, torch.zeros(*path.shape[:2], 3, device=angles.device)


def _deepest(anatomy: Anatomy, path: Tensor) -> Tensor:
    """Return [B], the deepest overlap on each way [B, T, 21]."""
    frames = path.shape[1]
    rows = torch.arange(len(path), device=path.device).repeat_interleave(frames)
    return penetration(anatomy[rows], path.flatten(0, 1)).unflatten(0, (-1, frames)).amax(dim=1)


def _round_obstacles(anatomy: Anatomy, path: Tensor) -> Tensor:
    """Bend ways [B, T, 21] round overlaps, as smooth as can be; their ends stay."""
    frames = path.shape[1] - 2
    hands = anatomy[torch.arange(len(path), device=path.device).repeat_interleave(frames)]
    first, inner, last = path.split([1, frames, 1], dim=1)
    smoothness = 1.5 * (frames / 16) ** 3  # finer steps have smaller jolts

    def loss(moved: Tensor, share: float) -> Tensor:
        whole = torch.cat([first, moved, last], dim=1)
        jolt = whole[:, 2:] - 2 * whole[:, 1:-1] + whole[:, :-2]
        effort = smoothness * (jolt / 20).square().sum() + 0.02 * ((moved - inner) / 20).square().sum()
        return (1 - 0.9 * share) * effort + overlap_cost(hands, pose(hands, moved.flatten(0, 1)), _FREE)

    moved = descend(inner, loss, LIMITS.to(path))
    return torch.cat([first, moved, last], dim=1)


def _along(strokes: tuple, frames: int) -> tuple[Tensor, Tensor]:
    """Return where the wrist is [T, 3], and the share of the way done [T], each stroke from rest to rest."""
    lines = [torch.tensor(stroke, dtype=torch.float32) for stroke in strokes]
    time = torch.linspace(0, len(lines), frames)
    path, done = torch.zeros(frames, 3), torch.zeros(frames)
    for number, line in enumerate(lines):
        now = (time >= number) & ((time < number + 1) | (number == len(lines) - 1))
        share = minimum_jerk(time[now] - number)
        reached = torch.cat([torch.zeros(1), (line[1:] - line[:-1]).norm(dim=1).cumsum(0)])
        length = share * reached[-1]
        piece = (torch.searchsorted(reached, length, right=True) - 1).clamp(0, len(line) - 2)
        part = (length - reached[piece]) / (reached[piece + 1] - reached[piece])
        path[now] = torch.lerp(line[piece], line[piece + 1], part[:, None])
        done[now] = (number + share) / len(lines)
    return path, done


def _turn_between(first: Tensor, last: Tensor, done: Tensor) -> Tensor:
    """Return [B, T, 3, 3], the shortest turn from one orientation [B, 3, 3] to another, by shares [T]."""
    axis = Rotation.from_matrix((last @ first.transpose(1, 2)).double().cpu().numpy()).as_rotvec()  # [B, 3]
    way = done.double().cpu().numpy()[None, :, None] * axis[:, None]  # [B, T, 3]
    turn = torch.from_numpy(Rotation.from_rotvec(way.reshape(-1, 3)).as_matrix()).to(first)
    return compose(turn.unflatten(0, way.shape[:2]), first[:, None])
