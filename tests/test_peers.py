"""MediaPipe's models out of a wheel: the right ones, only those, and clear words for anything else."""

import hashlib
import sys
import zipfile

import pytest

from thesislib import peers
from thesislib.datasets.sources import DataError

CONTENT = {"mediapipe_full": b"the full model", "mediapipe_lite": b"the lite model"}


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel as MediaPipe's is laid out, its two models a few bytes each, beside a member that wants to escape."""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    monkeypatch.setattr(peers, "SHA256", sums)
    path = tmp_path / "raw" / "mediapipe-0.10.14-cp311-cp311-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in CONTENT.items():
            archive.writestr(peers.INSIDE.format(name.split("_")[1]), content)
        archive.writestr("../escaped.tflite", b"outside")
        archive.writestr("mediapipe/__init__.py", "raise SystemExit('imported')")
    return path


def test_the_models_are_taken_out_once_and_nothing_else(wheel, tmp_path):
    found = peers.mediapipe_landmark_models(wheel.parent)
    assert {name: path.read_bytes() for name, path in found.items()} == CONTENT
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        wheel.name,
        "mediapipe_full.tflite",
        "mediapipe_lite.tflite",
        "raw",
    ]
    wheel.unlink()
    assert peers.mediapipe_landmark_models(wheel.parent) == found  # the wheel is needed once


def test_a_missing_wheel_says_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"pip download --no-deps --dest \S+ mediapipe==0\.10\.14"):
        peers.mediapipe_landmark_models(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_truncated_wheel_is_named(wheel):
    wheel.write_bytes(wheel.read_bytes()[:-40])
    with pytest.raises(DataError, match="not a whole wheel"):
        peers.mediapipe_landmark_models(wheel.parent)
    assert [path.name for path in wheel.parent.iterdir()] == [wheel.name]


def test_another_model_is_refused_wherever_it_lies(wheel, monkeypatch):
    monkeypatch.setitem(peers.SHA256, "mediapipe_lite", "0" * 64)
    with pytest.raises(DataError, match="holds another mediapipe_lite.tflite"):
        peers.mediapipe_landmark_models(wheel.parent)
    assert not (wheel.parent / "mediapipe_lite.tflite").exists()
    (wheel.parent / "mediapipe_full.tflite").write_bytes(b"something else")
    with pytest.raises(DataError, match="mediapipe_full.tflite is not the model.*delete it"):
        peers.mediapipe_landmark_models(wheel.parent)


def test_the_checksums_on_record_are_two_sha256_sums():
    assert set(peers.SHA256) == {"mediapipe_full", "mediapipe_lite"}
    assert all(len(bytes.fromhex(checksum)) == 32 for checksum in peers.SHA256.values())


def test_a_missing_runtime_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(RuntimeError, match=r"LiteRT is not installed.*\[peers\]"):
        peers.tflite_call(tmp_path / "model.tflite")


def test_a_file_that_is_no_model_is_refused(tmp_path):
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "model.tflite"
    path.write_bytes(b"no flatbuffer at all")
    with pytest.raises(DataError, match="no TFLite model"):
        peers.tflite_call(path)
    with pytest.raises(DataError, match="no TFLite model"):
        peers.tflite_call(tmp_path / "missing.tflite")
