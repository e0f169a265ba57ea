import itertools
import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, top_k_accuracy_score

from thesislib.evaluation.signers import (
    Split,
    accuracy,
    bootstrap,
    hits,
    inner_folds,
    k_shot,
    random_split,
    require_strangers,
    same_signer,
    zero_shot,
)

seeds = st.integers(0, 10_000)
some = settings(max_examples=40)


@st.composite
def pictures(
    draw, clips: tuple[int, int] = (1, 3), frames: tuple[int, int] = (1, 7)
) -> tuple[np.ndarray, ...]:
    """letter, signer, clip and frame of a small set, stored in any order, with holes between the frames."""
    rows, number = [], itertools.count(draw(st.integers(0, 5)))
    for signer in draw(st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True)):
        for letter in draw(st.lists(st.integers(0, 30), min_size=1, max_size=3, unique=True)):
            for _ in range(draw(st.integers(*clips))):
                clip, at = next(number), 0
                for _ in range(draw(st.integers(*frames))):
                    at += draw(st.integers(1, 3))
                    rows.append((letter, signer, clip, at))
    return tuple(np.array(draw(st.permutations(rows)), dtype=np.int64).T)


def close(clip, frame, a: int, b: int, gap: int) -> bool:
    return clip[a] == clip[b] and abs(frame[a] - frame[b]) <= gap


def made(letters: int, signers: int, clips: int, frames: int) -> tuple[np.ndarray, ...]:
    """letter, signer, clip and frame of a full set in which each letter of a signer has the same clips."""
    signer, letter, take, frame = np.indices((signers, letters, clips, frames)).reshape(4, -1)
    return letter, signer, (signer * letters + letter) * clips + take, frame


# A split is what it says ------------------------------------------------------------------------------


