"""Figures of fitted scans: what is drawn is what the record says."""

import numpy as np
import pytest

from thesislib.figures import scans, style
from thesislib.scan_fitting import OPTIMISERS

KINDS = {
    "inside_exact": {"body": "inside", "noise_mm": 0.0, "smooth": False},
    "inside_2mm": {"body": "inside", "noise_mm": 2.0, "smooth": False},
    "own_flesh_exact": {"body": "own_flesh", "noise_mm": 0.0, "smooth": False},
}


def row(value: float) -> dict:
    return {
        f"{kind}_{quantity}": {"mean": value + at, "low": value + at - 0.01, "high": value + at + 0.01}
        for at, kind in enumerate(KINDS)
        for quantity in ("shape_sd", "resting_mm", "shape_correlation")
    }


@pytest.fixture
def metrics() -> dict:
    values = {"mean_hand": 1.0, "one_scan": 0.4, "shared_2": 0.3, "shared_5": 0.2, "pose_given": 0.1}
    protocols = {name: row(value) for name, value in values.items()}
    for place, name in enumerate(OPTIMISERS):
        for budget in (30, 90):
            protocols[f"{name}_{budget}"] = row((1 + place) / budget)
    spread = {"mean": [9.0, 3.0, 0.0], "low": [8.0, 2.0, -1.0], "high": [10.0, 4.0, 1.0]}
    curve = {"iteration": [0, 15, 30], "stage_ends": [0, 10, 20, 30]}
    curve |= {quantity: spread for quantity in ("scan_mm", "joint_deg", "shape_sd")}
    history = {kind: dict.fromkeys(OPTIMISERS, curve) for kind in KINDS}
    return {"kinds": KINDS, "iterations": 30, "protocols": protocols, "history": history}


@pytest.fixture
def arrays() -> dict:
    random = np.random.default_rng(0)
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float16)
    away = np.array([3.0, 2.0, 1.0, 0.0], np.float16)[None, :, None, None]
    found = {
        "faces": np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int16),
        "scan": corners[None],
        **{f"{name}_meshes": corners + away for name in OPTIMISERS},
    }
    for kind in KINDS:
        found[f"{kind}_true_shape"] = random.normal(size=(6, 10))
        found[f"{kind}_one_scan_shape"] = random.normal(size=(6, 3, 10))
    return found


def test_errors_on_the_way_name_stages_and_optimisers(metrics):
    figure = scans.on_the_way(metrics)
    first, *_, last = figure.axes
    assert {text.get_text() for text in first.texts} == set(scans.STAGES)
    assert len(first.lines) == len(OPTIMISERS)
    drawn = last.lines[0]
    assert drawn.get_xdata().tolist() == [30, 90] and drawn.get_ydata() == pytest.approx([1 / 30, 1 / 90])
    assert all(np.isfinite(np.log(line.get_ydata())).all() for line in first.lines)
    assert "Adam 0.000" in figure.get_label()


def test_budgets_are_read_from_names_of_protocols(metrics):
    assert list(scans.by_budget(metrics, "sgd", "inside_exact_shape_sd")) == [30, 90]
    assert scans.by_budget(metrics, "shared", "inside_exact_shape_sd").keys() == {2, 5}
    assert scans.by_budget(metrics, "sgd", "no_such_metric") == {}


def test_progress_tells_how_far_each_mesh_is(arrays):
    figure = scans.progress(arrays, ("sgd", "adam"))
    labels = [axis.get_xlabel() for axis in figure.axes]
    far = [90 * at * 3**0.5 for at in (3, 2, 1, 0)]
    assert labels == [f"{mm:.1f} mm" for mm in far] * 2
    pictures = [axis.images[0].get_array() for axis in figure.axes]
    assert pictures[0].shape[-1] == 3 and (pictures[0] != pictures[3]).any()
    assert (pictures[0] == pictures[4]).all()  # both began alike


def test_shape_numbers_are_the_records(metrics, arrays):
    figure = scans.shape_numbers(metrics, arrays, kinds=("inside_2mm", "own_flesh_exact"))
    points = figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(points[:, 0], arrays["inside_2mm_true_shape"].ravel())
    np.testing.assert_allclose(points[:, 1], arrays["inside_2mm_one_scan_shape"][:, 0].ravel())
    title = figure.axes[0].get_title(loc="left") or figure.axes[0].get_title()
    assert title == "inside, 2 mm\nr = 1.400"
    line = figure.axes[-1].lines[0]
    assert line.get_ydata().tolist() == pytest.approx([1.4, 1.3, 1.2])


def test_blame_has_a_row_for_each_explanation(metrics):
    figure = scans.blame(metrics)
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == [
        "the mean hand, no fit",
        "gradient descent, 30 iterations",
        "with momentum, 30 iterations",
        "Adam, 30 iterations",
        *map(scans.kind_name, KINDS.values()),
    ]
    assert "5 scans share a shape" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert figure.axes[0].lines[1].get_xdata() == pytest.approx([1.0])


def test_every_optimiser_has_a_name_a_colour_and_a_marker():
    assert tuple(scans.OPTIMISERS) == OPTIMISERS
    assert set(scans.COLOURS) == set(scans.MARKERS) == set(OPTIMISERS)
    assert set(scans.COLOURS.values()) <= set(style.CYCLE)
