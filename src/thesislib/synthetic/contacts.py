"""Fingers that touch and do not run through each other: a table's handshape fitted to a signer's own hand.

A table of angles fits one hand only: on longer fingers the thumb of an F misses the index tip, on thicker
ones it runs through it. A few steps of gradient descent move the angles of each signer until contacts meet
and bodies are clear, staying close to the table and inside the joints' limits.
"""

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from thesislib import paths, results
from thesislib.files import write_whole
from thesislib.synthetic.hand import LIMITS, Anatomy, PosedHand, centres, draw_anatomy, draw_habits, pose
from thesislib.synthetic.handshapes import Handshape, alphabet, handshape

# Deepest overlap, in hand units, that a solved or drawn hand may show: about 4 mm, the give of soft flesh.
MAX_PENETRATION = 0.05
FREE_PENETRATION = 0.02  # overlap that costs nothing: touching fingers flatten
# How far, in hand units, a contact may end from its place: some have several, which one hand cannot all meet.
CONTACT_TOLERANCE = 0.2

STEPS = 100
BLOCK = 16  # signers solved together, so that nobody's solution depends on who else was asked for
_LEARNING_RATE = 3.0  # degrees
_CONTACT, _OVERLAP = 60.0, 600.0  # weights, per squared hand unit
_CLOSENESS = 0.5  # weight, per (20 degrees) squared; it fades to 0 as the search ends

# Capsules: 15 phalanges (3 a finger, thumb first), then the 4 metacarpals of the palm.
_WEB = 0.4  # share of a finger's first phalanx that belongs to the palm and its webs
_PALM = range(15, 19)


def _pairs() -> Tensor:
    """Return int64 [2, P]: pairs of capsules that could meet and are not neighbours by anatomy."""
    phalanges = [range(3 * finger, 3 * finger + 3) for finger in range(5)]
    fingers = [(a, b) for i in range(1, 5) for j in range(i) for a in phalanges[i] for b in phalanges[j]]
    with_palm = [(a, b) for finger in phalanges for a in finger[1:] for b in _PALM]
    neighbours = {(3 * finger, 0) for finger in range(1, 5)}  # the thumb's metacarpal lies in the palm
    return torch.tensor([pair for pair in fingers + with_palm if pair not in neighbours]).T


PAIRS = _pairs()


def overlap(anatomy: Anatomy, hand: PosedHand) -> Tensor:
    """Return [P, B]: how deep the two capsules of each pair overlap, in hand units; negative where apart.

    Differentiable: the closest points of two axes are found first and then held, which leaves the gradient of
    the least distance exact (Danskin's theorem).
    """
    one, two = PAIRS.to(hand.joints.device)
    parts = _capsules(anatomy, hand)
    start1, end1, first1, last1 = (values.index_select(0, one) for values in parts)
    start2, end2, first2, last2 = (values.index_select(0, two) for values in parts)
    with torch.no_grad():
        s, t = _closest(start1, end1, start2, end2)
    apart = torch.lerp(start1, end1, s[:, None]) - torch.lerp(start2, end2, t[:, None])
    reach = torch.lerp(first1, last1, s) + torch.lerp(first2, last2, t)
    return reach - (apart.square().sum(dim=1) + 1e-12).sqrt()


def penetration(anatomy: Anatomy, angles: Tensor) -> Tensor:
    """Return [B]: the deepest overlap of any two parts of each hand, in hand units, 0 where all are apart."""
    return overlap(anatomy, pose(anatomy, angles)).amax(dim=0).clamp(min=0)


def contact_error(anatomy: Anatomy, angles: Tensor, shapes: list[Handshape]) -> Tensor:
    """Return [B]: how far the worst contact of each hand's handshape is from its place, in hand units."""
    gap, used = _contact_gaps(anatomy, pose(anatomy, angles), _contact_table(shapes, angles.device))
    return (gap.square().sum(dim=-1) + 1e-12).sqrt().mul(used).amax(dim=1)


def table_angles(shapes: list[Handshape], habits: Tensor) -> Tensor:
    """Return the table's angles moved by habits, both [B, 21], inside LIMITS: where solving starts."""
    limits = LIMITS.to(habits)
    table = torch.tensor([shape.angles for shape in shapes], device=habits.device)
    return torch.clamp(table + habits, limits[0], limits[1])


def solve(anatomy: Anatomy, shapes: list[Handshape], habits: Tensor) -> Tensor:
    """Fit one handshape a row to one hand a row; returns angles [B, 21] in degrees, inside LIMITS.

    habits [B, 21] shifts the table's angles before solving. Where a signer's habits lead into a dead end (the
    thumb on the wrong side of a finger), they are halved, then dropped. The result overlaps by at most
    MAX_PENETRATION.
    """
    angles = torch.zeros_like(habits)
    fault = torch.full_like(habits[:, 0], torch.inf)
    for share in (1.0, 0.5, 0.0):
        todo = torch.nonzero(fault > 1)[:, 0]
        if len(todo) == 0:
            break
        hands, wanted = anatomy[todo], [shapes[row] for row in todo.tolist()]
        found = _solve_once(hands, wanted, share * habits[todo])
        deep = penetration(hands, found) / MAX_PENETRATION
        worse = torch.maximum(deep, contact_error(hands, found, wanted) / CONTACT_TOLERANCE)
        better = worse < fault[todo]
        angles[todo[better]], fault[todo[better]] = found[better], worse[better]
    return part(anatomy, angles)


def part(anatomy: Anatomy, angles: Tensor) -> Tensor:
    """Push fingers apart in those hands, angles [B, 21], that overlap by more than MAX_PENETRATION.

    What a search cannot free is opened towards a spread hand, which overlaps nowhere.
    """
    limits = LIMITS.to(angles)
    angles = angles.clone()
    for closeness in (0.2, 0.0):
        todo = _too_deep(anatomy, angles)
        if len(todo):
            hands, start = anatomy[todo], angles[todo]

            def loss(moved: Tensor, share: float, hands=hands, start=start, closeness=closeness) -> Tensor:
                far = (moved - start) / 20
                return overlap_cost(hands, pose(hands, moved)) + closeness * far.square().sum()

            angles[todo] = descend(start, loss, limits)
    stuck, open_hand = angles.clone(), torch.tensor(handshape("spread").angles).to(angles)
    for share in (0.25, 0.5, 0.75, 1.0):
        todo = _too_deep(anatomy, angles)
        angles[todo] = torch.lerp(stuck[todo], open_hand, share)
    return angles


def _too_deep(anatomy: Anatomy, angles: Tensor) -> Tensor:
    return torch.nonzero(penetration(anatomy, angles) > MAX_PENETRATION)[:, 0]


def _solve_once(anatomy: Anatomy, shapes: list[Handshape], habits: Tensor) -> Tensor:
    target = table_angles(shapes, habits)
    contacts = _contact_table(shapes, habits.device)

    def loss(angles: Tensor, share: float) -> Tensor:
        hand = pose(anatomy, angles)
        gap, used = _contact_gaps(anatomy, hand, contacts)
        missed = _CONTACT * (gap.square().sum(dim=-1) * used).sum()
        moved = _CLOSENESS * (1 - share) * ((angles - target) / 20).square().sum()
        return missed + moved + overlap_cost(anatomy, hand)

    return descend(target, loss, LIMITS.to(habits))


def overlap_cost(anatomy: Anatomy, hand: PosedHand, free: float = FREE_PENETRATION) -> Tensor:
    """Return what all overlaps deeper than free, in hand units, cost, summed over hands."""
    return _OVERLAP * (overlap(anatomy, hand) - free).clamp(min=0).square().sum()


@torch.enable_grad()
def descend(start: Tensor, loss: Callable[[Tensor, float], Tensor], limits: Tensor) -> Tensor:
    """Minimise loss(angles, share of steps taken) from start [..., 21]: Adam, falling steps, clamped to limits."""
    angles = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([angles], lr=_LEARNING_RATE, betas=(0.9, 0.99))
    for step in range(STEPS):
        share = step / STEPS
        optimiser.param_groups[0]["lr"] = _LEARNING_RATE * (1 - share) + 0.02
        optimiser.zero_grad()
        loss(angles, share).backward()
        optimiser.step()
        with torch.no_grad():
            angles.clamp_(limits[0], limits[1])
    return angles.detach()


@dataclass(frozen=True)
class _ContactTable:
    """The contacts of B handshapes, filled up to K a row with unused ones.

    finger and place: [B, K, 2], of the first and the second place; offset: [B, K, 3]; directed and used: [B, K].
    """

    finger: Tensor
    place: Tensor
    offset: Tensor
    directed: Tensor
    used: Tensor


def _contact_table(shapes: list[Handshape], device: torch.device) -> _ContactTable:
    most = max(1, *(len(shape.contacts) for shape in shapes))
    nowhere = (0.0, 0.0, 0.0)
    unused = (0, 0), (0.0, 0.0), nowhere, False, False
    rows = []
    for shape in shapes:
        row = [
            ((c.finger, c.on_finger), (c.place, c.on_place), c.offset or nowhere, c.offset is not None, True)
            for c in shape.contacts
        ]
        rows.append(row + [unused] * (most - len(row)))
    columns = ([[contact[column] for contact in row] for row in rows] for column in range(5))
    return _ContactTable(*(torch.tensor(column, device=device) for column in columns))


def _contact_gaps(anatomy: Anatomy, hand: PosedHand, table: _ContactTable) -> tuple[Tensor, Tensor]:
    """Return [B, K, 3], the way still to go at each contact, and [B, K], 1 where there is one."""
    chains = centres(anatomy, hand)  # [B, 5, 4, 3]
    row = torch.arange(len(chains), device=chains.device)[:, None, None]
    finger, joint = table.finger, table.place.floor().clamp(max=2).long()  # [B, K, 2]
    share = table.place - joint
    points = torch.lerp(chains[row, finger, joint], chains[row, finger, joint + 1], share[..., None])
    radii = torch.lerp(anatomy.radius[row, finger, joint], anatomy.radius[row, finger, joint + 1], share)
    between = points[:, :, 0] - points[:, :, 1]  # [B, K, 3]
    reach = radii.sum(dim=-1, keepdim=True)
    distance = (between.square().sum(dim=-1, keepdim=True) + 1e-12).sqrt()
    towards = torch.where(table.directed[..., None], table.offset, between / distance)
    return between - towards * reach, table.used


