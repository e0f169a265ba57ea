"""A stored stream is shown with frames that are drawn again, and only where they are those that were asked."""

from dataclasses import replace

import pytest

from thesislib import results
from thesislib.chapters import signs_and_spelling
from thesislib.evaluation.streams import matches
from thesislib.figures import replays


@pytest.fixture(scope="module")
def record():
    return next(iter(results.committed_records("signs_and_spelling")))


@pytest.fixture(scope="module")
def replay(record):
    return replays.of_spelling(record)


def test_the_stored_stream_is_drawn_again_with_all_its_parts(record, replay):
    config = record["config"]
    assert replay.frame.shape[1:] == (3, config["size"], config["size"])
    assert len(replay.scores) == -(-len(replay.frame) // replay.every)
    assert len(replay.signed) == config["signs"] and len(replay.spelled) == config["texts"]
    assert {replay.texts[text] for text in replay.spelled.word} <= set(signs_and_spelling.ASKED)
    assert len(replay.words) == config["words"] == replay.scores.shape[1]
    assert (replay.said.confidence >= replay.threshold).all()
    assert (matches(replay.said, replay.signed, overlap=replay.overlap) >= 0).any()


@pytest.mark.parametrize("part", ["signs", "texts"])
def test_nothing_is_shown_where_another_stream_is_drawn_today(record, replay, part, monkeypatch):
    again = signs_and_spelling.Stream(replay.frame, replay.signed, replay.spelled, left=False)
    events = getattr(again, part)
    another = replace(again, **{part: replace(events, end=events.end + 1)})
    for drawn, shown in ((again, True), (another, False)):
        monkeypatch.setattr(signs_and_spelling, "performed", lambda *_, drawn=drawn: drawn)
        assert (replays.of_spelling(record) is not None) is shown
