"""Learning to compare: an embedding of some characters, asked about others (Ignatiev 2019, section 3.2)."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from thesislib import paths, results, runtime
from thesislib.chapters import looking_inside
from thesislib.chapters.character_stages import (
    BEST_AUGMENTATION,
    NETWORK,
    THESIS_AUGMENTATION,
    Characters,
    Embedding,
    ImageFunction,
    augmented_features,
    best_recipe,
    data_sha256,
    embed,
    five_views,
    head_recipe,
    position_in,
    score,
    thesis_recipe,
    train_classifier,
    train_head,
    unit_length,
    unit_pixels,
)
from thesislib.config import ExperimentConfig
from thesislib.datasets import glyphs, splits
from thesislib.evaluation.intervals import over_draws
from thesislib.evaluation.low_shot import RULES, cosine
from thesislib.losses.pairwise import PairwiseCosineLoss, PairwiseL1Loss
from thesislib.networks.embedding import EmbeddingHead
from thesislib.networks.glyph_classifier import GlyphClassifier, GlyphEncoder
from thesislib.networks.rival_classifiers import dual_path_encoder, resnet18_encoder
from thesislib.training import read_history

EXPERIMENT = "learning_to_compare"
NUM_UNSEEN = 9
SHOTS = (1, 5, 10, 25)
THESIS_HEAD = dict(f=10, depth=8)
TRAINING_CURVES = ("thesis_classifier", "best_classifier", "thesis_head")


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """One run of chapter 3: 40 classes seen, 9 unseen, the thesis's recipe beside the best one found.

    ``thesis run learning_to_compare --profile quick`` takes two to three minutes on one laptop core, on
    invented characters; ``--profile full -p dataset k49`` is the thesis's own size (30 s an epoch on its
    P100), where the thesis prints 94.7 % for the classifier and 87.7 % for nine unseen classes at ten prototypes.
    """

    dataset: Literal["invented", "k49", "k49_stand_in"] = "invented"
    class_split: int = 0  # 0 is the fixed split of 40 and 9 classes, 1 to 10 are drawn
    images_per_class: int | None = None  # training images a class at most; None takes all
    test_images_per_class: int | None = None
    width: float = 1.0  # channels, as a share of figure 3.7's
    stem_stride: int = 1  # 2 halves the resolution in the first layer
    best_features: int = 128  # pooled features of the best recipe's encoder; the thesis has 32
    batch_size: int = 1024
    thesis_epochs: int = 20
    best_epochs: int = 30
    head_epochs: int = 20
    head_views: int = 4  # augmented views of each image whose features a head is trained on
    draws: int = 100  # of the prototypes
    sweeps: Literal["none", "few", "all"] = "all"  # points of each property of the head; and the look inside
    rival_encoders: bool = False  # dual-path and ResNet-18 classifiers
    data_shares: tuple[float, ...] = ()  # of the training images, for the curve of accuracy against data

    profiles: ClassVar = {
        "smoke": dict(images_per_class=30, test_images_per_class=10, width=0.25, stem_stride=2)
        | dict(batch_size=64, thesis_epochs=2, best_epochs=2, head_epochs=2, head_views=2, draws=5)
        | dict(sweeps="few"),
        "quick": dict(images_per_class=90, test_images_per_class=30, width=0.5, stem_stride=2)
        | dict(batch_size=128, thesis_epochs=8, best_epochs=8, head_epochs=4, head_views=2, draws=40)
        | dict(sweeps="few"),
        "full": dict(dataset="k49", rival_encoders=True, data_shares=(0.05, 0.1, 0.25, 0.5)),
    }


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""

    return results.cached(
        record_path(config),
        config,
        __name__,
        lambda: _Run(config).record(),
        lambda: data_sha256(lambda: load(config)),
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; runs on invented characters are not committed."""
    label = f"{config.dataset}-split{config.class_split}-seed{config.seed}"
    committed = config.dataset != "invented" and config.profile_name == "full"
    return results.record_path(EXPERIMENT, results.record_name(config, label), committed=committed)


def arrays_path(config: Config) -> Path:
    """Return the file of arrays that the look inside draws, beside the record."""
    return record_path(config).with_suffix(".npz")


def load(config: Config) -> glyphs.GlyphDataset:
    """Return the data set of a configuration; raises DataError where files are missing or damaged."""
    return glyphs.load(
        config.dataset,
        paths.raw_data(),
        images_per_class=config.images_per_class,
        test_images_per_class=config.test_images_per_class,
    )


