"""Training S3D-MobileNetV3 on clips of signs: what can be asked for, and how it is made (Izutov 2020, section III).

The document's ablation adds one mechanism after another. So a `Config` names a rung of that ladder, which has all
below it, and one run is one rung; what a trained network is worth is measured in `signs_in_video`.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from thesislib import paths, results, runtime
from thesislib.chapters import sign_starts
from thesislib.chapters.sign_answers import as_shown, segments, settle
from thesislib.chapters.sign_sets import GESTURES, SIGNS, InventedSigns, people
from thesislib.config import ConfigError, ExperimentConfig
from thesislib.datasets.sign_clips import SignClips
from thesislib.evaluation.streams import WINDOW
from thesislib.losses.sign_metric import SignMetricLoss
from thesislib.networks.sign_video import TABLE_I, Row, S3DMobileNetV3
from thesislib.networks.video_layers import GaussianDropout
from thesislib.synthetic.backgrounds import draw_background
from thesislib.synthetic.sign_words import VOCABULARIES
from thesislib.training import Recipe, fit
from thesislib.transforms.clips import ClipAugmentation

NETWORK = (
    1_000_000  # the stream of random numbers that weights come from; epochs have (seed, 0), (seed, 1), ...
)
# The rows of table II in their order. Each has what the rows above it have.
LADDER = (
    "am_softmax",
    "temporal_jitter",
    "dropout",
    "continuous_dropout",
    "push_losses",
    "pr_product",
    "mixup",
    "attention",
    "tv_loss",
)
SCALE_FALLS = 40 / 30  # the scale falls for 40 epochs, of which about 30 are trained
PICTURES = 256  # backgrounds to mix clips with, in the place of ImageNet's pictures


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """One row of the document's ablation (Izutov 2020, table II), on signs that invented people sign.

    ``thesis run signs_in_video --profile full`` is the document's network on frames of 224 pixels and wants a GPU.
    ``-p size 64 -p width 0.5 -p start signs -p epochs 6`` takes a laptop's core about ten minutes; frames of 32
    pixels are too small to learn from.
    """

    rung: Literal[(*LADDER, "repository")] = "tv_loss"  # "repository": the last, as in its author's code
    shown: Literal["clip", "shuffled", "still"] = "clip"  # frames in order, out of order, or one for all
    start: Literal[sign_starts.STARTS] = sign_starts.SCRATCH
    vocabulary: Literal[(SIGNS, GESTURES)] = GESTURES
    words: int = 100  # the first of the vocabulary
    subset: int = 20  # the first of them are also asked about alone
    signers: int = 7
    takes: int = 3  # clips of each word by each of them
    validation_signers: int = 4  # a clip a word each: the course of training, and the threshold for streams
    test_signers: int = 10
    test_takes: int = 1
    frames: int = 24  # of a clip: the sign, and a little before and after it
    size: int = 224
    width: float = 1.0  # factor of the channels
    epochs: int = 30
    batch_size: int = 28  # the document: two GPUs with 14 clips each
    lr_max: float = 2e-3
    streams: int = 10  # one signer each
    stream_signs: int = 12
    stream_step: int = 1  # frames from window to window

    profiles: ClassVar = {
        "smoke": dict(words=4, subset=2, signers=2, takes=2, validation_signers=1, test_signers=1)
        | dict(
            test_takes=1,
            size=32,
            width=0.25,
            epochs=1,
            batch_size=8,
            streams=1,
            stream_signs=2,
            stream_step=4,
        ),
        "quick": dict(start="signs", vocabulary="gestures", words=12, subset=4, signers=6, takes=1)
        | dict(validation_signers=2, test_signers=6, test_takes=1, size=64, width=0.5, epochs=8, batch_size=8)
        | dict(streams=2, stream_signs=6, stream_step=2),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.subset <= self.words:
            raise ConfigError(f"subset must be from 2 to the {self.words} words, not {self.subset}")
        if self.words > VOCABULARIES[self.vocabulary]:
            raise ConfigError(
                f"words must be {VOCABULARIES[self.vocabulary]} or less: {self.vocabulary} has no more"
            )
        if self.start == sign_starts.IMAGENET and self.width != 1:
            raise ConfigError(
                "ImageNet's weights fit a network of width 1 only: set width 1, or start scratch"
            )
        if self.size < 32 or self.size % 32 or self.frames < WINDOW:
            raise ConfigError(
                f"size must be a multiple of 32 and frames at least {WINDOW}, not {self.size} and {self.frames}"
            )
        counts = ("signers", "takes", "validation_signers", "test_signers", "test_takes", "epochs", "streams")
        for name in (*counts, "stream_signs", "stream_step"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be positive, not {getattr(self, name)}")
        if self.streams > self.test_signers:
            raise ConfigError(
                f"streams must be at most the {self.test_signers} test_signers, not {self.streams}"
            )
        if self.batch_size < 2 or self.width <= 0:
            raise ConfigError("batch_size must be at least 2, as batch norm needs, and width above 0")

    @property
    def mechanisms(self) -> frozenset[str]:
        """What of the ladder this run has; the author's own code has all of it."""
        last = LADDER[-1] if self.rung == "repository" else self.rung
        return frozenset(LADDER[: LADDER.index(last) + 1])

    @property
    def is_kept(self) -> bool:
        """Whether the network is committed for others to start from: the first rung's, of the small vocabulary."""
        plain = self.rung == LADDER[0] and self.start == sign_starts.SCRATCH and self.shown == "clip"
        return self.profile_name == "full" and plain and self.vocabulary == SIGNS and self.seed == 0

    @property
    def label(self) -> str:
        """What the configuration is, in words that a file's name can hold."""
        usual = (sign_starts.SCRATCH, "clip")
        words = [self.rung, *(word for word in (self.start, self.shown) if word not in usual)]
        return "-".join([*words, f"{self.words}_{self.vocabulary}", f"{self.size}px", f"seed{self.seed}"])


def parts(config: Config) -> dict[str, InventedSigns]:
    """Return the clips that are learned from, watched and asked about, by part; no signer is in two.

    Signers are others than those whom the start has seen, which are in no part.
    """
    counts = dict(train=config.signers, validation=config.validation_signers, test=config.test_signers)
    before = {"start": len(sign_starts.taught_by(config.start))}
    who = people(**before, **counts)
    takes = {"train": config.takes, "validation": 1, "test": config.test_takes}
    return {
        part: InventedSigns(
            config.vocabulary, config.words, who[part], takes[part], config.frames, config.size
        )
        for part in counts
    }


def build(config: Config) -> S3DMobileNetV3:
    """Return the untrained network of a rung, with what its start has learned."""
    runtime.seed_everything(config.seed, NETWORK)
    has = config.mechanisms
    network = S3DMobileNetV3(attention="attention" in has, dropout=dropout(has), rows=rows(config.width))
    sign_starts.begin(network, config.start)
    return network


def dropout(has: frozenset[str]) -> nn.Module | None:
    """Return the layer of these mechanisms at the end of every bottleneck; the document gives no share."""
    if "continuous_dropout" in has:
        return GaussianDropout()
    return nn.Dropout(0.1) if "dropout" in has else None


def rows(width: float) -> tuple[Row, ...]:
    """Return table I with a factor on its channels, in steps of 8; the first bottleneck stays as it is."""

    def scaled(channels: int) -> int:
        return max(8, round(width * channels / 8) * 8)

    first, *others = TABLE_I
    return first, *(replace(row, inside=scaled(row.inside), out=scaled(row.out)) for row in others)


def loss_of(config: Config) -> SignMetricLoss:
    """Return the loss of a rung, with a centre a word."""
    runtime.seed_everything(config.seed, NETWORK + 1)
    has = config.mechanisms
    push = float("push_losses" in has)
    return SignMetricLoss(
        config.words,
        preset="repository" if config.rung == "repository" else "paper",
        scale_epochs=SCALE_FALLS * config.epochs,
        pr_product="pr_product" in has,
        sample_push_weight=push,
        centre_push_weight=push,
        total_variation_weight=0.1 * ("tv_loss" in has),
    )


