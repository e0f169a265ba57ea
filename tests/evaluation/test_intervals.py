import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from thesislib.evaluation.intervals import of_the_mean, over_draws

values = st.lists(st.floats(-100, 100), min_size=2, max_size=30)


@given(values)
def test_the_interval_of_a_mean_is_scipys(v):
    got = of_the_mean(v)
    assert got["mean"] == pytest.approx(np.mean(v)) and got["n"] == len(v)
    assert got["sd"] == pytest.approx(np.std(v, ddof=1))
    error = stats.sem(v)
    if error > 1e-9:
        low, high = stats.t.interval(0.95, len(v) - 1, loc=np.mean(v), scale=error)
        assert (got["low"], got["high"]) == pytest.approx((low, high))


def test_an_interval_by_hand():
    # 1, 2, 3: mean 2, sd 1, standard error 1 / sqrt 3, Student's 97.5 % point with two degrees 4.3027
    got = of_the_mean([1, 2, 3])
    assert got["sd"] == pytest.approx(1)
    assert got["high"] - 2 == pytest.approx(4.302652730 / np.sqrt(3))
    assert 2 - got["low"] == pytest.approx(4.302652730 / np.sqrt(3))


def test_the_interval_covers_the_truth_nineteen_times_of_twenty():
    random = np.random.RandomState(0)
    intervals = [of_the_mean(random.normal(3.0, 2.0, size=4)) for _ in range(1000)]
    hits = sum(i["low"] <= 3.0 <= i["high"] for i in intervals)
    assert abs(hits - 950) < 5 * np.sqrt(1000 * 0.95 * 0.05)


@pytest.mark.parametrize("summary", [of_the_mean, over_draws])
def test_one_run_has_no_spread(summary):
    assert summary([0.25]) == {"mean": 0.25, "sd": 0.0, "low": 0.25, "high": 0.25, "n": 1}


@given(values)
def test_the_spread_over_draws_is_numpys(v):
    got = over_draws(v)
    assert got["mean"] == pytest.approx(np.mean(v)) and got["n"] == len(v)
    assert got["sd"] == pytest.approx(np.std(v, ddof=1))
    assert (got["low"], got["high"]) == pytest.approx((np.quantile(v, 0.025), np.quantile(v, 0.975)))


def test_the_central_95_percent_of_0_to_1000_are_25_to_975():
    got = over_draws(range(1001))
    assert (got["low"], got["high"], got["mean"]) == pytest.approx((25, 975, 500))


def test_summaries_are_plain_numbers():
    for got in (of_the_mean(np.float32([1, 2])), over_draws(np.float32([1, 2]))):
        assert [type(got[k]) for k in ("mean", "sd", "low", "high", "n")] == [float] * 4 + [int]
