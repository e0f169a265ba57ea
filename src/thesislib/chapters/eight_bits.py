"""In eight bits: what the committed pose network saves and loses with weights and activations of eight bits.

Beside it stands the thesis's network at full width, for its speed alone, and MediaPipe's landmark model where it
is here. Everything takes turns in one run.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from thesislib import paths, peers, pose_model, results, runtime
from thesislib.chapters import finding_joints
from thesislib.chapters.hand_sets import HandSet, data_entry, digest
from thesislib.chapters.joint_choices import decoders, hand_sets, real_crops, real_hands
from thesislib.config import ConfigError, ExperimentConfig, unknown
from thesislib.datasets import hands
from thesislib.datasets.hand_images import HandImages
from thesislib.datasets.sources import DataError
from thesislib.evaluation.speed import export_onnx, in_turns, latency_table, onnx_session
from thesislib.networks.pose import PoseNetwork
from thesislib.quantisation import quantise
from thesislib.transforms.hands import to_input

EXPERIMENT = "eight_bits"
PRECISIONS = ("fp32", "int8")
TRAINED, WHOLE = "trained", "whole_width"  # the committed network; the thesis's width, its weights random
MEDIAPIPE = "mediapipe_full"
REAL_SETS = (
    "asl7",
    *(f"{name}_samples" for name in ("freihand", "onehand10k", "panoptic", "rhd", "interhand")),
)


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """How many hands give the ranges, how many ask, and how often the networks take turns.

    ``thesis run eight_bits --profile quick`` takes about half a minute, the profile full a minute once its hands
    are rendered. That wants MediaPipe's wheel as `pose_speed` does; ``-p mediapipe false`` does without.
    """

    calibration_hands: int = 256  # training hands, whose activations give the ranges
    test_hands: int | None = None  # None: the test hands of the committed network's own record
    real_sets: tuple[str, ...] = ()  # names of datasets.hands.NAMES; fetched, or named by THESIS_DATA
    rounds: int = 100
    mediapipe: bool = False

    profiles: ClassVar = {
        "smoke": dict(calibration_hands=8, test_hands=16, rounds=3),
        "quick": dict(calibration_hands=64, test_hands=200, rounds=20),
        "full": dict(mediapipe=True, real_sets=REAL_SETS),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.real_sets:
            if name not in hands.NAMES:
                raise ConfigError(unknown("set of real hands", name, hands.NAMES))
        if (
            self.calibration_hands < 1
            or self.rounds < 1
            or (self.test_hands is not None and self.test_hands < 1)
        ):
            raise ConfigError("calibration_hands, test_hands and rounds must be positive")


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{config.calibration_hands}-calibration-hands")
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def data_sha256(config: Config) -> str | None:
    """Return the digest of the hands and the network of a run, None where its real sets are not here.

    Nothing is rendered.
    """
    trained = pose_model.load(pose_model.default_model()).config
    try:
        real = _real(config, trained.size)
    except DataError:
        return None
    return _digest(_sets(config, trained), real)


def _digest(sets: dict[str, HandSet], real: dict[tuple[str, str], HandImages]) -> str:
    of_hands, network = digest(list(sets.values()), list(real.values())), pose_model.default_model()
    return hashlib.sha256(of_hands.encode() + network.read_bytes()).hexdigest()


def in_eight_bits(network: nn.Module, images: Tensor, path: Path) -> None:
    """Write a network as an ONNX file of eight bits, its ranges from pictures uint8 [N, 3, S, S]."""
    with TemporaryDirectory() as folder:
        whole = Path(folder) / "fp32.onnx"
        export_onnx(network, whole, images.shape[-1])
        quantise(whole, to_input(images).numpy(), path)


def calibration_images(config: finding_joints.Config, number: int) -> Tensor:
    """Return so many of the hands that a network was trained on, or all of them, uint8 [N, 3, S, S]."""
    train = hand_sets(config)["train"]
    return torch.from_numpy(replace(train, hands=min(number, train.hands)).load().image)


def _sets(config: Config, trained: finding_joints.Config) -> dict[str, HandSet]:
    sets = hand_sets(trained)
    test = sets["test"]
    return {
        "calibration": replace(sets["train"], hands=min(config.calibration_hands, sets["train"].hands)),
        "test": test if config.test_hands is None else replace(test, hands=config.test_hands),
    }


def _real(config: Config, size: int) -> dict[tuple[str, str], HandImages]:
    return {(name, box): real_hands(name, box, size) for name, box in real_crops(config)}


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    models = peers.mediapipe_landmark_models(paths.raw_data() / "mediapipe") if config.mediapipe else {}
    model = pose_model.load(pose_model.default_model())
    trained = model.config
    sets, real = _sets(config, trained), _real(config, trained.size)
    images, test = calibration_images(trained, config.calibration_hands), sets["test"].load()
    runtime.seed_everything(config.seed)
    networks = {TRAINED: model.network, WHOLE: PoseNetwork().eval()}
    decode = next(iter(decoders(trained, model.network).values()))
    metrics: dict[str, Any] = {"trained": model.record, "width": trained.width, "bytes": {}, "real": {}}
    answers: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
    calls: dict[str, Callable[[], Any]] = {}
    with TemporaryDirectory() as folder:
        for name, network in networks.items():
            files = {precision: Path(folder, f"{name}_{precision}.onnx") for precision in PRECISIONS}
            export_onnx(network, files["fp32"], trained.size)
            quantise(files["fp32"], to_input(images).numpy(), files["int8"])
            for precision, file in files.items():
                metrics["bytes"][f"{name}_{precision}"] = file.stat().st_size
                session = onnx_session(file)
                one = {"image": to_input(images[:1]).numpy()}
                calls[f"{name}_{precision}"] = lambda session=session, one=one: session.run(None, one)
                if name == TRAINED:
                    answers[precision] = lambda x, session=session: session.run(None, {"image": x})[0]

    def found(of_set: HandImages, precision: str) -> Tensor:
        inputs = to_input(torch.from_numpy(of_set.image)).split(64)
        return torch.cat([decode(torch.from_numpy(answers[precision](part.numpy()))) for part in inputs])

    predicted = {precision: found(test, precision) for precision in PRECISIONS}
    for precision in PRECISIONS:
        metrics[f"unseen_signers_{precision}"] = finding_joints.score(test, predicted[precision])
    moved = (predicted["int8"] - predicted["fp32"]).norm(dim=-1) * 256 / trained.size
    metrics["unseen_signers_int8_from_fp32_median_px_at_256"] = float(moved.median())
    for (name, box), of_set in real.items():
        metrics["real"][f"{name}_{box}_box"] = {
            precision: finding_joints.over_box(of_set, found(of_set, precision)) for precision in PRECISIONS
        }
    if models:
        calls[MEDIAPIPE] = peers.tflite_call(models[MEDIAPIPE])
    times = in_turns(calls, rounds=config.rounds, warm_up=3, repeats=3, clock=time.process_time)
    metrics["latency"] = {
        peer: latency_table(times, peer).to_dict("index")
        for peer in (f"{TRAINED}_fp32", f"{WHOLE}_fp32", *([MEDIAPIPE] if models else []))
    }
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=data_entry(
            _digest(sets, real),
            "ranges of activations from training hands; asked about hands of unseen signers",
            real_sets={f"{name}_{box}_box": len(of_set) for (name, box), of_set in real.items()},
        ),
        split={
            name: {"signers": [part.signer_range.start, part.signer_range.stop], "hands": part.hands}
            for name, part in sets.items()
        },
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )
