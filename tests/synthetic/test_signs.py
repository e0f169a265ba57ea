"""Signers who sign: the same picture whatever else is asked for; signs, streams and their labels agree."""

from functools import partial
from itertools import groupby

import pytest
import torch

from thesislib.synthetic import signs
from thesislib.synthetic.draws import fold, uniform
from thesislib.synthetic.films import draw_room
from thesislib.synthetic.hand import LIMITS
from thesislib.synthetic.scene import Difficulty
from thesislib.synthetic.signing import hands
from thesislib.synthetic.signs import BETWEEN, draw, places, span, stream

FRAMES, WORDS = 16, 4
ASKED = {"words": WORDS, "frames": FRAMES, "signers": range(2)}
small = partial(draw, "signs", 3, size=16)
CLEAN = Difficulty(noise=0.0)


pytestmark = pytest.mark.usefixtures("table_hands")


@pytest.fixture(scope="module")
def clips():
    """Every frame of four words by two signers, [2, 4, 16, ...]."""
    drawn = small(torch.arange(2 * WORDS * FRAMES), **ASKED)
    return {name: values.unflatten(0, (2, WORDS, FRAMES)) for name, values in drawn.items()}


@pytest.fixture(scope="module")
def many():
    """Signer, word and take of the clips of 300 signers, 2 takes of 2 words each, int64 [1200]."""
    which = places(torch.arange(1200) * FRAMES, words=2, frames=FRAMES, signers=range(300), takes=2)
    return {name: which[name] for name in ("signer", "word", "take")}


def test_every_signer_word_take_and_frame_is_there_once():
    counted = places(torch.arange(3 * 5 * 2 * 8), signers=range(5, 11, 2), words=5, takes=2, frames=8)
    assert {name: values.unique().tolist() for name, values in counted.items()} == {
        "signer": [5, 7, 9],
        "word": list(range(5)),
        "take": [0, 1],
        "frame": list(range(8)),
    }
    rows = torch.stack(list(counted.values()), dim=1)
    assert len(rows.unique(dim=0)) == len(rows)
    assert torch.equal(rows[:9, 3], torch.arange(9) % 8)  # a clip's frames follow each other


def test_a_picture_does_not_depend_on_what_else_is_asked_for(clips):
    rows = torch.tensor([100, 3, 77, 3, 40])
    alone = small(rows, **ASKED)
    for name, values in alone.items():
        there = clips[name].flatten(0, 2)[rows]
        if values.dtype.is_floating_point:  # drawn in a batch of another size
            torch.testing.assert_close(values, there, atol=1e-3, rtol=0)
        elif name == "image":
            assert (values.int() - there.int()).abs().float().mean() < 0.05
        else:
            assert torch.equal(values, there), name
    more = small(torch.tensor([3, 77, 40, 100, 9]), **ASKED)
    for name, values in more.items():
        assert torch.equal(values[[3, 0, 1, 0, 2]], alone[name]), name


def test_a_clip_is_the_same_in_larger_sets_and_other_with_another_seed(clips):
    index = FRAMES * (2 * WORDS * 2 + 2) + torch.arange(
        4
    )  # signer 1, word 1 and take 0 of those with two takes
    again = small(index, words=2 * WORDS, frames=FRAMES, signers=range(3), takes=2)
    assert (again["signer"][0], again["word"][0], again["take"][0]) == (1, 1, 0)
    assert (again["image"].int() - clips["image"][1, 1, :4].int()).abs().float().mean() < 0.05
    other = draw("signs", 4, torch.arange(4), size=16, **ASKED)
    assert not torch.allclose(other["keypoints"], clips["keypoints"][0, 0, :4], atol=0.5)


def test_the_way_does_not_depend_on_how_many_frames_are_taken():
    few = small(torch.arange(9), words=1, frames=9, signers=range(1), difficulty=CLEAN)
    many = small(torch.arange(0, 17, 2), words=1, frames=17, signers=range(1), difficulty=CLEAN)
    for name in ("image", "keypoints", "angles"):
        torch.testing.assert_close(few[name], many[name], msg=name)


