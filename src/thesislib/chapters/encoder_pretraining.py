"""Encoders that have seen hands before: torchvision's networks, taught the letters of invented signers.

Komorowicz 2018, section 6.3, starts from ImageNet's weights. They are another project's to give and a download;
here "pretrained" means on this project's own hands: 24 letters to tell apart, as ImageNet has a thousand things.
"""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from thesislib import paths, results, runtime
from thesislib.chapters import letter_network
from thesislib.chapters.hand_sets import data_entry, digest, generator_hash
from thesislib.chapters.letter_heads import LetterAugmentation
from thesislib.config import ExperimentConfig
from thesislib.evaluation.signers import accuracy
from thesislib.hand_features import as_right_hands
from thesislib.networks.blocks import count_parameters
from thesislib.networks.hand_encoders import HandEncoder, library_encoder
from thesislib.training import Recipe, fit
from thesislib.transforms.hands import to_input

EXPERIMENT = "encoder_pretraining"
LETTERS = len(letter_network.STATIC)


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """A library's encoder that learns 24 letters from invented signers, and is asked about others.

    ``thesis run encoder_pretraining --profile full`` takes a laptop's core about ten minutes.
    """

    encoder: Literal["resnet50", "densenet121", "inception_v3"] = "resnet50"
    hands: int = 12_000
    signers: int = 800
    test_hands: int = 1_200
    test_signers: int = 50  # others than those that train
    size: int = 64
    epochs: int = 2
    batch_size: int = 32
    lr_max: float = 5e-4

    profiles: ClassVar = {
        "smoke": dict(hands=64, signers=4, test_hands=24, test_signers=2, epochs=1, batch_size=32),
        "quick": dict(hands=2_400, signers=64, test_hands=480, test_signers=16, epochs=2),
        "full": {},
    }


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{config.encoder}-{config.hands}-hands-seed{config.seed}")
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def load(config: Config) -> HandEncoder:
    """Return the trained encoder of a configuration; it is trained now where its weights are not here.

    The weights, up to 94 MB, are not committed: they lie where runs leave theirs. Raises RecordError where their
    file is damaged.
    """
    if not _weights(config).exists():
        _trained(config)
    network = build(config)
    try:
        state = load_file(_weights(config))
        network.load_state_dict(
            {name.removeprefix("network."): t for name, t in state.items() if name.startswith("network.")}
        )
    except (OSError, SafetensorError, RuntimeError) as error:
        raise results.RecordError(
            f"{_weights(config)} holds no weights of this encoder ({error}): delete it and run again"
        ) from None
    return network[0]


def build(config: Config) -> nn.Sequential:
    """Return the untrained encoder and a linear reader of letters."""
    runtime.seed_everything(config.seed, letter_network.NETWORK)
    encoder = library_encoder(config.encoder)
    return nn.Sequential(encoder, nn.Linear(encoder.num_features, LETTERS))


def data_sha256(config: Config) -> str:
    """Return the digest of what is learned from: the hands' tables and numbers."""
    numbers = (digest(), config.hands, config.signers, config.test_hands, config.test_signers)
    return hashlib.sha256(repr(numbers).encode()).hexdigest()


def _letters(config: Config) -> letter_network.Config:
    return letter_network.Config(
        hands=config.hands,
        signers=config.signers,
        test_hands=config.test_hands,
        test_signers=config.test_signers,
        size=config.size,
    )


def _folder(config: Config) -> Path:
    code, data = results.source_hash(__name__)[:8], data_sha256(config)[:8]
    return paths.RUNS / EXPERIMENT / f"{record_path(config).stem}-{code}-{data}-{generator_hash()[:8]}"


def _weights(config: Config) -> Path:
    return _folder(config) / "weights.safetensors"


def _trained(config: Config) -> tuple[nn.Sequential, list[dict[str, float]]]:
    device = runtime.best_device()
    network = build(config).to(device, memory_format=torch.channels_last)
    train = letter_network.hands(_letters(config), "train")
    images = torch.from_numpy(as_right_hands(train.image, train.left)).to(device)
    letter = torch.from_numpy(letter_network.letter_places(train.letter)).to(device)
    augmentation = LetterAugmentation()

    def augment(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return to_input(augmentation(x)).contiguous(memory_format=torch.channels_last), y

    recipe = Recipe(
        epochs=config.epochs,
        batch_size=config.batch_size,
        optimizer="adamw",
        schedule="one_cycle",
        lr_max=config.lr_max,
        lr_min=1e-5,
        warmup_epochs=config.epochs / 8,
        weight_decay=0.05,
    )
    history = fit(
        network,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        images,
        letter,
        recipe,
        folder=_folder(config),
        seed=config.seed,
        augment=augment,
        title=f"letters, {config.encoder}",
    )
    return network.eval(), history


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    network, history = _trained(config)
    test = letter_network.hands(_letters(config), "test")
    scores = letter_network.logits(network, as_right_hands(test.image, test.left))
    right = np.asarray(letter_network.letter_places(test.letter))
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=data_entry(data_sha256(config), "static letters of the American alphabet"),
        split={
            part: {"signers": [who.start, who.stop], "hands": count}
            for part, count in (("train", config.hands), ("test", config.test_hands))
            for who in (letter_network.signer_range(_letters(config), part),)
        },
        metrics={
            "history": {name: [row[name] for row in history] for name in history[0]},
            "unseen_invented_signers": accuracy(scores, right),
            "chance": 1 / LETTERS,
            "parameters": count_parameters(network[0]),
        },
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )
