"""Signing and spelling by turns: what a network that knows signs alone makes of fingerspelling in a stream.

Signers spell what has no sign. Izutov 2020 promises recognition in a continuous stream (sections III and IV.D) and
trains on clips that hold one sign each. Here strangers sign and spell, and the committed network of signs
(`sign_starts`) is asked as it is, with a threshold that knows of spelling, and with examples of spelling beside its
words: can an embedding be shown what to pass over, without learning anew?
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
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
# German words of letters whose handshapes signs have too: shown as examples, to choose the threshold by, and asked.
SHOWN = ("bald", "wolf", "dach", "idol", "hof", "viola")
WATCHED = ("oval", "bach", "lid", "hoch", "baby", "avocado")
ASKED = ("bild", "wald", "loch", "fach", "labil", "wild")
TEXTS = SHOWN + WATCHED + ASKED


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
    texts: int = 6  # spelled in a stream, between signs; the teachers spell as many of theirs as fit
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
        most = min(len(WATCHED), len(ASKED), self.signs - 1)
        if self.texts > most:
            raise ConfigError(f"texts must be {most} or less, one between two signs, not {self.texts}")
        if not 2 <= self.words <= VOCABULARIES[sign_sets.SIGNS]:
            raise ConfigError(f"words must be from 2 to {VOCABULARIES[sign_sets.SIGNS]}, not {self.words}")
        if self.size < 32 or self.size % 32 or self.frames < streams.WINDOW:
            raise ConfigError(
                f"size must be a multiple of 32 and frames at least {streams.WINDOW}, "
                f"not {self.size} and {self.frames}"
            )


@dataclass(frozen=True)
class Stream:
    """One signer's stream, ``seen`` as frames uint8 [T, 3, S, S] or, by the network, as unit vectors [W, f].

    There are as many vectors as windows. Signs have their words, texts their numbers in TEXTS; ``left``: the hand.
    """

    seen: np.ndarray
    signs: streams.Events
    texts: streams.Events
    left: bool


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
    asked = (SHOWN, WATCHED, ASKED, config.signs, config.texts)
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
    left = bool(drawn["left"][0])
    return Stream(drawn["image"].numpy(), streams.signed(signs), streams.signed(texts), left)


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    who = parts(config)
    sign_sets.require_strangers(who)
    network = _network(config)
    teachers = who["teachers"].load()
    words = _class_means(_embedded(network, segments(teachers)), teachers.label)

    def heard(part: str, texts: Sequence[str]) -> list[Stream]:
        signers = tqdm(who[part].signers, desc=f"streams, {part}", leave=False)
        made = (performed(config, signer, sequence_of(config, signer, texts)) for signer in signers)
        return [replace(one, seen=_windows(config, network, one.seen)) for one in made]

    plain = {part: heard(part, ()) for part in ("validation", "test")}
    watched = heard("validation", WATCHED[: config.texts])
    asked = heard("test", ASKED[: config.texts])
    teaching = heard("teachers", SHOWN)
    examples, examples_metrics = _chosen_examples(config, teaching, watched, words)

    none = words[:0]
    unaware, aware, informed = (
        _chosen_threshold(config, some, words, passed_over)[0]
        for some, passed_over in ((plain["validation"], none), (watched, none), (watched, examples))
    )
    conditions = {  # by row: who is asked, the threshold, what is passed over; from row to row more is known
        "signs_alone": (plain["test"], unaware, none),
        "spelling_unknown": (asked, unaware, none),
        "spelling_in_threshold": (asked, aware, none),
        "examples_same_threshold": (asked, aware, examples),
        "examples": (asked, informed, examples),
    }
    metrics = {row: _measured(config, some, words, *told) for row, (some, *told) in conditions.items()}
    hands = {"teachers": teaching, "validation": watched, "test": asked}
    metrics |= {"examples_from": examples_metrics}
    metrics |= {"left_handed": {part: [stream.left for stream in some] for part, some in hands.items()}}
    arrays = {
        "scores": _scores(asked[0].seen, words, examples).astype(np.float16),
        "words": np.array(teachers.words),
        "texts": np.array(TEXTS),
    }
    said = _answers(config, asked[0], words, informed, examples)
    for name, events in (("signs", asked[0].signs), ("spelled", asked[0].texts), ("said", said)):
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


def _class_means(vectors: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return the unit means [C, f] of unit vectors [N, f] by their class, int64 [N], in order of the classes."""
    means = np.stack([vectors[label == one].mean(axis=0) for one in np.unique(label)])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def _embedded(network: S3DMobileNetV3, frame: np.ndarray) -> np.ndarray:
    """Return unit vectors [N, f] of windows uint8 [N, 16, 3, S, S]."""
    return embeddings(network, frame).cpu().numpy()


def _windows(config: Config, network: S3DMobileNetV3, frame: np.ndarray) -> np.ndarray:
    """Return the unit vectors [W, f] of the windows that slide over a stream uint8 [T, 3, S, S]."""
    return streams.slide(frame, lambda some: _embedded(network, some), every=config.stream_step)


def _middles(config: Config, stream: Stream) -> np.ndarray:
    """Return the middle frame of each window of a stream, int64 [W]: as of the answers of `streams.decide`."""
    return config.stream_step * np.arange(len(stream.seen)) + 1 - streams.WINDOW // 2


def _inside(middle: np.ndarray, events: streams.Events) -> np.ndarray:
    """Return which of these frames, int [N], lie in a sign or a text: bool [N]."""
    return ((events.begin <= middle[:, None]) & (middle[:, None] < events.end)).any(axis=1)


def _chosen_examples(
    config: Config, teachers: Sequence[Stream], watched: Sequence[Stream], words: np.ndarray
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return examples of spelling [K, f], and what was compared to choose them.

    They are the windows with their middle in a text, or the mean of each text: what serves the watched better.
    """
    found, label = [], []
    for stream in teachers:
        middle = _middles(config, stream)
        for text, begin, end in zip(stream.texts.word, stream.texts.begin, stream.texts.end, strict=True):
            inside = (begin <= middle) & (middle < end)
            found.append(stream.seen[inside])
            label += [int(text)] * int(inside.sum())
    windows = np.concatenate(found)
    kinds = {"windows": windows, "text_means": _class_means(windows, np.array(label))}
    f1 = {kind: _chosen_threshold(config, watched, words, some)[1] for kind, some in kinds.items()}
    best = max(kinds, key=f1.get)
    return kinds[best], {"kind": best, "count": len(kinds[best])} | {
        f"validation_f1_{k}": v for k, v in f1.items()
    }


def _scores(windows: np.ndarray, words: np.ndarray, passed_over: np.ndarray) -> np.ndarray:
    """Return cosines [W, C] of windows [W, f] and the words' means [C, f].

    Where an example of what is passed over, [K, f], is nearer than all words nothing may be said: -1 for each.
    """
    cosine = windows @ words.T
    nearer = (windows @ passed_over.T).max(axis=1, initial=-1.0) > cosine.max(axis=1)
    return np.where(nearer[:, None], -1.0, cosine)


def _chosen_threshold(
    config: Config, watched: Sequence[Stream], words: np.ndarray, passed_over: np.ndarray
) -> tuple[float, float]:
    """Return the threshold that serves these streams best, and the F1 that it reaches on them."""
    scores, truth = [_scores(s.seen, words, passed_over) for s in watched], [s.signs for s in watched]
    how = {"overlap": OVERLAP, "every": config.stream_step}
    threshold = streams.choose_threshold(scores, truth, THRESHOLDS, **how)
    said = [_answers(config, stream, words, threshold, passed_over) for stream in watched]
    return threshold, streams.stream_metrics(said, truth, overlap=OVERLAP)["f1"]


def _answers(
    config: Config, stream: Stream, words: np.ndarray, threshold: float, passed_over: np.ndarray
) -> streams.Events:
    """Return what is said of a stream."""
    scores = _scores(stream.seen, words, passed_over)
    return streams.decide(scores, threshold=threshold, every=config.stream_step)


def _measured(
    config: Config, asked: Sequence[Stream], words: np.ndarray, threshold: float, passed_over: np.ndarray
) -> dict[str, Any]:
    """Return how right what is said of streams is, in all and person by person, and how much is passed over."""
    said = [_answers(config, stream, words, threshold, passed_over) for stream in asked]
    truth, pairs = [stream.signs for stream in asked], list(zip(said, asked, strict=True))
    by_signer = [streams.stream_metrics([some], [one.signs], overlap=OVERLAP)["f1"] for some, one in pairs]
    wrong = [streams.matches(some, one.signs, overlap=OVERLAP) < 0 for some, one in pairs]
    spelling = [_inside((some.begin + some.end) // 2, one.texts) for some, one in pairs]
    told = {"threshold": threshold, "overlap": OVERLAP} | streams.stream_metrics(said, truth, overlap=OVERLAP)
    told |= {"f1_by_signer": {"by_signer": by_signer} | of_the_mean(by_signer)}
    told |= {
        "n_texts": sum(len(one.texts) for one in asked),
        "n_frames": sum(config.stream_step * len(one.seen) for one in asked),
        "wrong_while_spelling": int(sum((w & s).sum() for w, s in zip(wrong, spelling, strict=True))),
        "wrong_otherwise": int(sum((w & ~s).sum() for w, s in zip(wrong, spelling, strict=True))),
    }
    silent = np.concatenate([_scores(one.seen, words, passed_over).max(axis=1) == -1 for one in asked])
    for name in ("texts", "signs"):
        inside = np.concatenate([_inside(_middles(config, one), getattr(one, name)) for one in asked])
        told[f"passed_over_in_{name}"] = float(silent[inside].mean()) if inside.any() else 0.0
    return told
