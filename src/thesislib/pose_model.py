"""A trained pose network for use outside the book: load, predict, draw, export as ONNX with a model card."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialised
from torch import Tensor, nn

from thesislib import paths, results
from thesislib.chapters import finding_joints
from thesislib.config import ConfigError
from thesislib.datasets.hands import LEAST_BOX_PX, MARGIN, cut_out
from thesislib.evaluation.speed import onnx_call
from thesislib.files import write_whole
from thesislib.model_card import model_card
from thesislib.synthetic.hand import JOINTS
from thesislib.transforms.hands import to_input

FORMAT = "thesislib pose network 1"
LEAST_PICTURE_PX = 16  # the shorter side; less shows no hand
EXPORTED = ("pose.onnx", "pose.safetensors", "MODEL_CARD.md")
PICTURES = ("JPEG", "PNG", "WEBP", "BMP")
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


class ModelError(RuntimeError):
    """A model or a picture that cannot be used; the message says what to do."""


@dataclass(frozen=True)
class PoseModel:
    """A trained network, the configuration that made it, and what its record says of it."""

    network: nn.Module
    config: finding_joints.Config
    record: str  # the record's name
    facts: Mapping[str, Any]  # data, commit and errors, as in the record


def load(place: Path) -> PoseModel:
    """Return the model of an exported file, a folder that holds one as pose.safetensors, or the folder of a run.

    Raises ModelError for a missing, damaged or foreign file, for weights that do not fit their configuration, and
    for a run whose record is gone.
    """
    place = Path(place)
    file = place
    if place.is_dir():
        names = ("pose.safetensors", "weights.safetensors")
        file = next((file for file in map(place.joinpath, names) if file.exists()), None)
        if file is None:
            raise ModelError(
                f"{place} holds no {' and no '.join(names)}: no exported model, and no finished run"
            )
    weights, described = _read(file)
    if described is None:
        described = _of_run(file)
    try:
        config = finding_joints.Config(**described["config"])
        network = finding_joints.build(config)
        network.load_state_dict(weights)
    except (ConfigError, RuntimeError, TypeError) as error:
        brief = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{file} does not fit the code that is here now ({brief}): train it again"
        ) from error
    return PoseModel(network.eval(), config, described["record"], described["facts"])


def default_model() -> Path:
    """Return the one data/weights/pose-*.safetensors; ModelError where there is none, or more than one."""
    found = sorted(paths.WEIGHTS.glob("pose-*.safetensors"))
    if len(found) == 1:
        return found[0]
    if found:
        raise ModelError(f"there are several pose networks in {paths.WEIGHTS}: name one with --weights")
    runs = paths.RUNS / finding_joints.EXPERIMENT
    trained = sorted(runs.glob("*/weights.safetensors"), key=lambda path: path.stat().st_mtime)
    raise ModelError(
        f"there is no trained pose network in {paths.WEIGHTS}. Train one with `thesis run {runs.name}` and name "
        f"its folder with --weights, {trained[-1].parent if trained else runs / '<run>'}"
    )


def save(model: PoseModel, path: Path) -> None:
    """Write a model as safetensors, its configuration and facts as JSON in the file's metadata."""
    described = {"config": model.config.as_dict(), "record": model.record, "facts": model.facts}
    metadata = {"format": FORMAT, "model": json.dumps(described)}
    weights = {name: tensor.contiguous() for name, tensor in model.network.state_dict().items()}
    # not save_file(): what it writes is for its owner's eyes alone
    content = serialised(weights, metadata)
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def export(model: PoseModel, folder: Path) -> list[Path]:
    """Write pose.onnx, pose.safetensors and MODEL_CARD.md into a folder and return their paths.

    Nothing is left there unless ONNX Runtime is here and gives what PyTorch gives (else ModelError).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    size = model.config.size
    with TemporaryDirectory(prefix=".export", dir=folder) as made:
        made = Path(made)
        pictures = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
        try:
            onnx_call(model.network, to_input(pictures), made / "pose.onnx")
        except RuntimeError as error:
            raise ModelError(f"the network is not exported: {error}") from error
        save(model, made / "pose.safetensors")
        (made / "MODEL_CARD.md").write_text(
            model_card(model.config, model.record, model.facts), encoding="utf8"
        )
        for path in made.iterdir():
            os.replace(path, folder / path.name)
    return [folder / name for name in EXPORTED]


def predict(model: PoseModel, picture: np.ndarray, box: Box | None = None) -> np.ndarray:
    """Return the joints [21, 2] of the hand in a picture uint8 [H, W, 3], in its pixels, centres at +0.5.

    ``box`` is left, top, right and bottom of the hand, tightly; without one the whole picture counts as the hand's.
    As in training, a square is cut out about its middle, edge pixels repeated beyond the picture. Raises
    ModelError for another kind of array, a picture under 16 pixels, and a box that is none or lies outside.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ModelError(f"a picture is uint8 [H, W, 3], not {picture.dtype} {list(picture.shape)}")
    height, width = picture.shape[:2]
    if min(height, width) < LEAST_PICTURE_PX:
        raise ModelError(
            f"a picture of {width} x {height} pixels is too small; {LEAST_PICTURE_PX} is the least"
        )
    margin = MARGIN["image" if box is None else "given"]
    box = (0.0, 0.0, float(width), float(height)) if box is None else tuple(map(float, box))
    _check_box(box, width, height)
    size, span = model.config.size, float(max(height, width))
    corners = np.array([[0, 0], [span, span]])
    square, (first, last) = cut_out(picture, corners, box, size=size, margin=margin)
    joints = _joints(model, torch.from_numpy(square.copy())[None])[0].numpy().astype(np.float64)
    return (joints - first) * span / (last - first)  # back through the map that took the corners along


def draw(picture: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """Return the picture uint8 [H, W, 3] with the skeleton of joints [21, 2] over it, a colour a finger."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from thesislib.figures.hands import skeleton

    height, width = picture.shape[:2]
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)  # a point is a pixel
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    figure.patch.set_alpha(0)
    extent = np.ptp(keypoints, axis=0).max()
    skeleton(axes, keypoints, width=max(0.8, extent / 60))
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba(), np.float32)
    share = drawn[..., 3:] / 255
    return np.round(picture * (1 - share) + drawn[..., :3] * share).astype(np.uint8)


def predict_file(model: PoseModel, path: Path, folder: Path, box: Box | None = None) -> tuple[Path, Path]:
    """Write <name>.joints.png, the picture with its joints, and <name>.joints.json into a folder; return them.

    The JSON names each joint's x and y in pixels of the picture, upright as its camera noted. Raises ModelError
    where the file is no picture, or as `predict` does.
    """
    picture = open_picture(path)
    joints = predict(model, picture, box)
    found = {
        "picture": path.name,
        "width": picture.shape[1],
        "height": picture.shape[0],
        "box": None if box is None else list(box),
        "model": model.record,
        "joints_px": {name: [float(x), float(y)] for name, (x, y) in zip(JOINTS, joints, strict=True)},
    }
    drawn = Image.fromarray(draw(picture, joints))
    png, told = (folder / f"{path.stem}.joints.{kind}" for kind in ("png", "json"))
    results.write_json(told, found)
    write_whole(png, lambda temporary: drawn.save(temporary))
    return png, told


def open_picture(path: Path) -> np.ndarray:
    """Return a picture file as uint8 [H, W, 3], upright as its camera noted; ModelError where it is none."""
    try:
        with Image.open(path, formats=PICTURES) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except FileNotFoundError:
        raise ModelError(f"there is no file {path}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ModelError(f"{path} is not a whole picture ({', '.join(PICTURES)}): {error}") from None


def _joints(model: PoseModel, images: Tensor) -> Tensor:
    decode = next(iter(finding_joints.decoders(model.config, model.network).values()))
    return finding_joints.predict(model.network, decode, images)


def _check_box(box: Box, width: int, height: int) -> None:
    left, top, right, bottom = box
    shown = "({:g}, {:g}, {:g}, {:g})".format(*box)
    if not np.isfinite(box).all() or not (left < right and top < bottom):
        raise ModelError(f"the box {shown} is none: it is left, top, right and bottom, in pixels")
    if left < 0 or top < 0 or right > width or bottom > height:
        raise ModelError(f"the box {shown} lies outside the picture of {width} x {height} pixels")
    if max(right - left, bottom - top) < LEAST_BOX_PX:
        raise ModelError(f"the box {shown} is too small for a hand; {LEAST_BOX_PX:g} pixels is the least")


def _read(file: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Return a file's weights and its description, None for one as training leaves it."""
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            weights = {name: opened.get_tensor(name) for name in opened.keys()}
    except FileNotFoundError:
        raise ModelError(f"there is no file {file}") from None
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file} is not a whole safetensors file ({error})") from None
    prefix = "network."
    if metadata.get("format") == FORMAT:
        try:
            described = json.loads(metadata["model"])
            if described.keys() >= {"config", "record", "facts"}:
                return weights, described
        except (KeyError, ValueError, AttributeError):
            pass
        raise ModelError(f"{file}: its description is damaged; export the model again")
    if any(name.startswith(prefix) for name in weights):
        return {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}, None
    raise ModelError(f"{file} holds other weights than a pose network's of this project")


def _of_run(file: Path) -> dict[str, Any]:
    """Return the description of a run's weights from its record, found by the name of the run's folder."""
    name, code, generator = (["", "", ""] + file.resolve().parent.name.rsplit("-", 2))[-3:]
    others = []
    for committed in (True, False):
        path = results.record_path(finding_joints.EXPERIMENT, name, committed=committed)
        if name and path.exists():
            record = results.read_record(path)
            if (record["source_hash"][:8], record["data"].get("generator", "")[:8]) == (code, generator):
                return {"config": record["config"], "record": name, "facts": facts_of(record)}
            others.append(path)
    if others:
        raise ModelError(
            f"{file} was trained by code {code} on hands of generator {generator}, the record {others[0]} measured "
            "by other code or on other hands: its errors are not these weights'. Name the folder that "
            f"`thesis run {finding_joints.EXPERIMENT}` finished last"
        )
    raise ModelError(
        f"{file} has no record {name or '(its folder is not named as a run)'}: "
        f"`thesis run {finding_joints.EXPERIMENT}` writes it when a run is finished"
    )


def facts_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model card tells of a record: data, code, network and errors."""
    metrics = record["metrics"]
    return {
        "commit": record["environment"]["commit"],
        "data": record["data"],
        "output": metrics["output"],
        "decoder": metrics["decoder"],
        "parameters": metrics["parameters"],
        "multiply_adds": metrics["multiply_adds"],
        "unseen_signers": metrics[f"unseen_signers_{metrics['decoder']}"],
        "unseen_signers_mean_pose": metrics["unseen_signers_mean_pose"],
        "real": {
            name: {kind: {k: v for k, v in found.items() if k != "by_joint"} for kind, found in both.items()}
            for name, both in metrics["real"].items()
        },
    }
