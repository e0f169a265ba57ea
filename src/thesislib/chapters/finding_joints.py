"""Finding the joints, fast: one network trained on synthetic hands, asked about people it never saw.

Ignatiev 2019, section 3.1, and the networks that Tishchenko and Vänskä 2018 compared. Every row of the
chapter's table is one run of this experiment: the same hands, the same test, another network or another
choice of the training.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from thesislib import heatmaps, paths, results, runtime
from thesislib.chapters.hand_sets import MIX, HandSet, digest
from thesislib.config import ConfigError, ExperimentConfig, unknown
from thesislib.datasets import hands
from thesislib.datasets.hand_images import HandImages
from thesislib.datasets.sources import DataError
from thesislib.evaluation.keypoints import (
    box_side,
    error_over_box,
    error_per_joint,
    errors_px,
    keypoint_metrics,
    pck,
)
from thesislib.evaluation.speed import size_of
from thesislib.losses.pose import BinsLoss, CoordinateLoss, HeatmapLoss, SpatialCrossEntropy, StagesLoss
from thesislib.networks.joint_regression import RIVALS, MeanPose
from thesislib.networks.pose import PoseNetwork
from thesislib.training import Recipe, fit
from thesislib.transforms.hands import ReportAugmentation, StrongAugmentation, ThesisAugmentation, to_input

EXPERIMENT = "finding_joints"
OURS = "thesis"
NETWORK = (
    1_000_000  # the stream of random numbers that weights come from; epochs have (seed, 0), (seed, 1), ...
)
SHOWN = 12  # hands of each figure
PCK_PX = tuple(range(0, 61, 2))  # thresholds of the stored curve, pixels of a 256-pixel image
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


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    label = f"{config.network}-{config.train_hands}-hands-seed{config.seed}"
    name = results.record_name(config, label)
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def arrays_path(config: Config) -> Path:
    """Return the file of pictures, predictions and heatmaps that the figures draw, beside the record."""
    return record_path(config).with_suffix(".npz")


def run_folder(config: Config) -> Path:
    """Return the folder of this configuration's checkpoints and weights, under the code that is here now."""
    return paths.RUNS / EXPERIMENT / f"{record_path(config).stem}-{results.source_hash(__name__)[:8]}"


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
        return {"output": lambda output: read(output, config.size)}
    density = heatmaps.spatial_softmax if spatial(config) else torch.sigmoid
    kinds = {"dark": heatmaps.dark, "argmax": heatmaps.argmax, "soft_argmax": heatmaps.soft_argmax}
    return {
        name: lambda logits, read=read: read(density(logits.float()), config.size)
        for name, read in kinds.items()
    }


def predict(network: nn.Module, decode: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return the joints of pictures uint8 [N, 3, S, S], batch by batch: [N, 21, 2] in input pixels."""
    with torch.inference_mode():
        parts = [
            decode(network(to_input(batch).contiguous(memory_format=torch.channels_last)))
            for batch in images.split(256)
        ]
    return torch.cat(parts).float().clone()


def hand_sets(config: Config) -> dict[str, HandSet]:
    """Return the synthetic sets of a configuration: train, validation and test, each with signers of its own."""
    asked = {
        "train": (config.train_hands, config.train_signers),
        "validation": (max(config.test_hands // 4, 32), max(config.test_signers // 4, 16)),
        "test": (config.test_hands, config.test_signers),
    }
    return {part: HandSet(part, *numbers, config.size, config.supersample) for part, numbers in asked.items()}


def data_sha256(config: Config) -> str | None:
    """Return the digest of the hands that a run would use, None where its real sets are not here.

    The synthetic ones are named by the code that draws them and by their numbers, so nothing is rendered.
    """
    try:
        real = [real_hands(name, box, config.size) for name, box in real_crops(config)]
    except DataError:
        return None
    return digest(list(hand_sets(config).values()), real)


def real_crops(config: Config) -> list[tuple[str, str]]:
    """Return each real set of the configuration with each box its hands are cut out by."""
    return [(name, box) for name in config.real_sets for box in REAL_BOXES.get(name, ("keypoints",))]


def real_hands(name: str, box: str, size: int) -> HandImages:
    """Return a real test set, its hands cut out by a box and resized."""
    return hands.load(name, paths.raw_data(), size=size, box=box)


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    device = runtime.best_device()
    real = {(name, box): real_hands(name, box, config.size) for name, box in real_crops(config)}
    network = build(config).to(device, memory_format=torch.channels_last)
    loss_of(config, network, 1)  # a loss that does not fit is refused before any hand is rendered
    sets = hand_sets(config)
    train, validation, test = (part.load() for part in sets.values())

    images = torch.from_numpy(train.image).to(device)
    targets = torch.from_numpy(train.targets).to(device)
    batch_size = min(config.batch_size, len(images))
    recipe = Recipe(
        epochs=config.epochs,
        batch_size=batch_size,
        optimizer=config.optimizer,
        schedule=config.schedule,
        lr_max=config.lr_max,
        lr_min=config.lr_min,
        warmup_epochs=config.epochs / (4 if config.schedule == "sgdr" else 10),
        restarts=(config.epochs // 2,),
        weight_decay=config.weight_decay,
        precision=config.precision,
    )
    loss = loss_of(config, network, config.epochs * (len(images) // batch_size)).to(device)
    augmentation = AUGMENTATIONS[config.augmentation]()

    def augment(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x, y = augmentation(x, y)
        return x.contiguous(memory_format=torch.channels_last), y

    read = decoders(config, network)
    main = next(iter(read))
    asked = torch.from_numpy(validation.image).to(device)

    def evaluate(network: nn.Module) -> dict[str, float]:
        found = score(validation, predict(network, read[main], asked))
        return {name: found[name] for name in ("epe_px_at_256", "share_within_2_px_at_128")}

    training_start = time.perf_counter()
    history = fit(
        network,
        loss,
        images,
        targets,
        recipe,
        folder=run_folder(config),
        seed=config.seed,
        augment=augment,
        evaluate=evaluate,
        title=config.network,
    )
    training_seconds = time.perf_counter() - training_start
    mean_pose = MeanPose(targets, config.size).to(device)

    def of_set(found: HandImages, network: nn.Module, decode: Callable[[Tensor], Tensor]) -> Tensor:
        return predict(network, decode, torch.from_numpy(found.image).to(device)).cpu()

    def mean_of_set(found: HandImages) -> Tensor:
        return of_set(found, mean_pose, lambda output: output * config.size)

    metrics: dict[str, Any] = {
        "history": {name: [row[name] for row in history] for name in history[0]},
        "training_seconds": training_seconds,  # of this process: a resumed run counts from where it resumed
        "output": network.output,
        "decoder": main,
        **size_of(network.cpu(), config.size),
    }
    network.to(device)
    for name, decode in read.items():
        metrics[f"unseen_signers_{name}"] = score(test, of_set(test, network, decode))
    predicted = of_set(test, network, read[main])
    error = errors_px(predicted, torch.from_numpy(test.keypoints), input_size=config.size)
    metrics["unseen_signers_error_px_at_256_by_joint"] = error_per_joint(
        error, torch.ones_like(error, dtype=torch.bool)
    ).tolist()
    metrics["unseen_signers_pck"] = {"px_at_256": list(PCK_PX), "share": pck(error, PCK_PX).tolist()}
    metrics["unseen_signers_mean_pose"] = score(test, mean_of_set(test))
    metrics["real"] = {
        f"{name}_{box}_box": {
            "network": over_box(found, of_set(found, network, read[main])),
            "mean_pose": over_box(found, mean_of_set(found)),
        }
        for (name, box), found in real.items()
    }
    results.write_arrays(arrays_path(config), pictures(config, network, train, test, predicted, augment))
    sha256 = digest(list(sets.values()), list(real.values()))
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data={
            "name": "synthetic_hands",
            "title": "Synthetic hands",
            "version": sha256[:12],
            "sha256": sha256,
            "licence": "CC BY 4.0",
            "credit": "this project",
            "note": "; ".join(f"{kind} {share:.0%}" for kind, share in MIX.items()),
            "real_sets": {f"{name}_{box}_box": len(found) for (name, box), found in real.items()},
        },
        split={
            name: {"signers": [part.signer_range.start, part.signer_range.stop], "hands": part.hands}
            for name, part in sets.items()
        },
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )


def pictures(
    config: Config,
    network: nn.Module,
    train: HandImages,
    test: HandImages,
    predicted: Tensor,
    augment: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
) -> dict[str, np.ndarray]:
    """Return what figures draw: training hands, plain and augmented; the best, the worst and some of the test.

    Where the network gives heatmaps, those of the first test hands come along, each with its peak at 255.
    """
    device = next(network.parameters()).device
    some = slice(0, SHOWN)
    error = errors_px(predicted, torch.from_numpy(test.keypoints), input_size=config.size).mean(dim=1)
    order = error.argsort()
    chosen = {
        "best": order[:SHOWN].numpy(),
        "worst": order.flip(0)[:SHOWN].numpy(),
        "first": np.arange(SHOWN),
    }
    runtime.seed_everything(config.seed, NETWORK)
    batch = [torch.from_numpy(part[some]).to(device) for part in (train.image, train.targets)]
    augmented, moved = augment(*batch)
    arrays = {
        "train_image": train.image[some],
        "train_keypoints": train.keypoints[some],
        "train_visible": train.visible[some],
        "augmented_input": augmented.float().cpu().numpy().astype(np.float16),
        "augmented_targets": moved.cpu().numpy(),
    }
    for name, index in chosen.items():
        arrays |= {
            f"{name}_image": test.image[index],
            f"{name}_keypoints": test.keypoints[index],
            f"{name}_predicted": predicted[torch.from_numpy(index)].numpy(),
            f"{name}_error_px_at_256": error[torch.from_numpy(index)].numpy(),
        }
    if network.output == "heatmaps":
        shown = torch.from_numpy(test.image[:4]).to(device)
        with torch.inference_mode():
            logits = network(to_input(shown)).float()
        density = heatmaps.spatial_softmax(logits) if spatial(config) else logits.sigmoid()
        peak = density.amax(dim=(-2, -1), keepdim=True)
        arrays["heatmaps"] = (255 * density / peak).round().byte().cpu().numpy()  # [4, 21, s, s]
    return arrays


def spatial(config: Config) -> bool:
    """Tell whether a map is read as one distribution over its pixels, not as a yes or no of each."""
    return config.loss == "spatial_cross_entropy"


def score(hands: HandImages, predicted: Tensor) -> dict[str, float]:
    """Return `keypoint_metrics` of predictions [N, 21, 2] for a set of hands."""
    truth, visible = torch.from_numpy(hands.keypoints), torch.from_numpy(hands.visible)
    return keypoint_metrics(predicted.cpu(), truth, visible, input_size=hands.size)


def over_box(hands: HandImages, predicted: Tensor) -> dict[str, Any]:
    """Return errors over the longer side of the tight box about the labelled joints, and each joint's."""
    truth, labelled = torch.from_numpy(hands.keypoints), torch.from_numpy(hands.labelled)
    side = box_side(truth, labelled)
    found: dict[str, Any] = error_over_box(predicted, truth, side, labelled)
    distance = (predicted - truth).norm(dim=-1) / side[:, None]
    found["by_joint"] = error_per_joint(distance, labelled).tolist()
    return found
