"""Which classes are seen in training and which are not, and proof that the two do not meet.

The thesis trains on 40 characters of Kuzushiji-49 and tests on 9 unseen ones that it does not name
(Ignatiev 2019, section 3.2). Here the nine are drawn by lot: one fixed draw for the headline numbers and
ten more for their spread, all committed in data/splits/classes_49.json.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thesislib import paths
from thesislib.datasets.sources import DataError

if TYPE_CHECKING:
    from thesislib.datasets.glyphs import GlyphImages

CLASSES_49 = paths.SPLITS / "classes_49.json"
CLASSES_49_SEED = 2019  # the year of the thesis; chosen before looking at what it draws
UNSEEN_49 = 9
DRAWS_49 = 10


@dataclass(frozen=True)
class ClassSplit:
    """Class indices to train on (seen) and to test on only (unseen); ValueError unless disjoint."""

    seen: tuple[int, ...]
    unseen: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.seen or not self.unseen:
            raise ValueError("a class split needs at least one seen and one unseen class")
        for side, members in (("seen", self.seen), ("unseen", self.unseen)):
            if len(set(members)) != len(members) or min(members) < 0:
                raise ValueError(f"{side} classes must be different indices from 0: {members}")
        if both := set(self.seen) & set(self.unseen):
            raise ValueError(f"classes {sorted(both)} are both seen and unseen")

    def proof(self, classes: Sequence[str]) -> str:
        """Return one paragraph that names the unseen classes and states the computed intersection and union.

        `classes` are the names of all classes; ValueError where their number does not fit the split.
        """
        both, either = set(self.seen) & set(self.unseen), set(self.seen) | set(self.unseen)
        if max(either) >= len(classes):
            raise ValueError(f"the split names class {max(either)}, but there are {len(classes)} classes")
        names = ", ".join(f"{classes[index]} ({index})" for index in self.unseen)
        return (
            f"{len(self.seen)} seen and {len(self.unseen)} unseen classes; {len(both)} classes are in both, "
            f"and {len(either)} of {len(classes)} are in one of them. Unseen: {names}."
        )


def class_split(num_classes: int, num_unseen: int, draw: int = 0) -> ClassSplit:
    """Return draw number `draw` of num_unseen unseen classes out of num_classes.

    For 9 of 49 the draws are the committed ones: 0 is the fixed draw, 1 to 10 the others. For other sizes
    each draw is a permutation by numpy's RandomState(draw), which is the same in every version. Raises
    ValueError for sizes that leave one side empty and for a draw that does not exist, DataError for a
    broken committed file.
    """
    if not 0 < num_unseen < num_classes:
        raise ValueError(f"num_unseen must be between 1 and {num_classes - 1}, not {num_unseen}")
    if (num_classes, num_unseen) == (49, UNSEEN_49):
        fixed, drawn = read_classes_49(CLASSES_49)
        if not 0 <= draw <= len(drawn):
            raise ValueError(f"draw must be between 0 and {len(drawn)}, not {draw}")
        unseen = fixed if draw == 0 else drawn[draw - 1]
    else:
        unseen = np.random.RandomState(draw).permutation(num_classes)[:num_unseen]
    unseen = tuple(sorted(int(index) for index in unseen))
    return ClassSplit(seen=tuple(index for index in range(num_classes) if index not in unseen), unseen=unseen)


def draw_classes_49(seed: int = CLASSES_49_SEED) -> dict[str, list]:
    """Return the content of data/splits/classes_49.json: 9 unseen classes of 49, fixed and in ten draws.

    The fixed nine come first from the generator. The ten draws are dealt like cards: two shuffled packs of
    the 49 classes, cut into hands of nine, so that each class is unseen once or twice (90 of the 98 cards
    are dealt). Where the hand across both packs holds a class twice, the second pack is shuffled again.
    """
    random = np.random.RandomState(seed)
    fixed = random.permutation(49)[:UNSEEN_49]
    first, second = random.permutation(49), random.permutation(49)
    left_over = 49 % UNSEEN_49
    while set(first[-left_over:]) & set(second[: UNSEEN_49 - left_over]):
        second = random.permutation(49)
    hands = np.concatenate([first, second])[: DRAWS_49 * UNSEEN_49].reshape(DRAWS_49, UNSEEN_49)
    return {"seed": seed, "fixed": sorted(fixed.tolist()), "drawn": [sorted(hand) for hand in hands.tolist()]}


def read_classes_49(path: Path) -> tuple[list[int], list[list[int]]]:
    """Return the fixed and the drawn unseen classes of a split file; DataError where it is broken."""
    try:
        content = json.loads(path.read_text(encoding="utf8"))
        fixed, drawn = content["fixed"], content["drawn"]
        right = all(len(set(hand)) == UNSEEN_49 and set(hand) <= set(range(49)) for hand in [fixed, *drawn])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is missing or broken ({error}): restore it from the repository") from error
    if not right:
        raise DataError(f"{path} must list draws of {UNSEEN_49} different classes out of 49")
    return fixed, drawn


def select_classes(images: "GlyphImages", classes: Sequence[int]) -> "GlyphImages":
    """Return the images of these classes, in stored order, relabelled 0, 1, ... in the order given.

    Raises ValueError for a class named twice or a negative one.
    """
    if len(set(classes)) != len(classes) or min(classes, default=0) < 0:
        raise ValueError(f"classes must be different indices from 0: {tuple(classes)}")
    most = max(max(classes, default=-1), int(images.label.max(initial=-1)))
    new_label = np.full(most + 1, -1, dtype=np.int64)
    new_label[np.array(classes, dtype=np.int64)] = np.arange(len(classes))
    label = new_label[images.label]
    kept = label >= 0
    return replace(images, image=images.image[kept], label=label[kept])


def cap_per_class(images: "GlyphImages", n: int | np.ndarray, seed: int) -> "GlyphImages":
    """Return at most n images of each class (n: one number, or one for each class), in stored order.

    Which ones depends on the seed only, and a smaller n keeps a part of what a larger one keeps. Raises
    ValueError for n below 1, or below 0 where there is one for each class.
    """
    if np.min(n) < (1 if np.ndim(n) == 0 else 0):
        raise ValueError(f"at least one image a class must stay, not {np.min(n)}")
    shuffled = np.random.RandomState(seed).permutation(len(images.label))
    order = shuffled[np.argsort(images.label[shuffled], kind="stable")]  # by class, shuffled within
    counts = np.bincount(images.label)
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    most = n if np.ndim(n) == 0 else np.asarray(n)[images.label[order]]
    kept = np.sort(order[place < most])
    return replace(images, image=images.image[kept], label=images.label[kept])
