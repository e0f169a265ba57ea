"""What `thesis benchmark` shows: a table of networks, and how many hands a second the generator draws."""

import time
from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch

from thesislib.synthetic import scene


def network_table(record: Mapping[str, Any]) -> str:
    """Return the systems of a record of `chapters.pose_speed`, a row each, the fastest first."""
    metrics = record["metrics"]
    rows = {
        name: {
            "parameters": row.get("parameters"),
            "multiply-adds": row.get("multiply_adds"),
            "ms, PyTorch": row.get("latency_ms_pytorch"),
            "ms, ONNX": row.get("latency_ms_onnx"),
            "ms, LiteRT": row.get("latency_ms_litert"),
            f"of {metrics['peer']}": _ratio(row, metrics["peer"]),
            "of mediapipe_full": _ratio(row, "mediapipe_full"),
        }
        for name, row in metrics["systems"].items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index").astype(float).dropna(axis="columns", how="all")
    table = table.sort_values(f"of {metrics['peer']}")
    shown = {
        name: "{:,.0f}".format if name in ("parameters", "multiply-adds") else "{:.3g}".format
        for name in table
    }
    return "one picture on one CPU thread; ratios of times, smaller is faster\n" + table.to_string(
        formatters=shown, na_rep="-"
    )


def generated_per_second(size: int, *, seconds: float = 2.0) -> float:
    """Return how many hands in free poses of `size` pixels the generator draws a second, on this machine's CPU."""
    drawn, chunk = 0, 64
    scene.generate("random", 0, torch.arange(chunk), size=size)  # the first call builds what others reuse
    start = time.perf_counter()
    while drawn == 0 or time.perf_counter() - start < seconds:
        scene.generate("random", 0, torch.arange(drawn, drawn + chunk), size=size)
        drawn += chunk
    return drawn / (time.perf_counter() - start)


def _ratio(row: Mapping[str, Any], peer: str) -> float | None:
    return next(
        (
            row[f"latency_ratio_to_{peer}_{kind}"]
            for kind in ("onnx", "litert")
            if f"latency_ratio_to_{peer}_{kind}" in row
        ),
        None,
    )
