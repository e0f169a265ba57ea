"""Top-1 and mean average precision against loops and against what is known by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from thesislib.evaluation.retrieval import mean_average_precision, of_words, word_metrics


def made_up(seed: int, n: int = 40, words: int = 6, ties: bool = False):
    rng = np.random.default_rng(seed)
    scores, word = rng.normal(size=(n, words)), rng.integers(0, words, n)
    return (scores.round(0) if ties else scores), word


def by_definition(score, own):
    """Average precision: at each of the word's clips, the share of its own among all that score as high."""
    shares = [own[score >= score[clip]].mean() for clip in np.flatnonzero(own)]
    return sum(shares) / len(shares)


@pytest.mark.parametrize("ties", [False, True])
def test_map_is_the_mean_of_precisions_at_each_own_clip(ties):
    scores, word = made_up(0, ties=ties)
    loops = np.mean([by_definition(scores[:, w], word == w) for w in np.unique(word)])
    assert mean_average_precision(scores, word) == pytest.approx(loops)


@pytest.mark.parametrize("ties", [False, True])
def test_map_is_scikit_learns_macro_average(ties):
    scores, word = made_up(1, ties=ties)
    own = np.eye(scores.shape[1], dtype=int)[word]
    assert mean_average_precision(scores, word) == pytest.approx(
        average_precision_score(own, scores, average="macro")
    )


def test_a_known_ranking():
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    word = np.array([0, 1, 0, 1])
    # word 0: own clips at ranks 1 and 3; word 1 ranks the other way round: own clips at ranks 1 and 3 too
    assert mean_average_precision(scores, word) == pytest.approx((1 + 2 / 3) / 2)
    found = word_metrics(scores, word)
    assert found == {
        "top1": 0.5,
        "top1_macro": 0.5,
        "map": pytest.approx(5 / 6),
        "n_clips": 4,
        "n_words": 2,
    }


def test_a_word_with_many_clips_weighs_as_much_as_one_with_few():
    scores = np.eye(3)[[0, 0, 0, 1]]  # three clips of word 0 are right, the one of word 2 is read as word 1
    word = np.array([0, 0, 0, 2])
    found = word_metrics(scores, word)
    assert found["top1"] == 0.75 and found["top1_macro"] == 0.5 and found["n_words"] == 2
    assert found["map"] == pytest.approx((1 + 1 / 4) / 2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_metrics_know_only_ranks_and_not_the_order_of_clips(seed):
    scores, word = made_up(seed)
    before = word_metrics(scores, word)
    order = np.random.default_rng(seed).permutation(len(word))
    assert word_metrics(scores[order], word[order]) == pytest.approx(before)
    assert word_metrics(np.exp(scores), word) == pytest.approx(before)
    assert word_metrics(np.eye(scores.shape[1])[word], word)["map"] == 1
    assert 0 < before["map"] <= 1


def test_guessing_finds_each_word_as_often_as_it_is_signed():
    word = np.repeat(np.arange(5), 4)
    assert mean_average_precision(np.zeros((20, 5)), word) == pytest.approx(1 / 5)


def test_a_few_words_of_many_are_asked_in_two_ways():
    scores, word = made_up(2, n=200)
    chosen = [4, 1]
    strict, number = of_words(scores, word, chosen, only_among=False)
    among, same_number = of_words(scores, word, chosen, only_among=True)
    assert strict.shape == (len(number), 6) and among.shape == (len(number), 2)
    assert (number == same_number).all() and (np.array(chosen)[number] == word[np.isin(word, chosen)]).all()
    asked = scores[np.isin(word, chosen)]
    hit = asked.argmax(axis=1) == word[np.isin(word, chosen)]
    assert word_metrics(strict, number)["top1"] == pytest.approx(hit.mean())
    assert (among == asked[:, chosen]).all()
    assert word_metrics(among, number)["top1"] > word_metrics(strict, number)["top1"]  # fewer answers
    assert word_metrics(among, number)["map"] == word_metrics(strict, number)["map"]  # the same columns


@pytest.mark.parametrize(
    ("scores", "word", "message"),
    [
        (np.zeros((2, 3)), np.array([0]), "scores must be"),
        (np.zeros((0, 3)), np.zeros(0, int), "scores must be"),
        (np.zeros((1, 3)), np.array([3]), "a column|one for each"),
        (np.full((1, 3), -np.inf), np.array([0]), "finite"),
        (np.full((1, 3), np.nan), np.array([0]), "numbers|finite"),
    ],
)
def test_scores_that_do_not_fit_are_refused(scores, word, message):
    with pytest.raises(ValueError, match=message):
        mean_average_precision(scores, word)
    with pytest.raises(ValueError, match=message):
        word_metrics(scores, word)


@pytest.mark.parametrize(("chosen", "message"), [([0, 0], "different"), ([9], "under 6"), ([5], "no clip")])
def test_words_that_cannot_be_asked_are_refused(chosen, message):
    with pytest.raises(ValueError, match=message):
        of_words(np.zeros((3, 6)), np.array([0, 1, 2]), chosen, only_among=True)
