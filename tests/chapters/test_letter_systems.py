"""What chapter 4 reads letters with: each feature of the right hand's picture, and heads that see what they may."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from thesislib import hand_features
from thesislib.chapters import letter_network
from thesislib.chapters.letter_systems import (
    NEEDS_KEYPOINTS,
    SYSTEMS,
    System,
    can_read,
    feature_of_pictures,
    features,
    learn,
    networks,
    require_known,
    same_weights,
    weights,
)
from thesislib.config import ConfigError
from thesislib.evaluation.readers import READERS
from thesislib.figures import signer_scores
from thesislib.results import RecordError

FEATURES = sorted({system.feature for system in SYSTEMS.values()})
HEADS = sorted({system.head for system in SYSTEMS.values() if system.head})


@pytest.fixture(scope="module")
def found(letters_taught):
    return networks(0)


@pytest.fixture(scope="module")
def bars(drawn_letters):
    return drawn_letters([(1, 2), (1, 2)])


@pytest.fixture(scope="module")
def by_name(found, bars):
    """Every feature of the bars."""
    return {name: features(name, bars, found) for name in FEATURES}


# The table ------------------------------------------------------------------------------------------


def test_every_system_has_a_reader_and_a_name_on_the_page():
    assert {system.reader for system in SYSTEMS.values()} <= set(READERS)
    assert set(SYSTEMS) <= set(signer_scores.SYSTEMS)
    assert len(set(SYSTEMS.values())) == len(SYSTEMS)  # no two rows are the same system


def test_the_thesis_s_system_is_that_of_figures_3_19_and_3_24():
    thesis = SYSTEMS["thesis"]
    assert (thesis.feature, thesis.head, thesis.f, thesis.depth) == ("pooled", "pairwise", 10, 8)
    assert thesis.reader == "max" and not thesis.centred


def test_nothing_is_learned_of_pictures_whose_signer_s_mean_is_taken_off():
    """A head learns from augmented copies, which are not centred: it would meet other features than it knows."""
    assert not [name for name, system in SYSTEMS.items() if system.head and system.centred]


# Features -------------------------------------------------------------------------------------------


def test_every_feature_is_finite_vectors_that_tell_pictures_apart(by_name, bars):
    for name, x in by_name.items():
        assert x.dtype == np.float32 and x.ndim == 2 and len(x) == len(bars), name
        assert np.isfinite(x).all() and len(np.unique(x, axis=0)) == len(bars), name
    dimensions = {name: x.shape[1] for name, x in by_name.items()}
    assert (dimensions["pooled"], dimensions["letters_pooled"]) == (128, 128)
    assert dimensions["mediapipe"] == dimensions["keypoints"] == 42
    assert dimensions["spatial"] == dimensions["spatial_adapted"] == dimensions["spatial_views"]


def test_a_left_hand_is_seen_as_the_right_hand_that_it_mirrors(by_name, bars, found):
    """Every other picture mirrored, with its keypoints, and said to be of a left hand: the same features."""
    left = np.arange(len(bars)) % 2 == 1
    image, points = bars.image.copy(), bars.keypoints.copy()
    image[left] = bars.image[left][..., ::-1]
    points[left, :, 0] = 64 - points[left, :, 0]
    mirrored, points_before = replace(bars, image=image, keypoints=points, left=left), points.copy()
    for name in ("pixels", "letters_spatial", "spatial_adapted", "mediapipe", "mediapipe_angles"):
        np.testing.assert_allclose(features(name, mirrored, found), by_name[name], atol=1e-5, err_msg=name)
        unsaid = features(name, replace(mirrored, left=np.zeros(len(bars), bool)), found)
        assert not np.allclose(unsaid[left], by_name[name][left], atol=1e-3), name
    np.testing.assert_array_equal(
        mirrored.keypoints, points_before
    )  # they are a set's own: mirrored in a copy


def test_a_feature_is_of_its_picture_alone_but_where_it_adapts_to_a_signer(by_name, bars, found):
    theirs = bars.of(bars.signer == 1)
    for name in ("heatmaps", "angles", "letters_views", "spatial_adapted"):
        x = by_name[name][bars.signer == 1]
        np.testing.assert_allclose(features(name, theirs, found), x, atol=2e-4, err_msg=name)
    mixed = np.random.default_rng(0).permutation(len(bars))
    found_mixed = features("spatial_adapted", bars.of(mixed), found)
    np.testing.assert_allclose(found_mixed, by_name["spatial_adapted"][mixed], atol=2e-4)
    one = features("spatial_adapted", theirs.of(slice(0, 4)), found)
    assert not np.allclose(one, by_name["spatial_adapted"][bars.signer == 1][:4], atol=1e-2)
    assert not np.allclose(by_name["spatial_adapted"], by_name["spatial"], atol=1e-2)


def test_the_letter_network_and_the_pose_network_see_other_things(by_name):
    for name in ("pooled", "spatial"):
        assert by_name[name].shape == by_name[f"letters_{name}"].shape
        assert not np.allclose(by_name[name], by_name[f"letters_{name}"], atol=1e-2)


def test_keypoints_are_where_the_pose_network_finds_them(found, bars):
    points = hand_features.predicted_keypoints(found.pose, bars.image, density=found.density)
    expected = hand_features.keypoint_vector(points)
    np.testing.assert_allclose(feature_of_pictures("keypoints", found)(bars.image), expected, atol=1e-6)


def test_systems_of_a_set_s_own_keypoints_need_some(bars):
    without = replace(bars, keypoints=np.full_like(bars.keypoints, np.nan))
    some = bars.keypoints.copy()
    some[0] = np.nan
    lacking = {name for name, system in SYSTEMS.items() if not can_read(system, without)}
    assert lacking == {name for name, system in SYSTEMS.items() if system.feature in NEEDS_KEYPOINTS} != set()
    assert all(can_read(system, replace(bars, keypoints=some)) for system in SYSTEMS.values())


def test_weights_are_named_with_their_checksums(letters_taught):
    before = weights(0)
    path = letter_network.weights_path(letters_taught)
    content = path.read_bytes()
    try:
        path.write_bytes(content + b" ")
        changed = weights(0)
    finally:
        path.write_bytes(content)
    assert weights(0) == before
    assert {name for name in before if before[name] != changed[name]} == {path.name}


def test_each_seed_has_a_letter_network_of_its_own(letters_taught, found):
    with pytest.raises(
        RecordError, match="no letter network of seed 5 .*letter_network --profile full -p seed 5"
    ):
        networks(5)
    with pytest.raises(RecordError, match="seed 5"):
        weights(5)
    letter_network.run(replace(letters_taught, seed=5))
    first, fifth = weights(0), weights(5)
    pose, letters = letter_network.pose_model.default_model().name, letter_network.weights_path
    assert set(first) == {pose, letters(letters_taught).name}
    assert set(fifth) == {pose, letters(replace(letters_taught, seed=5)).name} and first[pose] == fifth[pose]
    one, other = (n.letters.state_dict() for n in (found, networks(5)))
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("change", ["weights", "name"])
def test_a_record_of_other_networks_is_refused(letters_taught, change):
    measured = weights(0)
    record = {"config": {"seed": 0}, "data": {"name": "asl7", "weights": dict(measured)}}
    assert same_weights(record) is record
    (*_, last) = measured
    checksum = record["data"]["weights"].pop(last)
    record["data"]["weights"][last if change == "weights" else f"older-{last}"] = (
        "0" * 64 if change == "weights" else checksum
    )
    with pytest.raises(RecordError, match="record of asl7 was measured with other networks"):
        same_weights(record)


def test_an_unknown_system_is_refused_by_name():
    require_known(SYSTEMS)
    with pytest.raises(ConfigError, match="Did you mean 'spatial_lda'"):
        require_known(["pixels", "spatial_ldaa"])


# Heads ----------------------------------------------------------------------------------------------


def cloud(rows: int = 60, letters: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [N, 8] in a cloud a letter, and the letters [N]."""
    random = np.random.default_rng(0)
    letter = np.arange(rows) % letters
    x = 3 * random.normal(size=(letters, 8))[letter] + random.normal(size=(rows, 8))
    return x.astype(np.float32), letter


