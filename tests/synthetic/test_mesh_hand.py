"""The project's own hand model: what is learned from invented people, and how true it is to them."""

from dataclasses import replace

import pytest
import torch

from thesislib.hand_model import UNIT_MM, posed
from thesislib.synthetic import mesh_hand, poses
from thesislib.synthetic.bones import bone_maps, rest_hand
from thesislib.synthetic.hand import Anatomy, draw_anatomy, pose
from thesislib.synthetic.hand_surface import COLUMNS, hand_surface
from thesislib.synthetic.rest_mesh import WRIST_END

PEOPLE = 80
COUNT = 24


@pytest.fixture(scope="module")
def model():
    return mesh_hand.build(600, PEOPLE, 500)


@pytest.fixture(scope="module")
def strangers():
    """Hands of people whom the model has not seen, in free poses, seen from anywhere."""
    people = 2_000_000 + torch.arange(COUNT)
    return draw_anatomy(people), *poses.random(5, torch.arange(COUNT), people)


def average(count: int) -> Anatomy:
    return Anatomy(**{name: row.expand(count, *row.shape[1:]) for name, row in vars(rest_hand()[0]).items()})


def mean_mm(points: torch.Tensor, truth: torch.Tensor) -> float:
    return UNIT_MM * (points - truth).norm(dim=-1).mean().item()


# What it is made of ------------------------------------------------------------------------------------


def test_the_model_has_the_shapes_of_manos(model):
    count = len(model.template)
    assert model.shape_basis.shape == (count, 3, 10) and model.pose_basis.shape == (count, 3, 135)
    assert model.joint_regressor.shape == model.skinning.T.shape == (16, count)
    assert model.parents == (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
    assert all(
        part.dtype == torch.float32
        for part in vars(model).values()
        if torch.is_tensor(part) and part.is_floating_point()
    )


def test_weights_are_shares(model):
    for weight in (model.skinning, model.joint_regressor):
        assert weight.min() >= 0
        torch.testing.assert_close(weight.sum(dim=1), torch.ones(len(weight)), atol=1e-5, rtol=0)
    assert (model.joint_regressor > 0).sum(dim=1).max() <= 12  # non-negative least squares leaves few
    tips = model.skinning[model.tips]
    assert tips.argmax(dim=1).tolist() == [3, 6, 9, 12, 15] and tips.max(dim=1).values.min() > 0.999


def test_the_zero_pose_is_the_average_hand_at_rest(model):
    mesh = posed(model, torch.zeros(1, 45), torch.zeros(1, 10), torch.zeros(1, 3))
    torch.testing.assert_close(mesh.keypoints, rest_hand()[1].joints, atol=1e-5, rtol=0)
    torch.testing.assert_close(mesh.vertices[0], model.template, atol=1e-5, rtol=0)
    assert torch.equal(pose(rest_hand()[0], mesh_hand.REST_ANGLES[None]).joints, rest_hand()[1].joints)


def test_a_shape_number_is_one_standard_deviation_of_people(model):
    shape = mesh_hand.shape_of(model, draw_anatomy(mesh_hand.scanned(PEOPLE)))
    torch.testing.assert_close(shape.square().mean(dim=0), torch.ones(10), atol=1e-3, rtol=0)
    between = shape.T @ shape / PEOPLE
    assert (between - torch.eye(10)).abs().max() < 1e-3  # and no two go together
    size = model.shape_basis.square().sum(dim=(0, 1))
    assert (size.diff() <= 0).all()


def test_shape_numbers_are_the_best_ten(model):
    """Against the components of scikit-learn's decomposition of the same skins."""
    from sklearn.decomposition import TruncatedSVD

    skins = mesh_hand.resting_mesh(model.template, draw_anatomy(mesh_hand.scanned(PEOPLE)))
    offset = (skins - model.template).flatten(1).double().numpy()
    svd = TruncatedSVD(10, algorithm="arpack", random_state=0).fit(offset)
    scaled = torch.from_numpy(svd.components_ * svd.singular_values_[:, None] / PEOPLE**0.5)
    ours = model.shape_basis.flatten(0, 1).T.double()
    cosine = torch.nn.functional.cosine_similarity(scaled, ours)
    assert cosine.abs().min() > 0.999
    torch.testing.assert_close(scaled.norm(dim=1), ours.norm(dim=1), rtol=1e-3, atol=0)
    assert (ours.gather(1, ours.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_at_rest_everybodys_bones_point_alike():
    joints = mesh_hand.resting_joints(draw_anatomy(torch.arange(5)))[:, 1:].unflatten(1, (5, 4))
    along = torch.nn.functional.normalize(joints.diff(dim=2), dim=-1)
    torch.testing.assert_close(along, rest_hand()[1].frames[..., 1].expand(5, -1, -1, -1), atol=1e-5, rtol=0)


def test_another_seed_asks_other_people():
    one, two = mesh_hand.scanned(2_000, 0), mesh_hand.scanned(2_000, 1)
    assert not set(one.tolist()) & set(two.tolist())
    assert one.min() >= 3_000_000  # nobody whom a picture of this project shows


# How true it is ----------------------------------------------------------------------------------------


def test_true_skin_is_the_generators_skin(model, strangers):
    """Each vertex lies among the points that the renderer would draw of the same hand."""
    anatomy, angles, _ = strangers
    surface = hand_surface(0.03)
    weight = surface.table.split(COLUMNS, dim=1)[0]
    skin = (weight[:, -1] == 0) & (surface.position[:, 1] > WRIST_END)  # no sleeve, no arm
    position, weight = surface.position[skin], weight[skin]
    still = torch.eye(3).expand(4, 3, 3)
    maps = bone_maps(anatomy[:4], pose(anatomy[:4], angles[:4]), still, torch.ones(4, 2))
    homogeneous = torch.nn.functional.pad(position, (0, 1), value=1.0)
    drawn = torch.einsum("pk,bkcd,pd->bpc", weight, maps, homogeneous)
    hand = model.template[:, 1] > WRIST_END + 0.2
    found = mesh_hand.true_mesh(model, anatomy[:4], angles[:4])[:, hand]
    assert torch.cdist(found, drawn).amin(dim=-1).max() < 0.05


def test_true_pose_and_rotation_turn_every_phalanx_right(model, strangers):
    anatomy, angles, orientation = strangers
    parameters = mesh_hand.theta_of(model, anatomy, angles, orientation)
    turns = posed(model, *parameters).turns
    torch.testing.assert_close(turns[:, 0], orientation, atol=1e-5, rtol=0)
    frames = turns[:, 1:].unflatten(1, (5, 3)) @ rest_hand()[1].frames
    expected = orientation[:, None, None] @ pose(anatomy, angles).frames
    torch.testing.assert_close(frames, expected, atol=1e-5, rtol=0)


def test_joints_of_the_average_hand_are_right_in_every_pose(model, strangers):
    _, angles, orientation = strangers
    mesh = posed(model, *mesh_hand.theta_of(model, average(COUNT), angles, orientation))
    expected = pose(average(COUNT), angles).joints @ orientation.mT
    assert UNIT_MM * (mesh.keypoints - expected).norm(dim=-1).max() < 0.01


def test_ten_shape_numbers_bring_joints_and_skin_of_strangers_within_millimetres(model, strangers):
    anatomy, angles, orientation = strangers
    rotation_of = mesh_hand.theta_of(model, anatomy, angles, orientation)
    mesh = posed(model, *rotation_of)
    joints = pose(anatomy, angles).joints @ orientation.mT
    skin = mesh_hand.true_mesh(model, anatomy, angles) @ orientation.mT
    assert mean_mm(mesh.keypoints, joints) < 2.5 and mean_mm(mesh.vertices, skin) < 2.2
    nobody = posed(model, rotation_of[0], 0 * rotation_of[1], rotation_of[2])
    assert mean_mm(nobody.keypoints, joints) > 2 * mean_mm(mesh.keypoints, joints)


def test_the_regressor_finds_the_joints_inside_a_true_skin(model):
    anatomy = draw_anatomy(2_000_000 + torch.arange(COUNT))
    found = model.joint_regressor @ mesh_hand.resting_mesh(model.template, anatomy)
    joints = mesh_hand.resting_joints(anatomy)[:, mesh_hand.MODEL_JOINTS]
    assert mean_mm(found, joints) < 0.3


def test_pose_blend_shapes_mend_what_skinning_breaks(model, strangers):
    _, angles, orientation = strangers
    truth = mesh_hand.true_mesh(model, average(COUNT), angles)
    parameters = mesh_hand.theta_of(model, average(COUNT), angles, torch.eye(3).expand(COUNT, 3, 3))
    alone = replace(model, pose_basis=torch.zeros_like(model.pose_basis))
    errors = [mean_mm(posed(which, *parameters).vertices, truth) for which in (alone, model)]
    assert errors[1] < 0.35 * errors[0] and errors[1] < 0.05


def test_shapes_come_back_from_skins_of_the_models_own(model, strangers, monkeypatch):
    shape = torch.randn(5, 10, generator=torch.Generator().manual_seed(0))
    skins = posed(model, torch.zeros(5, 45), shape, torch.zeros(5, 3)).vertices
    wrist = posed(model, torch.zeros(5, 45), shape, torch.zeros(5, 3)).keypoints[:, :1]
    rest = (model.joint_regressor @ (model.template + (model.shape_basis @ shape.T).movedim(-1, 0)))[:, :1]
    monkeypatch.setattr(mesh_hand, "resting_mesh", lambda template, anatomy: skins - wrist + rest)
    torch.testing.assert_close(mesh_hand.shape_of(model, None), shape, atol=1e-4, rtol=0)


def test_a_joint_moves_no_skin_but_its_own(model):
    """A bent last joint of the little finger leaves the other fingers' skin alone."""
    pose_ = torch.zeros(1, 45)
    pose_[0, 42] = 1.0
    moved = posed(model, pose_, torch.zeros(1, 10), torch.zeros(1, 3)).vertices[0] - model.template
    assert moved[model.skinning[:, 15] == 0].abs().max() < 1e-5
    assert UNIT_MM * moved[model.tips[4]].norm() > 5
