"""Figures of signs show the numbers and frames that they are given."""

import numpy as np
import pytest

from thesislib import published
from thesislib.figures import signs, style

CLIP = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.full(
    (1, 3, 6, 6), 10, np.uint8
)  # frame t is 10 t


def interval(mean: float, half: float = 0.05) -> dict:
    return {"mean": mean, "low": mean - half, "high": mean + half}


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def brightness(axes) -> list[float]:
    return [float(np.asarray(image.get_array()).mean()) for image in axes.images]


def test_frames_are_spread_from_the_first_to_the_last():
    assert signs.evenly(20, 5).tolist() == [0, 5, 10, 14, 19]
    assert signs.evenly(3, 8).tolist() == [0, 1, 2]
    assert signs.evenly(7, 7).tolist() == list(range(7))


def test_a_strip_numbers_its_frames_and_pales_those_outside_the_sign():
    axes = signs.strip(CLIP, begin=5, end=15, count=5).axes[0]
    assert texts(axes) == ["0", "5", "10", "14", "19"] and brightness(axes) == [0, 50, 100, 140, 190]
    assert [image.get_alpha() < 1 for image in axes.images] == [True, False, False, False, True]
    whole = signs.strip(CLIP).axes[0]
    assert {image.get_alpha() for image in whole.images} == {1.0}


def test_a_vocabulary_has_a_row_a_word_and_frames_as_columns():
    clips = np.stack([CLIP, CLIP + 5, CLIP[::-1]])
    axes = signs.vocabulary(clips, ("red", "blue", "green"), count=4).axes[0]
    assert texts(axes) == ["red", "blue", "green"]
    left, _, top, _ = np.array([image.get_extent() for image in axes.images]).T
    assert len(np.unique(left)) == 4 and len(np.unique(top)) == 3
    assert brightness(axes)[:4] == [0, 60, 130, 190] and brightness(axes)[8:] == [190, 130, 60, 0]
    with pytest.raises(ValueError):
        signs.vocabulary(clips, ("red", "blue"))


def test_many_words_stand_in_two_blocks():
    words = [f"word {n}" for n in range(13)]
    axes = signs.vocabulary(np.stack([CLIP] * 13), words, count=3).axes[0]
    place = np.array([image.get_extent() for image in axes.images]).reshape(13, 3, 4)
    assert len(np.unique(place[..., 2])) == 7 and (place[7, :, 2:] == place[0, :, 2:]).all()  # side by side
    for block in (place[:7], place[7:]):
        assert (block[:, :, 0] == block[0, :, 0]).all()
    assert place[7, 0, 0] > place[0, -1, 1]
    low, high = axes.get_xlim()
    assert low <= place[..., :2].min() and place[..., :2].max() <= high
    assert texts(axes) == words


@pytest.fixture
def histories() -> dict:
    up, peak = np.array([0.2, 0.5, 0.9]), np.array([[0.2, 0.5, 0.3], [0.2, 0.7, 0.5]])
    one = {"accuracy": up, "validation_accuracy": peak, "loss": 1 - up, "validation_loss": 2 - peak}
    return {"from scratch": one, "frozen": one | {"validation_accuracy": np.array([0.1, 0.1, 0.3])}}


def test_learning_shows_means_best_epochs_and_guessing(histories):
    figure = signs.learning(histories, num_words=5)
    accuracy, loss, second = figure.axes[0], figure.axes[1], figure.axes[2]
    assert "from scratch" in (accuracy.get_title(), accuracy.get_title(loc="left"))
    assert accuracy.lines[0].get_ydata()[0] == 20 and loss.lines[0].get_ydata()[0] == pytest.approx(np.log(5))
    curves = [line.get_ydata() for line in accuracy.lines if len(line.get_xdata()) == 3]
    assert any(np.allclose(curve, [20, 60, 40]) for curve in curves)  # the mean of two seeds
    assert any(np.allclose(curve, [20, 70, 50]) for curve in curves)  # one of them
    for axes, best, at in ((accuracy, 60, 2), (loss, 1.4, 2), (second, 30, 3)):
        (ring,) = [line for line in axes.lines if line.get_marker() == "o"]
        assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (at, pytest.approx(best))
    assert "from scratch: validation 40 % at the end, 60 % at best" in figure.get_label()


