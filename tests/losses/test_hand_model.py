import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from thesislib.datasets.modelled_hands import ModelledHands, Truth
from thesislib.hand_model import HandModel, axis_angles, posed, project, rotation_matrices, split
from thesislib.joint_turns import joint_turns_deg, limits_deg
from thesislib.losses.hand_model import HandLabels, HandModelLoss, normalised
from thesislib.losses.silhouette import Silhouettes, silhouette_term, silhouettes
from thesislib.networks.hand_mesh_recovery import HandMeshRecovery, mean_parameters
from thesislib.synthetic.bones import rest_hand
from thesislib.synthetic.hand import LIMITS, draw_anatomy, pose

T, B = 2, 5
TIPS = (4, 8, 12, 16, 20)
FRAMED = [k for k in range(21) if k not in TIPS]  # the 16 joints of the thesis


def bare_hand() -> HandModel:
    """The generator's skeleton as a hand model: 21 vertices, which are the keypoints; its bones have no flesh."""
    keypoints = rest_hand()[1].joints[0]
    regressor, skinning = torch.zeros(16, 21), torch.zeros(21, 16)
    for joint, keypoint in enumerate(FRAMED):
        regressor[joint, keypoint] = skinning[keypoint, joint] = 1
    for finger, tip in enumerate(TIPS):
        skinning[tip, 3 * finger + 3] = 1
    order = [FRAMED.index(k) if k in FRAMED else 16 + TIPS.index(k) for k in range(21)]
    generator = torch.Generator().manual_seed(0)
    basis = 0.02 * torch.randn(21, 3, 10, generator=generator)
    basis[0] = 0  # the wrist stays at the origin
    return HandModel(
        template=keypoints,
        faces=torch.tensor([[0, 5, 9], [0, 9, 13]]),
        shape_basis=basis,
        pose_basis=torch.zeros(21, 3, 135),
        joint_regressor=regressor,
        skinning=skinning,
        parents=(-1, *(0 if joint % 3 == 1 else joint - 1 for joint in range(1, 16))),
        tips=torch.tensor(TIPS),
        keypoint_order=torch.tensor(order),
        name="bare",
    )


MODEL = bare_hand()


