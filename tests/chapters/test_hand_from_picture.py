"""The experiment of chapter 5: its record against derivations of its own, kills, refusals, photographs, MANO.

One small run on pictures of 32 pixels, so few that all the hands it asks about are among those of the figures.
"""

import itertools
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy.spatial.transform import Rotation

from thesislib import paths, results
from thesislib.chapters import hand_from_picture, hand_mesh, hand_regression, hand_sets
from thesislib.chapters.hand_from_picture import Config
from thesislib.config import ConfigError
from thesislib.datasets.eleven_k_hands import COLUMNS
from thesislib.datasets.mano import PARENTS
from thesislib.datasets.sources import DataError
from thesislib.evaluation import hand_meshes
from thesislib.hand_model import posed, split
from thesislib.networks.hand_mesh_recovery import mean_parameters
from thesislib.results import RecordError
from thesislib.supervision import PASSES

TINY = dict(train_pictures=20, train_subjects=4, validation_pictures=16, validation_subjects=3)
TINY |= dict(size=32, hidden=16, batch_size=4, epochs=2)
TIPS, METACARPAL = [4, 8, 12, 16, 20], 1
BONES = [(0 if k == 0 else 4 * f + k, 4 * f + k + 1) for f in range(5) for k in range(4)]
REPAIRS = dict(fingertips=True, limits_weight=1, person_weight=1, truth_weight=1, silhouette_weight=1)
UNTOLD = ("detected_2d_px_at_224", "shape_abs", "shape_beyond_1", "shape_beyond_2", "limits_exceeded_deg")


@pytest.fixture(autouse=True, scope="module")
def cache(build_folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "CACHE", build_folder / "cache")
        yield


def some(**changes) -> Config:
    return Config.profile("smoke", **TINY | changes)


@pytest.fixture(scope="module")
def record(cache):
    return hand_from_picture.run(some())


@pytest.fixture(scope="module")
def arrays(record):
    return results.read_arrays(hand_from_picture.arrays_path(some()))


@pytest.fixture(scope="module")
def model():
    return hand_mesh.load_model()


@pytest.fixture(scope="module")
def asked(record, arrays):
    """The hands that were asked about, in the order of the arrays."""
    hands = hand_from_picture.sets(some())[1]
    assert len(hands) == len(arrays["image"]) == record["split"]["validation"]["hands"]
    rows = [
        int(np.flatnonzero((hands.image == image).all(axis=(1, 2, 3))).item()) for image in arrays["image"]
    ]
    assert sorted(rows) == list(range(len(hands)))
    return hands.of(np.array(rows))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty build folder for one test; what was rendered stays."""
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "results")
    return tmp_path


def measured(record) -> dict:
    """A record's metrics without its timing."""
    return {name: value for name, value in record["metrics"].items() if name != "images_per_second"}


def joints_of(model, theta) -> np.ndarray:
    given = split(torch.as_tensor(theta))
    return posed(model, given.pose, given.shape, given.rotation).keypoints.double().numpy()


def seen(model, theta) -> np.ndarray:
    """Keypoints [N, 21, 2] of parameters [N, 61] in normalised picture coordinates."""
    theta = np.asarray(theta, float)
    flat = joints_of(model, theta.astype(np.float32))[..., :2] * [1, -1]
    return theta[:, None, 60:61] * flat + theta[:, None, 58:60]


def equation_6_1(model, thetas, hands, *, shape=True) -> float:
    """Komorowicz 2018, hand by hand and joint by joint, no fingertips, w = 100; the mean over estimates."""
    told = []
    for theta in thetas:
        places, total, weights = seen(model, theta), 0.0, 0.0
        for hand, joint in itertools.product(range(len(hands)), range(21)):
            weight = float(hands.certainty[hand, joint])
            if weight == 0 or joint in TIPS:
                continue
            weight = 0.2 if joint == METACARPAL else weight
            error = np.abs(places[hand, joint] - (2 * hands.keypoints[hand, joint] / hands.size - 1)).mean()
            total, weights = total + weight * error, weights + weight
        told.append(100 * total / weights + (float(np.abs(theta[:, 45:55]).mean()) if shape else 0))
    return float(np.mean(told))


def over_people(values, subject) -> tuple[list[float], float, float, float]:
    """Each person's mean, the mean of these, and its interval: every way to draw as many people again."""
    by_subject = [float(np.mean(values[subject == who])) for who in sorted(set(subject.tolist()))]
    means = [np.mean(drawn) for drawn in itertools.product(by_subject, repeat=len(by_subject))]
    low, high = np.percentile(means, [2.5, 97.5], method="inverted_cdf")
    return by_subject, float(np.mean(by_subject)), float(low), float(high)


def laid_over(points, goal) -> np.ndarray:
    """Points [N, 3] turned, scaled and shifted onto others."""
    points, middle = points - points.mean(axis=0), goal.mean(axis=0)
    turned = Rotation.align_vectors(goal - middle, points)[0].apply(points)
    return (turned * (goal - middle)).sum() / (turned**2).sum() * turned + middle


def errors_of(model, arrays, hands) -> dict[str, np.ndarray]:
    """Errors [N] from nothing but the arrays beside the record."""
    theta = arrays["thetas"][-1]
    joints, true = joints_of(model, theta), arrays["true_joints"].astype(float)
    places = 112 * (seen(model, theta) + 1)
    found = {
        name: [] for name in ("detected_2d_px_at_224", "true_2d_px_at_224", "tips_2d_px_at_224", "joints_mm")
    }
    found |= {name: [] for name in ("tips_mm", "joints_mm_aligned", "tips_mm_aligned", "bone_length_mm")}
    found |= {name: [] for name in ("mesh_mm", "mesh_mm_aligned", "shape_abs", "direction_deg")}
    given = split(torch.as_tensor(theta))
    meshes = posed(model, given.pose, given.shape, given.rotation).vertices.double().numpy()
    for n in range(len(theta)):
        weight = arrays["certainty"][n].astype(float)
        weight[METACARPAL], weight[TIPS] = 0.2 * (weight[METACARPAL] > 0), 0
        far = np.linalg.norm(places[n] - arrays["keypoints"][n] * 224 / 32, axis=-1)
        found["detected_2d_px_at_224"].append(np.average(far, weights=weight))
        far = np.linalg.norm(places[n] - arrays["true_keypoints"][n] * 224 / 32, axis=-1)
        found["true_2d_px_at_224"].append(far.mean())
        found["tips_2d_px_at_224"].append(far[TIPS].mean())
        for suffix, at in (
            ("", joints[n] - joints[n, 0] + true[n, 0]),
            ("_aligned", laid_over(joints[n], true[n])),
        ):
            far = 90 * np.linalg.norm(at - true[n], axis=-1)
            found[f"joints_mm{suffix}"].append(far.mean())
            found[f"tips_mm{suffix}"].append(far[TIPS].mean())
        bones, true_bones = ([at[b] - at[a] for a, b in BONES] for at in (joints[n], true[n]))
        lengths, true_lengths = np.linalg.norm(bones, axis=-1), np.linalg.norm(true_bones, axis=-1)
        found["bone_length_mm"].append(90 * np.abs(lengths - true_lengths).mean())
        cosine = (np.array(bones) * true_bones).sum(axis=-1) / lengths / true_lengths
        found["direction_deg"].append(np.degrees(np.arccos(cosine)).mean())
        skin = arrays["true_vertices"][n].astype(float)
        found["mesh_mm"].append(90 * np.linalg.norm(meshes[n] - joints[n, 0] - skin, axis=-1).mean())
        found["mesh_mm_aligned"].append(
            90 * np.linalg.norm(laid_over(meshes[n], skin) - skin, axis=-1).mean()
        )
        found["shape_abs"].append(np.abs(theta[n, 45:55]).mean())
    return {name: np.array(values) for name, values in found.items()}


# The record -------------------------------------------------------------------------------------------------


def test_the_record_is_stored_fresh_and_asked_once(record, monkeypatch):
    path = hand_from_picture.record_path(some())
    assert results.read_record(path) == json.loads(json.dumps(record))
    assert results.state(record) == "fresh" and record["published"] == {}
    assert record["data"]["sha256"] == hand_from_picture.data_sha256(some())
    assert hand_from_picture.arrays_path(some()).parent == path.parent
    monkeypatch.setattr(hand_from_picture, "_measure", lambda config: pytest.fail("measured again"))
    assert hand_from_picture.run(some()) == record
    with monkeypatch.context() as patch:
        patch.setattr(hand_sets, "_table", lambda: b"another table")
        with pytest.raises(RecordError, match="measured on other data"):
            hand_from_picture.run(some())


def test_nobody_teaches_and_is_asked(record):
    known, asked = hand_from_picture.sets(some())
    for part, hands in (("train", known), ("validation", asked)):
        told = record["split"][part]
        assert told == {"subjects": sorted(set(hands.subject.tolist())), "hands": len(hands)}
    teachers, strangers = (set(record["split"][part]["subjects"]) for part in ("train", "validation"))
    assert not teachers & strangers and len(teachers) > 1 and len(strangers) > 1


def test_errors_are_means_over_people_with_intervals_over_people(record, arrays, asked, model):
    """All of them from the pictures, parameters and meshes beside the record."""
    assert (arrays["keypoints"] == asked.keypoints).all() and (arrays["certainty"] == asked.certainty).all()
    assert (arrays["true_joints"] == asked.truth.joints).all()
    derived = errors_of(model, arrays, asked)
    assert len(derived) == 12
    unequal = 0
    for name, values in derived.items():
        told = record["metrics"]["errors"][name]
        by_subject, mean, low, high = over_people(values, asked.subject)
        tolerance = dict(rel=2e-3, abs=2e-3)  # meshes are kept as float16
        assert told["by_subject"] == pytest.approx(by_subject, **tolerance), name
        assert told["mean"] == pytest.approx(mean, **tolerance), name
        assert (told["low"], told["high"]) == (
            pytest.approx(low, **tolerance),
            pytest.approx(high, **tolerance),
        )
        unequal += not told["mean"] == pytest.approx(values.mean(), **tolerance)
    assert unequal > 6  # the mean over hands is another
    assert len(record["metrics"]["errors"]) == 19


def test_shown_hands_are_in_order_from_the_best_to_the_worst(arrays, asked, model):
    error = errors_of(model, arrays, asked)["true_2d_px_at_224"]
    assert (np.diff(error) > -1e-3).all() and error[0] < error[-1]


def test_many_hands_are_shown_by_every_so_many(record, arrays, asked, monkeypatch):
    monkeypatch.setattr(hand_from_picture, "SHOWN", 3)
    error = np.random.default_rng(0).permutation(len(asked)).astype(float)
    few = hand_from_picture._spread(asked, error)
    assert error[few].tolist() == [0, round((len(asked) - 1) / 2), len(asked) - 1]


def test_every_iteration_is_told_from_the_mean_hand_on(record, arrays, model):
    told = record["metrics"]["true_2d_px_at_224_by_iteration"]
    assert arrays["thetas"].shape[0] == len(told) == 4
    assert (arrays["thetas"][0] == mean_parameters().numpy()).all()
    for theta, value in zip(arrays["thetas"], told, strict=True):
        far = np.linalg.norm(112 * (seen(model, theta) + 1) - 7 * arrays["true_keypoints"], axis=-1)
        assert value == pytest.approx(far.mean(), rel=1e-4)
    assert len(set(told)) == 4


def test_losses_are_equation_6_1_over_all_hands_and_estimates(record, arrays, asked, model):
    metrics, thetas = record["metrics"], arrays["thetas"]
    assert metrics["validation_loss"] == pytest.approx(equation_6_1(model, thetas[1:], asked), rel=1e-4)
    last = equation_6_1(model, thetas[-1:], asked)
    assert metrics["validation_loss_last_iteration"] == pytest.approx(last, rel=1e-4)
    assert last != pytest.approx(metrics["validation_loss"], rel=1e-4)


def test_estimates_and_the_training_loss_come_from_the_weights_of_the_run(record, arrays, asked, model):
    network = hand_regression.build(some())
    known = hand_from_picture.sets(some())[0]
    place = hand_regression.folder(some(), known.untold(), hand_from_picture.record_path(some()))
    kept = load_file(place / "weights.safetensors")
    network.load_state_dict({name.removeprefix("network."): value for name, value in kept.items()})
    thetas = hand_regression.estimates(network.eval(), asked.image).numpy()
    np.testing.assert_allclose(thetas, arrays["thetas"][1:], rtol=1e-3, atol=1e-4)
    first = known.of(slice(0, len(asked)))
    thetas = hand_regression.estimates(network, first.image).numpy()
    assert record["metrics"]["train_loss"] == pytest.approx(equation_6_1(model, thetas, first), rel=1e-4)
    counts = record["metrics"]["parameters"]
    assert counts["encoder"] == sum(p.numel() for p in network.encoder.parameters())
    features = 128 * 4
    assert counts["regressor"] == (features + 61 + 1) * 16 + (16 + 1) * 16 + (16 + 1) * 61


