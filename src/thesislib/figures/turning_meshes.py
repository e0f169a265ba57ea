"""A predicted and a true hand that a reader can turn, and the still picture behind them.

Meshes are vertices [n, V, 3] in camera axes (x right, y up, z to the viewer) and hand units from the wrist, of n
hands with the same faces [F, 3].
"""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from thesislib.figures import style
from thesislib.figures.hands import described
from thesislib.figures.meshes import AS_SEEN, CLAY, PREDICTED, SIDE, SIZE, turned
from thesislib.mesh_render import framed, render

HEIGHT = 420  # pixels
TEXT = "#7A7A7A"  # reads on white and on black
COLOURS = {"predicted": PREDICTED, "true": CLAY}
VIEWS = {"as seen": AS_SEEN, "from the side": SIDE}
DISTANCE = 1.85  # of the viewer, in halves of the scene's box
# where the viewer stands, and what is up there
STANDING = {"as seen": (0, 0, 1), "side": (1, 0, 0), "tips": (0.01, 1, 0.15)}
LIGHT = dict(ambient=0.4, diffuse=0.6, specular=0.1, roughness=0.8, fresnel=0.1)


def turning(predicted: np.ndarray, true: np.ndarray, faces: np.ndarray) -> Any:
    """Return a Plotly figure of predicted and true meshes side by side, to be turned by dragging.

    Buttons turn both alike; a menu chooses the hand where there are several. Raises ValueError where the meshes do
    not fit together.
    """
    from plotly.subplots import make_subplots

    _check(predicted, true, faces)
    figure = make_subplots(
        1, 2, specs=[[{"type": "mesh3d"}] * 2], subplot_titles=list(COLOURS), horizontal_spacing=0.02
    )
    for hand in range(len(true)):
        for column, vertices in enumerate((predicted[hand], true[hand]), start=1):
            figure.add_trace(_mesh(vertices, faces, column, shown=hand == 0), row=1, col=column)
    reach = 1.02 * float(max(np.abs(v - _middle(v)).max() for v in (*predicted, *true)))
    axis = dict(visible=False, range=[-reach, reach], showspikes=False)
    scene = dict(xaxis=axis, yaxis=axis, zaxis=axis, aspectmode="cube", camera=_camera("as seen"))
    scene |= dict(dragmode="orbit", bgcolor="rgba(0,0,0,0)")
    figure.update_layout(
        scene=scene,
        scene2=scene,
        height=HEIGHT,
        margin=dict(l=0, r=0, t=64, b=0),
        paper_bgcolor="rgba(0,0,0,0)",
        font=dict(color=TEXT, size=13),
        updatemenus=_menus(len(true)),
    )
    figure.update_annotations(font_color=TEXT)
    return figure


def still(predicted: np.ndarray, true: np.ndarray, faces: np.ndarray, *, hand: int = 0) -> Figure:
    """Draw one hand of `turning`, predicted and true, as the camera saw it and from the side."""
    _check(predicted, true, faces)
    figure, axes = style.figure(2.25, columns=4)
    for axis in axes:
        axis.set_axis_off()
    pairs = [(name, view) for view in VIEWS for name in COLOURS]
    for axis, (name, view) in zip(axes, pairs, strict=True):
        both = {"predicted": predicted[hand], "true": true[hand]}
        both = {key: turned(_tensor(vertices), VIEWS[view]) for key, vertices in both.items()}
        translation, scale = framed(torch.cat(list(both.values()), dim=1))  # one scale for both
        colours = torch.tensor(COLOURS[name]).expand(true.shape[1], 3)
        look = dict(size=SIZE, translation=translation, scale=scale, supersample=2, colours=colours)
        image = render(both[name], torch.as_tensor(faces).long(), **look).image[0]
        axis.imshow(image.permute(1, 2, 0).numpy(), interpolation="antialiased")
        axis.set_title(f"{name},\n{view}", loc="center", fontsize=9.5)
    return described(figure, "A predicted and a true hand, first as the camera saw it, then from the side.")


def _mesh(vertices: np.ndarray, faces: np.ndarray, column: int, *, shown: bool) -> Any:
    """Return one hand as a Plotly trace, centred; single precision and short integers keep the page small."""
    import plotly.graph_objects as go

    x, y, z = (vertices - _middle(vertices)).astype(np.float32).T
    i, k, j = np.asarray(faces).astype(np.uint16).T  # Plotly lights triangles that are clockwise from outside
    name, colour = list(COLOURS.items())[column - 1]
    red_green_blue = ", ".join(f"{255 * part:.0f}" for part in colour)
    return go.Mesh3d(
        **dict(x=x, y=y, z=z, i=i, j=j, k=k, name=name, visible=shown, hoverinfo="skip"),
        color=f"rgb({red_green_blue})",
        flatshading=False,
        lighting=LIGHT,
        lightposition=dict(x=-6e4, y=8e4, z=5e4),
    )


def _menus(hands: int) -> list[dict[str, Any]]:
    """Return the buttons that turn both scenes alike, and the menu of hands where there are several."""
    look = dict(
        showactive=False, bgcolor="#F4F4F4", bordercolor="#B8B8B8", font=dict(color="#222222", size=12)
    )
    views = [
        dict(
            label=name,
            method="relayout",
            args=[{"scene.camera": _camera(name), "scene2.camera": _camera(name)}],
        )
        for name in STANDING
    ]
    above = dict(y=1.18, yanchor="top")
    menus = [dict(type="buttons", direction="right", buttons=views, x=0, xanchor="left", **above, **look)]
    if hands > 1:
        visible = np.repeat(np.eye(hands, dtype=bool), 2, axis=1).tolist()
        chosen = [
            dict(label=f"hand {n + 1}", method="restyle", args=[{"visible": row}])
            for n, row in enumerate(visible)
        ]
        menus.append(dict(buttons=chosen, x=1, xanchor="right", **above, **look))
    return menus


def _camera(name: str) -> dict[str, Any]:
    x, y, z = (DISTANCE * part for part in STANDING[name])
    up = dict(x=0, y=0, z=-1) if name == "tips" else dict(x=0, y=1, z=0)
    return dict(eye=dict(x=x, y=y, z=z), up=up, center=dict(x=0, y=0, z=0))


def _middle(vertices: np.ndarray) -> np.ndarray:
    """Return the middle of the box around a mesh [V, 3]: the point that it turns about."""
    return (vertices.min(axis=0) + vertices.max(axis=0)) / 2


def _tensor(vertices: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(vertices, np.float32))[None]


def _check(predicted: np.ndarray, true: np.ndarray, faces: np.ndarray) -> None:
    if predicted.shape != true.shape or true.ndim != 3 or true.shape[2] != 3 or not len(true):
        raise ValueError(f"meshes are [n, V, 3], the same for both; got {predicted.shape} and {true.shape}")
    if np.asarray(faces).max() >= true.shape[1] or true.shape[1] > np.iinfo(np.uint16).max:
        raise ValueError(
            f"faces name vertex {np.asarray(faces).max()}; there are {true.shape[1]}, of at most 65,535"
        )
