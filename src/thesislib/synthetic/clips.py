"""Clips of people who spell: one letter held in front of a camera while the hand is slowly moved about.

Video is not a bag of pictures. Neighbouring frames are near duplicates, one recording has one background, and
a signer who turns the hand comes back to a place only after a while. Everything is drawn from the seed, the
signer, the letter, the clip and the frame alone.
"""

import math
from functools import partial

import torch
from torch import Tensor

from thesislib.synthetic import degrade, poses
from thesislib.synthetic.contacts import MAX_PENETRATION, penetration
from thesislib.synthetic.draws import fold, normal, uniform
from thesislib.synthetic.hand import ANGLES, LIMITS, Anatomy, draw_anatomy, pose
from thesislib.synthetic.handshapes import alphabet
from thesislib.synthetic.picture import picture
from thesislib.synthetic.render import Camera
from thesislib.synthetic.rotations import about_xyz, compose
from thesislib.synthetic.scene import ALPHABETS, LETTER_JITTER, Difficulty, check_size, in_chunks, mirror

_CLIP, _SESSION, _SIDE, _WAY, _WINDOW, _FILM, _FRAME = 81, 82, 83, 84, 85, 86, 87  # purposes of the draws
_LEFT_HANDED = 0.1  # share of signers
USUAL = Difficulty()

# A way in time is a sum of waves. Clips begin and end at different places: the slowest wave makes half a turn.
_CYCLES = torch.tensor([0.5, 1.0, 1.5])  # a clip
_SHARE = torch.tensor([0.4, 0.4, 0.2])  # of the variance
_LOOKS = 13  # times at which the whole way is looked at

# Standard deviations along the way. One attempt at a letter takes half of the usual chance turn, and the way the
# rest of its variance: the frames of many clips turn as far as single pictures do. Poses stay nearly as they are.
_ATTEMPT = 0.5
_TURN = torch.tensor([8.7, 10.4, 6.9])  # degrees about x, y, z
_BEND = 1.5  # degrees, every joint
_MOVE = 0.08  # hand units, sideways and upwards
_NEARER = 0.03  # share of the hand's size


def labels(kind: str) -> tuple[str, ...]:
    """Return the names of the static letters of a kind: "letters" (24), "german" (30) or "digits" (10)."""
    if kind not in ALPHABETS:
        raise ValueError(f"nobody spells {kind!r}; there are {', '.join(ALPHABETS)}")
    return tuple(alphabet(ALPHABETS[kind]))


def places(
    kind: str, index: Tensor, *, signers: range, clips_per_letter: int, frames: int
) -> dict[str, Tensor]:
    """Return what picture an index, int64 [B], stands for: signer, label, take and frame, each int64 [B].

    Counts through all frames of a clip, then all clips ("takes") of a letter, then labels, then signers, so
    that every combination is there once. Raises ValueError for an index beyond the last.
    """
    sizes = (len(signers), len(labels(kind)), clips_per_letter, frames)
    if min(sizes) < 1:
        raise ValueError(
            f"need at least one signer, clip and frame, got {sizes[0]}, {sizes[2]} and {sizes[3]}"
        )
    if not isinstance(index, Tensor) or index.dtype != torch.int64 or index.ndim != 1 or not len(index):
        raise ValueError("index must be an int64 tensor [B] with at least one entry")
    if not 0 <= int(index.min()) <= int(index.max()) < math.prod(sizes):
        raise ValueError(f"indices run from 0 to {math.prod(sizes) - 1}")
    signer, label, take, frame = torch.unravel_index(index, sizes)
    return {"signer": signers.start + signers.step * signer, "label": label, "take": take, "frame": frame}


