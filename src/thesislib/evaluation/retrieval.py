"""How well clips are named and words are found: top-1 accuracy and mean average precision (Izutov 2020, IV.B).

`scores` [N, C] say of each of N clips how likely each of C words is; `word` int [N] is what was signed.
"""

from collections.abc import Sequence

import numpy as np

from thesislib.evaluation.signers import accuracy


def word_metrics(scores: np.ndarray, word: np.ndarray) -> dict[str, float]:
    """Return top1 (share of the clips), top1_macro (mean over words of it), map, n_clips and n_words.

    Words without a clip take no part in the means. Raises ValueError for scores that are not finite, do not fit
    the words, or of no clip.
    """
    named = accuracy(scores, word)
    return {
        "top1": named["top1_micro"],
        "top1_macro": named["top1_macro"],
        "map": mean_average_precision(scores, word),
        "n_clips": len(word),
        "n_words": len(np.unique(word)),
    }


def mean_average_precision(scores: np.ndarray, word: np.ndarray) -> float:
    """Return the mean over the words signed of the average precision with which the word finds its clips.

    A word ranks all clips by its own column of scores [N, C]; its average precision is the mean, over its own
    clips, of the share of its own among all clips ranked as high. Clips with equal scores share a rank. Scores
    of one clip are compared with those of others here, so probabilities and logits can differ. Raises ValueError
    as `word_metrics` does.
    """
    if scores.ndim != 2 or scores.shape[:1] != word.shape or not len(word):
        raise ValueError(f"scores must be [N, C] for words [N], not {scores.shape} for {word.shape}")
    if word.min() < 0 or word.max() >= scores.shape[1] or not np.isfinite(scores).all():
        raise ValueError("scores must be finite, with a column for each word that was signed")
    precisions = [average_precision(scores[:, w], scores[word == w, w]) for w in np.unique(word)]
    return float(np.mean(precisions))


def average_precision(score: np.ndarray, own: np.ndarray) -> float:
    """Return the average precision with which own [n] of all scores [N] are ranked high; own are among all."""
    as_high, own_as_high = (len(x) - np.searchsorted(np.sort(x), own) for x in (score, own))  # [n] each
    return float(np.mean(own_as_high / as_high))


def of_words(
    scores: np.ndarray, word: np.ndarray, chosen: Sequence[int], *, only_among: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and words of the clips of some words, numbered by their place in ``chosen``.

    A network for all C words can be asked about a few of them in two ways, and Izutov 2020 (table III) does not
    say which it means. With ``only_among`` an answer is one of the chosen words: scores [n, chosen]. Without, any
    word can be the answer, and those not chosen are always wrong: scores [n, C], the chosen words first. Raises
    ValueError for words chosen twice, not among the C, or without a clip.
    """
    chosen = np.asarray(chosen, np.int64)
    if len(np.unique(chosen)) != len(chosen) or not np.isin(chosen, np.arange(scores.shape[1])).all():
        raise ValueError(f"chosen words are different numbers under {scores.shape[1]}, not {chosen.tolist()}")
    rows = np.isin(word, chosen)
    if not rows.any():
        raise ValueError(f"no clip shows any of the {len(chosen)} chosen words")
    others = np.setdiff1d(np.arange(scores.shape[1]), chosen)
    order = chosen if only_among else np.concatenate([chosen, others])
    place = np.empty(scores.shape[1], np.int64)
    place[np.concatenate([chosen, others])] = np.arange(scores.shape[1])
    return scores[rows][:, order], place[word[rows]]
