"""Maps of an embedding: two kernel principal components, the characters themselves as marks."""

import base64
import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from PIL import Image

from thesislib.figures import style


def _tinted(image: np.ndarray, colour: str) -> np.ndarray:
    """Return ink in a colour on transparent paper: uint8 [S, S] to [S, S, 4]."""
    red_green_blue = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    rgba = np.empty((*image.shape, 4))
    rgba[..., :3] = red_green_blue
    rgba[..., 3] = image / 255
    return rgba


def _draw_map(axes: Axes, point: np.ndarray, image: np.ndarray, label: np.ndarray, title: str) -> None:
    for index, c in enumerate(np.unique(label)):
        colour = style.CYCLE[index % len(style.CYCLE)]
        members = np.flatnonzero(label == c)[:14]  # more would hide each other
        axes.plot(*point[members].T, ".", color=colour, markersize=2, alpha=0)
        for i in members:
            box = OffsetImage(_tinted(image[i], colour), zoom=0.42)
            axes.add_artist(AnnotationBbox(box, point[i], frameon=False, pad=0))
    axes.set(title=title, xticks=[], yticks=[], xlabel="component 1", ylabel="component 2")


def kernel_pca_maps(arrays: dict[str, np.ndarray], system: str) -> Figure:
    """Draw ten seen and the nine unseen classes on two kernel principal components (Ignatiev 2019, figure 3.17).

    ``arrays`` are those stored beside the record, ``system`` is 'thesis' or 'best'.
    """
    figure, axes = style.figure(3.9, columns=2)
    for axis, group in zip(axes, ("seen", "unseen"), strict=True):
        point, image, label = (arrays[f"{group}_{part}"] for part in (f"{system}_map", "image", "label"))
        _draw_map(axis, point, image, label, f"{len(np.unique(label))} {group} classes")
    return figure


def interactive_map(arrays: dict[str, np.ndarray], group: str, system: str) -> Any:
    """Return a Plotly map of one group: click a class in the legend to hide it, hover to see the character."""
    import plotly.graph_objects as go

    point, image, label = (arrays[f"{group}_{part}"] for part in (f"{system}_map", "image", "label"))
    figure = go.Figure()
    for index, c in enumerate(np.unique(label)):
        members = label == c
        figure.add_scatter(
            x=point[members, 0],
            y=point[members, 1],
            mode="markers",
            name=f"class {c}",
            customdata=[_address(character) for character in image[members]],
            marker=dict(
                size=8,
                color=style.CYCLE[index % len(style.CYCLE)],
                symbol=("circle", "square", "diamond", "cross", "triangle-up")[index % 5],
            ),
            hovertemplate=f"class {c}<extra></extra>",
        )
    figure.update_layout(
        height=420,
        margin=dict(l=10, r=10, t=40, b=10),  # the top holds the buttons
        template="plotly_white",
        legend=dict(itemsizing="constant"),
    )
    figure.update_xaxes(title="component 1")
    figure.update_yaxes(title="component 2")
    return figure


def _address(image: np.ndarray) -> str:
    """Return a character uint8 [S, S], bright on dark, as the address of a picture of dark ink on white."""
    file = io.BytesIO()
    Image.fromarray(255 - image).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
