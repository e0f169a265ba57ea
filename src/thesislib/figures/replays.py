"""Stored streams with their frames, which no record keeps: they are drawn again from signer, signs and texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thesislib import results
from thesislib.chapters import signs_and_spelling
from thesislib.evaluation.streams import Events


@dataclass(frozen=True)
class Replay:
    """One stranger's stream: its frames uint8 [T, 3, S, S], what was signed, spelled and said in it, how surely.

    ``words`` and ``texts`` name what the events number; ``scores`` [W, C] are those of windows that end every
    ``every`` frames; what was said is right where it shares ``overlap`` with a sign.
    """

    frame: np.ndarray
    signed: Events
    spelled: Events
    said: Events
    words: Sequence[str]
    texts: Sequence[str]
    scores: np.ndarray
    threshold: float
    overlap: float
    every: int


def of_spelling(record: Mapping[str, Any]) -> Replay | None:
    """Return the stream that a record of `signs_and_spelling` shows, by its last row.

    None where another stream is drawn today than when it was measured: then what was said belongs to none.
    """
    config = signs_and_spelling.Config(**record["config"])
    kept = results.read_arrays(signs_and_spelling.arrays_path(config))
    signed, spelled, said = (
        Events(*(kept[f"{what}_{part}"] for part in ("word", "begin", "end", "confidence")))
        for what in ("signs", "spelled", "said")
    )
    stranger = signs_and_spelling.parts(config)["test"].signers[0]
    texts = signs_and_spelling.ASKED[: config.texts]
    sequence = signs_and_spelling.sequence_of(config, stranger, texts)
    again = signs_and_spelling.performed(config, stranger, sequence)
    if not (_same(signed, again.signs) and _same(spelled, again.texts)):
        return None
    told = record["metrics"]["examples"]
    return Replay(
        frame=again.seen,
        signed=signed,
        spelled=spelled,
        said=said,
        words=kept["words"],
        texts=kept["texts"],
        scores=kept["scores"],
        threshold=told["threshold"],
        overlap=told["overlap"],
        every=config.stream_step,
    )


def _same(one: Events, other: Events) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))