def augmentation(config: Config) -> ClipAugmentation:
    """Return what is done to clips while training; without temporal jitter a window holds the sign, or is in it."""
    has = config.mechanisms
    theirs = dict(rotation=10.0, mirror=True) if config.rung == "repository" else {}
    return ClipAugmentation(
        length=WINDOW,
        min_intersection=0.6 if "temporal_jitter" in has else 1.0,
        pictures=pictures(config.size) if "mixup" in has else None,
        **theirs,
    )


def pictures(size: int) -> Tensor:
    """Return the backgrounds of invented rooms, uint8 [PICTURES, 3, size, size]."""
    key = torch.arange(PICTURES) + 10**9  # no room that a clip was taken in
    light = torch.cat([draw_background(some, size, torch.ones(len(some))) for some in key.split(32)])
    return (255 * light.clamp(0, 1) ** (1 / 2.2)).round().to(torch.uint8)


class Learner(nn.Module):
    """A network that gives its masks along with its embeddings, as the loss wants them."""

    def __init__(self, network: S3DMobileNetV3) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.network.with_masks(x)


def trained(
    config: Config,
    clips: SignClips,
    record: Path,
    watch: Callable[[S3DMobileNetV3, SignMetricLoss], dict[str, float]] | None = None,
) -> tuple[S3DMobileNetV3, SignMetricLoss, list[dict[str, float]]]:
    """Return the network trained on these clips, in evaluation mode, its loss with the words' centres, and history.

    ``record`` names the folder of the run; ``watch`` is asked after each epoch what else the history shall note.
    In the end batch norm's statistics are measured anew on the clips themselves (`sign_answers.settle`).
    """
    device = runtime.best_device()
    learner, loss = Learner(build(config)).to(device), loss_of(config).to(device)
    augment = augmentation(config)

    def changed(frames: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        x, word = augment(frames, targets)
        return as_shown(x, config.shown), word

    def after_epoch(learner: nn.Module) -> dict[str, float]:
        loss.start_epoch(float(loss.epoch) + 1)  # a buffer, so that a resumed run goes on where it was
        return watch(learner.network, loss) if watch else {}

    history = fit(
        learner,
        loss,
        frames_of(clips).to(device),
        targets_of(clips).to(device),
        recipe(config),
        folder=folder(config, clips, record),
        seed=config.seed,
        augment=changed,
        evaluate=after_epoch,
        title=config.label,
    )
    runtime.seed_everything(config.seed, NETWORK + 2)
    settle(learner.network, segments(clips), config.batch_size, config.shown)
    return learner.network, loss.eval(), history


def frames_of(clips: SignClips) -> Tensor:
    """Return the frames uint8 [N, T, 3, S, S]; on the CPU they stay where they are mapped from."""
    with warnings.catch_warnings():  # torch cannot mark what must not be written to; nothing here writes
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(clips.frame)


def targets_of(clips: SignClips) -> Tensor:
    """Return word, first frame of the sign and one past its last, int64 [N, 3]."""
    return torch.stack([torch.from_numpy(column) for column in (clips.label, clips.begin, clips.end)], dim=1)


def recipe(config: Config) -> Recipe:
    """Return how every rung is trained: AdamW and one cycle, the recipe of the other chapters.

    The document's SGD with one drop of the rate starts from weights of ImageNet and Kinetics-700, and it says that
    training does not converge without (section III-E). Its warm-up takes 5 of about 30 epochs, as here.
    """
    return Recipe(
        epochs=config.epochs,
        batch_size=config.batch_size,
        optimizer="adamw",
        schedule="one_cycle",
        lr_max=config.lr_max,
        lr_min=1e-6,
        warmup_epochs=config.epochs / 6,
        weight_decay=0.01,
    )


def folder(config: Config, clips: SignClips, record: Path) -> Path:
    """Return where a run leaves its checkpoints and weights: other code or other clips have another place."""
    code = results.source_hash(__name__)[:8]
    return paths.RUNS / "signs_in_video" / f"{record.stem}-{code}-{clips.sha256[:8]}"
