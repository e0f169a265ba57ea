"""Which system to trust with a stranger, chosen among the other people alone: nested leave-one-signer-out.

The highest of many rows is picked on the very people it was tested on, as the size of the embedding was in
Ignatiev 2019, section 3.3.2. Here each signer's system is the one that reads the other signers best, each of them
left out in turn, and is then asked about the signer who had no part in that.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from thesislib.chapters.letter_answers import Answers, Reader, summary
from thesislib.chapters.letter_systems import NEEDS_KEYPOINTS, System
from thesislib.evaluation import signers as protocols

METRIC = "top1_macro"
LEAST_SIGNERS = 3  # one left out, and two to choose by
LEAST_SYSTEMS = 2


def can_be_chosen(system: System) -> bool:
    """Tell whether a system is to be had for the choosing: without a head to train, from the pictures alone."""
    return system.head is None and system.feature not in NEEDS_KEYPOINTS


def inner_accuracy(reader: Reader, left_out: int) -> float:
    """Return how well a system without a head reads the other signers, each left out in turn: the mean accuracy."""
    data, folds = reader.data, protocols.inner_folds(reader.data.signer, left_out)
    x = reader.learned(folds[0].train, "inner").x  # nothing learns, so it is the same in every fold
    found = [protocols.accuracy(reader.scores(x, fold), data.letter[fold.test])[METRIC] for fold in folds]
    return float(np.mean(found))


def chosen_by_inner_folds(
    readers: Mapping[str, Reader], zero_shot: Mapping[str, list[Answers]], seed: int
) -> dict[str, Any]:
    """Return which system the inner folds choose for each signer, and how well these read them, zero-shot.

    ``readers`` and ``zero_shot``, the answers to each signer, are by system; of equal systems the first is taken.
    ``inner`` has each system's accuracy on the others, by signer left out. Empty for fewer than two systems or
    three signers: then there is nothing to choose, or nobody to choose by.
    """
    if len(readers) < LEAST_SYSTEMS:
        return {}
    data = next(iter(readers.values())).data
    people = np.unique(data.signer)
    if len(people) < LEAST_SIGNERS:
        return {}
    inner = {name: [inner_accuracy(reader, who) for who in people] for name, reader in readers.items()}
    chosen = [max(readers, key=lambda name: inner[name][place]) for place in range(len(people))]
    answers = [
        next(answer for answer in zero_shot[name] if answer.signer == who)
        for who, name in zip(people, chosen, strict=True)
    ]
    return {
        "signers": [data.signers[who] for who in people],
        "chosen": chosen,
        "inner": inner,
        "zero_shot": summary(answers, data, seed),
    }
