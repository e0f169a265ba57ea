"""Meshes are drawn where their parameters put them, and turn, on a hand of tetrahedra."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from thesislib.figures import meshes, style, turning_meshes
from thesislib.hand_model import HandModel, posed


@pytest.fixture(autouse=True)
def _small_and_in_style(monkeypatch):
    style.use_style()
    for module in (meshes, turning_meshes):
        monkeypatch.setattr(module, "SIZE", 64)


@pytest.fixture(scope="module")
def model() -> HandModel:
    """A tetrahedron at each keypoint: 16 joints in the usual order, and five tips without a joint of their own."""
    centres = np.zeros((21, 3), np.float32)
    for finger in range(5):
        for part in range(4):
            centres[1 + 4 * finger + part] = ((finger - 2) * -0.25, 0.4 + 0.3 * part, 0.0)
    corners = 0.12 * np.array([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)], np.float32)
    template = torch.from_numpy((centres[:, None] + corners).reshape(-1, 3))  # [84, 3]
    faces = torch.tensor([(0, 1, 2), (0, 3, 1), (0, 2, 3), (1, 3, 2)])
    faces = (faces + 4 * torch.arange(21)[:, None, None]).flatten(0, 1)
    keypoint_joint = [0, *(j for f in range(5) for j in (1 + 3 * f, 2 + 3 * f, 3 + 3 * f, 3 + 3 * f))]
    owner = torch.tensor(keypoint_joint).repeat_interleave(4)
    regressor = torch.zeros(16, 84)
    for joint in range(16):
        first = keypoint_joint.index(joint)
        regressor[joint, 4 * first : 4 * first + 4] = 0.25
    order = [0, *(k for f in range(5) for k in (1 + 3 * f, 2 + 3 * f, 3 + 3 * f, 16 + f))]
    generator = torch.Generator().manual_seed(0)
    return HandModel(
        template=template,
        faces=faces,
        shape_basis=0.02 * torch.randn(84, 3, 10, generator=generator),
        pose_basis=0.02 * torch.randn(84, 3, 135, generator=generator),
        joint_regressor=regressor,
        skinning=torch.eye(16)[owner],
        parents=(-1, *(0 if j % 3 == 1 else j - 1 for j in range(1, 16))),
        tips=torch.tensor([4 * (4 + 4 * f) for f in range(5)]),
        keypoint_order=torch.tensor(order),
        name="tetrahedra",
    )


def thetas(count: int, seed: int = 0) -> np.ndarray:
    """Parameters [4, n, 61] of hands that fit into their pictures."""
    theta = 0.05 * np.random.default_rng(seed).normal(size=(4, count, 61))
    theta[..., 58:60], theta[..., 60] = (0.0, 0.6), 0.8
    return theta.astype(np.float32)


def test_turning_shows_the_other_side():
    point = torch.tensor([[0.0, 0.0, 1.0]])  # towards the viewer
    assert torch.allclose(meshes.turned(point, meshes.SIDE), torch.tensor([[-1.0, 0.0, 0.0]]), atol=1e-6)
    assert torch.allclose(meshes.turned(point, meshes.OTHER_SIDE), torch.tensor([[1.0, 0.0, 0.0]]), atol=1e-6)


def test_the_model_is_explained_by_what_it_does(model):
    template = meshes.template(model)
    assert "84 vertices" in template.get_label() and len(template.axes) == 2
    shapes = meshes.shape_numbers(model, count=2)
    still = meshes.shape_numbers(replace(model, shape_basis=torch.zeros_like(model.shape_basis)), count=2)
    moving, cells = ([axis.images[0].get_array() for axis in figure.axes] for figure in (shapes, still))
    assert len(cells) == 10 and all(np.array_equal(cells[0], cell) for cell in cells)
    assert np.array_equal(moving[2], moving[7]) and not np.array_equal(moving[1], moving[2])
    no_repair = meshes.pose_repairs(replace(model, pose_basis=torch.zeros_like(model.pose_basis)))
    without, with_ = (axis.images[0].get_array() for axis in no_repair.axes[:2])
    assert np.array_equal(without, with_) and "by up to 0.0 mm" in no_repair.get_label()
    repaired = [axis.images[0].get_array() for axis in meshes.pose_repairs(model).axes[:2]]
    assert not np.array_equal(*repaired)
    assert "first explains 60 %, all 90 %" in meshes.variance([0.6, 0.3]).get_label()


def test_predictions_are_drawn_where_the_parameters_put_them(model):
    image, theta = np.full((2, 3, 64, 64), 200, np.uint8), thetas(2)
    keypoints = np.random.default_rng(0).uniform(5, 60, (2, 21, 2))
    steps = meshes.iterations(image, keypoints, theta, model)
    assert len(steps.axes) == 2 * 5
    dots = [axis.collections[1].get_offsets() for axis in steps.axes]
    assert np.allclose(dots[5], keypoints[1])  # second row, as detected
    t = torch.from_numpy(theta[3, :1])
    joints = posed(model, t[:, :45], t[:, 45:55], t[:, 55:58]).keypoints[0]
    x = (0.8 * joints[:, 0] + 0.0 + 1) * 32
    y = (-0.8 * joints[:, 1] + 0.6 + 1) * 32
    x, y = x + 32 * (t[0, 58] - 0.0), y + 32 * (t[0, 59] - 0.6)
    assert np.allclose(dots[4], np.stack([x, y], 1), atol=1e-3)  # first row, after the last iteration
    true = posed(model, t[:, :45], t[:, 45:55], t[:, 55:58]).vertices.numpy()
    sheet = meshes.predicted_meshes(image[:1], keypoints[:1], theta[3, :1], model, true_vertices=true)
    side, true_side = (axis.images[0].get_array() for axis in sheet.axes[3:])
    assert np.array_equal(
        (side < 255).any(-1), (true_side < 255).any(-1)
    )  # the same outline in another colour
    assert not np.array_equal(side, true_side)
    assert len(meshes.predicted_meshes(image[:1], keypoints[:1], theta[3, :1], model).axes) == 4


def test_turning_meshes_are_small_labelled_and_turn_together(model):
    vertices = np.stack([model.template.numpy(), 1.1 * model.template.numpy()])
    figure = turning_meshes.turning(vertices, vertices, model.faces.numpy())
    assert [trace.visible for trace in figure.data] == [True, True, False, False]
    assert np.allclose(np.ptp(figure.data[2].y), 1.1 * np.ptp(figure.data[0].y))
    assert figure.data[0].x.dtype == np.float32 and figure.data[0].i.dtype == np.uint16
    views, hands = figure.layout.updatemenus
    assert all(b.args[0]["scene.camera"] == b.args[0]["scene2.camera"] for b in views.buttons)
    assert [b.args[0]["visible"] for b in hands.buttons] == [
        [True, True, False, False],
        [False, False, True, True],
    ]
    assert (
        len(turning_meshes.turning(vertices[:1], vertices[:1], model.faces.numpy()).layout.updatemenus) == 1
    )
    still = turning_meshes.still(vertices, vertices.astype(np.float16), model.faces.numpy())
    assert len(still.axes) == 4 and still.get_label()
    with pytest.raises(ValueError, match="the same for both"):
        turning_meshes.turning(vertices, vertices[:1], model.faces.numpy())
    with pytest.raises(ValueError, match="faces name vertex"):
        turning_meshes.still(vertices[:, :10], vertices[:, :10], model.faces.numpy())
