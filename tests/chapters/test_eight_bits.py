"""The committed pose network in eight bits: one small run, who is asked, and what is refused."""

import dataclasses
import shutil

import pytest

from thesislib import paths, pose_model, results
from thesislib.chapters import eight_bits, hand_sets, stored_pose
from thesislib.chapters.eight_bits import PRECISIONS, Config
from thesislib.chapters.stored_pose import HALF, WHOLE
from thesislib.config import ConfigError
from thesislib.datasets.sources import DataError
from thesislib.pose_model import ModelError


@pytest.fixture
def folders(tmp_path, monkeypatch):
    for name in ("QUICK_RESULTS", "RESULTS", "CACHE"):
        monkeypatch.setattr(paths, name, tmp_path / name)
    monkeypatch.setenv("THESIS_DATA", str(tmp_path / "raw"))


@pytest.fixture(scope="module")
def record(build_folder, draw_bars):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hand_sets, "rendered", draw_bars)
        yield eight_bits.run(Config.profile("smoke"))


def test_a_run_tells_size_speed_and_error_before_and_after(record):
    networks, latency = record["metrics"]["networks"], record["metrics"]["latency"]
    assert [found["width"] for found in networks.values()] == [0.5, 1.0] and list(networks) == [HALF, WHOLE]
    for name, found in networks.items():
        assert found["bytes"]["int8"] < 0.5 * found["bytes"]["fp32"]
        row = latency[f"{name}_fp32"][f"{name}_int8"]
        assert row["ratio_low"] <= row[f"ratio_to_{name}_fp32"] <= row["ratio_high"] and row["rounds"] == 3
        scores = {precision: found[f"unseen_signers_{precision}"] for precision in PRECISIONS}
        assert all(of["n_images"] == 16 for of in scores.values())
        assert scores["int8"] != scores["fp32"]
        assert found["unseen_signers_int8_from_fp32_median_px_at_256"] < 4  # a pixel of the input
    assert results.state(record) == "fresh"


def test_who_gives_the_ranges_is_never_asked(record):
    calibration, test = (range(*record["split"][part]["signers"]) for part in ("calibration", "test"))
    assert not set(calibration) & set(test)
    assert record["split"]["calibration"]["hands"] == 8 and record["split"]["test"]["hands"] == 16


def test_at_full_size_the_network_meets_the_test_hands_of_its_own_record():
    stored = results.read_record(paths.RESULTS / "finding_joints" / "thesis-30000-hands-seed0-d5ce0c3d.json")
    trained = stored_pose.trained()
    assert eight_bits._sets(Config.profile("full"), trained)["test"].hands == stored["split"]["test"]["hands"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"real_sets": ("asl8",)}, "Did you mean 'asl7'"),
        ({"rounds": 0}, "must be positive"),
        ({"test_hands": 0}, "must be positive"),
    ],
)
def test_what_cannot_be_run_is_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Config.profile("quick", **wrong)


def test_missing_models_stop_the_run_before_anything_is_rendered(folders):
    with pytest.raises(DataError, match="put its wheel there"):
        eight_bits.run(Config.profile("smoke", mediapipe=True))
    assert not list(paths.CACHE.rglob("*")) and not list(paths.QUICK_RESULTS.rglob("*"))


def test_without_one_file_of_the_whole_width_and_that_width_nothing_is_asked(tmp_path, monkeypatch):
    half = stored_pose.weights_path(HALF)
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path)
    shutil.copy(half, tmp_path)
    with pytest.raises(
        ModelError, match=r"holds 0 files whole-width-pose-\*\.safetensors and should hold one"
    ):
        stored_pose.stored()
    shutil.copy(half, tmp_path / "whole-width-pose-a.safetensors")
    with pytest.raises(ModelError, match="holds 50% of the network's width and should hold 100%"):
        stored_pose.stored()
    shutil.copy(half, tmp_path / "whole-width-pose-b.safetensors")
    with pytest.raises(ModelError, match="holds 2 files"):
        stored_pose.weights_path(WHOLE)


def test_networks_of_different_hands_are_not_asked_about_the_same(monkeypatch):
    models = {width: pose_model.load(stored_pose.weights_path(width)) for width in (HALF, WHOLE)}
    other = dataclasses.replace(
        models[WHOLE], config=dataclasses.replace(models[WHOLE].config, test_signers=3)
    )
    found = iter([models[HALF], other])
    monkeypatch.setattr(pose_model, "load", lambda path: next(found))
    with pytest.raises(ModelError, match="have learned from different hands"):
        stored_pose.stored()
