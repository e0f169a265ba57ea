"""What S3D-MobileNetV3 has learned before it learns signs: nothing, ImageNet's pictures, or other signs.

Izutov 2020 (section III-E) starts from weights of ImageNet and of Kinetics-700: pictures first, then films of what
people do. Neither is this project's to give. Its own network of signs is committed instead, and another vocabulary
can start from it.
"""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised

from thesislib import paths, results, runtime
from thesislib.config import ConfigError
from thesislib.files import write_whole
from thesislib.networks.sign_video import S3DMobileNetV3, inflate

SCRATCH, IMAGENET, OTHER_SIGNS = STARTS = ("scratch", "imagenet", "signs")
FORMAT = "thesislib signs in video 1"
WHERE = "signs-*.safetensors"  # in paths.WEIGHTS


def begin(network: S3DMobileNetV3, start: str) -> None:
    """Copy what a start of STARTS has learned into an untrained network.

    Attention, which not every rung has, keeps its own weights where the start has none. Raises ConfigError where
    ImageNet's weights cannot be downloaded or the start's network is of another width, RecordError where the
    file of signs is missing or damaged.
    """
    if start == IMAGENET:
        try:
            flat = runtime.import_torchvision().models.mobilenet_v3_large(weights="IMAGENET1K_V1")
        except OSError as error:  # torchvision downloads the weights
            raise ConfigError(
                f"ImageNet's weights cannot be downloaded ({error}): go online, or take -p start scratch"
            ) from None
        inflate(network, flat.state_dict())
    elif start == OTHER_SIGNS:
        known, own = _read(stored())[0], network.state_dict()
        lacking = [name for name in own if name not in known and not name.startswith("attentions.")]
        other = [name for name in own if name in known and known[name].shape != own[name].shape]
        if lacking or other:
            raise ConfigError(
                f"{stored().name} holds a network of another width ({(lacking + other)[0]} does not fit): set the "
                "width it was trained with, or take -p start scratch"
            )
        network.load_state_dict({name: known.get(name, own[name]) for name in own})


def stored() -> Path:
    """Return the committed file of a network of signs; RecordError where there is none, or more than one."""
    found = sorted(paths.WEIGHTS.glob(WHERE))
    if not found:
        raise results.RecordError(
            f"{paths.WEIGHTS} holds no {WHERE}: take it from the repository, or write it with `thesis run "
            "signs_in_video --profile full`"
        )
    if len(found) > 1:
        raise results.RecordError(f"{paths.WEIGHTS} holds {len(found)} files {WHERE}: move all but one away")
    return found[0]


def digest(start: str) -> str:
    """Return what names a start: its own name, and the digest of the file of signs where that is read."""
    return start + (hashlib.sha256(stored().read_bytes()).hexdigest() if start == OTHER_SIGNS else "")


def taught_by(start: str) -> range:
    """Return the numbers of the invented signers that a start has learned from."""
    return range(*_read(stored())[1]) if start == OTHER_SIGNS else range(0)


def keep(network: S3DMobileNetV3, signers: range, name: str) -> Path:
    """Write a network into data/weights and return the file; ``signers`` are those it has learned from.

    Kernels are kept with 16 bits: half the size, and less of a difference than any two trainings.
    """
    state = {
        key: (tensor.half() if tensor.ndim > 1 else tensor).cpu().contiguous()
        for key, tensor in network.state_dict().items()
    }
    metadata = {"format": FORMAT, "name": name, "signers": json.dumps([signers.start, signers.stop])}
    content = serialised(state, metadata)
    path = paths.WEIGHTS / f"signs-{name}.safetensors"
    write_whole(path, lambda temporary: temporary.write_bytes(content))
    return path


def _read(path: Path) -> tuple[dict[str, torch.Tensor], list[int]]:
    """Return a file's weights, float32 where they are numbers with a point, and its signers."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}
        if facts.get("format") != FORMAT:
            raise ValueError("it has another format")
        signers = [int(number) for number in json.loads(facts["signers"])]
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise results.RecordError(
            f"{path} holds no network of signs ({error}): take it from the repository again"
        ) from None
    return {name: t.float() if t.is_floating_point() else t for name, t in state.items()}, signers