def test_the_trivial_predictor_is_the_average_hand_laid_on_the_true_joints(record, asked, model):
    rest = joints_of(model, np.zeros((1, 61), np.float32))[0]
    picture, space = [], []
    for n in range(len(asked)):
        goal = 7 * asked.truth.keypoints[n].astype(float)  # pixels of 224
        true = asked.truth.joints[n].astype(float)
        # The palm is towards the viewer where going from the thumb's side over the fingers' to the wrist turns so.
        across, along = true[5] - true[17], true[9] - true[0]
        palm = np.cross(across, along)[2] > 0
        hand = rest * ([1, 1, 1] if palm else [-1, 1, -1])
        x, y, one, nought = hand[:, 0], -hand[:, 1], np.ones(21), np.zeros(21)
        rows = np.concatenate([np.stack([x, -y, one, nought], 1), np.stack([y, x, nought, one], 1)])
        best = np.linalg.lstsq(rows, np.concatenate(goal.T), rcond=None)[0]
        picture.append(np.linalg.norm((rows @ best).reshape(2, 21).T - goal, axis=-1).mean())
        turned = Rotation.from_euler("z", -np.arctan2(best[1], best[0])).apply(hand)
        space.append(90 * np.linalg.norm(turned - turned[0] - true + true[0], axis=-1).mean())
    trivial = record["metrics"]["trivial"]
    for name, values in (("true_2d_px_at_224", picture), ("joints_mm", space)):
        by_subject, mean, low, high = over_people(np.array(values), asked.subject)
        assert trivial[name]["by_subject"] == pytest.approx(by_subject, rel=1e-3), name
        found = [trivial[name][key] for key in ("mean", "low", "high")]
        assert found == pytest.approx([mean, low, high], rel=1e-3), name
    assert trivial["shape_abs"]["mean"] == 0 and trivial.keys() == record["metrics"]["errors"].keys()


# Repairs, names, data ---------------------------------------------------------------------------------------


