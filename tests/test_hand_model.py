"""The hand model against a slow one with loops, and its rotations against scipy's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from thesislib.hand_model import (
    NUM_PARAMETERS,
    HandModel,
    axis_angles,
    join,
    posed,
    posed_keypoints,
    project,
    rotation_matrices,
    split,
)

# A tree that is no hand's, so that nothing can rest on a hand's order of joints.
PARENTS = (-1, 0, 1, 1, 0, 4, 5, 6, 7, 0, 9, 10, 10, 0, 13, 2)
COUNT = 30


@pytest.fixture(scope="module")
def model() -> HandModel:
    """Numbers drawn by lot in the place of a hand."""
    draw = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    weight = torch.rand(COUNT, 16, generator=draw) ** 4
    regressor = torch.rand(16, COUNT, generator=draw) ** 4
    return HandModel(
        template=normal(COUNT, 3),
        faces=torch.randint(COUNT, (50, 3), generator=draw),
        shape_basis=0.1 * normal(COUNT, 3, 10),
        pose_basis=0.05 * normal(COUNT, 3, 135),
        joint_regressor=regressor / regressor.sum(dim=1, keepdim=True),
        skinning=weight / weight.sum(dim=1, keepdim=True),
        parents=PARENTS,
        tips=torch.tensor([3, 8, 11, 20, 29]),
        keypoint_order=torch.randperm(21, generator=draw),
        name="by lot",
    )


@pytest.fixture(scope="module")
def parameters() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(4)
    return tuple(0.8 * torch.randn(4, size, generator=draw) for size in (45, 10, 3))


def slow(model: HandModel, pose: np.ndarray, shape: np.ndarray, rotation: np.ndarray):
    """Vertices, keypoints and turns of one hand, float64, a vertex and a joint at a time."""
    value = {name: part.double().numpy() for name, part in vars(model).items() if torch.is_tensor(part)}
    bent = [Rotation.from_rotvec(part).as_matrix() for part in pose.reshape(15, 3)]
    shaped = value["template"].copy()
    for k in range(10):
        shaped += shape[k] * value["shape_basis"][..., k]
    joints = np.array(
        [sum(w * v for w, v in zip(row, shaped, strict=True)) for row in value["joint_regressor"]]
    )
    moved = shaped.copy()
    for j in range(15):
        for row in range(3):
            for column in range(3):
                entry = bent[j][row, column] - (row == column)
                moved += entry * value["pose_basis"][..., 9 * j + 3 * row + column]

    def follow(joint: int, point: np.ndarray) -> np.ndarray:
        """Carry a point with a joint, up through its parents, then turn the whole hand about the wrist."""
        while joint:
            point = bent[joint - 1] @ (point - joints[joint]) + joints[joint]
            joint = model.parents[joint]
        return Rotation.from_rotvec(rotation).as_matrix() @ (point - joints[0])

    vertices = np.zeros_like(moved)
    for v, point in enumerate(moved):
        for j in range(16):
            vertices[v] += value["skinning"][v, j] * follow(j, point)
    places = np.array([follow(j, joints[j]) for j in range(16)] + [vertices[tip] for tip in model.tips])
    turns = [np.stack([follow(j, e) - follow(j, np.zeros(3)) for e in np.eye(3)], axis=1) for j in range(16)]
    return vertices, places[model.keypoint_order.numpy()], np.array(turns)


def test_posing_agrees_with_the_slow_way(model, parameters):
    mesh = posed(model, *parameters)
    for hand in range(4):
        vertices, keypoints, turns = slow(model, *(part[hand].double().numpy() for part in parameters))
        np.testing.assert_allclose(mesh.vertices[hand], vertices, atol=2e-5)
        np.testing.assert_allclose(mesh.keypoints[hand], keypoints, atol=2e-5)
        np.testing.assert_allclose(mesh.turns[hand], turns, atol=1e-5)


def test_keypoints_alone_are_those_of_the_mesh(model, parameters):
    torch.testing.assert_close(posed_keypoints(model, *parameters), posed(model, *parameters).keypoints)


def test_zero_parameters_give_the_template_about_its_wrist(model):
    mesh = posed(model, torch.zeros(2, 45), torch.zeros(2, 10), torch.zeros(2, 3))
    wrist = model.joint_regressor[0] @ model.template
    for vertices in mesh.vertices:
        torch.testing.assert_close(vertices, model.template - wrist)
    assert mesh.keypoints[:, model.keypoint_order == 0].abs().max() == 0


def test_turning_the_whole_hand_turns_what_was_posed(model, parameters):
    pose, shape, rotation = parameters
    turned, still = posed(model, *parameters), posed(model, pose, shape, torch.zeros_like(rotation))
    matrix = torch.from_numpy(Rotation.from_rotvec(rotation.numpy()).as_matrix()).float()
    torch.testing.assert_close(turned.vertices, still.vertices @ matrix.mT, atol=2e-5, rtol=0)
    torch.testing.assert_close(turned.keypoints, still.keypoints @ matrix.mT, atol=2e-5, rtol=0)


def test_a_hand_does_not_depend_on_its_batch(model, parameters):
    alone = posed(model, *(part[2:3] for part in parameters))
    torch.testing.assert_close(alone.vertices[0], posed(model, *parameters).vertices[2])


def test_gradients_are_finite_and_right_where_nothing_is_bent(model):
    double = replace(
        model,
        **{
            name: part.double()
            for name, part in vars(model).items()
            if torch.is_tensor(part) and part.is_floating_point()
        },
    )
    zeros = [torch.zeros(1, size, dtype=torch.float64, requires_grad=True) for size in (45, 10, 3)]
    assert torch.autograd.gradcheck(
        lambda *parts: posed(double, *parts).keypoints, zeros, eps=1e-5, atol=1e-6
    )
    theta = torch.zeros(2, 48, requires_grad=True)
    posed(model, theta[:, :45], torch.zeros(2, 10), theta[:, 45:]).vertices.square().sum().backward()
    assert theta.grad.isfinite().all() and theta.grad.abs().max() > 0


# Rotations ---------------------------------------------------------------------------------------------

coordinate = st.floats(-1, 1, width=32)
directions = st.tuples(coordinate, coordinate, coordinate).filter(lambda v: np.linalg.norm(v) > 0.1)


@given(directions, st.floats(0, 3.14))
def test_axis_angles_come_back_from_their_matrix(direction, angle):
    direction = np.array(direction) / np.linalg.norm(direction)
    axis_angle = torch.tensor(angle * direction, dtype=torch.float32)
    matrix = rotation_matrices(axis_angle)
    expected = Rotation.from_rotvec(angle * direction).as_matrix()
    np.testing.assert_allclose(matrix, expected, atol=1e-6)
    # Near half a turn an axis and its opposite are alike, and float32 cannot tell angles apart so finely.
    torch.testing.assert_close(axis_angles(matrix), axis_angle, atol=2e-5 if angle < 3 else 1e-3, rtol=0)


@given(directions)
def test_half_a_turn_comes_back_as_half_a_turn(direction):
    direction = np.array(direction) / np.linalg.norm(direction)
    matrix = torch.from_numpy(Rotation.from_rotvec(np.pi * direction).as_matrix())
    found = axis_angles(matrix)
    assert found.norm() == pytest.approx(np.pi)
    np.testing.assert_allclose(rotation_matrices(found), matrix, atol=1e-7)


@pytest.mark.parametrize("angle", [0.0, 1e-20, 1e-4, 0.4999, 0.5001, 2.0, 6.0, 20.0])
def test_rotations_are_smooth_and_exact_at_every_size(angle):
    axis_angle = torch.tensor(
        [[angle * x for x in (0.6, 0.0, -0.8)]], dtype=torch.float64, requires_grad=True
    )
    expected = Rotation.from_rotvec(axis_angle.detach().numpy()).as_matrix()
    torch.testing.assert_close(
        rotation_matrices(axis_angle).detach(), torch.from_numpy(expected), atol=2e-8, rtol=0
    )
    assert torch.autograd.gradcheck(rotation_matrices, axis_angle, atol=1e-5)


@pytest.mark.parametrize("angle", [0.0, 1e-6, 0.19, 0.21, 1.0, 3.0])
def test_the_way_back_has_gradients(angle):
    start = torch.tensor([[angle * x for x in (0.6, 0.0, -0.8)]], dtype=torch.float64, requires_grad=True)
    jacobian = torch.autograd.functional.jacobian(lambda a: axis_angles(rotation_matrices(a)), start)
    torch.testing.assert_close(
        jacobian.reshape(3, 3), torch.eye(3, dtype=torch.float64), atol=1e-5, rtol=0
    )  # there and back is no change


# Parameters and pictures -------------------------------------------------------------------------------


def test_parameters_are_named_in_order_and_joined_again():
    theta = torch.arange(2.0 * NUM_PARAMETERS).reshape(2, -1)
    parts = split(theta)
    assert NUM_PARAMETERS == 61 and parts.pose[0, 0] == 0 and parts.shape[0, 0] == 45
    assert parts.rotation[0, 0] == 55 and parts.translation[0, 0] == 58 and parts.scale[0].tolist() == [60]
    assert torch.equal(join(parts), theta)
    assert torch.equal(join(split(theta[0])), theta[0])
    with pytest.raises(ValueError, match="61 parameters, got .2, 60."):
        split(theta[:, :60])


def test_a_picture_is_looked_at_from_the_front_with_y_down():
    points = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 2.0, 5.0]]])
    found = project(points, torch.tensor([[0.25, -0.5]]), torch.tensor([[0.1]]))
    torch.testing.assert_close(found, torch.tensor([[[0.25, -0.5], [0.35, -0.7]]]))
    scale, translation = torch.tensor([[0.1]]), torch.tensor([[0.25, -0.5]])
    back = (found - translation[:, None]) / scale[:, None] * torch.tensor([1.0, -1.0])
    torch.testing.assert_close(back, points[..., :2])


def test_a_model_moves_with_all_its_tensors(model):
    moved = model.to("meta")
    tensors = [name for name, part in vars(model).items() if torch.is_tensor(part)]
    assert len(tensors) == 8 and all(getattr(moved, name).device.type == "meta" for name in tensors)
    assert moved.parents == model.parents and moved.name == model.name
    mesh = posed(moved, *(torch.zeros(2, size, device="meta") for size in (45, 10, 3)))
    assert mesh.vertices.device.type == "meta"  # nothing on the way was made on the CPU
    assert project(mesh.keypoints, mesh.keypoints[:, 0, :2], mesh.keypoints[:, 0, :1]).shape == (2, 21, 2)
