"""Figures of hands draw what they are given, and do not stumble over one picture, one point or a missing joint."""

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from thesislib.figures import hand_errors, hands, style
from thesislib.synthetic.hand import BONES

RANDOM = np.random.default_rng(0)


def made_up(n: int, size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    images = RANDOM.integers(0, 256, (n, 3, size, size), dtype=np.uint8)
    return images, RANDOM.uniform(0, size, (n, 21, 2)).astype(np.float32)


def labels_of(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_a_skeleton_has_twenty_bones_in_five_colours_and_hollow_hidden_joints():
    figure, axes = style.figure(2)
    keypoints = made_up(1)[1][0]
    visible = np.arange(21) != 8
    hands.skeleton(axes, keypoints, visible=visible)
    bones, joints = axes.collections
    segments = np.array(bones.get_segments())
    np.testing.assert_allclose(segments, keypoints[np.array(BONES)])
    assert [tuple(c) for c in bones.get_colors()[::4]] == [to_rgba(c) for c in hands.FINGER_COLOURS]
    fill = joints.get_facecolors()
    assert tuple(fill[8]) == to_rgba("white") and tuple(fill[7]) == to_rgba(hands.FINGER_COLOURS[1])


def test_a_joint_without_label_is_left_out_with_its_bones():
    figure, axes = style.figure(2)
    keypoints = made_up(1)[1][0]
    keypoints[5] = np.nan  # the index knuckle has two bones
    hands.skeleton(axes, keypoints)
    assert len(axes.collections[0].get_segments()) == 18


@pytest.mark.parametrize("n", [1, 5, 9])
def test_every_picture_and_its_joints_are_at_the_same_place_of_the_sheet(n):
    images, keypoints = made_up(n)
    titles = [f"hand {i}" for i in range(n)]
    figure = hands.hand_sheet(images, keypoints, titles=titles, columns=4)
    (axes,) = figure.axes
    assert len(axes.images) == n and labels_of(figure) == titles
    for row, picture in enumerate(axes.images):
        left, right, bottom, top = picture.get_extent()
        assert (picture.get_array() == images[row].transpose(1, 2, 0)).all()
        dots = np.asarray(axes.collections[2 * row + 1].get_offsets())
        np.testing.assert_allclose((dots - (left, top)) / (right - left, bottom - top), keypoints[row] / 16)
        box = axes.texts[row].get_position()
        assert box[0] == left and box[1] < top
    assert str(n) in figure.get_label() and len(figure.legends[0].get_texts()) == 5
    assert not hands.hand_sheet(images).legends


def test_predictions_carry_their_error_over_labelled_joints():
    images, true = made_up(2)
    true[0, 3] = np.nan
    predicted = true + np.float32([0.8, 0.0])
    predicted[0, 3] = 1
    figure = hands.prediction_sheet(images, true, predicted)
    assert labels_of(figure) == ["5.0 %", "5.0 %"]  # 0.8 of 16 pixels
    assert "true" in figure.legends[0].get_title().get_text()


@pytest.mark.parametrize("n", [1, 3])
def test_heatmaps_stand_in_columns_over_the_right_place(n):
    images, _ = made_up(n)
    heatmaps = np.zeros((n, 21, 8, 8))
    heatmaps[:, 12, 2, 5] = 1.0  # the middle tip
    figure = hands.heatmap_columns(images, heatmaps)
    axes = np.array(figure.axes).reshape(n, 7)
    assert [axis.get_title() for axis in axes[0, 1:]] == [
        "wrist", "thumb tip", "index tip", "middle tip", "ring tip", "little tip",
    ]  # fmt: skip
    heat = axes[0, 4].images[1]
    assert np.unravel_index(heat.get_array().argmax(), (8, 8)) == (2, 5)
    assert heat.get_extent() == axes[0, 4].images[0].get_extent() == [0, 16, 16, 0]


def looks_of(lines) -> set[tuple]:
    return {(line.get_color(), str(line._dash_pattern)) for line in lines}


def test_pck_curves_show_the_shares():
    curves = {f"network {i}": ([0, 5, 10], [0, 0.5, 0.9]) for i in range(10)}
    figure = hand_errors.pck_curves(curves)
    lines = figure.axes[0].lines
    assert list(lines[9].get_ydata()) == [0, 50, 90] and lines[9].get_label() == "network 9"
    assert len(looks_of(lines)) == 10 and "network 9" in figure.get_label()


@pytest.mark.parametrize("draw", ["pck_curves", "training_curves"])
def test_curves_of_a_kind_have_a_column_where_the_others_are_grey(draw):
    kinds = {"a": "maps", "b": "numbers", "c": "maps"}
    rows = {
        "pck_curves": {name: ([0, 10], [0, 0.5]) for name in kinds},
        "training_curves": {
            name: [{"epoch": e, "loss": 1 / e, "lr": 0.1} for e in (1, 2, 3)] for name in kinds
        },
    }
    figure = getattr(hand_errors, draw)(rows[draw], kinds=kinds)
    tops = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in tops] == ["maps", "numbers"]
    below = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    assert [[text.get_text() for text in legend.get_texts()] for legend in below] == [["a", "c"], ["b"]]
    for axes, own in zip(tops, (["a", "c"], ["b"]), strict=True):
        assert len(axes.lines) == 3 and [line.get_label() for line in axes.lines[-len(own) :]] == own
        others = axes.lines[: -len(own)]
        assert {line.get_color() for line in others} == {style.GREY} and len(looks_of(axes.lines)) == 1 + len(
            own
        )
    assert "maps: a and c; numbers: b" in figure.get_label()


@pytest.mark.parametrize("names", [["ours"], ["ours", "ResNet-50", "CPM"]])
def test_errors_by_joint_stand_in_the_order_of_the_joints(names):
    errors = {name: np.arange(21.0) + i for i, name in enumerate(names)}
    figure = hand_errors.error_by_joint(errors)
    (axes,) = figure.axes
    for line, values in zip(axes.lines, errors.values(), strict=True):
        assert (np.diff(line.get_xdata()) > 0).all() and (line.get_ydata() == values).all()
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks[:6] == ["wrist", "CMC", "MCP", "IP", "tip", "MCP"] and len(ticks) == 21


@pytest.mark.parametrize("crowd", [1, 4, 12])
def test_each_point_of_error_and_latency_has_a_look_and_a_name(crowd):
    random = np.random.default_rng(crowd)
    points = {f"network number {i}": tuple(np.exp(random.normal(2, 0.5, 2))) for i in range(crowd)}
    figure = hand_errors.error_against_latency(points)
    (axes,) = figure.axes
    drawn = [tuple(np.ravel(line.get_xydata())) for line in axes.lines]
    np.testing.assert_allclose(drawn, list(points.values()))
    assert len({(line.get_color(), line.get_marker()) for line in axes.lines}) == crowd
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(points)


def test_training_curves_pass_over_rows_that_lack_a_key():
    rows = [
        {"epoch": e, "loss": 1 / e, "lr": 0.1} | ({"pck": e / 10} if e % 2 == 0 else {}) for e in range(1, 7)
    ]
    figure = hand_errors.training_curves({"ours": rows, "other": rows[:1]}, ("loss", "pck", "lr"))
    loss, pck, rate = figure.axes
    assert list(pck.lines[0].get_xdata()) == [2, 4, 6] and list(pck.lines[0].get_ydata()) == [0.2, 0.4, 0.6]
    assert len(pck.lines[1].get_xdata()) == 0 and loss.lines[1].get_marker() == "o"
    assert rate.get_yscale() == "log" and loss.get_ylabel() == "training loss"
    far = [{"epoch": e, "error": 200 / e} for e in range(1, 7)]
    (error,) = hand_errors.training_curves({"ours": far}, ("error",), log=("error",)).axes
    assert {"50", "100", "200"} <= {text.get_text() for text in error.get_yticklabels()}


def test_a_learning_curve_joins_means_and_shows_seeds():
    figure = hand_errors.learning_curve({"ours": {10_000: [4.0, 6.0], 1000: [9.0]}})
    mean, seeds = figure.axes[0].lines
    assert list(mean.get_xdata()) == [1000, 10_000] and list(mean.get_ydata()) == [9, 5]
    assert list(seeds.get_ydata()) == [4, 6] and figure.get_label().endswith("for ours.")
