"""Tables of chapter 3, from records: one run's systems side by side, and many class splits together."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler
from torch import nn

from thesislib.evaluation.intervals import of_the_mean
from thesislib.figures.curves import NAMES
from thesislib.networks.layer_table import layer_table

COLUMNS = {
    "unseen, S=1": "unseen_balanced_accuracy_s1_max_rule",
    "unseen, S=5": "unseen_balanced_accuracy_s5_max_rule",
    "unseen, S=10": "unseen_balanced_accuracy_s10_max_rule",
    "unseen, S=25": "unseen_balanced_accuracy_s25_max_rule",
    "seen, S=10": "seen_balanced_accuracy_s10_max_rule",
    "all 49, S=10": "all_balanced_accuracy_s10_max_rule",
}


def layers(network: nn.Module, input_shape: tuple[int, ...]) -> Styler:
    """Return the layer and shape table of a network, thousands apart, for a page."""
    return plain(layer_table(network, input_shape, depth=3)).format(thousands=",")


def plain(frame: pd.DataFrame, *, words: bool = False) -> Styler:
    """Return a table without its index, in the book's look; cells of ``words`` wrap, numbers do not."""
    return frame.style.hide().set_table_attributes(f'class="dataframe{" words" * words}"')


def systems(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a system: balanced accuracy in percent, mean and standard deviation over the draws."""
    rows = {}
    for name, metrics in record["metrics"]["embeddings"].items():
        cells = {}
        for title, metric in COLUMNS.items():
            value = metrics.get(metric)
            cells[title] = f"{100 * value['mean']:.1f} ± {100 * value['sd']:.1f}" if value else "–"
        rows[NAMES.get(name, name.replace("_", " "))] = cells
    num_seen, num_unseen = len(record["split"]["seen"]), len(record["split"]["unseen"])
    ways = [num_unseen] * 4 + [num_seen, num_seen + num_unseen]
    chance = {title: f"{100 / n:.1f}" for title, n in zip(COLUMNS, ways, strict=True)}
    return pd.DataFrame.from_dict(rows | {"guessing": chance}, orient="index", columns=list(COLUMNS))


def values_over(records: Sequence[Mapping[str, Any]], name: str, metric: str) -> list[float]:
    """Return one system's mean of a metric in percent, one value a record."""
    return [100 * record["metrics"]["embeddings"][name][metric]["mean"] for record in records]


def over_splits(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> pd.DataFrame:
    """Return one row a system: mean over class splits in percent, with Student's 95 % interval of the mean.

    The last two columns are paired differences at ten prototypes, split by split, to the pixels and to the
    features of the same recipe.
    """
    s10, s25 = COLUMNS["unseen, S=10"], COLUMNS["unseen, S=25"]
    rows = {}
    for name in names:
        base = "best_features" if name.startswith("best") else "thesis_features"
        cells = {t: _interval(values_over(records, name, m)) for t, m in (("S=10", s10), ("S=25", s25))}
        for title, other in (("minus pixels", "pixels"), ("minus its features", base)):
            pairs = zip(values_over(records, name, s10), values_over(records, other, s10), strict=True)
            cells[title] = _interval([a - b for a, b in pairs], sign=True) if name != other else "–"
        rows[NAMES[name]] = cells
    return pd.DataFrame.from_dict(rows, orient="index")


def _interval(values: list[float], *, sign: bool = False) -> str:
    v = of_the_mean(values)
    plus = "+" if sign else ""
    return f"{v['mean']:{plus}.1f} [{v['low']:{plus}.1f}, {v['high']:{plus}.1f}]"
