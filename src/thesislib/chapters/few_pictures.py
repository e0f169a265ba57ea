"""Few pictures: what can stop a head from learning anything from about 1,300 of them?

Ignatiev 2019, section 3.3.1: trained on one frame a video of the RWTH set, neither the siamese embedding (figure
3.21) nor a plain classifier learned. That set is not to be had here, so as many invented people spell the same 30
static handshapes twice. Whatever could have been at fault is changed one at a time, on stored features. Two
controls say how to read the result: letters handed out at random, which nothing can learn, and fifty pictures,
which anything that works learns by heart.
"""

import hashlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.decomposition import PCA
from tqdm.auto import tqdm

from thesislib import hand_features, pose_model, results, runtime
from thesislib.chapters import hand_sets
from thesislib.chapters.head_conditions import LOSSES, Condition, dropout, guessing_loss, split_of, train
from thesislib.chapters.letter_heads import feature_views, outputs
from thesislib.config import ConfigError, ExperimentConfig, unknown
from thesislib.datasets import spelled_hands
from thesislib.datasets.letter_images import LetterImages
from thesislib.evaluation.readers import READERS
from thesislib.evaluation.signers import accuracy
from thesislib.transforms.failed_crops import failed_crops

EXPERIMENT = "few_pictures"
FIRST_SIGNER = 6_000_000  # far from those of every other set
CHANNELS = 128  # of the pose encoder
BY_HEART_LETTERS, BY_HEART_EACH = 10, 5  # fifty pictures
PASSES = 10  # through them an epoch
# Streams of random numbers besides those of heads, views and splits
SHUFFLE, FAILURES, FIFTY = 2_000_001, 2_000_002, 2_000_003

