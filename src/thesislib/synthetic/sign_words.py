"""Two invented vocabularies of signs, in families of four words that differ by one part alone.

    word 4k      some parts
    word 4k + 1  the same parts in reverse order: exactly the same pictures, backwards
    word 4k + 2  the same hand on another path
    word 4k + 3  another hand on the same path

So no single picture, and no bag of pictures without their order, can tell all words.
"""

import math
from dataclasses import replace
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor

from thesislib.synthetic.draws import fold, uniform
from thesislib.synthetic.hand import draw_anatomy, pose
from thesislib.synthetic.handshapes import alphabet
from thesislib.synthetic.sign_parts import (
    ALPHABET,
    FACINGS,
    HANDS,
    PATHS,
    PLACES,
    RHYTHMS,
    TURNS,
    Word,
    palm,
    parts,
    perform,
    plain_manner,
)

VOCABULARIES = {"signs": 40, "gestures": 200}  # how many words each has; no word is in both
LEAST_APART = 0.15  # distance() of two words, hand units: two to three pixels in a picture of 64
MOST_TRAVEL = 5.0  # travel() of a word, hand units: more could not be followed in a clip of 16 frames
FAMILY = 4

_USUAL = {"turn": 0.6, "facing": 0.65, "place": 0.5, "rhythm": 0.65}  # share of words with the first entry
_SIDEWAYS = {"h", "1"}  # their fingers point to the side
_VIEWING = 8.0  # hand units: how far away distance() looks from
_LOOKS = 17
_BATCH = 64  # families that are looked at together
_FINGER = 0.6  # hand units from the middle of a hand to what is seen to turn
_WORDS = 111  # purpose of the draws


def vocabulary(name: str) -> tuple[Word, ...]:
    """Return all words of a vocabulary, "signs" (40) or "gestures" (200); ValueError for another name.

    A word follows from the vocabulary's name and its number. Any two words, of whichever vocabulary, are at least
    LEAST_APART by distance().
    """
    first = _first(name)
    return _all_words()[first : first + VOCABULARIES[name]]


def word_names(name: str, count: int | None = None) -> tuple[str, ...]:
    """Return invented names, two syllables each, of the first `count` words of a vocabulary, or of all."""
    first, most = _first(name), VOCABULARIES[name]
    if count is not None and not 1 <= count <= most:
        raise ValueError(f"{name} has from 1 to {most} words, asked for {count}")
    syllables = [consonant + vowel for consonant in "bdfghklmnprstv" for vowel in "aeiou"]
    numbers = torch.arange(first, first + (count or most)) * 1789 + 611  # prime to 4,900: all names differ
    pairs = torch.stack([numbers % 4900 // 70, numbers % 70], dim=1).tolist()
    return tuple(syllables[one] + syllables[two] for one, two in pairs)


def distance(one: Tensor, other: Tensor) -> Tensor:
    """Return how far apart words are, in hand units: rows of parts() [..., 8] that broadcast give [...].

    It is the mean distance of equal joints of the average hand, as seen from _VIEWING away, over the time of the
    word, when nobody's habits change it.
    """
    first, second = (
        _seen(word.reshape(-1, 8)).view(*word.shape[:-1], _LOOKS, 21, 2) for word in (one, other)
    )
    return (first - second).norm(dim=-1).mean(dim=(-2, -1))


def travel(word: Word) -> float:
    """Return how far, in hand units, the palm goes and fingers turn, were the word signed as fast throughout."""
    palm_goes = sum(math.dist(a, b) for stroke in PATHS[word.path] for a, b in pairwise(stroke))
    turns = sum(math.dist(a, b) for stroke in TURNS[word.turn] for a, b in pairwise(stroke))
    corners = RHYTHMS[word.rhythm]
    passes = sum(abs(done1 - done0) for (_, done0), (_, done1) in pairwise(corners))
    moving = sum(t1 - t0 for (t0, done0), (t1, done1) in pairwise(corners) if done0 != done1)
    return (palm_goes + _FINGER * math.radians(turns)) * passes / moving


def _seen(word: Tensor) -> Tensor:
    """Return where the joints of the average hand are seen, [N, times, 21, 2]."""
    time = torch.linspace(0, 1, _LOOKS).repeat(len(word))
    word = word.repeat_interleave(_LOOKS, dim=0)
    shapes = torch.tensor([alphabet(ALPHABET)[label].angles for label in HANDS])
    angles, orientation, place = perform(
        word, time, shapes.expand(len(word), -1, -1), plain_manner(len(word))
    )
    average = draw_anatomy(torch.zeros(len(word), dtype=torch.int64), spread=0.0)
    joints = pose(average, angles).joints
    joints = (joints - palm(joints)) @ orientation.mT + place[:, None]
    flat = joints[..., :2] * _VIEWING / (_VIEWING - joints[..., 2:])
    return flat.unflatten(0, (-1, _LOOKS))


def _first(name: str) -> int:
    if name not in VOCABULARIES:
        raise ValueError(f"there is no vocabulary {name!r}; there are {', '.join(VOCABULARIES)}")
    names = list(VOCABULARIES)
    return sum(VOCABULARIES[other] for other in names[: names.index(name)])


@cache
def _all_words() -> tuple[Word, ...]:
    """Draw families in turn and keep those that are far enough from all before, and within themselves."""
    kept, seen, number = [], torch.zeros(0, _LOOKS, 21, 2), 0
    while len(kept) < sum(VOCABULARIES.values()):
        drawn = [family for n in range(number, number + _BATCH) if _is_possible(family := _family(n))]
        number += _BATCH
        for family, new in zip(drawn, _seen(parts(sum(drawn, ()))).split(FAMILY), strict=True):
            before = torch.cat([seen, new])
            apart = (before[:, None] - new).norm(dim=-1).mean(dim=(-2, -1))  # [before, FAMILY]
            apart[len(seen) :].fill_diagonal_(torch.inf)
            if apart.min() >= LEAST_APART:
                kept, seen = [*kept, *family], before
    return tuple(kept[: sum(VOCABULARIES.values())])


def _is_possible(family: tuple[Word, ...]) -> bool:
    """Tell whether a hand can follow, and an arm come from below: hands that point sideways do not lean further."""
    over = [w for w in family if {w.start, w.end} & _SIDEWAYS and (w.facing == "across" or w.turn == "lean")]
    return len(set(family)) == FAMILY and not over and max(map(travel, family)) <= MOST_TRAVEL


def _family(number: int) -> tuple[Word, ...]:
    """Draw four words that differ by one part each."""
    u = uniform(fold(_WORDS, number), 16).tolist()

    def one_of(names, share: float) -> str:
        names = [name for name in names if name != "at rest"]
        return names[int(share * len(names))]

    def mostly_first(kind: str, names, share: float) -> str:
        usual = _USUAL[kind]
        return next(iter(names)) if share < usual else one_of(names, (share - usual) / (1 - usual))

    start = one_of(HANDS, u[0])
    end = start if u[1] < 0.6 else one_of(HANDS, u[2])
    word = Word(
        start,
        end,
        path=one_of(PATHS, u[3]),
        turn=mostly_first("turn", TURNS, u[4]),
        facing=mostly_first("facing", FACINGS, u[5]),
        place=mostly_first("place", PLACES, u[6]),
        rhythm=mostly_first("rhythm", RHYTHMS, u[7]),
        backwards=u[8] < 0.5,
    )
    other = one_of(HANDS, u[9])
    return (
        word,
        replace(word, backwards=not word.backwards),
        replace(word, path=one_of(PATHS, u[10])),
        replace(word, start=other, end=other if start == end else end),
    )
