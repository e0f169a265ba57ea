"""Signers who sign the words of an invented vocabulary, in clips of one word and in streams of many.

Everything is drawn from the seed, the signer, the word, the take and the frame alone, and does not depend on how
many frames are taken.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from thesislib.synthetic.clips import USUAL
from thesislib.synthetic.draws import fold, uniform
from thesislib.synthetic.films import draw_room, film
from thesislib.synthetic.hand import draw_anatomy
from thesislib.synthetic.scene import Difficulty, check_size, in_chunks, mirror
from thesislib.synthetic.sign_parts import REST, parts
from thesislib.synthetic.sign_words import VOCABULARIES, vocabulary, word_names
from thesislib.synthetic.signing import PASSING, Moments, Stations, duration, hands, moments_at

LEAST_FRAMES = 8
BETWEEN = -1  # label of a stream's frames that belong to no sign

_LEFT_HANDED = 0.1  # share of signers
_EARLY = 0.3  # share of the time a clip has left by which a sign may come early or late
_SESSION, _CLIP, _STREAM, _TIMES, _SIDE, _FRAME = 121, 122, 123, 126, 127, 128  # purposes of the draws


def places(index: Tensor, *, words: int, frames: int, signers: range, takes: int = 1) -> dict[str, Tensor]:
    """Return what frame an index, int64 [B], stands for: signer, word, take and frame, each int64 [B].

    Counts through all frames of a clip, then the takes of a word, then words, then signers, so that every
    combination is there once. Raises ValueError for an index beyond the last.
    """
    sizes = (len(signers), words, takes, frames)
    if min(sizes) < 1 or frames < LEAST_FRAMES or signers.start < 0:
        raise ValueError(
            f"need at least one signer, numbered from 0, one word and take and {LEAST_FRAMES} frames, "
            f"got {signers}, {words}, {takes} and {frames}"
        )
    if not isinstance(index, Tensor) or index.dtype != torch.int64 or index.ndim != 1 or not len(index):
        raise ValueError("index must be an int64 tensor [B] with at least one entry")
    if not 0 <= int(index.min()) <= int(index.max()) < math.prod(sizes):
        raise ValueError(f"indices run from 0 to {math.prod(sizes) - 1}")
    signer, word, take, frame = torch.unravel_index(index, sizes)
    return {"signer": signers.start + signers.step * signer, "word": word, "take": take, "frame": frame}


def draw(
    name: str,
    seed: int,
    index: Tensor,
    *,
    words: int,
    frames: int,
    signers: range,
    takes: int = 1,
    size: int = 64,
    supersample: int = 1,
    difficulty: Difficulty = USUAL,
) -> dict[str, Tensor]:
    """Draw frames of clips with these indices, int64 [B], on the index's device; places() counts them.

    name: the vocabulary, "signs" or "gestures", of which the first `words` are signed. In a clip, `frames` are
    spread evenly over the time of one sign with what comes before and after it: the hand comes from rest, signs and
    goes back, and the clip begins and ends somewhere on these ways. A signer signs one take of all words in one
    room. One signer in ten is left-handed.

    Returns image uint8 [B, 3, size, size]; keypoints float32 [B, 21, 2] in pixels, the middle of the first one at
    0.5; visible bool [B, 21]; joints float32 [B, 21, 3] in hand units from the wrist, camera axes; angles [B, 21]
    degrees; left bool [B]; signer, word, take and frame, int64 [B]; letter int64 [B], -1 for none. Raises
    ValueError for a request that cannot be met.
    """
    check_request(seed, size, supersample)
    word_names(name, words)
    which = places(index, words=words, frames=frames, signers=signers, takes=takes)
    moments = _in_clips(name, seed, **which, frames=frames, difficulty=difficulty)
    return _filmed(moments, size, supersample, difficulty) | which


def span(
    name: str,
    seed: int,
    signer: Tensor,
    word: Tensor,
    take: Tensor,
    *,
    frames: int,
    difficulty: Difficulty = USUAL,
) -> tuple[Tensor, Tensor]:
    """Return the first frame of the sign and one past its last in clips of draw(), int64 [N] each.

    signer, word and take: int64 [N], as places() gives them.
    """
    key = _clip_key(name, seed, signer, word, take)
    begin, end = (share * (frames - 1) for share in _begin_and_end(signer, key, difficulty))
    return begin.ceil().long(), end.floor().long() + 1


def stream(
    name: str,
    seed: int,
    signer: int,
    sequence: Sequence[int],
    *,
    frames: int = 16,
    pauses: float = 0.3,
    size: int = 64,
    supersample: int = 1,
    difficulty: Difficulty = USUAL,
) -> dict[str, Tensor]:
    """Draw one signer who signs word after word of a vocabulary, with no mark where a sign begins.

    sequence: numbers of words. The hand comes from rest, goes straight from sign to sign or, for a share of
    `pauses`, rests in between, and goes back to rest. frames: how many frames take as long as a clip of draw();
    signs are as long as there. Returns, for T frames, image uint8 [T, 3, size, size], label int64 [T], the word
    that is signed (BETWEEN for none), and what else draw() returns, but for word and take. Raises ValueError.
    """
    check_request(seed, size, supersample)
    most = len(vocabulary(name))
    if not len(sequence) or not all(0 <= word < most for word in sequence):
        raise ValueError(f"a stream needs words, by numbers from 0 to {most - 1}, got {list(sequence)}")
    if frames < LEAST_FRAMES or signer < 0 or not 0 <= pauses <= 1:
        raise ValueError(
            f"need at least {LEAST_FRAMES} frames, a signer from 0 and pauses from 0 to 1, "
            f"got {frames}, {signer} and {pauses}"
        )
    moments, label = _in_stream(name, seed, signer, sequence, frames, pauses, difficulty)
    drawn = _filmed(moments, size, supersample, difficulty)
    return drawn | {"label": label, "signer": moments.signer, "frame": moments.frame}


def _in_clips(name, seed, signer, word, take, frame, *, frames, difficulty) -> Moments:
    """Say what frames of clips show: of rest, sign and rest, a clip sees the middle."""
    key, session = _clip_key(name, seed, signer, word, take), fold(seed, _SESSION, signer, take)
    begin, end = _begin_and_end(signer, key, difficulty)
    rest = torch.full_like(word, len(vocabulary(name)))
    stations = Stations(
        word=_rows(name).to(word.device)[torch.stack([rest, word, rest], dim=1)],
        take=torch.stack([session, key, session], dim=1),
        begin=torch.stack([begin - 9, begin, end + PASSING], dim=1),
        end=torch.stack([begin - PASSING, end, end + 9], dim=1),
    )
    return moments_at(stations, signer, session, key, frame, frame / (frames - 1))


def _in_stream(name, seed, signer, sequence, frames, pauses, difficulty) -> tuple[Moments, Tensor]:
    """Lay rests and signs out in time; say what every frame shows, and which word it belongs to."""
    session = fold(seed, _STREAM, torch.tensor(signer))
    take = fold(session, torch.arange(len(sequence)))
    lengths = duration(torch.full_like(take, signer), take, difficulty).tolist()
    u = uniform(fold(_TIMES, session, torch.arange(len(sequence) + 1)), 2)
    pause = (0.2 + 0.5 * u[:, 1]).tolist()
    laid = []  # word, key of how it is done, how long it takes
    for place, word in enumerate(sequence):
        if place == 0 or u[place, 0] < pauses:
            laid.append((BETWEEN, int(session), pause[place]))
        laid.append((int(word), int(take[place]), lengths[place]))
    laid.append((BETWEEN, int(session), pause[-1]))
    words, takes, length = (torch.tensor(column) for column in zip(*laid, strict=True))
    end = (length + PASSING).cumsum(0) - PASSING

    frame = torch.arange(int(end[-1] * (frames - 1)) + 1)
    everywhere = torch.zeros(len(frame), 1, dtype=torch.int64)
    stations = Stations(  # BETWEEN is -1, and rest the last of the rows
        word=_rows(name)[words + everywhere],
        take=takes + everywhere,
        begin=end - length + everywhere,
        end=end + everywhere,
    )
    one = everywhere[:, 0]
    moments = moments_at(stations, one + signer, one + session, one + session, frame, frame / (frames - 1))
    at = (stations.begin <= moments.now[:, None]).sum(dim=1) - 1
    return moments, torch.where(moments.now <= end[at], words[at], BETWEEN)


def _filmed(moments: Moments, size: int, supersample: int, difficulty: Difficulty) -> dict[str, Tensor]:
    """Draw the pictures of moments."""

    @torch.no_grad()
    def draw_some(rows: Tensor) -> dict[str, Tensor]:
        some = moments[rows]
        angles, orientation, place = hands(some, difficulty)
        drawn = film(
            draw_anatomy(some.signer, difficulty.signer_spread),
            some.signer,
            angles,
            orientation,
            place,
            draw_room(some.session),
            fold(_FRAME, some.reel, some.frame),
            size=size,
            supersample=supersample,
            difficulty=difficulty,
        )
        left = uniform(fold(_SIDE, some.signer), 1)[:, 0] < _LEFT_HANDED
        drawn = mirror(drawn, left)
        drawn["image"] = (255 * drawn["image"]).round().to(torch.uint8)
        return drawn | {"angles": angles, "left": left, "letter": torch.full_like(some.signer, -1)}

    every = torch.arange(len(moments.now), device=moments.now.device)
    return in_chunks(draw_some, every, size * supersample)


def _begin_and_end(signer: Tensor, take: Tensor, difficulty: Difficulty) -> tuple[Tensor, Tensor]:
    """Return when signs begin and end in their clips [N], as shares of the clip: as often early as late."""
    length = duration(signer, take, difficulty)
    early = _EARLY * (2 * uniform(fold(_TIMES, take), 1)[:, 0] - 1)
    begin = (1 - length) * (1 + early) / 2
    return begin, begin + length


def _rows(name: str) -> Tensor:
    """Return the words of a vocabulary, and rest as the last, int64 [W + 1, 8]."""
    return parts((*vocabulary(name), REST))


def _clip_key(name: str, seed: int, signer: Tensor, word: Tensor, take: Tensor) -> Tensor:
    return fold(seed, _CLIP, list(VOCABULARIES).index(name), signer, word, take)


def check_request(seed: int, size: int, supersample: int) -> None:
    """Refuse a seed and sizes that cannot be drawn: ValueError."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0, got {seed!r}")
    check_size(size, supersample)
