"""Frames as frozen features, computed once and kept: what the LSTM of chapter 6 reads in place of pictures.

Schorr 2018 fed frames to Inception-v3, published weights and all, and kept its 2,048 pooled features on disk. Here
the frames go through chapter 2's pose encoder, averaged over quarters of the picture so that where the hand is
does not get lost; Inception-v3 is there for who can download its weights.
"""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from tqdm.auto import tqdm

from thesislib import hand_features, paths, pose_model, results, runtime
from thesislib.config import ConfigError
from thesislib.datasets.sign_clips import SignClips
from thesislib.files import write_whole
from thesislib.networks.hand_encoders import library_encoder
from thesislib.transforms.hands import to_input

SIDE = 2  # cells to a side that the pose encoder's maps are averaged to
INCEPTION_PX = 224  # pictures that library_encoder enlarges to 299
BATCH = 240  # frames

Encode = Callable[[np.ndarray], np.ndarray]  # pictures uint8 [n, 3, S, S] to float32 [n, F]


def frame_features(clips: SignClips, name: str = "pose") -> np.ndarray:
    """Return the features of all frames, float32 [N, T, F]: computed where no file of them is kept.

    F is 512 for the pose encoder, 2,048 for Inception-v3. The file is named by the pixels and by what encodes them;
    a damaged one is made anew. Raises ConfigError where Inception's weights cannot be downloaded.
    """
    path = features_path(clips, name)
    kept = _kept(path, clips)
    if kept is None:
        kept = _encoded(clips, encoder(name))
        write_whole(path, lambda temporary: np.save(temporary, kept))
    return kept.astype(np.float32)


def features_path(clips: SignClips, name: str) -> Path:
    """Return where the features of these clips are kept."""
    named = (clips.sha256, encoder_digest(name), SIDE, INCEPTION_PX)
    digest = hashlib.sha256(repr(named).encode()).hexdigest()[:16]
    return paths.CACHE / "frame_features" / f"{name}-{len(clips)}x{clips.length}x{clips.size}-{digest}.npy"


def encoder_digest(name: str) -> str:
    """Return what names the frozen encoder: the committed pose network's file, or the published weights."""
    if name == "inception_v3":
        return "torchvision, Inception_V3_Weights.IMAGENET1K_V1"
    code = results.source_hash("thesislib.networks.pose")
    return f"{hashlib.sha256(pose_model.default_model().read_bytes()).hexdigest()}, {code}"


def encoder(name: str) -> Encode:
    """Return the frozen encoder as a function of pictures."""
    device = runtime.best_device()
    if name == "pose":
        network = pose_model.load(pose_model.default_model()).network.to(device)
        return lambda image: quarters(hand_features.spatial(network, image))
    try:
        library = library_encoder(name, imagenet=True).eval().to(device)
    except OSError as error:  # torchvision downloads the weights
        raise ConfigError(
            f"ImageNet's weights of {name} cannot be downloaded ({error}): go online, or take -p feature pose"
        ) from None

    def encode(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            x = to_input(torch.from_numpy(image).to(device))
            x = F.interpolate(x, size=INCEPTION_PX, mode="bilinear", align_corners=False)
            return library(x).cpu().numpy()

    return encode


def quarters(spatial: np.ndarray, channels: int = 128) -> np.ndarray:
    """Return feature maps [N, C * s * s] averaged over the quarters of the picture: [N, C * 4]."""
    side = round((spatial.shape[1] / channels) ** 0.5)
    maps = torch.from_numpy(spatial).unflatten(1, (channels, side, side))
    return F.adaptive_avg_pool2d(maps, SIDE).flatten(1).numpy()


def _encoded(clips: SignClips, encode: Encode) -> np.ndarray:
    each = max(1, BATCH // clips.length)  # clips at a time: the frames may be memory-mapped
    parts = []
    for start in tqdm(range(0, len(clips), each), desc="frames to features", unit=" batches", leave=False):
        frame = np.array(clips.frame[start : start + each])  # [n, T, 3, S, S]
        found = encode(frame.reshape(-1, *frame.shape[2:]))  # [n * T, F]
        parts.append(found.reshape(*frame.shape[:2], -1).astype(np.float16))
    return np.concatenate(parts)


def _kept(path: Path, clips: SignClips) -> np.ndarray | None:
    if not path.exists():
        return None
    try:
        found = np.load(path, allow_pickle=False)
        if found.dtype == np.float16 and found.shape[:2] == (len(clips), clips.length) and found.ndim == 3:
            return found
        fault = f"it holds {found.dtype} {list(found.shape)}"
    except (OSError, ValueError, EOFError) as error:
        fault = str(error)
    warnings.warn(f"{path}: {fault}; computing the features again", stacklevel=3)
    return None