def test_repairs_teach_and_do_not_judge(elsewhere, record, model, monkeypatch):
    """With drawn hands, fingertips and two iterations: the measure is the same, and drawn hands are no subjects."""
    config = some(**REPAIRS, drawn_hands=4, iterations=2)
    seen_in_training, as_input = [], hand_regression._as_input

    def spy(images, labels):
        seen_in_training.append(0 if labels is None else len(images))
        return as_input(images, labels)

    monkeypatch.setattr(hand_regression, "_as_input", spy)
    repaired = hand_from_picture.run(config)
    metrics, told = repaired["metrics"], results.read_arrays(hand_from_picture.arrays_path(config))
    hands = hand_from_picture.sets(config)[1]
    rows = [int(np.flatnonzero((hands.image == image).all(axis=(1, 2, 3))).item()) for image in told["image"]]
    loss = equation_6_1(model, told["thetas"][1:], hands.of(np.array(rows)))
    assert told["thetas"].shape[0] == 3 and metrics["validation_loss"] == pytest.approx(loss, rel=1e-4)
    assert repaired["split"] == record["split"]
    learned = repaired["split"]["train"]["hands"] + 4
    assert metrics["images_seen"] == sum(seen_in_training) == 2 * (learned // 4) * 4
    assert metrics["trivial"] == record["metrics"]["trivial"]
    assert metrics["history"]["loss"][0] > record["metrics"]["history"]["loss"][0]  # more terms
    assert metrics["images_per_second"] > 0


def test_full_runs_of_invented_hands_are_committed_and_each_has_a_name():
    asked = [
        {},
        dict(seed=1),
        dict(frozen=True),
        dict(shape_weight=0),
        dict(encoder="resnet50"),
        dict(epochs=9),
    ]
    asked += [dict(limits_weight=1), dict(limits_weight=2), dict(fingertips=True), dict(start="random")]
    full = [hand_from_picture.record_path(Config.profile("full", **changes)) for changes in asked]
    assert len(set(full)) == len(asked) and all(paths.RESULTS in path.parents for path in full)
    for changes in (dict(photographs="11k", detections="openpose"), dict(mano="MANO_RIGHT.pkl")):
        path = hand_from_picture.record_path(Config.profile("full", **changes))
        assert paths.RESULTS not in path.parents and paths.QUICK_RESULTS in path.parents
    assert paths.RESULTS not in hand_from_picture.record_path(Config.profile("quick")).parents


def test_data_are_named_by_numbers_and_nothing_is_drawn_for_it(record, monkeypatch):
    monkeypatch.setattr(hand_from_picture, "sets", lambda config: pytest.fail("hands were drawn"))
    names = [hand_from_picture.data_sha256(some(lr_max=1e-3, limits_weight=1, seed=4, epochs=9))]
    assert names == [record["data"]["sha256"]]
    for changes in (
        *({name: 7} for name in ("train_pictures", "train_subjects", "validation_pictures")),
        *(dict(validation_subjects=7), dict(size=64), dict(start="random"), dict(encoder="resnet50")),
        dict(drawn_hands=7, truth_weight=1),
    ):
        names.append(hand_from_picture.data_sha256(some(**changes)))
    monkeypatch.setattr(hand_mesh, "model_sha256", lambda: "0" * 64)
    names.append(hand_from_picture.data_sha256(some()))
    assert len(set(names)) == 10


# Kills and seeds --------------------------------------------------------------------------------------------


def test_a_kill_in_training_changes_nothing(elsewhere, record, monkeypatch):
    calls, as_input = [], hand_regression._as_input

    def dies(images, labels):
        calls.append(labels is not None)
        if sum(calls) == steps + 1:  # the first batch of the second epoch
            raise KeyboardInterrupt
        return as_input(images, labels)

    steps = record["split"]["train"]["hands"] // 4
    monkeypatch.setattr(hand_regression, "_as_input", dies)
    with pytest.raises(KeyboardInterrupt):
        hand_from_picture.run(some())
    left = {path.name for path in elsewhere.rglob("*") if path.is_file()}
    assert left == {"checkpoint.pt"}
    resumed = hand_from_picture.run(some())
    assert sum(calls) == steps + 1 + steps  # the first epoch is not gone through again
    assert measured(resumed) == measured(record)


def test_a_kill_after_training_does_not_train_again_and_leaves_no_record(
    elsewhere, record, arrays, monkeypatch
):
    def dies(path, arrays):
        raise KeyboardInterrupt

    def as_input_of_no_lesson(images, labels):
        assert labels is None, "trained again"
        return as_input(images, labels)

    as_input = hand_regression._as_input
    with monkeypatch.context() as patch:
        patch.setattr(results, "write_arrays", dies)
        with pytest.raises(KeyboardInterrupt):
            hand_from_picture.run(some())
    assert not list(elsewhere.rglob("*.json")) and not list(elsewhere.rglob("*.npz"))
    monkeypatch.setattr(hand_regression, "_as_input", as_input_of_no_lesson)
    assert measured(hand_from_picture.run(some())) == measured(record)
    again = results.read_arrays(hand_from_picture.arrays_path(some()))
    assert again.keys() == arrays.keys() and all((again[name] == arrays[name]).all() for name in arrays)


def test_another_seed_is_another_network_asked_the_same(record):
    other = hand_from_picture.run(some(seed=1))
    assert other["split"] == record["split"] and other["data"] == record["data"]
    assert other["metrics"]["validation_loss"] != record["metrics"]["validation_loss"]
    steps = "true_2d_px_at_224_by_iteration"
    assert other["metrics"][steps][0] == record["metrics"][steps][0]  # the mean hand
    assert other["metrics"][steps][-1] != record["metrics"][steps][-1]
    for name, told in other["metrics"]["trivial"].items():
        assert told["by_subject"] == record["metrics"]["trivial"][name]["by_subject"]


# Refusals ---------------------------------------------------------------------------------------------------


@pytest.fixture
def no_work(elsewhere, monkeypatch):
    """Nothing may be drawn, and nobody trained."""
    monkeypatch.setattr(hand_regression, "invented", lambda *arguments: pytest.fail("hands were drawn"))
    monkeypatch.setattr(hand_regression, "trained", lambda *arguments: pytest.fail("a network was trained"))
    yield
    assert not (elsewhere / "runs").exists() and not (elsewhere / "results").exists()


def test_an_unknown_encoder_is_refused_by_name():
    with pytest.raises(ConfigError, match="Did you mean 'densenet121'"):
        some(encoder="densenet-121")


def test_a_mano_file_that_is_missing_or_none_stops_before_work(no_work, tmp_path):
    with pytest.raises(DataError, match=r"is missing.*mano\.is\.tue\.mpg\.de"):
        hand_from_picture.run(some(mano=str(tmp_path / "MANO_RIGHT.pkl")))
    (tmp_path / "other.pkl").write_bytes(b"no pickle")
    with pytest.raises(DataError, match=r"delete it.*mano\.is\.tue\.mpg\.de"):
        hand_from_picture.run(some(mano=str(tmp_path / "other.pkl")))


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("11k/HandInfo.csv", "HandInfo.csv is missing: get HandInfo.csv and Hands.zip"),
        ("11k/Hands/Hand_0000003.jpg", "unpack Hands.zip"),
        ("openpose/Hand_0000003_keypoints.json", "run OpenPose's hand detector"),
        ("decisions.jsonl", "make them with `thesis supervise`"),
    ],
)
def test_missing_photographs_detections_and_decisions_stop_before_work(no_work, tmp_path, gone, message):
    config = photographed(tmp_path)
    decide(tmp_path / "decisions.jsonl", range(9))
    (tmp_path / gone).unlink()
    with pytest.raises(DataError, match=message):
        hand_from_picture.run(replace(config, decisions=str(tmp_path / "decisions.jsonl")))


def test_decisions_that_keep_nothing_or_one_person_stop_before_work(no_work, tmp_path):
    config, decisions = photographed(tmp_path), tmp_path / "decisions.jsonl"
    for kept, message in ((range(0), "go on with `thesis supervise`"), (range(0, 9, 3), "takes two")):
        decisions.unlink(missing_ok=True)
        decide(decisions, kept)
        with pytest.raises(DataError, match=message):
            hand_from_picture.run(replace(config, decisions=str(decisions)))


# Photographs and MANO ---------------------------------------------------------------------------------------


def photographed(folder: Path) -> Config:
    """Nine made-up photographs of three people in the layout of 11k Hands, joints as OpenPose writes them."""
    (folder / "11k" / "Hands").mkdir(parents=True)
    (folder / "openpose").mkdir()
    rest = joints_of(hand_mesh.load_model(), np.zeros((1, 61), np.float32))[0, :, :2] * [1, -1]
    lines = [",".join(COLUMNS)]
    for number in range(9):
        random = np.random.default_rng(number)
        places = 80 + 30 * rest + [0, 40] + random.normal(0, 1, (21, 2))
        pixels = random.integers(0, 255, (160, 160, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "11k" / "Hands" / f"Hand_{number:07}.jpg")
        told = np.concatenate([places, random.uniform(0.4, 1, (21, 1))], axis=1).ravel().tolist()
        person = {"hand_right_keypoints_2d": told, "hand_left_keypoints_2d": 63 * [0.0]}
        path = folder / "openpose" / f"Hand_{number:07}_keypoints.json"
        path.write_text(json.dumps({"people": [person]}))
        lines.append(f"{number % 3},27,male,fair,0,0,dorsal right,Hand_{number:07}.jpg,0")
    (folder / "11k" / "HandInfo.csv").write_text("\n".join(lines) + "\n")
    return some(photographs=str(folder / "11k"), detections=str(folder / "openpose"))


def decide(path: Path, kept) -> None:
    """Write a file of decisions on all nine, as the supervision tool does."""
    rows = [
        {"picture": f"Hand_{n:07}.jpg", "in_pass": in_pass, "keep": n in kept, "seconds": 1.0}
        for in_pass in range(1, len(PASSES) + 1)
        for n in range(9)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_photographs_are_judged_by_what_a_detector_found(elsewhere, tmp_path, model):
    config, decisions = photographed(tmp_path / "set"), tmp_path / "decisions.jsonl"
    decide(decisions, range(1, 9))
    config = replace(config, decisions=str(decisions))
    record = hand_from_picture.run(config)
    metrics, arrays = record["metrics"], results.read_arrays(hand_from_picture.arrays_path(config))
    parts = record["split"]
    assert sum(part["hands"] for part in parts.values()) == 8  # one was rejected
    people = [set(part["subjects"]) for part in parts.values()]
    assert people[0] | people[1] == {0, 1, 2} and not people[0] & people[1]
    assert set(metrics["errors"]) == set(UNTOLD) and "trivial" not in metrics
    assert set(arrays) == {"image", "keypoints", "certainty", "thetas"}
    hands = hand_from_picture.sets(config)[1]
    rows = [
        int(np.flatnonzero((hands.image == image).all(axis=(1, 2, 3))).item()) for image in arrays["image"]
    ]
    loss = equation_6_1(model, arrays["thetas"][1:], hands.of(np.array(rows)))
    assert metrics["validation_loss"] == pytest.approx(loss, rel=1e-4)
    assert len(metrics["detected_2d_px_at_224_by_iteration"]) == 4
    assert record["data"]["name"] == "11k_hands" and record["data"]["licence"] == "the owner's"
    assert str(tmp_path) not in json.dumps(record["data"])
    decide(decisions, range(9))
    with pytest.raises(RecordError, match="measured on other data"):
        hand_from_picture.run(config)


def made_up_mano(path: Path, seed: int = 0) -> Path:
    """A file in MANO's format: joints of this project's hand, the rest drawn by lot."""
    random, places = np.random.default_rng(seed), hand_mesh.load_model()
    joints = (places.joint_regressor @ places.template).numpy() * 0.09  # wrist, then thumb to little finger
    order = [0, *range(4, 10), *range(13, 16), *range(10, 13), *range(1, 4)]
    template = random.normal(0, 0.03, (778, 3))
    template[:16], regressor = joints[order], np.eye(16, 778)
    skinning = random.random((778, 16)) ** 6
    content = {
        "v_template": template,
        "f": random.integers(0, 778, (1538, 3)),
        "J_regressor": regressor,
        "weights": skinning / skinning.sum(axis=1, keepdims=True),
        "shapedirs": random.normal(0, 0.003, (778, 3, 10)),
        "posedirs": random.normal(0, 0.001, (778, 3, 135)),
        "kintree_table": np.array([(4294967295, *PARENTS[1:]), range(16)]),
    }
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def test_mano_takes_the_models_place_and_has_no_true_mesh(elsewhere, record, tmp_path):
    config = some(mano=str(made_up_mano(tmp_path / "MANO_RIGHT.pkl")))
    other = hand_from_picture.run(config)
    assert hand_from_picture.model_of(config).name == "MANO"
    errors = other["metrics"]["errors"]
    assert record["metrics"]["errors"].keys() - errors.keys() == {"mesh_mm", "mesh_mm_aligned"}
    arrays = results.read_arrays(hand_from_picture.arrays_path(config))
    assert "true_vertices" not in arrays
    derived = joints_of(hand_from_picture.model_of(config), arrays["thetas"][-1]) - arrays["true_joints"]
    far = 90 * np.linalg.norm(derived - derived[:, :1], axis=-1).mean(axis=1)
    asked = hand_from_picture.sets(config)[1]
    rows = [
        int(np.flatnonzero((asked.image == image).all(axis=(1, 2, 3))).item()) for image in arrays["image"]
    ]
    assert errors["joints_mm"]["mean"] == pytest.approx(over_people(far, asked.subject[rows])[1], rel=1e-3)
    assert other["data"]["sha256"] != record["data"]["sha256"]
    made_up_mano(tmp_path / "MANO_RIGHT.pkl", seed=1)
    with pytest.raises(RecordError, match="measured on other data"):
        hand_from_picture.run(config)


def test_the_errors_are_asked_of_the_last_estimate(record, arrays, asked, model):
    last, before = (hand_meshes.errors(model, torch.from_numpy(arrays["thetas"][k]), asked) for k in (-1, -2))
    by_subject = over_people(last["twist_deg"], asked.subject)[0]
    assert record["metrics"]["errors"]["twist_deg"]["by_subject"] == pytest.approx(by_subject, rel=1e-4)
    assert by_subject != pytest.approx(over_people(before["twist_deg"], asked.subject)[0], rel=1e-5)
