"""How fast a network is beside another one: latencies in turns, throughput, parameters and multiply-adds.

A time says little on a machine that does other things; the ratio of two networks that took turns says more. So
every table is measured against a named peer in the same run.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from thesislib.files import write_whole
from thesislib.networks.layer_table import layer_table


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let torch use ``number`` threads on the CPU inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def torch_call(network: nn.Module, images: Tensor) -> Callable[[], None]:
    """Return a call that runs the network once on ``images`` [B, 3, S, S], on their device, and waits for the end.

    The network is set to inference on that device, with channels last in memory, which oneDNN and cuDNN prefer.
    """
    network = network.eval().to(images.device, memory_format=torch.channels_last)
    images = images.contiguous(memory_format=torch.channels_last)

    def call() -> None:
        with torch.inference_mode():
            network(images)
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)

    return call


def export_onnx(network: nn.Module, path: Path, input_size: int) -> None:
    """Write a network as ONNX: input "image" [batch, 3, S, S], output "output", the batch free."""
    device = next(network.parameters()).device
    image = torch.zeros(1, 3, input_size, input_size, device=device)
    was_training = network.training

    def export(temporary: Path) -> None:
        with warnings.catch_warnings(), torch.no_grad():
            # The exporter that follows TorchScript needs no package but onnx; it warns of its age, and that
            # checks of the image's size are not part of the graph.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", torch.jit.TracerWarning)
            torch.onnx.export(
                network.eval(),
                (image,),
                str(temporary),
                dynamo=False,
                input_names=["image"],
                output_names=["output"],
                dynamic_axes={"image": {0: "batch"}, "output": {0: "batch"}},
            )

    try:
        write_whole(path, export)
    finally:
        network.train(was_training)


def import_onnxruntime() -> ModuleType:
    """Import ONNX Runtime; RuntimeError with what to install where it is not."""
    try:
        import onnxruntime
    except ImportError:
        raise RuntimeError(
            "ONNX Runtime is not installed, so its latency cannot be measured: pip install onnxruntime"
        ) from None
    return onnxruntime


def onnx_session(path: Path, *, num_threads: int = 1):
    """Open an ONNX file for the CPU with ``num_threads`` threads."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = num_threads, 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def onnx_call(network: nn.Module, images: Tensor, path: Path, *, num_threads: int = 1) -> Callable[[], None]:
    """Export a network to ``path`` and return a call that runs it with ONNX Runtime on ``images`` [B, 3, S, S].

    Raises RuntimeError where ONNX Runtime is missing, or where its output is not PyTorch's.
    """
    import_onnxruntime()  # before the export, which takes longer
    export_onnx(network, path, images.shape[-1])
    session, feed = onnx_session(path, num_threads=num_threads), {"image": images.cpu().numpy()}
    with torch.inference_mode():
        expected = network.eval()(images).cpu().numpy()
    difference = float(np.abs(session.run(None, feed)[0] - expected).max())
    if not difference <= 1e-3 * max(1.0, float(np.abs(expected).max())):
        raise RuntimeError(f"{path.name}: ONNX Runtime's output differs from PyTorch's by {difference:.2g}")
    return lambda: session.run(None, feed)


def in_turns(
    calls: Mapping[str, Callable[[], None]],
    *,
    rounds: int = 30,
    warm_up: int = 3,
    repeats: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return milliseconds of each call, one a round: in a round every call has its turn, in the order given.

    In its turn a call runs ``repeats`` times and the last run counts: from 3 on, it finds its own weights in the
    processor's caches, as on a video, and not those of the call before. ``clock`` tells seconds; for work on the
    CPU ``time.process_time`` leaves out what other programs take of it.
    """
    for call in calls.values():
        for _ in range(warm_up):
            call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            for _ in range(repeats - 1):
                call()
            start = clock()
            call()
            times[name].append(1000 * (clock() - start))
    return times


def latency_table(times: Mapping[str, list[float]], peer: str) -> pd.DataFrame:
    """Return a row a call: median ms with its quartiles, and the ratio to the peer's median, smaller being faster.

    ``ratio_low`` and ``ratio_high`` are the central 95 % of that ratio when rounds are drawn again with
    replacement. Raises ValueError where the peer was not measured.
    """
    if peer not in times:
        raise ValueError(f"the peer {peer!r} was not measured; there are {', '.join(times)}")
    rounds = len(times[peer])
    drawn = np.random.default_rng(0).integers(rounds, size=(1000, rounds))
    peers = np.array(times[peer])
    rows = {}
    for name, values in times.items():
        v = np.array(values)
        low, high = np.percentile(np.median(v[drawn], axis=1) / np.median(peers[drawn], axis=1), [2.5, 97.5])
        rows[name] = {
            "median_ms": float(np.median(v)),
            "low_ms": float(np.percentile(v, 25)),
            "high_ms": float(np.percentile(v, 75)),
            f"ratio_to_{peer}": float(np.median(v) / np.median(peers)),
            "ratio_low": float(low),
            "ratio_high": float(high),
            "rounds": rounds,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def throughput(
    network: nn.Module,
    images: Tensor,
    *,
    seconds: float = 2.0,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return images per second in batches of ``images`` [B, 3, S, S], on their device, over about ``seconds``."""
    call = torch_call(network, images)
    call()
    batches, start = 0, clock()
    while batches == 0 or clock() - start < seconds:
        call()
        batches += 1
    return batches * len(images) / (clock() - start)


def size_of(network: nn.Module, input_size: int) -> dict[str, int]:
    """Return the network's parameters and its multiply-adds for one image of ``input_size`` pixels."""
    total = layer_table(network, (3, input_size, input_size)).iloc[-1]
    return {"parameters": int(total["parameters"]), "multiply_adds": int(total["multiply-adds"])}