USUAL = "usual"
CONDITIONS = {
    USUAL: Condition(),
    # "high-probability dropout at every layer" (section 3.3.1)
    "no_dropout": dropout(0.0),
    "dropout_50": dropout(0.5),
    "dropout_75": dropout(0.75),
    "dropout_90": dropout(0.9),
    "dropout_75_longer": dropout(0.75, times=3),
    # the rate and the batch of section 3.1.2, meant for more pictures
    "rate_10": Condition(lr_max=0.1),
    "rate_1": Condition(lr_max=0.01),
    "batch_1024": Condition(batch_size=1024),
    "all_at_once": dropout(0.5, lr_max=0.1, batch_size=1024),
    # the pictures and what is made of them
    "failed_crops_10": Condition(failed_crops=0.1),
    "failed_crops_30": Condition(failed_crops=0.3),
    "spatial": Condition(feature="spatial"),
    "by_signer": Condition(by_signer=True),
    "shuffled_letters": Condition(shuffled=True),
}
# measured with every seed, the others with the first
MAIN = (USUAL, "dropout_50", "dropout_75", "batch_1024")


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """The dual-path head under each condition, with the thesis's pairwise loss and as a plain classifier.

    ``thesis run few_pictures --profile full`` takes a laptop's core about five minutes.
    """

    signers: int = 20
    clips: int = 2  # of each letter by each signer, one picture of each: the set's two cameras
    size: int = 64
    conditions: tuple[str, ...] = tuple(CONDITIONS)
    epochs: int = 20
    views: int = 3  # of each picture, the first as it is and the others augmented
    seeds: int = 3  # of split and head, from `seed` on
    by_heart: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)  # dropout of the heads that learn fifty pictures

    profiles: ClassVar = {
        "smoke": dict(
            signers=2, conditions=(USUAL, "dropout_75"), epochs=1, views=1, seeds=1, by_heart=(0.0,)
        ),
        "quick": dict(signers=6, conditions=(USUAL, "dropout_75"), views=2, seeds=1, by_heart=(0.0,)),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.conditions:
            if name not in CONDITIONS:
                raise ConfigError(unknown("condition", name, CONDITIONS))
        if self.signers < 2 or self.clips < 1:
            raise ConfigError(
                f"it takes two signers and a clip of each letter, not {self.signers}, {self.clips}"
            )


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{config.signers}-signers-seed{config.seed}")
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def letters_of(config: Config) -> LetterImages:
    """Return the German handshapes by invented signers, one picture a clip."""
    people = range(FIRST_SIGNER, FIRST_SIGNER + config.signers)
    return spelled_hands.invented(
        people, kind="german", clips_per_letter=config.clips, frames_per_clip=1, size=config.size
    )


def data_sha256(config: Config) -> str:
    """Return the digest of the tables and numbers that draw the pictures and of the pose network's weights."""
    numbers = (hand_sets.digest(), FIRST_SIGNER, config.signers, config.clips, config.size)
    return hashlib.sha256(repr(numbers).encode() + pose_model.default_model().read_bytes()).hexdigest()


@dataclass(frozen=True)
class Views:
    """A set's pictures as features [V, N, D] in V views, and those [V, F, D] of the rows whose crops fail first."""

    letter: np.ndarray
    signer: np.ndarray
    spatial: np.ndarray
    failed: np.ndarray
    failed_rows: np.ndarray

    def under(self, condition: Condition, train: np.ndarray) -> np.ndarray:
        """Return what a head sees of all pictures, [V, N, 128]; what is fitted, is fitted on the train rows."""
        count = round(condition.failed_crops * len(self.letter))
        x = self.spatial
        if count:
            x = x.copy()
            x[:, self.failed_rows[:count]] = self.failed[:, :count]
        if condition.feature == "pooled":
            return x.reshape(*x.shape[:2], CHANNELS, -1).mean(axis=-1)
        components = PCA(min(CHANNELS, len(train)), random_state=0).fit(x[0][train])
        return np.stack([components.transform(view) for view in x]).astype(np.float32)


def views_of(config: Config, data: LetterImages) -> Views:
    """Return a set's pictures as the committed pose network sees them, and as many failed crops as asked for."""
    network = pose_model.load(pose_model.default_model()).network.to(runtime.best_device())

    def views(image: np.ndarray, left: np.ndarray) -> np.ndarray:
        return feature_views(
            lambda pictures: hand_features.spatial(network, pictures),
            hand_features.as_right_hands(image, left),
            count=config.views,
            seed=config.seed,
        )

    spatial = views(data.image, data.left)
    random = np.random.RandomState([config.seed, FAILURES])
    most = max(CONDITIONS[name].failed_crops for name in config.conditions)
    rows = random.permutation(len(data))[: round(most * len(data))]
    failed = spatial[:, rows]
    if len(rows):
        finger = random.randint(-5, 5, size=len(rows))  # as many empty crops as fingers
        failed = views(failed_crops(data.image[rows], data.keypoints[rows], finger), data.left[rows])
    return Views(data.letter, data.signer, spatial, failed, rows)


def measured(
    condition: Condition, views: Views, *, num_letters: int, epochs: int, seed: int
) -> dict[str, Any]:
    """Return what both losses make of a condition, and what shrunk LDA and 1-NN do without a head.

    Accuracies are top-1, micro, of the test pictures; the embedding is read by the thesis's rule, eq. 3.24.
    """
    letter = views.letter
    if condition.shuffled:
        letter = np.random.RandomState([seed, SHUFFLE]).permutation(letter)
    split = split_of(condition, views.signer, seed)
    x = views.under(condition, split.train)
    known, asked = letter[split.train], letter[split.test]

    def top1(reader: str, features: np.ndarray) -> float:
        scores = READERS[reader](features[split.train], known, features[split.test], num_letters)
        return accuracy(scores, asked)["top1_micro"]

    found: dict[str, Any] = {"linear_top1": top1("shrunk_lda", x[0]), "nearest_top1": top1("max", x[0])}
    for name in LOSSES:
        head = train(
            condition,
            name,
            x,
            letter,
            split.train,
            split.test,
            num_letters=num_letters,
            epochs=epochs,
            seed=seed,
        )
        y = outputs(head.network, x[0])
        right = top1("max", y) if name == "pairwise" else accuracy(y[split.test], asked)["top1_micro"]
        found[name] = {
            "top1": right,
            "guessing_loss": guessing_loss(name, asked, num_letters),
            "train_loss": [row["loss"] for row in head.history],
            "test_loss": [row["test_loss"] for row in head.history],
        }
        if name == "pairwise":
            found[name]["alpha_squared"] = head.loss.alpha.item() ** 2
    return found


def by_heart(
    rate: float, loss_name: str, views: Views, *, num_letters: int, epochs: int, seed: int
) -> dict[str, float]:
    """Return how well a head with this dropout everywhere learns fifty pictures that it is then asked about.

    Ten letters, five pictures each or as many as there are, not augmented. The embedding is read by the nearest
    other picture.
    """
    random = np.random.RandomState([seed, FIFTY])
    letters = random.permutation(np.unique(views.letter))[:BY_HEART_LETTERS]
    of_letter = [random.permutation(np.flatnonzero(views.letter == name)) for name in letters]
    rows = np.concatenate([rows[:BY_HEART_EACH] for rows in of_letter])
    condition = Condition(layer_dropout=rate, last_dropout=rate, batch_size=len(rows))
    x = views.under(condition, rows)[:1]
    head = train(
        condition,
        loss_name,
        x,
        views.letter,
        np.tile(rows, PASSES),
        rows,
        num_letters=num_letters,
        epochs=epochs,
        seed=seed,
    )
    y, letter = outputs(head.network, x[0, rows]), views.letter[rows]
    if loss_name == "pairwise":
        similar = y @ y.T
        np.fill_diagonal(similar, -np.inf)
        right = letter[similar.argmax(axis=1)] == letter
    else:
        right = y.argmax(axis=1) == letter
    return {
        "pictures": len(rows),
        "top1": float(right.mean()),
        "loss": head.history[-1]["test_loss"],
        "guessing_loss": guessing_loss(loss_name, letter, num_letters),
    }


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    data = letters_of(config)
    views = views_of(config, data)
    how = {"num_letters": len(data.letters), "epochs": config.epochs}
    seeds = range(config.seed, config.seed + config.seeds)
    rows = {
        name: {
            "changed": {
                key: value
                for key, value in asdict(CONDITIONS[name]).items()
                if value != getattr(CONDITIONS[USUAL], key)
            },
            "seeds": [
                measured(CONDITIONS[name], views, seed=seed, **how)
                for seed in (seeds if name in MAIN else seeds[:1])
            ],
        }
        for name in tqdm(config.conditions, desc="conditions", unit=" conditions")
    }
    learned = {
        f"{rate:g}": {name: by_heart(rate, name, views, seed=config.seed, **how) for name in LOSSES}
        for rate in tqdm(config.by_heart, desc="by heart", unit=" rates")
    }
    sha256 = data_sha256(config)
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=hand_sets.data_entry(sha256, data.source),
        split={"signers": list(data.signers), "weights": pose_model.default_model().name},
        metrics={
            "images": len(data),
            "train_images": len(split_of(Condition(), data.signer, config.seed).train),
            "letters": list(data.letters),
            "chance": 1 / len(data.letters),
            "rows": rows,
            "by_heart": learned,
        },
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )
