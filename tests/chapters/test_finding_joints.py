"""Chapter 2's experiment: refusals before any work, losses that fit the network, one small run."""

from itertools import combinations

import numpy as np
import pytest
import torch

from thesislib import paths, results
from thesislib.chapters import finding_joints, hand_sets
from thesislib.chapters.finding_joints import Config, build, decoders, loss_of
from thesislib.chapters.hand_sets import HandSet
from thesislib.config import ConfigError
from thesislib.datasets.hand_images import HandImages
from thesislib.datasets.sources import DataError
from thesislib.figures import chapter2_numbers, hand_errors, hands, joint_runs, joint_tables
from thesislib.losses.pose import BinsLoss, CoordinateLoss, HeatmapLoss, SpatialCrossEntropy, StagesLoss
from thesislib.networks.joint_regression import RIVALS
from thesislib.synthetic.scene import ALPHABETS
from thesislib.training import read_history

SMALL = dict(train_hands=20, train_signers=2, test_hands=14, test_signers=2, batch_size=8)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """A smoke run on free poses alone, which need no handshape solved: its configuration and record."""
    folder = tmp_path_factory.mktemp("joints")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RUNS", "QUICK_RESULTS", "CACHE"):
            patch.setattr(paths, name, folder / name)
        patch.setattr(hand_sets, "MIX", {"random": 0.7, "flat": 0.3})
        config = Config.profile("smoke", **SMALL)
        record = finding_joints.run(config)
        assert finding_joints.run(config) == record  # stored, not measured again
        yield config, record, results.read_arrays(finding_joints.arrays_path(config))


# Refusals -------------------------------------------------------------------------------------------


def test_unknown_networks_and_sets_are_refused_by_name():
    with pytest.raises(ConfigError, match="Did you mean 'resnet34'"):
        Config.profile("smoke", network="resnet_34")
    with pytest.raises(ConfigError, match="unknown set of real hands 'asl8'"):
        Config.profile("smoke", real_sets=["asl8"])


def test_a_loss_for_another_output_is_refused():
    config = Config.profile("smoke", network="resnet34", loss="cross_entropy")
    with pytest.raises(ConfigError, match="resnet34 gives coordinates"):
        loss_of(config, build(config), 10)


def test_missing_real_hands_stop_the_run_before_anything_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setenv("THESIS_DATA", str(tmp_path))
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "results")
    monkeypatch.setattr(HandSet, "load", lambda self: pytest.fail("hands were drawn"))
    with pytest.raises(DataError, match="asl7"):
        finding_joints.run(Config.profile("smoke", real_sets=["asl7"]))


# What fits what -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "loss", "kind"),
    [
        ("thesis", "default", HeatmapLoss),
        ("thesis", "cross_entropy", HeatmapLoss),
        ("thesis", "spatial_cross_entropy", SpatialCrossEntropy),
        ("simcc", "default", BinsLoss),
        ("cpm", "default", StagesLoss),
        ("resnet34", "l1", CoordinateLoss),
    ],
)
def test_every_output_has_its_loss_and_reads_as_points_inside_the_picture(network, loss, kind):
    config = Config.profile("smoke", network=network, loss=loss)
    made = build(config)
    assert isinstance(loss_of(config, made, 10), kind)
    with torch.inference_mode():
        output = made.eval()(torch.rand(2, 3, 64, 64))
    for decode in decoders(config, made).values():
        points = decode(output)
        assert points.shape == (2, 21, 2) and (points > -8).all() and (points < 72).all()


def test_the_radius_is_in_pixels_of_the_input_and_never_less_than_one_of_the_map():
    full, half = Config.profile("full"), Config.profile("full", stem_stride=4, last_radius=0.5)
    assert loss_of(full, build(full), 10).first_radius == 2
    loss = loss_of(half, build(half), 10)
    assert (loss.first_radius, loss.last_radius) == (1, 1)


def test_weights_follow_from_the_seed():
    weights = [build(Config.profile("smoke", seed=seed)).heatmaps.weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("name", RIVALS)
def test_every_rival_has_a_name_in_the_tables(name):
    assert name in joint_runs.NAMES


def test_nobody_signs_in_two_parts():
    for profile in ("smoke", "quick", "full"):
        parts = finding_joints.hand_sets(Config.profile(profile)).values()
        assert len(parts) == 3
        for one, other in combinations([set(part.signer_range) for part in parts], 2):
            assert not one & other


def test_the_hands_that_are_drawn_are_of_other_people_and_of_other_seeds_in_each_part(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    monkeypatch.setattr(hand_sets, "MIX", {"random": 0.7, "flat": 0.3})
    parts = {part: HandSet(part, 20, 4, 16) for part in hand_sets.FIRST_SIGNER}
    drawn = {part: set(asked.load().signer.tolist()) for part, asked in parts.items()}
    assert list(drawn) == ["train", "validation", "test"]
    for part, signers in drawn.items():
        assert len(signers) > 1 and signers <= set(parts[part].signer_range)
    for one, other in combinations(drawn, 2):
        assert not drawn[one] & drawn[other]
    assert len(set(hand_sets.SEEDS.values())) == len(hand_sets.SEEDS) == 3


def test_letters_of_other_alphabets_are_no_american_letters(monkeypatch):
    def of_kind(kind, seed, count, *, size, signers, **settings):
        return HandImages(
            image=np.zeros((count, 3, size, size), np.uint8),
            keypoints=np.zeros((count, 21, 2), np.float32),
            visible=np.ones((count, 21), bool),
            left=np.zeros(count, bool),
            signer=np.full(count, signers.start),
            letter=np.full(count, 7 if kind in ALPHABETS else -1),
            source=kind,
        )

    monkeypatch.setattr(hand_sets, "rendered", of_kind)
    letter = HandSet("train", 100, 4, 16).load().letter.tolist()
    assert letter == 45 * [-1] + 30 * [7] + 25 * [-1]  # free poses, American letters, and the rest


# One run --------------------------------------------------------------------------------------------


def test_a_run_scores_every_decoder_and_the_mean_pose_on_strangers(small_run):
    config, record, _ = small_run
    metrics = record["metrics"]
    for name in ("dark", "argmax", "soft_argmax", "mean_pose"):
        scores = metrics[f"unseen_signers_{name}"]
        assert scores["n_images"] == 14 and scores["n_keypoints"] == 14 * 21
        assert 0 < scores["epe_px_at_256"] < 256
    assert metrics["decoder"] == "dark" and len(metrics["unseen_signers_error_px_at_256_by_joint"]) == 21
    by_joint = np.mean(metrics["unseen_signers_error_px_at_256_by_joint"])
    assert by_joint == pytest.approx(metrics["unseen_signers_dark"]["epe_px_at_256"], rel=1e-5)
    assert len(metrics["history"]["epe_px_at_256"]) == config.epochs
    share = metrics["unseen_signers_pck"]["share"]
    assert share == sorted(share) and 0 <= share[0] <= share[-1] <= 1
    signers = [set(range(*part["signers"])) for part in record["split"].values()]
    assert not set.intersection(*signers) and record["split"]["train"]["hands"] == 20


def test_the_data_of_a_record_are_named_by_the_table_and_the_numbers_not_by_code(small_run, monkeypatch):
    config, record, _ = small_run
    sha256 = record["data"]["sha256"]
    assert sha256 == finding_joints.data_sha256(config)
    other = Config.profile("smoke", **SMALL | {"test_hands": 15})
    assert finding_joints.data_sha256(other) != sha256
    folder, generator = finding_joints.run_folder(config), hand_sets.generator_hash()
    assert record["data"]["generator"] == generator and folder.name.endswith(generator[:8])
    with monkeypatch.context() as patch:
        patch.setattr(results, "source_hash", lambda module: "0123456789abcdef")
        assert finding_joints.data_sha256(config) == sha256 and hand_sets.generator_hash() != generator
    monkeypatch.setattr(hand_sets, "_table", lambda: b"another table")
    assert finding_joints.data_sha256(config) != sha256
    assert finding_joints.run_folder(config) != folder  # nor are its weights taken for those of the old one


def test_seconds_are_kept_with_each_epoch_so_a_resumed_run_knows_them(small_run):
    config, record, _ = small_run
    history = record["metrics"]["history"]
    assert len(history["seconds"]) == config.epochs and min(history["seconds"]) > 0
    assert record["metrics"]["training_seconds"] == pytest.approx(sum(history["seconds"]))
    stored = read_history(finding_joints.run_folder(config))
    assert [row["seconds"] for row in stored] == history["seconds"]


def test_best_and_worst_are_in_order_and_the_figures_draw_them(small_run):
    _, record, arrays = small_run
    best, worst = arrays["best_error_px_at_256"], arrays["worst_error_px_at_256"]
    assert (np.diff(best) >= 0).all() and (np.diff(worst) <= 0).all() and best[0] <= worst[-1]
    error = 4 * np.linalg.norm(arrays["first_predicted"] - arrays["first_keypoints"], axis=-1).mean(axis=1)
    np.testing.assert_allclose(error, arrays["first_error_px_at_256"], rtol=1e-4)
    assert arrays["heatmaps"].shape[:2] == (4, 21) and (arrays["heatmaps"].max(axis=(2, 3)) == 255).all()
    pictures = chapter2_numbers.as_pictures(arrays["augmented_input"])
    assert pictures.dtype == np.uint8 and pictures.shape == arrays["train_image"].shape
    shown = [chapter2_numbers.best_and_worst(arrays, part) for part in ("image", "keypoints", "predicted")]
    assert hands.prediction_sheet(*shown).get_label()
    assert hands.heatmap_columns(arrays["first_image"][:4], arrays["heatmaps"]).get_label()
    pck = record["metrics"]["unseen_signers_pck"]
    assert hand_errors.pck_curves({"this run": (pck["px_at_256"], pck["share"])}).get_label()


def test_tables_put_seeds_together_and_name_what_differs(small_run):
    _, record, _ = small_run

    def varied(**changes):
        return record | {"config": record["config"] | changes}

    changes = [{}, {"seed": 1}, {"width": 1.0}, {"train_hands": 1000}, {"epochs": 3}, {"network": "resnet34"}]
    table = joint_tables.benchmark(joint_runs.named([varied(**change) for change in changes], record))
    small = "the thesis's network, width 0.25, stem stride 4"  # told against the thesis's own
    assert dict(table["seeds"]) == {
        small: "2",
        "the thesis's network, whole width, stem stride 4": "1",
        f"{small}, train hands 1,000": "1",
        f"{small}, epochs 3": "1",
        "ResNet-34, no pooling": "1",
        "mean pose of the training hands": "–",
    }
    assert table.iloc[0]["error, px at 256"].endswith("± 0.0")
    rival = varied(network="resnet34", epochs=2)
    table = joint_tables.benchmark(joint_runs.named([record, rival, varied(network="resnet34")], rival))
    assert list(table.index[:-1]) == [
        "ResNet-34, no pooling",  # against a rival, its row comes first and its choices are the usual ones
        f"{small}, epochs 1",
        "ResNet-34, no pooling, epochs 1",
    ]
    assert list(joint_tables.decoders(record).index) == ["highest pixel", "centre of mass near it", "DARK"]
