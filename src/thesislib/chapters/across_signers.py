"""Across signers: letters by people never seen, under every protocol, every signer left out in turn.

Ignatiev 2019, section 3.3.2. The thesis tests one signer and does not say whose pictures its prototypes were;
here each reading is a protocol with a name of its own:

- ``zero_shot``: learned from the other signers, prototypes are theirs too; no label of the new signer is known.
  Systems whose name says centred, adapted or together do see the new signer's pictures, all at once;
- ``k_shot_s5`` (and 1, 10): learned from the others, prototypes are five pictures a letter of the new signer,
  taken in a row, and neighbours of them in their clip are not asked;
- ``joined_s5``: the same pictures of the new signer, and prototypes of the other signers besides;
- ``same_signer``: learned from the first half of each letter's pictures of all signers, asked about the second;
- ``random_split``: halves drawn at random, which puts near-copies on both sides. It is here to be measured.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.decomposition import PCA
from tqdm.auto import tqdm

from thesislib import results, runtime
from thesislib.chapters import letter_sets
from thesislib.chapters.letter_answers import (
    Answers,
    Reader,
    confusion,
    described,
    halves,
    k_shot,
    reader_maker,
    run_folder,
    summary,
    zero_shot,
)
from thesislib.chapters.letter_choice import can_be_chosen, chosen_by_inner_folds
from thesislib.chapters.letter_sets import FIRST_SIGNER, LetterSet
from thesislib.chapters.letter_systems import (
    SYSTEMS,
    THESIS,
    can_read,
    networks,
    require_known,
    same_weights,
    weights,
)
from thesislib.config import ConfigError, ExperimentConfig, unknown
from thesislib.datasets.letter_images import LetterImages
from thesislib.datasets.sources import DataError
from thesislib.evaluation import signers as protocols

EXPERIMENT = "across_signers"
SHOWN = ("thesis", "letters_together")  # systems whose confusions and embeddings are kept for figures
JOINED_DRAWS = 3  # at most: with the others' pictures as prototypes each draw takes as long as zero-shot
KEPT = 32  # principal components of a longer embedding, for figures
# What the profile quick leaves to the stored runs.
LATER = {"keypoints", "angles", "heatmaps", "thesis_plain", "letters_thesis"}
LATER |= {
    f"spatial_{what}" for what in ("mean", "ridge", "adapted", "views", "pairwise", "supcon", "proxy_anchor")
}


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """One set of fingerspelled letters, read by every system under every protocol.

    ``thesis run across_signers --profile quick`` takes two laptop cores about two minutes; your own recordings are
    read with ``-p data_folder PATH``. The thesis prints 44.1 to 46.6 % for one unseen signer (figures 3.25, 3.26).
    """

    dataset: str = "invented"  # or a name of datasets.fingerspelling.NAMES
    data_folder: str = ""  # of your own recordings, signer/letter/picture; takes the place of the data set
    signers: int = 5  # of the built-in set
    frames: int = 16  # of a letter's clip in the built-in set
    size: int = 64
    systems: tuple[str, ...] = tuple(SYSTEMS)
    sweep_f: tuple[int, ...] = (4, 6, 8, 10, 12, 32, 64)  # sizes of the thesis's embedding
    head_views: int = 3
    head_epochs: int = 12
    shots: tuple[int, ...] = (1, 5, 10)
    draws: int = 10  # of prototypes
    gap: int = 5  # frames about a prototype, in its clip, that are not asked

    profiles: ClassVar = {
        "smoke": dict(signers=3, frames=4, systems=("pixels", "pooled", "thesis", "letters_together"))
        | dict(sweep_f=(4,), head_views=1, head_epochs=1, shots=(1,), draws=2, gap=1),
        "quick": dict(
            signers=3, frames=12, head_views=2, head_epochs=8, draws=1, sweep_f=(4, 10), shots=(1, 5)
        )
        | dict(systems=tuple(name for name in SYSTEMS if name not in LATER)),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        require_known(self.systems)
        if self.dataset not in letter_sets.NAMES:
            raise ConfigError(unknown("set of letters", self.dataset, letter_sets.NAMES))
        least = dict(signers=2, frames=1, head_views=1, head_epochs=1, draws=1, gap=0)
        counts = {name: (getattr(self, name), bound) for name, bound in least.items()}
        counts |= {"sweep_f": (min(self.sweep_f, default=1), 1), "shots": (min(self.shots, default=1), 1)}
        for name, (value, bound) in counts.items():
            if value < bound:
                raise ConfigError(f"{name} must be {bound} or more, got {value}")
        if self.size < 32 or self.size % 16:
            raise ConfigError(f"size must be a multiple of 16 from 32, got {self.size}")


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    record = results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )
    return same_weights(record)


def record_path(config: Config) -> Path:
    """Return where the record lives: committed for the profile full, unless it is of your own pictures."""
    label = "own" if config.data_folder else config.dataset
    committed = config.profile_name == "full" and not config.data_folder
    return results.record_path(
        EXPERIMENT, results.record_name(config, f"{label}-seed{config.seed}"), committed=committed
    )


def arrays_path(config: Config) -> Path:
    """Return the file of confusions and embeddings that the figures draw, beside the record."""
    return record_path(config).with_suffix(".npz")


def letter_set(config: Config) -> LetterSet:
    """Return the set that a configuration reads."""
    people = range(FIRST_SIGNER, FIRST_SIGNER + config.signers)
    return LetterSet(config.dataset, config.size, config.data_folder, people, frames=config.frames)


def letters_of(config: Config) -> LetterImages:
    """Return the pictures of a configuration; DataError says what is wrong with a folder or how to get a set."""
    return letter_set(config).load()


def data_sha256(config: Config, loaded: LetterImages | None = None) -> str | None:
    """Return the digest of the pictures and the networks' weights, None where the pictures are not here.

    Pictures that are ``loaded`` are not read again.
    """
    return letter_sets.digest([letter_set(config).sha256(loaded)], weights(config.seed))


def every_protocol(reader: Reader, config: Config) -> dict[str, list[Answers]]:
    """Return the answers of a system under each protocol that the set allows."""
    data = reader.data
    arrays = (data.letter, data.signer, data.clip, data.frame)

    def contiguous(who: int) -> protocols.Split:
        return protocols.same_signer(*arrays, who, gap=config.gap)

    def at_random(who: int) -> protocols.Split:
        return protocols.random_split(*arrays, who, seed=config.seed)

    found = {"zero_shot": list(zero_shot(reader))}
    for shots in config.shots:
        for name, joined in ((f"k_shot_s{shots}", False), (f"joined_s{shots}", True)):
            draws = min(config.draws, JOINED_DRAWS) if joined else config.draws
            found[name] = list(k_shot(reader, shots, draws=draws, gap=config.gap, joined=joined))
    for name, split_of in (("same_signer", contiguous), ("random_split", at_random)):
        found[name] = list(halves(reader, split_of, name))
    return {name: answers for name, answers in found.items() if answers}


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    found, data = networks(config.seed), letters_of(config)
    sha256 = data_sha256(config, data)
    if len(np.unique(data.signer)) < 2:
        raise DataError(f"{data.source} has one signer; across signers takes two at least")
    folder = run_folder(record_path(config), __name__, sha256)
    systems = {name: SYSTEMS[name] for name in config.systems if can_read(SYSTEMS[name], data)}
    sweep = {f"thesis_f{f}": replace(THESIS, f=f) for f in config.sweep_f}
    reader = reader_maker(
        data, found, views=config.head_views, epochs=config.head_epochs, folder=folder, seed=config.seed
    )
    metrics: dict[str, Any] = {
        "letters": list(data.letters),
        "signers": list(data.signers),
        "images": len(data),
        "images_by_signer": np.bincount(data.signer, minlength=len(data.signers)).tolist(),
        "chance": 1 / len(np.unique(data.letter)),
        "protocols": {},
        "systems": {},
    }
    arrays = {name: getattr(data, name) for name in ("letter", "signer", "clip", "frame")}
    readers, strangers = {}, {}  # of the systems that can be chosen
    for name, system in tqdm(systems.items(), desc="systems", unit=" systems"):
        answers = every_protocol(reader(name, system), config)
        if can_be_chosen(system):
            readers[name], strangers[name] = reader(name, system), answers["zero_shot"]
        metrics["systems"][name] = {
            protocol: summary(given, data, config.seed) for protocol, given in answers.items()
        }
        metrics["protocols"] |= {protocol: described(given, data) for protocol, given in answers.items()}
        if name in SHOWN:
            arrays |= {
                f"confusion_{name}_{protocol}": confusion(given, data) for protocol, given in answers.items()
            }
            first = answers["zero_shot"][0]
            train = protocols.zero_shot(data.signer, first.signer).train
            learned = reader(name, system).learned(train, f"without-{first.signer}")
            arrays[f"embedding_{name}"] = _shortened(learned.x)
            if learned.history:
                metrics["history"] = {
                    key: [row[key] for row in learned.history] for key in learned.history[0]
                }
    metrics["chosen_by_inner_folds"] = chosen_by_inner_folds(readers, strangers, config.seed)
    metrics["not_possible"] = sorted(set(_asked(config)) - set(metrics["protocols"]))
    metrics["sweep"] = {}
    for name, system in tqdm(sweep.items(), desc="sizes of the embedding", unit=" sizes"):
        measured = metrics["systems"].get("thesis") if system == THESIS else None
        metrics["sweep"][str(system.f)] = (
            measured["zero_shot"]
            if measured
            else summary(list(zero_shot(reader(name, system))), data, config.seed)
        )
    results.write_arrays(arrays_path(config), arrays)
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=letter_set(config).entry(sha256, data.source) | {"weights": weights(config.seed)},
        split={"left_out": [[data.signers[who]] for who in np.unique(data.signer)]},
        metrics=metrics,
        published=_answers_to_printed(metrics) if config.dataset == "asl7" and not config.data_folder else {},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )


def _asked(config: Config) -> list[str]:
    """Return the names of all protocols, whether the set allows them or not."""
    of_shots = [f"{name}_s{shots}" for name in ("k_shot", "joined") for shots in config.shots]
    return ["zero_shot", *of_shots, "same_signer", "random_split"]


def _shortened(x: np.ndarray) -> np.ndarray:
    """Return an embedding [N, f], or the first principal components of a longer one, float32 [N, 32]."""
    if x.shape[1] > KEPT:
        x = PCA(min(KEPT, *x.shape), random_state=0).fit_transform(x)
    return x.astype(np.float32)


def _answers_to_printed(metrics: dict[str, Any]) -> dict[str, float]:
    """Return what answers the thesis's figures 3.25 and 3.26, in percent: other people, so nothing to equal."""
    thesis = metrics["systems"].get("thesis", {})
    found = {
        f"ignatiev2019_asl_unseen_f{f}_top{k}": metrics["sweep"][f][f"top{k}_macro"]["mean"]
        for f in ("6", "8", "10", "12")
        if f in metrics["sweep"]
        for k in (1, 2)
    }
    if "zero_shot" in thesis:
        found["ignatiev2019_asl_unseen"] = thesis["zero_shot"]["top1_macro"]["mean"]
    return {name: 100 * value for name, value in found.items()}
