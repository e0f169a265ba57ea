"""Signs in a stream: a window that slides over it, what is said when, and how right that is (Izutov 2020).

A stream is T frames in which signs come one after another, unaligned and with pauses. Frames are counted from 0;
an end is one past the last frame.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

WINDOW = 16  # frames, about a second at 15 frames a second (Izutov 2020, section III)
REST = -1  # the label of a frame in which nothing is signed

Classifier = Callable[[np.ndarray], np.ndarray]  # windows uint8 [B, window, 3, S, S] to scores [B, C]


@dataclass(frozen=True)
class Events:
    """E signs of a stream in order of their ends; ValueError for arrays that do not fit together.

    word, begin and end: int64 [E]; confidence: float [E], 1 for what was truly signed. A sign that was said was
    said at frame ``end - 1``, the last of the window in which it was seen.
    """

    word: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    confidence: np.ndarray

    def __post_init__(self) -> None:
        shapes = {name: getattr(self, name).shape for name in ("word", "begin", "end", "confidence")}
        if len(set(shapes.values())) != 1 or self.word.ndim != 1:
            raise ValueError(f"events have one word, begin, end and confidence each, not {shapes}")
        if (self.begin >= self.end).any() or (np.diff(self.end) < 0).any():
            raise ValueError("events must begin before they end, in order of their ends")

    def __len__(self) -> int:
        return len(self.word)


def central_segment(begin: np.ndarray, end: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """Return the middle frames of signs, int64 [N, window], for signs from begin [N] to end [N] of their clips.

    Of an odd surplus the later end loses one frame more. Where a sign is shorter than the window, its first frame
    comes first as often as it takes (section IV.B).
    """
    begin, end = np.asarray(begin, np.int64), np.asarray(end, np.int64)
    if (begin < 0).any() or (end <= begin).any() or window < 1:
        raise ValueError("signs begin at frame 0 or later and end after that, in windows of a frame or more")
    start = np.where(end - begin >= window, begin + (end - begin - window) // 2, end - window)
    return np.maximum(start[:, None] + np.arange(window), begin[:, None])


def windows(length: int, window: int = WINDOW, every: int = 1) -> np.ndarray:
    """Return the frames of the windows that end at frames 0, every, 2 * every, ..., int64 [W, window].

    A window looks back only, so that a live stream has the same ones. Those that reach back before the stream
    repeat its first frame.
    """
    if min(length, window, every) < 1:
        raise ValueError(f"a stream, a window and a step have a frame or more: {length}, {window}, {every}")
    last = np.arange(0, length, every)
    return np.maximum(last[:, None] + np.arange(1 - window, 1), 0)


def slide(
    frame: np.ndarray, classify: Classifier, *, window: int = WINDOW, every: int = 1, batch: int = 32
) -> np.ndarray:
    """Return the scores of each window of `windows`, [W, C], for a stream uint8 [T, 3, S, S]."""
    if frame.ndim != 4 or frame.shape[1] != 3:
        raise ValueError(f"a stream is frames [T, 3, S, S], not {list(frame.shape)}")
    rows = windows(len(frame), window, every)
    parts = [classify(frame[rows[first : first + batch]]) for first in range(0, len(rows), batch)]
    return np.concatenate([np.asarray(part) for part in parts])


def decide(
    scores: np.ndarray, *, threshold: float, window: int = WINDOW, every: int = 1, apart: int = WINDOW // 2
) -> Events:
    """Return what is said of scores [W, C] of `slide`: a threshold, then non-maximum suppression in time.

    Windows in a row that have one word as their best, at or above the threshold, are one candidate, which stands
    where it is surest. The surest candidate speaks first and silences all others less than ``apart`` frames away,
    whatever their word; of candidates as sure the earlier one speaks. So an answer is settled only when its
    windows have passed and ``apart`` frames more: a live stream speaks that much later.
    """
    if scores.ndim != 2 or np.isnan(scores).any():
        raise ValueError(f"scores must be numbers [W, C], not {list(scores.shape)}")
    sure, last = scores.max(axis=1, initial=-np.inf), every * np.arange(len(scores))
    best = np.where(sure >= threshold, scores.argmax(axis=1), REST)  # [W]
    runs = signed(best)
    candidates = [begin + sure[begin:end].argmax() for begin, end in zip(runs.begin, runs.end, strict=True)]
    chosen: list[int] = []
    for row in sorted(candidates, key=lambda row: -sure[row]):
        if all(abs(last[row] - last[other]) >= apart for other in chosen):
            chosen.append(int(row))
    rows = np.array(sorted(chosen), np.int64)
    end = last[rows] + 1
    return Events(best[rows], np.maximum(end - window, 0), end, sure[rows])


def signed(word: np.ndarray) -> Events:
    """Return the signs of a stream from the word of each frame, int [T]: runs of one word, -1 is none."""
    word = np.asarray(word, np.int64)
    edges = np.flatnonzero(np.diff(word, prepend=REST, append=REST))  # where a run begins or ends
    begin, end = edges[:-1], edges[1:]
    runs = word[begin] != REST
    return Events(word[begin[runs]], begin[runs], end[runs], np.ones(int(runs.sum())))


def matches(said: Events, truth: Events, *, overlap: float) -> np.ndarray:
    """Return which true sign each said one is, int64 [said], -1 for none.

    A said sign is right where its word is the true one and the two overlap by at least ``overlap``, frames they
    share over frames they cover together. The surest comes first, and each true sign can be found once.
    """
    if not 0 < overlap <= 1:
        raise ValueError(f"overlap must be above 0 and at most 1, not {overlap}")
    shared = np.minimum(said.end[:, None], truth.end) - np.maximum(said.begin[:, None], truth.begin)  # [E, T]
    shared = shared.clip(min=0)
    lengths = (said.end - said.begin)[:, None] + (truth.end - truth.begin)
    share = np.where(said.word[:, None] == truth.word, shared / (lengths - shared), 0.0)
    found = np.full(len(said), -1, np.int64)
    for row in np.argsort(-said.confidence, kind="stable"):
        free = np.where(np.isin(np.arange(len(truth)), found), 0.0, share[row])
        if free.max(initial=0.0) >= overlap:
            found[row] = free.argmax()
    return found


def word_errors(said: Sequence[int], truth: Sequence[int]) -> dict[str, int]:
    """Return the fewest changes that make what was said out of what was signed: substituted, left_out, put_in.

    Of several ways with as few changes in all the one with the most substitutions counts.
    """
    # a row an amount of truth read so far, an entry an amount said: (changes, -substituted, left out, put in)
    before = [(place, 0, 0, place) for place in range(len(said) + 1)]
    for read, word in enumerate(truth, 1):
        now = [(read, 0, read, 0)]
        for place, heard in enumerate(said, 1):
            n, s, d, i = before[place - 1]
            ways = [(n, s, d, i) if heard == word else (n + 1, s - 1, d, i)]
            n, s, d, i = before[place]
            ways.append((n + 1, s, d + 1, i))
            n, s, d, i = now[place - 1]
            ways.append((n + 1, s, d, i + 1))
            now.append(min(ways))
        before = now
    _, substituted, left_out, put_in = before[-1]
    return {"substituted": -substituted, "left_out": left_out, "put_in": put_in}


def stream_metrics(said: Sequence[Events], truth: Sequence[Events], *, overlap: float) -> dict[str, float]:
    """Return how right what was said of several streams is, counted over all their signs together.

    precision, recall and f1 of `matches`; word_error_rate, the changes of `word_errors` over the signs, which
    knows the order and not the time, and can exceed 1; its three parts in numbers; lag_frames, how many frames
    after a sign its window ends, on average over right ones (less than 0 is before; absent where none is right);
    n_said, n_signed and n_streams. Where nothing is said, precision is 0. Raises ValueError where nothing was
    signed.
    """
    n_said, n_signed = sum(map(len, said)), sum(map(len, truth))
    if not n_signed:
        raise ValueError("nothing was signed in any stream, so there is nothing to find")
    right, lags = 0, []
    changes = {"substituted": 0, "left_out": 0, "put_in": 0}
    for heard, shown in zip(said, truth, strict=True):
        place = matches(heard, shown, overlap=overlap)
        right += int((place >= 0).sum())
        lags.append(heard.end[place >= 0] - shown.end[place[place >= 0]])
        for kind, count in word_errors(heard.word.tolist(), shown.word.tolist()).items():
            changes[kind] += count
    lag = np.concatenate(lags)
    return {
        "precision": right / max(n_said, 1),
        "recall": right / n_signed,
        "f1": 2 * right / (n_said + n_signed),
        "word_error_rate": sum(changes.values()) / n_signed,
        **changes,
        **({"lag_frames": float(lag.mean())} if len(lag) else {}),
        "n_said": n_said,
        "n_signed": n_signed,
        "n_streams": len(truth),
    }


def choose_threshold(
    scores: Sequence[np.ndarray],
    truth: Sequence[Events],
    thresholds: Sequence[float],
    *,
    overlap: float,
    window: int = WINDOW,
    every: int = 1,
    apart: int = WINDOW // 2,
) -> float:
    """Return the threshold of the highest F1 on these streams, the highest of several as good.

    For streams of signers who are not tested: chosen on the tested ones it would flatter.
    """

    def f1(threshold: float) -> float:
        said = [decide(s, threshold=threshold, window=window, every=every, apart=apart) for s in scores]
        return stream_metrics(said, truth, overlap=overlap)["f1"]

    return float(max(sorted(thresholds, reverse=True), key=f1))
