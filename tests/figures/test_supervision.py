"""The funnel: the document's counts as printed, ours beside them, and words for readers who cannot see it."""

import pytest

from thesislib.figures.supervision import NAMES, funnel, printed_stages
from thesislib.supervision import PASSES, Stage

OURS = (Stage("detected", 200), Stage(PASSES[0], 100), Stage(PASSES[1], 90, 0.25))


def test_the_document_prints_these_counts():
    assert [(stage.images, stage.hours) for stage in printed_stages()] == [
        (11076, None),
        (5906, 1.0),
        (5773, 2.0),
    ]


def test_bars_are_the_shares_that_are_left():
    figure = funnel(OURS, who="a class of students")
    (axes,) = figure.axes
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx([100, 100 * 5906 / 11076, 100 * 5773 / 11076, 100, 50, 45])
    assert [label.get_text() for label in axes.get_yticklabels()] == list(NAMES)
    words = [text.get_text() for text in axes.texts]
    assert "5,906 (53 %), 1 h of a person" in words and "90 (45 %), 0.25 h of a person" in words
    assert len(set(bar.get_hatch() for bar in axes.patches)) == 2  # not by colour alone
    label = figure.get_label()
    assert "A class of students" in label and "11,076" in label and "90 (45 %)" in label


def test_it_stands_alone_and_refuses_other_stages():
    assert len(funnel().axes[0].patches) == 3
    for wrong in (OURS[:2], (Stage("detected", 0), *OURS[1:])):
        with pytest.raises(ValueError, match="3 stages"):
            funnel(wrong)
