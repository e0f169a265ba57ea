"""The continuous protocol: strangers sign word after word, and a window that slides over it says what, and when.

Izutov 2020 wants a word for any moment of an unaligned stream (sections III and IV.A), and shows it at work only;
invented streams have a truth, so here it is measured.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from thesislib.chapters.sign_training import Config, parts
from thesislib.evaluation import streams
from thesislib.synthetic import signs

OVERLAP = 0.5  # of a sign and the window it was seen in, frames shared over frames covered, to count as found
THRESHOLDS = tuple(np.linspace(0, 1, 51).tolist())  # cosines, of which the validation signers choose one
PICTURES = 12  # frames of a stream that are kept for a figure

Stream = tuple[np.ndarray, np.ndarray]  # frames uint8 [T, 3, S, S], word of each int64 [T], -1 for none


def signed_by(config: Config, signers: range) -> list[Stream]:
    """Return a stream a signer, each of ``stream_signs`` words; every word comes as often as it can."""
    found = []
    for signer in signers:
        random = np.random.default_rng(signer)
        rounds = -(-config.stream_signs // config.words)
        words = np.concatenate([random.permutation(config.words) for _ in range(rounds)]).tolist()
        drawn = signs.stream(
            config.vocabulary, 0, signer, words[: config.stream_signs], frames=config.frames, size=config.size
        )
        found.append((drawn["image"].numpy(), drawn["label"].numpy()))
    return found


def measure(
    config: Config, classify: Callable[[np.ndarray], np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return how right ``classify`` is about strangers' streams, and the arrays of a timeline.

    ``classify`` gives scores [B, C] for windows uint8 [B, 16, 3, S, S]. The validation signers' streams choose the
    threshold above which a word is said.
    """
    who, how = parts(config), {"every": config.stream_step}
    watched = signed_by(config, who["validation"].signers)
    asked = signed_by(config, who["test"].signers[: config.streams])
    watched_scores, scores = (
        [streams.slide(frame, classify, **how) for frame, _ in some] for some in (watched, asked)
    )
    watched_truth, truth = ([streams.signed(label) for _, label in some] for some in (watched, asked))
    threshold = streams.choose_threshold(watched_scores, watched_truth, THRESHOLDS, overlap=OVERLAP, **how)
    said = [streams.decide(some, threshold=threshold, **how) for some in scores]
    told = {"threshold": threshold, "overlap": OVERLAP} | streams.stream_metrics(said, truth, overlap=OVERLAP)
    told["windows_named_right"] = _windows_named_right(scores, asked, config.stream_step)
    frame, label = asked[0]
    kept = np.linspace(0, len(frame) - 1, min(PICTURES, len(frame))).round().astype(int)
    arrays = {"stream_word": label, "stream_scores": scores[0].astype(np.float32)}
    arrays |= {"stream_frame_number": kept, "stream_frame": frame[kept]}
    arrays |= {f"stream_said_{name}": values for name, values in vars(said[0]).items()}
    return told, arrays


def _windows_named_right(scores: list[np.ndarray], asked: list[Stream], step: int) -> float:
    """Return for which share of the windows that see a whole sign, or nothing else, its word has the best score."""
    right = []
    for some, (_, label) in zip(scores, asked, strict=True):
        truth = streams.signed(label)
        for row, frames in enumerate(streams.windows(len(label), every=step)):
            seen = (truth.begin <= frames[-1]) & (frames[0] < truth.end)  # of each sign, something
            if seen.sum() == 1:
                begin, end = int(truth.begin[seen][0]), int(truth.end[seen][0])
                inside = frames[0] <= begin and end - 1 <= frames[-1]
                if inside or (begin <= frames[0] and frames[-1] < end):
                    right.append(some[row].argmax() == truth.word[seen][0])
    return float(np.mean(right)) if right else 0.0
