"""A simulated person who accepts and rejects detections of which the truth is known: no human being was asked.

The rule is that of Komorowicz 2018, section 5.2: a first pass looks at the wrist and at the whole, a second one at
the fingers of what is left. People look away at times, so a stated share of the answers is the wrong one.
"""

from dataclasses import dataclass

from torch import Tensor

from thesislib.synthetic.draws import fold, uniform
from thesislib.synthetic.hand import JOINTS

_ANSWERS = 121  # purpose of the draws


@dataclass(frozen=True, kw_only=True)
class Eye:
    """What a simulated person lets pass; lengths are shares of the longer side of the true joints' box.

    wrist: the largest error of a wrist; whole: the largest median error of a hand's joints; finger: the largest
    error of any other joint; slips: share of answers, in each pass, that are the opposite of what was meant.
    """

    wrist: float = 0.08
    whole: float = 0.08
    finger: float = 0.12
    slips: float = 0.005

    def __post_init__(self):
        for name, value in vars(self).items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be a number from 0, got {value!r}")
        if self.slips > 1:
            raise ValueError(f"slips is a share, at most 1, got {self.slips!r}")


SHARP = Eye()


def by_rule(found: Tensor, true: Tensor, seed: int, index: Tensor, eye: Eye = SHARP) -> tuple[Tensor, Tensor]:
    """Return what a simulated person keeps in the first pass and what is left after the second, two bool [B].

    found, true: [B, 21, 2], places in one unit; index: int64 [B]. Answers follow from a hand's own places, (seed,
    index) and the eye alone. Raises ValueError for shapes that do not fit.
    """
    shape = (len(index), len(JOINTS), 2)
    if found.shape != shape or true.shape != shape:
        raise ValueError(
            f"by_rule needs places {list(shape)}, got {list(found.shape)} and {list(true.shape)}"
        )
    box = (true.amax(1) - true.amin(1)).amax(-1, keepdim=True)  # [B, 1]
    error = (found - true).norm(dim=-1) / box  # [B, 21]
    slips = uniform(fold(seed, _ANSWERS, index), 2) < eye.slips
    first = (error[:, 0] <= eye.wrist) & (error.median(dim=1).values <= eye.whole)
    second = error[:, 1:].amax(1) <= eye.finger
    first = first ^ slips[:, 0]
    return first, first & (second ^ slips[:, 1])