def test_transfer_shows_each_start_in_order_of_numbers_as_numbers():
    rows = {
        start: {"16": interval(0.5), "4": interval(0.2 + 0.1 * i)} for i, start in enumerate(signs.STARTS)
    }
    gain = {"transfer_all": {4: interval(0.1), 16: interval(-0.02)}}
    left, right = signs.transfer(rows, gain, num_words=20).axes
    assert len(left.containers) == 4 and len(right.containers) == 1
    for i, container in enumerate(left.containers):
        assert container.lines[0].get_ydata() == pytest.approx([20 + 10 * i, 50])
        bars = np.array(container.lines[2][0].get_segments())[:, :, 1]  # [sizes, ends]
        assert bars[1] == pytest.approx([45, 55])
        assert container.lines[0].get_xdata() == pytest.approx([4, 16], rel=0.06)
    assert right.containers[0].lines[0].get_ydata() == pytest.approx([10, -2])
    assert [label.get_text() for label in left.get_xticklabels()] == ["4", "16"]
    assert any(line.get_linestyle() == "--" and line.get_ydata()[0] == 5 for line in left.lines)
    colours = [container.lines[0].get_color() for container in left.containers]
    assert right.containers[0].lines[0].get_color() == colours[1]  # one look a start, in both panels
    assert len(signs.transfer(rows).axes) == 1


def test_transfer_names_every_start_in_its_legend_and_in_words():
    figure = signs.transfer({"scratch": {8: interval(0.42)}, "transfer_frozen": {8: interval(0.32)}})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        signs.STARTS["scratch"][0],
        signs.STARTS["transfer_frozen"][0],
    ]
    assert "from scratch 42 % with 8" in figure.get_label()


def test_the_rungs_are_those_of_table_two_in_its_order():
    keys = [n.key for n in published.load() if n.key.startswith("izutov2020_ablation_") and "top1" in n.key]
    assert keys == [f"izutov2020_ablation_{rung}_top1" for rung in signs.RUNGS]
    assert signs.printed_rung("am_softmax") == {"top1": 73.93, "map": 76.01}
    assert signs.printed_rung("tv_loss") == {"top1": 85.0, "map": 87.79}
    with pytest.raises(KeyError):
        signs.printed_rung("am_softmaxx")


def test_the_ladder_has_ours_with_intervals_and_the_printed_numbers_beside():
    rungs = {"am_softmax": (0.5, 0.6), "mixup": (0.7, 0.75), "tv_loss": (0.72, 0.8)}
    rows = {rung: {"top1": interval(a), "map": interval(b)} for rung, (a, b) in rungs.items()}
    figure = signs.ladder(rows, here="invented signs")
    ours, theirs = figure.axes
    assert [label.get_text() for label in ours.get_yticklabels()] == [signs.RUNGS[rung] for rung in rungs]
    assert list(ours.get_yticks()) == [2, 1, 0]  # the first on top
    dots = {
        (round(line.get_ydata()[0]), line.get_marker()): line
        for line in ours.lines
        if len(line.get_xdata()) == 1
    }
    assert dots[2, "D"].get_xdata()[0] == pytest.approx(50) and dots[0, "o"].get_xdata()[0] == pytest.approx(
        80
    )
    bars = [line for line in ours.lines if len(line.get_xdata()) == 2]
    assert len(bars) == 6 and all(np.ptp(bar.get_xdata()) == pytest.approx(10) for bar in bars)
    printed = sorted(float(line.get_xdata()[0]) for line in theirs.lines)
    assert printed == sorted([73.93, 76.01, 82.61, 86.40, 85.00, 87.79])
    assert "50.0 / 60.0" in texts(ours) and "82.61 / 86.40" in texts(theirs)
    assert "AM-softmax 50.0 and 60.0 (printed 73.93 and 76.01)" in figure.get_label()
    assert ours.get_xlim() != theirs.get_xlim()  # other clips: only steps compare


def test_every_figure_fits_the_text_and_says_what_it_shows(histories):
    made = [
        signs.strip(CLIP),
        signs.strip(CLIP, count=20),
        signs.vocabulary(CLIP[None], ("a long name of a sign",)),
        signs.vocabulary(np.stack([CLIP] * 11), [f"sign {n}" for n in range(11)]),
        signs.learning(histories, num_words=5),
        signs.transfer({"scratch": {4: interval(0.4)}}),
        signs.ladder({"am_softmax": {"top1": interval(0.5), "map": interval(0.6)}}, here="x"),
    ]
    for figure in made:
        figure.draw_without_rendering()
        assert len(figure.get_label()) > 20 and figure.get_figwidth() <= style.WIDTH