def spelled(
    kind: str,
    seed: int,
    index: Tensor,
    *,
    frames: int,
    clips_per_letter: int = 1,
    signers: range,
    size: int = 64,
    difficulty: Difficulty = USUAL,
    supersample: int = 1,
) -> dict[str, Tensor]:
    """Draw the pictures of clips with these indices, int64 [B], on the index's device; places() counts them.

    A signer takes all letters one after the other in one session: one background, lamp, sleeve and camera. With
    several clips of a letter there are as many sessions. In a clip, one attempt at the letter is held; the
    hand turns and moves on a smooth way that does not depend on how many frames are taken of it, the camera
    stands still and sees all of the way, and each frame has grain of its own. One signer in ten is left-handed.

    Returns what scene.generate() returns, and label, take and frame, int64 [B]. Raises ValueError for a
    request that cannot be met.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0, got {seed!r}")
    check_size(size, supersample)
    which = places(kind, index, signers=signers, clips_per_letter=clips_per_letter, frames=frames)
    rows = torch.stack(list(which.values()), dim=1)
    draw = partial(_draw, kind, seed, frames, size, difficulty, supersample, rows)
    drawn = in_chunks(draw, torch.arange(len(rows), device=rows.device), size * supersample)
    letter = which["label"]
    if kind == "letters":  # as generate() counts them: J and Z keep their places
        letter = torch.tensor([ord(name) - ord("a") for name in labels(kind)]).to(letter)[letter]
    return drawn | which | {"letter": letter}


@torch.no_grad()
def _draw(kind, seed, frames, size, difficulty, supersample, rows, chosen) -> dict[str, Tensor]:
    signer, label, take, frame = rows[chosen].unbind(1)
    kind_number = list(ALPHABETS).index(kind)
    session = fold(seed, _SESSION, signer, take)
    clip = fold(seed, _CLIP, kind_number, signer, label, take)
    jitter, rotation = LETTER_JITTER * difficulty.pose_jitter, LETTER_JITTER * difficulty.rotation
    anatomy = draw_anatomy(signer, difficulty.signer_spread)
    attempt, facing = poses.letters(
        seed,
        clip,
        signer,
        label,
        ALPHABETS[kind],
        signer_spread=difficulty.signer_spread,
        pose_jitter=jitter,
        rotation=_ATTEMPT * rotation,
    )
    looks = torch.linspace(0, 1, _LOOKS, device=chosen.device).expand(len(chosen), -1)
    now = frame / max(1, frames - 1)
    way = drift(clip, torch.cat([now[:, None], looks], dim=1), len(ANGLES) + 6)  # [B, 1 + looks, 27]
    turn, move, nearer, bend = way.split([3, 2, 1, len(ANGLES)], dim=-1)
    angles = _bent(anatomy, attempt, jitter * _BEND * bend)  # [B, 1 + looks, 21]
    orientation = compose(about_xyz(rotation * _TURN.to(turn) * turn), facing[:, None])
    camera = _standing_camera(clip, session, anatomy, angles, orientation, _MOVE * move, _NEARER * nearer)
    drawn = picture(
        anatomy,
        signer,
        angles[:, 0],
        orientation[:, 0],
        session,
        size=size,
        supersample=supersample,
        clutter=difficulty.clutter,
        resolution=difficulty.resolution,
        blur=difficulty.blur,
        noise=0.0,  # it would be the same on all frames of the session
        camera=camera,
    )
    if difficulty.noise:
        u = uniform(fold(_FILM, session), 2)
        grain = degrade.add_noise(
            drawn["image"], fold(clip, _FRAME, frame), difficulty.noise * u[:, 0].square()
        )
        drawn["image"] = degrade.jpeg_loss(grain.clamp(0, 1), 100 - 65 * u[:, 1].square()).clamp(0, 1)
    left = uniform(fold(_SIDE, signer), 1)[:, 0] < _LEFT_HANDED
    drawn = mirror(drawn, left)
    drawn["image"] = (255 * drawn["image"]).round().to(torch.uint8)
    del drawn["mask"], drawn["depth"]
    return drawn | {"angles": angles[:, 0], "left": left}


def drift(key: Tensor, time: Tensor, count: int) -> Tensor:
    """Draw `count` independent smooth ways, key int64 [B], at times [B, T] of which 0 to 1 is a clip.

    Returns float32 [B, T, count], standard normal at every time over keys. Moments close in time are alike;
    a quarter of a clip apart little is left of that.
    """
    weight = normal(fold(_WAY, key), 2 * len(_CYCLES) * count).unflatten(-1, (1, count, len(_CYCLES), 2))
    phase = 2 * math.pi * time[..., None] * _CYCLES.to(weight)  # [B, T, waves]
    wave = _SHARE.to(weight).sqrt()[:, None] * torch.stack([phase.cos(), phase.sin()], dim=-1)
    return (weight * wave[:, :, None]).sum(dim=(-2, -1))


def _bent(anatomy: Anatomy, attempt: Tensor, bend: Tensor) -> Tensor:
    """Add to an attempt [B, 21] as much of a way [B, T, 21] as leaves the hand free of itself all along."""
    low, high = LIMITS.to(attempt)
    hands = anatomy[torch.arange(len(bend), device=bend.device).repeat_interleave(bend.shape[1])]
    angles, waiting = attempt[:, None].expand_as(bend), bend.new_ones(len(bend), dtype=torch.bool)
    for share in (1.0, 0.6, 0.3):
        moved = (attempt[:, None] + share * bend).clamp(low, high)
        deepest = penetration(hands, moved.flatten(0, 1)).unflatten(0, bend.shape[:2]).amax(dim=1)
        free = waiting & (deepest <= MAX_PENETRATION)
        angles = torch.where(free[:, None, None], moved, angles)
        waiting = waiting & ~free
        if not waiting.any():
            break
    return angles


def _standing_camera(
    clip: Tensor,
    session: Tensor,
    anatomy: Anatomy,
    angles: Tensor,
    orientation: Tensor,
    move: Tensor,
    nearer: Tensor,
) -> Camera:
    """Return the camera [B] for the first of several moments [B, T]; its picture holds the hand at all of them.

    move: [B, T, 2] in hand units; nearer: [B, T, 1], by which share the hand looks larger.
    """
    count, moments = angles.shape[:2]
    each = torch.arange(count, device=angles.device).repeat_interleave(moments)
    joints = pose(anatomy[each], angles.flatten(0, 1)).joints
    centre = joints.mean(dim=1)
    distance = 5.0 / (0.3 + 0.7 * uniform(fold(_WINDOW, session), 1)[:, 0])  # hand units, as single pictures
    zero, one = (
        torch.zeros(len(joints), 2, device=angles.device),
        torch.ones(len(joints), device=angles.device),
    )
    place, _ = Camera(orientation.flatten(0, 1), centre, distance[each], zero, one).project(joints)
    larger = torch.exp(nearer)
    place = place.unflatten(0, (count, moments)) * larger[:, :, None] + move[:, :, None]  # [B, T, 21, 2]
    low, high = place[:, 1:].amin((1, 2)), place[:, 1:].amax((1, 2))
    u = uniform(fold(_WINDOW, clip), 3)
    side = (high - low).amax(dim=1) * (1.06 + 0.3 * u[:, 0])
    corner = (low + high - side[:, None]) / 2 + 0.6 * (side[:, None] - (high - low)) * (u[:, 1:] - 0.5)
    centre = centre.unflatten(0, (count, moments))[:, 0]
    return Camera(
        orientation[:, 0], centre, distance, (corner - move[:, 0]) / larger[:, 0], side / larger[:, 0, 0]
    )