def some_thetas(steps: int = T, batch: int = B, spread: float = 0.3, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return mean_parameters() + spread * torch.randn(steps, batch, 61, generator=generator)


def seen(theta: Tensor) -> Tensor:
    """Keypoints [B, 21, 2] of parameters [B, 61] in normalised picture coordinates."""
    hand = split(theta)
    return project(posed(MODEL, hand.pose, hand.shape, hand.rotation).keypoints, hand.translation, hand.scale)


def joints_of(theta: Tensor) -> Tensor:
    hand = split(theta)
    return posed(MODEL, hand.pose, hand.shape, hand.rotation).keypoints


def some_labels(batch: int = B, seed: int = 2) -> HandLabels:
    """Labels near the mean hand: two people, one joint not found, theta known of hands 1 and 3."""
    generator = torch.Generator().manual_seed(seed)
    theta = some_thetas(1, batch, 0.2, seed)[0]
    keypoints = seen(theta) + 0.02 * torch.randn(batch, 21, 2, generator=generator)
    certainty = torch.rand(batch, 21, generator=generator)
    certainty[0, 6], keypoints[0, 6] = 0, torch.nan
    joints = joints_of(theta)
    known = torch.arange(batch) % 2 == 1
    theta[~known], joints[~known] = torch.nan, torch.nan
    return HandLabels(keypoints, certainty, torch.tensor([7, 3, 7, 9, 3])[:batch], theta, joints)


def disc_labels() -> HandLabels:
    """Labels whose silhouettes are discs, each elsewhere, unknown of hand 2."""
    rows, middles = torch.arange(48) + 0.5, torch.linspace(14, 30, B)[:, None, None]
    mask = (rows[:, None] - 24) ** 2 + (rows - middles) ** 2 < 12**2
    mask[2] = False
    upright = torch.zeros(B, 21, 2)
    upright[:, 0] = torch.tensor([0.0, 0.9])  # the wrist, below the disc
    return replace(some_labels(), silhouette=silhouettes(mask, upright, side=24, points=20))


def only(term: str, **options: bool | float) -> HandModelLoss:
    """A loss of one term, weight 1."""
    weights = dict(reprojection_weight=0.0, shape_weight=0.0) | {f"{term}_weight": 1.0}
    return HandModelLoss(MODEL, **weights, **options)


# Terms against loops ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fingertips", [False, True])
def test_reprojection_joint_by_joint(fingertips):
    thetas, labels = some_thetas(), some_labels()
    total, weights = 0.0, 0.0
    for t in range(T):
        places = seen(thetas[t]).double().numpy()
        for b in range(B):
            for k in range(21):
                weight = float(labels.certainty[b, k])
                if k == 1 and weight > 0:
                    weight = 0.2
                if k in TIPS and not fingertips:
                    continue
                if weight == 0:
                    continue
                for axis in range(2):
                    total += weight * abs(places[b, k, axis] - float(labels.keypoints[b, k, axis])) / 2
                weights += weight
    loss = only("reprojection", fingertips=fingertips)(thetas, labels)
    assert loss.item() == pytest.approx(total / weights, rel=1e-4)


def test_one_pixel_of_224_is_printed_as_about_0_9():
    # Komorowicz 2018, table 7.1, weighs with 100: the best loss 1.483 is then 1.66 pixels.
    theta = some_thetas(1)
    labels = replace(some_labels(), keypoints=seen(theta[0]) + 2 * 1.66 / 224)
    loss = HandModelLoss(MODEL, shape_weight=0)(theta, labels)
    assert loss.item() == pytest.approx(1.482, abs=2e-3)


def test_a_joint_that_was_not_found_has_no_gradient_even_as_nan():
    thetas, labels = some_thetas().requires_grad_(), some_labels()
    only("reprojection")(thetas, labels).backward()
    assert torch.isfinite(thetas.grad).all()
    nothing = replace(labels, certainty=torch.zeros(B, 21))
    assert only("reprojection")(thetas, nothing).item() == 0


def test_shape_is_the_mean_size_of_its_numbers():
    thetas = some_thetas()
    expected = np.mean([abs(float(v)) for v in thetas[:, :, 45:55].flatten()])
    assert only("shape")(thetas, some_labels()).item() == pytest.approx(expected, rel=1e-5)


def test_limits_angle_by_angle():
    thetas = some_thetas(spread=0.8)
    low, high = limits_deg().double().numpy()
    total = 0.0
    for t in range(T):
        turns = joint_turns_deg(MODEL, split(thetas[t]).pose).double().numpy()  # [B, 5, 3, 3]
        for place in np.ndindex(turns.shape):
            beyond = max(low[place[1:]] - turns[place], turns[place] - high[place[1:]], 0)
            total += math.radians(beyond) ** 2
    assert total > 1
    assert only("limits")(thetas, some_labels()).item() == pytest.approx(total / (T * B * 15), rel=1e-3)


def test_hands_within_the_generators_limits_cost_nothing_and_twisted_ones_do():
    count = 200
    share = torch.rand(count, 21, generator=torch.Generator().manual_seed(0))
    frames = pose(draw_anatomy(torch.arange(count)), LIMITS[0] + share * (LIMITS[1] - LIMITS[0])).frames
    turns = frames @ rest_hand()[1].frames[0].mT  # of each phalanx against the template
    before = torch.cat([torch.eye(3).expand(count, 5, 1, 3, 3), turns[:, :, :2]], dim=2)
    thetas = some_thetas(1, count)
    thetas[0, :, :45] = axis_angles(before.mT @ turns).flatten(1)
    labels = replace(some_labels(), keypoints=torch.zeros(count, 21, 2))
    assert only("limits")(thetas, labels).item() < 1e-6

    along = rest_hand()[1].frames[0, 1, 1, :, 1]  # of the index finger's middle phalanx
    twisted = thetas.clone()
    turn = rotation_matrices(twisted[0, :, 12:15]) @ rotation_matrices(math.radians(30) * along)
    twisted[0, :, 12:15] = axis_angles(turn)
    # 30 degrees about the bone; 5 are allowed; one joint of 15
    expected = math.radians(25) ** 2 / 15
    assert only("limits")(twisted, labels).item() == pytest.approx(expected, rel=0.02)


def test_person_is_the_variance_within_people_and_does_not_care_about_order():
    thetas, labels = some_thetas(), some_labels()
    total, count = 0.0, 0
    for t in range(T):
        for person in (7, 3):  # 9 comes once
            rows = [b for b in range(B) if labels.subject[b] == person]
            shapes = thetas[t, rows, 45:55].double().numpy()
            total += ((shapes - shapes.mean(0)) ** 2).sum()
            count += len(rows) * 10
    loss = only("person")
    assert loss(thetas, labels).item() == pytest.approx(total / count, rel=1e-4)
    order = torch.tensor([4, 2, 0, 3, 1])
    torch.testing.assert_close(loss(thetas[:, order], labels[order]), loss(thetas, labels))
    strangers = replace(labels, subject=torch.arange(B))
    assert loss(thetas, strangers).item() == 0


def test_truth_number_by_number():
    thetas, labels = some_thetas(), some_labels()
    parts: dict[str, list[float]] = {"joints": [], "turns": [], "shape": []}
    for t in range(T):
        joints = joints_of(thetas[t])
        for b in (1, 3):
            parts["joints"] += (joints[b] - joints[b, :1] - labels.joints[b]).abs().flatten().tolist()
            parts["shape"] += (thetas[t, b, 45:55] - labels.theta[b, 45:55]).abs().tolist()
            for turn, true in zip(
                [thetas[t, b, 55:58], *thetas[t, b, :45].split(3)],
                [labels.theta[b, 55:58], *labels.theta[b, :45].split(3)],
                strict=True,
            ):
                difference = (torch.matrix_exp(cross(turn)) - torch.matrix_exp(cross(true))).abs()
                parts["turns"] += difference.flatten().tolist()
    expected = sum(np.mean(values) for values in parts.values())
    assert only("truth")(thetas, labels).item() == pytest.approx(expected, rel=1e-4)


def cross(v: Tensor) -> Tensor:
    """The matrix [3, 3] that takes the cross product with v; its exponential is the turn."""
    x, y, z = v.tolist()
    return torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])


