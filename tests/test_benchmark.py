"""The table and the rate that `thesis benchmark` prints."""

import time

from thesislib import benchmark

RECORD = {
    "metrics": {
        "peer": "peer_256",
        "systems": {
            "peer_256": {
                "parameters": 34_000_725,
                "multiply_adds": 7_239_368_704,
                "latency_ms_onnx": 143.2,
                "latency_ratio_to_peer_256_onnx": 1.0,
                "latency_ratio_to_mediapipe_full_onnx": 20.5,
            },
            "mediapipe_full": {
                "latency_ms_litert": 6.96,
                "latency_ratio_to_peer_256_litert": 0.0488,
                "latency_ratio_to_mediapipe_full_litert": 1.0,
            },
        },
    }
}


def test_the_fastest_comes_first_and_what_was_not_measured_is_no_number():
    lines = benchmark.network_table(RECORD).splitlines()
    assert lines[2].split() == ["mediapipe_full", "-", "-", "-", "6.96", "0.0488", "1"]
    assert lines[3].split() == ["peer_256", "34,000,725", "7,239,368,704", "143", "-", "1", "20.5"]
    assert "PyTorch" not in lines[1]  # a column without a number is not shown


def test_the_rate_is_images_over_seconds(monkeypatch):
    asked = []

    def generate(kind, seed, index, *, size):
        time.sleep(0.01)
        asked.append((len(index), size))

    monkeypatch.setattr(benchmark.scene, "generate", generate)
    rate = benchmark.generated_per_second(96, seconds=0.05)
    assert set(asked) == {(64, 96)}
    assert 64 / 1 < rate <= 64 / 0.01  # sleeps are longer than asked for on a busy machine


def test_the_generator_draws_at_every_size_shown():
    assert 1 < benchmark.generated_per_second(64, seconds=0) < 1e6