def _capsules(anatomy: Anatomy, hand: PosedHand) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return start and end [19, 3, B] and both radii [19, B] of all capsules, batch last for fast gathering."""
    chains = centres(anatomy, hand)  # [B, 5, 4, 3]
    web = chains.new_zeros(5, 3, 1)
    web[1:, 0] = _WEB
    start = torch.lerp(chains[:, :, :-1], chains[:, :, 1:], web).flatten(1, 2)
    end = chains[:, :, 1:].flatten(1, 2)
    knuckles = anatomy.base[:, 1:]
    first = torch.lerp(anatomy.radius[..., :-1], anatomy.radius[..., 1:], web[..., 0]).flatten(1, 2)
    palm = (anatomy.thickness / 2)[:, None].expand(-1, 4)
    last = anatomy.radius[..., 1:].flatten(1, 2)
    return (
        torch.cat([start, 0.3 * knuckles], dim=1).permute(1, 2, 0).contiguous(),
        torch.cat([end, 0.9 * knuckles], dim=1).permute(1, 2, 0).contiguous(),
        torch.cat([first, palm], dim=1).T.contiguous(),
        torch.cat([last, palm], dim=1).T.contiguous(),
    )


def _closest(p1: Tensor, q1: Tensor, p2: Tensor, q2: Tensor) -> tuple[Tensor, Tensor]:
    """Return where two segments come closest, as shares [P, B] of each (Ericson 2005, section 5.1.9)."""
    d1, d2, r = q1 - p1, q2 - p2, p1 - p2
    a, e, b = (d1 * d1).sum(1), (d2 * d2).sum(1), (d1 * d2).sum(1)
    c, f = (d1 * r).sum(1), (d2 * r).sum(1)
    s = ((b * f - c * e) / (a * e - b * b).clamp(min=1e-9)).clamp(0, 1)
    t = ((b * s + f) / e).clamp(0, 1)
    return ((b * t - c) / a).clamp(0, 1), t


def signer_handshapes(alphabet_name: str, signers: Tensor, spread: float = 1.0) -> Tensor:
    """Return the solved angles [S, L, 21] of all L labels of an alphabet by signers, int64 [S] from 0.

    Signers are solved on the CPU in fixed blocks, and blocks are stored under data/cache: whoever is asked
    for, a signer's handshapes are the same. A damaged or foreign file is made anew.
    """
    if signers.numel() and int(signers.min()) < 0:
        raise ValueError("signers are numbered from 0")
    seeds = signers.cpu()
    blocks = {int(n): _block(alphabet_name, int(n), float(spread)) for n in torch.unique(seeds // BLOCK)}
    if not blocks:
        return torch.zeros(0, len(alphabet(alphabet_name)), LIMITS.shape[1], device=signers.device)
    return torch.stack([blocks[s // BLOCK][s % BLOCK] for s in seeds.tolist()]).to(signers.device)


def cache_folder() -> Path:
    """Return where solved blocks are stored."""
    return paths.CACHE / "handshapes"


@cache
def _solver() -> str:
    """Return the hash of the code that solves: a block that other code solved is not read."""
    return results.source_hash(__name__)


@lru_cache(maxsize=4096)
@torch.inference_mode(False)
def _block(alphabet_name: str, number: int, spread: float) -> Tensor:
    """Return the solved angles [BLOCK, L, 21] of signers BLOCK * number and on."""
    shapes = list(alphabet(alphabet_name).values())
    seeds = BLOCK * number + torch.arange(BLOCK)
    anatomy, habits = draw_anatomy(seeds, spread), draw_habits(seeds, spread)[0]
    digest = hashlib.sha256(repr((_solver(), shapes)).encode())
    for values in (*vars(anatomy).values(), habits):
        digest.update(values.contiguous().numpy().tobytes())
    path = cache_folder() / f"{alphabet_name.replace(' ', '-')}-{number}-{digest.hexdigest()[:16]}.npz"
    stored = _read(path, (BLOCK, len(shapes), LIMITS.shape[1]))
    if stored is not None:
        return stored
    rows = torch.arange(BLOCK).repeat_interleave(len(shapes))
    angles = solve(anatomy[rows], shapes * BLOCK, habits[rows]).unflatten(0, (BLOCK, len(shapes)))
    write_whole(path, lambda temporary: np.savez(temporary, angles=angles.numpy()))
    return angles


def _read(path: Path, shape: tuple[int, ...]) -> Tensor | None:
    """Read a stored block; None where there is none, or one that cannot be right."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            angles = torch.from_numpy(stored["angles"])
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile):
        return None
    if angles.shape != shape or angles.dtype != torch.float32:
        return None
    inside = (angles >= LIMITS[0]) & (angles <= LIMITS[1])
    return angles if inside.all() else None
