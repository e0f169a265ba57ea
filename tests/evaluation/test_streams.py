"""Windows, decisions and their scores against loops, by hand, and clip by clip."""

import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thesislib.evaluation.streams import (
    REST,
    Events,
    central_segment,
    choose_threshold,
    decide,
    matches,
    signed,
    slide,
    stream_metrics,
    windows,
    word_errors,
)


def events(*rows) -> Events:
    """(word, begin, end) or (word, begin, end, confidence)."""
    columns = list(zip(*[(*row, 1.0)[:4] for row in rows], strict=True)) or [()] * 4
    return Events(*(np.array(column, np.int64) for column in columns[:3]), np.array(columns[3], float))


# Windows ----------------------------------------------------------------------------------------------


def test_the_central_segment_is_the_middle_of_a_long_sign():
    rows = central_segment(np.array([10, 10, 10]), np.array([26, 30, 31]), window=16)
    assert rows[0].tolist() == list(range(10, 26))
    assert rows[1].tolist() == list(range(12, 28))  # two frames left out on either side
    assert rows[2].tolist() == list(range(12, 28))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 50), st.integers(1, 60), st.integers(1, 24))
def test_the_central_segment_repeats_the_first_frame_of_a_short_sign(begin, length, window):
    (row,) = central_segment(np.array([begin]), np.array([begin + length]), window)
    if length <= window:
        expected = [begin] * (window - length) + list(range(begin, begin + length))
        assert row.tolist() == expected
    else:
        before, after = row[0] - begin, begin + length - 1 - row[-1]
        assert (np.diff(row) == 1).all() and 0 <= after - before <= 1 and len(row) == window


def test_windows_look_back_only():
    rows = windows(6, window=3)
    assert rows.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]
    assert windows(6, window=3, every=2).tolist() == rows[::2].tolist()
    assert (windows(40)[:20] == windows(20)).all()  # what comes later changes nothing


def test_streaming_equals_the_network_clip_by_clip():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv3d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool3d(1), torch.nn.Flatten()
    )

    @torch.no_grad()
    def classify(clips):
        assert clips.dtype == np.uint8
        return network(torch.from_numpy(clips).float().transpose(1, 2) / 255).numpy()

    stream = np.random.default_rng(0).integers(0, 256, (37, 3, 8, 8), dtype=np.uint8)
    scores = slide(stream, classify, batch=5)
    assert scores.shape == (37, 4)
    for last in (15, 16, 30, 36):
        clip = stream[None, last - 15 : last + 1]
        np.testing.assert_allclose(scores[last], classify(clip)[0], atol=1e-6)
    early = stream[[0] * 12 + [1, 2, 3, 4]]
    np.testing.assert_allclose(scores[4], classify(early[None])[0], atol=1e-6)
    np.testing.assert_allclose(slide(stream, classify, every=3), scores[::3], atol=1e-6)


# Decisions --------------------------------------------------------------------------------------------


def peaks(length, *places, words=3):
    """Scores that fall off by 0.1 a frame on both sides of (frame, word, height)."""
    scores = np.zeros((length, words))
    for frame, word, height in places:
        away = np.abs(np.arange(length) - frame)
        scores[:, word] = np.maximum(scores[:, word], height - 0.1 * away)
    return scores


def test_each_peak_is_said_once_and_when_its_window_ends():
    said = decide(peaks(80, (20, 1, 0.9), (50, 0, 0.7)), threshold=0.5)
    assert said.word.tolist() == [1, 0] and said.end.tolist() == [21, 51]
    assert (said.end - said.begin).tolist() == [16, 16]
    assert said.confidence == pytest.approx([0.9, 0.7])


def test_the_surer_word_silences_its_neighbours_and_the_threshold_the_unsure():
    scores = peaks(80, (20, 1, 0.9), (24, 2, 0.8), (60, 0, 0.4))
    assert decide(scores, threshold=0.5, apart=8).word.tolist() == [1]
    assert decide(scores, threshold=0.5, apart=4).word.tolist() == [1, 2]
    assert decide(scores, threshold=0.3, apart=8).word.tolist() == [1, 0]
    assert len(decide(scores, threshold=0.95)) == 0


def test_steps_between_windows_are_counted_in_frames():
    scores = peaks(80, (20, 1, 0.9), (52, 0, 0.7))
    fine, coarse = decide(scores, threshold=0.5), decide(scores[::4], threshold=0.5, every=4)
    assert coarse.end.tolist() == fine.end.tolist() and coarse.begin.tolist() == fine.begin.tolist()


def test_a_long_plateau_is_one_sign_and_two_with_a_pause_between():
    scores = np.zeros((90, 2))
    scores[10:50, 1] = 0.8
    said = decide(scores, threshold=0.5, apart=8)
    assert said.word.tolist() == [1] and said.end.tolist() == [11]
    scores[30, 1] = 0.2
    assert decide(scores, threshold=0.5, apart=8).end.tolist() == [11, 32]


def suppressed(scores, threshold, apart):
    """By its words: candidates are the surest of each run; take the surest left, strike out all near it, again."""
    candidates, run = [], []
    for t, row in enumerate([*scores, None]):
        says = None if row is None or row.max() < threshold else int(row.argmax())
        if run and says != run[0][2]:
            candidates.append(min(run))
            run = []
        if says is not None:
            run.append((-row.max(), t, says))
    taken = []
    while candidates:
        _, t, word = min(candidates)
        taken.append((t, word))
        candidates = [c for c in candidates if abs(c[1] - t) >= apart]
    return sorted(taken)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 12), st.floats(0.3, 0.99))
def test_decisions_are_suppressed_runs_and_never_near_each_other(seed, apart, threshold):
    scores = np.random.default_rng(seed).random((60, 3)).round(1)  # with ties
    said = decide(scores, threshold=threshold, apart=apart)
    expected = suppressed(scores, threshold, apart)
    assert list(zip((said.end - 1).tolist(), said.word.tolist(), strict=True)) == expected
    assert (np.diff(said.end) >= apart).all() and (said.confidence >= threshold).all()


def test_signs_are_runs_of_one_word():
    found = signed([REST, 2, 2, 0, 0, 0, REST, REST, 2])
    assert found.word.tolist() == [2, 0, 2]
    assert found.begin.tolist() == [1, 3, 8] and found.end.tolist() == [3, 6, 9]
    assert len(signed([REST] * 4)) == 0


# Scores -----------------------------------------------------------------------------------------------


def test_a_sign_is_found_where_word_and_time_agree():
    truth = events((0, 10, 30), (1, 40, 60))
    said = events((0, 14, 30, 0.9), (0, 40, 56, 0.8), (1, 55, 71, 0.7))
    assert matches(said, truth, overlap=0.5).tolist() == [0, -1, -1]  # in time; the other word; too late
    assert matches(said, truth, overlap=0.8).tolist() == [0, -1, -1]  # 16 of 20 frames
    assert matches(said, truth, overlap=0.81).tolist() == [-1, -1, -1]
    assert matches(said, truth, overlap=0.1).tolist() == [0, -1, 1]


def test_a_sign_said_twice_is_right_once_and_the_surer_one_is():
    truth = events((0, 10, 30))
    said = events((0, 9, 25, 0.6), (0, 12, 28, 0.9))
    assert matches(said, truth, overlap=0.3).tolist() == [-1, 0]
    found = stream_metrics([said], [truth], overlap=0.3)
    assert found["precision"] == 0.5 and found["recall"] == 1 and found["f1"] == pytest.approx(2 / 3)
    assert found["word_error_rate"] == 1 and found["put_in"] == 1 and found["lag_frames"] == -2


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=6), st.lists(st.integers(0, 3), max_size=6))
def test_word_errors_are_levenshteins(said, truth):
    @functools.cache
    def distance(i, j):
        if not i or not j:
            return i + j
        same = said[i - 1] == truth[j - 1]
        return min(distance(i - 1, j - 1) + (not same), distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    found = word_errors(said, truth)
    assert sum(found.values()) == distance(len(said), len(truth))
    assert found["put_in"] - found["left_out"] == len(said) - len(truth)
    assert min(found.values()) >= 0


def test_word_errors_by_hand():
    assert word_errors([1, 2, 3], [1, 2, 3]) == {"substituted": 0, "left_out": 0, "put_in": 0}
    assert word_errors([1, 9, 3, 4], [1, 2, 3]) == {"substituted": 1, "left_out": 0, "put_in": 1}
    assert word_errors([], [1, 2]) == {"substituted": 0, "left_out": 2, "put_in": 0}


def test_streams_are_counted_together():
    first, second = events((0, 0, 16), (1, 20, 36)), events((2, 5, 21))
    perfect = stream_metrics([first, second], [first, second], overlap=1.0)
    assert perfect["f1"] == perfect["precision"] == perfect["recall"] == 1
    assert perfect["word_error_rate"] == 0 and perfect["n_streams"] == 2 and perfect["n_signed"] == 3
    half = stream_metrics([first, events()], [first, second], overlap=0.5)
    assert half["recall"] == pytest.approx(2 / 3) and half["precision"] == 1 and half["left_out"] == 1
    silent = stream_metrics([events()], [second], overlap=0.5)
    assert silent["f1"] == silent["precision"] == 0 and silent["word_error_rate"] == 1
    assert "lag_frames" not in silent


def test_the_threshold_is_the_one_of_the_highest_f1():
    scores = peaks(120, (20, 1, 0.9), (50, 0, 0.7), (90, 2, 0.4))
    truth = events((1, 5, 21), (0, 35, 51))
    assert choose_threshold([scores], [truth], [0.1, 0.3, 0.6, 0.65, 0.8], overlap=0.5) == 0.65
    with_third = events((1, 5, 21), (0, 35, 51), (2, 75, 91))
    assert choose_threshold([scores], [with_third], [0.1, 0.3, 0.6, 0.8], overlap=0.5) == 0.3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: central_segment(np.array([5]), np.array([5])), "end after"),
        (lambda: central_segment(np.array([-1]), np.array([5])), "frame 0 or later"),
        (lambda: windows(0), "a frame or more"),
        (lambda: slide(np.zeros((4, 8, 8, 3), np.uint8), len), "frames"),
        (lambda: decide(np.full((4, 2), np.nan), threshold=0.5), "numbers"),
        (lambda: events((0, 5, 5)), "begin before"),
        (lambda: events((0, 9, 12), (0, 1, 4)), "order"),
        (lambda: Events(np.zeros(2, int), np.zeros(1, int), np.ones(1, int), np.ones(1)), "one word"),
        (lambda: matches(events(), events((0, 0, 1)), overlap=0.0), "overlap"),
        (lambda: stream_metrics([events()], [events()], overlap=0.5), "nothing was signed"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
