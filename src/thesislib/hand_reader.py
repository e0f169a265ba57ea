"""A trained network that reads a hand model's 61 numbers from a picture, for use outside the book.

What `pose_model` is for joints in the picture, this is for the hand in space: load, predict, draw, write a mesh.
Every hand is read as a right one: the picture of a left one is mirrored, and what was found is mirrored back.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor, nn

from thesislib import paths, pose_model, results
from thesislib.chapters import hand_from_picture, hand_mesh, hand_regression
from thesislib.config import ConfigError
from thesislib.datasets.hands import MARGIN, cut_out
from thesislib.datasets.sources import DataError
from thesislib.files import write_whole
from thesislib.hand_model import SIZES, UNIT_MM, HandModel, Mesh, posed, project, split
from thesislib.mesh_render import framed, render
from thesislib.pose_model import LEAST_PICTURE_PX, Box, ModelError, open_picture
from thesislib.synthetic.flat_hands import BORDER
from thesislib.synthetic.hand import JOINTS

FORMAT = "thesislib hand reader 1"
_PANEL = 320  # pixels to a side of one of the pictures in a drawing
_GAP = 8
_OPACITY = 0.85  # of the mesh over its picture
_BLACK, _WHITE = (0.0, 0.0, 0.0), 255


@dataclass(frozen=True)
class HandReader:
    """A trained network, the hand model whose numbers it gives, its configuration and what its record says."""

    network: nn.Module
    model: HandModel
    config: hand_regression.Config
    record: str  # the record's name
    facts: Mapping[str, Any]  # data, commit and errors, as in the record


@dataclass(frozen=True)
class Reading:
    """What a network made of the hand in one picture.

    thetas: float32 [T, 61], the parameters after each iteration, those of a right hand: a left one was mirrored;
    translation and scale are in the normalised coordinates of the square. joints_px: [T, 21, 2] in pixels of the
    picture, the middle of the first one at 0.5. mesh: of the last iteration, one hand, camera axes and hand units
    from the wrist, a left hand mirrored back. square: uint8 [3, S, S], what was read, the right way round, drawn
    larger than the network saw it; place: its left, top and side in pixels of the picture.
    """

    thetas: Tensor
    joints_px: np.ndarray
    mesh: Mesh
    left: bool
    square: np.ndarray
    place: tuple[float, float, float]


def default_model() -> Path:
    """Return the one data/weights/hand-mesh-*.safetensors; ModelError where there is none, or more than one."""
    found = sorted(paths.WEIGHTS.glob("hand-mesh-*.safetensors"))
    if len(found) == 1:
        return found[0]
    if found:
        raise ModelError(f"there are several hand readers in {paths.WEIGHTS}: name one with --weights")
    raise ModelError(f"there is no hand reader in {paths.WEIGHTS}: name its file with --weights")


def load(file: Path) -> HandReader:
    """Return the network of a file that `save` wrote, in evaluation mode on the CPU.

    Raises ModelError for a missing, damaged or foreign file, for weights that do not fit their configuration, and
    for a network that gives another hand model's numbers.
    """
    weights, described = _read(Path(file))
    if described["hand_model"] != hand_mesh.model_sha256():
        raise ModelError(f"{file} gives the numbers of another hand model than the one in {paths.WEIGHTS}")
    try:
        config = hand_regression.Config(**described["config"])
        # what the encoder once started from is overwritten: it need not be here
        network = hand_regression.build(replace(config, start="random", frozen=False))
        network.load_state_dict(weights)
    except (ConfigError, RuntimeError, TypeError) as error:
        brief = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{file} does not fit the code that is here now ({brief}): train it again"
        ) from error
    return HandReader(network.eval(), hand_mesh.load_model(), config, described["record"], described["facts"])


def save(reader: HandReader, path: Path) -> None:
    """Write a network as safetensors, its configuration and facts as JSON in the file's metadata.

    Matrices are kept with 16 bits: half the size, and less of a difference than any two trainings.
    """
    described = {
        "config": reader.config.as_dict(),
        "record": reader.record,
        "facts": reader.facts,
        "hand_model": hand_mesh.model_sha256(),
    }
    metadata = {"format": FORMAT, "model": json.dumps(described)}
    state = reader.network.state_dict()
    halved = {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in state.items()}
    content = serialised({name: tensor.cpu().contiguous() for name, tensor in halved.items()}, metadata)
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def of_run(config: hand_regression.Config) -> HandReader:
    """Return the network of a run, which is trained now where its weights are not here."""
    record = hand_from_picture.run(config)
    model, (known, _) = hand_from_picture.model_of(config), hand_from_picture.sets(config)
    learned = hand_regression.with_drawn_hands(config, known, model)
    path = hand_from_picture.record_path(config)
    network, _ = hand_regression.trained(config, model, learned, path)
    facts = {
        "data": record["data"]["title"],
        "commit": record["environment"]["commit"],
        "errors": {name: error["mean"] for name, error in record["metrics"]["errors"].items()},
    }
    return HandReader(network.cpu(), model, config, path.stem, facts)


def export(folder: Path) -> Path:
    """Write the small network of the stored run with every repair into a folder, and return its file.

    Raises ModelError where no such run is stored.
    """
    repairs = ("fingertips", "limits_weight", "person_weight", "truth_weight", "silhouette_weight")
    for record in results.committed_records(hand_from_picture.EXPERIMENT):
        config = hand_regression.Config(**record["config"])
        if config.encoder == "small" and all(getattr(config, name) for name in repairs):
            reader = of_run(config)
            folder.mkdir(parents=True, exist_ok=True)
            save(reader, folder / f"hand-mesh-{reader.record}.safetensors")
            return folder / f"hand-mesh-{reader.record}.safetensors"
    raise ModelError("no run of the small network with every repair is stored; `make records` makes one")


def predict(
    reader: HandReader, picture: np.ndarray, box: Box | None = None, *, left: bool = False
) -> Reading:
    """Return what the network reads in a picture uint8 [H, W, 3].

    ``box`` is left, top, right and bottom of the hand from wrist to fingertips, tightly; without one the whole
    picture counts as cropped already, as in training. ``left``: it is a left hand. Raises ModelError for another
    kind of array, a picture under 16 pixels, and a box that is none or lies outside.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ModelError(f"a picture is uint8 [H, W, 3], not {picture.dtype} {list(picture.shape)}")
    height, width = picture.shape[:2]
    if min(height, width) < LEAST_PICTURE_PX:
        raise ModelError(
            f"a picture of {width} x {height} pixels is too small; {LEAST_PICTURE_PX} is the least"
        )
    margin = MARGIN["image"] if box is None else 1 + 2 * BORDER
    x0, y0, x1, y1 = (0.0, 0.0, float(width), float(height)) if box is None else map(float, box)
    if left:
        picture, x0, x1 = picture[:, ::-1], width - x1, width - x0
    corners = np.array([[0.0, 0.0], [1.0, 1.0]])  # of the picture's first pixel: they tell scale and shift
    try:
        square, (first, last) = cut_out(
            picture, corners, (x0, y0, x1, y1), size=reader.config.size, margin=margin
        )
        shown, _ = cut_out(picture, corners, (x0, y0, x1, y1), size=_PANEL, margin=margin)
    except DataError as error:
        raise ModelError(f"no hand can be cut out of the picture of {width} x {height}: {error}") from None
    thetas = hand_regression.estimates(reader.network, square[None])[:, 0]  # [T, 61]
    flat, mesh = _placed(reader.model, thetas)
    px = (last - first).astype(np.float64)  # pixels of the square to one of the picture
    joints = ((flat.numpy() + 1) * (reader.config.size / 2) - first) / px
    side = float(reader.config.size / px[0])
    corner = -first / px
    if left:
        joints[..., 0], corner[0] = width - joints[..., 0], width - corner[0] - side
        mesh, shown = _mirrored(mesh), shown[..., ::-1]
    place = (float(corner[0]), float(corner[1]), side)
    return Reading(thetas, joints, mesh, left, np.ascontiguousarray(shown), place)


def draw(reader: HandReader, reading: Reading) -> np.ndarray:
    """Return a strip of pictures uint8 [S, W, 3]: joints after each iteration, the mesh over the picture, its side.

    The first ones are figure 7.1 of Komorowicz 2018, the last two what its figure 7.2 asks: is it a hand? Its side
    is the thumb's.
    """
    left, top, side = reading.place
    square = np.ascontiguousarray(reading.square.transpose(1, 2, 0))
    joints = (reading.joints_px - (left, top)) * (_PANEL / side)
    panels = [pose_model.draw(square, points) for points in joints]
    panels += [_over(reader, reading, square), _from_the_side(reader, reading)]
    gap = np.full((_PANEL, _GAP, 3), _WHITE, np.uint8)
    return np.concatenate([part for panel in panels for part in (panel, gap)][:-1], axis=1)


def predict_file(
    reader: HandReader, path: Path, folder: Path, box: Box | None = None, *, left: bool = False
) -> tuple[Path, Path, Path]:
    """Write <name>.hand.png, as `draw` makes it, <name>.hand.obj, the mesh, and <name>.hand.json; return them.

    The mesh is in millimetres, as large as the model thinks: one picture does not tell size. The JSON holds the 61
    numbers by name, and the joints in pixels of the picture, upright as its camera noted, and in millimetres from
    the wrist. Raises ModelError where the file is no picture, or as `predict` does.
    """
    reading = predict(reader, open_picture(path), box, left=left)
    drawn = Image.fromarray(draw(reader, reading))
    millimetres = UNIT_MM * reading.mesh.keypoints[0]
    told_of = {
        "picture": path.name,
        "box": None if box is None else list(box),
        "left_hand": left,
        "network": reader.record,
        "hand_model": reader.model.name,
        "parameters_of": "the mirrored picture's right hand" if left else "the right hand",
        "parameters": {name: vars(split(reading.thetas[-1]))[name].tolist() for name in SIZES},
        "square_px": dict(zip(("left", "top", "side"), reading.place, strict=True)),
        "joints_px": dict(zip(JOINTS, reading.joints_px[-1].tolist(), strict=True)),
        "joints_mm": dict(zip(JOINTS, millimetres.tolist(), strict=True)),
    }
    png, obj, told = (folder / f"{path.stem}.hand.{kind}" for kind in ("png", "obj", "json"))
    results.write_json(told, told_of)
    write_whole(obj, lambda temporary: temporary.write_text(as_obj(reader, reading), encoding="utf8"))
    write_whole(png, lambda temporary: drawn.save(temporary))
    return png, obj, told


def as_obj(reader: HandReader, reading: Reading) -> str:
    """Return the mesh as a Wavefront OBJ file: millimetres, x right, y up, z to the viewer, outsides out."""
    faces = _faces(reader, reading)
    lines = [
        f"# a {'left' if reading.left else 'right'} hand in millimetres from the wrist, model {reader.model.name}"
    ]
    lines += [
        "v {:.3f} {:.3f} {:.3f}".format(*point) for point in (UNIT_MM * reading.mesh.vertices[0]).tolist()
    ]
    lines += ["f {} {} {}".format(*face) for face in (faces + 1).tolist()]
    return "\n".join(lines) + "\n"


def _placed(model: HandModel, thetas: Tensor) -> tuple[Tensor, Mesh]:
    """Return the joints of parameters [T, 61] in normalised coordinates, [T, 21, 2], and the last one's mesh."""
    given = split(thetas)
    meshes = posed(model, given.pose, given.shape, given.rotation)
    flat = project(meshes.keypoints, given.translation, given.scale)
    return flat, Mesh(meshes.vertices[-1:], meshes.keypoints[-1:], meshes.turns[-1:])


def _mirrored(mesh: Mesh) -> Mesh:
    flip = torch.tensor([-1.0, 1.0, 1.0])
    return Mesh(mesh.vertices * flip, mesh.keypoints * flip, flip[:, None] * mesh.turns * flip)


def _over(reader: HandReader, reading: Reading, square: np.ndarray) -> np.ndarray:
    """Return the picture with the mesh over it."""
    given = split(reading.thetas[-1:])
    turned = given.translation * torch.tensor([-1.0 if reading.left else 1.0, 1.0])
    drawn = render(
        reading.mesh.vertices,
        _faces(reader, reading),
        size=_PANEL,
        translation=turned,
        scale=given.scale,
        background=_BLACK,
    )
    share = _OPACITY * drawn.mask[0, ..., None].numpy()
    hand = _OPACITY * drawn.image[0].permute(1, 2, 0).numpy()  # over black: already its share of a pixel
    return np.round(square * (1 - share) + hand).astype(np.uint8)


def _from_the_side(reader: HandReader, reading: Reading) -> np.ndarray:
    index, little = (reading.mesh.keypoints[0, JOINTS.index(f"{name} MCP")] for name in ("index", "little"))
    thumbs = torch.sign(index[0] - little[0])  # 1 where the thumb's side is to the right
    x, y, z = reading.mesh.vertices.unbind(-1)
    side = torch.stack([-thumbs * z, y, thumbs * x], dim=-1)
    translation, scale = framed(side)
    drawn = render(side, _faces(reader, reading), size=_PANEL, translation=translation, scale=scale)
    return drawn.image[0].permute(1, 2, 0).numpy()


def _faces(reader: HandReader, reading: Reading) -> Tensor:
    """Return the model's triangles, counter-clockwise from outside; a mirror image turns them inside out."""
    return reader.model.faces.flip(1) if reading.left else reader.model.faces


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return a file's weights, float32, and its description."""
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            weights = {name: opened.get_tensor(name) for name in opened.keys()}
    except FileNotFoundError:
        raise ModelError(f"there is no file {file}") from None
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} is not a whole safetensors file ({error})") from None
    if metadata.get("format") != FORMAT:
        raise ModelError(f"{file} holds other weights than a hand reader's of this project")
    try:
        described = json.loads(metadata["model"])
        if not described.keys() >= {"config", "record", "facts", "hand_model"}:
            raise ValueError("parts are missing")
    except (KeyError, ValueError, AttributeError):
        raise ModelError(f"{file}: its description is damaged; save the network again") from None
    return {name: t.float() if t.is_floating_point() else t for name, t in weights.items()}, described
