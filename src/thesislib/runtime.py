"""The machine a run happens on: seeds, device, threads, memory format and a fingerprint for the record."""

import os
import platform
import random
import subprocess
import sys
from importlib import metadata

import numpy as np
import torch

from thesislib import paths


def seed_everything(*parts: int) -> None:
    """Seed torch, numpy and random from a tuple of integers, so that (seed, epoch) names one stream."""
    value = int(np.random.SeedSequence(parts).generate_state(1)[0])
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


def best_device() -> torch.device:
    """Return CUDA where there is a GPU, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def available_cpus() -> int:
    """Return the number of CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def code_version() -> str:
    """Return the git commit of the checkout, with '+changes' where files differ, or 'unknown'."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(paths.ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("rev-parse", "--short=10", "HEAD")
        return commit + ("+changes" if git("status", "--porcelain", "--", "src") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def processor_name() -> str:
    """Return the GPU's name, or the CPU's as the operating system gives it, with the number of threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf8") as lines:
            name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' * (threads > 1)}"


def fingerprint() -> dict[str, str]:
    """Return what a reader needs to judge a timing or repeat a run: versions, device and commit."""
    packages = ("torch", "torchvision", "numpy", "scikit-learn")
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(terse=True),
        "device": processor_name(),
        "commit": code_version(),
        **{name: metadata.version(name) for name in packages},
    }


def import_torchvision():
    """Import torchvision, also beside a CPU-only torch; call it before timm is imported.

    The wheel of the public index is built against CUDA: with a CPU-only torch its import stops because the
    operator nms was never registered. Only detection networks use nms, so an empty schema is all it takes.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import_torchvision.library = library  # a schema lives as long as its library
        import torchvision
    return torchvision
