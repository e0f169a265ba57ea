"""Training a hand's 61 numbers: what can be asked for, what is learned from, and what a frozen encoder does.

The small encoder is the committed one, on pictures of 32 pixels; a tiny network stands for torchvision's.
"""

import hashlib
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from thesislib import paths, pose_model, results
from thesislib.chapters import encoder_pretraining, hand_mesh, hand_regression
from thesislib.chapters.hand_regression import Config, build, estimates, labels_of, loss_of, trained
from thesislib.config import ConfigError
from thesislib.datasets import invented_hands
from thesislib.datasets.modelled_hands import ModelledHands
from thesislib.hand_model import posed, project, split
from thesislib.networks.hand_encoders import HandEncoder, SmallEncoder
from thesislib.networks.hand_mesh_recovery import HandMeshRecovery, mean_parameters
from thesislib.training import fit, learning_rate
from thesislib.transforms.hands import to_input

TINY = dict(train_pictures=20, train_subjects=4, validation_pictures=16, validation_subjects=3)
TINY |= dict(size=32, hidden=16, batch_size=4)
FRAMED = [k for k in range(21) if k not in (4, 8, 12, 16, 20)]  # the 16 joints of the thesis


@pytest.fixture(autouse=True, scope="module")
def cache(build_folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "CACHE", build_folder / "cache")
        yield


@pytest.fixture(scope="module")
def model():
    return hand_mesh.load_model()


@pytest.fixture(scope="module")
def hands(cache) -> ModelledHands:
    """What a small run learns from, with the truth that no network is told."""
    return hand_regression.invented(some(), "train")


@pytest.fixture
def tiny_encoders(monkeypatch):
    """In place of torchvision's encoders: a convolution that gives 8 features; each seed another one."""

    def tiny(name: str, *, imagenet: bool = False) -> HandEncoder:
        return HandEncoder(nn.Sequential(nn.Conv2d(3, 2, 16, stride=16), nn.ReLU(), nn.Flatten()), 8)

    monkeypatch.setattr(hand_regression, "library_encoder", tiny)
    return tiny


def some(**changes) -> Config:
    return Config.profile("smoke", **TINY | changes)


def pictures(hands: ModelledHands) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(hands.image))


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def detected_px_at_224(model, theta: Tensor, hands: ModelledHands) -> float:
    """The mean distance from the joints that a detector found, each as sure as it was, the metacarpal left out."""
    given = split(theta)
    mesh = posed(model, given.pose, given.shape, given.rotation)
    places = 112 * (project(mesh.keypoints, given.translation, given.scale) + 1).numpy()
    distance = np.linalg.norm(places - hands.keypoints * 224 / hands.size, axis=-1)
    return np.average(distance[:, FRAMED[2:]], weights=hands.certainty[:, FRAMED[2:]])


# What can be asked for --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (dict(encoder="resnet_50"), "Did you mean 'resnet50'"),
        (dict(start="hand"), "Did you mean 'hands'"),
        (dict(start="imagenet"), "starts from hands or at random"),
        (dict(frozen=True, start="random"), "start it from hands"),
        (dict(frozen=True, start="random", encoder="resnet50"), "start it from hands"),
        (dict(truth_weight=1), "give both or neither"),
        (dict(silhouette_weight=1), "give both or neither"),
        (dict(drawn_hands=8), "give both or neither"),
        (dict(drawn_hands=8, truth_weight=1, mano="MANO_RIGHT.pkl"), "leave out mano"),
        (dict(photographs="11k"), "OpenPose's JSON files"),
        (dict(detections="openpose"), "photographs need detections"),
        (dict(fingertips=1), "fingertips must be bool"),
    ],
)
def test_what_cannot_be_is_refused_at_once(asked, message):
    with pytest.raises(ConfigError, match=message):
        some(**asked)


def test_configurations_and_repairs_have_names_that_files_can_have():
    seven = [
        dict(encoder="resnet50", shape_weight=0),
        *(dict(encoder=name) for name in ("resnet50", "densenet121")),
        *(dict(encoder=name, frozen=True) for name in ("resnet50", "densenet121", "inception_v3")),
        dict(encoder="resnet50", start="random"),
    ]
    repairs = [dict(fingertips=True), dict(limits_weight=1), dict(person_weight=1)]
    repairs += [dict(drawn_hands=8, truth_weight=1), dict(drawn_hands=8, silhouette_weight=1)]
    configs = [some(seed=seed, **asked) for asked in (*seven, {}, *repairs) for seed in (0, 1)]
    labels = {config.label for config in configs}
    assert len(labels) == len(configs) == 26
    assert all(label.replace("_", "").replace("-", "").isalnum() for label in labels)
    assert some(frozen=True, shape_weight=0, seed=3).label == "small-hands-frozen-no_shape_loss-seed3"


