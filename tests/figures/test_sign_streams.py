"""Figures of streams and attention show what was signed, what was said and where masks lie."""

import numpy as np
import pytest

from thesislib.evaluation.streams import Events, decide, signed
from thesislib.figures import sign_streams, style

WORDS = ("red", "blue", "green")


@pytest.fixture
def stream() -> tuple[Events, Events, np.ndarray]:
    """Red and blue are signed; red is found, green is said where nothing was."""
    label = np.full(150, -1)
    label[30:48], label[75:90] = 0, 1
    scores = np.zeros((150, 3))
    scores[46, 0], scores[119, 2] = 0.9, 0.7
    return signed(label), decide(scores, threshold=0.5), scores


def drawn(stream, **more):
    truth, said, scores = stream
    return sign_streams.timeline(truth, said, WORDS, scores, threshold=0.5, overlap=0.5, **more)


def bars(axes) -> dict:
    """Bars by height and colour: where they begin and end, in seconds."""
    thick = [line for line in axes.lines if line.get_linewidth() > 5 and len(line.get_xdata()) == 2]
    return {(round(float(b.get_ydata()[0])), b.get_color()): [float(x) for x in b.get_xdata()] for b in thick}


def test_a_timeline_has_signed_above_said_in_seconds(stream):
    axes, curve = drawn(stream).axes
    found = bars(axes)
    assert found[1, style.BLUE] == pytest.approx([75 / 15, 90 / 15])  # the last signed
    assert found[0, style.GREEN] == pytest.approx([31 / 15, 47 / 15])  # the window of frames 31 to 46
    assert found[0, style.ORANGE] == pytest.approx([104 / 15, 120 / 15])
    assert [text.get_text() for text in axes.texts] == ["red", "blue", "red", "green"]
    marks = {float(m.get_xdata()[0]): m for m in axes.lines if m.get_marker() == "D"}
    assert list(marks) == pytest.approx([47 / 15, 120 / 15])
    assert [mark.get_markerfacecolor() for mark in marks.values()] == [style.GREEN, "white"]
    assert curve.lines[0].get_ydata().max() == 0.9 and curve.lines[1].get_ydata()[0] == 0.5


def test_the_curve_and_the_marks_meet(stream):
    truth, _, scores = stream
    said = decide(scores[1::3], threshold=0.1, every=3)
    figure = sign_streams.timeline(truth, said, WORDS, scores[1::3], threshold=0.1, overlap=0.5, every=3)
    curve = figure.axes[1]
    best, _, dots = curve.lines
    at = dict(zip(best.get_xdata().tolist(), best.get_ydata().tolist(), strict=True))
    assert len(dots.get_xdata())
    assert [at[x] for x in dots.get_xdata().tolist()] == dots.get_ydata().tolist()


def test_frames_stand_where_they_were(stream):
    frames = np.arange(150, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 4, 4), np.uint8)
    for given in (frames, frames[np.linspace(0, 149, 5).round().astype(int)]):
        top, *_ = drawn(stream, frame=given, pictures=5).axes
        assert len(top.images) == 5
        for image in top.images:
            left, right, *_ = image.get_extent()
            number = float(np.asarray(image.get_array()).mean())  # frame t has brightness t
            assert left - 0.05 * (right - left) <= number / 15 <= right + 0.05 * (right - left)


def test_the_timeline_in_words_and_silence(stream):
    assert "Signed: red, blue. Said: red at 3.1 s, green at 8.0 s (wrong)." in drawn(stream).get_label()
    truth, _, scores = stream
    silent = sign_streams.timeline(
        truth, decide(scores, threshold=2), WORDS, scores, threshold=2, overlap=0.5
    )
    assert "Said: nothing." in silent.get_label()
    silent.draw_without_rendering()


def test_masks_stand_below_the_frames_that_they_are_of():
    frames = np.arange(16, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 4, 4), np.uint8)
    sharp = np.zeros((4, 2, 2))
    sharp[:, 0, 0] = np.linspace(0, 1, 4)
    figure = sign_streams.attention(frames, {"without": np.full((4, 2, 2), 0.5), "with": sharp})
    shown = np.array([float(np.asarray(axes.images[0].get_array()).mean()) for axes in figure.axes[:12]])
    assert shown.reshape(3, 4)[0].tolist() == [2, 6, 10, 14]
    assert shown.reshape(3, 4)[1].tolist() == [0.5] * 4
    assert shown.reshape(3, 4)[2] == pytest.approx(np.linspace(0, 1, 4) / 4)
    assert {axes.images[0].get_clim() for axes in figure.axes[4:12]} == {(0, 1)}  # rows compare
    assert "without TV loss 0 %, with TV loss 88 %" in figure.get_label()


def test_a_mask_is_decided_near_its_ends():
    assert sign_streams.decided(np.array([[0.0, 0.05], [0.5, 0.95]])) == 0.75


@pytest.mark.parametrize(
    "masks",
    [{}, {"with": np.zeros((3, 2, 2))}, {"with": np.zeros((8, 2, 2)), "without": np.zeros((4, 2, 2))}],
)
def test_masks_that_do_not_fit_the_frames_are_refused(masks):
    with pytest.raises(ValueError, match="16 frames"):
        sign_streams.attention(np.zeros((16, 3, 4, 4), np.uint8), masks)


def test_every_figure_is_as_wide_as_the_text(stream):
    attention = sign_streams.attention(np.zeros((16, 3, 4, 4), np.uint8), {"with": np.zeros((8, 2, 2))})
    for figure in (drawn(stream), attention):
        figure.draw_without_rendering()
        assert figure.get_figwidth() == style.WIDTH and len(figure.get_label()) > 20


def test_what_is_spelled_stands_between_the_signs(stream):
    spelled = Events(np.array([1]), np.array([50]), np.array([70]), np.ones(1))
    figure = drawn(stream, spelled=spelled, texts=("hof", "wolf"))
    axes, _ = figure.axes
    assert bars(axes)[1, style.GREY] == pytest.approx([50 / 15, 70 / 15])
    assert "“wolf”" in [text.get_text() for text in axes.texts] and "Spelled: wolf." in figure.get_label()
    keys = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "spelled" in keys and "spelled" not in [t.get_text() for t in drawn(stream).legends[0].get_texts()]
