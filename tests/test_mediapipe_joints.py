"""MediaPipe's landmark model as a finder of joints: where it looks next, and that it is asked as it expects."""

import math
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thesislib import mediapipe_joints, paths, peers
from thesislib.chapters.finding_joints import over_box
from thesislib.datasets import hands
from thesislib.datasets.sources import DataError
from thesislib.mediapipe_joints import LEAST_PX, PALM, palm_upright


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


def test_the_next_region_of_an_upright_hand_is_twice_its_palm_a_tenth_towards_the_fingers():
    joints = hand()
    joints[:, [5, 9, 13]] = torch.tensor([32.0, 30.0])  # straight above the wrist
    found = palm_upright(joints)
    assert found.axes[0].tolist() == [[1, 0], [0, 1]]
    # the box is 22 to 42 and 20 to 50: its longer side 30, its middle (32, 35), moved by a tenth of its height
    assert found.side.item() == pytest.approx(60) and found.middle[0].tolist() == pytest.approx([32, 32])


@given(turn=st.floats(-3.1, 3.1), scale=st.floats(0.3, 3), x=st.floats(-20, 20), y=st.floats(-20, 20))
def test_the_next_region_turns_grows_and_moves_with_the_hand(turn, scale, x, y):
    rotation = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    moved = scale * hand() @ rotation.T + torch.tensor([x, y])
    before, after = palm_upright(hand()), palm_upright(moved)
    torch.testing.assert_close(after.side, scale * before.side, atol=1e-3, rtol=1e-4)
    middle = scale * before.middle @ rotation.T + torch.tensor([x, y])
    torch.testing.assert_close(after.middle, middle, atol=1e-2, rtol=1e-4)
    torch.testing.assert_close(after.axes[0], rotation @ before.axes[0], atol=1e-3, rtol=0)


def test_points_in_one_place_still_make_a_region():
    found = palm_upright(torch.full((1, 21, 2), 7.0))
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


def test_every_look_tells_places_in_the_picture_whatever_square_it_looked_at():
    joints = 0.4 * hand() + 20
    joints[:, 4::4] = joints[:, 3::4] - 1  # tips not far from the palm: a finder can tell only what it sees
    picture, find = by_colour(joints)
    for found in mediapipe_joints.look(find, picture, looks=3):
        torch.testing.assert_close(found, joints, atol=0.5, rtol=0)


def test_batches_do_not_matter():
    pictures = torch.randint(
        0, 256, (5, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )

    def find(images: torch.Tensor) -> torch.Tensor:  # something that hangs on each picture alone
        return images.float().mean((1, 2, 3))[:, None, None] + torch.arange(42.0).reshape(1, 21, 2)

    one, other = (mediapipe_joints.look(find, pictures, batch=batch) for batch in (2, 5))
    torch.testing.assert_close(one, other)


def interpreter(points: np.ndarray):
    """A stand-in for ai_edge_litert.interpreter: it gives these 63 numbers, and keeps what it was asked."""
    asked = []

    class Interpreter:
        def __init__(self, model_path: str, num_threads: int):
            if "broken" in model_path:
                raise ValueError("no model")

        def allocate_tensors(self): ...

        def get_input_details(self):
            return [{"index": 0}]

        def get_output_details(self):
            return [{"index": 7}, {"index": 8}]

        def set_tensor(self, index, picture):
            asked.append(picture.copy())

        def invoke(self): ...

        def get_tensor(self, index):
            assert index == 7
            return points

    module = types.ModuleType("ai_edge_litert.interpreter")
    module.Interpreter = Interpreter
    return module, asked


def test_the_model_gets_channels_last_from_0_to_1_and_depths_are_left_out(monkeypatch, tmp_path):
    module, asked = interpreter(np.arange(63, dtype=np.float32)[None])
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", module)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", types.ModuleType("ai_edge_litert"))
    picture = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    picture[0, 1, 5, 9] = 255
    found = mediapipe_joints.finder(tmp_path / "model.tflite")(picture)
    assert found.shape == (1, 21, 2) and found[0, :2].tolist() == [[0, 1], [3, 4]]
    (seen,) = asked
    assert seen.shape == (1, 224, 224, 3) and seen.dtype == np.float32
    assert np.argwhere(seen).tolist() == [[0, 5, 9, 1]] and seen.max() == 1
    with pytest.raises(DataError, match=r"broken.*is no TFLite model"):
        mediapipe_joints.finder(tmp_path / "broken.tflite")


def test_without_litert_it_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(RuntimeError, match=r"\.\[peers\]"):
        mediapipe_joints.finder(tmp_path / "model.tflite")


def test_the_real_model_agrees_with_the_points_that_mediapipe_itself_gave():
    """asl7's points are what MediaPipe's whole pipeline found in larger pictures."""
    pytest.importorskip("ai_edge_litert")
    try:
        models = peers.mediapipe_landmark_models(paths.raw_data() / "mediapipe")
        found = hands.load("asl7", paths.raw_data(), size=peers.INPUT_PX, box="keypoints")
    except DataError as error:
        pytest.skip(str(error))
    some = np.arange(0, len(found), len(found) // 40)
    arrays = ("image", "keypoints", "visible", "left", "signer", "letter")
    found = replace(found, **{name: getattr(found, name)[some] for name in arrays})
    find = mediapipe_joints.finder(models["mediapipe_full"])
    looks = mediapipe_joints.look(find, torch.from_numpy(found.image))
    first, second = (over_box(found, joints)["error_over_box"] for joints in looks)
    assert second < 0.9 * first and second < 0.04
