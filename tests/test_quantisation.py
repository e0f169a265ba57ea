"""A network in eight bits: nearly the same answers from a smaller file, and no half of one."""

import logging

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


def test_without_inputs_or_a_network_nothing_is_written(whole, tmp_path):
    (tmp_path / "foreign.onnx").write_bytes(b"no network")
    with pytest.raises(ValueError, match="there is none"):
        quantise(whole, INPUTS[:0], tmp_path / "eight.onnx")
    with pytest.raises(Exception, match="."):
        quantise(tmp_path / "foreign.onnx", INPUTS, tmp_path / "eight.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["foreign.onnx"]
