"""What signs are made of: handshapes, paths, turns, facings, places and rhythms, and a hand that performs them.

A sign has a handshape (or two, one turning into the other), a place and a movement (Stokoe 1960), and an
orientation of the hand (Battison 1978). A movement has a path of the palm, a turn of the hand and a rhythm.
"""

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation
from torch import Tensor

from thesislib.synthetic.handshapes import alphabet, handshape
from thesislib.synthetic.motions import _along, minimum_jerk
from thesislib.synthetic.rotations import about, about_xyz, compose

ALPHABET = "german alphabet"
# Handshapes that are unlike each other from afar.
HANDS = ("a", "b", "c", "d", "f", "h", "i", "l", "o", "v", "w", "y", "sch", "1")
# Strokes of the palm in hand units, camera axes (x right, y up, z to the viewer); it rests between strokes.
_TAP = ((0, 0.15, 0), (0, -0.3, 0))
_CIRCLE = tuple((0.45 * math.sin(k * math.pi / 12), 0.45 * math.cos(k * math.pi / 12), 0) for k in range(25))
PATHS = {
    "still": (((0, 0, 0), (0, 0, 0)),),
    "right": (((-0.55, 0, 0), (0.55, 0, 0)),),
    "up": (((0, -0.5, 0), (0, 0.5, 0)),),
    "rise": (((-0.45, -0.45, 0), (0.45, 0.45, 0)),),
    "fall": (((-0.45, 0.45, 0), (0.45, -0.45, 0)),),
    "near": (((0, 0, -1.2), (0, 0, 1.2)),),
    "arch": (((-0.5, -0.25, 0), (-0.42, 0.05, 0), (-0.2, 0.27, 0), (0, 0.33, 0), (0.2, 0.27, 0), (0.42, 0.05, 0),
              (0.5, -0.25, 0)),),
    "bowl": (((-0.5, 0.25, 0), (-0.42, -0.05, 0), (-0.2, -0.27, 0), (0, -0.33, 0), (0.2, -0.27, 0),
              (0.42, -0.05, 0), (0.5, 0.25, 0)),),
    "circle": (_CIRCLE,),
    "corner": (((-0.45, 0.4, 0), (0.4, 0.4, 0)), ((0.4, 0.4, 0), (0.4, -0.45, 0))),
    "zigzag": (((-0.5, 0.4, 0), (0.45, 0.25, 0)), ((0.45, 0.25, 0), (-0.45, -0.2, 0)),
               ((-0.45, -0.2, 0), (0.5, -0.35, 0))),
    "taps": (_TAP, _TAP[::-1], _TAP, _TAP[::-1]),
    "hook": (((-0.2, 0.5, 0), (-0.2, -0.1, 0), (-0.12, -0.32, 0), (0.08, -0.42, 0), (0.28, -0.32, 0),
              (0.34, -0.1, 0)),),
}  # fmt: skip
# Turns of the hand, degrees about x, y, z of the viewer, in strokes like paths.
TURNS = {
    "none": (((0, 0, 0), (0, 0, 0)),),
    "over": (((0, 0, 0), (0, 150, 0)),),
    "lean": (((0, 0, 35), (0, 0, -45)),),
    "nod": (((-15, 0, 0), (60, 0, 0)),),
    "shake": (((0, 0, 0), (0, 0, 28)), ((0, 0, 28), (0, 0, -28)), ((0, 0, -28), (0, 0, 28)),
              ((0, 0, 28), (0, 0, 0))),
    "twist": (((0, 0, 0), (0, 45, 0)), ((0, 45, 0), (0, -45, 0)), ((0, -45, 0), (0, 45, 0)),
              ((0, 45, 0), (0, 0, 0))),
}  # fmt: skip
# How the hand is held, degrees about x, y, z: as in the alphabet, fingers sideways, or the back shown.
FACINGS = {"as spelled": (0, 0, 0), "across": (0, 0, -65), "back": (0, 160, 0), "at rest": (35, 0, 30)}
# Where the middle of the movement is, hand units.
PLACES = {
    "middle": (0, 0, 0),
    "high": (0, 0.35, 0),
    "low": (0, -0.35, 0),
    "left": (-0.35, 0, 0),
    "right": (0.35, 0, 0),
    "at rest": (-0.25, -1.5, -0.3),
}
# Share of the movement done at shares of the time.
RHYTHMS = {
    "once": ((0, 0), (1, 1)),
    "thrice": ((0, 0), (1 / 3, 1), (2 / 3, 0), (1, 1)),
    "late": ((0, 0), (3 / 8, 0), (1, 1)),
}

_STEPS = 96  # of tables over time; divisible by what rhythms need
_OPENING = 0.4  # share of the way to the spread hand by which fingers open between two handshapes


@dataclass(frozen=True)
class Word:
    """A word by its parts: names in HANDS, PATHS, TURNS, FACINGS, PLACES and RHYTHMS.

    The hand changes from `start` to `end` while it goes its way. backwards: the whole runs from its end to its
    beginning.
    """

    start: str
    end: str
    path: str = "still"
    turn: str = "none"
    facing: str = "as spelled"
    place: str = "middle"
    rhythm: str = "once"
    backwards: bool = False

    def __str__(self) -> str:
        hand = self.start if self.start == self.end else f"{self.start} to {self.end}"
        usual = {"none", "as spelled", "once"}
        parts = [self.path, self.turn, self.facing, self.rhythm]
        text = ", ".join([hand, *(part for part in parts if part not in usual)])
        text += "" if self.place == "middle" else f", place {self.place}"
        return f"{text}, backwards" if self.backwards else text


REST = Word("c", "c", facing="at rest", place="at rest")  # a relaxed hand, half below the picture


@dataclass(frozen=True)
class Manner:
    """How N performances depart from the plain word.

    size, bend, turn, haste: float32 [N], factors of the movement's extent, its bow to the side as a share of its
    length, a factor of its turns, and the exponent of its time; slant: [N] degrees, of the movement in the
    picture; offset: [N, 2] hand units, of its place; habit: [N, 3] degrees about x, y, z, of the hand.
    """

    size: Tensor
    bend: Tensor
    turn: Tensor
    haste: Tensor
    slant: Tensor
    offset: Tensor
    habit: Tensor


def plain_manner(count: int) -> Manner:
    """Return the manner of N performances that are exactly the word."""
    zero, one = torch.zeros(count), torch.ones(count)
    return Manner(one, zero, one, one, zero, torch.zeros(count, 2), torch.zeros(count, 3))


def parts(words: tuple[Word, ...]) -> Tensor:
    """Return words as numbers, int64 [W, 8]: the places of their parts in the tables above."""
    tables = [
        HANDS,
        HANDS,
        *(list(table) for table in (PATHS, TURNS, FACINGS, PLACES, RHYTHMS)),
        (False, True),
    ]
    named = [zip(tables, vars(word).values(), strict=True) for word in words]
    return torch.tensor([[table.index(part) for table, part in word] for word in named])


