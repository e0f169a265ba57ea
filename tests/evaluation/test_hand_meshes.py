import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from thesislib.datasets.modelled_hands import ModelledHands, Truth
from thesislib.evaluation import hand_meshes
from thesislib.hand_model import HandModel, Parameters, axis_angles, join, posed, project, split
from thesislib.joint_turns import phalanx_frames, rest_frames
from thesislib.synthetic import mesh_hand, poses
from thesislib.synthetic.bones import rest_hand
from thesislib.synthetic.hand import draw_anatomy, pose

# Keypoints of the 16 joints in MANO's order: wrist, index, middle, little, ring, thumb; then five tips.
ORDER = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20]
TIPS = [4, 8, 12, 16, 20]
SIZE = 64


def stick_hand() -> HandModel:
    """The generator's resting hand as a model whose vertices are its keypoints; the first shape number is size."""
    template = rest_hand()[1].joints[0][ORDER]
    shapes = 0.02 * torch.randn(21, 3, 10, generator=torch.Generator().manual_seed(0))
    shapes[0] = 0  # the wrist stays
    shapes[..., 0] = 0.1 * template
    return HandModel(
        template=template,
        faces=torch.tensor([[0, 1, 2]]),
        shape_basis=shapes,
        pose_basis=torch.zeros(21, 3, 135),
        joint_regressor=torch.eye(21)[:16],
        skinning=torch.cat([torch.eye(16), torch.eye(16)[[15, 3, 6, 12, 9]]]),
        parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14),
        tips=torch.arange(16, 21),
        keypoint_order=torch.tensor([ORDER.index(k) for k in range(21)]),
        name="sticks",
    )


MODEL = stick_hand()


def some_theta(count: int, seed: int = 0) -> torch.Tensor:
    normal = torch.randn(count, 61, generator=torch.Generator().manual_seed(seed))
    given = split(0.3 * normal)
    return join(dataclasses.replace(given, scale=0.7 + 0.2 * given.scale))


def hands_of(theta: torch.Tensor, **changes) -> ModelledHands:
    """Hands that are the stick hand with these parameters, found by a detector that errs."""
    count, given = len(theta), split(theta)
    mesh = posed(MODEL, given.pose, given.shape, given.rotation)
    flat = SIZE / 2 * (project(mesh.keypoints, given.translation, given.scale) + 1)
    random = np.random.default_rng(0)
    truth = Truth(
        keypoints=flat.numpy(),
        joints=mesh.keypoints.numpy(),
        frames=phalanx_frames(MODEL, mesh.turns).numpy(),
        silhouette=np.zeros((count, SIZE, SIZE), bool),
        theta=theta.numpy(),
    )
    arrays = dict(
        image=np.zeros((count, 3, SIZE, SIZE), np.uint8),
        keypoints=truth.keypoints + random.normal(size=(count, 21, 2)).astype(np.float32),
        certainty=random.uniform(size=(count, 21)).astype(np.float32),
        subject=np.arange(count) // 2,
        mirrored=np.zeros(count, bool),
        source="sticks",
        truth=truth,
    )
    return ModelledHands(**arrays | changes)


def bone_pairs() -> list[tuple[int, int]]:
    return [(0 if k == 0 else 4 * f + k, 4 * f + k + 1) for f in range(5) for k in range(4)]


def test_the_truth_has_no_error():
    theta = some_theta(6)
    hands = hands_of(theta)
    found = hand_meshes.errors(MODEL, theta, hands, hand_meshes.true_vertices(MODEL, hands))
    detected = {
        "detected_2d_px_at_224",
        "shape_abs",
        "shape_beyond_1",
        "shape_beyond_2",
        "limits_exceeded_deg",
    }
    for name in found.keys() - detected:
        np.testing.assert_allclose(found[name], 0, atol=2e-3, err_msg=name)
    assert len(found) == 19 and all(v.shape == (6,) and v.dtype == np.float64 for v in found.values())


