"""The race of the normals: what is timed, and what a record of it says."""

import pytest
import torch

from thesislib import paths
from thesislib.chapters import mesh_rendering_speed
from thesislib.chapters.mesh_rendering_speed import WAYS, Config, picture, turns
from thesislib.config import ConfigError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "results")


def test_a_small_race():
    config = Config.profile("smoke")
    before = torch.get_num_threads()
    record = mesh_rendering_speed.run(config)
    assert torch.get_num_threads() == before
    metrics = record["metrics"]
    for name in ("seconds", "seconds_low", "seconds_high", "ratio_to_vectorized_normals"):
        assert set(metrics[name]) == set(WAYS)
    seconds, ratio = metrics["seconds"], metrics["ratio_to_vectorized_normals"]
    assert ratio["vectorized_normals"] == 1
    assert ratio["loop_normals"] == pytest.approx(seconds["loop_normals"] / seconds["vectorized_normals"])
    # a Python loop over hundreds of faces against a few operations on all of them
    alone = metrics["normals_seconds"]
    assert alone["loop_normals"] > 3 * alone["vectorized_normals"]
    assert alone["loop_normals"] < seconds["loop_normals"]
    assert "2 hands of" in metrics["protocol"] and "1 thread" in record["environment"]["device"]
    assert mesh_rendering_speed.record_path(config).exists()
    assert mesh_rendering_speed.run(config)["wall_seconds"] == record["wall_seconds"]  # stored


def test_every_way_draws_all_hands_in_every_round(monkeypatch):
    drawn = []
    whole = mesh_rendering_speed.render

    def counted(vertices, faces, **how):
        drawn.append((len(vertices), how["flat"], how["size"], how["supersample"]))
        return whole(vertices, faces, **how)

    monkeypatch.setattr(mesh_rendering_speed, "render", counted)
    config = Config.profile("smoke", meshes=3, rounds=2)
    model, vertices = mesh_rendering_speed.hands(config)
    times, alone = turns(vertices, model.faces, config)
    assert drawn[1:] == 2 * [(3, flat, 16, 2) for flat in (False, False, True, False)]
    assert all(len(rounds) == 2 for rounds in (*times.values(), *alone.values()))


def test_the_picture_holds_each_hand_on_a_tile():
    page = picture(Config.profile("smoke", meshes=5, tile=24))
    assert page.shape == (3, 48, 72)
    tiles = page.unflatten(1, (2, 24)).unflatten(3, (3, 24)).permute(1, 3, 0, 2, 4).flatten(0, 1)
    ink = (tiles < 255).flatten(1).float().mean(1)
    assert (ink[:5] > 0.05).all() and ink[5] == 0
    assert len(tiles.flatten(1).unique(dim=0)) == 6  # no hand twice


@pytest.mark.parametrize("wrong", [{"meshes": 0}, {"tile": 0}, {"supersample": -1}, {"rounds": 0}])
def test_a_race_that_cannot_be_run_is_refused(wrong):
    with pytest.raises(ConfigError, match="must be positive"):
        Config.profile("quick", **wrong)