def perform(word: Tensor, time: Tensor, hands: Tensor, manner: Manner) -> tuple[Tensor, Tensor, Tensor]:
    """Return the hand at a moment of a word: angles [N, 21], orientation [N, 3, 3], and the palm's place [N, 3].

    word: int64 [N, 8], rows of parts(); time: [N], share of the word that has passed, 0 to 1; hands:
    [N, len(HANDS), 21], the handshapes of whoever signs; places are in hand units and camera axes.
    """
    start, end, path, turn, facing, place, rhythm, backwards = word.unbind(1)
    time = time.clamp(0, 1) ** manner.haste
    time = torch.where(backwards.bool(), 1 - time, time)
    phase = _at(_rhythm_table(), rhythm, time)[:, 0]
    done = minimum_jerk(phase)

    row = torch.arange(len(word), device=word.device)
    angles = changing(hands[row, start], hands[row, end], torch.where(start == end, 0.0, done))
    faces = _faces().to(angles)
    held = turning(faces[start], faces[end], done)
    turned = manner.turn[:, None] * _at(_stroke_table("turns"), turn, phase)
    fixed = torch.tensor(list(FACINGS.values()), dtype=torch.float32).to(angles)[facing]
    orientation = compose(about_xyz(turned), about_xyz(fixed), about_xyz(manner.habit), held)

    table = _stroke_table("paths").to(angles)
    along, chord = _at(table, path, phase), (table[:, -1] - table[:, 0])[path]
    bow = torch.stack([-chord[:, 1], chord[:, 0], 0 * chord[:, 0]], dim=1)
    along = along + (manner.bend * 4 * done * (1 - done))[:, None] * bow
    along = manner.size[:, None] * (about(2, manner.slant) * along[:, None]).sum(dim=-1)
    middle = torch.tensor(list(PLACES.values()), dtype=torch.float32).to(angles)[place]
    shift = F.pad(manner.offset, (0, 1))
    return angles, orientation, along + middle + shift


def changing(first: Tensor, last: Tensor, share: Tensor) -> Tensor:
    """Return hands [N, 21] on their way between two handshapes; fingers open a little to pass each other."""
    spread = torch.tensor(handshape("spread").angles).to(first)
    direct = torch.lerp(first, last, share[:, None])
    return torch.lerp(direct, spread, (_OPENING * 4 * share * (1 - share))[:, None])


def turning(first: Tensor, last: Tensor, share: Tensor) -> Tensor:
    """Return orientations [N, 3, 3] on the shortest turn between two, by shares [N]."""
    axis = Rotation.from_matrix((last @ first.mT).double().cpu().numpy()).as_rotvec()  # [N, 3]
    part = Rotation.from_rotvec(share.double().cpu().numpy()[:, None] * axis).as_matrix()
    return compose(torch.from_numpy(part).to(first), first)


def palm(joints: Tensor) -> Tensor:
    """Return the middle of the palm [N, 1, 3] of joints [N, 21, 3]: this is what goes along a word's path."""
    return torch.lerp(joints[:, :1], joints[:, 9:10], 0.8)


@cache
def _faces() -> Tensor:
    """Return the orientations [len(HANDS), 3, 3] that handshapes have in their alphabet."""
    return torch.stack([alphabet(ALPHABET)[label].orientation() for label in HANDS])


@cache
def _stroke_table(kind: str) -> Tensor:
    """Return paths or turns at _STEPS + 1 shares of their time, float32 [entries, _STEPS + 1, 3]."""
    entries = {"paths": PATHS, "turns": TURNS}[kind].values()
    still = torch.zeros(_STEPS + 1, 3)
    return torch.stack(
        [still if len(set(strokes[0])) == 1 else _along(strokes, _STEPS + 1)[0] for strokes in entries]
    )


@cache
def _rhythm_table() -> Tensor:
    """Return rhythms at _STEPS + 1 shares of the time, float32 [entries, _STEPS + 1, 1]."""
    table = torch.zeros(len(RHYTHMS), _STEPS + 1, 1)
    for row, corners in zip(table, RHYTHMS.values(), strict=True):
        for (t0, done0), (t1, done1) in pairwise(corners):
            first, last = round(t0 * _STEPS), round(t1 * _STEPS)
            row[first : last + 1, 0] = torch.linspace(done0, done1, last - first + 1)
    return table


def _at(table: Tensor, which: Tensor, time: Tensor) -> Tensor:
    """Read tables [entries, _STEPS + 1, C] at times [N] from 0 to 1: [N, C]."""
    table = table.to(time)
    step = time.clamp(0, 1) * _STEPS
    low = step.long().clamp(max=_STEPS - 1)
    return torch.lerp(table[which, low], table[which, low + 1], (step - low)[:, None])
