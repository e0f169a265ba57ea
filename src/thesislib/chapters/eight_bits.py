"""In eight bits: what the stored pose networks save and lose with weights and activations of eight bits.

Beside them stands MediaPipe's landmark model where it is here. Everything takes turns in one run.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from thesislib import paths, peers, pose_model, results, runtime
from thesislib.chapters import finding_joints, stored_pose
from thesislib.chapters.hand_sets import HandSet
from thesislib.chapters.joint_choices import decoders, hand_sets
from thesislib.chapters.stored_pose import HALF, MEDIAPIPE, REAL_SETS
from thesislib.config import ConfigError
from thesislib.datasets.hand_images import HandImages
from thesislib.evaluation.speed import export_onnx, in_turns, latency_table, onnx_session
from thesislib.quantisation import quantise
from thesislib.transforms.hands import to_input

EXPERIMENT = "eight_bits"
PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True, kw_only=True)
class Config(stored_pose.Asked):
    """How many hands give the ranges, how many ask, and how often the networks take turns.

    ``thesis run eight_bits --profile quick`` takes about half a minute, the profile full a minute once its hands
    are rendered. That wants MediaPipe's wheel as `pose_speed` does; ``-p mediapipe false`` does without.
    """

    calibration_hands: int = 256  # training hands, whose activations give the ranges
    rounds: int = 100
    mediapipe: bool = False

    profiles: ClassVar = {
        "smoke": dict(calibration_hands=8, test_hands=16, rounds=3),
        "quick": dict(calibration_hands=64, test_hands=200, rounds=20),
        "full": dict(mediapipe=True, real_sets=REAL_SETS),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.calibration_hands < 1 or self.rounds < 1:
            raise ConfigError(
                f"calibration_hands and rounds must be positive, not {self.calibration_hands} and {self.rounds}"
            )


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
    """Return the digest of the hands and the networks of a run, None where its real sets are not here.

    Nothing is rendered.
    """
    trained = stored_pose.trained()
    return stored_pose.sha256_here(config, _sets(config, trained), trained.size)


def in_eight_bits(network: nn.Module, images: Tensor, path: Path) -> None:
    """Write a network as an ONNX file of eight bits, its ranges from pictures uint8 [N, 3, S, S]."""
    with TemporaryDirectory() as folder:
        whole = Path(folder) / "fp32.onnx"
        export_onnx(network, whole, images.shape[-1])
        quantise(whole, to_input(images).numpy(), path)


def calibration_set(config: finding_joints.Config, number: int) -> HandSet:
    """Return so many of the hands that a network was trained on, or all of them."""
    train = hand_sets(config)["train"]
    return replace(train, hands=min(number, train.hands))


def calibration_images(config: finding_joints.Config, number: int) -> Tensor:
    """Return the pictures of `calibration_set`, uint8 [N, 3, S, S]."""
    return torch.from_numpy(calibration_set(config, number).load().image)


def _sets(config: Config, trained: finding_joints.Config) -> dict[str, HandSet]:
    return {
        "calibration": calibration_set(trained, config.calibration_hands),
        "test": stored_pose.test_set(config, trained),
    }


def _asked(
    model: pose_model.PoseModel,
    files: Mapping[str, Path],
    test: HandImages,
    real: Mapping[str, HandImages],
) -> dict[str, Any]:
    """Return the bytes of a network's ONNX files by precision, and what each is off by on unseen and real hands."""
    decode = next(iter(decoders(model.config, model.network).values()))

    sessions = {precision: onnx_session(file) for precision, file in files.items()}

    def found(of_set: HandImages) -> dict[str, Tensor]:
        inputs = [part.numpy() for part in to_input(torch.from_numpy(of_set.image)).split(64)]
        return {
            precision: torch.cat(
                [decode(torch.from_numpy(session.run(None, {"image": part})[0])) for part in inputs]
            )
            for precision, session in sessions.items()
        }

    predicted = found(test)
    moved = (predicted["int8"] - predicted["fp32"]).norm(dim=-1) * 256 / model.config.size
    return {
        "trained": model.record,
        "width": model.config.width,
        "bytes": {precision: file.stat().st_size for precision, file in files.items()},
        **{
            f"unseen_signers_{precision}": finding_joints.score(test, joints)
            for precision, joints in predicted.items()
        },
        "unseen_signers_int8_from_fp32_median_px_at_256": float(moved.median()),
        "real": {
            row: {
                precision: finding_joints.over_box(of_set, joints)
                for precision, joints in found(of_set).items()
            }
            for row, of_set in real.items()
        },
    }


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    models = peers.mediapipe_landmark_models(paths.raw_data() / "mediapipe") if config.mediapipe else {}
    stored = stored_pose.stored()
    trained = stored[HALF].config
    sets, real = _sets(config, trained), stored_pose.real_sets(config, trained.size)
    images, test = calibration_images(trained, config.calibration_hands), sets["test"].load()
    runtime.seed_everything(config.seed)
    metrics: dict[str, Any] = {"networks": {}}
    calls: dict[str, Callable[[], Any]] = {}
    with TemporaryDirectory() as folder:
        for name, model in stored.items():
            files = {precision: Path(folder, f"{name}_{precision}.onnx") for precision in PRECISIONS}
            export_onnx(model.network, files["fp32"], trained.size)
            in_eight_bits(model.network, images, files["int8"])
            metrics["networks"][name] = _asked(model, files, test, real)
            for precision, file in files.items():
                session, one = onnx_session(file), {"image": to_input(images[:1]).numpy()}
                calls[f"{name}_{precision}"] = lambda session=session, one=one: session.run(None, one)
    if models:
        calls[MEDIAPIPE] = peers.tflite_call(models[MEDIAPIPE])
    times = in_turns(calls, rounds=config.rounds, warm_up=3, repeats=3, clock=time.process_time)
    metrics["latency"] = {
        peer: latency_table(times, peer).to_dict("index")
        for peer in (*(f"{name}_fp32" for name in stored), *([MEDIAPIPE] if models else []))
    }
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        **stored_pose.described(
            sets,
            real,
            "ranges of activations from training hands; asked about hands of unseen signers",
        ),
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )
