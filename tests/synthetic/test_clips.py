"""Clips: the same picture whatever else is asked for, and video's own habits, which split protocols rest on."""

from functools import partial

import pytest
import torch

from thesislib.synthetic import clips, poses
from thesislib.synthetic.clips import drift, labels, places, spelled
from thesislib.synthetic.contacts import MAX_PENETRATION, penetration
from thesislib.synthetic.hand import LIMITS, draw_anatomy
from thesislib.synthetic.scene import Difficulty

FRAMES, DIGITS = 12, 10
TWO = {"frames": FRAMES, "signers": range(2)}
draw = partial(spelled, "digits", 3, size=16)
CLEAN = Difficulty(noise=0.0)


@pytest.fixture(scope="module")
def digits(solved_apart):
    """Every frame of every digit by two signers, and the share of the hand in each pixel: [240, ...]."""
    masks = []

    def spy(*args, **settings):
        drawn = picture(*args, **settings)
        masks.append(drawn["mask"])
        return drawn

    picture = clips.picture
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips, "picture", spy)
        patch.setattr(clips, "in_chunks", lambda draw, rows, rays: draw(rows))
        drawn = draw(torch.arange(2 * DIGITS * FRAMES), **TWO)
    (mask,) = masks
    return drawn | {"mask": torch.where(drawn["left"][:, None, None], mask.flip(-1), mask)}


@pytest.fixture(scope="module")
def way():
    """A thousand ways of two numbers each at 25 times of a clip, [1000, 25, 2]."""
    return drift(torch.arange(1000), torch.linspace(0, 1, 25).expand(1000, -1), 2)


def test_every_signer_label_clip_and_frame_is_there_once():
    counted = places(
        "german", torch.arange(3 * 30 * 2 * 4), signers=range(5, 11, 2), clips_per_letter=2, frames=4
    )
    assert {name: values.unique().tolist() for name, values in counted.items()} == {
        "signer": [5, 7, 9],
        "label": list(range(30)),
        "take": [0, 1],
        "frame": [0, 1, 2, 3],
    }
    rows = torch.stack(list(counted.values()), dim=1)
    assert len(rows.unique(dim=0)) == len(rows)
    assert torch.equal(rows[:9, 3], torch.arange(9) % 4)  # a clip's frames follow each other


def test_a_way_is_standard_normal_at_every_time(way):
    assert way.mean(0).abs().max() < 0.15
    assert (way.std(0) - 1).abs().max() < 0.1
    assert torch.corrcoef(torch.stack([way[:, 7, 0], way[:, 7, 1]]))[0, 1].abs() < 0.1


def test_a_way_is_smooth_and_comes_away_from_where_it_was(way):
    def alike(lag):
        return float(
            torch.corrcoef(torch.stack([way[:, : 25 - lag].flatten(), way[:, lag:].flatten()]))[0, 1]
        )

    assert alike(1) > 0.95 and alike(3) > 0.6 and abs(alike(8)) < 0.4
    jolt = (way[:, 2:] - 2 * way[:, 1:-1] + way[:, :-2]).square().mean().sqrt()
    step = (way[:, 1:] - way[:, :-1]).square().mean().sqrt()
    assert jolt < 0.5 * step  # of independent draws it would be 1.7 steps


def test_clips_turn_as_far_as_single_pictures():
    share = (clips._TURN / poses._LETTER_TURN).square() + clips._ATTEMPT**2
    torch.testing.assert_close(share, torch.ones(3), atol=0.02, rtol=0)


def test_a_picture_does_not_depend_on_what_else_is_asked_for(digits):
    rows = torch.tensor([200, 3, 77, 3, 130])
    alone = draw(rows, **TWO)
    for name, values in alone.items():
        if values.dtype.is_floating_point:  # drawn in a batch of another size
            torch.testing.assert_close(values, digits[name][rows], atol=1e-3, rtol=0)
        elif name == "image":
            assert (values.int() - digits[name][rows].int()).abs().float().mean() < 0.05
        else:
            assert torch.equal(values, digits[name][rows]), name
    more = draw(torch.tensor([3, 77, 130, 200, 9]), **TWO)
    for name, values in more.items():
        assert torch.equal(values[[3, 0, 1, 0, 2]], alone[name]), name


def test_a_signer_is_the_same_in_every_company_and_with_more_clips(solved_apart):
    usual = draw(torch.arange(DIGITS * FRAMES, DIGITS * FRAMES + 5), **TWO)
    alone = draw(torch.arange(5), frames=FRAMES, signers=range(1, 2))
    assert alone["signer"].unique().tolist() == [1]
    for name, values in usual.items():
        assert torch.equal(values, alone[name]), name
    first, second = (
        draw(torch.arange(start, start + 5), frames=FRAMES, signers=range(1, 2), clips_per_letter=2)
        for start in (0, FRAMES)
    )
    assert torch.equal(first["image"], alone["image"]) and second["take"].unique().tolist() == [1]
    assert not torch.equal(first["angles"], second["angles"])
    other = spelled("digits", 4, torch.arange(5), frames=FRAMES, signers=range(1, 2), size=16)
    assert not torch.equal(other["angles"], alone["angles"])


def test_the_way_does_not_depend_on_how_many_frames_are_taken(solved_apart):
    """The middle of five frames is the middle of three, and so are the ends."""
    few = draw(torch.arange(3), frames=3, signers=range(2), difficulty=CLEAN)
    many = draw(torch.tensor([0, 2, 4]), frames=5, signers=range(2), difficulty=CLEAN)
    for name in ("image", "keypoints", "angles"):
        torch.testing.assert_close(few[name], many[name], msg=name)


def test_frames_near_in_time_are_more_alike(digits):
    image = digits["image"].float().unflatten(0, (2, DIGITS, FRAMES)).flatten(3)
    keypoints = digits["keypoints"].unflatten(0, (2, DIGITS, FRAMES)).flatten(3)
    for frames in (image, keypoints):
        near, far, letter = (
            float((one - two).square().mean().sqrt())
            for one, two in (
                (frames[:, :, 1:], frames[:, :, :-1]),
                (frames[:, :, 6:], frames[:, :, :-6]),
                (frames[:, 1:], frames[:, :-1]),
            )
        )
        assert 1.3 * near < far < letter


def test_a_random_split_flatters(digits):
    """What is asked for has nearly been seen; a gap in time takes that away."""
    flat, order = digits["image"].float().flatten(1), torch.arange(2 * DIGITS * FRAMES)
    apart = torch.cdist(flat, flat)
    clip, frame = order // FRAMES, order % FRAMES
    near = (clip[:, None] == clip) & ((frame[:, None] - frame).abs() < 5)

    def accuracy(hidden):
        nearest = apart.masked_fill(hidden, torch.inf).argmin(1)
        return float((digits["label"][nearest] == digits["label"]).float().mean())

    random, contiguous = accuracy(torch.eye(len(order), dtype=torch.bool)), accuracy(near)
    stranger = accuracy(digits["signer"][:, None] == digits["signer"])
    assert random > 0.8 and random - 0.2 > contiguous > stranger


def test_a_session_has_one_background_and_another_session_another(solved_apart):
    every = draw(
        torch.arange(0, 2 * DIGITS * FRAMES * 2, FRAMES), **TWO, clips_per_letter=2, difficulty=CLEAN
    )
    upper_edge = (
        every["image"][:, :, :2].float().unflatten(0, (2, DIGITS, 2)).flatten(3)
    )  # [signer, digit, take, .]
    same = (upper_edge[:, 1:] - upper_edge[:, :-1]).abs().flatten(3).median(-1).values
    other_take = (upper_edge[:, :, 0] - upper_edge[:, :, 1]).abs().median(-1).values
    other_signer = (upper_edge[0] - upper_edge[1]).abs().median(-1).values
    assert same.median() < 4 and other_take.median() > 10 and other_signer.median() > 10


def test_every_frame_has_grain_of_its_own(solved_apart):
    """Frames 0 and 1 of a very long clip show the same hand."""
    index = torch.tensor([0, 1])
    calm = draw(index, frames=100_000, signers=range(1, 2), difficulty=CLEAN)["image"].int()
    grainy = draw(index, frames=100_000, signers=range(1, 2), difficulty=Difficulty(noise=1.0))["image"].int()
    assert (calm[0] - calm[1]).abs().float().mean() < 0.2
    assert (grainy[0] - grainy[1]).abs().float().mean() > 2


def test_joints_lie_on_the_hand_and_inside_the_picture(digits):
    assert (digits["keypoints"] > 0).all() and (digits["keypoints"] < 16).all()
    column, row = digits["keypoints"].long().unbind(-1)
    share = digits["mask"][torch.arange(len(row))[:, None], row, column]
    assert (share > 0).float().mean() > 0.99


def test_the_camera_stands_still_while_the_hand_moves(digits):
    wrist = digits["keypoints"][:, 0].unflatten(0, (-1, FRAMES))
    assert ((wrist - wrist[:, :1]).norm(dim=-1).amax(1) > 0.5).all()  # pixels of 16
    longest = (digits["keypoints"].amax(1) - digits["keypoints"].amin(1)).amax(1).unflatten(0, (-1, FRAMES))
    assert (longest.amax(1) > 0.55 * 16).all()  # and yet hands fill their pictures


def test_poses_are_possible_and_change_little(digits):
    angles = digits["angles"]
    assert (angles >= LIMITS[0]).all() and (angles <= LIMITS[1]).all()
    assert penetration(draw_anatomy(digits["signer"]), angles).max() <= MAX_PENETRATION + 0.005
    clip = angles.unflatten(0, (-1, FRAMES))
    assert 0 < (clip[:, 1:] - clip[:, :-1]).abs().mean() < 2  # degrees
    assert clip.std(1).mean() < 4


def test_a_signer_has_one_hand_for_all_letters(digits):
    assert all(len(digits["left"][digits["signer"] == signer].unique()) == 1 for signer in (0, 1))


def test_letters_keep_their_places_in_the_latin_alphabet(solved_apart):
    drawn = spelled("letters", 0, torch.tensor([8, 9, 23]), frames=1, signers=range(1), size=16)
    assert drawn["letter"].tolist() == [8, 10, 24] and drawn["label"].tolist() == [8, 9, 23]  # i, k, y
    assert labels("letters")[9] == "k" and len(labels("german")) == 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "random"}, "nobody spells 'random'; there are letters, german, digits"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"index": torch.tensor([0, 240])}, "from 0 to 239"),
        ({"index": torch.tensor([-1])}, "from 0 to 239"),
        ({"index": torch.zeros(2)}, "int64"),
        ({"frames": 0}, "at least one"),
        ({"clips_per_letter": 0}, "at least one"),
        ({"signers": range(0)}, "at least one"),
        ({"size": 20}, "multiple of 8"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(change, message):
    request = {"kind": "digits", "seed": 0, "index": torch.arange(2), **TWO} | change
    with pytest.raises(ValueError, match=message):
        spelled(**request)
