"""How fast the networks of chapter 2 are, side by side: all of them take turns in one run.

No hand is needed: a network's speed does not depend on what it has learned, so weights and pictures are random.
"""

import hashlib
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from thesislib import paths, peers, results, runtime
from thesislib.config import ConfigError, ExperimentConfig, unknown
from thesislib.evaluation.speed import (
    in_turns,
    latency_table,
    onnx_call,
    size_of,
    threads,
    throughput,
    torch_call,
)
from thesislib.networks.joint_regression import RIVALS
from thesislib.networks.pose import PoseNetwork

EXPERIMENT = "pose_speed"
PEER = "resnet50_heatmaps_256"
BASE_PX = 64  # the input of the thesis's network; every rival is measured at it too
NATIVE_PX = {"simcc": 64, "vgg": 256, "resnet50_heatmaps": 256}  # the others: the report's 128
REPORT_PX = 128
OURS: dict[
    str, tuple[int, dict[str, float]]
] = {  # input's size, and how the network departs from the thesis's
    "thesis_64": (64, {}),
    "thesis_half_64": (64, {"width": 0.5}),
    "thesis_half_stem4_64": (64, {"width": 0.5, "stem_stride": 4}),  # what the profile quick trains
    "thesis_128": (128, {}),
    "thesis_256": (256, {}),
}
GPU_BATCH = 1024  # pictures of 64 pixels; of larger ones as many as have the same number of pixels


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Which networks take turns, and how often.

    ``thesis run pose_speed --profile quick`` takes about 15 seconds on a laptop, the profile full ten minutes. The
    profile full wants MediaPipe's wheel in the folder mediapipe of the
    fetched data, and the packages of the extra ``peers``; ``-p mediapipe false`` does without.
    """

    rivals: tuple[str, ...] = tuple(RIVALS)
    ours: tuple[str, ...] = tuple(OURS)
    rounds: int = 30
    batch_size: int = 16  # for the throughput on the CPU
    throughput_seconds: float = 2.0  # at least this long, and at least one batch, for each network
    mediapipe: bool = False

    profiles: ClassVar = {
        "smoke": dict(rivals=("resnet50_heatmaps",), ours=("thesis_half_stem4_64",), rounds=3)
        | dict(batch_size=2, throughput_seconds=0.05),
        "quick": dict(rivals=("resnet50_heatmaps",), ours=tuple(OURS)[:3], rounds=8)
        | dict(batch_size=8, throughput_seconds=0.3),
        "full": dict(mediapipe=True),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for kind, names, known in (("rival", self.rivals, RIVALS), ("network of ours", self.ours, OURS)):
            for name in names:
                if name not in known:
                    raise ConfigError(unknown(kind, name, known))
        if "resnet50_heatmaps" not in self.rivals:
            raise ConfigError("rivals must hold 'resnet50_heatmaps': every time is told as a ratio to its")
        if self.rounds < 1 or self.batch_size < 1:
            raise ConfigError(
                f"rounds and batch_size must be positive, not {self.rounds} and {self.batch_size}"
            )


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: measure(config), lambda: NO_DATA["sha256"]
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{platform.machine()}-{len(config.rivals)}-rivals".lower())
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


NO_DATA = {
    "name": "none",
    "title": "no data: random weights and pictures",
    "sha256": hashlib.sha256(b"").hexdigest(),
    "licence": "CC BY 4.0",
    "credit": "this project",
}


def systems(config: Config) -> Iterator[tuple[str, int, Callable[[], nn.Module]]]:
    """Yield name, input pixels and constructor of each network: ours, then rivals at 64 and at their own size."""
    for name in config.ours:
        size, options = OURS[name]
        yield name, size, lambda options=options: PoseNetwork(**options)
    for rival in config.rivals:
        for size in dict.fromkeys((BASE_PX, NATIVE_PX.get(rival, REPORT_PX))):
            yield f"{rival}_{size}", size, lambda rival=rival, size=size: RIVALS[rival](size)


def measure(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now.

    Latencies are of one picture on one CPU thread, and the third of three runs in each turn, so as on a video. In a
    round every network has a turn with PyTorch and one with ONNX Runtime. The clock is the process's own time on
    the CPU: what the clock on the wall would show if nothing else ran. Ratios are medians over the peer's, the
    peer being run by the same runtime, or, for MediaPipe, whose runtime is LiteRT, by ONNX Runtime. Raises
    RuntimeError where ONNX Runtime's answer is not PyTorch's.
    """
    start, environment = time.perf_counter(), runtime.fingerprint() | _versions(config)
    models = peers.mediapipe_landmark_models(paths.raw_data() / "mediapipe") if config.mediapipe else {}
    runtime.seed_everything(config.seed)
    networks: dict[str, tuple[nn.Module, Tensor]] = {}
    rows: dict[str, dict[str, Any]] = {}
    calls: dict[tuple[str, str], Callable[[], None]] = {}
    with threads(1), TemporaryDirectory() as folder:
        for name, size, build in tqdm(list(systems(config)), "exporting", leave=False):
            network, image = build().eval(), torch.rand(1, 3, size, size)
            rows[name] = {"input_px": size, **size_of(network, size)}
            path = Path(folder, f"{name}.onnx")
            calls[name, "onnx"] = onnx_call(network, image, path)
            path.unlink()  # it lives on in the session, and all of them together would be gigabytes
            calls[name, "pytorch"] = torch_call(network, image)
            networks[name] = (network, image)
        for name, path in models.items():
            rows[name] = {"input_px": peers.INPUT_PX}
            calls[name, "litert"] = peers.tflite_call(path)
        times = in_turns(calls, rounds=config.rounds, warm_up=1, repeats=3, clock=time.process_time)
        for name, (network, image) in tqdm(networks.items(), "throughput", leave=False):
            batch = image.expand(config.batch_size, -1, -1, -1)
            rate = throughput(network, batch, seconds=config.throughput_seconds, clock=time.process_time)
            rows[name][f"images_per_second_b{config.batch_size}_pytorch"] = rate
    for (name, kind), latency in latencies(times, tuple(models)).items():
        rows[name] |= {f"{quantity}_{kind}": value for quantity, value in latency.items()}
    if torch.cuda.is_available():
        for name, (network, image) in tqdm(networks.items(), "GPU", leave=False):
            rows[name] |= gpu_columns(network, image.shape[-1], torch.device("cuda"), rounds=config.rounds)
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=NO_DATA,
        split={},
        metrics=headlines(rows, config) | {"peer": PEER, "clock": "process time", "systems": rows},
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )


def latencies(
    times: dict[tuple[str, str], list[float]], mediapipe: tuple[str, ...] = ()
) -> dict[tuple[str, str], dict[str, float]]:
    """Return median, quartiles and ratios for each (system, runtime), from its milliseconds round by round."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for system, kind in times:
        own = "onnx" if kind == "litert" else kind
        row: dict[str, float] = {}
        for peer in ((PEER, own), *((name, "litert") for name in mediapipe)):
            shown = {"this": times[system, kind], peer[0]: times[peer]}
            told = latency_table(shown, peer[0]).loc["this"]
            row |= {
                "latency_ms": float(told["median_ms"]),
                "latency_ms_low": float(told["low_ms"]),
                "latency_ms_high": float(told["high_ms"]),
                f"latency_ratio_to_{peer[0]}": float(told[f"ratio_to_{peer[0]}"]),
                f"latency_ratio_to_{peer[0]}_low": float(told["ratio_low"]),
                f"latency_ratio_to_{peer[0]}_high": float(told["ratio_high"]),
            }
        found[system, kind] = row
    return found


def headlines(rows: dict[str, dict[str, Any]], config: Config) -> dict[str, float]:
    """Return how long our networks take beside their peers, under ONNX Runtime: ratios, smaller being faster."""
    return {
        f"{name}_{quantity.removesuffix('_onnx')}": value
        for name in config.ours
        for quantity, value in rows[name].items()
        if quantity.startswith("latency_ratio_to_") and quantity.endswith("_onnx")
    }


def gpu_columns(
    network: nn.Module,
    size: int,
    device: torch.device,
    *,
    rounds: int,
    batch: int = GPU_BATCH,
    seconds: float = 2.0,
) -> dict[str, float]:
    """Return latency of one picture and throughput of a batch on a GPU, fp32 and bf16; the network moves there."""
    found: dict[str, float] = {"gpu_batch": max(1, batch * BASE_PX**2 // size**2)}
    image = torch.rand(1, 3, size, size, device=device)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        network = network.to(device, dtype)
        times = in_turns({"it": torch_call(network, image.to(dtype))}, rounds=rounds)
        found[f"latency_ms_gpu_{name}"] = float(np.median(times["it"]))
        images = image.to(dtype).expand(found["gpu_batch"], -1, -1, -1)
        found[f"images_per_second_gpu_{name}"] = throughput(network, images, seconds=seconds)
    return found


def _versions(config: Config) -> dict[str, str]:
    packages = ["onnxruntime"] + ["ai-edge-litert"] * config.mediapipe
    try:
        return {name: metadata.version(name) for name in packages}
    except metadata.PackageNotFoundError as error:
        raise ConfigError(
            f"{error.name} is not installed: pip install -e '.[peers]', or set mediapipe to false"
        ) from None
