"""Streams in which somebody signs and spells: between signs, texts are spelled letter by letter with handshapes.

A spelled letter is a hand held still for a moment. It is shaped like the hands of signs, and is none.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from thesislib.synthetic.clips import USUAL
from thesislib.synthetic.draws import fold, uniform
from thesislib.synthetic.scene import Difficulty
from thesislib.synthetic.sign_parts import HANDS, REST, Word, parts
from thesislib.synthetic.sign_words import vocabulary
from thesislib.synthetic.signing import PASSING, Stations, duration, moments_at
from thesislib.synthetic.signs import LEAST_FRAMES, _filmed, check_request

# Those that texts are spelled of.
LETTERS = "".join(hand for hand in HANDS if len(hand) == 1 and hand.isalpha())
NOTHING = -1  # place in the sequence of a frame in which the hand rests or is on its way

_HELD = 0.2  # time of a letter, as a share of the signer's time for a sign
_PAUSE = (0.2, 0.7)  # shortest and longest rest before the first and after the last, in clips
_STREAM, _REST = 141, 142  # purposes of the draws


def stream(
    name: str,
    seed: int,
    signer: int,
    sequence: Sequence[int | str],
    *,
    frames: int = 16,
    size: int = 64,
    supersample: int = 1,
    difficulty: Difficulty = USUAL,
) -> dict[str, Tensor]:
    """Draw one signer who signs and spells without a rest: numbers are words of a vocabulary, texts are spelled.

    frames: how many frames take as long as a clip of `signs.draw`; signs are as long as there, and a letter is held
    for a fifth of that. Texts are made of LETTERS, as the hands of signs are, and no letter comes twice in a row.
    A sign does not hang on what is spelled around it: with the same signs in the same order it is done alike.
    Returns, for T frames, image uint8 [T, 3, size, size], place int64 [T], which of the sequence is shown
    (NOTHING for none; a text lasts from its first letter to its last), and what else `signs.draw` returns, but for
    word and take. Raises ValueError for a request that cannot be met.
    """
    check_request(seed, size, supersample)
    if frames < LEAST_FRAMES or signer < 0:
        raise ValueError(
            f"need at least {LEAST_FRAMES} frames and a signer from 0, got {frames} and {signer}"
        )
    _check(name, sequence)
    stations, place, session = _lay_out(name, seed, signer, sequence, difficulty)

    frame = torch.arange(int(stations.end[-1] * (frames - 1)) + 1)
    who, room = torch.full_like(frame, signer), torch.full_like(frame, session)
    everywhere = Stations(
        **{key: values.expand(len(frame), *values.shape) for key, values in vars(stations).items()}
    )
    now = frame / (frames - 1)
    moments = moments_at(everywhere, signer=who, session=room, reel=room, frame=frame, now=now)
    at = (stations.begin <= now[:, None]).sum(dim=1) - 1  # the station that is shown or was left last
    following = (at + 1).clamp(max=len(place) - 1)
    shown = (now <= stations.end[at]) | (place[at] == place[following])  # letters of a text belong together
    drawn = _filmed(moments, size, supersample, difficulty)
    return drawn | {
        "place": torch.where(shown, place[at], NOTHING),
        "signer": moments.signer,
        "frame": moments.frame,
    }


def _check(name: str, sequence: Sequence[int | str]) -> None:
    """Refuse a sequence with unknown words or letters: ValueError."""
    most = len(vocabulary(name))
    if not len(sequence):
        raise ValueError("a stream needs something to be signed or spelled")
    for item in sequence:
        if isinstance(item, str):
            twice = any(one == other for one, other in zip(item, item[1:], strict=False))
            if not item or not set(item) <= set(LETTERS) or twice:
                raise ValueError(f"a text is made of {LETTERS} with none twice in a row, not {item!r}")
        elif not 0 <= item < most:
            raise ValueError(f"words of {name} have numbers from 0 to {most - 1}, not {item}")


def _lay_out(
    name: str, seed: int, signer: int, sequence: Sequence[int | str], difficulty: Difficulty
) -> tuple[Stations, Tensor, int]:
    """Return rest, signs, letters and rest in time (without a batch dimension), their places, and the session."""
    session = int(fold(seed, _STREAM, torch.tensor(signer)))
    signs_before, texts_before = 0, 0
    words, takes, place = [REST], [session], [NOTHING]
    for number, item in enumerate(sequence):
        if isinstance(item, str):  # one take: the hand spells a text where it began it
            texts_before += 1
            shown, take = [Word(letter, letter) for letter in item], fold(session, 1, texts_before)
        else:
            signs_before += 1
            shown, take = [vocabulary(name)[item]], fold(session, 0, signs_before)
        words += shown
        takes += [int(take)] * len(shown)
        place += [number] * len(shown)
    words, takes, place = [*words, REST], [*takes, session], [*place, NOTHING]

    take = torch.tensor(takes)
    length = duration(torch.full_like(take, signer), take, difficulty)
    spelled = torch.tensor([at >= 0 and isinstance(sequence[at], str) for at in place])
    length = torch.where(spelled, _HELD * length, length)
    least, most = _PAUSE
    pause = least + (most - least) * uniform(fold(_REST, session, torch.arange(2)), 1)[:, 0]
    length[[0, -1]] = pause
    end = (length + PASSING).cumsum(0) - PASSING
    return (
        Stations(word=parts(tuple(words)), take=take, begin=end - length, end=end),
        torch.tensor(place),
        session,
    )
