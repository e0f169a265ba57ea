"""Figures of scans fitted by the hand model: errors and pictures on the way, shape numbers, what is to blame.

Metrics and arrays are those of `chapters.fitting_scans`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thesislib.figures import style
from thesislib.figures.hands import described
from thesislib.hand_model import UNIT_MM
from thesislib.mesh_render import framed, render

OPTIMISERS = {
    "sgd": "gradient descent",
    "momentum": "with momentum",
    "adam": "Adam",
    "levenberg_marquardt": "Levenberg-Marquardt",
}
COLOURS = dict(zip(OPTIMISERS, (style.ORANGE, style.PURPLE, style.BLUE, style.GREEN), strict=True))
MARKERS = dict(zip(OPTIMISERS, style.MARKERS, strict=False))
QUANTITIES = {
    "scan_mm": "distance to the scan, mm",
    "joint_deg": "error of joint turns, degrees",
    "shape_sd": "error of shape numbers, SD",
    "resting_mm": "error of the hand at rest, mm",
}
BODIES = {
    "inside": "inside the shape space",
    "own_shape": "outside: own skin",
    "own_flesh": "outside: own flesh",
}
STAGES = ("pose", "shape", "both")
LEAST = 1e-3  # where logarithmic axes end
_SCAN, _FIT = (0.80, 0.80, 0.78), (0.00, 0.45, 0.70)
_PIXELS = 320

Metrics = Mapping[str, Any]


def kind_name(kind: Mapping[str, Any]) -> str:
    """Return what a page calls a kind of scan: body and noise."""
    if not kind["noise_mm"]:
        return BODIES[kind["body"]]
    return f"{BODIES[kind['body']]}, {'smooth ' * kind['smooth']}noise {kind['noise_mm']:g} mm"


def on_the_way(metrics: Metrics, kind: str = "inside_exact") -> Figure:
    """Draw errors against iterations by optimiser, the three stages marked, and the shape's after other budgets."""
    figure, axes = style.figure(5.4, rows=2, columns=2)
    curves = metrics["history"][kind]
    *panels, last = axes.flat
    for axis, quantity in zip(panels, ("scan_mm", "joint_deg", "shape_sd"), strict=True):
        _stages(axis, next(iter(curves.values()))["stage_ends"])
        for name, curve in curves.items():
            mean, low, high = (
                np.maximum(curve[quantity][end], LEAST / 10) for end in ("mean", "low", "high")
            )
            axis.plot(curve["iteration"], mean, color=COLOURS[name], label=OPTIMISERS[name])
            axis.fill_between(curve["iteration"], low, high, color=COLOURS[name], alpha=0.15, linewidth=0)
        axis.set(title=QUANTITIES[quantity], xlabel="iteration", yscale="log")
        axis.set_ylim(LEAST, 3 * axis.get_ylim()[1])
    for name in OPTIMISERS:
        found = by_budget(metrics, name, f"{kind}_shape_sd")
        if name != "levenberg_marquardt" and found:
            mean = [found[count]["mean"] for count in found]
            last.plot(list(found), mean, color=COLOURS[name], marker=MARKERS[name])
    last.set(title="shape numbers, by all iterations", xlabel="iterations of all three stages")
    last.set(xscale="log", yscale="log")
    _mean_hand(last, metrics["protocols"]["mean_hand"][f"{kind}_shape_sd"]["mean"])
    ticks = sorted(by_budget(metrics, "sgd", f"{kind}_shape_sd"))
    last.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    last.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    said = ", ".join(f"{OPTIMISERS[name]} {curves[name]['shape_sd']['mean'][-1]:.3f}" for name in curves)
    return described(figure, f"errors against iterations; of the shape numbers at the end: {said}.")


def by_budget(metrics: Metrics, optimiser: str, metric: str) -> dict[int, Mapping[str, Any]]:
    """Return a metric of one optimiser by the iterations that it got, fewest first."""
    names = {
        int(count): row[metric]
        for protocol, row in metrics["protocols"].items()
        for start, _, count in [protocol.rpartition("_")]
        if start == optimiser and metric in row
    }
    return dict(sorted(names.items()))


def progress(
    arrays: Mapping[str, np.ndarray],
    optimisers: Sequence[str] = ("sgd", "adam", "levenberg_marquardt"),
    *,
    person: int = 0,
) -> Figure:
    """Draw the model in blue over a grey scan, at the start and after each stage (Komorowicz 2018, figure 5.7)."""
    scan, faces = arrays["scan"][person], arrays["faces"]
    figure, axes = style.figure(1.95 * len(optimisers), rows=len(optimisers), columns=4, squeeze=False)
    ends = []
    for row, name in zip(axes, optimisers, strict=True):
        meshes = arrays[f"{name}_meshes"][person]
        far = UNIT_MM * np.linalg.norm(meshes.astype(float) - scan, axis=-1).mean(axis=1)
        for axis, picture, title, mm in zip(
            row,
            _overlaid(meshes, scan, faces),
            ("start", *(f"after {stage}" for stage in STAGES)),
            far,
            strict=True,
        ):
            axis.imshow(picture)
            axis.set(xticks=[], yticks=[], xlabel=f"{mm:.1f} mm", frame_on=False)
            if axis in axes[0]:
                axis.set_title(title, loc="center")
        row[0].set_ylabel(OPTIMISERS[name])
        ends.append(f"{OPTIMISERS[name]} {far[-1]:.1f} mm")
    return described(
        figure,
        f"the model over a scan at the start and after each of three stages; it ends at {', '.join(ends)}.",
    )


def _overlaid(meshes: np.ndarray, scan: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return pictures [N, S, S, 3] of meshes [N, V, 3] and a scan in one space: whichever is nearer is seen."""
    both = torch.from_numpy(
        np.concatenate([meshes, np.broadcast_to(scan, meshes.shape)], axis=1).astype(np.float32)
    )
    triangles = torch.from_numpy(faces.astype(np.int64))
    count = scan.shape[0]
    colours = torch.tensor([_FIT, _SCAN]).repeat_interleave(count, dim=0)
    # one camera for all: the scan stays where it is
    translation, scale = framed(both.flatten(0, 1)[None])
    rows = len(both)
    drawn = render(
        both,
        torch.cat([triangles, triangles + count]),
        size=_PIXELS,
        translation=translation.expand(rows, -1),
        scale=scale.expand(rows, -1),
        colours=colours,
    )
    return drawn.image.permute(0, 2, 3, 1).numpy()


def shape_numbers(
    metrics: Metrics,
    arrays: Mapping[str, np.ndarray],
    kinds: Sequence[str] = ("inside_2mm", "own_flesh_exact"),
) -> Figure:
    """Draw fitted against true shape numbers of one scan each, all ten, and the error when scans share a shape."""
    kinds = [kind for kind in kinds if kind in metrics["kinds"]]
    figure, axes = style.figure(3.1, columns=len(kinds) + 1)
    for axis, kind in zip(axes[:-1], kinds, strict=True):
        true, fitted = arrays[f"{kind}_true_shape"], arrays[f"{kind}_one_scan_shape"][:, 0]
        far = 1.1 * max(np.abs(true).max(), np.abs(fitted).max())
        axis.plot([-far, far], [-far, far], color=style.GREY, linewidth=0.9, zorder=1)
        axis.scatter(true, fitted, s=9, color=style.BLUE, alpha=0.6, linewidths=0)
        axis.set(xlim=(-far, far), ylim=(-far, far), aspect="equal", xlabel="true, SD", ylabel="fitted, SD")
        r = metrics["protocols"]["one_scan"][f"{kind}_shape_correlation"]["mean"]
        axis.set_title(f"{_short(metrics['kinds'][kind])}\nr = {r:.3f}", fontsize=9.5)
    sharing(axes[-1], metrics)
    figure.legend(*axes[-1].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8.5)
    return described(
        figure, "fitted against true shape numbers, and their error against scans that share a shape."
    )


def sharing(axes: Axes, metrics: Metrics) -> None:
    """Draw the error of shape numbers against the scans of a person that share one shape; bars are intervals."""
    counts = [1] + sorted(int(name.split("_")[1]) for name in metrics["protocols"] if _shares(name))
    kinds = [kind for kind in metrics["kinds"] if kind != "inside_exact"]
    shift = np.linspace(-0.05, 0.05, len(kinds))
    for kind, colour, marker, by in zip(kinds, style.CYCLE, style.MARKERS, shift, strict=False):
        rows = [_row(metrics, "one_scan" if count == 1 else f"shared_{count}", kind) for count in counts]
        mean, low, high = (np.array([row[end] for row in rows]) for end in ("mean", "low", "high"))
        axes.errorbar(
            np.array(counts) * np.exp(by),
            mean,
            np.maximum([mean - low, high - mean], 0),
            color=colour,
            marker=marker,
            markersize=4.5,
            elinewidth=1,
            label=_short(metrics["kinds"][kind]),
        )
    axes.set(xscale="log", xlabel="scans that share a shape", ylim=(0, None))
    axes.set_title("error of shape\nnumbers, SD", fontsize=9.5)
    axes.set_xticks(counts, counts)
    axes.minorticks_off()


def blame(metrics: Metrics) -> Figure:
    """Draw what is left of the error for each explanation: a row each, shape numbers and hand at rest beside it."""
    protocols, iterations = metrics["protocols"], metrics["iterations"]
    rows = [("the mean hand, no fit", "mean_hand", "inside_exact", style.GREY)]
    rows += [
        (f"{name}, {iterations} iterations", f"{key}_{iterations}", "inside_exact", style.ORANGE)
        for key, name in OPTIMISERS.items()
        if key != "levenberg_marquardt"
    ]
    rows += [
        (kind_name(kind), "one_scan", name, style.GREEN if kind["body"] == "inside" else style.BLUE)
        for name, kind in metrics["kinds"].items()
    ]
    most = max((name for name in protocols if _shares(name)), key=lambda name: int(name.split("_")[1]))
    figure, axes = style.figure(0.33 * len(rows) + 1.3, columns=2, sharey=True)
    place = np.arange(len(rows))[::-1]
    for axis, quantity in zip(axes, ("shape_sd", "resting_mm"), strict=True):
        for y, (_, protocol, kind, colour) in zip(place, rows, strict=True):
            found = protocols[protocol][f"{kind}_{quantity}"]
            axis.plot(
                [found["low"], found["high"]], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt"
            )
            axis.plot(found["mean"], y, "D", color=colour, markersize=6, markeredgecolor="white")
            if protocol == "one_scan":
                for other, marker in ((most, "s"), ("pose_given", "o")):
                    value = protocols[other][f"{kind}_{quantity}"]["mean"]
                    axis.plot(value, y - 0.22, marker, color=colour, markersize=4.5, markerfacecolor="white")
        axis.set(xlabel=QUANTITIES[quantity])
        axis.set_xlim(left=0)
        axis.grid(axis="y", visible=False)
    axes[0].set_yticks(place, [label for label, *_ in rows])
    axes[0].tick_params(axis="y", length=0)
    handles = [
        Line2D(
            [], [], color=style.BLACK, marker=marker, linestyle="none", markerfacecolor=face, markersize=size
        )
        for marker, face, size in (("D", style.BLACK, 6), ("s", "white", 4.5), ("o", "white", 4.5))
    ]
    labels = ["one scan", f"{most.split('_')[1]} scans share a shape", "pose given"]
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    said = ", ".join(f"{row[0]} {protocols[row[1]][f'{row[2]}_shape_sd']['mean']:.2f}" for row in rows)
    return described(figure, f"error of shape numbers in standard deviations: {said}.")


def _row(metrics: Metrics, protocol: str, kind: str) -> Mapping[str, Any]:
    return metrics["protocols"][protocol][f"{kind}_shape_sd"]


def _shares(protocol: str) -> bool:
    return protocol.startswith("shared_")


def _short(kind: Mapping[str, Any]) -> str:
    """Return a kind of scan in few words, for legends and titles."""
    return BODIES[kind["body"]].replace(" the shape space", "") + (
        f", {'smooth ' * kind['smooth']}{kind['noise_mm']:g} mm" if kind["noise_mm"] else ""
    )


def _stages(axes: Axes, ends: Sequence[int]) -> None:
    """Shade every other stage and name each at the top."""
    for number, (name, start, stop) in enumerate(zip(STAGES, ends[:-1], ends[1:], strict=True)):
        if number % 2:
            axes.axvspan(start, stop, color=style.GREY, alpha=0.13, linewidth=0)
        top = axes.get_xaxis_transform()
        axes.text((start + stop) / 2, 0.97, name, transform=top, ha="center", va="top", fontsize=8.5)


def _mean_hand(axes: Axes, value: float) -> None:
    """Draw a line at what the mean hand scores, which finds nothing."""
    axes.axhline(value, color=style.GREY, linestyle="--", linewidth=1)
    axes.set_ylim(top=2 * value)
    beside = axes.get_yaxis_transform()
    axes.text(0.98, 1.07 * value, "the mean hand", transform=beside, fontsize=8.5, ha="right", va="bottom")
