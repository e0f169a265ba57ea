"""The curves of what to collect: who teaches, what their pictures are, how sure a point is, and one small run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thesislib import paths
from thesislib.chapters import more_signers
from thesislib.chapters.hand_sets import FIRST_SIGNER as LEARNED_FROM
from thesislib.chapters.letter_sets import FIRST_SIGNER as BUILT_IN
from thesislib.chapters.more_signers import Config, lessons, over_draws_and_signers, sets_of, teachers
from thesislib.config import ConfigError


@pytest.fixture
def folders(letters_taught, build_folder, monkeypatch):
    """Folders of their own, and a tiny letter network in the place of the committed one."""
    monkeypatch.setattr(paths, "CACHE", build_folder / "cache")


@given(people=st.integers(1, 20), data=st.data(), draws=st.integers(1, 12), seed=st.integers(0, 99))
def test_nobody_teaches_twice_until_all_had_a_turn(people, data, draws, seed):
    count = data.draw(st.integers(1, people))
    found = teachers(people, count, draws, seed)
    assert len(found) == (draws if count < people else 1)
    assert all(len(set(who.tolist())) == count and set(who) <= set(range(people)) for who in found)
    at_once = people // count
    for start in range(0, len(found), at_once):
        turn = np.concatenate(found[start : start + at_once])
        assert len(set(turn.tolist())) == len(turn)


def test_each_curve_counts_what_its_name_says():
    config = Config.profile("smoke", training_signers=(1, 3), pictures=(1, 2), few=2, few_of=4, draws=2)
    shapes = {
        "training_signers": (3, 5, 4),
        "pictures_in_a_row": (4, 5, 2),
        "pictures_on_occasions": (4, 5, 2),
    }
    start, pictures_of = 0, {}
    for name, shape in shapes.items():
        pictures_of[name] = start + np.arange(np.prod(shape)).reshape(shape)
        start += 1000
    found = list(lessons(config, pictures_of))
    points = {(lesson.curve, lesson.count, lesson.draw) for lesson in found}
    assert len(points) == len(found) == (2 + 1) + 2 * 2 + 2 * 2  # with three of three signers one draw is all
    for lesson in found:
        where = np.argwhere(np.isin(pictures_of[lesson.curve], lesson.rows))
        signers, letters, pictures = (set(column.tolist()) for column in where.T)
        assert len(lesson.rows) == len(where) == len(signers) * len(letters) * len(pictures)
        assert letters == set(range(5))
        if lesson.curve == "training_signers":
            assert len(signers) == lesson.count and pictures == {0, 1, 2, 3}
        else:
            assert len(signers) == 2 and pictures == set(range(lesson.count))


def test_strangers_and_teachers_are_nobody_that_a_network_has_met():
    sets = sets_of(Config.profile("full"))
    teach = {who for name, part in sets.items() if name != "test" for who in part.signers}
    ask = set(sets["test"].signers)
    assert not teach & ask
    starts = sorted([*LEARNED_FROM.values(), BUILT_IN])
    assert all(abs(who - start) > 100_000 for who in teach | ask for start in starts)
    assert sets["pictures_in_a_row"].signers == sets["pictures_on_occasions"].signers


def test_the_interval_spreads_over_draws_and_over_strangers():
    def width(values: np.ndarray) -> float:
        found = over_draws_and_signers(values, seed=0)
        assert found["low"] <= found["mean"] <= found["high"]
        assert found["mean"] == pytest.approx(values.mean())
        assert found["by_draw"] == values.tolist()
        return found["high"] - found["low"]

    assert width(np.full((5, 7), 0.25)) == 0
    by_draw, by_signer = (
        np.random.RandomState(0).randn(40, 1) + np.zeros(30),
        np.random.RandomState(1).randn(1, 30),
    )
    # Of the mean of n independent values the 95 % interval is about 2 * 1.96 * sd / sqrt(n) wide.
    assert width(by_draw) == pytest.approx(3.92 * by_draw[:, 0].std() / 40**0.5, rel=0.15)
    assert width(by_signer) == pytest.approx(3.92 * by_signer.std() / 30**0.5, rel=0.15)
    assert width(by_draw + by_signer) == pytest.approx(np.hypot(width(by_draw), width(by_signer)), rel=0.15)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"systems": ("spatial_ldaa",)}, "Did you mean 'spatial_lda'"),
        ({"training_signers": (0, 2)}, "training_signers must be 1 or more"),
        ({"pictures": ()}, "pictures must be 1 or more"),
        ({"few": 9}, "cannot be drawn among few_of=8"),
        ({"head_views": 1}, "head_views must be 2"),
    ],
)
def test_a_curve_that_cannot_be_drawn_is_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Config.profile("full", **wrong)


def test_a_small_run_measures_every_point_for_every_system(folders):
    config = Config.profile("smoke")
    record = more_signers.run(config)
    metrics = record["metrics"]
    assert len(metrics["signers"]) == 2 and metrics["images"] == 2 * 24 and metrics["chance"] == 1 / 24
    curves = metrics["curves"]
    assert set(curves) == set(record["split"]) - {"test"}
    for curve, counts in (
        ("training_signers", config.training_signers),
        ("pictures_in_a_row", config.pictures),
        ("pictures_on_occasions", config.pictures),
    ):
        assert set(curves[curve]) == set(config.systems)
        for points in curves[curve].values():
            assert list(points) == [str(count) for count in counts]
            for point in points.values():
                assert 0 <= point["low"] <= point["mean"] <= point["high"] <= 1
                assert np.mean(point["by_draw"]) == pytest.approx(point["mean"])
    # The first picture of a row and of the first occasion are one picture: the curves begin at one point.
    assert (
        curves["pictures_in_a_row"]["spatial_lda"]["1"] == curves["pictures_on_occasions"]["spatial_lda"]["1"]
    )
    assert more_signers.run(config) == record  # stored, not measured again
