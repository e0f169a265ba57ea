"""Protocols across signers: who is trained on, who is asked, and how sure the accuracy is.

The thesis leaves open whose pictures its prototypes were and tests on one signer (Ignatiev 2019, section 3.3).
Here each reading of it is a split of its own, a function of the numbers alone that go with the pictures: their
`letter`, `signer`, `clip` (pictures taken one after another; it has one signer and one letter) and `frame` (when
in the clip), int [N] each. No split looks at a picture, so every system meets the same ones, and the order in
which the pictures are stored makes no difference.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Split:
    """Rows to learn from and rows to ask, int64; ValueError unless both have some, each once, none shared."""

    train: np.ndarray
    test: np.ndarray

    def __post_init__(self) -> None:
        for side, rows in (("train", self.train), ("test", self.test)):
            if rows.ndim != 1 or rows.dtype != np.int64 or not len(rows):
                raise ValueError(
                    f"the {side} rows must be one or more int64 numbers, not {rows.dtype} {rows.shape}"
                )
            if len(np.unique(rows)) != len(rows) or rows.min() < 0:
                raise ValueError(f"the {side} rows must be different numbers from 0")
        if len(both := np.intersect1d(self.train, self.test)):
            raise ValueError(f"{len(both)} pictures are in train and in test, the first is row {both[0]}")


def require_strangers(split: Split, signer: np.ndarray) -> Split:
    """Return the split as it is; ValueError where a signer [N] of a test row also has a train row."""
    if len(both := np.intersect1d(signer[split.train], signer[split.test])):
        raise ValueError(f"signers {both.tolist()} are trained on and tested")
    return split


def zero_shot(signer: np.ndarray, left_out: int) -> Split:
    """Everybody else's pictures against those of the signer left out, of whom nothing is known.

    Raises ValueError where that signer has no picture or nobody else has one.
    """
    theirs = signer == left_out
    if not theirs.any() or theirs.all():
        raise ValueError(f"to leave out signer {left_out}, they and somebody else must have pictures")
    return require_strangers(Split(np.flatnonzero(~theirs), np.flatnonzero(theirs)), signer)


def inner_folds(signer: np.ndarray, left_out: int) -> tuple[Split, ...]:
    """Zero-shot splits among the other signers, one for each of them, to choose a recipe without `left_out`.

    Rows are those of the whole set. Raises ValueError where fewer than two other signers remain.
    """
    others = np.flatnonzero(signer != left_out)
    names = np.unique(signer[others])
    if len(names) < 2:
        raise ValueError(f"choosing without signer {left_out} takes two other signers, not {len(names)}")
    within = [zero_shot(signer[others], name) for name in names]
    return tuple(Split(others[split.train], others[split.test]) for split in within)


def k_shot(
    letter: np.ndarray,
    signer: np.ndarray,
    clip: np.ndarray,
    frame: np.ndarray,
    left_out: int,
    shots: int,
    *,
    gap: int,
    seed: int,
) -> Split:
    """A few pictures a letter of the new signer, taken in a row, against that signer's other pictures.

    For each letter the `shots` prototypes are neighbours in one clip, at a place drawn from the seed, the signer
    and the letter alone. Pictures of that clip up to `gap` frames from a prototype are nearly the same picture
    and are not asked. A place counts only if it leaves a picture of the letter to ask. Where no clip has such a
    place (a letter in two bursts of five photographs, and seven shots), the signer's clips of the letter are laid
    end to end in the order of their numbers, and the prototypes are a whole clip or the end of one and the start
    of the next. Letters of which the signer has no picture take no part. Raises ValueError where a letter has
    too few pictures, and says which has how many.
    """
    if shots < 1:
        raise ValueError(f"shots must be 1 or more, not {shots}")
    train, test, scarce = [], [], {}
    for name, line in _lines(letter, signer, clip, frame, left_out, gap).items():
        starts = np.random.RandomState([seed, left_out, name]).permutation(max(len(line) - shots + 1, 0))
        over_an_edge = clip[line[starts]] != clip[line[starts + shots - 1]]
        for start in starts[np.argsort(over_an_edge, kind="stable")]:  # places inside one clip first
            block = line[start : start + shots]
            asked = _apart(np.setdiff1d(line, block), block, clip, frame, gap)
            if len(asked):
                train.append(block)
                test.append(asked)
                break
        else:
            scarce[name] = len(line)
    if scarce:
        raise _too_few(scarce, left_out, f"{shots} shots and a gap of {gap}")
    return _split(train, test)


def same_signer(
    letter: np.ndarray, signer: np.ndarray, clip: np.ndarray, frame: np.ndarray, who: int, *, gap: int
) -> Split:
    """The first half of each letter's pictures of one signer, in the order taken, against the second half.

    Pictures of the second half up to `gap` frames from the first in the same clip are not asked. Of an odd
    number the second half is the larger. Raises ValueError where a letter has no picture left on a side.
    """
    train, test, scarce = [], [], {}
    for name, line in _lines(letter, signer, clip, frame, who, gap).items():
        known = line[: len(line) // 2]
        asked = _apart(line[len(line) // 2 :], known, clip, frame, gap)
        if len(known) and len(asked):
            train.append(known)
            test.append(asked)
        else:
            scarce[name] = len(line)
    if scarce:
        raise _too_few(scarce, who, f"two halves and a gap of {gap}")
    return _split(train, test)


def random_split(
    letter: np.ndarray, signer: np.ndarray, clip: np.ndarray, frame: np.ndarray, who: int, *, seed: int
) -> Split:
    """Half of each letter's pictures of one signer, drawn at random, against the other half. It leaks.

    Neighbours in a clip fall on both sides, so a query often has its near-copy among the prototypes. It differs
    from `same_signer` in nothing else than order and gap, to measure by how much that flatters. Raises
    ValueError where a letter has a single picture.
    """
    lines = _lines(letter, signer, clip, frame, who, gap=0)
    if scarce := {name: 1 for name, line in lines.items() if len(line) < 2}:
        raise _too_few(scarce, who, "two halves")
    shuffled = [np.random.RandomState([seed, who, name]).permutation(line) for name, line in lines.items()]
    return _split(
        [line[: len(line) // 2] for line in shuffled], [line[len(line) // 2 :] for line in shuffled]
    )


def _lines(
    letter: np.ndarray, signer: np.ndarray, clip: np.ndarray, frame: np.ndarray, who: int, gap: int
) -> dict[int, np.ndarray]:
    """Return for each letter of one signer its rows by clip and frame.

    Raises ValueError for a signer without pictures, a negative gap, and two pictures with one clip and frame.
    """
    if gap < 0:
        raise ValueError(f"gap must be 0 or more frames, not {gap}")
    rows = np.flatnonzero(signer == who)
    if not len(rows):
        raise ValueError(f"signer {who} has no picture; there are signers {np.unique(signer).tolist()}")
    rows = rows[np.lexsort((frame[rows], clip[rows], letter[rows]))]
    taken = np.stack([letter[rows], clip[rows], frame[rows]])
    if (taken[:, 1:] == taken[:, :-1]).all(axis=0).any():
        raise ValueError(
            f"two pictures of signer {who} have the same clip and frame, so their order is unknown"
        )
    return {int(name): rows[letter[rows] == name] for name in np.unique(letter[rows])}


def _apart(
    rows: np.ndarray, prototypes: np.ndarray, clip: np.ndarray, frame: np.ndarray, gap: int
) -> np.ndarray:
    """Return the rows that are in another clip than each prototype, or more than `gap` frames from it."""
    near = np.abs(frame[rows][:, None] - frame[prototypes]) <= gap  # [R, P]
    return rows[~(near & (clip[rows][:, None] == clip[prototypes])).any(axis=1)]


def _too_few(scarce: dict[int, int], who: int, what: str) -> ValueError:
    has = ", ".join(f"letter {name} has {count}" for name, count in scarce.items())
    return ValueError(f"too few pictures of signer {who} for {what}: {has}")


def _split(train: list[np.ndarray], test: list[np.ndarray]) -> Split:
    return Split(np.sort(np.concatenate(train)), np.sort(np.concatenate(test)))


def hits(scores: np.ndarray, letter: np.ndarray, k: int = 1) -> np.ndarray:
    """Return whether the true letter is among the k best: scores [Q, C] and letter [Q] to bool [Q].

    Of equal scores the earlier letter is better, as with argmax. A letter that scores -inf is never a hit.
    Raises ValueError for NaN, no query, or a letter outside the scores.
    """
    if scores.ndim != 2 or len(scores) != len(letter) or not len(letter):
        raise ValueError(f"scores must be [Q, C] for Q letters, not {scores.shape} for {letter.shape}")
    if letter.min() < 0 or letter.max() >= scores.shape[1] or np.isnan(scores).any():
        raise ValueError("scores must be numbers, one for each letter that is asked")
    own = np.take_along_axis(scores, letter[:, None], axis=1)  # [Q, 1]
    earlier = np.arange(scores.shape[1]) < letter[:, None]  # [Q, C]
    better = (scores > own) | ((scores == own) & earlier)
    return (better.sum(axis=1) < k) & np.isfinite(own[:, 0])


def accuracy(scores: np.ndarray, letter: np.ndarray) -> dict[str, float]:
    """Return top1_macro, top1_micro, top2_macro and top2_micro of scores [Q, C] against letter [Q].

    Micro is the share of the queries, macro the mean over the letters asked of the share of their queries.
    Raises what `hits` raises.
    """
    share = _evenly(letter)
    found = {f"top{k}": hits(scores, letter, k) for k in (1, 2)}
    return {
        f"{name}_{kind}": float(np.average(hit, weights=weight))
        for name, hit in found.items()
        for kind, weight in (("macro", share), ("micro", None))
    }


def _evenly(group: np.ndarray) -> np.ndarray:
    """Return for each member one over the size of its group, so that groups weigh alike: [Q] to [Q]."""
    _, place, count = np.unique(group, return_inverse=True, return_counts=True)
    return 1 / count[place]


def bootstrap(
    correct: np.ndarray,
    signer: np.ndarray,
    clip: np.ndarray,
    *,
    seed: int,
    rounds: int = 1000,
    letter: np.ndarray | None = None,
) -> tuple[float, float]:
    """Return the 95 % interval, low and high, of the mean over signers of their accuracy.

    `correct` [Q] is 1 or 0, or a share in between. A round draws signers with replacement, then within each
    drawn one as many of their clips as there are, because pictures of a clip are right or wrong together; the
    interval holds 95 % of the rounds. Without `letter` [Q] pictures weigh alike within a signer (micro), with
    it the signer's letters do (macro). The queries of several draws of prototypes can simply be concatenated:
    the clip stays the unit. A handful of signers says little about all people, and no bootstrap mends that:
    with n signers the spread between them comes out too narrow by about a factor of sqrt((n - 1) / n). Raises
    ValueError without queries.
    """
    if not len(correct):
        raise ValueError("there are no queries to resample")
    random = np.random.RandomState(seed)
    people = np.unique(signer)
    drawn = random.randint(len(people), size=(rounds, len(people)))
    value = np.empty(drawn.shape)  # the accuracy of each drawn signer
    for index, name in enumerate(people):
        theirs = signer == name
        _, place = np.unique(clip[theirs], return_inverse=True)
        weight = np.ones(len(place)) if letter is None else _evenly(letter[theirs])
        right = np.bincount(place, weight * correct[theirs])  # [clips]
        total = np.bincount(place, weight)
        slots = np.nonzero(drawn == index)
        clips = random.randint(len(total), size=(len(slots[0]), len(total)), dtype=np.int32).astype(np.intp)
        value[slots] = right.take(clips).sum(axis=1) / total.take(clips).sum(axis=1)
    low, high = np.percentile(value.mean(axis=1), [2.5, 97.5])
    return float(low), float(high)
