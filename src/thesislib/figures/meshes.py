"""The hand model explained, and predicted meshes beside their pictures, drawn by `mesh_render`.

Pictures are uint8 [n, 3, S, S], keypoints [n, 21, 2] in their pixels, parameters [n, 61] as `hand_model.split`
reads them. Each figure carries a description in words, `figure.get_label()`.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from thesislib.figures import style
from thesislib.figures.hands import described, finger_legend, skeleton
from thesislib.hand_model import UNIT_MM, HandModel, posed, project, rotation_matrices, split
from thesislib.mesh_render import framed, render
from thesislib.synthetic.hand import JOINTS

# turns about an axis, in degrees, after which the viewer sees the hand
AS_SEEN, SIDE, OTHER_SIDE = (0.0, 0.0, 0.0), (0.0, -90.0, 0.0), (0.0, 90.0, 0.0)
SIZE = 320  # pixels of a drawn mesh
SUPERSAMPLE = 2
CLAY, PREDICTED = (0.86, 0.72, 0.62), (0.55, 0.74, 0.93)  # a predicted mesh is blue, a true one is not
STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # standard deviations
GAP = 0.04  # between cells, as a share of one


def turned(points: Tensor, degrees: tuple[float, float, float]) -> Tensor:
    """Return points [..., 3] in camera axes, turned by an axis times an angle in degrees."""
    return points @ rotation_matrices(torch.tensor(degrees) * (math.pi / 180)).T


def template(model: HandModel) -> Figure:
    """Draw the template from the palm and from the thumb's side, with its keypoints and bones over it."""
    mesh = posed(model, *_nothing(model, 1))
    views = {"palm": AS_SEEN, "thumb's side": SIDE}
    figure, axes = _cells(1, len(views), inches=2.9)
    for axis, (name, degrees) in zip(axes[0], views.items(), strict=True):
        vertices, keypoints = turned(mesh.vertices, degrees), turned(mesh.keypoints, degrees)
        translation, scale = framed(vertices)
        _show(axis, _drawn(model, vertices)[0])
        skeleton(axis, _pixels(project(keypoints, translation, scale), SIZE)[0], width=1.4)
        axis.set_title(name, loc="center")
    finger_legend(figure)
    count, faces = len(model.template), len(model.faces)
    return described(
        figure, f"The template, {count:,} vertices, {faces:,} triangles, with 21 keypoints and bones."
    )


def shape_numbers(model: HandModel, *, count: int = 4, steps: Sequence[float] = STEPS) -> Figure:
    """Draw what each of the first shape numbers does alone: a row a number, a column a step, from the palm.

    All hands are drawn to one scale, so that size shows as size.
    """
    shape = torch.zeros(count, len(steps), model.shape_basis.shape[2])
    for number in range(count):
        shape[number, :, number] = torch.tensor(steps)
    pose, _, rotation = _nothing(model, count * len(steps))
    vertices = posed(model, pose, shape.flatten(0, 1), rotation).vertices
    images = _drawn(model, vertices, together=True).unflatten(0, (count, len(steps)))
    titles = [f"{step:+g} SD".replace("-", "−") if step else "mean" for step in steps]
    figure = _sheet(images, [f"number {n + 1}" for n in range(count)], titles)
    return described(
        figure, f"The first {count} shape numbers, each from {titles[0]} to {titles[-1]}, palm view."
    )


def pose_repairs(model: HandModel, *, degrees: float = 80.0) -> Figure:
    """Draw fingers bent at every joint with and without pose blend shapes, and how far these move the skin."""
    pose = torch.zeros(1, 45)
    for finger in ("index", "middle", "ring", "little"):
        for part in ("MCP", "PIP", "DIP"):
            pose[0, 3 * (_joint(model, f"{finger} {part}") - 1)] = degrees * (math.pi / 180)
    _, shape, rotation = _nothing(model, 1)
    bare = replace(model, pose_basis=torch.zeros_like(model.pose_basis))
    without, with_ = (posed(m, pose, shape, rotation).vertices for m in (bare, model))
    moved = UNIT_MM * (with_ - without).norm(dim=2)[0]  # [V]
    top = max(float(moved.max()), 1e-6)
    ramp = colormaps["OrRd"]
    heat = torch.tensor(ramp(moved.numpy() / top)[:, :3], dtype=torch.float32)
    both = turned(torch.cat([without, with_, with_]), OTHER_SIDE)
    colours = torch.stack([torch.tensor(CLAY).expand_as(heat)] * 2 + [heat])
    images = _drawn(model, both, together=True, colours=colours)
    figure = _sheet(images[None], [""], ("without", "with", "moved by, mm"), inches=2.2)
    shade = ScalarMappable(Normalize(0, top), ramp)
    bar = figure.colorbar(shade, ax=figure.axes[2], shrink=0.7, fraction=0.06, pad=0.02)
    bar.outline.set_visible(False)
    return described(
        figure,
        f"Fingers bent by {degrees:g} degrees at each joint, from the little finger's side, without and with "
        f"pose blend shapes, which move the skin by up to {top:.1f} mm.",
    )


