"""How long a picture of 256 shaded hands takes, by the way in which normals come about: all take turns in one run.

Komorowicz 2018, section 4.4 and table 4.1: normals by a loop over vertices, by vectorised cross products, and of
faces alone, as a geometry shader has them. The document's machine drew with a graphics card and is not named, so
seconds do not compare; ratios do.
"""

import hashlib
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from thesislib import results, runtime
from thesislib.chapters import hand_mesh
from thesislib.chapters.hand_sets import FIRST_SIGNER, SEEDS, data_entry
from thesislib.config import ConfigError, ExperimentConfig
from thesislib.evaluation.speed import latency_table, threads
from thesislib.hand_model import HandModel, posed
from thesislib.mesh_render import render, sheet, vertex_normals, vertex_normals_by_loop
from thesislib.synthetic import poses
from thesislib.synthetic.hand import draw_anatomy
from thesislib.synthetic.mesh_hand import theta_of

EXPERIMENT = "mesh_rendering_speed"
PEER = "vectorized_normals"
WAYS = ("loop_normals", "vectorized_normals", "face_normals", "given_normals")


@dataclass(frozen=True, kw_only=True)
class Config(ExperimentConfig):
    """So many hands, each on a square tile of the picture; the document says neither its tiles nor its rounds.

    ``thesis run mesh_rendering_speed --profile quick`` takes seconds, the profile full two to three minutes on one
    thread. The document's "8 supersampling" is read as 8 x 8 samples to a pixel.
    """

    meshes: int = 256
    tile: int = 48  # pixels to a side
    supersample: int = 8
    rounds: int = 5

    profiles: ClassVar = {
        "smoke": dict(meshes=2, tile=16, supersample=2, rounds=2),
        "quick": dict(meshes=16, rounds=3),
        "full": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.meshes, self.tile, self.supersample, self.rounds) < 1:
            raise ConfigError("meshes, tile, supersample and rounds must be positive")


def run(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now unless it is stored; see `results.cached`."""
    return results.cached(
        record_path(config), config, __name__, lambda: measure(config), lambda: data_sha256(config)
    )


def record_path(config: Config) -> Path:
    """Return where the record of this configuration lives; those of the profile full are committed."""
    name = results.record_name(config, f"{platform.machine()}-{config.meshes}-meshes".lower())
    return results.record_path(EXPERIMENT, name, committed=config.profile_name == "full")


def data_sha256(config: Config) -> str:
    """Return the digest of what is drawn: the hand model and the numbers of the hands."""
    return hashlib.sha256(repr((hand_mesh.model_sha256(), config.meshes, config.seed)).encode()).hexdigest()


def hands(config: Config) -> tuple[HandModel, Tensor]:
    """Return the hand model and the vertices [meshes, V, 3] of invented people's hands in poses of all kinds."""
    model = hand_mesh.load_model()
    index = torch.arange(config.meshes)
    people = FIRST_SIGNER["test"] + index
    angles, orientation = poses.random(SEEDS["test"] + config.seed, index, people)
    pose, shape, rotation = theta_of(model, draw_anatomy(people), angles, orientation)
    return model, posed(model, pose, shape, rotation).vertices


def picture(config: Config) -> Tensor:
    """Return what is timed, uint8 [3, H, W]: all hands in one picture (Komorowicz 2018, figure 4.4)."""
    model, vertices = hands(config)
    drawn = render(vertices, model.faces, size=config.tile, supersample=config.supersample)
    return sheet(drawn.image, columns(config.meshes))


def columns(meshes: int) -> int:
    """Return how many tiles stand side by side in a picture about as wide as high."""
    return int(np.ceil(meshes**0.5))


def measure(config: Config) -> dict[str, Any]:
    """Return the record of this configuration, measured now.

    In a round every way has its turn. The clock is the process's own time on one thread of the CPU: what the clock
    on the wall would show if nothing else ran. Seconds are medians of rounds between their quartiles; ratios are
    to the vectorised way, with the central 95 % of the ratio when rounds are drawn again with replacement.
    """
    start, environment = time.perf_counter(), runtime.fingerprint()
    model, vertices = hands(config)
    with threads(1):
        environment["device"] = runtime.processor_name()
        whole, normals = turns(vertices, model.faces, config)
    table = latency_table(whole, PEER)
    metrics: dict[str, Any] = {
        "protocol": f"{config.meshes} hands of {len(model.template)} vertices on tiles of {config.tile} pixels, "
        f"{config.supersample} x {config.supersample} samples to a pixel, median of {config.rounds} rounds, "
        "process time on one CPU thread",
        "peer": PEER,
        "seconds": (table["median_ms"] / 1000).to_dict(),
        "seconds_low": (table["low_ms"] / 1000).to_dict(),
        "seconds_high": (table["high_ms"] / 1000).to_dict(),
        "ratio_to_vectorized_normals": table[f"ratio_to_{PEER}"].to_dict(),
        "ratio_to_vectorized_normals_low": table["ratio_low"].to_dict(),
        "ratio_to_vectorized_normals_high": table["ratio_high"].to_dict(),
        "normals_seconds": {name: float(np.median(times)) / 1000 for name, times in normals.items()},
    }
    note = f"{config.meshes} hands of {hand_mesh.EXPERIMENT}'s model"
    return results.make_record(
        EXPERIMENT,
        config,
        module=__name__,
        data=data_entry(data_sha256(config), note),
        split={},
        metrics=metrics,
        published={},
        environment=environment,
        wall_seconds=time.perf_counter() - start,
    )


def turns(
    vertices: Tensor, faces: Tensor, config: Config
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return milliseconds of each way, one a round: of the whole picture, and of the normals of vertices alone.

    The normals of faces come about while the picture is drawn, as in a geometry shader.
    """
    make = {"loop_normals": vertex_normals_by_loop, "vectorized_normals": vertex_normals}
    ready = vertex_normals(vertices, faces)
    whole: dict[str, list[float]] = {name: [] for name in WAYS}
    alone: dict[str, list[float]] = {name: [] for name in make}

    def draw(normals: Tensor | None, flat: bool) -> None:
        drawn = render(
            vertices,
            faces,
            size=config.tile,
            supersample=config.supersample,
            normals=normals,
            flat=flat,
        )
        sheet(drawn.image, columns(config.meshes))

    draw(ready, flat=False)  # the first picture finds its memory; it does not count
    for _ in range(config.rounds):
        for name in WAYS:
            start = time.process_time()
            normals = make[name](vertices, faces) if name in make else ready
            middle = time.process_time()
            draw(normals, flat=name == "face_normals")
            end = time.process_time()
            whole[name].append(1000 * (end - start))
            if name in make:
                alone[name].append(1000 * (middle - start))
    return whole, alone
