"""Finding the joints, fast: one network trained on synthetic hands, asked about people it never saw.

Ignatiev 2019, section 3.1, and the networks that Tishchenko and Vänskä 2018 compared. Every row of the
chapter's table is one run of this experiment: the same hands, the same test, another network or another
choice of the training.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thesislib import heatmaps, paths, results, runtime
from thesislib.chapters.hand_sets import MIX, data_entry, digest, generator_hash
from thesislib.chapters.joint_choices import (
    AUGMENTATIONS,
    NETWORK,
    Config,
    build,
    decoders,
    hand_sets,
    loss_of,
    real_crops,
    real_hands,
    spatial,
)
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
from thesislib.networks.joint_regression import MeanPose
from thesislib.training import Recipe, fit
from thesislib.transforms.hands import to_input

EXPERIMENT = "finding_joints"
SHOWN = 12  # hands of each figure
PCK_PX = tuple(range(0, 61, 2))  # thresholds of the stored curve, pixels of a 256-pixel image


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
    """Return the folder of this configuration's checkpoints and weights, under the code and hands of now.

    Its name ends with the first digits of two hashes: of the code, and of the generator with its table.
    """
    code, generator = results.source_hash(__name__)[:8], generator_hash()[:8]
    return paths.RUNS / EXPERIMENT / f"{record_path(config).stem}-{code}-{generator}"


def data_sha256(config: Config) -> str | None:
    """Return the digest of the hands that a run would use, None where its real sets are not here.

    The synthetic ones are named by their table, signers and numbers, so nothing is rendered.
    """
    try:
        real = [real_hands(name, box, config.size) for name, box in real_crops(config)]
    except DataError:
        return None
    return digest(list(hand_sets(config).values()), real)


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

    epoch_start = time.perf_counter()

    def evaluate(network: nn.Module) -> dict[str, float]:
        nonlocal epoch_start
        found = score(validation, predict(network, read[main], asked))
        seconds, epoch_start = time.perf_counter() - epoch_start, time.perf_counter()
        row = {name: found[name] for name in ("epe_px_at_256", "share_within_2_px_at_128")}
        return row | {"seconds": seconds}  # of the epoch with its validation; a resumed run keeps the others'

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
    mean_pose = MeanPose(targets, config.size).to(device)

    def of_set(found: HandImages, network: nn.Module, decode: Callable[[Tensor], Tensor]) -> Tensor:
        return predict(network, decode, torch.from_numpy(found.image).to(device)).cpu()

    def mean_of_set(found: HandImages) -> Tensor:
        return of_set(found, mean_pose, lambda output: output * config.size)

    metrics: dict[str, Any] = {
        "history": {name: [row[name] for row in history] for name in history[0]},
        "training_seconds": sum(row["seconds"] for row in history),
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
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=data_entry(
            digest(list(sets.values()), list(real.values())),
            "; ".join(f"{kind} {share:.0%}" for kind, share in MIX.items()),
            real_sets={f"{name}_{box}_box": len(found) for (name, box), found in real.items()},
        ),
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


def predict(network: nn.Module, decode: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return the joints of pictures uint8 [N, 3, S, S], batch by batch: [N, 21, 2] in input pixels."""
    with torch.inference_mode():
        parts = [
            decode(network(to_input(batch).contiguous(memory_format=torch.channels_last)))
            for batch in images.split(256)
        ]
    return torch.cat(parts).float().clone()


def score(hands: HandImages, predicted: Tensor) -> dict[str, float]:
    """Return `keypoint_metrics` of predictions [N, 21, 2] for a set of hands."""
    truth, visible = torch.from_numpy(hands.keypoints), torch.from_numpy(hands.visible)
    return keypoint_metrics(predicted.cpu(), truth, visible, input_size=hands.size)


def over_box(hands: HandImages, predicted: Tensor) -> dict[str, Any]:
    """Return errors over the longer side of the tight box about the labelled joints, and each joint's."""
    truth, labelled = torch.from_numpy(hands.keypoints), torch.from_numpy(hands.labelled)
    side = box_side(truth, labelled)
    signer = torch.from_numpy(hands.signer)
    found: dict[str, Any] = error_over_box(predicted, truth, side, labelled, signer=signer)
    distance = (predicted - truth).norm(dim=-1) / side[:, None]
    found["by_joint"] = error_per_joint(distance, labelled).tolist()
    return found
