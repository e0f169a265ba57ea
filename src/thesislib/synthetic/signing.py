"""How invented signers sign: each with a hand, a pace, a reach, a slant and a bow of the arm that stay.

Every take differs a little from the last. A hand is at one station after the other, at a word or at rest, and
moves from station to station with least jerk.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from thesislib.synthetic.clips import drift
from thesislib.synthetic.contacts import signer_handshapes
from thesislib.synthetic.draws import fold, normal
from thesislib.synthetic.hand import ANGLES, LIMITS, draw_habits
from thesislib.synthetic.handshapes import alphabet
from thesislib.synthetic.motions import minimum_jerk
from thesislib.synthetic.rotations import about_xyz, compose
from thesislib.synthetic.scene import Difficulty
from thesislib.synthetic.sign_parts import ALPHABET, HANDS, Manner, changing, perform, turning

PASSING = 0.24  # share of a clip that the way from station to station takes

_DURATION = 0.62  # of a sign, share of a clip
_SIGNER, _TAKE = 124, 125  # purposes of the draws

# Standard deviations among signers and among one signer's takes: see Manner; pace is the logarithm of the duration.
_SIGNERS = {
    "size": 0.14,
    "bend": 0.09,
    "turn": 0.12,
    "haste": 0.15,
    "slant": 8.0,
    "offset": 0.09,
    "pace": 0.15,
}
_TAKES = {"size": 0.06, "bend": 0.04, "turn": 0.06, "haste": 0.08, "slant": 3.0, "offset": 0.04, "pace": 0.08}
_BEND = 2.0  # degrees: how every joint drifts while a sign is made
_TURN = torch.tensor([4.0, 5.0, 3.0])  # degrees about x, y, z: how the hand does


@dataclass(frozen=True)
class Moments:
    """What B frames show: a hand at a moment of a word, or on its way to a moment of another.

    signer: int64 [B]; word: int64 [B, 2, 8], rows of sign_parts.parts(), left and reached; time: [B, 2], how
    much of each has passed; take: int64 [B, 2], keys of how they are done; share: [B], of the way between them;
    session: int64 [B], key of the room; reel: int64 [B], key of the recording; frame: int64 [B]; now: [B], time
    since its first frame, 1 for the length of a clip.
    """

    signer: Tensor
    word: Tensor
    time: Tensor
    take: Tensor
    share: Tensor
    session: Tensor
    reel: Tensor
    frame: Tensor
    now: Tensor

    def __getitem__(self, rows: Tensor) -> "Moments":
        return Moments(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Stations:
    """Where the hand is one after the other, at rest or at a word: word int64 [B, S, 8], take int64 [B, S], begin
    and end [B, S] in time. In between it is on its way."""

    word: Tensor
    take: Tensor
    begin: Tensor
    end: Tensor


def moments_at(
    stations: Stations, signer: Tensor, session: Tensor, reel: Tensor, frame: Tensor, now: Tensor
) -> Moments:
    """Return what is seen at times now [B]."""
    row = torch.arange(len(now), device=now.device)
    at = (stations.begin <= now[:, None]).sum(dim=1).sub(1).clamp(min=0)
    following = (at + 1).clamp(max=stations.begin.shape[1] - 1)
    begin, end = stations.begin[row, at], stations.end[row, at]
    time = ((now - begin) / (end - begin)).clamp(0, 1)
    return Moments(
        signer=signer,
        word=torch.stack([stations.word[row, at], stations.word[row, following]], dim=1),
        time=torch.stack([time, torch.zeros_like(time)], dim=1),
        take=torch.stack([stations.take[row, at], stations.take[row, following]], dim=1),
        share=minimum_jerk((now - end) / PASSING),
        session=session,
        reel=reel,
        frame=frame,
        now=now,
    )


def hands(moments: Moments, difficulty: Difficulty) -> tuple[Tensor, Tensor, Tensor]:
    """Return angles [B, 21], orientation [B, 3, 3] and the palm's place [B, 3] at moments."""
    signer = moments.signer.repeat_interleave(2)
    solved = signer_handshapes(ALPHABET, moments.signer, difficulty.signer_spread)
    columns = [list(alphabet(ALPHABET)).index(label) for label in HANDS]
    own = solved[:, columns].repeat_interleave(2, dim=0)
    manner = _manner(signer, moments.take.flatten(), difficulty)
    performed = perform(moments.word.flatten(0, 1), moments.time.flatten(), own, manner)
    (first, last), (faced, facing), (left, reached) = (
        values.unflatten(0, (-1, 2)).unbind(1) for values in performed
    )
    way = drift(moments.reel, moments.now[:, None], len(ANGLES) + 3)[:, 0]
    angles = changing(first, last, moments.share) + difficulty.pose_jitter * _BEND * way[:, 3:]
    angles = angles.clamp(*LIMITS.to(angles))
    turn = about_xyz(difficulty.rotation * _TURN.to(way) * way[:, :3])
    orientation = compose(turn, turning(faced, facing, moments.share))
    return angles, orientation, torch.lerp(left, reached, moments.share[:, None])


def _manner(signer: Tensor, take: Tensor, difficulty: Difficulty) -> Manner:
    """Return how signers, int64 [N], make their takes, keys int64 [N]."""
    varied = _varied(signer, take, difficulty)
    return Manner(
        size=varied["size"][:, 0].exp(),
        bend=varied["bend"][:, 0],
        turn=1 + varied["turn"][:, 0],
        haste=varied["haste"][:, 0].exp(),
        slant=varied["slant"][:, 0],
        offset=varied["offset"],
        habit=draw_habits(signer, difficulty.signer_spread)[1],
    )


def duration(signer: Tensor, take: Tensor, difficulty: Difficulty) -> Tensor:
    """Return how long signs take [N], as shares of a clip."""
    pace = _varied(signer, take, difficulty)["pace"][:, 0]
    return (_DURATION * pace.exp()).clamp(0.4, 0.85)


def _varied(signer: Tensor, take: Tensor, difficulty: Difficulty) -> dict[str, Tensor]:
    """Draw what differs among signers and among their takes, each [N, 1] but for the offset, [N, 2]."""
    person = normal(fold(_SIGNER, signer), 8).clamp(-2.5, 2.5) * difficulty.signer_spread
    chance = normal(fold(_TAKE, take), 8).clamp(-2.5, 2.5) * difficulty.pose_jitter
    sizes = [2 if name == "offset" else 1 for name in _SIGNERS]
    parts_of = zip(_SIGNERS, person.split(sizes, dim=1), chance.split(sizes, dim=1), strict=True)
    return {name: _SIGNERS[name] * mine + _TAKES[name] * now for name, mine, now in parts_of}