def test_a_sign_begins_where_the_hand_is_at_its_first_moment():
    """In the plainest performance, "arch" begins and ends at the same height, and rest is far below."""
    plain = Difficulty(signer_spread=0, pose_jitter=0, rotation=0, noise=0)
    frames = 33
    drawn = small(
        2 * frames + torch.arange(frames), words=3, frames=frames, signers=range(1), difficulty=plain
    )
    which = (drawn[name][:1] for name in ("signer", "word", "take"))
    begin, end = map(int, span("signs", 3, *which, frames=frames, difficulty=plain))
    assert 0 < begin < end < frames and end - begin == pytest.approx(0.62 * 32, abs=1.5)
    height = drawn["keypoints"][:, [0, 9], 1].mean(dim=1)  # of the palm, downwards, 16 pixels
    assert height[begin] == pytest.approx(float(height[end - 1]), abs=0.3)
    assert height[begin:end].max() <= max(height[begin], height[end - 1]) + 0.1
    assert height[0] > height[begin] + 1.5 and height[-1] > height[begin] + 1.5


def test_spans_are_the_frames_in_which_no_hand_is_on_its_way(many):
    begin, end = span("signs", 3, **many, frames=FRAMES)
    row = torch.arange(len(begin)).repeat_interleave(FRAMES)
    frame = torch.arange(FRAMES).repeat(len(begin))
    every = {name: values[row] for name, values in many.items()}
    moments = signs._in_clips("signs", 3, **every, frame=frame, frames=FRAMES, difficulty=signs.USUAL)
    inside = (frame >= begin[row]) & (frame < end[row])
    # a sign is neither rest nor on its way from one to the other
    resting = (moments.word[:, 0] == signs._rows("signs")[-1]).all(dim=1)
    assert torch.equal(inside, ~resting & (moments.share == 0))


def test_signs_come_early_as_often_as_late_and_last_as_the_signer_likes(many):
    begin, end = span("signs", 3, **many, frames=100)
    assert float((begin + end - 100).float().mean()) == pytest.approx(0, abs=1)
    assert begin.min() >= 4 and (end - begin).float().std() > 6
    length = (end - begin).float().log().view(300, 4)
    assert length.mean(dim=1).std() > 1.3 * length.std(dim=1).mean()  # people differ more than their takes


def test_signers_move_each_in_their_own_way():
    """Two takes of one signer are more alike than two signers."""
    every = places(torch.arange(2 * WORDS * 2 * FRAMES), **ASKED, takes=2)
    moments = signs._in_clips("signs", 3, **every, frames=FRAMES, difficulty=CLEAN)
    palm = hands(moments, CLEAN)[2].view(2, WORDS, 2, FRAMES, 3)
    takes = (palm[:, :, 0] - palm[:, :, 1]).norm(dim=-1).mean()
    people = (palm[0] - palm[1]).norm(dim=-1).mean()
    assert takes < people


def test_hands_stay_in_the_picture_while_they_sign():
    names = {"words": 40, "frames": FRAMES, "signers": range(2)}
    every = places(torch.arange(2 * 40 * FRAMES), **names)
    moments = signs._in_clips("signs", 3, **every, frames=FRAMES, difficulty=signs.USUAL)
    seen = moments[torch.nonzero(moments.share == 0)[::3, 0]]
    seen = seen[torch.nonzero(~(seen.word[:, 0] == signs._rows("signs")[-1]).all(dim=1))[:, 0]]
    room = draw_room(seen.session)
    place = hands(seen, signs.USUAL)[2]
    assert ((place[:, :2] - room.aim).abs().amax(dim=1) < room.side / 2).all()


def test_most_joints_are_seen_while_a_sign_is_made(clips):
    which = (clips[name][:, :, 0].flatten() for name in ("signer", "word", "take"))
    begin, end = span("signs", 3, *which, frames=FRAMES)
    frame = torch.arange(FRAMES)
    inside = ((frame >= begin[:, None]) & (frame < end[:, None])).view(2, WORDS, FRAMES)
    keypoints = clips["keypoints"][inside]
    assert ((keypoints > 0) & (keypoints < 16)).all(dim=-1).float().mean() > 0.97
    assert clips["visible"][inside].float().mean() > 0.5
    assert (clips["angles"] >= LIMITS[0]).all() and (clips["angles"] <= LIMITS[1]).all()


