"""What a network of signs says of clips: which frames it is shown, its embeddings, and its scores of words."""

import numpy as np
import torch
from torch import Tensor, nn

from thesislib.datasets.sign_clips import SignClips
from thesislib.evaluation.streams import WINDOW, central_segment
from thesislib.losses.sign_metric import SignMetricLoss
from thesislib.networks.sign_video import S3DMobileNetV3
from thesislib.transforms.clips import to_input

BATCH = 64  # clips at a time when nothing is learned


def segments(clips: SignClips) -> np.ndarray:
    """Return what a network is asked about: the middle of each sign, uint8 [N, 16, 3, S, S] (Izutov 2020, IV.B).

    The first frame of a shorter sign is repeated.
    """
    rows = central_segment(clips.begin, clips.end, WINDOW)
    return np.ascontiguousarray(clips.frame[np.arange(len(clips))[:, None], rows])


def as_shown(x: Tensor, shown: str) -> Tensor:
    """Return clips [B, 3, T, S, S] as the network shall see them: "clip" as they are, "shuffled" or "still".

    Shuffled are the frames, each clip's in an order of its own; a still clip is its middle frame all along.
    """
    if shown == "clip":
        return x
    if shown == "still":
        return x[:, :, x.shape[2] // 2, None].expand_as(x).contiguous()
    order = torch.rand(len(x), x.shape[2]).argsort(dim=1).to(x.device)  # [B, T]
    return x.gather(2, order[:, None, :, None, None].expand_as(x))


@torch.inference_mode()
def embeddings(network: S3DMobileNetV3, frame: np.ndarray, shown: str = "clip") -> Tensor:
    """Return unit vectors [N, f] of clips uint8 [N, T, 3, S, S], batch by batch, on the network's device."""
    device = next(network.parameters()).device
    batches = torch.from_numpy(frame).split(BATCH)
    return torch.cat([network(as_shown(to_input(batch.to(device)), shown)) for batch in batches])


@torch.inference_mode()
def scores(
    network: S3DMobileNetV3, loss: SignMetricLoss, frame: np.ndarray, shown: str = "clip"
) -> np.ndarray:
    """Return the cosines of clips uint8 [N, T, 3, S, S] and the words' centres, float32 [N, C]."""
    return loss.cosine(embeddings(network, frame, shown)).float().cpu().numpy()


@torch.no_grad()
def settle(network: S3DMobileNetV3, frame: np.ndarray, batch_size: int, shown: str = "clip") -> None:
    """Measure the statistics of batch norm anew on clips uint8 [N, T, 3, S, S]; all else is as in evaluation.

    Those that training leaves are running means, which lag behind a network that learned in few steps. Clips are
    drawn into batches from torch's generator, as in training: of one person's clips variances are too small.
    """
    device = next(network.parameters()).device
    norms = [module for module in network.eval().modules() if isinstance(module, nn.BatchNorm3d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    order = torch.randperm(len(frame))
    batches = [rows for rows in order.split(batch_size) if len(rows) == batch_size]
    for rows in batches or [order]:
        network(as_shown(to_input(torch.from_numpy(frame[rows]).to(device)), shown))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
