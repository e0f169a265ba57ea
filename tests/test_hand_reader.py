"""A trained reader of hands in a user's hands: files in, a hand in space out, clear words for what is no hand."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from thesislib import hand_reader, paths
from thesislib.chapters import hand_mesh, hand_regression
from thesislib.hand_model import NUM_PARAMETERS, UNIT_MM, Parameters, join, posed, project, split
from thesislib.hand_reader import HandReader, load, predict
from thesislib.pose_model import ModelError
from thesislib.synthetic.hand import JOINTS

CONFIG = hand_regression.Config(hidden=16, seed=3, frozen=True)


class Sure(nn.Module):
    """A network that sees the same hand in every picture, nearer to it in each of three iterations."""

    def __init__(self, theta: Tensor) -> None:
        super().__init__()
        self.theta = nn.Parameter(theta)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([0.5 * self.theta, 0.9 * self.theta, self.theta])[:, None].expand(-1, len(x), -1)


def a_hand() -> Tensor:
    random = torch.Generator().manual_seed(0)
    return join(
        Parameters(
            pose=0.15 * torch.randn(1, 45, generator=random),
            shape=torch.randn(1, 10, generator=random),
            rotation=torch.tensor([[0.2, 0.3, -0.4]]),
            translation=torch.tensor([[0.1, 0.6]]),
            scale=torch.tensor([[0.7]]),
        )
    )[0]


@pytest.fixture(scope="module")
def reader() -> HandReader:
    """An untrained network, as a run might have left it."""
    network = hand_regression.build(CONFIG).eval()
    nn.init.normal_(network.regressor.correction[-1].weight, std=0.05)
    return HandReader(network, hand_mesh.load_model(), CONFIG, "small-a-run", {"commit": "12345abcde"})


@pytest.fixture(scope="module")
def sure(reader) -> HandReader:
    return dataclasses.replace(reader, network=Sure(a_hand()))


def a_picture(height: int = 90, width: int = 120) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


# Files --------------------------------------------------------------------------------------------------


def test_a_saved_reader_comes_back_whole(reader, tmp_path):
    hand_reader.save(reader, tmp_path / "hand-mesh-a.safetensors")
    back = load(tmp_path / "hand-mesh-a.safetensors")
    assert not back.network.training
    assert (back.config, back.record, back.facts) == (CONFIG, reader.record, reader.facts)
    here, there = (predict(r, a_picture()).thetas for r in (reader, back))
    assert here.std() > 0.01
    torch.testing.assert_close(there, here, atol=2e-3, rtol=2e-3)  # kept with 16 bits


def test_what_the_encoder_started_from_is_not_needed(reader, tmp_path, monkeypatch):
    hand_reader.save(reader, tmp_path / "a.safetensors")
    asked, build = [], hand_regression.build
    monkeypatch.setattr(hand_regression, "build", lambda config: asked.append(config) or build(config))
    assert load(tmp_path / "a.safetensors").config.start == "hands"
    assert [config.start for config in asked] == ["random"]


def test_the_default_is_the_one_stored_reader(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path)
    with pytest.raises(ModelError, match="no hand reader"):
        hand_reader.default_model()
    (tmp_path / "hand-mesh-a.safetensors").touch()
    (tmp_path / "hand-model-a.safetensors").touch()
    assert hand_reader.default_model() == tmp_path / "hand-mesh-a.safetensors"
    (tmp_path / "hand-mesh-b.safetensors").touch()
    with pytest.raises(ModelError, match="several"):
        hand_reader.default_model()


def test_files_that_are_no_reader_are_refused(reader, tmp_path, monkeypatch):
    good = tmp_path / "good.safetensors"
    hand_reader.save(reader, good)
    with pytest.raises(ModelError, match="no file"):
        load(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="not a whole"):
        (tmp_path / "cut.safetensors").write_bytes(good.read_bytes()[:-100])
        load(tmp_path / "cut.safetensors")
    with pytest.raises(ModelError, match="other weights"):
        load(hand_mesh.weights_path(hand_mesh.stored()))
    description = json.dumps(
        {"config": CONFIG.as_dict(), "record": "", "facts": {}, "hand_model": hand_mesh.model_sha256()}
    )
    weights = load_file(good)

    def changed(name: str, weights: dict[str, Tensor], text: str):
        save_file(weights, tmp_path / name, {"format": hand_reader.FORMAT, "model": text})
        return tmp_path / name

    for text in ("{", "[]", "{}", "3"):
        with pytest.raises(ModelError, match="damaged"):
            load(changed("described.safetensors", weights, text))
    assert load(changed("same.safetensors", weights, description)).config == CONFIG
    with pytest.raises(ModelError, match="does not fit"):
        load(
            changed("fewer.safetensors", {n: w for n, w in weights.items() if "regressor" in n}, description)
        )
    with pytest.raises(ModelError, match="does not fit"):
        load(changed("foreign.safetensors", weights, description.replace('"small"', '"vgg"')))
    monkeypatch.setattr(hand_mesh, "model_sha256", lambda: "0" * 64)
    with pytest.raises(ModelError, match="another hand model"):
        load(good)


# Reading ------------------------------------------------------------------------------------------------


def placed(theta: Tensor, left: float, top: float, side: float) -> np.ndarray:
    """Where the joints of parameters are, if this square of the picture was read."""
    given = split(theta[None])
    points = posed(hand_mesh.load_model(), given.pose, given.shape, given.rotation).keypoints
    flat = project(points, given.translation, given.scale)[0].numpy()
    return np.array([left, top]) + (flat + 1) / 2 * side


def test_joints_are_where_the_square_is(sure):
    theta = a_hand()
    found = predict(sure, a_picture(90, 120))  # the square about the middle of the whole picture
    assert found.place == pytest.approx((0, -15, 120), abs=1e-3)
    np.testing.assert_allclose(found.joints_px[-1], placed(theta, 0, -15, 120), atol=1e-2)
    np.testing.assert_allclose(found.joints_px[0], placed(theta / 2, 0, -15, 120), atol=1e-2)
    found = predict(sure, a_picture(90, 120), (20, 30, 60, 80))  # 50 high, and 15 % more on each side
    assert found.place == pytest.approx((7.5, 22.5, 65), abs=1e-3)
    np.testing.assert_allclose(found.joints_px[-1], placed(theta, 7.5, 22.5, 65), atol=1e-2)
    torch.testing.assert_close(found.thetas[-1], theta)


def test_a_network_sees_the_box_alone(reader):
    small, large = a_picture(130, 130), np.full((300, 400, 3), 255, np.uint8)
    large[70:200, 150:280] = small
    box = (20, 15, 110, 115)  # with its border inside the small picture
    here = predict(reader, small, box)
    there = predict(reader, large, (170, 85, 260, 185))
    torch.testing.assert_close(there.thetas, here.thetas)
    np.testing.assert_allclose(there.joints_px, here.joints_px + (150, 70), atol=1e-2)


@settings(max_examples=10, deadline=None)
@given(x=st.integers(10, 50), y=st.integers(10, 40), side=st.integers(30, 45))
def test_a_left_hand_is_the_mirror_image_of_a_right_one(reader, x, y, side):
    picture = a_picture(90, 120)
    right = predict(reader, picture, (x, y, x + side, y + 30))
    left = predict(reader, picture[:, ::-1], (120 - x - side, y, 120 - x, y + 30), left=True)
    torch.testing.assert_close(left.thetas, right.thetas)
    mirrored = right.joints_px * (-1, 1) + (120, 0)
    np.testing.assert_allclose(left.joints_px, mirrored, atol=1e-2)
    torch.testing.assert_close(left.mesh.vertices, right.mesh.vertices * torch.tensor([-1.0, 1, 1]))
    np.testing.assert_array_equal(left.square, right.square[..., ::-1])
    assert left.place == pytest.approx((120 - right.place[0] - right.place[2], *right.place[1:]), abs=1e-3)


def test_what_is_no_picture_of_a_hand_is_refused(sure):
    for array in (np.zeros((40, 40), np.uint8), np.zeros((40, 40, 3)), np.zeros((40, 40, 4), np.uint8)):
        with pytest.raises(ModelError, match=r"uint8 \[H, W, 3\]"):
            predict(sure, array)
    with pytest.raises(ModelError, match="too small"):
        predict(sure, a_picture(15, 200))
    for box in (
        (20, 20, 10, 40),
        (20, 20, 24, 24),
        (500, 20, 600, 90),
        (np.nan, 0, 40, 40),
        (0, 0, 1e6, 1e6),
    ):
        with pytest.raises(ModelError, match="box"):
            predict(sure, a_picture(), box)


# Drawings and files -------------------------------------------------------------------------------------


def test_a_drawing_shows_every_iteration_and_the_mesh_where_the_hand_is(sure):
    white = np.full((200, 200, 3), 255, np.uint8)
    right = hand_reader.draw(sure, predict(sure, white))
    assert right.dtype == np.uint8 and right.shape == (320, 5 * 320 + 4 * 8, 3)
    panels = [right[:, 328 * n : 328 * n + 320] for n in range(5)]
    inked = [(panel != 255).any(axis=-1) for panel in panels]
    assert all(ink.any() for ink in inked)
    found = predict(sure, white)
    knuckle = np.round(found.joints_px[-1, JOINTS.index("middle MCP")] * 1.6).astype(int)
    assert inked[3][knuckle[1], knuckle[0]]  # the mesh covers its own joint
    assert inked[3].sum() > 3 * inked[2].sum()
    left = hand_reader.draw(sure, predict(sure, white, left=True))
    mirrored = left[:, 3 * 328 : 3 * 328 + 320][:, ::-1]
    assert ((mirrored != 255).any(axis=-1) == inked[3]).mean() > 0.99


@pytest.mark.parametrize("left", [False, True])
def test_a_picture_becomes_a_drawing_a_mesh_and_its_numbers(sure, tmp_path, left):
    Image.fromarray(a_picture()).save(tmp_path / "my hand.png")
    written = hand_reader.predict_file(sure, tmp_path / "my hand.png", tmp_path / "out", left=left)
    assert [path.name for path in written] == ["my hand.hand.png", "my hand.hand.obj", "my hand.hand.json"]
    assert sorted((tmp_path / "out").iterdir()) == sorted(written)
    assert Image.open(written[0]).size == (5 * 320 + 4 * 8, 320)

    told = json.loads(written[2].read_text())
    numbers = Parameters(**{name: torch.tensor(values) for name, values in told["parameters"].items()})
    torch.testing.assert_close(join(numbers), a_hand())
    assert len(join(numbers)) == NUM_PARAMETERS
    expected = placed(a_hand(), 0, -15, 120)
    expected = expected * (-1, 1) + (120, 0) if left else expected
    np.testing.assert_allclose(list(told["joints_px"].values()), expected, atol=1e-2)
    assert told["left_hand"] is left and told["joints_mm"]["wrist"] == pytest.approx([0, 0, 0])

    lines = written[1].read_text().splitlines()
    vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    faces = np.array([line.split()[1:] for line in lines if line.startswith("f ")], int) - 1
    assert vertices.shape == sure.model.template.shape and faces.shape == sure.model.faces.shape
    a, b, c = vertices[faces].transpose(1, 0, 2)
    volume = np.einsum("nc,nc->", a, np.cross(b, c)) / 6 / 1000  # positive where outsides are out
    assert 100 < volume < 1000  # millilitres
    tip = np.array(told["joints_mm"]["middle tip"])
    assert np.linalg.norm(vertices - tip, axis=1).min() < 0.01 * UNIT_MM


def test_nothing_is_written_for_a_file_that_is_no_picture(sure, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    for name in ("a.png", "none.png"):
        with pytest.raises(ModelError):
            hand_reader.predict_file(sure, tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()
