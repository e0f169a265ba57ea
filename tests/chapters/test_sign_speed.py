"""The race of the networks for clips: who runs on what, what is counted, and one small race."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from thesislib import paths, published
from thesislib.chapters import sign_speed
from thesislib.chapters.sign_speed import PEER, Config, export_onnx, onnx_call, size_of, systems
from thesislib.chapters.sign_training import rows
from thesislib.config import ConfigError
from thesislib.networks.sign_video import S3DMobileNetV3

OURS = "s3d_mobilenet_v3"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "results")
    return tmp_path


class Mean(nn.Module):
    """A network for clips with 15 weights and 15 multiply-adds a place: a 1 x 1 x 1 convolution, then a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 5, 1, bias=False)

    def forward(self, x):
        return self.conv(x).mean((2, 3, 4))


def test_every_size_has_ours_and_every_rival():
    found = [(name, size) for name, size, _ in systems(Config.profile("full"))]
    assert len(found) == len(set(found)) == 3 * 5
    assert {name for name, size in found if size == 224} == {
        *sign_speed.OURS,
        "r3d_18",
        "r2plus1d_18",
        "mc3_18",
    }


def test_multiply_adds_and_parameters_are_those_of_one_clip():
    clips = torch.zeros(2, 3, 4, 6, 6)
    assert size_of(Mean(), clips) == {"parameters": 15, "multiply_adds": 15 * 4 * 6 * 6, "output_features": 5}


def test_torchvisions_3d_resnet_has_its_published_size_and_ours_is_a_fraction_of_it():
    """33.37 M parameters and 40.7 G multiply-adds at 16 x 112 x 112, as torchvision's page of weights says."""
    builds = {name: build for name, _, build in systems(Config.profile("smoke"))}
    with torch.device("meta"):
        published_size = size_of(builds[PEER]().eval(), torch.zeros(1, 3, 16, 112, 112))
        ours, peer = (
            size_of(builds[name]().eval(), torch.zeros(1, 3, 16, 128, 128)) for name in (OURS, PEER)
        )
    assert published_size["parameters"] == 33_371_472
    assert published_size["multiply_adds"] == pytest.approx(40.697e9, rel=1e-3)
    assert 4 * ours["parameters"] < peer["parameters"] and 20 * ours["multiply_adds"] < peer["multiply_adds"]
    assert ours["output_features"] == 256


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rivals": (PEER, "r3d_19")}, "Did you mean 'r3d_18'"),
        ({"rivals": ("mc3_18",)}, "must hold 'r3d_18'"),
        ({"sizes": (112,)}, "multiples of 32"),
        ({"sizes": ()}, "multiples of 32"),
        ({"frames": 6}, "multiple of 4"),
        ({"rounds": 0}, "must be positive"),
    ],
)
def test_a_race_that_cannot_be_run_is_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Config.profile("quick", **wrong)


def test_an_exported_network_gives_pytorchs_answer_for_any_number_of_clips(folder):
    network, path = Mean().eval(), folder / "mean.onnx"
    call, difference = onnx_call(network, torch.rand(1, 3, 4, 32, 32), path)
    assert difference < 1e-5
    np.testing.assert_allclose(call()[0].shape, (1, 5))
    session = sign_speed.onnx_session(path)
    clips = torch.rand(3, 3, 4, 32, 32)
    with torch.no_grad():
        np.testing.assert_allclose(session.run(None, {"clip": clips.numpy()})[0], network(clips), atol=1e-5)
    names = [value.name for value in onnx.load(path).graph.input]
    assert names == ["clip"]


def test_a_network_that_changes_on_the_way_is_refused(folder, monkeypatch):
    network = Mean()

    def another(network, path, *, frames, size):
        export_onnx(Mean(), path, frames=frames, size=size)

    monkeypatch.setattr(sign_speed, "export_onnx", another)
    with pytest.raises(RuntimeError, match="differs from PyTorch's"):
        onnx_call(network, torch.rand(1, 3, 4, 32, 32), folder / "other.onnx")


def test_export_leaves_training_mode_and_no_half_file(folder):
    network = Mean().train()
    export_onnx(network, folder / "mean.onnx", frames=4, size=32)
    assert network.training and [path.name for path in folder.iterdir()] == ["mean.onnx"]


def test_gpu_columns_are_positive_wherever_they_are_measured():
    found = sign_speed.gpu_columns(Mean(), torch.rand(1, 3, 4, 8, 8), batch=2, rounds=1, device="cpu")
    assert found.pop("gpu_batch") == 2
    assert set(found) == {
        f"{quantity}_gpu_{kind}"
        for quantity in ("latency_ms", "clips_per_second")
        for kind in ("fp32", "bf16")
    }
    assert all(value > 0 for value in found.values())


def test_a_small_race(monkeypatch):
    monkeypatch.setattr(sign_speed.torch.cuda, "is_available", lambda: False)
    small = [(OURS, 32, lambda: S3DMobileNetV3(rows=rows(0.125))), (PEER, 32, Mean)]
    monkeypatch.setattr(sign_speed, "systems", lambda config: small)
    config = Config.profile("smoke")
    before = torch.get_num_threads()
    record = sign_speed.run(config)
    assert torch.get_num_threads() == before
    told = record["metrics"]["systems"]
    assert set(told) == {f"{OURS}_32", f"{PEER}_32"}
    ours, peer = told[f"{OURS}_32"], told[f"{PEER}_32"]
    assert ours["output_features"] == 256 and peer["multiply_adds"] == 15 * 4 * 32 * 32
    assert ours["latency_ratio_to_r3d_18_pytorch"] > 1  # the stand-in for the peer is one convolution
    for row in (ours, peer):
        for kind in ("pytorch", "onnx"):
            assert row[f"clips_per_second_{kind}"] == pytest.approx(1000 / row[f"latency_ms_{kind}"])
            ratio = row[f"latency_ms_{kind}"] / peer[f"latency_ms_{kind}"]
            assert row[f"latency_ratio_to_{PEER}_{kind}"] == pytest.approx(ratio)
        assert 0 <= row["onnx_difference"] < 1e-3
    assert record["published"] == {}  # the document's clips are larger
    assert "1 thread" in record["environment"]["device"] and "onnxruntime" in record["environment"]
    assert sign_speed.run(config)["wall_seconds"] == record["wall_seconds"]  # stored, not measured again


def test_the_documents_numbers_are_answered_by_the_documents_input_alone():
    row = {"parameters": 4_000_000, "multiply_adds": 3 * 10**9, "output_features": 256, "frames": 16}
    told = {f"{OURS}_table_iv_224": row | {"input_px": 224}, f"{OURS}_224": {}}
    found = sign_speed._answers(told, Config.profile("full"))
    assert found["izutov2020_parameters"] == 4 and found["izutov2020_gflops"] == 6
    assert all(published.by_key(key) for key in found)
    assert sign_speed._answers(told, Config.profile("full", frames=8)) == {}
    assert sign_speed._answers({f"{OURS}_table_iv_64": row}, Config.profile("full")) == {}
