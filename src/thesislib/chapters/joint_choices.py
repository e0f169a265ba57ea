"""What `finding_joints` can be asked: its configuration, and the network, loss, decoders and hands it names."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from thesislib import heatmaps, paths, runtime
from thesislib.chapters.hand_sets import HandSet
from thesislib.config import ConfigError, ExperimentConfig, unknown
from thesislib.datasets import hands
from thesislib.datasets.hand_images import HandImages
from thesislib.losses.pose import BinsLoss, CoordinateLoss, HeatmapLoss, SpatialCrossEntropy, StagesLoss
from thesislib.networks.joint_regression import RIVALS
from thesislib.networks.pose import PoseNetwork
from thesislib.transforms.hands import ReportAugmentation, StrongAugmentation, ThesisAugmentation

OURS = "thesis"
# The stream of random numbers that weights come from; epochs have (seed, 0), (seed, 1), ...
NETWORK = 1_000_000
REAL_BOXES = {"asl7": ("given", "keypoints")}  # other sets are cut out about their keypoints alone
AUGMENTATIONS = {"thesis": ThesisAugmentation, "report": ReportAugmentation, "strong": StrongAugmentation}
Loss = Literal["default", "l2", "cross_entropy", "spatial_cross_entropy", "l1", "smooth_l1"]


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """One network, trained on synthetic hands and tested on unseen signers and, where they are here, real hands.

    ``thesis run finding_joints --profile quick`` takes about two minutes on two laptop cores; the profile full is
    for a graphics card. The thesis prints a mean error of 16 pixels at 256 on GANerated hands (figure 3.4), which
    are other hands than these.
    """

    network: str = OURS  # or a name of networks.joint_regression.RIVALS
    width: float = 1.0  # ours alone: channels as a share of figure 3.1's
    decoder_width: float | None = None
    depth: int = 3
    stem_stride: int = 2
    literal: bool = False
    size: int = 64  # of the input, pixels
    supersample: int = 2  # rays to a pixel's side when hands are drawn
    train_hands: int = 200_000
    train_signers: int = 2_000
    test_hands: int = 4_000
    test_signers: int = 200  # others than those that train; a quarter as many others validate
    real_sets: tuple[str, ...] = ()  # names of datasets.hands.NAMES; fetched, or named by THESIS_DATA
    augmentation: Literal["thesis", "report", "strong"] = "thesis"
    loss: Loss = "default"
    radius: float = 2.0  # of a heatmap's peak, pixels of the input; never less than one pixel of the map
    last_radius: float | None = None  # the radius shrinks to this while it trains
    epochs: int = 20
    batch_size: int = 1024
    optimizer: Literal["sgd", "adam", "adamw", "adabound"] = "sgd"
    schedule: Literal["sgdr", "one_cycle", "constant"] = "sgdr"
    lr_max: float = 0.1
    lr_min: float = 1e-4
    weight_decay: float = 1e-4
    precision: Literal["fp32", "bf16"] = "fp32"

    profiles: ClassVar = {
        "smoke": dict(width=0.25, stem_stride=4, train_hands=64, test_hands=32, epochs=1, batch_size=16)
        | dict(train_signers=16, test_signers=16, supersample=1),
        "quick": dict(width=0.5, stem_stride=4, train_hands=5_000, test_hands=500, epochs=8, batch_size=32)
        | dict(train_signers=64, test_signers=32, supersample=1, loss="cross_entropy"),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        names = (OURS, *RIVALS)
        if self.network not in names:
            raise ConfigError(unknown("network", self.network, names))
        for name in self.real_sets:
            if name not in hands.NAMES:
                raise ConfigError(unknown("set of real hands", name, hands.NAMES))


def build(config: Config) -> nn.Module:
    """Return the configuration's network, untrained, its weights from the seed alone."""
    runtime.seed_everything(config.seed, NETWORK)
    if config.network != OURS:
        return RIVALS[config.network](config.size)
    return PoseNetwork(
        width=config.width,
        decoder_width=config.decoder_width,
        depth=config.depth,
        stem_stride=config.stem_stride,
        literal=config.literal,
    )


def loss_of(config: Config, network: nn.Module, steps: int) -> nn.Module:
    """Return the loss that suits the network's output; ConfigError where the configuration names another kind.

    Without a choice, heatmaps learn by squared error as in the thesis, coordinates by squared error as in the
    report. ``steps`` is how many there will be, over which a shrinking radius shrinks.
    """
    kind, size = config.loss, config.size
    if network.output == "heatmaps":
        pixel = size / map_size(network, size)  # of a map, in pixels of the input
        first, last = (
            None if radius is None else max(radius / pixel, 1.0)
            for radius in (config.radius, config.last_radius)
        )
        if kind == "spatial_cross_entropy":
            return SpatialCrossEntropy(size, radius=first)
        if kind in ("default", "l2", "cross_entropy"):
            kind = "cross_entropy" if kind == "cross_entropy" else "l2"
            return HeatmapLoss(size, kind=kind, radius=first, last_radius=last, shrink_steps=steps)
    if network.output == "coordinates" and kind in ("default", "l2", "l1", "smooth_l1"):
        return CoordinateLoss(size, kind="l2" if kind == "default" else kind)
    if network.output in ("stages", "bins") and kind == "default":
        return StagesLoss(size) if network.output == "stages" else BinsLoss(size)
    raise ConfigError(f"{config.network} gives {network.output}, and {kind!r} is no loss for them")


def map_size(network: nn.Module, size: int) -> int:
    """Return the side of the heatmaps that a network makes of a picture of ``size`` pixels."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        maps = network.eval()(torch.zeros(1, 3, size, size, device=device))
    network.train()
    return maps.shape[-1]


def decoders(config: Config, network: nn.Module) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return the ways to read joints from the network's output, [B, ...] to [B, 21, 2] in input pixels.

    The first is the one that a table shows when it shows one.
    """
    if network.output != "heatmaps":
        read = heatmaps.DECODERS[network.output]
        name = "dark" if network.output == "stages" else "output"
        return {name: lambda output: read(output, config.size)}
    density = heatmaps.spatial_softmax if spatial(config) else torch.sigmoid
    kinds = {"dark": heatmaps.dark, "argmax": heatmaps.argmax, "soft_argmax": heatmaps.soft_argmax}
    return {
        name: lambda logits, read=read: read(density(logits.float()), config.size)
        for name, read in kinds.items()
    }


def spatial(config: Config) -> bool:
    """Tell whether a map is read as one distribution over its pixels, not as a yes or no of each."""
    return config.loss == "spatial_cross_entropy"


def hand_sets(config: Config) -> dict[str, HandSet]:
    """Return the synthetic sets of a configuration: train, validation and test, each with signers of its own."""
    asked = {
        "train": (config.train_hands, config.train_signers),
        "validation": (max(config.test_hands // 4, 32), max(config.test_signers // 4, 16)),
        "test": (config.test_hands, config.test_signers),
    }
    return {part: HandSet(part, *numbers, config.size, config.supersample) for part, numbers in asked.items()}


def real_crops(config: Config) -> list[tuple[str, str]]:
    """Return each real set of the configuration with each box its hands are cut out by."""
    return [(name, box) for name in config.real_sets for box in REAL_BOXES.get(name, ("keypoints",))]


def real_hands(name: str, box: str, size: int) -> HandImages:
    """Return a real test set, its hands cut out by a box and resized."""
    return hands.load(name, paths.raw_data(), size=size, box=box)