def rival_losses(num_classes: int, f: int) -> dict[str, nn.Module]:
    """Return today's metric losses, from pytorch-metric-learning with its defaults."""
    from pytorch_metric_learning import losses

    return {
        "contrastive": losses.ContrastiveLoss(),
        "multi_similarity": losses.MultiSimilarityLoss(),
        "supcon": losses.SupConLoss(),
        "proxy_anchor": losses.ProxyAnchorLoss(num_classes, f),
    }


class _Run:
    """The state that the steps of one run share: data, split, folder of checkpoints, metrics so far."""

    def __init__(self, config: Config) -> None:
        self.start = time.perf_counter()
        self.environment = (
            runtime.fingerprint()
        )  # of the code as the run starts, whatever is edited meanwhile
        self.config = config
        self.data = load(config)
        self.split = splits.class_split(len(self.data.classes), NUM_UNSEEN, config.class_split)
        train, test = self.data.train, self.data.test
        device = runtime.best_device()
        arrays = (train.image, train.label, test.image, test.label)
        self.all = Characters(*(torch.from_numpy(array).to(device) for array in arrays))
        self.seen = self.all.of(self.split.seen)
        self.seen_label = position_in(self.split.seen, self.seen.pool_label)  # [N], 0..39
        stem = record_path(config).stem
        self.folder = paths.RUNS / EXPERIMENT / f"{stem}-{results.source_hash(__name__)[:8]}"
        self.metrics: dict[str, Any] = {"embeddings": {}}

    def record(self) -> dict[str, Any]:
        """Train, measure and return the record."""
        config = self.config
        thesis, head, loss = self.thesis_system()
        best = self.best_system()
        if config.sweeps != "none":
            self.metrics["sweeps"] = self.sweeps()
            arrays, self.metrics["looking_inside"] = looking_inside.measure(
                self.all, self.split, thesis, head, loss, best, config.seed
            )
            results.write_arrays(arrays_path(config), arrays)
        if config.rival_encoders:
            self.rival_encoder("resnet18", resnet18_encoder)
            self.rival_encoder("dual_path", dual_path_encoder)
        for share in config.data_shares:
            part = self.classifier(f"data_{share:g}", self.new_encoder(), share=share)
            self.measure(f"data_{share:g}_features", *self.both(unit_length(part.encoder)))
        histories = {name: read_history(self.folder / name) for name in TRAINING_CURVES}
        self.metrics["training_loss"] = {n: [row["loss"] for row in rows] for n, rows in histories.items()}
        self.metrics["learning_rate"] = {n: [row["lr"] for row in rows] for n, rows in histories.items()}
        data, parts = self.data, self.all
        return results.make_record(
            EXPERIMENT,
            config,
            module=__name__,
            data=data.described()
            | {"classes": list(data.classes)}
            | {"train_images": len(parts.pool), "test_images": len(parts.query)},
            split={"seen": list(self.split.seen), "unseen": list(self.split.unseen)},
            metrics=self.metrics,
            published=published(config, self.metrics),
            environment=self.environment,
            wall_seconds=time.perf_counter() - self.start,
        )

    # The systems --------------------------------------------------------------------------------------

    def thesis_system(self) -> tuple[GlyphClassifier, EmbeddingHead, PairwiseCosineLoss]:
        """The thesis: a classifier, its features, the dual-path head on them; then one thing changed."""
        self.measure("pixels", *self.both(unit_pixels))
        thesis = self.classifier("thesis_classifier", self.new_encoder())
        self.set_features(thesis.encoder)
        self.measure("thesis_features", *(normalize(part, dim=1) for part in self.features))
        head, loss = self.new_head(), PairwiseCosineLoss()
        embedding = self.head_embedding("thesis_head", head, loss)
        self.add("thesis_head", replace(embedding, rules=RULES), confusion=True)
        self.metrics["thesis_alpha"], self.metrics["thesis_beta"] = loss.alpha.item(), loss.beta.item()

        variants: dict[str, tuple[nn.Module, nn.Module]] = {
            "thesis_head_no_penalty": (self.new_head(), PairwiseCosineLoss(0.0)),
            "linear_head": (self.new_head(depth=0), PairwiseCosineLoss()),
            "koch_l1": (self.new_head(), PairwiseL1Loss(10)),
        }
        for name, rival in rival_losses(len(self.split.seen), 10).items():
            variants[name] = self.new_head(), rival
        for name, (variant, variant_loss) in variants.items():
            embedding = self.head_embedding(name, variant, variant_loss)
            self.add(name, replace(embedding, rules=("max",)) if name == "koch_l1" else embedding)
        return thesis, head, loss

    def best_system(self) -> GlyphClassifier:
        """The best found: quarter turns as classes, features kept spatial, five views; what each step adds."""
        features, views = self.features, self.views
        best = self.classifier("best_classifier", self.new_encoder(self.config.best_features), best=True)
        self.set_features(best.encoder)
        self.measure("best_features", *(normalize(part, dim=1) for part in self.features))
        head, loss = self.new_head(32, depth=0), PairwiseCosineLoss(0.0)
        self.add("best_linear_head", self.head_embedding("best_linear_head", head, loss))
        spatial = unit_length(best.encoder.spatial)
        self.measure("best_spatial_features", *self.both(spatial))
        self.add("best_embedding", Embedding(*self.both(five_views(spatial))), confusion=True)
        self.features, self.views = features, views  # the sweeps stand on the thesis's features
        return best

    def rival_encoder(self, name: str, make: Callable[[], nn.Module]) -> None:
        """Does a better classifier make a better embedding? The thesis's head on another network's features."""
        runtime.seed_everything(self.config.seed, NETWORK)
        rival = self.classifier(f"{name}_classifier", make())
        self.set_features(rival.encoder)
        self.measure(f"{name}_features", *(normalize(part, dim=1) for part in self.features))
        self.add(f"{name}_head", self.head_embedding(f"{name}_head", self.new_head(), PairwiseCosineLoss()))

    def sweeps(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Unseen and seen accuracy against one property of the thesis's head at a time."""
        without = dict(layer_dropout=0.0, last_dropout=0.0)
        dense = self.config.sweeps == "all"  # few: a third of the points tells the story
        dimensions = (2, 4, 6, 8, 10, 12, 16, 24, 32, 64) if dense else (2, 6, 10, 32)
        points: dict[str, dict[str, dict[str, Any]]] = {
            "dimensions": {str(f): dict(f=f) for f in dimensions},
            "depth": {str(d): dict(depth=d) for d in ((0, 1, 2, 4, 6, 8) if dense else (0, 2, 8))},
        }
        for f in (10, 64) if dense else (64,):  # do the usual regularisers replace a small f?
            points[f"regularisers_f{f}"] = {
                "batch norm and dropout": dict(f=f),
                "batch norm": dict(f=f, **without),
                "layer norm": dict(f=f, norm=nn.LayerNorm, **without),
                "none": dict(f=f, norm=nn.Identity, **without),
            }
        return {
            sweep: {name: self.sweep_point(changed) for name, changed in heads.items()}
            for sweep, heads in points.items()
        }

    def sweep_point(self, changed: dict[str, Any]) -> dict[str, Any]:
        """Measure the thesis's head with some of its properties changed."""
        changed = {name: value for name, value in changed.items() if THESIS_HEAD.get(name) != value}
        # The folder is named after what is changed: a head that several sweeps ask for is found trained.
        parts = (f"{name}_{getattr(value, '__name__', value)}" for name, value in changed.items())
        head = self.new_head(**changed)
        embedding = self.head_embedding("-".join(["thesis_head", *parts]), head, PairwiseCosineLoss())
        return self.scores(replace(embedding, rules=("max",)), groups=("unseen", "seen"), shots=(10,))

    # Steps ----------------------------------------------------------------------------------------------

    def new_encoder(self, features: int = 32) -> GlyphEncoder:
        runtime.seed_everything(self.config.seed, NETWORK)
        return GlyphEncoder(width=self.config.width, stem_stride=self.config.stem_stride, features=features)

    def new_head(self, f: int = 10, **options: Any) -> EmbeddingHead:
        """Return an untrained head for the frozen features, its weights from the seed alone."""
        runtime.seed_everything(self.config.seed, NETWORK)
        return EmbeddingHead(self.views.shape[-1], f, **options)

    def classifier(
        self, name: str, encoder: nn.Module, *, best: bool = False, share: float = 1.0
    ) -> GlyphClassifier:
        """Train a classifier of the seen classes, on a share of each class's images; note its accuracy."""
        config, label = self.config, self.seen_label
        place = (label[:, None] == label[None, :]).tril(-1).sum(1) if share < 1 else torch.zeros_like(label)
        keep = place < share * torch.bincount(label)[label]
        classifier = train_classifier(
            self.seen.pool[keep],
            label[keep],
            encoder,
            (best_recipe if best else thesis_recipe)(
                config.best_epochs if best else config.thesis_epochs, config.batch_size
            ),
            folder=self.folder / name,
            seed=config.seed,
            augmentation=BEST_AUGMENTATION if best else THESIS_AUGMENTATION,
            quarter_turns=best,
            dropout=0.2 if best else 0.5,
            label_smoothing=0.1 if best else 0.0,
        )
        truth = position_in(self.split.seen, self.seen.query_label)
        upright = embed(classifier, self.seen.query)[:, : len(self.split.seen)]
        right = upright.argmax(dim=1) == truth
        recall = torch.stack([right[truth == c].float().mean() for c in truth.unique()])
        self.metrics[f"{name}_seen_balanced_accuracy"] = float(recall.mean())
        return classifier

    def set_features(self, encoder: nn.Module) -> None:
        """Freeze an encoder's features, those of the seen classes under augmented views too."""
        config = self.config
        self.features = self.both(encoder)
        self.views = augmented_features(encoder, self.seen.pool, views=config.head_views, seed=config.seed)

    def head_embedding(self, name: str, head: nn.Module, loss: nn.Module) -> Embedding:
        """Train a head on the frozen features of the seen classes and embed everything with it."""
        recipe = head_recipe(self.config.head_epochs)
        folder = self.folder / name
        train_head(self.views, self.seen_label, head, loss, recipe, folder=folder, seed=self.config.seed)
        with torch.inference_mode():
            pool, query = (head(part).clone() for part in self.features)
        return Embedding(pool, query, torch.no_grad()(getattr(loss, "similarity", cosine)))

    def both(self, function: ImageFunction) -> tuple[Tensor, Tensor]:
        return embed(function, self.all.pool), embed(function, self.all.query)

    def measure(self, name: str, pool: Tensor, query: Tensor) -> None:
        self.add(name, Embedding(pool, query))

    def add(self, name: str, embedding: Embedding, *, confusion: bool = False) -> None:
        self.metrics["embeddings"][name] = self.scores(embedding, confusion=confusion)

    def scores(
        self,
        embedding: Embedding,
        *,
        groups: tuple[str, ...] = ("unseen", "seen", "all"),
        shots: tuple[int, ...] = SHOTS,
        confusion: bool = False,
    ) -> dict[str, Any]:
        """Return metrics named <classes>_balanced_accuracy_s<S>_<rule>_rule, each with its spread over draws.

        Prototypes come from the train part of the classes asked about, queries from their test part. 'unseen'
        asks about the held-out classes alone (9-way), 'seen' about the 40, 'all' about all 49 at once.
        """
        members = {"unseen": self.split.unseen, "seen": self.split.seen}
        members["all"] = tuple(sorted(self.split.seen + self.split.unseen))
        fewest = int(torch.bincount(self.all.pool_label).min())
        metrics: dict[str, Any] = {}
        for group in groups:
            for s in (s for s in shots if s <= fewest):
                # A fifth of the draws is enough where thousands of images are classified.
                draws = self.config.draws if group == "unseen" else max(self.config.draws // 5, 2)
                seed = 1000 * self.config.class_split + s
                result = score(self.all, embedding, members[group], shots=s, draws=draws, seed=seed)
                for rule, values in result.balanced_accuracy.items():
                    metrics[f"{group}_balanced_accuracy_s{s}_{rule}_rule"] = over_draws(values)
                if confusion and s == max(x for x in shots if x <= fewest):
                    metrics[f"{group}_confusion_s{s}_max_rule"] = result.confusion.tolist()
        return metrics


def published(config: Config, metrics: dict[str, Any]) -> dict[str, float]:
    """Return our values, in percent, of numbers the thesis prints; only its own data set can answer them."""
    if config.dataset != "k49" or config.class_split != 0:
        return {}
    head = metrics["embeddings"]["thesis_head"]

    def percent(name: str) -> float:
        return 100 * head[f"{name}_max_rule"]["mean"]

    return {
        "ignatiev2019_k49_classifier": 100 * metrics["thesis_classifier_seen_balanced_accuracy"],
        "ignatiev2019_k49_seen": percent("seen_balanced_accuracy_s25"),
        "ignatiev2019_k49_unseen_s10_f10": percent("unseen_balanced_accuracy_s10"),
        "ignatiev2019_k49_unseen_s25_f10": percent("unseen_balanced_accuracy_s25"),
        "ignatiev2019_k49_alpha": metrics["thesis_alpha"],
        "ignatiev2019_k49_beta": metrics["thesis_beta"],
    }