def test_every_error_against_a_slow_one():
    theta, hands = some_theta(4, 1), hands_of(some_theta(4, 2))
    vertices = hand_meshes.true_vertices(MODEL, hands)
    found = hand_meshes.errors(MODEL, theta, hands, vertices)
    given = split(theta)
    mesh = posed(MODEL, given.pose, given.shape, given.rotation)
    for n in range(4):
        at, true = mesh.keypoints[n].double().numpy(), hands.truth.joints[n].astype(float)
        x, y = given.translation[n].tolist()
        scale = float(given.scale[n])
        flat = [((scale * p[0] + x + 1) * 112, (-scale * p[1] + y + 1) * 112) for p in at]

        def px(goal, joint, flat=flat):
            return np.hypot(*(np.array(flat[joint]) - goal[joint] * 224 / SIZE))

        true_px = [px(hands.truth.keypoints[n], joint) for joint in range(21)]
        weight = [0.2 if j == 1 else 0 if j in TIPS else hands.certainty[n, j] for j in range(21)]
        detected = [px(hands.keypoints[n], joint) for joint in range(21)]
        expected = {
            "true_2d_px_at_224": np.mean(true_px),
            "tips_2d_px_at_224": np.mean([true_px[joint] for joint in TIPS]),
            "detected_2d_px_at_224": np.average(detected, weights=weight),
            "shape_abs": np.mean([abs(float(b)) for b in given.shape[n]]),
        }
        turn, _ = Rotation.align_vectors(true - true.mean(0), at - at.mean(0))
        turned = turn.apply(at - at.mean(0))
        size = np.sum(turned * (true - true.mean(0))) / np.sum(turned**2)
        laid = size * turned + true.mean(0)
        frames = (mesh.turns[n, MODEL.keypoint_order[1:].reshape(5, 4)[:, :3]] @ rest_frames(MODEL)).numpy()
        for suffix, points, extra in (("", at, Rotation.identity()), ("_aligned", laid, turn)):
            distance = [90 * np.linalg.norm(p - q) for p, q in zip(points, true, strict=True)]
            expected[f"joints_mm{suffix}"] = np.mean(distance)
            expected[f"tips_mm{suffix}"] = np.mean([distance[joint] for joint in TIPS])
            angles, twists = [], []
            for a, b in bone_pairs():
                u, v = points[b] - points[a], true[b] - true[a]
                angles.append(np.degrees(np.arccos(u @ v / np.linalg.norm(u) / np.linalg.norm(v))))
            for f in range(5):
                for k in range(3):
                    goal = hands.truth.frames[n, f, k].astype(float)
                    between = Rotation.from_matrix(extra.as_matrix() @ frames[f, k] @ goal.T)
                    along = between.as_quat()[:3] @ goal[:, 1]  # the part about the true bone
                    degrees = np.degrees(2 * np.arctan2(along, between.as_quat()[3]))
                    twists.append(abs((degrees + 180) % 360 - 180))
            expected[f"direction_deg{suffix}"], expected[f"twist_deg{suffix}"] = (
                np.mean(angles),
                np.mean(twists),
            )
        lengths = np.array([[np.linalg.norm(p[b] - p[a]) for a, b in bone_pairs()] for p in (at, true)])
        expected["bone_length_mm"] = 90 * np.mean(abs(lengths[0] - lengths[1]))
        ratio = lengths[0] / lengths[0].sum() / (lengths[1] / lengths[1].sum())
        expected["bone_length_percent"] = 100 * np.mean(abs(ratio - 1))
        # vertices of the stick hand are its keypoints in another order
        expected["mesh_mm"], expected["mesh_mm_aligned"] = (
            expected[f"joints_mm{s}"] for s in ("", "_aligned")
        )
        for name, value in expected.items():
            assert found[name][n] == pytest.approx(value, rel=2e-4), name


@given(seed=st.integers(0, 500))
def test_aligned_errors_see_neither_turn_nor_size_nor_place(seed):
    theta, hands = some_theta(2, seed), hands_of(some_theta(2, seed + 1000))
    here = hand_meshes.errors(MODEL, theta, hands)
    given = split(theta)
    turn = torch.from_numpy(Rotation.random(random_state=seed).as_matrix()).float()
    whole = torch.from_numpy(Rotation.from_rotvec(given.rotation.double().numpy()).as_matrix()).float()
    moved = dataclasses.replace(
        given, rotation=axis_angles(turn @ whole), translation=given.translation + 1, scale=2 * given.scale
    )
    there = hand_meshes.errors(MODEL, join(moved), hands)
    same = [
        name for name in here if name.endswith("_aligned") or name.startswith(("bone", "shape", "limits"))
    ]
    assert len(same) == 10
    for name in same:
        np.testing.assert_allclose(there[name], here[name], rtol=1e-3, atol=2e-3, err_msg=name)
    assert (there["joints_mm"] != here["joints_mm"]).all()


def test_a_large_hand_far_away_is_right_in_the_picture_and_wrong_in_space():
    theta = some_theta(3)
    given = split(theta)
    plain = dataclasses.replace(given, shape=torch.zeros(3, 10))
    larger = torch.zeros(3, 10)
    larger[:, 0] = 2.5  # a quarter larger
    far = dataclasses.replace(plain, shape=larger, scale=plain.scale / 1.25)
    found = hand_meshes.errors(MODEL, join(far), hands_of(join(plain)))
    for name in ("true_2d_px_at_224", "joints_mm_aligned", "bone_length_percent", "direction_deg"):
        np.testing.assert_allclose(found[name], 0, atol=1e-2, err_msg=name)
    assert found["joints_mm"].min() > 10 and found["bone_length_mm"].min() > 5
    np.testing.assert_allclose(found["shape_abs"], 0.25)
    np.testing.assert_allclose(found["shape_beyond_2"], 0.1)


def test_a_known_twist_gives_its_degrees_and_moves_no_joint():
    still = join(dataclasses.replace(split(some_theta(1)), pose=torch.zeros(1, 45), shape=torch.zeros(1, 10)))
    twisted = still.clone()
    bone = rest_frames(MODEL)[1, 2, :, 1]  # the index finger's last, the model's joint 3
    twisted[0, 6:9] = torch.deg2rad(torch.tensor(-40.0)) * bone
    found = hand_meshes.errors(MODEL, twisted, hands_of(still))
    assert found["twist_deg"] == pytest.approx(40 / 15, abs=1e-3)
    assert found["twist_deg_aligned"] == pytest.approx(40 / 15, abs=1e-3)
    assert found["joints_mm"] == pytest.approx(0, abs=1e-3)
    assert found["limits_exceeded_deg"] == pytest.approx(35 / 15, abs=1e-3)


def test_a_mirrored_hand_is_not_laid_on_the_original():
    theta = some_theta(3)
    hands = hands_of(theta)
    joints = hands.truth.joints * np.array([1, 1, -1], np.float32)
    mirrored = dataclasses.replace(hands, truth=dataclasses.replace(hands.truth, joints=joints))
    assert hand_meshes.errors(MODEL, theta, mirrored)["joints_mm_aligned"].min() > 1


def test_without_truth_only_what_a_detector_allows():
    theta = some_theta(3)
    hands = dataclasses.replace(hands_of(theta), truth=None)
    certainty = hands.certainty.copy()
    certainty[1] = 0
    found = hand_meshes.errors(MODEL, theta, dataclasses.replace(hands, certainty=certainty))
    assert set(found) == {
        "detected_2d_px_at_224",
        "shape_abs",
        "shape_beyond_1",
        "shape_beyond_2",
        "limits_exceeded_deg",
    }
    assert np.isnan(found["detected_2d_px_at_224"]).tolist() == [False, True, False]
    assert hand_meshes.true_vertices(MODEL, hands) is None


def test_what_does_not_fit_is_refused():
    theta = some_theta(3)
    hands = hands_of(theta)
    with pytest.raises(ValueError, match=r"\[3, 61\]"):
        hand_meshes.errors(MODEL, theta[:2], hands)
    with pytest.raises(ValueError, match="finite"):
        hand_meshes.errors(MODEL, theta * torch.nan, hands)
    with pytest.raises(ValueError, match=r"\[3, 21, 3\]"):
        hand_meshes.errors(MODEL, theta, hands, np.zeros((3, 20, 3), np.float32))
    with pytest.raises(ValueError, match="no"):
        hand_meshes.mean_hand(MODEL, dataclasses.replace(hands, truth=None))


def test_all_people_weigh_alike():
    subject = np.array([7, 3, 3, 3, 7, 9])
    found = hand_meshes.summary({"a_mm": np.array([4.0, 1, 2, 3, np.nan, 9])}, subject, seed=1)["a_mm"]
    assert found["by_subject"] == [2, 4, 9]  # 3, 7, 9
    assert found["mean"] == 5
    assert 2 <= found["low"] < 5 < found["high"] <= 9
    with pytest.raises(ValueError, match="a_mm"):
        hand_meshes.summary({"a_mm": np.array([np.nan, 1])}, np.array([0, 1]))


@pytest.mark.parametrize("back", [False, True])
def test_the_mean_hand_is_found_where_it_is(back):
    turn = Rotation.from_rotvec([[0, 0, 20], [0, 0, -70], [0, 0, 179]], degrees=True)
    over = Rotation.from_rotvec([0, 180 if back else 0, 0], degrees=True)
    theta = join(
        Parameters(
            pose=torch.zeros(3, 45),
            shape=torch.zeros(3, 10),
            rotation=torch.from_numpy((turn * over).as_rotvec()).float(),
            translation=torch.tensor([[0.1, 0.7], [-0.2, 0], [0, 0.3]]),
            scale=torch.tensor([[0.7], [0.4], [1.1]]),
        )
    )
    hands = hands_of(theta)
    found = hand_meshes.errors(MODEL, hand_meshes.mean_hand(MODEL, hands), hands)
    for name in ("true_2d_px_at_224", "joints_mm", "twist_deg"):
        np.testing.assert_allclose(found[name], 0, atol=2e-3, err_msg=name)


def test_the_mean_hand_lies_on_any_hand_as_well_as_it_can():
    theta = some_theta(4, 5)
    hands = hands_of(theta)
    placed = hand_meshes.mean_hand(MODEL, hands)
    given = split(placed)
    assert not given.pose.any() and not given.shape.any()
    mesh = posed(MODEL, given.pose, given.shape, given.rotation)
    flat = project(mesh.keypoints, given.translation, given.scale).double().numpy()
    for n in range(4):
        goal = 2 * hands.truth.keypoints[n] / SIZE - 1
        x, y = flat[n].T  # a best one cannot be improved by any turn, scale and shift in the picture
        one, nought = np.ones(21), np.zeros(21)
        rows = np.concatenate([np.stack([x, -y, one, nought], 1), np.stack([y, x, nought, one], 1)])
        best = np.linalg.lstsq(rows, np.concatenate(goal.T), rcond=None)[0]
        np.testing.assert_allclose(best, [1, 0, 0, 0], atol=1e-4)


def test_true_meshes_are_the_invented_peoples_skin():
    subject = torch.tensor([5, 5, 123])
    angles, orientation = poses.flat(0, torch.arange(3), subject)
    anatomy = draw_anatomy(subject)
    hand = pose(anatomy, angles)
    hands = hands_of(some_theta(3), subject=subject.numpy())
    truth = dataclasses.replace(
        hands.truth,
        joints=(hand.joints @ orientation.mT).numpy(),
        frames=np.ascontiguousarray((orientation[:, None, None] @ hand.frames).numpy()),
        theta=None,
    )
    hands = dataclasses.replace(hands, truth=truth)
    found = hand_meshes.true_vertices(MODEL, hands)
    expected = mesh_hand.true_mesh(MODEL, anatomy, angles) @ orientation.mT
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(ValueError, match="invented people"):
        hand_meshes.true_vertices(MODEL, dataclasses.replace(hands, subject=np.array([5, 6, 123])))