def test_a_session_has_one_background_and_another_session_another():
    index = torch.arange(0, 2 * WORDS * 2 * FRAMES, FRAMES)
    every = small(index, words=WORDS, frames=FRAMES, signers=range(2), takes=2, difficulty=CLEAN)
    top = every["image"][:, :, :3].float().unflatten(0, (2, WORDS, 2)).flatten(3)
    same = (top[:, 1:] - top[:, :-1]).abs().median(-1).values
    other_take = (top[:, :, 0] - top[:, :, 1]).abs().median(-1).values
    other_signer = (top[0] - top[1]).abs().median(-1).values
    assert same.median() < 4 and other_take.median() > 10 and other_signer.median() > 10


def test_one_signer_in_ten_is_left_handed_and_mirrored(clips, monkeypatch):
    drawn = uniform(fold(signs._SIDE, torch.arange(3000)), 1)
    assert float((drawn < signs._LEFT_HANDED).float().mean()) == pytest.approx(0.1, abs=0.02)
    assert not clips["left"].any()
    monkeypatch.setattr(signs, "_LEFT_HANDED", 1.0)
    left = small(torch.arange(4), **ASKED)
    assert left["left"].all()
    torch.testing.assert_close(left["keypoints"][..., 0], 16 - clips["keypoints"][0, 0, :4, :, 0])
    assert (left["image"].flip(-1).int() - clips["image"][0, 0, :4].int()).abs().float().mean() < 1


def test_a_stream_says_its_words_in_order_and_rests_at_both_ends():
    sequence = [4, 1, 1, 6]
    drawn = stream("signs", 0, 1, sequence, size=16, frames=12, pauses=0.5)
    label = drawn["label"]
    said = [int(word) for word, _ in groupby(label.tolist()) if word != BETWEEN]
    assert said == sequence and label[0] == label[-1] == BETWEEN
    assert drawn["image"].shape == (len(label), 3, 16, 16) and (drawn["signer"] == 1).all()
    assert torch.equal(drawn["frame"], torch.arange(len(label)))
    lengths = [len(list(run)) for word, run in groupby(label.tolist()) if word != BETWEEN]
    assert all(0.4 * 11 - 1 <= length <= 0.85 * 11 + 1 for length in lengths)  # as long as in clips


def test_pauses_make_a_stream_longer():
    def between(pauses):
        moments, label = signs._in_stream("signs", 0, 1, [0, 1, 2, 3], 16, pauses, signs.USUAL)
        assert len(moments.now) == len(label)
        return int((label == BETWEEN).sum())

    assert between(0.0) < between(1.0)


def test_hands_do_not_jump_in_a_stream():
    """Sixteen times the pictures, a sixteenth of the way: from sign to sign and to rest it goes on smoothly."""

    def longest_step(frames):
        moments, _ = signs._in_stream("signs", 0, 1, [4, 1, 6], frames, 0.5, signs.USUAL)
        angles, orientation, place = hands(moments, signs.USUAL)
        return [float(x.diff(dim=0).flatten(1).norm(dim=1).max()) for x in (angles, orientation, place)]

    for coarse, fine in zip(longest_step(33), longest_step(513), strict=True):
        assert fine < coarse / 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "letters"}, "no vocabulary 'letters'; there are signs, gestures"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"index": torch.tensor([0, 128])}, "from 0 to 127"),
        ({"index": torch.tensor([-1])}, "from 0 to 127"),
        ({"index": torch.zeros(2)}, "int64"),
        ({"frames": 7}, "8 frames"),
        ({"words": 41}, "from 1 to 40 words"),
        ({"takes": 0}, "at least one"),
        ({"signers": range(0)}, "at least one"),
        ({"signers": range(-1, 3)}, "numbered from 0"),
        ({"size": 20}, "multiple of 8"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(change, message):
    request = {"name": "signs", "seed": 0, "index": torch.arange(2), **ASKED} | change
    with pytest.raises(ValueError, match=message):
        draw(**request)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sequence": []}, "needs words, by numbers from 0 to 39"),
        ({"sequence": [3, 40]}, "needs words, by numbers from 0 to 39"),
        ({"signer": -1}, "a signer from 0"),
        ({"frames": 4}, "at least 8 frames"),
        ({"pauses": 1.5}, "pauses from 0 to 1"),
    ],
)
def test_streams_that_cannot_be_drawn_are_refused(change, message):
    request = {"name": "signs", "seed": 0, "signer": 0, "sequence": [1]} | change
    with pytest.raises(ValueError, match=message):
        stream(**request)
