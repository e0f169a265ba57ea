"""Signs in video by metric learning: a trained S3D-MobileNetV3 asked about strangers, in clips and in a stream.

Every row of the document's ablation (Izutov 2020, table II) is one run of this experiment, and so is each of its
comparisons: all words or a subset, frames in order or out of order.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from thesislib import results, runtime
from thesislib.chapters import sign_sets, sign_starts, sign_streams
from thesislib.chapters.sign_answers import embeddings, scores, segments
from thesislib.chapters.sign_training import Config, parts, trained
from thesislib.datasets.sign_clips import SignClips
from thesislib.evaluation.intervals import of_the_mean
from thesislib.evaluation.retrieval import of_words, word_metrics
from thesislib.losses.attention import hard_total_variation
from thesislib.losses.sign_metric import SignMetricLoss
from thesislib.networks.blocks import count_parameters
from thesislib.networks.sign_video import S3DMobileNetV3
from thesislib.synthetic.sign_words import FAMILY
from thesislib.transforms.clips import to_input

EXPERIMENT = "signs_in_video"
SHOWN = 3  # clips of the figures, every second frame of each
TEST_DRAW = 2_000_000  # the stream of random numbers that shuffles the frames of test clips
__all__ = ["Config", "arrays_path", "record_path", "run"]


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, config.label)
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def arrays_path(config: Config) -> Path:
    """Return where the arrays of the figures lie, beside the record."""
    return record_path(config).with_suffix(".npz")


def data_sha256(config: Config) -> str:
    """Return the digest of what is learned from and asked: vocabulary, signers and numbers; nothing is rendered."""
    streams = (config.streams, config.stream_signs)
    return sign_sets.digest(parts(config), sign_starts.digest(config.start), repr(streams))


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    sign_sets.require_strangers(parts(config))
    clips = {part: some.load() for part, some in parts(config).items()}
    middle = {part: segments(some) for part, some in clips.items()}

    def watch(network: S3DMobileNetV3, loss: SignMetricLoss) -> dict[str, float]:
        found = scores(network, loss, middle["validation"], config.shown)
        return {"validation_top1": word_metrics(found, clips["validation"].label)["top1"]}

    network, loss, history = trained(config, clips["train"], record_path(config), watch)
    if config.is_kept:
        sign_starts.keep(network, parts(config)["train"].signers, record_path(config).stem)
    test, word, who = middle["test"], clips["test"].label, clips["test"].signer
    few = word < config.subset
    runtime.seed_everything(config.seed, TEST_DRAW)
    found = scores(network, loss, test, config.shown)
    stream_metrics, stream_arrays = sign_streams.measure(
        config, lambda frame: scores(network, loss, frame, config.shown)
    )
    mask_metrics, mask_arrays = _masks(network, test[_spread(word)])
    metrics = {
        "history": {name: [row[name] for row in history] for name in history[0]},
        "clips_seen": config.epochs * _in_batches(len(clips["train"]), config.batch_size),
        "parameters": count_parameters(network),
        "validation": word_metrics(
            scores(network, loss, middle["validation"], config.shown), clips["validation"].label
        ),
        "strangers": word_metrics(found, word) | confusions(found, word),
        "strangers_top1": over_people(found, word, who),
        "strangers_by_class_means": word_metrics(
            _by_class_means(network, middle, clips["train"], config), word
        ),
        "strangers_frames_shuffled": word_metrics(scores(network, loss, test, "shuffled"), word),
        "strangers_one_frame": word_metrics(scores(network, loss, test, "still"), word),
        "signers_of_training": word_metrics(
            scores(network, loss, middle["train"], config.shown), clips["train"].label
        ),
        "trivial": word_metrics(_always_the_same(clips["train"].label, len(word), config.words), word),
        "subset": {
            "words": config.subset,
            "only_among": word_metrics(*of_words(found, word, range(config.subset), only_among=True)),
            "among_all": word_metrics(*of_words(found, word, range(config.subset), only_among=False)),
            "only_among_top1": over_people(found[few][:, : config.subset], word[few], who[few]),
            "among_all_top1": over_people(found[few], word[few], who[few]),
        },
        "streams": stream_metrics,
        "masks": mask_metrics,
    }
    arrays = {"scores": found, "word": word, "signer": who}
    arrays |= {"words": np.array(clips["test"].words)} | stream_arrays | mask_arrays
    results.write_arrays(arrays_path(config), arrays)
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=sign_sets.data_entry(data_sha256(config), "a vocabulary of invented signs, split by signer"),
        split=sign_sets.split_entry(parts(config)),
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )


def over_people(found: np.ndarray, word: np.ndarray, signer: np.ndarray) -> dict[str, Any]:
    """Return the share of each signer's clips that are named right, and their mean with Student's interval."""
    right = found.argmax(axis=1) == word
    shares = [float(right[signer == who].mean()) for who in np.unique(signer)]
    return {"by_signer": shares} | of_the_mean(shares)


def confusions(found: np.ndarray, word: np.ndarray) -> dict[str, float]:
    """Return which share of all clips is taken for a word that shares all but one part with theirs, by that part.

    Words come in families of four (`synthetic.sign_words`): a word, itself backwards, another path, another hand.
    """
    said = found.argmax(axis=1)
    family = said // FAMILY == word // FAMILY
    pair = np.sort(np.stack([said % FAMILY, word % FAMILY]), axis=0)

    def share(member: int) -> float:
        return float(np.mean(family & (pair[0] == 0) & (pair[1] == member)))

    return {"taken_backwards": share(1), "taken_for_other_path": share(2), "taken_for_other_hand": share(3)}


def _by_class_means(
    network: S3DMobileNetV3, middle: dict[str, np.ndarray], train: SignClips, config: Config
) -> np.ndarray:
    """Return the cosines of the test clips and the mean embeddings of the training clips of each word, [N, C]."""
    known, asked = (embeddings(network, middle[part], config.shown) for part in ("train", "test"))
    which = F.one_hot(torch.from_numpy(train.label), config.words).to(known)  # [N, C]
    return (asked @ F.normalize(which.T @ known).T).cpu().numpy()


def _always_the_same(label: np.ndarray, count: int, words: int) -> np.ndarray:
    """Return the scores [count, words] of one who has only counted the words of training."""
    return np.tile(np.bincount(label, minlength=words).astype(float), (count, 1))


def _masks(network: S3DMobileNetV3, frame: np.ndarray) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what the attention masks of a few clips are like, by their place in the network, and the masks.

    `undecided` is the mean distance of a value from 0 or 1, whichever is nearer: 0 for a sharp mask, 1/2 at most.
    """
    device = next(network.parameters()).device
    with torch.inference_mode():
        masks = network.with_masks(to_input(torch.from_numpy(frame).to(device)))[1]
    told = {
        f"after_bottleneck_{place}": {
            "mean": float(mask.mean()),
            "undecided": float(torch.minimum(mask, 1 - mask).mean()),
            "total_variation": float(hard_total_variation(mask)),
        }
        for place, mask in zip(network.attentions, masks, strict=True)
    }
    arrays = {f"mask_{place}": mask.float().cpu().numpy() for place, mask in zip(told, masks, strict=True)}
    return told, {"mask_frames": frame[:, ::2], **arrays} if arrays else {}


def _spread(word: np.ndarray) -> np.ndarray:
    """Return rows of a few clips, each of another word where there are enough: the first of each."""
    first = np.unique(word, return_index=True)[1]
    return first[np.linspace(0, len(first) - 1, min(SHOWN, len(first))).round().astype(int)]


def _in_batches(count: int, batch_size: int) -> int:
    batch = min(batch_size, count)
    return count // batch * batch
