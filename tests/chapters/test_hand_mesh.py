"""The chapter's hand model: its record, its file, and the committed one that all others load."""

import hashlib

import pytest
import torch
from safetensors.torch import load_file, save_file

from thesislib import paths, results
from thesislib.chapters import hand_mesh
from thesislib.chapters.hand_mesh import Config
from thesislib.config import ConfigError
from thesislib.hand_model import UNIT_MM, posed
from thesislib.results import RecordError
from thesislib.synthetic import mesh_hand
from thesislib.synthetic.hand import draw_anatomy


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The smoke profile's configuration and record, in a folder of its own, and the model before it was stored."""
    place = tmp_path_factory.mktemp("hand_mesh")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "RUNS", place / "runs")
        patch.setattr(paths, "QUICK_RESULTS", place / "results")
        build, built = mesh_hand.build, []
        patch.setattr(
            mesh_hand, "build", lambda *sizes, seed: built.append(build(*sizes, seed=seed)) or built[0]
        )
        config = Config.profile("smoke")
        yield config, hand_mesh.run(config), built[0]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Committed folders that hold a copy of the stored model and its record."""
    config = hand_mesh.stored()
    record, weights = hand_mesh.record_path(config), hand_mesh.weights_path(config)
    for name in ("RESULTS", "WEIGHTS"):
        monkeypatch.setattr(paths, name, tmp_path / name)
    for old, new in ((record, hand_mesh.record_path(config)), (weights, hand_mesh.weights_path(config))):
        new.parent.mkdir(parents=True)
        new.write_bytes(old.read_bytes())
    return hand_mesh.record_path(config), hand_mesh.weights_path(config)


# The record --------------------------------------------------------------------------------------------


def test_the_record_says_what_shape_numbers_are_worth(measured):
    config, record, _ = measured
    assert results.read_record(hand_mesh.record_path(config)) == record
    assert results.state(record) == "fresh" and record["published"] == {}
    metrics = record["metrics"]
    assert metrics["vertices"] == config.vertices and metrics["faces"] == 2 * config.vertices - 4
    by_count = metrics["unseen_people_at_rest_by_shape_numbers"]
    errors = [by_count[str(count)]["vertices_mm"] for count in (0, 1, 2, 5, 10)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.5 * errors[0]
    known = metrics["variance_share"]["known_people"]
    assert known == sorted(known, reverse=True) and 0.7 < sum(known) < 1
    assert 0.5 < sum(metrics["variance_share"]["unseen_people"]) < sum(known)
    for poses in ("average_hand_in_random_poses", "unseen_people_in_random_poses"):
        alone, mended = metrics[poses]["skinning_alone"], metrics[poses]["with_pose_blend_shapes"]
        assert mended["vertices_mm"] < alone["vertices_mm"]
        assert mended["vertices_mm"] < mended["vertices_99th_percentile_mm"]
        assert mended["joints_mm"] == pytest.approx(alone["joints_mm"], rel=1e-3, abs=1e-3)


def test_errors_are_those_of_a_loop_over_people(measured):
    config, record, _ = measured
    model = hand_mesh.read_model(hand_mesh.weights_path(config))
    distance = []
    for person in range(2_000_000, 2_000_000 + config.test_people):
        anatomy = draw_anatomy(torch.tensor([person]))
        shape = mesh_hand.shape_of(model, anatomy)
        shape[:, 2:] = 0
        mesh = posed(model, torch.zeros(1, 45), shape, torch.zeros(1, 3)).vertices[0]
        skin = mesh_hand.resting_mesh(model.template, anatomy)[0]
        distance += [UNIT_MM * float(torch.linalg.norm(a - b)) for a, b in zip(mesh, skin, strict=True)]
    found = record["metrics"]["unseen_people_at_rest_by_shape_numbers"]["2"]["vertices_mm"]
    assert found == pytest.approx(sum(distance) / len(distance), rel=1e-4)


def test_nobody_is_learned_from_and_asked(measured):
    for profile in ("smoke", "quick", "full"):
        config = Config.profile(profile)
        known = set(mesh_hand.scanned(config.people, config.seed).tolist())
        assert not known & set(range(2_000_000, 2_000_000 + config.test_people))
    first, count = measured[1]["split"]["known_people"]
    assert list(range(first, first + count)) == mesh_hand.scanned(measured[0].people).tolist()


def test_numbers_that_can_build_no_hand_are_refused():
    for wrong in (dict(people=9), dict(vertices=100), dict(poses=0), dict(test_people=0)):
        with pytest.raises(ConfigError, match="10 people"):
            Config.profile("smoke", **wrong)


# The file ----------------------------------------------------------------------------------------------


def test_the_file_holds_what_was_built(measured):
    config, record, built = measured
    path = hand_mesh.weights_path(config)
    model = hand_mesh.read_model(path)
    assert record["metrics"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    for name, part in vars(built).items():
        if name == "pose_basis":  # half precision in the file
            torch.testing.assert_close(getattr(model, name), part, atol=2e-5, rtol=1e-3)
        elif torch.is_tensor(part):
            torch.testing.assert_close(getattr(model, name), part, atol=1e-6, rtol=1e-5)
            assert getattr(model, name).dtype == part.dtype
        else:
            assert getattr(model, name) == part
    pose = torch.randn(8, 45, generator=torch.Generator().manual_seed(0))
    rest = torch.zeros(8, 10), torch.zeros(8, 3)
    moved = (posed(model, pose, *rest).vertices - posed(built, pose, *rest).vertices).norm(dim=-1)
    assert UNIT_MM * moved.max() < 0.005


def test_the_committed_model_is_the_one_its_record_names(repository):
    record, weights = repository
    stored = results.read_record(record)
    assert stored["config"]["profile_name"] == "full"
    assert hand_mesh.model_sha256() == stored["metrics"]["sha256"]
    assert weights.stat().st_size <= 2.5e6
    model = hand_mesh.load_model()
    assert len(model.template) == stored["metrics"]["vertices"] == 900
    assert len(model.faces) == stored["metrics"]["faces"]
    torch.testing.assert_close(
        posed(model, torch.zeros(1, 45), torch.zeros(1, 10), torch.zeros(1, 3)).vertices[0],
        model.template,
        atol=1e-5,
        rtol=0,
    )


def test_a_run_that_is_stored_is_not_measured_again(repository, monkeypatch):
    monkeypatch.setattr(hand_mesh, "_measure", lambda config: pytest.fail("measured again"))
    assert hand_mesh.run(Config.profile("full")) == results.read_record(repository[0])


def broken(kind: str, weights) -> None:
    tensors = load_file(weights)
    if kind == "missing":
        weights.unlink()
    elif kind == "truncated":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif kind == "foreign":
        save_file({"weight": torch.zeros(3)}, weights)
    elif kind == "no hand":
        save_file(tensors | {"shape_basis": tensors["shape_basis"][:50].contiguous()}, weights)
    elif kind == "tips out of range":
        save_file(tensors | {"tips": tensors["tips"] + 5_000}, weights)


@pytest.mark.parametrize("kind", ["missing", "truncated", "foreign", "no hand", "tips out of range"])
def test_a_damaged_file_is_refused_with_what_to_do(repository, kind):
    broken(kind, repository[1])
    with pytest.raises(RecordError, match="holds no hand model.*thesis run hand_mesh --profile full"):
        hand_mesh.load_model()
    if kind == "missing":
        with pytest.raises(RecordError, match="cannot be read"):
            hand_mesh.model_sha256()


def test_without_a_record_there_is_no_model(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path)
    with pytest.raises(RecordError, match="no hand model is stored.*--profile full"):
        hand_mesh.load_model()
