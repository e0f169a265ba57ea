"""Frames to LSTM: does a network that knows many gestures learn few signs any better?

Schorr 2018 fed 20 frames of a film to a frozen network and its features to LSTMs, taught these 249 gestures, and
then 21 signs with 18 clips or more of each. It did not help: 0.47 of the validation clips were right without, 0.42
with all layers fine-tuned, 0.32 with the LSTMs frozen. Each is the best epoch of one run, on about a fifth of 440
clips, and what was not transferred had another head. Here every start has the same head and as many steps, seeds
draw which clips teach, few of a word or many, and strangers are asked: people in no other part. A random split of
the training people's clips is read beside it, to show what that adds.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from thesislib import paths, results, runtime
from thesislib.chapters import sign_sets
from thesislib.chapters.frame_features import encoder_digest
from thesislib.chapters.lstm_starts import SCRATCH, STARTS, VARIANTS
from thesislib.chapters.transfer_scores import (
    BEST_EPOCH,
    PANEL,
    arrays,
    clear,
    differences,
    gains,
    gains_by_signer,
    only,
    shares,
    spreads,
)
from thesislib.chapters.transfer_study import (
    BAGS,
    EXPERIMENT,
    Config,
    chosen_rates,
    data_sha256,
    outcomes_of,
    parts_of,
    study_of,
)
from thesislib.evaluation.intervals import of_the_mean
from thesislib.networks.blocks import count_parameters


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record lives: committed for the profile full, unless it is of your own films."""
    label = "own" if config.data_folder else config.dataset
    committed = config.profile_name == "full" and not config.data_folder
    return results.record_path(
        EXPERIMENT, results.record_name(config, f"{label}-seed{config.seed}"), committed=committed
    )


def arrays_path(config: Config) -> Path:
    """Return the file of training histories and answers that figures draw, beside the record."""
    return record_path(config).with_suffix(".npz")


def _folder(config: Config) -> Path:
    code, data = results.source_hash(__name__)[:8], str(data_sha256(config))[:8]
    return paths.RUNS / EXPERIMENT / f"{record_path(config).stem}-{code}-{data}"


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    study, sha256 = study_of(config, _folder(config)), data_sha256(config)
    taught = {
        seed: study.gestures_taught(seed)
        for seed in tqdm(range(config.seed, config.seed + config.seeds), desc="gestures", unit=" networks")
    }
    sources = {seed: one.network for seed, one in taught.items()}
    rates = chosen_rates(study, sources[config.seed])
    outcomes = list(outcomes_of(study, sources, rates))
    asked = study.asked()
    word, signer = study.signs.label[asked], study.signs.signer[asked]
    histories = {
        f"history_gestures_{key}": np.array([[row[key] for row in one.history] for one in taught.values()])
        for key in PANEL
    }
    results.write_arrays(arrays_path(config), arrays(outcomes) | histories | {"word": word, "signer": signer})
    validation = histories["history_gestures_validation_accuracy"]
    right = {protocol: shares(outcomes, protocol) for protocol in outcomes[0].right}
    accuracy = {protocol: only(found, STARTS) for protocol, found in right.items()}
    gain = spreads(gains(accuracy[study.main]))
    metrics = {
        "words": list(study.signs.words),
        "chance": 1 / len(study.signs.words),
        "asked_clips": len(asked),
        "features": study.signs.x.shape[2],
        "parameters": count_parameters(sources[config.seed]),
        "gestures": {
            "words": len(study.gestures.words),
            "clips": study.gesture_ends[0],
            "validation": of_the_mean(validation[:, -1]),
            BEST_EPOCH: of_the_mean(validation.max(axis=1)),
        },
        "rates": rates,
        "accuracy": {protocol: spreads(found) for protocol, found in accuracy.items()},
        "gain": gain,
        "helps_at": clear(gain, 1),
        "harms_at": clear(gain, -1),
        "without_order": spreads(only(right[study.main], BAGS)),
    }
    if config.films is None:
        varied = only(right[study.main], (SCRATCH, *VARIANTS))
        metrics |= {
            "gain_by_signer": gains_by_signer(outcomes, STARTS, word, signer),
            "flattered": {
                protocol: spreads(differences(accuracy[protocol], accuracy[study.main]))
                for protocol in ("same_people", BEST_EPOCH)
            },
            "variants": spreads(only(right[study.main], VARIANTS)),
            "variant_gain": spreads(gains(varied)),
        }
    if config.films is None:
        data = sign_sets.data_entry(
            sha256, "two invented vocabularies", weights=encoder_digest(config.feature)
        )
    else:
        data = config.films.entry(sha256)
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=data,
        split=sign_sets.split_entry(parts_of(config)),
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )
