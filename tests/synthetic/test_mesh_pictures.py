"""Pictures of the hand model: what their numbers say is what they show, and each follows from its own numbers."""

import math
from functools import partial

import pytest
import torch

from thesislib.chapters import hand_mesh
from thesislib.hand_model import posed, project, split
from thesislib.mesh_render import render
from thesislib.synthetic.mesh_pictures import draw

INDEX = torch.arange(12)


@pytest.fixture(scope="module")
def model():
    return hand_mesh.load_model()


@pytest.fixture(scope="module")
def drawing(model):
    return partial(draw, "model", model=model, subjects=range(5, 9))


@pytest.fixture(scope="module")
def drawn(drawing):
    return drawing(3, INDEX)


def test_the_numbers_of_a_picture_put_the_keypoints_where_its_labels_are(model, drawn):
    told = split(drawn["theta"])
    mesh = posed(model, told.pose, told.shape, told.rotation)
    place = (project(mesh.keypoints, told.translation, told.scale) + 1) * 32
    torch.testing.assert_close(place, drawn["keypoints"], atol=1e-3, rtol=0)
    torch.testing.assert_close(mesh.keypoints, drawn["joints"], atol=1e-5, rtol=0)
    assert (drawn["joints"][:, 0] == 0).all()


def test_a_clay_render_of_the_numbers_lies_inside_the_silhouette(model, drawn):
    told = split(drawn["theta"])
    mesh = posed(model, told.pose, told.shape, told.rotation)
    clay = render(
        mesh.vertices, model.faces, size=64, translation=told.translation, scale=told.scale, supersample=1
    )
    hand = clay.mask > 0.5
    assert hand.flatten(1).sum(1).min() > 200
    assert not (hand & ~drawn["silhouette"]).any()
    added = (drawn["silhouette"] & ~hand).flatten(1).float().mean(1)  # the arm and its sleeve
    assert 0 < added.mean() < 0.15


def test_silhouettes_hold_all_keypoints(drawn):
    near = torch.nn.functional.max_pool2d(drawn["silhouette"].float(), 3, 1, 1)  # tips stand at the very edge
    column, row = drawn["keypoints"].long().unbind(-1)
    assert ((drawn["keypoints"] > 0) & (drawn["keypoints"] < 64)).all()
    assert near[torch.arange(len(INDEX))[:, None], row, column].all()


def test_frames_are_turns_whose_middle_column_points_along_the_bones(drawn):
    frames = drawn["frames"]
    torch.testing.assert_close(frames @ frames.mT, torch.eye(3).expand_as(frames), atol=1e-4, rtol=0)
    joints = drawn["joints"][:, 1:].unflatten(1, (5, 4))
    bones = torch.nn.functional.normalize(joints[:, :, 1:] - joints[:, :, :-1], dim=-1)
    cosine = (bones * frames[..., 1]).sum(-1)
    assert cosine.median() > math.cos(math.radians(3)) and cosine.min() > math.cos(math.radians(20))


def test_a_picture_follows_from_its_seed_and_index_alone(drawing, drawn):
    some = drawing(3, torch.tensor([7, 2, 40]))
    for name, values in some.items():
        assert torch.equal(values[:2], drawn[name][[7, 2]]), name
    other = drawing(4, INDEX)
    assert not torch.equal(other["theta"], drawn["theta"])


def test_a_subject_keeps_one_shape_within_two_deviations(drawn):
    shape, signer = split(drawn["theta"]).shape, drawn["signer"]
    assert set(signer.tolist()) <= set(range(5, 9)) and len(signer.unique()) > 1
    for who in signer.unique():
        assert (shape[signer == who] == shape[signer == who][0]).all()
    assert len(shape.unique(dim=0)) == len(signer.unique())
    assert shape.abs().max() <= 2


def test_hands_stand_out_from_light_paper(drawn):
    image, hand = drawn["image"].float() / 255, drawn["silhouette"]
    assert image.std() > 0.1
    paper = image.mean(1)[~hand]
    assert paper.median() > 0.7  # white, but for shadows
    assert image.mean(1)[hand].median() < paper.median() - 0.1


def test_sizes_show_the_same_hands(drawing, drawn):
    large = drawing(3, INDEX[:4], size=128)
    torch.testing.assert_close(large["keypoints"] / 2, drawn["keypoints"][:4], atol=1e-3, rtol=0)
    assert torch.equal(large["theta"], drawn["theta"][:4])
    small = torch.nn.functional.avg_pool2d(large["silhouette"].float(), 2)
    assert (small - drawn["silhouette"][:4].float()).abs().mean() < 0.02


@pytest.mark.parametrize(
    ("kind", "seed", "index", "options", "says"),
    [
        ("flat", 0, INDEX, {}, "there are model"),
        ("model", -1, INDEX, {}, "seed"),
        ("model", 0, INDEX.float(), {}, "int64"),
        ("model", 0, INDEX[:0], {}, "at least one"),
        ("model", 0, INDEX, {"subjects": range(0)}, "subject"),
        ("model", 0, INDEX, {"size": 60}, "multiple of 8"),
        ("model", 0, INDEX, {"supersample": 9}, "supersample"),
    ],
)
def test_what_cannot_be_drawn_is_refused(model, kind, seed, index, options, says):
    with pytest.raises(ValueError, match=says):
        draw(kind, seed, index, **({"model": model, "subjects": range(3)} | options))
