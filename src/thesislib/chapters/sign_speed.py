"""How fast S3D-MobileNetV3 is beside torchvision's 3D ResNets on the same clips: all take turns in one run.

Izutov 2020 calls its network the fastest of its kind on a CPU and prints no time (section IV.D). No sign is needed
to measure one: a network's speed does not depend on what it has learned, so weights and clips are random.
"""

import hashlib
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

from thesislib import results, runtime
from thesislib.config import ConfigError, ExperimentConfig, unknown
from thesislib.evaluation.speed import in_turns, latency_table, onnx_session, threads
from thesislib.files import write_whole
from thesislib.networks.blocks import count_parameters
from thesislib.networks.sign_video import TABLE_I, TABLE_IV, S3DMobileNetV3

EXPERIMENT = "sign_speed"
# The network as the document's table I lists it, and the one whose size its table IV prints.
OURS = {"s3d_mobilenet_v3": TABLE_I, "s3d_mobilenet_v3_table_iv": TABLE_IV}
PEER = "r3d_18"  # the full 3D ResNet that every time is told as a ratio to
RIVALS = ("r3d_18", "r2plus1d_18", "mc3_18")  # torchvision.models.video: full, separable, mixed
TOLERANCE = 1e-3  # of ONNX Runtime's answer, as a share of PyTorch's largest


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Which networks take turns, at which sizes of clips, and how often.

    ``thesis run sign_speed --profile full`` measures them all in turns, on one thread and on a GPU.
    The document's network sees 16 frames of 224 pixels; torchvision's were made for frames of 112.
    """

    rivals: tuple[str, ...] = RIVALS
    sizes: tuple[int, ...] = (64, 128, 224)  # pixels; ours takes multiples of 32 only
    frames: int = 16
    rounds: int = 8
    gpu_batch: int = 32  # clips, for the throughput of a GPU where there is one

    profiles: ClassVar = {
        "smoke": dict(rivals=(PEER,), sizes=(32,), frames=4, rounds=2),
        "quick": dict(rivals=RIVALS[:2], sizes=(64,), rounds=3),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.rivals:
            if name not in RIVALS:
                raise ConfigError(unknown("rival", name, RIVALS))
        if PEER not in self.rivals:
            raise ConfigError(f"rivals must hold {PEER!r}: every time is told as a ratio to its")
        if not self.sizes or any(size < 32 or size % 32 for size in self.sizes):
            raise ConfigError(f"sizes must be multiples of 32 pixels, not {self.sizes}")
        if self.frames < 4 or self.frames % 4:
            raise ConfigError(f"frames must be a multiple of 4, not {self.frames}")
        if self.rounds < 1 or self.gpu_batch < 1:
            raise ConfigError("rounds and gpu_batch must be positive")


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
    "title": "no data: random weights and clips",
    "sha256": hashlib.sha256(b"").hexdigest(),
    "licence": "CC BY 4.0",
    "credit": "this project",
}


def systems(config: Config) -> Iterator[tuple[str, int, Callable[[], nn.Module]]]:
    """Yield name, pixels of the input and constructor of each network: at every size ours and the rivals."""
    video = runtime.import_torchvision().models.video
    for size in config.sizes:
        for name, rows in OURS.items():
            yield name, size, lambda rows=rows: S3DMobileNetV3(rows=rows)
        for rival in config.rivals:
            yield rival, size, lambda rival=rival: getattr(video, rival)(weights=None)


def measure(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now.

    Latencies are of one clip on one CPU thread. In a round every network has a turn with PyTorch and one with ONNX
    Runtime. The clock is the process's own time on the CPU: what the clock on the wall would show if nothing else
    ran. Ratios are medians over the 3D ResNet's on clips of the same size by the same runtime, with the central
    95 % when rounds are drawn again. Raises RuntimeError where ONNX Runtime's answer is not PyTorch's.
    """
    start = time.perf_counter()
    environment = runtime.fingerprint() | {"onnxruntime": metadata.version("onnxruntime")}
    runtime.seed_everything(config.seed)
    rows: dict[str, dict[str, Any]] = {}
    with threads(1), TemporaryDirectory() as folder:
        environment["device"] = runtime.processor_name()
        for size in config.sizes:
            rows |= _race(config, size, Path(folder))
    ours = {name: row for name, row in rows.items() if name.rpartition("_")[0] in OURS}
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=NO_DATA,
        split={},
        metrics={
            "protocol": f"one clip of {config.frames} frames at a time, median of {config.rounds} rounds, process "
            "time on one CPU thread",
            "peer": PEER,
            "systems": rows,
            **{f"{name}_{key}": row[key] for name, row in ours.items() for key in HEADLINES},
        },
        published=_answers(rows, config),
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )


HEADLINES = (f"latency_ratio_to_{PEER}_pytorch", f"latency_ratio_to_{PEER}_onnx")


def _race(config: Config, size: int, folder: Path) -> dict[str, dict[str, Any]]:
    """Return a row a network: what it is, and how long it takes on clips of this size."""
    rows: dict[str, dict[str, Any]] = {}
    calls: dict[tuple[str, str], Callable[[], None]] = {}
    clip = torch.rand(1, 3, config.frames, size, size)
    contenders = [(name, build) for name, pixels, build in systems(config) if pixels == size]
    for name, build in tqdm(contenders, f"{size} pixels", leave=False):
        network = build().eval()
        rows[name] = {"input_px": size, "frames": config.frames} | size_of(network, clip)
        if torch.cuda.is_available():
            rows[name] |= gpu_columns(network, clip, batch=config.gpu_batch, rounds=config.rounds)
            network.cpu().float()
        path = folder / f"{name}.onnx"
        calls[name, "onnx"], rows[name]["onnx_difference"] = onnx_call(network, clip, path)
        path.unlink()  # it lives on in the session
        calls[name, "pytorch"] = torch_call(network, clip)
    times = in_turns(calls, rounds=config.rounds, warm_up=1, clock=time.process_time)
    for kind in ("pytorch", "onnx"):
        table = latency_table({name: times[name, kind] for name in rows}, PEER)
        for name, told in table.iterrows():
            rows[name] |= {
                f"latency_ms_{kind}": float(told["median_ms"]),
                f"latency_ms_{kind}_low": float(told["low_ms"]),
                f"latency_ms_{kind}_high": float(told["high_ms"]),
                f"clips_per_second_{kind}": 1000 / float(told["median_ms"]),
                f"latency_ratio_to_{PEER}_{kind}": float(told[f"ratio_to_{PEER}"]),
                f"latency_ratio_to_{PEER}_{kind}_low": float(told["ratio_low"]),
                f"latency_ratio_to_{PEER}_{kind}_high": float(told["ratio_high"]),
            }
    return {f"{name}_{size}": row for name, row in rows.items()}


def size_of(network: nn.Module, clip: Tensor) -> dict[str, int]:
    """Return a network's parameters, and its multiply-adds in convolutions and matrix products for these clips.

    torch counts two operations a multiply-add; an output feature is what the network gives for one clip.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        features = network(clip).shape[1]
    return {
        "parameters": count_parameters(network),
        "multiply_adds": counter.get_total_flops() // 2 // len(clip),
        "output_features": features,
    }


def torch_call(network: nn.Module, clips: Tensor) -> Callable[[], None]:
    """Return a call that runs the network once on ``clips`` [B, 3, T, S, S] and waits for the end."""

    def call() -> None:
        with torch.inference_mode():
            network(clips)
        if clips.device.type == "cuda":
            torch.cuda.synchronize(clips.device)

    return call


def onnx_call(network: nn.Module, clips: Tensor, path: Path) -> tuple[Callable[[], None], float]:
    """Export a network to ``path`` and return a call that runs it with ONNX Runtime on ``clips`` [B, 3, T, S, S].

    Also returns by how much its answer differs from PyTorch's at most, as a share of the largest number there.
    Raises RuntimeError where that is more than rounding.
    """
    export_onnx(network, path, frames=clips.shape[2], size=clips.shape[-1])
    session, feed = onnx_session(path), {"clip": clips.numpy()}
    with torch.inference_mode():
        expected = network.eval()(clips).numpy()
    difference = float(np.abs(session.run(None, feed)[0] - expected).max() / np.abs(expected).max())
    if not difference <= TOLERANCE:
        raise RuntimeError(f"{path.name}: ONNX Runtime's output differs from PyTorch's by {difference:.2g}")
    return lambda: session.run(None, feed), difference


def export_onnx(network: nn.Module, path: Path, *, frames: int = 16, size: int = 224) -> None:
    """Write a network of clips as ONNX: input "clip" [batch, 3, T, S, S], output "output", the batch free."""
    clip = torch.zeros(1, 3, frames, size, size, device=next(network.parameters()).device)
    was_training = network.training

    def export(temporary: Path) -> None:
        with warnings.catch_warnings(), torch.no_grad():
            # The exporter that follows TorchScript needs no package but onnx; it warns of its age, and that
            # checks of the clip's size are not part of the graph.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", torch.jit.TracerWarning)
            torch.onnx.export(
                network.eval(),
                (clip,),
                str(temporary),
                dynamo=False,
                input_names=["clip"],
                output_names=["output"],
                dynamic_axes={"clip": {0: "batch"}, "output": {0: "batch"}},
            )

    try:
        write_whole(path, export)
    finally:
        network.train(was_training)


def gpu_columns(
    network: nn.Module, clip: Tensor, *, batch: int, rounds: int, device: str = "cuda"
) -> dict[str, float]:
    """Return latency of one clip and clips a second of a batch on a GPU, fp32 and bf16; the network moves there."""
    found: dict[str, float] = {"gpu_batch": batch}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        network, one = network.to(device, dtype), clip.to(device, dtype)
        calls = {
            "one": torch_call(network, one),
            "batch": torch_call(network, one.expand(batch, -1, -1, -1, -1).contiguous()),
        }
        times = in_turns(calls, rounds=rounds)
        found[f"latency_ms_gpu_{name}"] = float(np.median(times["one"]))
        found[f"clips_per_second_gpu_{name}"] = 1000 * batch / float(np.median(times["batch"]))
    return found


def _answers(rows: dict[str, dict[str, Any]], config: Config) -> dict[str, float]:
    """Return what this run measured of the document's table IV: only of its own input, 16 frames of 224 pixels."""
    own = rows.get("s3d_mobilenet_v3_table_iv_224")
    if own is None or config.frames != 16:
        return {}
    return {
        "izutov2020_parameters": own["parameters"] / 1e6,
        "izutov2020_gflops": 2 * own["multiply_adds"] / 1e9,
        "izutov2020_embedding_size": own["output_features"],
        "izutov2020_input_frames": own["frames"],
        "izutov2020_input_side": own["input_px"],
    }
