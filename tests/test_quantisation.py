"""A network in eight bits: nearly the same answers from a smaller file, and no half of one."""

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest

from thesislib import pose_model
from thesislib.evaluation.speed import export_onnx, onnx_session
from thesislib.quantisation import quantise

INPUTS = np.random.default_rng(0).normal(size=(12, 3, 64, 64)).astype(np.float32)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "whole.onnx"
    export_onnx(pose_model.load(pose_model.default_model()).network, path, 64)
    return path


def test_eight_bits_answer_nearly_as_thirty_two_do_from_a_smaller_file(whole, tmp_path):
    path, level = tmp_path / "eight.onnx", logging.getLogger().level
    quantise(whole, INPUTS, path)
    nodes = [node.op_type for node in onnx.load(path).graph.node]
    assert nodes.count("QuantizeLinear") > nodes.count("Conv") > 10
    graph = onnx.load(path).graph
    made_by = {output: node for node in graph.node for output in node.output}
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for node in graph.node:  # of the transposed ones, too
        if node.op_type in ("Conv", "ConvTranspose"):
            assert kinds[made_by[node.input[1]].input[0]] == onnx.TensorProto.INT8, node.name
    assert path.stat().st_size < 0.5 * whole.stat().st_size
    assert logging.getLogger().level == level

    expected, found = (onnx_session(file).run(None, {"image": INPUTS})[0] for file in (whole, path))
    assert found.shape == expected.shape == (12, 21, 64, 64)  # any number of pictures at a time
    error = found - expected
    assert 0 < np.abs(error).mean() < 0.1 * expected.std()
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


def test_ranges_come_from_the_inputs(whole, tmp_path):
    """Ranges of tiny inputs cut large ones off."""
    quantise(whole, 1e-3 * INPUTS, tmp_path / "tiny.onnx")
    quantise(whole, INPUTS, tmp_path / "right.onnx")
    expected = onnx_session(whole).run(None, {"image": INPUTS})[0]
    tiny, right = (
        np.abs(onnx_session(tmp_path / name).run(None, {"image": INPUTS})[0] - expected).mean()
        for name in ("tiny.onnx", "right.onnx")
    )
    assert tiny > 3 * right


def test_without_inputs_or_room_nothing_is_written(whole, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="there is none"):
        quantise(whole, INPUTS[:0], tmp_path / "eight.onnx")

    def full(source, target, *args, **options):
        Path(target).write_bytes(b"half of a")
        raise OSError("No space left on device")

    monkeypatch.setattr("onnxruntime.quantization.quantize_static", full)
    with pytest.raises(OSError, match="No space left"):
        quantise(whole, INPUTS, tmp_path / "eight.onnx")
    assert not list(tmp_path.iterdir())
