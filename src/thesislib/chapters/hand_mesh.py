"""A hand model of one's own: built from invented people, and what its 61 numbers can and cannot say.

Komorowicz 2018 poses the hand of MANO (section 2.1). This one has the same interface and is learned the same way,
from invented people instead of scans. Whatever chapter 5 says of hands rests on the committed file.
"""

import hashlib
import json
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from torch import Tensor

from thesislib import paths, results, runtime
from thesislib.chapters.hand_sets import FIRST_SIGNER, SEEDS, data_entry, digest
from thesislib.config import ConfigError, ExperimentConfig
from thesislib.files import write_whole
from thesislib.hand_model import UNIT_MM, HandModel, posed
from thesislib.synthetic import mesh_hand, poses
from thesislib.synthetic.bones import rest_hand
from thesislib.synthetic.hand import Anatomy, draw_anatomy, pose

EXPERIMENT = "hand_mesh"
NUMBERS = (0, 1, 2, 5, 10)  # how many shape numbers are asked what they are worth
_HALVED = ("pose_basis",)  # most of the file; float16 moves no vertex by a thousandth of a millimetre
_AGAIN = "restore it from the repository, or delete its record and run `thesis run hand_mesh --profile full`"
_WHOLE = ("faces", "parents", "tips", "keypoint_order")


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """A hand model out of so many invented people and poses, measured on so many others.

    ``thesis run hand_mesh --profile full`` takes a laptop's core under a minute.
    """

    vertices: int = 900
    people: int = 2_000
    poses: int = 3_000
    test_people: int = 500

    profiles: ClassVar = {
        "smoke": dict(vertices=500, people=64, poses=300, test_people=16),
        "quick": dict(people=400, poses=800, test_people=100),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.people < 10 or self.poses < 1 or self.test_people < 1 or self.vertices < 200:
            raise ConfigError("a hand model needs 10 people, a pose, somebody to test on and 200 vertices")


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: _measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{config.vertices}-vertices-seed{config.seed}")
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def weights_path(config: Config) -> Path:
    """Return the file of the built model; those of the profile full are committed."""
    if config.profile_name == "full":
        return paths.WEIGHTS / f"hand-model-{record_path(config).stem}.safetensors"
    code, data = results.source_hash(__name__)[:8], data_sha256(config)[:8]
    return paths.RUNS / EXPERIMENT / f"{record_path(config).stem}-{code}-{data}" / "hand-model.safetensors"


def data_sha256(config: Config) -> str:
    """Return the digest of what is learned from and measured on: the invented people and their poses."""
    numbers = (digest(), mesh_hand.FIRST_PERSON, config.people, config.poses, config.test_people)
    return hashlib.sha256(repr(numbers).encode()).hexdigest()


def stored() -> Config:
    """Return the configuration of the committed model; raises RecordError where there is none."""
    config = results.stored_config(EXPERIMENT, Config, seed=0)
    if config is None:
        raise results.RecordError(
            "no hand model is stored; make one with `thesis run hand_mesh --profile full`"
        )
    return config


def load_model() -> HandModel:
    """Return the committed hand model, on the CPU; raises RecordError where its file is missing or damaged."""
    return read_model(weights_path(stored()))


def model_sha256() -> str:
    """Return the sha256 of the committed model's file, which names the model in later records."""
    try:
        return hashlib.sha256(weights_path(stored()).read_bytes()).hexdigest()
    except OSError as error:
        raise results.RecordError(f"the committed hand model cannot be read ({error}); {_AGAIN}") from None


@lru_cache(maxsize=4)
def read_model(path: Path) -> HandModel:
    """Return the hand model of a file, float32; raises RecordError where the file holds no such model."""
    try:
        tensors_there = load_file(path)
        tensors = {
            name: tensors_there[name].long() if name in _WHOLE else tensors_there[name].float()
            for name in HandModel.__dataclass_fields__
            if name != "name"
        }
        tensors["parents"] = tuple(tensors["parents"].tolist())
        model = HandModel(**tensors, name=mesh_hand.NAME)
        posed(model, *(torch.zeros(1, size) for size in (45, 10, 3)))
    except (OSError, SafetensorError, KeyError, RuntimeError, IndexError) as error:
        raise results.RecordError(f"{path} holds no hand model ({error!r}); {_AGAIN}") from None
    return model


def write_model(path: Path, model: HandModel, config: Config) -> None:
    """Write a hand model to a file that `read_model` reads, whole or not at all."""
    tensors = {
        name: torch.tensor(value) if name == "parents" else value.half() if name in _HALVED else value
        for name, value in vars(model).items()
        if name != "name"
    }
    content = serialised(tensors, {"config": json.dumps(config.as_dict())})
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def shape_errors(model: HandModel, anatomy: Anatomy) -> dict[str, dict[str, float]]:
    """Return how far resting hands [N] are from the model's, by how many of its shape numbers are used.

    Means over people and vertices or joints, in mm. The skin is that of `mesh_hand.resting_mesh`.
    """
    skin = mesh_hand.resting_mesh(model.template, anatomy)
    joints = mesh_hand.resting_joints(anatomy)
    shape = mesh_hand.shape_of(model, anatomy)
    still = torch.zeros(len(shape), 48)
    errors = {}
    for count in NUMBERS:
        mesh = posed(model, still[:, :45], shape * (torch.arange(10) < count), still[:, 45:])
        errors[str(count)] = {
            "vertices_mm": _mean_mm(mesh.vertices, skin),
            "joints_mm": _mean_mm(mesh.keypoints, joints),
        }
    return errors


def pose_errors(
    model: HandModel, anatomy: Anatomy, angles: Tensor, orientation: Tensor
) -> dict[str, dict[str, float]]:
    """Return how far posed hands [N] are from the model's, by linear blend skinning alone and with pose blend
    shapes: means over hands and vertices, joints or fingertips, and the vertices' 99th percentile, in mm."""
    skin = mesh_hand.true_mesh(model, anatomy, angles) @ orientation.mT
    joints = pose(anatomy, angles).joints @ orientation.mT
    parameters = mesh_hand.theta_of(model, anatomy, angles, orientation)
    alone = replace(model, pose_basis=torch.zeros_like(model.pose_basis))
    errors = {}
    for name, which in (("skinning_alone", alone), ("with_pose_blend_shapes", model)):
        mesh = posed(which, *parameters)
        distance = UNIT_MM * (mesh.vertices - skin).norm(dim=-1).flatten()
        errors[name] = {
            "vertices_mm": distance.double().mean().item(),
            "vertices_99th_percentile_mm": distance.kthvalue(round(0.99 * len(distance))).values.item(),
            "joints_mm": _mean_mm(mesh.keypoints, joints),
            "tips_mm": _mean_mm(mesh.keypoints[:, 4::4], joints[:, 4::4]),
        }
    return errors


def _mean_mm(points: Tensor, truth: Tensor) -> float:
    return UNIT_MM * (points - truth).norm(dim=-1).double().mean().item()


def _variance_shares(model: HandModel, anatomy: Anatomy) -> list[float]:
    """Return the share of people's variance that each shape number explains, at rest about the average hand."""
    offset = (mesh_hand.resting_mesh(model.template, anatomy) - model.template).flatten(1).double()
    direction = torch.nn.functional.normalize(model.shape_basis.flatten(0, 1).double(), dim=0)  # [3 V, 10]
    explained = (offset @ direction).square().sum(dim=0)
    return (explained / offset.square().sum()).tolist()


def _measure(config: Config) -> dict[str, Any]:
    start, environment = time.perf_counter(), runtime.fingerprint()
    path = weights_path(config)
    built = mesh_hand.build(config.vertices, config.people, config.poses, seed=config.seed)
    write_model(path, built, config)
    model = read_model(path)  # as everybody else will have it

    known = draw_anatomy(mesh_hand.scanned(config.people, config.seed))
    people = FIRST_SIGNER["test"] + torch.arange(config.test_people)
    index, anatomy = torch.arange(config.test_people), draw_anatomy(people)
    average = Anatomy(
        **{name: row.expand(len(people), *row.shape[1:]) for name, row in vars(rest_hand()[0]).items()}
    )
    any_pose = poses.random(SEEDS["test"], index, people)
    flat = poses.flat(SEEDS["test"], index, people)
    metrics = {
        "vertices": len(model.template),
        "faces": len(model.faces),
        "variance_share": {
            "known_people": _variance_shares(model, known),
            "unseen_people": _variance_shares(model, anatomy),
        },
        "unseen_people_at_rest_by_shape_numbers": shape_errors(model, anatomy),
        "average_hand_in_random_poses": pose_errors(model, average, *any_pose),
        "unseen_people_in_random_poses": pose_errors(model, anatomy, *any_pose),
        "unseen_people_with_flat_hands": pose_errors(model, anatomy, *flat),
        "joints_read_off_true_skin_mm": _mean_mm(
            model.joint_regressor @ mesh_hand.resting_mesh(model.template, anatomy),
            mesh_hand.resting_joints(anatomy)[:, mesh_hand.MODEL_JOINTS],
        ),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=data_entry(data_sha256(config), "resting and posed skins of invented people"),
        split={
            "known_people": [mesh_hand.FIRST_PERSON, config.people],
            "unseen_people": [FIRST_SIGNER["test"], config.test_people],
        },
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )
