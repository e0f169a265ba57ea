"""A network that knows letters before it meets a signer: the pose network, taught the letters of invented hands.

Ignatiev 2019 names synthetic fingerspelling as future work (its last chapter). Chapter 2's encoder goes on
learning from letters that people without a face sign, and is frozen then: no photograph of anybody is used.
"""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from torch import Tensor, nn

from thesislib import paths, pose_model, results, runtime
from thesislib.chapters.hand_sets import FIRST_SIGNER, SEEDS, data_entry, digest, generator_hash
from thesislib.chapters.letter_heads import LetterAugmentation
from thesislib.config import ExperimentConfig
from thesislib.datasets.hand_images import HandImages
from thesislib.datasets.rendered_hands import rendered
from thesislib.evaluation.signers import accuracy
from thesislib.files import write_whole
from thesislib.hand_features import as_right_hands
from thesislib.networks.blocks import count_parameters
from thesislib.networks.letter_network import LetterNetwork
from thesislib.networks.pose import PoseEncoder
from thesislib.synthetic import scene
from thesislib.training import Recipe, fit
from thesislib.transforms.hands import to_input

EXPERIMENT = "letter_network"
STATIC = "abcdefghiklmnopqrstuvwxy"  # J and Z are motions
NETWORK = (
    1_000_000  # the stream of random numbers that weights come from; epochs have (seed, 0), (seed, 1), ...
)
BATCH = 256


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """An encoder of figure 3.1 that learns 24 letters from invented signers alone, and is asked about others.

    ``thesis run letter_network --profile full`` takes a laptop's core about a quarter of an hour.
    """

    start: Literal["pose", "scratch"] = "pose"  # the committed pose network's encoder, or the same untrained
    hands: int = 24_000
    signers: int = 800
    test_hands: int = 1_200
    test_signers: int = 50  # others than those that train
    size: int = 64
    supersample: int = 1
    epochs: int = 4
    batch_size: int = 64
    lr_max: float = 2e-3

    profiles: ClassVar = {
        "smoke": dict(hands=96, signers=4, test_hands=48, test_signers=2, epochs=1, batch_size=32),
        "quick": dict(hands=2_400, signers=64, test_hands=480, test_signers=16, epochs=3),
        "full": {},
    }


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{config.start}-{config.hands}-hands-seed{config.seed}")
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def weights_path(config: Config) -> Path:
    """Return the file of the trained network's weights; those of the profile full are committed."""
    if config.profile_name == "full":
        return paths.WEIGHTS / f"letters-{record_path(config).stem}.safetensors"
    return _folder(config) / "letters.safetensors"  # beside those that fit() keeps, which have the loss's too


def load(config: Config) -> LetterNetwork:
    """Return the trained network of a configuration, frozen; it is trained now where its weights are not here.

    Raises RecordError where its file is damaged or made for another network.
    """
    run(config)
    if not weights_path(config).exists():
        _trained(config)
    network = build(config)
    try:
        network.load_state_dict(load_file(weights_path(config)))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise results.RecordError(
            f"{weights_path(config)} holds no weights of this network ({error}): delete it and run again"
        ) from None
    return network.eval().requires_grad_(False).to(runtime.best_device())


def stored() -> Config:
    """Return the configuration of the committed network that starts from the pose network."""
    config = results.stored_config(EXPERIMENT, Config, start="pose", seed=0)
    if config is None:
        raise results.RecordError(
            "no letter network is stored; make one with `thesis run letter_network --profile full`"
        )
    return config


def build(config: Config) -> LetterNetwork:
    """Return the untrained network: the pose network's encoder, or a new one of its size."""
    model = pose_model.load(pose_model.default_model())
    runtime.seed_everything(config.seed, NETWORK)
    encoder = model.network.encoder
    if config.start == "scratch":
        encoder = PoseEncoder(
            width=model.config.width, depth=model.config.depth, stem_stride=model.config.stem_stride
        )
    return LetterNetwork(encoder, len(STATIC), size=config.size)


def hands(config: Config, part: Literal["train", "test"]) -> HandImages:
    """Return the letters of a part, left hands among them; what is not rendered yet is rendered and kept."""
    count = {"train": config.hands, "test": config.test_hands}[part]
    return rendered(
        "letters",
        SEEDS[part],
        count,
        folder=paths.CACHE / "hands",
        generate=scene.generate,
        size=config.size,
        code=generator_hash(),
        signers=signer_range(config, part),
        supersample=config.supersample,
    )


def signer_range(config: Config, part: Literal["train", "test"]) -> range:
    """Return the numbers of the invented signers of a part."""
    first = FIRST_SIGNER[part]
    return range(first, first + {"train": config.signers, "test": config.test_signers}[part])


def letter_places(letter: np.ndarray) -> np.ndarray:
    """Return places among the 24 static letters for places in the Latin alphabet, int64 [N]."""
    latin = np.full(26, -1)
    latin[[ord(name) - ord("a") for name in STATIC]] = np.arange(len(STATIC))
    return latin[letter]


def data_sha256(config: Config) -> str:
    """Return the digest of what is learned from: the hands' tables and numbers, and the network it starts from."""
    start = pose_model.default_model().read_bytes() if config.start == "pose" else b""
    numbers = (digest(), config.hands, config.signers, config.test_hands, config.test_signers)
    return hashlib.sha256(repr(numbers).encode() + start).hexdigest()


def _folder(config: Config) -> Path:
    code, data = results.source_hash(__name__)[:8], data_sha256(config)[:8]
    return paths.RUNS / EXPERIMENT / f"{record_path(config).stem}-{code}-{data}-{generator_hash()[:8]}"


def _trained(config: Config) -> tuple[nn.Module, list[dict[str, float]]]:
    """Return the network trained on the invented letters, and its history; its weights are written."""
    device = runtime.best_device()
    network = build(config).to(device, memory_format=torch.channels_last)
    train = hands(config, "train")
    images = torch.from_numpy(as_right_hands(train.image, train.left)).to(device)
    letter = torch.from_numpy(letter_places(train.letter)).to(device)
    augmentation = LetterAugmentation()

    def augment(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return to_input(augmentation(x)).contiguous(memory_format=torch.channels_last), y

    history = fit(
        network,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        images,
        letter,
        recipe(config),
        folder=_folder(config),
        seed=config.seed,
        augment=augment,
        title=f"letters, from {config.start}",
    )
    state = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    metadata = {"config": json.dumps(config.as_dict())}
    content = serialised(state, metadata)
    write_whole(weights_path(config), lambda temporary: temporary.write_bytes(content))
    return network.eval(), history


def recipe(config: Config) -> Recipe:
    """Return how it is trained: AdamW and one cycle, the best recipe of chapter 3."""
    return Recipe(
        epochs=config.epochs,
        batch_size=config.batch_size,
        optimizer="adamw",
        schedule="one_cycle",
        lr_max=config.lr_max,
        lr_min=1e-5,
        warmup_epochs=config.epochs / 8,
        weight_decay=0.05,
    )


def logits(network: nn.Module, image: np.ndarray) -> np.ndarray:
    """Return a network's logits of pictures uint8 [N, 3, S, S], batch by batch: float32 [N, C]."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        parts = [
            network(to_input(batch.to(device)).contiguous(memory_format=torch.channels_last)).cpu()
            for batch in torch.from_numpy(image).split(BATCH)
        ]
    return torch.cat(parts).float().numpy()


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    network, history = _trained(config)
    test = hands(config, "test")
    scores = logits(network, as_right_hands(test.image, test.left))
    metrics = {
        "history": {name: [row[name] for row in history] for name in history[0]},
        "unseen_invented_signers": accuracy(scores, letter_places(test.letter)),
        "chance": 1 / len(STATIC),
        "parameters": count_parameters(network),
    }
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=data_entry(data_sha256(config), "static letters of the American alphabet"),
        split={
            part: {"signers": [(who := signer_range(config, part)).start, who.stop], "hands": count}
            for part, count in (("train", config.hands), ("test", config.test_hands))
        },
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )
