import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from thesislib.evaluation import speed
from thesislib.networks.pose import PoseNetwork


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = PoseNetwork(width=0.25, depth=1).eval()
    for module in network.modules():  # norms that say something
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
    return network


def test_onnx_runtime_gives_what_pytorch_gives(network, tmp_path):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "models" / "pose.onnx"
    network.train()
    speed.export_onnx(network, path, 64)
    assert network.training  # left as it was
    assert [p.name for p in path.parent.iterdir()] == ["pose.onnx"]
    session = speed.onnx_session(path)
    for batch in (1, 3):  # exported with one image, read with any number
        x = torch.rand(batch, 3, 64, 64)
        with torch.inference_mode():
            expected = network.eval()(x).numpy()
        np.testing.assert_allclose(session.run(None, {"image": x.numpy()})[0], expected, atol=1e-4)


def test_an_export_that_differs_is_refused(network, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    other = PoseNetwork(width=0.25, depth=1)
    export = speed.export_onnx
    monkeypatch.setattr(speed, "export_onnx", lambda _, path, size: export(other, path, size))
    with pytest.raises(RuntimeError, match="differs from PyTorch's"):
        speed.onnx_call(network, torch.rand(1, 3, 64, 64), tmp_path / "wrong.onnx")


def test_a_missing_onnx_runtime_is_named(network, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeError, match="pip install onnxruntime"):
        speed.onnx_call(network, torch.rand(1, 3, 64, 64), tmp_path / "none.onnx")
    assert not list(tmp_path.iterdir())


def test_channels_last_does_not_change_the_answer(network):
    x = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        before = network(x)
    outputs = []
    hook = network.register_forward_hook(lambda _, inputs, output: outputs.append((inputs[0], output)))
    speed.torch_call(network, x)()
    hook.remove()
    image, output = outputs[0]
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert output.is_inference()
    torch.testing.assert_close(output, before, atol=1e-4, rtol=1e-4)


def test_calls_take_turns():
    order = []
    calls = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    times = speed.in_turns(calls, rounds=4, warm_up=2)
    assert order == list("aabb") + list("ab") * 4
    assert all(len(values) == 4 and min(values) > 0 for values in times.values())


def test_in_its_turn_a_call_may_run_more_than_once_and_the_last_run_counts():
    order, ticks = [], iter(range(100))
    calls = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    times = speed.in_turns(calls, rounds=2, warm_up=0, repeats=3, clock=lambda: next(ticks) + len(order))
    assert order == list("aaabbb") * 2
    assert times == {"a": [2000.0] * 2, "b": [2000.0] * 2}  # one tick and one run each


def test_the_processors_time_leaves_waiting_out():
    times = speed.in_turns({"idle": lambda: time.sleep(0.03)}, rounds=3, warm_up=0, clock=time.process_time)
    assert max(times["idle"]) < 15


def test_a_call_twice_as_long_has_the_ratio_2():
    calls = {"short": lambda: time.sleep(0.002), "long": lambda: time.sleep(0.004)}
    table = speed.latency_table(speed.in_turns(calls, rounds=9), "short")
    assert table.loc["short", "ratio_to_short"] == 1
    assert 1.3 < table.loc["long", "ratio_to_short"] < 2.5
    assert table.loc["long", "median_ms"] >= 4


def test_the_latency_table_by_hand():
    table = speed.latency_table(
        {"ours": [1.0, 2.0, 3.0, 2.0, 9.0], "peer": [4.0, 4.0, 4.0, 4.0, 8.0]}, "peer"
    )
    ours, peer = table.loc["ours"], table.loc["peer"]
    assert ours["median_ms"] == 2 and ours["ratio_to_peer"] == 0.5 and ours["rounds"] == 5
    assert ours["low_ms"] == 2 and ours["high_ms"] == 3
    assert ours["ratio_low"] <= 0.5 <= ours["ratio_high"]
    assert peer["ratio_to_peer"] == peer["ratio_low"] == peer["ratio_high"] == 1
    with pytest.raises(ValueError, match="'mediapipe' was not measured; there are ours, peer"):
        speed.latency_table({"ours": [1.0], "peer": [1.0]}, "mediapipe")


def test_throughput_counts_images():
    class Slow(nn.Module):
        def forward(self, x):
            time.sleep(0.01)
            return x

    rate = speed.throughput(Slow(), torch.zeros(5, 3, 8, 8), seconds=0.1)
    assert 100 < rate <= 500


def test_sizes_are_those_of_the_thesis():
    assert speed.size_of(PoseNetwork(), 64) == {"parameters": 1_026_485, "multiply_adds": 126_099_456}
    assert speed.size_of(PoseNetwork(), 128)["multiply_adds"] == 4 * 126_099_456


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), speed.threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before
