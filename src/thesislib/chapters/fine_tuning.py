"""Fine-tuning: what is gained once the letter network itself learns from photographs of other people.

All else in chapter 4 freezes the network that features come from. Here it goes on learning, from everybody but the
signer who is asked, in conditions that differ in one thing each (`letter_tuning.CONDITIONS`): nothing learns; the
last layer alone; the whole network; the same on batches that are half invented hands; the same on hands before
other backgrounds, where they were cut out on black; and the same without what it had learned before.

Augmentation and the size of batches are the same for all, and so are the epochs, but new weights have more. How
fast they learn was fixed beforehand: new weights as the letter network did, the others by how well somebody of
another set was read (half of asl7 taught, the one person of asl_fingerspelling_a was asked, who is in no set here).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from tqdm.auto import tqdm

from thesislib import results, runtime
from thesislib.chapters import letter_network, letter_sets
from thesislib.chapters.letter_answers import Answers, Reader, described, k_shot, run_folder, summary
from thesislib.chapters.letter_heads import outputs
from thesislib.chapters.letter_network import STATIC
from thesislib.chapters.letter_sets import FIRST_SIGNER, INVENTED, LetterSet, common_letters, with_letters
from thesislib.chapters.letter_systems import SYSTEMS, letters_config, same_weights, weights
from thesislib.chapters.letter_tuning import CONDITIONS, Fold, Tuner
from thesislib.config import ConfigError, ExperimentConfig, unknown
from thesislib.datasets.letter_images import LetterImages
from thesislib.datasets.sources import DataError
from thesislib.evaluation import signers as protocols
from thesislib.evaluation.intervals import of_the_mean
from thesislib.hand_features import as_right_hands, spatial
from thesislib.training import Recipe
from thesislib.transforms.backdrops import RandomBackdrops, draw_backdrops

EXPERIMENT = "fine_tuning"
SETS = (INVENTED, "asl7", "massey")  # in the alphabet that the network has learned
ON_BLACK = ("massey",)  # sets whose hands are cut out, so that what is behind them can be changed
BASELINE = "last_layer"  # what the other conditions are compared with, signer by signer
EXAMPLES = SYSTEMS["letters_lda"]  # k-shot reads features as this row of across_signers does
BACKDROPS = 1_024  # backgrounds to draw from


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """One set of letters whose signers are left out in turn or, with ``test``, another set that they are read on.

    ``thesis run fine_tuning --profile full -p dataset asl7`` takes a CPU core a quarter of an hour, and goes on
    where it was killed. A run starts from the letter network of its own seed.
    """

    dataset: str = INVENTED  # one of SETS: who teaches
    test: str = ""  # another one, which is read; empty: every signer is left out in turn
    signers: int = 5  # of the built-in set
    frames: int = 16  # of a letter's clip in the built-in set
    conditions: tuple[str, ...] = tuple(CONDITIONS)
    epochs: int = 5
    scratch_epochs: int = 10  # of new weights
    batch_size: int = 32
    lr_last_layer: float = 5e-4
    lr_end_to_end: float = 2e-4
    lr_scratch: float = 2e-3
    invented_hands: int = 4_800  # to mix in: the first of those that taught the letter network
    shots: int = 5
    draws: int = 10  # of the examples
    gap: int = 5  # frames about an example, in its clip, that are not asked

    profiles: ClassVar = {
        "smoke": dict(signers=2, frames=2, epochs=1, scratch_epochs=1, invented_hands=48)
        | dict(shots=1, draws=1, gap=0),
        "quick": dict(signers=3, frames=8, epochs=2, scratch_epochs=4, invented_hands=480, draws=3),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (self.dataset, *([self.test] if self.test else [])):
            if name not in SETS:
                raise ConfigError(unknown("set to fine-tune on", name, SETS))
        if self.test == self.dataset:
            raise ConfigError(f"leave test empty to leave out each signer of {self.dataset!r} in turn")
        for name in self.conditions:
            if name not in CONDITIONS:
                raise ConfigError(unknown("condition", name, CONDITIONS))
        if not self.conditions or len(set(self.conditions)) != len(self.conditions):
            raise ConfigError(f"conditions must be one or more, each once, not {list(self.conditions)}")
        least = dict(signers=2, frames=1, epochs=1, scratch_epochs=1, batch_size=2, invented_hands=1)
        least |= dict(shots=1, draws=1, gap=0)
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ConfigError(f"{name} must be {bound} or more, got {getattr(self, name)}")


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    record = results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )
    return same_weights(record)


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{title(config).replace(' ', '-')}-seed{config.seed}")
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def title(config: Config) -> str:
    """Return the name of the set, or which one teaches and which is read: "asl7", "massey to asl7"."""
    return f"{config.dataset} to {config.test}" if config.test else config.dataset


def sets_of(config: Config) -> dict[str, LetterSet]:
    """Return the sets of a configuration by name, the one that is read last."""
    people = range(FIRST_SIGNER, FIRST_SIGNER + config.signers)
    size = letters_config(config.seed).size
    names = dict.fromkeys((config.dataset, config.test or config.dataset))
    return {name: LetterSet(name, size, signers=people, frames=config.frames) for name in names}


def data_sha256(config: Config, loaded: Mapping[str, LetterImages] | None = None) -> str | None:
    """Return the digest of the pictures, the invented hands and the weights, None where a set is not here.

    Sets that are ``loaded``, by name, are not read again.
    """
    pictures = [part.sha256((loaded or {}).get(name)) for name, part in sets_of(config).items()]
    invented = letter_network.data_sha256(_mixed_in(config))
    return letter_sets.digest([*pictures, invented], weights(config.seed))


# Who teaches, and how ---------------------------------------------------------------------------------------


def folds_of(teach: LetterImages, read: LetterImages) -> tuple[Fold, ...]:
    """Return each signer of one set left out in turn or, where ``teach`` is another set, all of it against all.

    Raises DataError for a set of one signer, and for a letter that the network has not learned.
    """
    image, place = as_right_hands(teach.image, teach.left), places(teach.letters)[teach.letter]
    if teach is not read:
        return (Fold("all", image, place, np.arange(len(read))),)
    people = np.unique(read.signer)
    if len(people) < 2:
        raise DataError(f"{read.source} has one signer; to leave one out takes two at least")
    splits = {who: protocols.zero_shot(read.signer, who) for who in people}
    return tuple(
        Fold(f"without-{who}", image[split.train], place[split.train], split.test)
        for who, split in splits.items()
    )


def places(letters: Sequence[str]) -> np.ndarray:
    """Return where letters stand among the network's, int64 [C]; DataError for one that it has not learned."""
    if strange := [name for name in letters if name not in STATIC]:
        raise DataError(f"the letter network has not learned {strange[0]!r}; it knows {', '.join(STATIC)}")
    return np.array([STATIC.index(name) for name in letters], np.int64)


def recipes(config: Config) -> dict[str, Recipe]:
    """Return how each condition learns: as the letter network did, for epochs and at a rate of its own."""
    usual = replace(letter_network.recipe(letters_config(config.seed)), batch_size=config.batch_size)
    rates = {"reader": config.lr_last_layer, "all": config.lr_end_to_end}
    found = {}
    for name, condition in CONDITIONS.items():
        if condition.learns in rates:
            taught = config.epochs, rates[condition.learns]
            epochs, rate = taught if condition.taught else (config.scratch_epochs, config.lr_scratch)
            found[name] = replace(usual, epochs=epochs, lr_max=rate, warmup_epochs=epochs / 8)
    return found


def tuner_of(config: Config, names: Sequence[str], folder: Path) -> Tuner:
    """Return what conditions start from; invented hands and backgrounds are there where one of them asks."""
    letters, conditions = letters_config(config.seed), [CONDITIONS[name] for name in names]
    hands = backdrops = None
    if any(condition.invented for condition in conditions):
        hands = letter_network.hands(_mixed_in(config), "train")
    if any(condition.backdrops for condition in conditions):
        backdrops = RandomBackdrops(draw_backdrops(BACKDROPS, size=letters.size, seed=config.seed))
    return Tuner(letters, letter_network.load(letters), recipes(config), hands, backdrops, folder)


def _mixed_in(config: Config) -> letter_network.Config:
    """Return the letter network's configuration with so many of its hands as are mixed in."""
    letters = letters_config(config.seed)
    return replace(letters, hands=min(config.invented_hands, letters.hands))


# Answers ----------------------------------------------------------------------------------------------------


def answers_of(
    tuner: Tuner, name: str, folds: Sequence[Fold], read: LetterImages, config: Config
) -> tuple[dict[str, list[Answers]], list[list[float]]]:
    """Return a condition's answers by protocol, and the training loss of each fold, epoch by epoch.

    Every picture goes through the network of the fold that asks about it. ``zero_shot`` is the network's own answer
    among the set's letters; ``k_shot_s5`` compares its features with five pictures a letter of the same signer, as
    `across_signers` does with the frozen network's. It is missing where these pictures are too few.
    """
    image = as_right_hands(read.image, read.left)
    features, said, loss = [], [], []
    for fold in folds:
        network, history = tuner.tuned(name, fold)
        features.append(spatial(network, image[fold.asked]))  # [Q, 128 * 4 * 4]
        said.append(outputs(network.reader, features[-1])[:, places(read.letters)])  # [Q, C]
        loss.append([row["loss"] for row in history])
    order = np.argsort(np.concatenate([fold.asked for fold in folds]))  # the set's own
    x, scores = np.concatenate(features)[order], np.concatenate(said)[order]
    people = np.unique(read.signer)
    rows = {who: np.flatnonzero(read.signer == who) for who in people}
    found = {"zero_shot": [Answers(who, own, scores[own], 0.0) for who, own in rows.items()]}
    if len(people) > 1:  # examples are the signer's own: features of different folds never meet
        reader = Reader(name, EXAMPLES, read, x, x[None], 0, tuner.folder, config.seed)
        few = list(k_shot(reader, config.shots, draws=config.draws, gap=config.gap))
        found |= {f"k_shot_s{config.shots}": few} if few else {}
    return found, loss


def gains(
    systems: Mapping[str, Mapping[str, Any]], asked: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """Return by protocol and condition how far each is above the last layer alone, in shares of the pictures.

    By signer, with the mean over them and Student's 95 % interval; ``asked`` names the signers by protocol. Empty
    where the last layer was not measured.
    """
    found: dict[str, dict[str, Any]] = {}
    for protocol, base in systems.get(BASELINE, {}).items():
        found[protocol] = {}
        for name in systems:
            if name != BASELINE:
                pairs = (of[protocol]["top1_macro"]["by_signer"] for of in (systems[name], {protocol: base}))
                above = [ours - theirs for ours, theirs in zip(*pairs, strict=True)]
                by_signer = dict(zip(asked[protocol], above, strict=True))
                found[protocol][name] = {"by_signer": by_signer} | of_the_mean(above)
    return found


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    loaded = {name: part.load() for name, part in sets_of(config).items()}
    sha256, letters = data_sha256(config, loaded), common_letters(loaded)
    parts = [with_letters(part, letters) for part in loaded.values()]
    teach, read = parts[0], parts[-1]
    folds, people = folds_of(teach, read), np.unique(read.signer)
    on_black = config.dataset in ON_BLACK
    names = [name for name in config.conditions if on_black or not CONDITIONS[name].backdrops]
    tuner = tuner_of(config, names, run_folder(record_path(config), __name__, sha256))
    metrics: dict[str, Any] = {
        "letters": list(letters),
        "signers": [read.signers[who] for who in people],
        "images": len(read),
        "images_by_signer": [int((read.signer == who).sum()) for who in people],
        "train_images": [len(fold.image) for fold in folds],
        "chance": 1 / len(letters),
        "protocols": {},
        "systems": {},
        "loss": {},
    }
    for name in tqdm(names, desc="conditions", unit=" conditions"):
        found, loss = answers_of(tuner, name, folds, read, config)
        metrics["systems"][name] = {
            protocol: summary(answers, read, config.seed) for protocol, answers in found.items()
        }
        metrics["protocols"] |= {protocol: described(answers, read) for protocol, answers in found.items()}
        metrics["loss"] |= {name: loss} if name in tuner.recipes else {}
    asked = {protocol: row["signers"] for protocol, row in metrics["protocols"].items()}
    metrics["gain_over_last_layer"] = gains(metrics["systems"], asked)
    wanted = (*config.conditions, "zero_shot", f"k_shot_s{config.shots}")
    metrics["not_possible"] = [name for name in wanted if name not in {*names, *asked}]
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=_data_entry(config, loaded, sha256),
        split=_split_entry(config, teach, read),
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )


def _split_entry(config: Config, teach: LetterImages, read: LetterImages) -> dict[str, Any]:
    """Return what a record says of who teaches and who is asked."""
    taught_by, asked = ([of.signers[who] for who in np.unique(of.signer)] for of in (teach, read))
    if teach is read:
        return {"left_out": [[name] for name in asked]}
    return {"name": title(config), "learned_from": taught_by, "read": asked}


def _data_entry(config: Config, loaded: Mapping[str, LetterImages], sha256: str) -> dict[str, Any]:
    """Return what a record says of its sets, and of the networks that it started from."""
    of = {
        name: part.entry(part.sha256(loaded[name]), loaded[name].source)
        for name, part in sets_of(config).items()
    }
    said = {
        name: "; ".join(dict.fromkeys(entry[name] for entry in of.values()))
        for name in ("title", "licence", "credit")
    }
    whole = {"name": title(config), "version": sha256[:12], "sha256": sha256, "sets": of}
    return whole | said | {"weights": weights(config.seed)}