def test_without_a_head_features_stay_what_they_are(tmp_path):
    x, letter = cloud()
    learned = learn(
        System("pixels"), x, x[None], letter, np.arange(9), num_letters=3, epochs=1, folder=tmp_path, seed=0
    )
    assert learned.x is x and learned.history == [] and not list(tmp_path.iterdir())


@pytest.mark.parametrize("head", HEADS)
def test_a_head_learns_from_views_of_its_rows_and_embeds_all(head, tmp_path):
    x, letter = cloud()
    train = np.flatnonzero(np.arange(60) < 48)
    views = np.stack([x, x + 0.1])
    views[:, 48:] = np.nan  # a single one of these in a batch would make the loss NaN
    system = System("pixels", head=head, f=4, depth=1, dropout=False)
    asked = dict(num_letters=3, epochs=12, seed=0)
    learned = learn(system, x, views, letter, train, folder=tmp_path / "one", **asked)
    assert learned.x.shape == (60, 4) and len(learned.history) == 12
    np.testing.assert_allclose(np.linalg.norm(learned.x, axis=1), 1, rtol=1e-5)
    assert learned.history[-1]["loss"] < learned.history[0]["loss"]
    scores = READERS["prototype_mean"](learned.x[train], letter[train], learned.x[48:], 3)
    assert (scores.argmax(axis=1) == letter[48:]).mean() > 0.9
    torch.manual_seed(7)
    again = learn(system, x, views, letter, train, folder=tmp_path / "other", **asked)
    np.testing.assert_array_equal(again.x, learned.x)
    stored = learn(system, x, np.full_like(views, np.nan), letter, train, folder=tmp_path / "one", **asked)
    np.testing.assert_array_equal(stored.x, learned.x)  # trained once, then read


def test_an_unknown_head_is_refused(tmp_path):
    x, letter = cloud()
    with pytest.raises(ValueError, match="unknown metric loss 'triplets'"):
        learn(
            System("pixels", head="triplets"),
            x,
            x[None],
            letter,
            np.arange(60),
            num_letters=3,
            epochs=1,
            folder=tmp_path,
            seed=0,
        )
