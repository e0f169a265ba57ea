import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thesislib.evaluation.readers import MOST_DIMENSIONS, READERS, nearest, prototype_mean, ridge, shrunk_lda

seeds = st.integers(0, 10_000)
few = settings(max_examples=25)


def cosine(a, b) -> float:
    long = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / long if long else 0.0


def features(seed: int, letters: int, each: int, queries: int, dimensions: int, spread: float = 1.0):
    """Training vectors around a random middle for each letter, and queries with the letter they are of."""
    random = np.random.RandomState(seed)
    middle = random.randn(letters, dimensions)
    train, asked = np.repeat(np.arange(letters), each), random.randint(letters, size=queries)
    x = middle[train] + spread * random.randn(len(train), dimensions)
    q = middle[asked] + spread * random.randn(queries, dimensions)
    return x.astype(np.float32), train, q.astype(np.float32), asked


# What each computes -----------------------------------------------------------------------------------


@given(seeds, st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_cosines_are_those_of_plain_loops(seed, letters, each, dimensions):
    x, letter, q, _ = features(seed, letters, each, 3, dimensions)
    x[0] = 0  # a vector of zeros among the prototypes and among the queries
    q[0] = 0
    close, mean = nearest(x, letter, q, letters), prototype_mean(x, letter, q, letters)
    for row, query in enumerate(q.tolist()):
        for name in range(letters):
            own = x[letter == name].tolist()
            assert close[row, name] == pytest.approx(max(cosine(query, p) for p in own), abs=1e-5)
            lengths = [math.sqrt(sum(v * v for v in p)) or 1.0 for p in own]
            middle = [
                sum(p[d] / n for p, n in zip(own, lengths, strict=True)) / len(own) for d in range(dimensions)
            ]
            if sum(v * v for v in middle) > 1e-4:  # else two opposite pictures have hardly a mean
                assert mean[row, name] == pytest.approx(cosine(query, middle), abs=1e-3)


@few
@given(seeds, st.integers(2, 5), st.integers(3, 6), st.integers(2, 6))
def test_shrunk_lda_is_the_closed_formula(seed, letters, each, dimensions):
    """x.S^-1.m - m.S^-1.m / 2 with S = (1 - b) W + b tr(W) / D, W within letters, b by Ledoit and Wolf's lemma."""
    x, letter, q, _ = features(seed, letters, each, 5, dimensions)
    x, q = x.astype(np.float64), q.astype(np.float64)
    means = [x[letter == name].mean(axis=0) for name in range(letters)]
    spread = [v - means[name] for v, name in zip(x, letter, strict=True)]
    within = sum(np.outer(r, r) for r in spread) / len(x)
    target = np.trace(within) / dimensions * np.eye(dimensions)
    noise = sum(((np.outer(r, r) - within) ** 2).sum() for r in spread) / len(x) ** 2
    share = min(1, noise / ((within - target) ** 2).sum())
    inverse = np.linalg.inv((1 - share) * within + share * target)
    want = np.array([[v @ inverse @ m - m @ inverse @ m / 2 for m in means] for v in q])
    assert shrunk_lda(x, letter, q, letters) == pytest.approx(
        want, rel=1e-3, abs=1e-4 * (1 + np.abs(want).max())
    )


@few
@given(seeds, st.integers(3, 5), st.integers(1, 4), st.integers(1, 8))
def test_ridge_is_the_closed_formula(seed, letters, each, dimensions):
    x, letter, q, _ = features(seed, letters, each, 4, dimensions)
    x, q = x.astype(np.float64), q.astype(np.float64)
    z, zq = (x - x.mean(axis=0)) / x.std(axis=0), (q - x.mean(axis=0)) / x.std(axis=0)
    target = 2.0 * np.eye(letters)[letter] - 1
    weights = np.linalg.solve(z.T @ z + dimensions * np.eye(dimensions), z.T @ (target - target.mean(axis=0)))
    want = zq @ weights + target.mean(axis=0)
    assert ridge(x, letter, q, letters) == pytest.approx(want, rel=1e-4, abs=1e-4)


def test_a_mean_of_many_shots_beats_the_nearest_of_them_in_noise():
    x, letter, q, asked = features(0, 10, 20, 500, 20, spread=2.0)
    right = {name: (reader(x, letter, q, 10).argmax(1) == asked).mean() for name, reader in READERS.items()}
    assert right["prototype_mean"] > right["max"] + 0.05
    assert min(right.values()) > 0.3


# What all of them promise -----------------------------------------------------------------------------

every_reader = pytest.mark.parametrize("name", READERS)


@every_reader
@pytest.mark.parametrize("letters", [2, 3, 6])
def test_well_separated_letters_are_read(name, letters):
    x, letter, q, asked = features(1, letters, 5, 40, 12, spread=0.05)
    scores = READERS[name](x, letter, q, letters)
    assert scores.dtype == np.float32 and scores.shape == (40, letters)
    assert (scores.argmax(axis=1) == asked).all()


@every_reader
@few
@given(seed=seeds, present=st.sets(st.integers(0, 5), min_size=1), each=st.integers(1, 4))
def test_letters_without_a_picture_score_minus_infinity_and_are_never_read(name, seed, present, each):
    x, letter, q, _ = features(seed, len(present), each, 6, 4)
    letter = np.array(sorted(present))[letter]
    scores = READERS[name](x, letter, q, 6)
    absent = sorted(set(range(6)) - present)
    assert (scores[:, absent] == -np.inf).all()
    assert np.isfinite(scores[:, sorted(present)]).all()
    assert set(scores.argmax(axis=1)) <= present


@every_reader
@few
@given(seed=seeds, letters=st.integers(1, 4), each=st.integers(1, 4))
def test_constant_features_and_vectors_of_zeros_give_numbers(name, seed, letters, each):
    x, letter, q, _ = features(seed, letters, each, 5, 4)
    x[:, 1], q[:, 1] = 3, 3
    x[:, 2], q[:, 2] = 0, 0
    x[-1], q[-1] = 0, 0
    assert np.isfinite(READERS[name](x, letter, q, letters)).all()
    assert np.isfinite(READERS[name](np.zeros_like(x), letter, np.zeros_like(q), letters)).all()


@every_reader
@few
@given(seed=seeds)
def test_the_order_of_the_pictures_makes_no_difference(name, seed):
    x, letter, q, _ = features(seed, 3, 4, 5, 3)
    order = np.random.RandomState(seed).permutation(len(x))
    got = READERS[name](x[order], letter[order], q, 3)
    assert got == pytest.approx(READERS[name](x, letter, q, 3), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("name", ["max", "prototype_mean"])
def test_cosines_do_not_see_the_length_of_a_vector(name):
    x, letter, q, _ = features(0, 4, 3, 6, 5)
    random = np.random.RandomState(1)
    longer = READERS[name](x * random.uniform(0.1, 9, (12, 1)), letter, q * random.uniform(0.1, 9, (6, 1)), 4)
    assert longer == pytest.approx(READERS[name](x, letter, q, 4), abs=1e-5)


@given(seeds, st.integers(1, 5), st.integers(1, 300))
def test_a_single_picture_a_letter_has_no_spread_so_lda_reads_by_the_mean(seed, letters, dimensions):
    x, letter, q, _ = features(seed, letters, 1, 4, dimensions)
    mean = prototype_mean(x, letter, q, letters)
    assert np.array_equal(shrunk_lda(x, letter, q, letters), mean)
    thrice = shrunk_lda(
        np.repeat(x, 3, axis=0), np.repeat(letter, 3), q, letters
    )  # copies have no spread either
    assert thrice == pytest.approx(mean, abs=1e-6)


def test_lda_looks_where_letters_part_and_not_where_they_spread():
    """The letter is in a quiet feature beside a loud one: the cosine to the mean is led astray, LDA is not."""
    random = np.random.RandomState(0)
    letter, asked = np.arange(200) % 2, np.arange(200) % 2

    def vectors(of: np.ndarray) -> np.ndarray:
        return np.stack([5 * random.randn(len(of)), 2 * of - 1 + 0.3 * random.randn(len(of))], axis=1)

    x, q = vectors(letter), vectors(asked)
    assert (shrunk_lda(x, letter, q, 2).argmax(axis=1) == asked).mean() > 0.98
    assert (prototype_mean(x, letter, q, 2).argmax(axis=1) == asked).mean() < 0.9


def test_many_dimensions_are_reduced_on_the_training_pictures_alone():
    x, letter, q, asked = features(3, 6, 10, 50, 4 * MOST_DIMENSIONS, spread=3.0)
    scores = shrunk_lda(x, letter, q, 6)
    assert (scores.argmax(axis=1) == asked).mean() > 0.9
    one_by_one = np.concatenate([shrunk_lda(x, letter, query[None], 6) for query in q])
    assert one_by_one == pytest.approx(scores, rel=1e-4, abs=1e-3)


@every_reader
def test_features_and_letters_that_do_not_fit_are_refused(name):
    read = READERS[name]
    x, letter, q = np.eye(3), np.arange(3), np.eye(3)
    with pytest.raises(ValueError, match="one or more vectors"):
        read(x[:0], letter[:0], q, 3)
    with pytest.raises(ValueError, match="a letter each"):
        read(x, letter[:2], q, 3)
    with pytest.raises(ValueError, match="other dimensions"):
        read(x, letter, q[:, :2], 3)
    for wrong in (letter - 1, letter + 1):
        with pytest.raises(ValueError, match="from 0 to 2"):
            read(x, wrong, q, 3)
    for wrong in (np.nan, np.inf):
        with pytest.raises(ValueError, match="must be finite"):
            read(x, letter, np.full((1, 3), wrong), 3)


@every_reader
def test_nothing_is_said_on_the_side(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x, letter, q, _ = features(0, 4, 3, 6, 5)
        kept = [0, 3, 4, 6, 7, 8, 9]  # one picture of the first letter
        READERS[name](x[kept], letter[kept], q, 4)
