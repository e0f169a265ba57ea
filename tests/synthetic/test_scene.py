import dataclasses
from functools import partial

import pytest
import torch

from thesislib.synthetic import poses
from thesislib.synthetic.hand import BONES
from thesislib.synthetic.scene import KINDS, Difficulty, generate, mirror, portray

draw = partial(generate, size=32, signers=range(2))


@pytest.fixture(scope="module")
def many():
    return draw("random", 5, torch.arange(64))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_every_array(kind, solved_apart):
    found = draw(kind, 0, torch.arange(40))
    assert {name: (values.dtype, tuple(values.shape)) for name, values in found.items()} == {
        "image": (torch.uint8, (40, 3, 32, 32)),
        "keypoints": (torch.float32, (40, 21, 2)),
        "visible": (torch.bool, (40, 21)),
        "joints": (torch.float32, (40, 21, 3)),
        "angles": (torch.float32, (40, 21)),
        "letter": (torch.int64, (40,)),
        "signer": (torch.int64, (40,)),
        "left": (torch.bool, (40,)),
    }
    low, high = {"letters": (0, 24), "german": (0, 29), "digits": (0, 9)}.get(kind, (-1, -1))
    assert low <= found["letter"].min() and found["letter"].max() <= high
    if kind == "letters":
        assert 9 not in found["letter"]  # J moves; Z would be 25
    assert (found["keypoints"] > 0).all() and (found["keypoints"] < 32).all()
    assert set(found["signer"].tolist()) == {0, 1} and set(found["left"].tolist()) == {True, False}
    assert found["image"].float().std((1, 2, 3)).min() > 3  # there is something on every picture


def test_a_signer_is_one_person_whatever_the_hand_shows(solved_apart):
    first, second = torch.tensor(BONES).T
    lengths = {}
    for kind in KINDS:
        found = draw(kind, 3, torch.arange(16), signers=torch.tensor([1]))
        lengths[kind] = (found["joints"][:, second] - found["joints"][:, first]).norm(dim=-1)
    for kind in KINDS:
        torch.testing.assert_close(lengths[kind], lengths["flat"][:1].expand(16, -1), atol=1e-4, rtol=0)
    portrait = portray(1, torch.zeros(1, 21), torch.eye(3)[None], size=32, supersample=1)["joints"]
    of_portrait = (portrait[:, second] - portrait[:, first]).norm(dim=-1)
    torch.testing.assert_close(of_portrait, lengths["flat"][:1], atol=1e-4, rtol=0)


def test_a_picture_depends_on_its_seed_and_index_alone(many):
    rows = torch.tensor([40, 3, 63, 3])
    alone = draw("random", 5, rows)
    for name, values in alone.items():
        assert torch.equal(values, many[name][rows]), name
    other = draw("random", 6, rows)
    assert not torch.equal(other["image"], alone["image"]) and not torch.equal(
        other["angles"], alone["angles"]
    )


def test_a_picture_does_not_depend_on_the_number_of_cores_and_leaves_it_as_it_was(many):
    cores = torch.get_num_threads()
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            again = draw("random", 5, torch.arange(64))
            assert torch.get_num_threads() == number
            for name, values in again.items():
                assert torch.equal(values, many[name]), name
    finally:
        torch.set_num_threads(cores)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")
def test_a_gpu_draws_the_same_hands(many):
    there = {
        name: values.cpu() for name, values in draw("random", 5, torch.arange(64, device="cuda")).items()
    }
    torch.testing.assert_close(there["keypoints"], many["keypoints"], atol=0.01, rtol=0)
    assert torch.equal(there["left"], many["left"])
    levels = (there["image"].int() - many["image"].int()).abs()
    assert (levels > 2).float().mean() < 0.01  # rounding moves an edge here and there


def test_indices_give_different_pictures(many):
    flat = many["image"].flatten(1).float()
    apart = torch.cdist(flat, flat) + 1e9 * torch.eye(64)
    assert apart.min() > 100
    assert 0.25 < many["left"].float().mean() < 0.75


def test_mirroring_twice_changes_nothing(many):
    where = torch.arange(64) % 3 == 0
    drawn = {**many, "image": many["image"].float() / 255}
    once = mirror(drawn, where)
    twice = mirror(once, where)
    for name in drawn:
        torch.testing.assert_close(twice[name], drawn[name], atol=1e-5, rtol=0)
    assert torch.equal(once["image"][0], drawn["image"][0].flip(-1))
    assert torch.equal(once["image"][1], drawn["image"][1])
    torch.testing.assert_close(once["keypoints"][0, :, 0], 32 - drawn["keypoints"][0, :, 0])


def test_left_hands_are_left_and_right_hands_right(many):
    """The thumb's side tells: wrist to middle knuckle, little to index knuckle and palm make a screw."""
    joints = many["joints"]
    along, towards_thumb = joints[:, 9] - joints[:, 0], joints[:, 5] - joints[:, 17]
    palm = torch.linalg.cross(towards_thumb, along)  # out of the palm of a right hand
    curl = (joints[:, 8] - joints[:, 5]) + (joints[:, 12] - joints[:, 9])  # fingers bend towards the palm
    side = (palm * curl).sum(1)
    bent = many["angles"][:, [6, 7, 10, 11]].sum(1) > 60
    assert bent.sum() > 20
    assert torch.equal(side[bent] < 0, many["left"][bent])


def test_joints_and_keypoints_agree_on_where_things_are(many):
    """Right is right and up is up: offsets in the picture follow offsets in space."""
    flat, space = many["keypoints"] - many["keypoints"][:, :1], many["joints"] - many["joints"][:, :1]
    for axis, sign in ((0, 1), (1, -1)):
        pair = torch.stack([flat[..., axis].flatten(), sign * space[..., axis].flatten()])
        assert torch.corrcoef(pair)[0, 1] > 0.9


def test_signers_are_those_asked_for():
    found = draw("flat", 0, torch.arange(32), signers=torch.tensor([7, 11]))
    assert set(found["signer"].tolist()) == {7, 11}


def test_rotation_and_pose_jitter_reach_the_poses():
    index = torch.arange(32)
    calm = draw("flat", 0, index, difficulty=Difficulty(pose_jitter=0.0, rotation=0.0))
    usual = draw("flat", 0, index)
    assert calm["angles"].std(0).mean() < usual["angles"].std(0).mean()


def test_portraits_of_one_signer_share_light_camera_and_background():
    angles, orientation = poses.flat(0, torch.arange(1), torch.tensor([3]), rotation=0.0)
    angles = angles.repeat(3, 1)
    angles[1:, 10:12] = torch.tensor([[40.0, 50.0], [85.0, 100.0]])
    found = portray(3, angles, orientation.expand(3, 3, 3), size=64, supersample=1)
    torch.testing.assert_close(found["keypoints"][1:, 0], found["keypoints"][:2, 0])
    image = found["image"].float()
    corner = image[:, :, :6, :6]
    assert (corner - corner[:1]).abs().max() <= 2
    assert (image[2] - image[0]).abs().amax(0).gt(20).sum() > 30  # the finger moved


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "feet"}, "no pictures of kind 'feet'; there are letters, german, digits, random, flat"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"index": torch.zeros(0, dtype=torch.int64)}, "at least one entry"),
        ({"index": torch.zeros(3)}, "int64"),
        ({"index": [1, 2]}, "int64"),
        ({"size": 50}, "multiple of 8"),
        ({"size": 8}, "multiple of 8"),
        ({"supersample": 0}, "supersample"),
        ({"size": 256, "supersample": 2}, "384 / size"),
        ({"signers": range(0)}, "at least one signer"),
    ],
)
def test_requests_that_cannot_be_met_are_refused(change, message):
    request = {"kind": "random", "seed": 0, "index": torch.arange(2)} | change
    with pytest.raises(ValueError, match=message):
        generate(**request)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Difficulty)])
def test_difficulty_refuses_what_makes_no_sense(field):
    for value in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=field):
            Difficulty(**{field: value})
    with pytest.raises(ValueError, match="clutter"):
        Difficulty(clutter=1.2)


def test_portraits_refuse_other_shapes():
    with pytest.raises(ValueError, match="angles"):
        portray(0, torch.zeros(2, 20), torch.eye(3).expand(2, 3, 3))
    with pytest.raises(ValueError, match="at least one"):
        portray(0, torch.zeros(0, 21), torch.zeros(0, 3, 3))