def variance(shares: Sequence[float]) -> Figure:
    """Draw what share of how people differ each shape number explains, and all up to it: [n] shares of one."""
    percent = 100 * np.asarray(shares)
    number = np.arange(1, len(percent) + 1)
    figure, axes = style.figure(2.7)
    axes.bar(number, percent, color=style.BLUE, width=0.7, label="alone")
    axes.plot(number, percent.cumsum(), color=style.ORANGE, marker="o", label="all up to here")
    axes.set(xlabel="shape number", ylabel="of the variance, %", ylim=(0, 103), xticks=number)
    axes.grid(axis="x", visible=False)
    axes.legend(loc="center right")
    return described(
        figure,
        f"{len(percent)} shape numbers: the first explains {percent[0]:.0f} %, all {percent.sum():.0f} %.",
    )


def iterations(images: np.ndarray, keypoints: np.ndarray, thetas: np.ndarray, model: HandModel) -> Figure:
    """Draw detected joints, then predicted ones at the start and after each iteration: a hand a row.

    keypoints: [n, 21, 2] as detected; thetas: [T + 1, n, 61], the start first (Komorowicz 2018, figure 7.1).
    """
    size, titles = images.shape[-1], ["detected", "start", *map(str, range(1, len(thetas)))]
    figure, axes = _cells(len(images), len(titles))
    for row, image in enumerate(images):
        found = [
            keypoints[row],
            *(_pixels(_placed(theta[row : row + 1], model), size)[0] for theta in thetas),
        ]
        for axis, points in zip(axes[row], found, strict=True):
            _show(axis, image)
            _skeleton_inside(axis, points)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, loc="center", fontsize=9.5)
    finger_legend(figure)
    said = f"{len(images)} hands, a row each: joints as detected, at the start, after {len(thetas) - 1} iterations."
    return described(figure, said)


def predicted_meshes(
    images: np.ndarray,
    keypoints: np.ndarray,
    theta: np.ndarray,
    model: HandModel,
    *,
    true_vertices: np.ndarray | None = None,
) -> Figure:
    """Draw detected joints, predicted ones, the mesh over the picture, and the mesh from the side: a hand a row.

    theta: [n, 61]; true_vertices: [n, V, 3] in camera axes and hand units, drawn from the same side in the last
    column, where given (Komorowicz 2018, figures 7.2 and A.2, which had no truth).
    """
    theta, size = torch.from_numpy(np.asarray(theta)).float(), images.shape[-1]
    p = split(theta)
    mesh = posed(model, p.pose, p.shape, p.rotation)
    blue = torch.tensor(PREDICTED).expand(len(model.template), 3)
    over = render(
        mesh.vertices,
        model.faces,
        size=SIZE,
        translation=p.translation,
        scale=p.scale,
        supersample=SUPERSAMPLE,
        colours=blue,
    )
    predicted = _pixels(project(mesh.keypoints, p.translation, p.scale), size)
    sides = (
        [mesh.vertices] if true_vertices is None else [mesh.vertices, torch.from_numpy(true_vertices).float()]
    )
    sides = [turned(vertices, SIDE) for vertices in sides]
    translation, scale = framed(torch.cat(sides, dim=1))  # one scale for both of a hand
    looks = zip(sides, (blue, None), strict=False)
    beside = [
        _drawn(model, vertices, frame=(translation, scale), colours=colour) for vertices, colour in looks
    ]
    titles = ["detected", "predicted", "mesh", "its side", "true side"][: 3 + len(sides)]
    figure, axes = _cells(len(images), len(titles))
    for row, image in enumerate(images):
        for axis, points in zip(axes[row], (keypoints[row], predicted[row]), strict=False):
            _show(axis, image)
            _skeleton_inside(axis, points)
        _show(axes[row, 2], image)
        covered = np.concatenate([over.image[row].numpy(), 255 * over.mask[row, None].numpy()])
        _show(axes[row, 2], covered.round().astype(np.uint8), size)
        for axis, drawn in zip(axes[row, 3:], beside, strict=True):
            _show(axis, drawn[row])
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, loc="center", fontsize=9.5)
    finger_legend(figure)
    return described(figure, f"{len(images)} hands, a row each: {', '.join(titles)}.")


