"""Signing and spelling by turns: what a network that knows signs alone makes of fingerspelling in a stream.

Signers spell what has no sign. Izutov 2020 promises recognition in a continuous stream (sections III and IV.D) and
trains on clips that hold one sign each. Here strangers sign and spell, and the committed network of signs
(`sign_starts`) is asked as it is, with a threshold that knows of spelling, and with examples of spelling beside its
words: an embedding can be shown what to pass over without learning anew.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from thesislib import results, runtime
from thesislib.chapters import sign_sets, sign_starts, sign_training
from thesislib.chapters.sign_answers import embeddings, segments
from thesislib.chapters.sign_streams import OVERLAP, THRESHOLDS
from thesislib.config import ConfigError, ExperimentConfig
from thesislib.evaluation import streams
from thesislib.evaluation.intervals import of_the_mean
from thesislib.networks.sign_video import S3DMobileNetV3
from thesislib.synthetic import spelling
from thesislib.synthetic.sign_words import VOCABULARIES

EXPERIMENT = "signs_and_spelling"
# German words of letters that hands of signs have too. The first half is shown to the network, the other is asked.
TEXTS = ("bald", "wolf", "dach", "idol", "hof", "viola", "bild", "wald", "loch", "fach", "labil", "wild")
SHOWN, ASKED = TEXTS[: len(TEXTS) // 2], TEXTS[len(TEXTS) // 2 :]
# What is asked: signs without spelling; then with it, by a network that was told ever more of spelling.
ROWS = ("signs_alone", "spelling_unknown", "spelling_in_threshold", "spelling_shown")


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """How many strangers sign and spell, and how much; ``thesis run signs_and_spelling --profile full``.

    The network is the committed one of `signs_in_video`: half the document's width, frames of 64 pixels.
    """

    words: int = 40  # the first of the small vocabulary
    clips: int = 1  # of each word by each of the network's own teachers, whose mean stands for the word
    validation_signers: int = 4  # choose the threshold
    test_signers: int = 10
    signs: int = 12  # in a stream
    texts: int = 6  # spelled in a stream, between signs
    frames: int = 24  # that take as long as a clip
    size: int = 64
    width: float = 0.5
    stream_step: int = 2  # frames from window to window

    profiles: ClassVar = {
        "smoke": dict(
            words=4, validation_signers=1, test_signers=2, signs=3, texts=2, size=32, stream_step=4
        ),
        "quick": dict(words=12, validation_signers=2, test_signers=4, signs=6, texts=3),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("clips", "validation_signers", "test_signers", "signs", "texts", "stream_step"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be positive, not {getattr(self, name)}")
        if not 2 <= self.words <= VOCABULARIES[sign_sets.SIGNS]:
            raise ConfigError(f"words must be from 2 to {VOCABULARIES[sign_sets.SIGNS]}, not {self.words}")
        if self.size < 32 or self.size % 32 or self.frames < streams.WINDOW:
            raise ConfigError(
                f"size must be a multiple of 32 and frames at least {streams.WINDOW}, "
                f"not {self.size} and {self.frames}"
            )


@dataclass(frozen=True)
class Stream:
    """One signer's stream: frames uint8 [T, 3, S, S]; signs with their words, and texts with their numbers."""

    frame: np.ndarray
    signs: streams.Events
    texts: streams.Events


@dataclass(frozen=True)
class Heard:
    """A stream as the network sees it: unit vectors [W, f] of its windows; signs and texts as in the stream."""

    windows: Tensor
    signs: streams.Events
    texts: streams.Events


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{config.test_signers}-strangers-seed{config.seed}")
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def arrays_path(config: Config) -> Path:
    """Return where the arrays of the figure lie, beside the record: a stranger's stream, by the last row."""
    return record_path(config).with_suffix(".npz")


def data_sha256(config: Config) -> str:
    """Return the digest of who signs and spells what, and of the network that is asked; nothing is rendered."""
    asked = (TEXTS, config.signs, config.texts)
    return sign_sets.digest(parts(config), sign_starts.digest(sign_starts.OTHER_SIGNS), repr(asked))


def parts(config: Config) -> dict[str, sign_sets.InventedSigns]:
    """Return the network's teachers, those who choose the threshold, and those who are asked: nobody is in two."""
    start = len(sign_starts.taught_by(sign_starts.OTHER_SIGNS))
    who = sign_sets.people(teachers=start, validation=config.validation_signers, test=config.test_signers)
    return {
        part: sign_sets.InventedSigns(
            sign_sets.SIGNS, config.words, signers, config.clips, config.frames, config.size
        )
        for part, signers in who.items()
    }


def sequence_of(config: Config, signer: int, texts: Sequence[str]) -> list[int | str]:
    """Return what a signer signs, with texts in a random order between signs, never two of them together."""
    random = np.random.default_rng((config.seed, signer))
    rounds = -(-config.signs // config.words)
    items: list[int | str] = np.concatenate(
        [random.permutation(config.words) for _ in range(rounds)]
    ).tolist()
    items = items[: config.signs]
    count = min(len(texts), config.signs - 1)
    gaps = np.sort(random.permutation(config.signs - 1)[:count])
    for gap, text in zip(gaps[::-1], random.permutation(texts)[:count].tolist(), strict=True):
        items.insert(int(gap) + 1, text)
    return items


def performed(config: Config, signer: int, sequence: Sequence[int | str]) -> Stream:
    """Draw a signer's stream."""
    drawn = spelling.stream(
        sign_sets.SIGNS, config.seed, signer, sequence, frames=config.frames, size=config.size
    )
    place = drawn["place"].numpy()
    is_text = np.array([isinstance(item, str) for item in sequence] + [False])  # the last for no place, -1
    word = np.array(
        [TEXTS.index(item) if isinstance(item, str) else item for item in sequence] + [streams.REST]
    )
    signs, texts = (np.where(is_text[place] == kind, word[place], streams.REST) for kind in (False, True))
    return Stream(drawn["image"].numpy(), streams.signed(signs), streams.signed(texts))


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    who = parts(config)
    sign_sets.require_strangers(who)
    network = _network(config)
    teachers = who["teachers"].load()
    words = _class_means(embeddings(network, segments(teachers)).cpu(), torch.from_numpy(teachers.label))

    def heard(part: str, texts: Sequence[str]) -> list[Heard]:
        signers = tqdm(who[part].signers, desc=f"streams, {part}", leave=False)
        made = (performed(config, signer, sequence_of(config, signer, texts)) for signer in signers)
        return [Heard(_windows(config, network, one.frame), one.signs, one.texts) for one in made]

    # what is told of spelling are other texts than those that are asked about
    plain = heard("validation", ()), heard("test", ())
    spelled = heard("validation", SHOWN[: config.texts]), heard("test", ASKED[: config.texts])
    examples = torch.cat([_spelled(config, one) for one in heard("teachers", SHOWN)])
    conditions = {  # of each row: whose streams choose the threshold, who is asked, what is passed over
        "signs_alone": (*plain, examples[:0]),
        "spelling_unknown": (plain[0], spelled[1], examples[:0]),
        "spelling_in_threshold": (*spelled, examples[:0]),
        "spelling_shown": (*spelled, examples),
    }
    metrics: dict[str, Any] = {"n_examples": len(examples)}
    for row in ROWS:
        watched, asked, passed_over = conditions[row]
        metrics[row], scores, said = _row(config, watched, asked, words, passed_over)
    arrays = {
        "scores": scores[0].astype(np.float16),
        "words": np.array(teachers.words),
        "texts": np.array(TEXTS),
    }
    first = spelled[1][0]
    for name, events in (("signs", first.signs), ("spelled", first.texts), ("said", said[0])):
        arrays |= {f"{name}_{column}": values for column, values in vars(events).items()}
    results.write_arrays(arrays_path(config), arrays)
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=sign_sets.data_entry(
            data_sha256(config), "streams of invented signs and spelled texts, split by signer"
        ),
        split=sign_sets.split_entry(who),
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )


def _network(config: Config) -> S3DMobileNetV3:
    """Return the committed network of signs, in evaluation mode."""
    asked = sign_training.Config.profile(
        "full",
        rung=sign_training.LADDER[0],
        start=sign_starts.OTHER_SIGNS,
        width=config.width,
        size=config.size,
    )
    return sign_training.build(asked).to(runtime.best_device()).eval()


def _class_means(embedding: Tensor, label: Tensor) -> Tensor:
    """Return the unit means [C, f] of unit vectors [N, f] by their class, int64 [N]."""
    which = F.one_hot(label).to(embedding)  # [N, C]
    return F.normalize(which.T @ embedding)


def _windows(config: Config, network: S3DMobileNetV3, frame: np.ndarray) -> Tensor:
    """Return the unit vectors [W, f] of the windows that slide over a stream uint8 [T, 3, S, S]."""

    def embed(some: np.ndarray) -> np.ndarray:
        return embeddings(network, some).cpu().numpy()

    return torch.from_numpy(streams.slide(frame, embed, every=config.stream_step))


def _spelled(config: Config, heard: Heard) -> Tensor:
    """Return the vectors [K, f] of the windows that have their middle in a text."""
    last = config.stream_step * np.arange(len(heard.windows))
    return heard.windows[torch.from_numpy(_inside(last + 1 - streams.WINDOW // 2, heard.texts))]


def _inside(middle: np.ndarray, texts: streams.Events) -> np.ndarray:
    """Return which of these frames, int [N], lie in a text: bool [N]."""
    return ((texts.begin <= middle[:, None]) & (middle[:, None] < texts.end)).any(axis=1)


def _scores(windows: Tensor, words: Tensor, passed_over: Tensor) -> np.ndarray:
    """Return cosines [W, C] of windows [W, f] and the words' means [C, f].

    Where an example of what is passed over, [K, f], is nearer than all words nothing may be said: -1 for each.
    """
    cosine = windows @ words.T
    if len(passed_over):
        nearer = (windows @ passed_over.T).amax(dim=1) > cosine.amax(dim=1)
        cosine = torch.where(nearer[:, None], -1.0, cosine)
    return cosine.numpy()


def _row(
    config: Config, watched: Sequence[Heard], asked: Sequence[Heard], words: Tensor, passed_over: Tensor
) -> tuple[dict[str, Any], list[np.ndarray], list[streams.Events]]:
    """Return how right answers about streams are, the scores and the answers, by a threshold of others' streams."""
    how = {"every": config.stream_step}
    watched_scores, scores = (
        [_scores(one.windows, words, passed_over) for one in some] for some in (watched, asked)
    )
    threshold = streams.choose_threshold(
        watched_scores, [one.signs for one in watched], THRESHOLDS, overlap=OVERLAP, **how
    )
    said, truth = (
        [streams.decide(some, threshold=threshold, **how) for some in scores],
        [one.signs for one in asked],
    )
    pairs = zip(said, truth, strict=True)
    by_signer = [streams.stream_metrics([one], [other], overlap=OVERLAP)["f1"] for one, other in pairs]
    told = {"threshold": threshold, "overlap": OVERLAP} | streams.stream_metrics(said, truth, overlap=OVERLAP)
    told |= {"f1_by_signer": {"by_signer": by_signer} | of_the_mean(by_signer)}
    told["n_texts"] = sum(len(one.texts) for one in asked)
    told["said_while_spelling"] = sum(
        int(_inside((some.begin + some.end) // 2, one.texts).sum())
        for some, one in zip(said, asked, strict=True)
    )
    return told, scores, said
