"""Training a network that gives the hand model's numbers: what can be asked for, and how it is made.

Komorowicz 2018, chapter 6. The seven configurations of its tables 6.2 and 7.1, and the repairs that it could not
try, are choices of one `Config`; what a trained network is worth is measured in `hand_from_picture`.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from thesislib import paths, pose_model, results, runtime
from thesislib.chapters import encoder_pretraining
from thesislib.config import ConfigError, ExperimentConfig
from thesislib.datasets.invented_hands import SUBJECTS, drawn, flat, supervised
from thesislib.datasets.modelled_hands import ModelledHands, joined
from thesislib.hand_model import HandModel
from thesislib.losses.hand_model import HandLabels, HandModelLoss
from thesislib.networks.hand_encoders import SmallEncoder, library_encoder
from thesislib.networks.hand_mesh_recovery import HandMeshRecovery
from thesislib.training import Recipe, fit
from thesislib.transforms.hands import to_input

NETWORK = (
    1_000_000  # the stream of random numbers that weights come from; epochs have (seed, 0), (seed, 1), ...
)
BATCH = 250  # pictures at a time when nothing is learned


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """One of the seven configurations of Komorowicz 2018 (table 7.1), or a small network with a repair.

    ``thesis run hand_from_picture --profile full`` takes a laptop's core some minutes with the small encoder and
    about half an hour with ResNet-50. Printed there: validation losses from 2.085 (ResNet-50, pretrained) to
    6.539 (Inception-v3, frozen), on other pictures.
    """

    encoder: Literal["small", "resnet50", "densenet121", "inception_v3"] = "small"
    start: Literal["hands", "random", "imagenet"] = "hands"  # what the encoder has seen before
    frozen: bool = False  # the encoder learns nothing more
    shape_weight: float = 1.0  # of L1 on the shape numbers; 0 leaves it out (table 7.1, row 1)
    fingertips: bool = False  # compared too; the document has 16 joints
    limits_weight: float = 0.0  # of joints that bend where no joint does
    person_weight: float = 0.0  # of shapes that differ among pictures of one person
    truth_weight: float = 0.0  # of parameters and 3D joints where they are known
    silhouette_weight: float = 0.0  # of outlines where they are known
    drawn_hands: int = 0  # pictures of the hand model itself, whose parameters are known
    train_pictures: int = 10_000  # before a person has thrown out what the detector got wrong, about half
    train_subjects: int = SUBJECTS["train"]
    validation_pictures: int = 2_500
    validation_subjects: int = SUBJECTS["validation"]  # one in five of 190 people
    photographs: str = ""  # a folder in the layout of 11k Hands, in the place of the built-in set
    detections: str = ""  # OpenPose's JSON files of them
    decisions: str = ""  # what `thesis supervise` wrote about them; empty: all are used
    mano: str = ""  # MANO_RIGHT.pkl, in the place of this project's own hand model
    size: int = 64
    hidden: int = 1024  # of the regressor
    iterations: int = 3
    epochs: int = 4
    batch_size: int = 32
    lr_max: float = 5e-4
    pretraining: Literal["smoke", "quick", "full"] = "full"  # of a library's encoder

    profiles: ClassVar = {
        "smoke": dict(train_pictures=160, train_subjects=8, validation_pictures=64, validation_subjects=4)
        | dict(hidden=64, epochs=1, pretraining="smoke"),
        "quick": dict(train_pictures=2_400, validation_pictures=600, hidden=512, pretraining="quick"),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoder == "small" and self.start == "imagenet":
            raise ConfigError("the small encoder is this project's own; it starts from hands or at random")
        if self.frozen and self.start == "random":
            raise ConfigError(
                "a frozen encoder that has seen nothing has nothing to say; start it from hands"
            )
        known = self.truth_weight or self.silhouette_weight
        if bool(known) != bool(self.drawn_hands):
            raise ConfigError(
                "drawn_hands are what truth_weight and silhouette_weight need: give both or neither"
            )
        if self.drawn_hands and self.mano:
            raise ConfigError("drawn hands are pictures of this project's own hand model: leave out mano")
        if bool(self.photographs) != bool(self.detections):
            raise ConfigError(
                "photographs need detections, a folder of OpenPose's JSON files, and the other way round"
            )

    @property
    def label(self) -> str:
        """What the configuration is, in words that a file's name can hold."""
        words = [self.encoder, self.start, *(["frozen"] if self.frozen else [])]
        words += ["no_shape_loss"] if self.shape_weight == 0 else []
        words += ["fingertips"] if self.fingertips else []
        for repair in ("limits", "person", "truth", "silhouette"):
            words += [repair] if getattr(self, f"{repair}_weight") else []
        return "-".join([*words, f"seed{self.seed}"])


def invented(config: Config, part: Literal["train", "validation"]) -> ModelledHands:
    """Return the flat hands of a part that a person has let pass, with their truth; rendered now if they are not.

    The person is simulated, `synthetic.supervisor`: it sees what a person would see and errs at a stated rate.
    """
    count, people = {
        "train": (config.train_pictures, config.train_subjects),
        "validation": (config.validation_pictures, config.validation_subjects),
    }[part]
    photographed = flat(part, count, people, config.size)
    return photographed.of(supervised(photographed))


def with_drawn_hands(config: Config, photographs: ModelledHands, model: HandModel) -> ModelledHands:
    """Return what a network is trained on: detected joints alone, and the drawn hands with their parameters."""
    if config.drawn_hands == 0:
        return photographs.untold()
    known = drawn(model, "train", config.drawn_hands, config.train_subjects, config.size)
    return joined(photographs.untold(), known)


def build(config: Config) -> HandMeshRecovery:
    """Return the network before training, its encoder as `start` says."""
    encoder = _encoder(config)
    runtime.seed_everything(config.seed, NETWORK)
    return HandMeshRecovery(
        encoder,
        encoder.num_features,
        iterations=config.iterations,
        hidden=config.hidden,
        frozen=config.frozen,
    )


def _encoder(config: Config) -> nn.Module:
    if config.encoder == "small":
        model = pose_model.load(pose_model.default_model())
        encoder = model.network.encoder
        if config.start == "random":
            runtime.seed_everything(config.seed, NETWORK)
            encoder = type(encoder)(
                width=model.config.width, depth=model.config.depth, stem_stride=model.config.stem_stride
            )
        return SmallEncoder(encoder.train().requires_grad_(True), size=config.size)
    if config.start == "hands":
        return encoder_pretraining.load(_pretraining(config)).requires_grad_(True)
    runtime.seed_everything(config.seed, NETWORK)
    try:
        return library_encoder(config.encoder, imagenet=config.start == "imagenet")
    except OSError as error:  # torchvision downloads the weights
        raise ConfigError(
            f"ImageNet's weights of {config.encoder} cannot be downloaded ({error}): go online, or start from hands"
        ) from None


def _pretraining(config: Config) -> encoder_pretraining.Config:
    return encoder_pretraining.Config.profile(config.pretraining, encoder=config.encoder, size=config.size)


def start_digest(config: Config) -> str:
    """Return what names the encoder's start: the committed network, or the hands that a library's has seen."""
    if config.start != "hands":
        return config.start
    if config.encoder == "small":
        return hashlib.sha256(pose_model.default_model().read_bytes()).hexdigest()
    return encoder_pretraining.data_sha256(_pretraining(config))


def trained(
    config: Config, model: HandModel, learned: ModelledHands, record: Path
) -> tuple[HandMeshRecovery, list[dict[str, float]]]:
    """Return the network trained on these hands, in evaluation mode, and its history.

    ``record`` names the folder of the run. A frozen encoder's features are computed once: nothing moves the
    pictures either.
    """
    device = runtime.best_device()
    network = build(config).to(device, memory_format=torch.channels_last)
    labels = labels_of(learned).to(device)
    images = torch.from_numpy(np.ascontiguousarray(learned.image)).to(device)
    loss = loss_of(config, model.to(device))
    how = dict(folder=folder(config, learned, record), seed=config.seed, title=config.label)
    if config.frozen:
        history = fit(network.regressor, loss, features(network, images), labels, recipe(config), **how)
    else:
        history = fit(network, loss, images, labels, recipe(config), augment=_as_input, **how)
    return network.eval(), history


def _as_input(images: Tensor, labels: HandLabels) -> tuple[Tensor, HandLabels]:
    return to_input(images).contiguous(memory_format=torch.channels_last), labels


@torch.inference_mode()
def features(network: HandMeshRecovery, images: Tensor) -> Tensor:
    """Return the encoder's features [N, C] of pictures uint8 [N, 3, S, S], batch by batch."""
    network.eval()
    batches = tqdm(images.split(BATCH), "features", leave=False)
    return torch.cat([network.encoder(_as_input(batch, None)[0]) for batch in batches]).clone()


@torch.inference_mode()
def estimates(network: HandMeshRecovery, image: np.ndarray) -> Tensor:
    """Return the parameters after each iteration, [T, N, 61], of pictures uint8 [N, 3, S, S], on the CPU."""
    device = next(network.parameters()).device
    batches = torch.from_numpy(np.ascontiguousarray(image)).split(BATCH)
    return torch.cat(
        [network(_as_input(batch.to(device), None)[0]).cpu() for batch in batches], dim=1
    ).clone()


def labels_of(modelled: ModelledHands) -> HandLabels:
    """Return what the loss compares with; parameters and outlines are NaN or absent where nobody knows them."""
    return HandLabels.of(modelled)


def loss_of(config: Config, model: HandModel) -> HandModelLoss:
    """Return the loss of a configuration (Komorowicz 2018, equation 6.1 with w = 100, and the repairs)."""
    return HandModelLoss(
        model,
        shape_weight=config.shape_weight,
        fingertips=config.fingertips,
        limits_weight=config.limits_weight,
        person_weight=config.person_weight,
        truth_weight=config.truth_weight,
        silhouette_weight=config.silhouette_weight,
    )


def recipe(config: Config) -> Recipe:
    """Return how every configuration is trained; the document gives no optimiser and no rate."""
    return Recipe(
        epochs=config.epochs,
        batch_size=config.batch_size,
        optimizer="adamw",
        schedule="one_cycle",
        lr_max=config.lr_max,
        lr_min=1e-6,
        warmup_epochs=config.epochs / 8,
        weight_decay=0.01,
    )


def folder(config: Config, learned: ModelledHands, record: Path) -> Path:
    """Return where a run leaves its checkpoints and weights: other code or other hands have another place."""
    code, start = results.source_hash(__name__)[:8], start_digest(config)[:8]
    return paths.RUNS / "hand_from_picture" / f"{record.stem}-{code}-{learned.sha256[:8]}-{start}"
