"""How many features a pose network should hand to a reader of letters: the thesis's 128, twice or half as many.

Ignatiev 2019, section 3.3, reports that 256 features overfit where 128 do not, because the fingerspelling set has
little variety beside the pose network's own. Here pose networks that differ in nothing but the number of their
features learn joints from the same hands; each is frozen then, and letters are read from its averaged features.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from thesislib import hand_features, results, runtime
from thesislib.chapters import hand_sets, letter_sets
from thesislib.chapters.hand_sets import HandSet
from thesislib.chapters.letter_answers import Reader, described, halves, run_folder, summary, zero_shot
from thesislib.chapters.letter_heads import feature_views
from thesislib.chapters.letter_sets import FIRST_SIGNER, LetterSet
from thesislib.chapters.letter_systems import SYSTEMS
from thesislib.config import ConfigError, ExperimentConfig, unknown
from thesislib.datasets.letter_images import LetterImages
from thesislib.evaluation import signers as protocols
from thesislib.evaluation.keypoints import keypoint_metrics
from thesislib.losses.pose import HeatmapLoss
from thesislib.networks.blocks import count_parameters
from thesislib.networks.pose import PoseNetwork
from thesislib.training import Recipe, fit
from thesislib.transforms.hands import StrongAugmentation

EXPERIMENT = "pose_features"
READ_BY = (
    "pooled",
    "thesis",
    "cross_entropy",
)  # of `letter_systems.SYSTEMS`: nearest prototype, and two heads
NETWORK = (
    1_000_000  # the stream of random numbers that weights come from; epochs have (seed, 0), (seed, 1), ...
)


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """Pose networks with so many features each, and how well letters of strangers are read from them.

    ``thesis run pose_features --profile full`` takes a CPU core three quarters of an hour. The thesis prints that
    256 features overfit, and no number.
    """

    features: tuple[int, ...] = (64, 128, 256)
    train_hands: int = 8_000  # synthetic hands that teach joints
    train_signers: int = 400
    test_hands: int = 2_000
    test_signers: int = 64
    width: float = 0.5  # channels inside the network as a share of the thesis's
    supersample: int = 2
    epochs: int = 6
    batch_size: int = 64
    dataset: str = "asl7"  # or another name of letter_sets.NAMES
    signers: int = 5  # of the built-in set of letters
    frames: int = 16  # of a letter's clip in the built-in set
    gap: int = 5  # frames of a clip between the halves of one signer's pictures
    head_views: int = 3
    head_epochs: int = 12
    head_seeds: tuple[int, ...] = (0, 1, 2)

    profiles: ClassVar = {
        "smoke": dict(features=(8, 16), train_hands=64, train_signers=16, test_hands=32, test_signers=16)
        | dict(width=0.25, supersample=1, epochs=1, batch_size=16, dataset="invented", signers=2, frames=4)
        | dict(gap=1, head_views=1, head_epochs=1, head_seeds=(0,)),
        "quick": dict(
            features=(64, 128), train_hands=2_000, train_signers=64, test_hands=300, test_signers=32
        )
        | dict(supersample=1, epochs=3, dataset="invented", signers=3, frames=8, head_views=2, head_epochs=6)
        | dict(head_seeds=(0, 1)),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dataset not in letter_sets.NAMES:
            raise ConfigError(unknown("set of letters", self.dataset, letter_sets.NAMES))
        for name in ("features", "head_seeds"):
            if not getattr(self, name) or len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ConfigError(f"{name} must be one or more numbers, each once, got {getattr(self, name)}")


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{config.dataset}-{config.train_hands}-hands-seed{config.seed}")
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def letter_set(config: Config) -> LetterSet:
    """Return the set of letters that a configuration reads."""
    people = range(FIRST_SIGNER, FIRST_SIGNER + config.signers)
    return LetterSet(config.dataset, signers=people, frames=config.frames)


def hands_of(config: Config) -> dict[str, HandSet]:
    """Return the hands that teach joints, and those of other people that test them."""
    asked = {
        "train": (config.train_hands, config.train_signers),
        "test": (config.test_hands, config.test_signers),
    }
    return {part: HandSet(part, *numbers, 64, config.supersample) for part, numbers in asked.items()}


def data_sha256(config: Config, loaded: LetterImages | None = None) -> str | None:
    """Return the digest of hands and letters, None where the letters are not here."""
    hands = hand_sets.digest(list(hands_of(config).values()))
    return letter_sets.digest([letter_set(config).sha256(loaded), hands], {})


def taught(config: Config, features: int, folder: Path) -> PoseNetwork:
    """Return a pose network with so many features, trained on the configuration's hands; its checkpoints stay."""
    device = runtime.best_device()
    hands = hands_of(config)["train"].load()
    images, targets = (torch.from_numpy(array).to(device) for array in (hands.image, hands.targets))
    runtime.seed_everything(config.seed, NETWORK)
    network = PoseNetwork(width=config.width, features=features).to(device, memory_format=torch.channels_last)
    augmentation = StrongAugmentation()

    def augment(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x, y = augmentation(x, y)
        return x.contiguous(memory_format=torch.channels_last), y

    fit(
        network,
        HeatmapLoss(hands.size, kind="cross_entropy", radius=2.0).to(device),
        images,
        targets,
        Recipe(
            epochs=config.epochs,
            batch_size=min(config.batch_size, len(images)),
            schedule="one_cycle",
            warmup_epochs=config.epochs / 10,
        ),
        folder=folder,
        seed=config.seed,
        augment=augment,
        title=f"{features} features",
    )
    return network.eval()


def joint_error(network: PoseNetwork, config: Config) -> float:
    """Return the mean error of the network's joints on hands of strangers, in pixels of 256."""
    test = hands_of(config)["test"].load()
    found = torch.from_numpy(hand_features.predicted_keypoints(network, test.image))
    truth, visible = torch.from_numpy(test.keypoints), torch.from_numpy(test.visible)
    return keypoint_metrics(found, truth, visible, input_size=test.size)["epe_px_at_256"]


def reader_of(
    name: str, network: PoseNetwork, data: LetterImages, config: Config, folder: Path, seed: int
) -> Reader:
    """Return a system of `letter_systems` at work on this network's features in place of the stored one's."""

    def feature(image: np.ndarray) -> np.ndarray:
        return hand_features.pooled(network, image)

    system = SYSTEMS[name]
    image = hand_features.as_right_hands(data.image, data.left)
    count = config.head_views if system.head else 1
    views = feature_views(feature, image, count=count, seed=seed)
    return Reader(name, system, data, views[0], views, config.head_epochs, folder / f"head-seed{seed}", seed)


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    data = letter_set(config).load()
    sha256 = data_sha256(config, data)
    folder = run_folder(record_path(config), __name__, sha256)

    def contiguous(who: int) -> protocols.Split:
        return protocols.same_signer(data.letter, data.signer, data.clip, data.frame, who, gap=config.gap)

    metrics: dict[str, Any] = {
        "letters": list(data.letters),
        "signers": list(data.signers),
        "images": len(data),
        "chance": 1 / len(np.unique(data.letter)),
        "protocols": {},
        "features": {},
    }
    for features in tqdm(config.features, desc="pose networks", unit=" networks"):
        network = taught(config, features, folder / f"{features}-features")
        systems: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for name in READ_BY:
            seeds = config.head_seeds if SYSTEMS[name].head else config.head_seeds[:1]
            for seed in seeds:
                reader = reader_of(name, network, data, config, folder / f"{features}-heads", seed)
                given = {
                    "zero_shot": list(zero_shot(reader)),
                    "same_signer": list(halves(reader, contiguous, "same_signer")),
                }
                for protocol, answers in given.items():
                    if answers:
                        of_seeds = systems.setdefault(name, {}).setdefault(protocol, [])
                        of_seeds.append(summary(answers, data, config.seed))
                        metrics["protocols"][protocol] = described(answers, data)
        metrics["features"][str(features)] = {
            "parameters": count_parameters(network),
            "unseen_signers_epe_px_at_256": joint_error(network, config),
            "systems": systems,  # one summary a seed of the head
        }
    sets = hands_of(config)
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=letter_set(config).entry(sha256, data.source),
        split={
            "left_out": [[data.signers[who]] for who in np.unique(data.signer)],
            "hands": {
                part: [hands.signer_range.start, hands.signer_range.stop] for part, hands in sets.items()
            },
        },
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )
