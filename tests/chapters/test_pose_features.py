"""Pose networks with more or fewer features: what differs between them, what reads them, and one small run."""

import numpy as np
import pytest

from thesislib import hand_features, paths, results
from thesislib.chapters import pose_features
from thesislib.chapters.pose_features import READ_BY, Config
from thesislib.config import ConfigError
from thesislib.networks.blocks import count_parameters
from thesislib.networks.pose import PoseNetwork


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"features": ()}, "features must be one or more numbers"),
        ({"features": (64, 64)}, "each once"),
        ({"head_seeds": (1, 1)}, "head_seeds must be"),
        ({"dataset": "asl8"}, "Did you mean 'asl7'"),
    ],
)
def test_what_cannot_be_compared_is_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Config.profile("full", **wrong)


def test_networks_differ_in_the_layers_that_make_and_read_the_features():
    few, many = (count_parameters(PoseNetwork(width=0.5, features=features)) for features in (128, 256))
    last_convolution, its_norm, first_transposed = 64 * 9 * 128, 2 * 128, 128 * 32 * 16
    assert many - few == last_convolution + its_norm + first_transposed


def test_a_small_run_reads_letters_from_each_network(build_folder, monkeypatch):
    monkeypatch.setattr(paths, "CACHE", build_folder / "cache")
    config = Config.profile("smoke", head_seeds=(0, 1))
    record = pose_features.run(config)
    metrics = record["metrics"]
    assert set(metrics["features"]) == {"8", "16"}
    train, test = (range(*record["split"]["hands"][part]) for part in ("train", "test"))
    assert len(train) == len(test) == 16 and not set(train) & set(test)
    for features, found in metrics["features"].items():
        network = PoseNetwork(width=config.width, features=int(features))
        assert found["parameters"] == count_parameters(network)
        assert 0 < found["unseen_signers_epe_px_at_256"] < 256
        assert set(found["systems"]) == set(READ_BY)
        for name, of_system in found["systems"].items():
            assert set(of_system) == {"zero_shot", "same_signer"} == set(metrics["protocols"])
            for of_seeds in of_system.values():
                assert len(of_seeds) == (1 if name == "pooled" else 2)  # what learns nothing has no seed
                assert all(0 <= of["top1_macro"]["mean"] <= 1 for of in of_seeds)
    assert metrics["chance"] == pytest.approx(1 / 24)
    assert pose_features.run(config) == record  # stored, not measured again


def test_features_come_from_the_network_that_is_asked(build_folder, monkeypatch):
    monkeypatch.setattr(paths, "CACHE", build_folder / "cache")
    config = Config.profile("smoke")
    data = pose_features.letter_set(config).load()
    folder = results.record_path("pose_features", "reader", committed=False).parent
    networks = [PoseNetwork(width=0.25, features=8).eval() for _ in "ab"]  # with weights of their own
    readers = [pose_features.reader_of("thesis", network, data, config, folder, 0) for network in networks]
    for network, reader in zip(networks, readers, strict=True):
        expected = hand_features.pooled(network, hand_features.as_right_hands(data.image, data.left))
        assert np.array_equal(reader.x, expected) and np.array_equal(reader.views[0], expected)
        assert reader.views.shape == (config.head_views, len(data), 8)
    assert not np.array_equal(readers[0].x, readers[1].x)