def test_the_loss_is_100_reprojections_and_the_shape_and_what_is_asked_for():
    plain = {"reprojection": 100, "shape": 1}
    assert loss_of(some(), None).weights == plain and not loss_of(some(), None).fingertips
    assert loss_of(some(shape_weight=0), None).weights == {"reprojection": 100}
    assert loss_of(some(fingertips=True), None).fingertips
    for repair in ("limits", "person", "truth", "silhouette"):
        drawn = {"drawn_hands": 8} if repair in ("truth", "silhouette") else {}
        config = some(**{f"{repair}_weight": 2.5}, **drawn)
        assert loss_of(config, None).weights == plain | {repair: 2.5}


# The network ------------------------------------------------------------------------------------------------


def test_the_small_encoder_starts_as_the_committed_network_or_at_random():
    committed = load_file(pose_model.default_model())
    begun = build(some()).encoder
    assert isinstance(begun, SmallEncoder) and begun.num_features == 128 * (32 // 16) ** 2
    for name, tensor in begun.encoder.state_dict().items():
        kept = [value for key, value in committed.items() if key.endswith(f"encoder.{name}")]
        assert len(kept) == 1 and torch.equal(tensor, kept[0].to(tensor.dtype)), name
    zero, again, one = (build(some(start="random", seed=seed)) for seed in (0, 0, 1))
    assert same(zero, again)
    moved = [n for n, p in zero.encoder.named_parameters() if not torch.equal(p, begun.get_parameter(n))]
    assert moved and not same(zero.encoder, one.encoder)


def test_whatever_the_encoder_has_seen_the_regressor_starts_alike(tiny_encoders, monkeypatch):
    monkeypatch.setattr(encoder_pretraining, "load", lambda config: tiny_encoders(config.encoder))
    for encoder in ("small", "resnet50"):
        hands, frozen, random = (
            build(some(encoder=encoder, **asked)) for asked in ({}, dict(frozen=True), dict(start="random"))
        )
        assert same(hands.regressor, frozen.regressor) and same(hands.regressor, random.regressor)
        assert not same(hands.regressor, build(some(encoder=encoder, seed=1)).regressor)
        assert hands.regressor.iterations == 3
        learns = {
            name: all(p.requires_grad for p in part.encoder.parameters())
            for name, part in (("hands", hands), ("frozen", frozen), ("random", random))
        }
        assert learns == {"hands": True, "frozen": False, "random": True}
        assert not any(p.requires_grad for p in frozen.encoder.parameters())


def test_a_librarys_encoder_comes_from_letters_of_the_same_size_and_profile(tiny_encoders, monkeypatch):
    asked = []

    def load(config):
        asked.append(config)
        return tiny_encoders(config.encoder).requires_grad_(False)

    monkeypatch.setattr(encoder_pretraining, "load", load)
    network = build(some(encoder="densenet121", pretraining="quick"))
    (config,) = asked
    assert (config.encoder, config.size, config.profile_name) == ("densenet121", 32, "quick")
    assert all(p.requires_grad for p in network.parameters())  # it goes on learning
    build(some(encoder="densenet121", start="random"))
    assert len(asked) == 1


def test_imagenet_without_a_network_says_what_to_do(monkeypatch):
    def offline(name, *, imagenet):
        assert imagenet
        raise URLError("no route")

    monkeypatch.setattr(hand_regression, "library_encoder", offline)
    with pytest.raises(ConfigError, match="resnet50 cannot be downloaded .*no route.*start from hands"):
        build(some(encoder="resnet50", start="imagenet"))


def test_the_start_is_named_by_what_was_seen():
    committed = hashlib.sha256(pose_model.default_model().read_bytes()).hexdigest()
    assert hand_regression.start_digest(some()) == committed
    libraries = [some(encoder="resnet50", pretraining=profile) for profile in ("smoke", "quick", "full")]
    digests = {hand_regression.start_digest(config) for config in libraries}
    assert len(digests | {committed}) == 4
    assert hand_regression.start_digest(some(start="random")) == "random"
    assert hand_regression.start_digest(some(encoder="resnet50", start="imagenet")) == "imagenet"


# What is learned from ---------------------------------------------------------------------------------------


def test_hands_are_those_that_somebody_let_pass(hands):
    everybody = invented_hands.flat("train", 20, 4, 32)
    places = [np.flatnonzero((everybody.image == image).all(axis=(1, 2, 3))) for image in hands.image]
    assert all(len(place) == 1 for place in places) and 4 < len(hands) < 20
    kept = np.isin(np.arange(20), np.concatenate(places))
    # By the largest error of a joint alone: what is right has passed and what is gross has not, but for a slip.
    error = np.linalg.norm(everybody.keypoints - everybody.truth.keypoints, axis=-1).max(axis=1)
    longer = np.ptp(everybody.truth.keypoints, axis=1).max(axis=1)
    assert kept[error < 0.08 * longer].all() and kept[error > 0.12 * longer].mean() < 0.1


def test_strangers_are_asked(hands):
    asked = hand_regression.invented(some(), "validation")
    assert not set(asked.subject.tolist()) & set(hands.subject.tolist())
    assert set(hands.subject.tolist()) <= set(range(4)) and 4 < len(asked) <= 16
    assert set(asked.subject.tolist()) <= set(range(1_000_000, 1_000_003))


def test_a_network_is_told_what_a_detector_found_and_nothing_else(hands, model):
    learned = hand_regression.with_drawn_hands(some(), hands, model)
    assert learned.truth is None and (learned.keypoints == hands.keypoints).all()
    labels = labels_of(learned)
    assert labels.theta.isnan().all() and labels.joints.isnan().all() and labels.silhouette is None
    expected = hands.keypoints / 16 - 1  # 32 pixels from -1 to 1
    np.testing.assert_allclose(labels.keypoints, expected, atol=1e-6)


def test_only_drawn_hands_come_with_their_truth_and_they_are_other_peoples(hands, model):
    config = some(drawn_hands=6, truth_weight=1, silhouette_weight=1)
    learned = hand_regression.with_drawn_hands(config, hands, model)
    assert len(learned) == len(hands) + 6
    photographed, drawn = learned.of(slice(len(hands))), learned.of(slice(len(hands), None))
    assert np.isnan(photographed.truth.theta).all() and np.isnan(photographed.truth.joints).all()
    assert np.isnan(photographed.truth.frames).all() and np.isnan(photographed.truth.keypoints).all()
    assert not photographed.truth.silhouette.any()
    assert (photographed.image == hands.image).all() and (photographed.subject == hands.subject).all()
    assert not set(drawn.subject.tolist()) & set(photographed.subject.tolist())
    given = split(torch.from_numpy(drawn.truth.theta))
    mesh = posed(model, given.pose, given.shape, given.rotation)
    places = 16 * (project(mesh.keypoints, given.translation, given.scale) + 1)
    np.testing.assert_allclose(drawn.keypoints, places, atol=1e-3)
    assert (drawn.certainty == 1).all()


# Learning ---------------------------------------------------------------------------------------------------


def test_every_iteration_is_judged_and_all_alike(hands, model):
    config = some(fingertips=True, limits_weight=1, person_weight=1)
    torch.manual_seed(0)
    thetas = (mean_parameters() + 0.2 * torch.randn(3, 6, 61)).requires_grad_()
    labels = labels_of(hands.of(slice(6)).untold())
    loss = loss_of(config, model)
    whole = loss(thetas, labels)
    alone = [float(loss(thetas[[step]], labels).detach()) for step in range(3)]
    assert float(whole.detach()) == pytest.approx(np.mean(alone), rel=1e-5) and len(set(alone)) == 3
    whole.backward()
    assert (thetas.grad.abs().sum(dim=2) > 0).all()


def test_a_batch_is_learned_by_heart(hands, model):
    network, few = build(some(hidden=256)).eval(), hands.of(slice(3))  # dropout would be in the way
    x, labels = to_input(pictures(few)), labels_of(few.untold())
    before = detected_px_at_224(model, estimates(network, few.image)[-1], few)
    loss, optimizer = loss_of(some(), model), torch.optim.Adam(network.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=45)
    for _ in range(45):
        optimizer.zero_grad()
        loss(network(x), labels).backward()
        optimizer.step()
        schedule.step()
    after = detected_px_at_224(model, estimates(network, few.image)[-1], few)
    assert before > 15 and after < 6


def test_estimates_are_those_of_one_picture_at_a_time(hands, monkeypatch):
    network = build(some()).eval()
    nn.init.normal_(network.regressor.correction[-1].weight, std=0.05)
    monkeypatch.setattr(hand_regression, "BATCH", 3)
    together = estimates(network, hands.image)
    assert together.shape == (3, len(hands), 61)
    for row in range(len(hands)):
        x = to_input(pictures(hands.of([row])))
        with torch.inference_mode():
            theta, alone = mean_parameters()[None], []
            for _ in range(3):
                theta = theta + network.regressor.correction(torch.cat([network.encoder(x), theta], dim=1))
                alone.append(theta)
        torch.testing.assert_close(together[:, [row]], torch.stack(alone), rtol=1e-3, atol=1e-4)
    assert together.std(dim=1).max() > 1e-3  # not one answer for all


@pytest.fixture
def encoded(monkeypatch):
    """How many pictures went through the small encoder, call by call."""
    counts, forward = [], SmallEncoder.forward

    def spy(self, x):
        counts.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(SmallEncoder, "forward", spy)
    return counts


def test_a_frozen_encoder_does_not_move_and_looks_at_each_picture_once(hands, model, encoded):
    config = some(frozen=True, epochs=3)
    network, history = trained(config, model, hands.untold(), Path("frozen.json"))
    assert sum(encoded) == len(hands) and len(history) == 3
    start = build(config)
    assert same(network.encoder, start.encoder)  # the statistics of its batch norms too
    assert not torch.equal(network.regressor.correction[0].weight, start.regressor.correction[0].weight)
    assert not network.training
    # It lies on the disk without the encoder, and comes back with it.
    encoded.clear()
    again, told = trained(config, model, hands.untold(), Path("frozen.json"))
    assert same(again, network) and told == history


def test_features_computed_once_teach_what_features_computed_each_time_would(hands, model, tmp_path):
    config = some(frozen=True, epochs=3)
    quick, history = trained(config, model, hands.untold(), Path("quick.json"))
    slow = build(config)
    told = fit(
        slow,
        loss_of(config, model),
        pictures(hands),
        labels_of(hands.untold()),
        hand_regression.recipe(config),
        folder=tmp_path,
        seed=config.seed,
        augment=lambda images, labels: (to_input(images), labels),
    )
    assert [row["loss"] for row in history] == pytest.approx([row["loss"] for row in told], rel=1e-4)
    for name, tensor in slow.state_dict().items():
        torch.testing.assert_close(quick.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


def test_an_encoder_that_is_not_frozen_learns(hands, model, encoded):
    config = some(epochs=2)
    network, history = trained(config, model, hands.untold(), Path("learning.json"))
    assert sum(encoded) == 2 * (len(hands) // 4) * 4 and not network.training
    start = build(config).encoder
    moved = {
        name
        for name, p in start.named_parameters()
        if not torch.equal(p, network.encoder.get_parameter(name))
    }
    assert moved == {name for name, _ in start.named_parameters()}
    assert history[0]["loss"] > history[-1]["loss"] > 0


def test_the_rate_rises_to_its_peak_and_falls():
    recipe = hand_regression.recipe(some(epochs=8, lr_max=2e-3))
    rates = [learning_rate(recipe, epoch / 10) for epoch in range(81)]
    assert int(np.argmax(rates)) == 10 and max(rates) == pytest.approx(2e-3)  # an eighth of the way
    assert (np.diff(rates[:11]) > 0).all() and (np.diff(rates[10:]) < 0).all() and rates[-1] < 1e-5


def test_other_hands_other_starts_and_other_code_have_places_of_their_own(hands, monkeypatch):
    record = Path("one.json")
    place = hand_regression.folder(some(), hands, record)
    assert paths.RUNS in place.parents and place == hand_regression.folder(some(), hands, record)
    fewer = hands.of(slice(1, None))
    told_otherwise = replace(hands, keypoints=hands.keypoints + np.float32(0.01))
    others = [
        hand_regression.folder(some(), fewer, record),
        hand_regression.folder(some(), told_otherwise, record),
        hand_regression.folder(some(start="random"), hands, record),
        hand_regression.folder(some(), hands, Path("two.json")),
    ]
    monkeypatch.setattr(results, "source_hash", lambda module: "0" * 16)
    others.append(hand_regression.folder(some(), hands, record))
    assert len({place, *others}) == 6


def test_a_network_of_other_iterations_and_width_is_made_as_asked():
    network = build(some(hidden=7, iterations=5))
    assert isinstance(network, HandMeshRecovery)
    assert network.regressor.correction[0].weight.shape == (7, network.encoder.num_features + 61)
    assert network.eval()(torch.zeros(2, 3, 32, 32)).shape == (5, 2, 61)