def rows(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


@pytest.mark.parametrize(
    ("train", "test", "says"),
    [
        (rows(0, 1, 2), rows(2, 3), "1 pictures are in train and in test, the first is row 2"),
        (rows(0, 0), rows(1), "different numbers"),
        (rows(-1), rows(1), "different numbers"),
        (rows(), rows(1), "one or more"),
        (rows(0), rows(), "one or more"),
        (np.array([0.0]), rows(1), "int64"),
        (np.array([True, False]), rows(1), "int64"),
        (rows(0)[None], rows(1), "int64"),
    ],
)
def test_a_split_that_is_none_is_refused(train, test, says):
    with pytest.raises(ValueError, match=says):
        Split(train, test)


def test_known_signers_are_no_strangers():
    split = Split(rows(0, 1), rows(2))
    assert require_strangers(split, np.array([4, 4, 5])) is split
    with pytest.raises(ValueError, match=r"signers \[4\] are trained on and tested"):
        require_strangers(split, np.array([4, 5, 4]))


# Zero shots -------------------------------------------------------------------------------------------


@some
@given(pictures())
def test_zero_shot_asks_all_of_one_signer_and_trains_on_all_of_the_rest(numbers):
    signer = numbers[1]
    for left_out in np.unique(signer):
        if (signer == left_out).all():
            continue
        split = zero_shot(signer, left_out)
        assert {int(signer[row]) for row in split.test} == {int(left_out)}
        assert int(left_out) not in {int(signer[row]) for row in split.train}
        assert sorted([*split.train, *split.test]) == list(range(len(signer)))


def test_zero_shot_needs_two_signers():
    with pytest.raises(ValueError, match="somebody else"):
        zero_shot(np.array([3, 3]), 3)
    with pytest.raises(ValueError, match="leave out signer 4"):
        zero_shot(np.array([3, 5]), 4)


@some
@given(pictures(), st.integers(0, 9))
def test_inner_folds_never_see_the_signer_left_out(numbers, left_out):
    signer = numbers[1]
    others = sorted(set(signer.tolist()) - {left_out})
    if len(others) < 2:
        with pytest.raises(ValueError, match="two other signers"):
            inner_folds(signer, left_out)
        return
    folds = inner_folds(signer, left_out)
    assert [set(signer[fold.test]) for fold in folds] == [{name} for name in others]
    for fold in folds:
        require_strangers(fold, signer)
        assert sorted([*fold.train, *fold.test]) == np.flatnonzero(signer != left_out).tolist()


# A few shots ------------------------------------------------------------------------------------------


@some
@given(pictures(), st.integers(1, 5), st.integers(0, 3), seeds)
def test_k_shot_takes_neighbours_and_asks_all_that_is_far_enough(numbers, shots, gap, seed):
    letter, signer, clip, frame = numbers
    who = int(signer[0])
    try:
        split = k_shot(*numbers, who, shots, gap=gap, seed=seed)
    except ValueError as error:
        assert "too few" in str(error)
        assume(False)
    assert (signer[split.train] == who).all() and (signer[split.test] == who).all()
    for name in set(letter[signer == who].tolist()):
        line = sorted(np.flatnonzero((signer == who) & (letter == name)), key=lambda r: (clip[r], frame[r]))
        known = [line.index(row) for row in split.train if letter[row] == name]
        assert sorted(known) == list(range(min(known), min(known) + shots))  # neighbours
        prototypes = [line[place] for place in known]
        far = {
            r
            for r in line
            if r not in prototypes and not any(close(clip, frame, r, p, gap) for p in prototypes)
        }
        assert far and far == {row for row in split.test if letter[row] == name}
        if len({clip[row] for row in prototypes}) > 1:  # only where no place inside a clip would do
            assert not places_inside_a_clip(line, clip, frame, shots, gap)


def places_inside_a_clip(line, clip, frame, shots: int, gap: int) -> list[int]:
    """The starts of blocks of one clip that leave something to ask, by trying them all."""
    found = []
    for start in range(len(line) - shots + 1):
        block = line[start : start + shots]
        left = [r for r in line if r not in block and not any(close(clip, frame, r, p, gap) for p in block)]
        if len({clip[row] for row in block}) == 1 and left:
            found.append(start)
    return found


@some
@given(pictures(), st.integers(1, 5), st.integers(0, 3), seeds)
def test_k_shot_refuses_only_what_cannot_be(numbers, shots, gap, seed):
    letter, signer, clip, frame = numbers
    who = int(signer[0])
    scarce = []
    for name in sorted(set(letter[signer == who].tolist())):
        line = sorted(np.flatnonzero((signer == who) & (letter == name)), key=lambda r: (clip[r], frame[r]))
        blocks = [line[start : start + shots] for start in range(len(line) - shots + 1)]
        if not any(
            all(not close(clip, frame, r, p, gap) for p in block)
            for block in blocks
            for r in set(line) - set(block)
        ):
            scarce.append(f"letter {name} has {len(line)}")
    if not scarce:
        k_shot(*numbers, who, shots, gap=gap, seed=seed)
        return
    with pytest.raises(ValueError, match=", ".join(scarce) + "$"):
        k_shot(*numbers, who, shots, gap=gap, seed=seed)


@some
@given(pictures(frames=(4, 7)), st.integers(1, 3), seeds, st.randoms(use_true_random=False))
def test_the_order_in_which_pictures_are_stored_makes_no_difference(numbers, shots, seed, random):
    who = int(numbers[1][0])
    order = np.array(random.sample(range(len(numbers[0])), len(numbers[0])))
    stored = tuple(column[order] for column in numbers)
    for split, again in (
        (k_shot(*of, who, shots, gap=0, seed=seed) for of in (numbers, stored)),
        (same_signer(*of, who, gap=0) for of in (numbers, stored)),
        (random_split(*of, who, seed=seed) for of in (numbers, stored)),
    ):
        assert sorted(order[again.train]) == split.train.tolist()
        assert sorted(order[again.test]) == split.test.tolist()


def test_a_draw_of_one_letter_and_signer_does_not_hang_on_the_others():
    letter, signer, clip, frame = numbers = made(letters=4, signers=3, clips=1, frames=50)
    kept = np.flatnonzero((letter != 1) & (signer != 0))
    alone = k_shot(*(column[kept] for column in numbers), 2, 3, gap=2, seed=5)
    whole = k_shot(*numbers, 2, 3, gap=2, seed=5)
    assert kept[alone.train].tolist() == [row for row in whole.train if letter[row] != 1]
    starts = {(int(s), int(n)): None for s in range(3) for n in range(4)}
    for s, n in starts:
        train = k_shot(*numbers, s, 3, gap=2, seed=5).train
        starts[s, n] = int(frame[train[letter[train] == n]].min())
    assert (
        len(set(starts.values())) > 6
    )  # and the places of different ones have nothing to do with each other


def test_every_place_is_drawn_about_equally_often():
    numbers = made(letters=1, signers=1, clips=1, frames=12)
    starts = [int(k_shot(*numbers, 0, 3, gap=1, seed=seed).train[0]) for seed in range(1000)]
    counts = np.bincount(starts)
    assert len(counts) == 10  # a block of 3 starts at 0 to 9
    assert np.abs(counts - 100).max() < 5 * np.sqrt(90)


def test_two_bursts_of_five_photographs():
    letter, signer, clip, frame = numbers = made(letters=24, signers=2, clips=2, frames=5)
    five = k_shot(*numbers, 1, 5, gap=1, seed=0)
    for name in range(24):  # one burst is known, the other asked
        known, asked = (set(clip[side[letter[side] == name]]) for side in (five.train, five.test))
        assert len(known) == len(asked) == 1 and known != asked
    seven = k_shot(*numbers, 1, 7, gap=1, seed=0)
    for name in range(24):  # from one burst over into the next: each has some
        block = seven.train[letter[seven.train] == name]
        assert sorted(np.unique(clip[block], return_counts=True)[1]) in ([2, 5], [3, 4])
    with pytest.raises(
        ValueError, match="signer 1 for 10 shots and a gap of 1: letter 0 has 10, letter 1 has 10"
    ):
        k_shot(*numbers, 1, 10, gap=1, seed=0)
    other_burst = k_shot(*numbers, 1, 1, gap=5, seed=0)  # a gap as long as a burst leaves the whole burst out
    for name in range(24):
        known, asked = (
            set(clip[side[letter[side] == name]]) for side in (other_burst.train, other_burst.test)
        )
        assert known.isdisjoint(asked)


# Halves -----------------------------------------------------------------------------------------------


@some
@given(pictures(), st.integers(0, 3))
def test_the_first_half_is_taken_before_the_second(numbers, gap):
    letter, signer, clip, frame = numbers
    who = int(signer[0])
    try:
        split = same_signer(*numbers, who, gap=gap)
    except ValueError as error:
        assert "two halves and a gap" in str(error)
        assume(False)
    for name in set(letter[signer == who].tolist()):
        line = sorted(np.flatnonzero((signer == who) & (letter == name)), key=lambda r: (clip[r], frame[r]))
        first, second = line[: len(line) // 2], line[len(line) // 2 :]
        assert [row for row in line if row in split.train] == first
        asked = [r for r in second if not any(close(clip, frame, r, p, gap) for p in first)]
        assert asked and [row for row in line if row in split.test] == asked
    assert (signer[np.concatenate([split.train, split.test])] == who).all()


@some
@given(pictures(frames=(2, 7)), seeds)
def test_random_halves_are_as_large_as_contiguous_ones_and_cover_the_signer(numbers, seed):
    letter, signer, *_ = numbers
    who = int(signer[0])
    leaky, honest = random_split(*numbers, who, seed=seed), same_signer(*numbers, who, gap=0)
    assert sorted(letter[leaky.train]) == sorted(letter[honest.train])
    assert sorted([*leaky.train, *leaky.test]) == np.flatnonzero(signer == who).tolist()


def test_random_halves_leak_neighbours_and_contiguous_ones_do_not():
    letter, signer, clip, frame = numbers = made(letters=5, signers=2, clips=1, frames=40)
    leaky, honest = random_split(*numbers, 1, seed=3), same_signer(*numbers, 1, gap=4)

    def with_a_neighbour(split: Split) -> float:
        pairs = [any(close(clip, frame, q, p, 1) for p in split.train) for q in split.test]
        return np.mean(pairs)

    assert with_a_neighbour(leaky) > 0.6 and with_a_neighbour(honest) == 0
    assert not np.array_equal(leaky.train, random_split(*numbers, 1, seed=4).train)


# What is refused --------------------------------------------------------------------------------------


def test_impossible_requests_are_refused_with_a_reason():
    numbers = made(letters=2, signers=1, clips=1, frames=4)
    with pytest.raises(ValueError, match=r"signer 7 has no picture; there are signers \[0\]"):
        k_shot(*numbers, 7, 1, gap=0, seed=0)
    with pytest.raises(ValueError, match="shots must be 1 or more"):
        k_shot(*numbers, 0, 0, gap=0, seed=0)
    with pytest.raises(ValueError, match="gap must be 0 or more"):
        same_signer(*numbers, 0, gap=-1)
    with pytest.raises(ValueError, match="letter 0 has 4, letter 1 has 4"):
        same_signer(*numbers, 0, gap=3)
    letter, signer, clip, frame = numbers
    with pytest.raises(ValueError, match="same clip and frame"):
        random_split(letter, signer, clip, np.zeros_like(frame), 0, seed=0)
    single = tuple(column[:5] for column in numbers)  # four of letter 0, one of letter 1
    with pytest.raises(ValueError, match="two halves: letter 1 has 1"):
        random_split(*single, 0, seed=0)


# Accuracy ---------------------------------------------------------------------------------------------


@st.composite
def scored(draw) -> tuple[np.ndarray, np.ndarray]:
    """Scores [Q, C] with many ties and some -inf, and letters [Q]."""
    random = np.random.RandomState(draw(seeds))
    queries, letters = draw(st.integers(1, 20)), draw(st.integers(1, 5))
    scores = random.randint(-2, 3, size=(queries, letters)).astype(np.float32)
    scores[:, random.rand(letters) < 0.2] = -np.inf
    return scores, random.randint(letters, size=queries)


def best(row: np.ndarray, k: int) -> list[int]:
    """The k best letters of a row that score at all, ties to the earlier, by picking one after the other."""
    left = {place: value for place, value in enumerate(row) if value > -np.inf}
    chosen = []
    while left and len(chosen) < k:
        chosen.append(max(left, key=lambda place: (left[place], -place)))
        del left[chosen[-1]]
    return chosen


@given(scored())
def test_accuracy_is_that_of_a_slow_loop(case):
    scores, letter = case
    got = accuracy(scores, letter)
    for k in (1, 2):
        right = [int(true) in best(row, k) for row, true in zip(scores, letter, strict=True)]
        assert hits(scores, letter, k).tolist() == right
        shares = [
            np.mean([hit for hit, true in zip(right, letter, strict=True) if true == name])
            for name in set(letter.tolist())
        ]
        assert got[f"top{k}_micro"] == pytest.approx(np.mean(right))
        assert got[f"top{k}_macro"] == pytest.approx(np.mean(shares))
        assert type(got[f"top{k}_macro"]) is type(got[f"top{k}_micro"]) is float


def test_accuracy_is_scikit_learns_where_nothing_ties():
    random = np.random.RandomState(0)
    letter = random.randint(4, size=300) % random.randint(1, 5, size=300)  # uneven
    scores = random.randn(300, 4) + np.eye(4)[letter]
    got = accuracy(scores, letter)
    assert got["top1_micro"] == pytest.approx(accuracy_score(letter, scores.argmax(axis=1)))
    assert got["top1_macro"] == pytest.approx(balanced_accuracy_score(letter, scores.argmax(axis=1)))
    assert got["top2_micro"] == pytest.approx(top_k_accuracy_score(letter, scores, k=2))


def test_the_same_scores_for_all_letters_are_chance():
    got = accuracy(np.zeros((60, 6)), np.arange(60) % 6)
    assert got["top1_macro"] == pytest.approx(1 / 6) and got["top2_macro"] == pytest.approx(2 / 6)


@pytest.mark.parametrize(
    ("scores", "letter"),
    [
        (np.zeros((2, 3)), np.array([0, 3])),
        (np.zeros((2, 3)), np.array([0, -1])),
        (np.full((2, 3), np.nan), np.array([0, 1])),
        (np.zeros((2, 3)), np.array([0])),
        (np.zeros((0, 3)), np.array([], dtype=int)),
        (np.zeros(3), np.array([0, 1, 2])),
    ],
)
def test_scores_that_do_not_fit_are_refused(scores, letter):
    with pytest.raises(ValueError, match="scores must be"):
        accuracy(scores, letter)


# Bootstrap --------------------------------------------------------------------------------------------


def test_one_signer_with_a_picture_a_clip_is_the_textbook_bootstrap():
    random = np.random.RandomState(0)
    correct = random.rand(200) < 0.7
    low, high = bootstrap(correct, np.zeros(200, dtype=int), np.arange(200), seed=1, rounds=4000)
    textbook = correct[random.randint(200, size=(4000, 200))].mean(axis=1)
    assert (low, high) == pytest.approx(np.percentile(textbook, [2.5, 97.5]), abs=0.01)
    half = 1.96 * np.sqrt(correct.mean() * (1 - correct.mean()) / 200)
    assert (high - low) / 2 == pytest.approx(half, rel=0.08)


def test_it_is_the_slow_loop_in_distribution():
    """Signers and clips of different sizes, against loops over signers, clips and pictures."""
    random = np.random.RandomState(2)
    clip = np.repeat(np.arange(30), random.randint(1, 6, size=30))
    signer = clip % 4  # clips 0, 4, 8, ... are of signer 0
    correct = random.rand(len(clip)) < 0.3 + 0.15 * signer
    letter = clip % 3
    for by_letter in (None, letter):
        means = []
        for _ in range(500):
            drawn = []
            for who in random.choice(4, 4):
                names = np.unique(clip[signer == who])
                right = total = 0.0
                for name in random.choice(names, len(names)):
                    for row in np.flatnonzero(clip == name):
                        same = (signer == who) & (letter == letter[row])
                        weight = 1.0 if by_letter is None else 1 / same.sum()
                        right, total = right + weight * correct[row], total + weight
                drawn.append(right / total)
            means.append(np.mean(drawn))
        got = bootstrap(correct, signer, clip, seed=0, rounds=4000, letter=by_letter)
        assert got == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.04)


def test_pictures_that_are_right_or_wrong_together_widen_it():
    random = np.random.RandomState(0)
    clip, signer = np.repeat(np.arange(100), 20), np.zeros(2000, dtype=int)
    together = (random.rand(100) < 0.7)[clip]  # a clip is right or wrong as a whole
    low, high = bootstrap(together, signer, clip, seed=0)
    apart_low, apart_high = bootstrap(together, signer, np.arange(2000), seed=0)
    assert high - low == pytest.approx(np.sqrt(20) * (apart_high - apart_low), rel=0.15)


def test_signers_that_differ_widen_it():
    clip, signer = np.arange(1000), np.repeat(np.arange(10), 100)
    alike = np.random.RandomState(0).rand(1000) < 0.7
    unlike = np.random.RandomState(0).rand(1000) < np.linspace(0.5, 0.9, 10)[signer]
    width = [np.diff(bootstrap(correct, signer, clip, seed=0))[0] for correct in (alike, unlike)]
    assert width[1] > 2 * width[0]


@some
@given(pictures(), seeds)
def test_shares_of_draws_and_their_queries_laid_end_to_end_agree(numbers, seed):
    letter, signer, clip, _ = numbers
    draws = np.random.RandomState(seed).rand(3, len(letter)) < 0.6
    long = [np.tile(column, 3) for column in (signer, clip, letter)]
    got = bootstrap(draws.ravel(), long[0], long[1], seed=seed, rounds=50, letter=long[2])
    assert got == pytest.approx(
        bootstrap(draws.mean(axis=0), signer, clip, seed=seed, rounds=50, letter=letter)
    )
    assert 0 <= got[0] <= got[1] <= 1


def test_macro_and_micro_part_where_letters_are_uneven():
    letter = np.repeat([0, 1], [180, 20])
    correct = letter == 0  # 0.9 micro, 0.5 macro
    signer, clip = np.zeros(200, dtype=int), np.arange(200)
    low, high = bootstrap(correct, signer, clip, seed=0)
    assert low < 0.9 < high and low > 0.8
    low, high = bootstrap(correct, signer, clip, seed=0, letter=letter)
    assert low < 0.5 < high and high < 0.7


def test_it_follows_from_the_seed_and_knows_when_all_is_right():
    correct, signer, clip = np.arange(60) % 3 > 0, np.arange(60) % 5, np.arange(60)
    assert bootstrap(correct, signer, clip, seed=4) == bootstrap(correct, signer, clip, seed=4)
    assert bootstrap(np.ones(60), signer, clip, seed=4) == (1.0, 1.0)
    with pytest.raises(ValueError, match="no queries"):
        bootstrap(np.ones(0), signer[:0], clip[:0], seed=0)


def test_five_thousand_pictures_take_a_moment():
    random = np.random.RandomState(0)
    correct, signer, clip = random.rand(5000) < 0.7, random.randint(5, size=5000), np.arange(5000)

    def seconds() -> float:
        start = time.process_time()
        bootstrap(correct, signer, clip, seed=0)
        return time.process_time() - start

    assert min(seconds() for _ in range(3)) < 0.4  # half of it on a quiet core
