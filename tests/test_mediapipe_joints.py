"""MediaPipe's landmark model: where its tracking looks next, and that it is asked as it expects."""

import math
import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thesislib import mediapipe_joints, paths, peers
from thesislib.chapters.finding_joints import over_box
from thesislib.datasets import hands
from thesislib.datasets.sources import DataError
from thesislib.mediapipe_joints import LEAST_PX, PALM, tracking_crop


def hand() -> torch.Tensor:
    """A hand upright in a picture of 64 pixels: the palm's box is 20 wide and 30 high, tips are far outside it."""
    joints = torch.zeros(21, 2)
    joints[0] = torch.tensor([32.0, 50.0])  # the wrist
    for finger in range(5):
        x = 22.0 + 5 * finger
        joints[1 + 4 * finger : 5 + 4 * finger] = torch.tensor([[x, 30.0], [x, 20.0], [x, 5.0], [x, -9.0]])
    joints[1:5] = torch.tensor([[22.0, 45.0], [22.0, 40.0], [22.0, 35.0], [-30.0, 60.0]])
    return joints[None]


def test_the_palm_is_the_wrist_and_two_joints_of_a_finger_but_three_of_the_thumb():
    assert PALM == [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]  # as MediaPipe's graph splits its list


def rect_of_the_published_rule(joints: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Middle, side and angle of MediaPipe's rectangle, as its two calculators go about it, in pixels.

    The box of the joints as they stand gives a middle, about which they are turned back; the new box turns again.
    """
    x0, y0 = joints[0]
    (x5, y5), (x9, y9), (x13, y13) = joints[[5, 9, 13]]
    x1, y1 = ((x5 + x13) / 2 + x9) / 2, ((y5 + y13) / 2 + y9) / 2
    angle = math.pi / 2 - math.atan2(-(y1 - y0), x1 - x0)
    palm = joints[[0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]]
    middle = (palm.min(0) + palm.max(0)) / 2
    cos, sin = math.cos(-angle), math.sin(-angle)
    x, y = (palm - middle).T
    back = np.stack([x * cos - y * sin, x * sin + y * cos])
    (left, top), (right, bottom) = back.min(1), back.max(1)
    x, y = (left + right) / 2, (top + bottom) / 2 - 0.1 * (bottom - top)
    cos, sin = math.cos(angle), math.sin(angle)
    middle = middle + np.array([x * cos - y * sin, x * sin + y * cos])
    return middle, 2 * max(right - left, bottom - top), angle


@given(st.integers(0, 10**6), st.floats(0.2, 5))
def test_the_crop_is_mediapipes(seed, flatter):
    joints = np.random.default_rng(seed).uniform(0, 64, (21, 2)) * [flatter, 1]
    middle, side, angle = rect_of_the_published_rule(joints)
    found = tracking_crop(torch.from_numpy(joints)[None])
    np.testing.assert_allclose(found.middle[0], middle, atol=1e-3)
    assert found.side.item() == pytest.approx(side)
    axes = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    np.testing.assert_allclose(found.axes[0], axes, atol=1e-6)


def test_the_next_region_of_an_upright_hand_is_twice_its_palm_a_tenth_towards_the_fingers():
    joints = hand()
    joints[:, [5, 9, 13]] = torch.tensor([32.0, 30.0])  # straight above the wrist
    found = tracking_crop(joints)
    assert found.axes[0].tolist() == [[1, 0], [0, 1]]
    # the box is 22 to 42 and 20 to 50: its longer side 30, its middle (32, 35), moved by a tenth of its height
    assert found.side.item() == pytest.approx(60) and found.middle[0].tolist() == pytest.approx([32, 32])


@given(turn=st.floats(-3.1, 3.1), scale=st.floats(0.3, 3), x=st.floats(-20, 20), y=st.floats(-20, 20))
def test_the_next_region_turns_grows_and_moves_with_the_hand(turn, scale, x, y):
    rotation = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    moved = scale * hand() @ rotation.T + torch.tensor([x, y])
    before, after = tracking_crop(hand()), tracking_crop(moved)
    torch.testing.assert_close(after.side, scale * before.side, atol=1e-3, rtol=1e-4)
    middle = scale * before.middle @ rotation.T + torch.tensor([x, y])
    torch.testing.assert_close(after.middle, middle, atol=1e-2, rtol=1e-4)
    torch.testing.assert_close(after.axes[0], rotation @ before.axes[0], atol=1e-3, rtol=0)


def test_points_in_one_place_still_make_a_region():
    found = tracking_crop(torch.full((1, 21, 2), 7.0))
    assert found.side.item() == LEAST_PX and found.middle.isfinite().all()
    assert found.axes[0].tolist() == [[1, 0], [0, 1]]


def by_colour(joints: torch.Tensor):
    """A picture whose colour tells each place, and a finder that looks for the colours of these joints' places."""
    column, row = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="xy")
    picture = torch.stack([3 * column, 3 * row, 0 * row])[None].round().to(torch.uint8)

    def find(images: torch.Tensor) -> torch.Tensor:
        assert images.shape[1:] == (3, peers.INPUT_PX, peers.INPUT_PX) and images.dtype == torch.uint8
        off = (
            (images[:, None, :2] - 3 * joints[:, :, :, None, None]).square().sum(2).flatten(2)
        )  # [N, 21, pixels]
        best = off.argmin(-1)
        return torch.stack([best % peers.INPUT_PX, best // peers.INPUT_PX], -1) + 0.5

    return picture, find


def test_places_are_told_in_the_picture_whatever_square_was_looked_at():
    joints = 0.4 * hand() + 20
    joints[:, 4::4] = joints[:, 3::4] - 1  # tips not far from the palm: a finder can tell only what it sees
    picture, find = by_colour(joints)
    for found in mediapipe_joints.whole_and_tracked(find, picture):
        torch.testing.assert_close(found, joints, atol=0.5, rtol=0)


def test_batches_do_not_matter():
    pictures = torch.randint(
        0, 256, (5, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )

    def find(images: torch.Tensor) -> torch.Tensor:  # something that hangs on each picture alone
        return images.float().mean((1, 2, 3))[:, None, None] + torch.arange(42.0).reshape(1, 21, 2)

    one, other = (mediapipe_joints.whole_and_tracked(find, pictures, batch=batch) for batch in (2, 5))
    torch.testing.assert_close(one, other)


def interpreter(points: np.ndarray):
    """A stand-in for ai_edge_litert.interpreter: it gives these numbers, and keeps what it was asked."""
    asked = []

    class Interpreter:
        def __init__(self, model_path: str, num_threads: int):
            if "broken" in model_path:
                raise ValueError("no model")

        def allocate_tensors(self): ...

        def get_input_details(self):
            return [{"index": 0, "shape": np.array([1, 224, 224, 3])}]

        def get_output_details(self):
            return [{"index": 7, "shape": np.array(points.shape)}, {"index": 8}]

        def set_tensor(self, index, picture):
            asked.append(picture.copy())

        def invoke(self): ...

        def get_tensor(self, index):
            assert index == 7
            return points

    module = types.ModuleType("ai_edge_litert.interpreter")
    module.Interpreter = Interpreter
    return module, asked


@pytest.fixture
def litert(monkeypatch):
    """A function: what the model gives -> the pictures it is asked about, once it is."""

    def install(points: np.ndarray) -> list[np.ndarray]:
        module, asked = interpreter(points)
        monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", module)
        monkeypatch.setitem(sys.modules, "ai_edge_litert", types.ModuleType("ai_edge_litert"))
        return asked

    return install


def test_the_model_gets_channels_last_from_0_to_1_and_depths_are_left_out(litert, tmp_path):
    asked = litert(np.arange(63, dtype=np.float32)[None])
    picture = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    picture[0, 1, 5, 9] = 255
    found = mediapipe_joints.landmark_model(tmp_path / "model.tflite")(picture)
    assert found.shape == (1, 21, 2) and found[0, :2].tolist() == [[0, 1], [3, 4]]
    (seen,) = asked
    assert seen.shape == (1, 224, 224, 3) and seen.dtype == np.float32
    assert np.argwhere(seen).tolist() == [[0, 5, 9, 1]] and seen.max() == 1


def test_other_models_are_refused(litert, tmp_path):
    litert(np.zeros((1, 1001), np.float32))
    with pytest.raises(DataError, match=r"broken.*is no TFLite model"):
        mediapipe_joints.landmark_model(tmp_path / "broken.tflite")
    with pytest.raises(DataError, match=r"is no landmark model: it maps \[1, 224, 224, 3\] to \[1, 1001\]"):
        mediapipe_joints.landmark_model(tmp_path / "mobilenet.tflite")


def test_without_litert_it_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(RuntimeError, match=r"\.\[peers\]"):
        mediapipe_joints.landmark_model(tmp_path / "model.tflite")


def test_the_real_model_agrees_with_the_points_that_mediapipe_itself_gave():
    """asl7's points are what MediaPipe's whole pipeline found in larger pictures."""
    pytest.importorskip("ai_edge_litert")
    try:
        models = peers.mediapipe_landmark_models(paths.raw_data() / "mediapipe")
        found = hands.load("asl7", paths.raw_data(), size=peers.INPUT_PX, box="keypoints")
    except DataError as error:
        pytest.skip(str(error))
    found = found.of(np.arange(0, len(found), len(found) // 40))
    find = mediapipe_joints.landmark_model(models["mediapipe_full"])
    answers = mediapipe_joints.whole_and_tracked(find, torch.from_numpy(found.image))
    whole, tracked = (over_box(found, joints)["error_over_box"] for joints in answers)
    assert tracked < 0.9 * whole and tracked < 0.04
