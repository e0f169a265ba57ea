"""The race of the networks: who runs, what the ratios are, and one small run."""

import numpy as np
import pytest
import torch

from thesislib import paths, peers
from thesislib.chapters import pose_speed
from thesislib.chapters.pose_speed import PEER, Config, latencies, systems
from thesislib.config import ConfigError
from thesislib.datasets.sources import DataError
from thesislib.networks.heatmap_rivals import ResNetHeatmaps
from thesislib.networks.joint_regression import RIVALS
from thesislib.networks.pose import PoseNetwork


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "committed")
    monkeypatch.setenv("THESIS_DATA", str(tmp_path / "raw"))


def test_every_rival_runs_at_64_and_at_its_own_size():
    sizes: dict[str, set[int]] = {}
    for name, size, _ in systems(Config.profile("full")):
        network, _, told = name.rpartition("_")
        assert int(told) == size
        sizes.setdefault(network, set()).add(size)
    assert {name: sizes[name] for name in ("simcc", "cpm", "vgg", "resnet34")} == {
        "simcc": {64},
        "cpm": {64, 128},
        "vgg": {64, 256},
        "resnet34": {64, 128},
    }
    assert set(RIVALS) < set(sizes) and all(64 in found for found in sizes.values())
    assert PEER in [name for name, *_ in systems(Config.profile("quick"))]


def test_ours_are_the_networks_their_names_say():
    built = {name: build() for name, _, build in systems(Config.profile("quick")) if name in pose_speed.OURS}
    count = {name: sum(p.numel() for p in network.parameters()) for name, network in built.items()}
    assert count["thesis_64"] == 1_026_485
    assert count["thesis_half_64"] == count["thesis_half_stem4_64"] < count["thesis_64"] / 2
    assert built["thesis_half_stem4_64"](torch.zeros(1, 3, 64, 64)).shape == (1, 21, 32, 32)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rivals": ("resnet50_heatmaps", "resnet35")}, "Did you mean 'resnet34'"),
        ({"rivals": ("cpm",)}, "must hold 'resnet50_heatmaps'"),
        ({"ours": ("thesis",)}, "unknown network of ours"),
        ({"rounds": 0}, "must be positive"),
    ],
)
def test_a_race_that_cannot_be_run_is_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Config.profile("quick", **wrong)


def test_ratios_are_to_the_peer_under_the_same_runtime_and_mediapipes_to_onnx():
    times = {
        (PEER, "onnx"): [100.0, 100.0, 140.0],
        (PEER, "pytorch"): [200.0, 200.0, 200.0],
        ("thesis_64", "onnx"): [4.0, 5.0, 6.0],
        ("thesis_64", "pytorch"): [10.0, 8.0, 60.0],
        ("mediapipe_full", "litert"): [20.0, 25.0, 21.0],
    }
    found = latencies(times, ("mediapipe_full",))
    assert set(found) == set(times)
    ours = found["thesis_64", "onnx"]
    assert ours["latency_ms"] == 5
    assert ours[f"latency_ratio_to_{PEER}"] == pytest.approx(5 / 100)
    assert ours["latency_ratio_to_mediapipe_full"] == pytest.approx(5 / 21)
    assert ours[f"latency_ratio_to_{PEER}_low"] <= 5 / 100 <= ours[f"latency_ratio_to_{PEER}_high"]
    assert found["thesis_64", "pytorch"][f"latency_ratio_to_{PEER}"] == pytest.approx(10 / 200)
    assert found["mediapipe_full", "litert"][f"latency_ratio_to_{PEER}"] == pytest.approx(21 / 100)
    assert found[PEER, "onnx"][f"latency_ratio_to_{PEER}"] == 1


def test_without_its_wheel_mediapipe_says_how_to_get_it(folders):
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(DataError, match="pip download"):
        pose_speed.run(Config.profile("smoke", mediapipe=True))


def test_gpu_columns_count_pictures_of_the_same_area():
    network = PoseNetwork(width=0.25, depth=1, stem_stride=4)
    found = pose_speed.gpu_columns(network, 128, torch.device("cpu"), rounds=1, batch=8, seconds=0.01)
    assert found.pop("gpu_batch") == 2  # four times the area, a quarter of the pictures
    assert set(found) == {
        f"{quantity}_gpu_{precision}"
        for quantity in ("latency_ms", "images_per_second")
        for precision in ("fp32", "bf16")
    }
    assert all(value > 0 for value in found.values())


def test_latency_on_a_gpu_is_the_median_also_of_an_even_number_of_rounds(monkeypatch):
    monkeypatch.setattr(pose_speed, "in_turns", lambda calls, rounds: {"it": [9.0, 1.0, 2.0, 4.0][:rounds]})
    network = PoseNetwork(width=0.25, depth=1, stem_stride=4)
    found = pose_speed.gpu_columns(network, 64, torch.device("cpu"), rounds=4, batch=1, seconds=0.01)
    assert found["latency_ms_gpu_fp32"] == found["latency_ms_gpu_bf16"] == 3


def test_a_small_race_with_a_stand_in_for_mediapipe(folders, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("ai_edge_litert")
    monkeypatch.setattr(pose_speed.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(peers, "mediapipe_landmark_models", lambda folder: {"mediapipe_full": folder})
    small = ResNetHeatmaps(layers=(1, 1, 1, 1))  # enough to be slower than ours
    monkeypatch.setitem(pose_speed.RIVALS, "resnet50_heatmaps", lambda size: small)
    picture = np.random.default_rng(0).random((300, 300))
    monkeypatch.setattr(peers, "tflite_call", lambda path: lambda: picture @ picture)
    config = Config.profile("smoke", mediapipe=True, rounds=2)
    before = torch.get_num_threads()
    record = pose_speed.run(config)
    assert torch.get_num_threads() == before
    rows = record["metrics"]["systems"]
    assert set(rows) == {
        "thesis_half_stem4_64",
        "resnet50_heatmaps_64",
        "resnet50_heatmaps_256",
        "mediapipe_full",
    }
    ours, large = rows["thesis_half_stem4_64"], rows[PEER]
    assert (
        ours["multiply_adds"] < 1e7
        and large["multiply_adds"] == 16 * rows["resnet50_heatmaps_64"]["multiply_adds"]
    )
    assert ours[f"latency_ratio_to_{PEER}_onnx"] < 0.5  # hundreds of times fewer multiply-adds
    assert ours["images_per_second_b2_pytorch"] > large["images_per_second_b2_pytorch"]
    assert rows["mediapipe_full"]["latency_ratio_to_mediapipe_full_litert"] == 1
    headline = record["metrics"]["thesis_half_stem4_64_latency_ratio_to_mediapipe_full"]
    assert headline == ours["latency_ratio_to_mediapipe_full_onnx"]
    assert not [name for name in ours if "gpu" in name]  # there is none here
    assert {"onnxruntime", "ai-edge-litert"} <= set(record["environment"])
    path = pose_speed.record_path(config)
    assert path.exists() and paths.QUICK_RESULTS in path.parents
    assert pose_speed.run(config)["wall_seconds"] == record["wall_seconds"]  # stored, not measured again
