"""Pictures of hands with exact labels, by kind, seed and index.

Everything is drawn from (seed, index) alone. Pictures are made in chunks of one fixed size, so that even
rounding does not depend on how many were asked for.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from thesislib.synthetic import poses
from thesislib.synthetic.draws import fold, whole
from thesislib.synthetic.hand import ANGLES, draw_anatomy, pose
from thesislib.synthetic.handshapes import alphabet
from thesislib.synthetic.picture import fixed_camera, picture

ALPHABETS = {"letters": "american letters", "german": "german alphabet", "digits": "american digits"}
# People spell less like the table than like each other. With this factor on a letter's chance moves and turns, and
# people as different as hand.py has them, 1-NN on the true joints of new signers is right about as often as on
# joints found in photographs of people who spell (asl7).
LETTER_JITTER = 1.5
KINDS = (*ALPHABETS, "random", "flat")
SIGNERS = range(200)

_CPU_CHUNK, _GPU_CHUNK = (
    32,
    256,
)  # pictures made at once, fewer of the largest; what fits a CPU would leave a GPU idle
_MOST_RAYS = 384  # to a side: the surface needs a point for each, so memory ends here
_SIGNER, _LABEL, _SIDE, _SCENE = 71, 72, 73, 74  # purposes of the draws of this room


@dataclass(frozen=True, kw_only=True)
class Difficulty:
    """How far pictures depart from the plain case.

    signer_spread: how far people differ, 1 is usual; pose_jitter: how far a hand departs from its handshape
    or from rest, 1 is usual; rotation: how far hands turn from their usual direction, 1 is usual; clutter: 0 (a
    plain wall) to 1, how much stands behind the hand; resolution: pixels to a side of the poorest camera
    picture; blur: pixels, the strongest, in a picture of 64; noise: standard deviation of the strongest grain,
    where 1 is white; 0 is also free of JPEG's loss.
    """

    signer_spread: float = 1.0
    pose_jitter: float = 1.0
    rotation: float = 1.0
    clutter: float = 1.0
    resolution: float = 40.0
    blur: float = 0.8
    noise: float = 0.04

    def __post_init__(self):
        for name, value in vars(self).items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be a number from 0, got {value!r}")
        if self.clutter > 1 or self.resolution < 8:
            raise ValueError("clutter is at most 1 and resolution at least 8 pixels")


PLAIN = Difficulty(
    signer_spread=1.0, pose_jitter=1.0, rotation=1.0, clutter=0.0, resolution=512.0, blur=0.0, noise=0.0
)


def generate(
    kind: str,
    seed: int,
    index: Tensor,
    *,
    size: int = 64,
    difficulty: Difficulty = Difficulty(),
    signers: Tensor | range = SIGNERS,
    supersample: int = 1,
) -> dict[str, Tensor]:
    """Draw the pictures of one kind with these indices, int64 [B], on the index's device.

    kind: "letters" (24 static American), "german" (30), "digits" (American), "random" or "flat"; signers: who
    may sign; size: pixels to a side, a multiple of 8 from 16 to 384; supersample: rays to a pixel's side.
    With it, at most 384 rays to a picture's side.

    Returns image uint8 [B, 3, size, size]; keypoints float32 [B, 21, 2] in pixels, the middle of the first one
    at 0.5; visible bool [B, 21]; joints float32 [B, 21, 3] in hand units from the wrist, camera axes (x right,
    y up, z to the viewer); angles [B, 21] degrees; letter int64 [B], the position in the Latin alphabet for
    "letters", else the place in its alphabet, -1 for none; signer int64 [B]; left bool [B], a mirrored
    picture with mirrored keypoints and joints. Raises ValueError for a request that cannot be met.
    """
    _check(kind, seed, index, signers)
    check_size(size, supersample)
    signers = torch.as_tensor(list(signers) if isinstance(signers, range) else signers, device=index.device)
    draw = partial(_generate, kind, seed, signers, size, difficulty, supersample)
    return in_chunks(draw, index, size * supersample)


def in_chunks(draw: Callable[[Tensor], dict[str, Tensor]], rows: Tensor, rays: int) -> dict[str, Tensor]:
    """Draw rows [B] in chunks of one size, the last filled up; rays to a picture's side.

    On a CPU, chunks are drawn side by side, each on one core: the operations are too small to share one among
    cores. The first is drawn alone, because it fills the caches that the others read.
    """
    on_cpu = rows.device.type == "cpu"
    chunk = max(4, int((_CPU_CHUNK if on_cpu else _GPU_CHUNK) / max(1.0, rays / 128) ** 2))
    first, *others = torch.cat([rows, rows[-1:].expand(-len(rows) % chunk)]).split(chunk)
    if on_cpu:
        with ThreadPoolExecutor(
            torch.get_num_threads(), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            parts = [pool.submit(draw, first).result(), *pool.map(draw, others)]
    else:
        parts = [draw(part) for part in (first, *others)]
    return {name: torch.cat([part[name] for part in parts])[: len(rows)] for name in parts[0]}


@torch.no_grad()
def _generate(kind, seed, signers, size, difficulty, supersample, index) -> dict[str, Tensor]:
    signer = signers[whole(fold(seed, _SIGNER, index), len(signers))]
    jitter = LETTER_JITTER if kind in ALPHABETS else 1.0
    how = {
        "signer_spread": difficulty.signer_spread,  # a signer is one person, whatever the hand shows
        "pose_jitter": jitter * difficulty.pose_jitter,
        "rotation": jitter * difficulty.rotation,
    }
    anatomy = draw_anatomy(signer, difficulty.signer_spread)
    letter = torch.full_like(index, -1)
    if kind in ALPHABETS:
        names = list(alphabet(ALPHABETS[kind]))
        label = whole(fold(seed, _LABEL, index), len(names))
        angles, orientation = poses.letters(seed, index, signer, label, ALPHABETS[kind], **how)
        letter = label
        if kind == "letters":  # J and Z are motions and have no class here, but keep their places
            letter = torch.tensor([ord(name) - ord("a") for name in names]).to(index)[label]
    else:
        angles, orientation = {"random": poses.random, "flat": poses.flat}[kind](seed, index, signer, **how)
    drawn = picture(
        anatomy,
        signer,
        angles,
        orientation,
        fold(seed, _SCENE, KINDS.index(kind), index),
        size=size,
        supersample=supersample,
        clutter=difficulty.clutter,
        resolution=difficulty.resolution,
        blur=difficulty.blur,
        noise=difficulty.noise,
    )
    left = whole(fold(seed, _SIDE, index), 2).bool()
    drawn = mirror(drawn, left)
    drawn["image"] = (255 * drawn["image"]).round().to(torch.uint8)
    del drawn["mask"], drawn["depth"]
    return drawn | {"angles": angles, "letter": letter, "signer": signer, "left": left}


def mirror(drawn: dict[str, Tensor], where: Tensor) -> dict[str, Tensor]:
    """Mirror the pictures where [B] is true, with their keypoints and joints: right hands become left ones."""
    image, keypoints, joints = drawn["image"], drawn["keypoints"], drawn["joints"]
    swap = where[:, None, None]
    other_way = torch.stack([image.shape[-1] - keypoints[..., 0], keypoints[..., 1]], dim=-1)
    return drawn | {
        "image": torch.where(swap[..., None], image.flip(-1), image),
        "keypoints": torch.where(swap, other_way, keypoints),
        "joints": torch.where(swap, joints * torch.tensor([-1.0, 1.0, 1.0], device=joints.device), joints),
    }


def portray(
    signer: int,
    angles: Tensor,
    orientation: Tensor,
    *,
    size: int = 128,
    difficulty: Difficulty = PLAIN,
    supersample: int = 2,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Draw one signer's right hand in given poses, all in one light, before one background, by one camera.

    angles: [B, 21] degrees; orientation: [B, 3, 3]. Returns what generate() returns, without
    letter, and picture()'s mask and depth. Raises ValueError where shapes or sizes do not fit.
    """
    if angles.ndim != 2 or angles.shape[1] != len(ANGLES) or orientation.shape != (len(angles), 3, 3):
        raise ValueError(
            f"portray needs angles [B, {len(ANGLES)}] and orientation [B, 3, 3], "
            f"got {list(angles.shape)} and {list(orientation.shape)}"
        )
    if not len(angles):
        raise ValueError("portray needs at least one pose")
    check_size(size, supersample)
    key = fold(seed, _SCENE, torch.zeros(len(angles), dtype=torch.int64, device=angles.device))
    who = torch.full_like(key, signer)
    anatomy = draw_anatomy(who, difficulty.signer_spread)
    camera = fixed_camera(pose(anatomy, angles), orientation)

    @torch.no_grad()
    def draw(rows: Tensor) -> dict[str, Tensor]:
        return picture(
            anatomy[rows],
            who[rows],
            angles[rows],
            orientation[rows],
            key[rows],
            size=size,
            supersample=supersample,
            clutter=difficulty.clutter,
            resolution=difficulty.resolution,
            blur=difficulty.blur,
            noise=difficulty.noise,
            camera=camera[rows],
        )

    drawn = in_chunks(draw, torch.arange(len(angles), device=angles.device), size * supersample)
    drawn["image"] = (255 * drawn["image"]).round().to(torch.uint8)
    return drawn | {"angles": angles, "signer": who, "left": torch.zeros_like(who, dtype=torch.bool)}


def _check(kind, seed, index, signers) -> None:
    """Refuse what cannot be drawn, with the reason."""
    if kind not in KINDS:
        raise ValueError(f"no pictures of kind {kind!r}; there are {', '.join(KINDS)}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0, got {seed!r}")
    if not isinstance(index, Tensor) or index.dtype != torch.int64 or index.ndim != 1 or not len(index):
        raise ValueError("index must be an int64 tensor [B] with at least one entry")
    if not len(signers):
        raise ValueError("signers must name at least one signer")


def check_size(size, supersample) -> None:
    """Refuse sizes that cannot be drawn."""
    if isinstance(size, bool) or not isinstance(size, int) or size % 8 or not 16 <= size <= _MOST_RAYS:
        raise ValueError(f"size must be a multiple of 8 from 16 to {_MOST_RAYS}, got {size!r}")
    if supersample not in (1, 2, 3, 4) or size * supersample > _MOST_RAYS:
        raise ValueError(
            f"supersample must be 1, 2, 3 or 4 and at most {_MOST_RAYS} / size, got {supersample!r} at size {size}"
        )