def _nothing(model: HandModel, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return pose, shape and rotation of zeros."""
    return torch.zeros(count, 45), torch.zeros(count, model.shape_basis.shape[2]), torch.zeros(count, 3)


def _joint(model: HandModel, name: str) -> int:
    """Return the place of a keypoint among the model's 16 joints."""
    return int(model.keypoint_order[JOINTS.index(name)])


def _placed(theta: np.ndarray, model: HandModel) -> Tensor:
    """Return predicted joints [n, 21, 2] in normalised picture coordinates, of parameters [n, 61]."""
    p = split(torch.from_numpy(np.asarray(theta)).float())
    return project(posed(model, p.pose, p.shape, p.rotation).keypoints, p.translation, p.scale)


def _pixels(normalised: Tensor, size: int) -> np.ndarray:
    return ((normalised + 1) * (size / 2)).numpy()


def _drawn(
    model: HandModel,
    vertices: Tensor,
    *,
    together: bool = False,
    colours: Tensor | None = None,
    frame: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Return pictures of meshes [B, V, 3], each filling its picture or all to one scale (`together`)."""
    translation, scale = frame or framed(vertices)
    if together:
        one_translation, one_scale = framed(vertices.flatten(0, 1)[None])
        translation, scale = one_translation.expand_as(translation), one_scale.expand_as(scale)
    return render(
        vertices,
        model.faces,
        size=SIZE,
        translation=translation,
        scale=scale,
        supersample=SUPERSAMPLE,
        colours=colours,
    ).image


def _cells(
    rows: int, columns: int, *, inches: float = 2.0, aspect: float = 1.0, label_width: float = 0.0
) -> tuple[Figure, np.ndarray]:
    """Return a figure of cells without frames, as wide as the text or less, and its axes [rows, columns].

    inches: the greatest width of a cell; aspect: its height over its width; label_width: inches left of the rows.
    """
    inches = min(inches, (style.WIDTH - label_width) / columns)
    figure, axes = style.figure(inches * aspect * rows + 0.5, columns=columns, rows=rows, squeeze=False)
    figure.set_figwidth(inches * columns + label_width)
    figure.get_layout_engine().set(wspace=GAP / 2, hspace=GAP / 2, w_pad=0.01, h_pad=0.01)
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes


def _sheet(images: Tensor, labels: Sequence[str], titles: Sequence[str], *, inches: float = 1.3) -> Figure:
    """Draw pictures [rows, columns, 3, S, S], cut to what any of them shows, with labels and titles."""
    shown = (images < 255).any(dim=2).flatten(0, 1).any(dim=0)  # [S, S]
    (top, bottom), (left, right) = (
        (int(along[0]), int(along[-1]) + 1) for along in (shown.any(dim=d).nonzero()[:, 0] for d in (1, 0))
    )
    images = images[..., top:bottom, left:right]
    aspect = (bottom - top) / (right - left)
    figure, axes = _cells(*images.shape[:2], inches=inches, aspect=aspect, label_width=0.8 * any(labels))
    for row, label in enumerate(labels):
        for axis, image in zip(axes[row], images[row], strict=True):
            axis.imshow(image.permute(1, 2, 0).numpy(), interpolation="antialiased")
        first = axes[row, 0]
        first.text(-0.04, 0.5, label, transform=first.transAxes, ha="right", va="center", fontsize=9.5)
    for axis, title in zip(axes[0], titles, strict=False):
        axis.set_title(title, loc="center", fontsize=9.5)
    return figure


def _show(axis: Axes, image: np.ndarray | Tensor, size: int | None = None) -> None:
    """Draw a picture uint8 [3 or 4, s, s] in pixels of a picture of ``size``, its own unless given."""
    size = size or image.shape[-1]
    axis.imshow(np.asarray(image).transpose(1, 2, 0), extent=(0, size, size, 0), interpolation="antialiased")
    axis.set(xlim=(0, size), ylim=(size, 0))


def _skeleton_inside(axis: Axes, keypoints: np.ndarray) -> None:
    """Draw a skeleton that does not leave its picture."""
    skeleton(axis, keypoints, width=1.1, frame=axis.patch)