def test_known_truth_has_no_error_and_a_whole_turn_more_is_the_same_hand():
    labels = some_labels()
    known = labels[torch.tensor([1, 3])]
    loss = only("truth")
    assert loss(known.theta[None], known).item() < 1e-6
    around = known.theta.clone()
    around[:, 55:58] *= 1 + 2 * math.pi / around[:, 55:58].norm(dim=1, keepdim=True)
    assert loss(around[None], known).item() < 1e-4
    assert only("truth")(some_thetas(1), replace(labels, theta=torch.full((B, 61), torch.nan))).item() == 0


def test_silhouette_point_by_point():
    labels = disc_labels()
    hands = [b for b in range(B) if b != 2]
    thetas = some_thetas()
    outside, missed = [], []
    for t in range(T):
        places = vertices_of(thetas[t]).double().numpy()
        for b in hands:
            distance = labels.silhouette.distance[b].double().numpy()
            for x, y in places[b]:
                outside.append(bilinear(distance, x, y))
            for point in labels.silhouette.outline[b].double().numpy():
                missed.append(min(np.linalg.norm(place - point) for place in places[b]))
    expected = np.mean(outside) + np.mean(missed)
    assert only("silhouette")(thetas, labels).item() == pytest.approx(expected, rel=1e-3)


def vertices_of(theta: Tensor) -> Tensor:
    hand = split(theta)
    return project(posed(MODEL, hand.pose, hand.shape, hand.rotation).vertices, hand.translation, hand.scale)


def bilinear(values: np.ndarray, x: float, y: float) -> float:
    """Read a map at a normalised place between the middles of its cells; at its edge beyond."""
    size = len(values)
    column, row = (np.clip((v + 1) / 2 * size - 0.5, 0, size - 1) for v in (x, y))
    left, top = min(int(column), size - 2), min(int(row), size - 2)
    across, down = column - left, row - top
    upper = (1 - across) * values[top, left] + across * values[top, left + 1]
    lower = (1 - across) * values[top + 1, left] + across * values[top + 1, left + 1]
    return (1 - down) * upper + down * lower


# Silhouettes ------------------------------------------------------------------------------------------------


def square() -> Silhouettes:
    """The silhouette of a square from -0.5 to 0.5, with nothing of it behind the wrist."""
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[0, 16:48, 16:48] = True
    upright = torch.zeros(1, 21, 2)
    upright[0, 0] = torch.tensor([0.0, 1.0])
    return silhouettes(mask, upright, side=64, points=124)


def test_distances_and_outlines_of_a_square():
    made = square()
    columns = (torch.arange(64) + 0.5) / 32 - 1
    expected = (columns.abs() - 0.5).clamp(min=0)  # along a row through the middle
    torch.testing.assert_close(made.distance[0, 32].float(), expected, atol=2e-3, rtol=0)
    farther = made.outline[0].abs().amax(dim=1)  # the middles of the outermost pixels
    torch.testing.assert_close(farther, torch.full_like(farther, 0.5 - 1 / 64))
    assert len(made.outline[0].unique(dim=0)) == 124  # all of them


def test_what_is_behind_the_wrist_or_cut_by_the_picture_is_no_outline():
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[0, 16:, 16:48] = True  # an arm that comes from below
    places = torch.zeros(1, 21, 2)
    places[0, 0] = torch.tensor([0.0, 0.25])  # the wrist; the knuckle is in the middle
    outline = silhouettes(mask, places).outline[0]
    assert outline[:, 1].max() < 0.25
    assert (outline.abs().amax(dim=1) < 0.5).all()
    places[0, 0, 1] = 1  # an arm as long as the picture: its end is not its own
    assert silhouettes(mask, places).outline[0, :, 1].max() < 1
    sides = silhouettes(mask, places).outline[0]
    assert (sides[sides[:, 1] > 0, 0].abs() > 0.45).all()


def test_a_square_that_fits_costs_little_and_grows_or_shrinks_to_fit():
    made = square()
    ring = (torch.arange(64) + 0.5) / 64 - 0.5
    side = torch.full_like(ring, 0.48)
    points = torch.cat(
        [torch.stack(pair, dim=1) for pair in [(ring, side), (ring, -side), (side, ring), (-side, ring)]]
    )[None, None]  # [1, 1, 256, 2]
    assert silhouette_term(points, made).item() < 0.01
    for scale, sign in ((1.3, 1), (0.7, -1)):  # too large: less scale is downhill; too small: more is
        factor = torch.tensor(scale, requires_grad=True)
        loss = silhouette_term(factor * points, made)
        loss.backward()
        assert loss > 0.05 and sign * factor.grad > 0.1


def test_masks_that_are_none_raise():
    with pytest.raises(ValueError, match="masks are bool"):
        silhouettes(torch.zeros(2, 8, 8), torch.zeros(2, 21, 2))
    with pytest.raises(ValueError, match="keypoints"):
        silhouettes(torch.zeros(2, 8, 8, dtype=torch.bool), torch.zeros(1, 21, 2))


# The whole loss ---------------------------------------------------------------------------------------------


def every_weight() -> dict[str, float]:
    names = ("reprojection", "shape", "limits", "person", "truth", "silhouette")
    return {f"{name}_weight": 0.5 + n for n, name in enumerate(names)}


def test_the_whole_is_the_weighted_sum_and_the_mean_over_iterations():
    thetas, labels, weights = some_thetas(spread=0.8), disc_labels(), every_weight()
    loss = HandModelLoss(MODEL, **weights)
    terms = loss.terms(thetas, labels)
    assert set(terms) == {name.removesuffix("_weight") for name in weights}
    assert all(value > 0 for value in terms.values())
    total = sum(weights[f"{name}_weight"] * value.item() for name, value in terms.items())
    assert loss(thetas, labels).item() == pytest.approx(total, rel=1e-5)
    single = [loss(thetas[t : t + 1], labels).item() for t in range(T)]
    assert loss(thetas, labels).item() == pytest.approx(np.mean(single), rel=1e-5)


def test_the_thesis_has_two_terms_and_w_is_100():
    thetas, labels = some_thetas(), some_labels()
    terms = HandModelLoss(MODEL).terms(thetas, labels)
    assert set(terms) == {"reprojection", "shape"}
    expected = 100 * terms["reprojection"] + terms["shape"]
    torch.testing.assert_close(HandModelLoss(MODEL)(thetas, labels), expected)


@pytest.mark.parametrize("term", ["reprojection", "shape", "limits", "person", "truth", "silhouette"])
def test_a_term_without_weight_is_not_computed(term):
    weights = every_weight() | {f"{term}_weight": 0.0}
    assert term not in HandModelLoss(MODEL, **weights).terms(some_thetas(), disc_labels())


@pytest.mark.parametrize("term", ["reprojection", "shape", "limits", "person", "truth", "silhouette"])
def test_gradients_point_uphill(term):
    thetas, labels = some_thetas(spread=0.8).requires_grad_(), disc_labels()
    loss = only(term)
    (gradient,) = torch.autograd.grad(loss(thetas, labels), thetas)
    assert torch.isfinite(gradient).all()
    step = 1e-3 * gradient / gradient.norm()
    with torch.no_grad():
        rise = (loss(thetas + step, labels) - loss(thetas - step, labels)).item()
    assert rise == pytest.approx(2e-3 * gradient.norm().item(), rel=0.05)


def test_gradients_are_finite_where_training_starts():
    thetas = mean_parameters().expand(T, B, 61).clone().requires_grad_()
    HandModelLoss(MODEL, **every_weight())(thetas, disc_labels()).backward()
    assert torch.isfinite(thetas.grad).all() and thetas.grad.abs().sum() > 0


def test_parameters_of_other_hands_raise():
    with pytest.raises(ValueError, match=r"\[T, B, 61\]"):
        HandModelLoss(MODEL)(some_thetas()[:, :3], some_labels())
    with pytest.raises(ValueError, match=r"\[T, B, 61\]"):
        HandModelLoss(MODEL)(some_thetas()[0], some_labels())


# Labels -----------------------------------------------------------------------------------------------------


def test_labels_of_hands_with_and_without_truth():
    generator = np.random.default_rng(0)
    silhouette = np.zeros((3, 16, 16), bool)
    silhouette[:2, 4:12, 4:12] = True
    places = np.tile(np.float32([8, 8]), (3, 21, 1))
    places[:, 0, 1] = 15  # wrists
    theta = generator.normal(size=(3, 61)).astype(np.float32)
    truth = Truth(
        keypoints=places,
        joints=generator.normal(size=(3, 21, 3)).astype(np.float32),
        frames=np.zeros((3, 5, 3, 3, 3), np.float32),
        silhouette=silhouette,
        theta=theta,
    )
    hands = ModelledHands(
        image=np.zeros((3, 3, 16, 16), np.uint8),
        keypoints=np.tile(np.float32([4, 16]), (3, 21, 1)),
        certainty=generator.random((3, 21), np.float32),
        subject=np.array([5, 5, 6]),
        mirrored=np.zeros(3, bool),
        source="a test",
        truth=truth,
    )
    labels = HandLabels.of(hands)
    assert len(labels) == 3
    torch.testing.assert_close(labels.keypoints[1, 2], torch.tensor([-0.5, 1.0]))
    np.testing.assert_array_equal(labels.theta, theta)
    assert labels.silhouette.known.tolist() == [True, True, False]

    rows = labels[torch.tensor([2, 0])]
    assert rows.subject.tolist() == [6, 5] and rows.silhouette.known.tolist() == [False, True]
    torch.testing.assert_close(rows.joints, labels.joints[[2, 0]])

    untold = HandLabels.of(replace(hands, truth=None))
    assert untold.theta.isnan().all() and untold.joints.isnan().all() and untold.silhouette is None
    assert untold[:2].silhouette is None and untold.to("cpu").silhouette is None
    assert HandLabels.of(replace(hands, truth=replace(truth, theta=None))).theta.isnan().all()


def test_edges_of_a_picture_are_minus_1_and_1():
    assert normalised(torch.tensor([0.0, 32, 64]), 64).tolist() == [-1, 0, 1]


# Learning ---------------------------------------------------------------------------------------------------


def test_a_network_learns_16_pictures_by_heart():
    torch.manual_seed(0)
    truth = some_thetas(1, 16, 0.15, seed=5)[0]
    labels = HandLabels(
        seen(truth), torch.ones(16, 21), torch.arange(16), torch.full((16, 61), torch.nan), joints_of(truth)
    )
    pictures = torch.randn(16, 3, 16, 16)
    encoder = nn.Sequential(nn.Conv2d(3, 32, 4, stride=4), nn.ReLU(), nn.Flatten())
    network = HandMeshRecovery(encoder, 512, hidden=128)
    loss = HandModelLoss(MODEL, fingertips=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    steps = 250
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    network.eval()  # dropout would keep it from learning by heart
    before = 112 * (seen(network(pictures)[-1]) - labels.keypoints).norm(dim=-1).mean().item()
    for _ in range(steps):
        optimizer.zero_grad()
        loss(network(pictures), labels).backward()
        optimizer.step()
        schedule.step()
    after = 112 * (seen(network(pictures)[-1]) - labels.keypoints).norm(dim=-1).mean().item()
    assert before > 20 and after < 2  # pixels of 224
