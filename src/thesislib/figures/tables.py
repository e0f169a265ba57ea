"""Tables of chapter 3, from records, and how a page shows any table: plain, or as a list in a sentence."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler
from torch import nn

from thesislib.evaluation.intervals import of_the_mean
from thesislib.figures.curves import NAMES
from thesislib.networks.glyph_classifier import GlyphEncoder
from thesislib.networks.layer_table import layer_table
from thesislib.networks.rival_classifiers import dual_path_encoder, resnet18_encoder

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


def listed(names: Iterable[object]) -> str:
    """Return names as a sentence lists them: a, b and c."""
    *others, last = map(str, names)
    return f"{', '.join(others)} and {last}" if others else last


def missing(what: str, command: str) -> str:
    """Return one sentence for what has no stored run yet, with the command that makes one."""
    return f"*No run of {what} is stored yet; `{command}` makes one.*"


def spread(numbers: Sequence[float], decimals: int) -> str:
    """Return the mean of seeds, with their standard deviation where there are several; a dash for none."""
    if not numbers:
        return "–"
    mean = f"{np.mean(numbers):,.{decimals}f}"
    return mean if len(numbers) < 2 else f"{mean} ± {np.std(numbers, ddof=1):,.{decimals}f}"


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
            cells[title] = _draws(value) if value else "–"
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
            same = name in (other, "pixels")  # pixels have no features
            cells[title] = "–" if same else _interval([a - b for a, b in pairs], sign=True)
        rows[NAMES[name]] = cells
    return pd.DataFrame.from_dict(rows, orient="index")


def rival_encoders(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row an encoder trained by the thesis's recipe: its size, then accuracies in percent."""
    titles = {"thesis": "the thesis's", "dual_path": "dual path", "resnet18": "ResNet-18"}
    metrics, config, s10 = record["metrics"], record["config"], COLUMNS["unseen, S=10"]
    encoders: dict[str, Callable[[], nn.Module]] = {
        "thesis": partial(GlyphEncoder, width=config["width"], stem_stride=config["stem_stride"]),
        "dual_path": dual_path_encoder,
        "resnet18": resnet18_encoder,
    }
    rows = {}
    for name, title in titles.items():
        if f"{name}_classifier_seen_balanced_accuracy" in metrics:
            encoder = encoders[name]()
            rows[title] = {
                "parameters": f"{sum(p.numel() for p in encoder.parameters()):,}",
                "features": str(encoder.features),
                "classifier, seen": f"{100 * metrics[f'{name}_classifier_seen_balanced_accuracy']:.1f}",
                "features, unseen, S=10": _draws(metrics["embeddings"][f"{name}_features"][s10]),
                "embedding, unseen, S=10": _draws(metrics["embeddings"][f"{name}_head"][s10]),
            }
    rows["pixels"] = {"features, unseen, S=10": _draws(metrics["embeddings"]["pixels"][s10])}
    return pd.DataFrame.from_dict(rows, orient="index").fillna("–")


def few_shot(record: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a system of `more_classes`: accuracy by the max rule, a column a number of shots."""
    names = {
        "pixels": "pixels",
        "features": "features, pooled",
        "spatial_five_views": "features, spatial, five views",
        "head_f10": "thesis's head, f = 10",
        "head_f64": "thesis's head, f = 64",
    }
    config = record["config"]
    ways = config["ways"] or len(record["split"]["unseen"])
    rows = {
        title: {
            f"{ways}-way, S={shots}": _draws(
                record["metrics"]["embeddings"][name][f"unseen_balanced_accuracy_s{shots}_max_rule"]
            )
            for shots in config["shots"]
        }
        for name, title in names.items()
    }
    rows["guessing"] = {f"{ways}-way, S={shots}": f"{100 / ways:.1f}" for shots in config["shots"]}
    return pd.DataFrame.from_dict(rows, orient="index")


def benchmark(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row a system, one column a data set: balanced accuracy on all classes, in percent."""
    systems = {
        "largest_class": "always the largest class",
        "pixels_1nn": "pixels, nearest neighbour",
        "pixels_4nn": "pixels, four neighbours",
        "thesis_classifier": "the thesis's recipe",
        "best_classifier": "best recipe",
        "best_classifier_five_views": "best recipe, five views",
    }
    columns = {
        f"{r['data']['title']}, {len(r['split']['classes'])} classes, "
        f"{r['metrics']['test_images']:,} test images": {
            title: f"{100 * r['metrics'][name]['test_balanced_accuracy']:.2f}"
            for name, title in systems.items()
        }
        for r in records
    }
    return pd.DataFrame(columns, index=list(systems.values()))


def _draws(value: Mapping[str, float]) -> str:
    return f"{100 * value['mean']:.1f} ± {100 * value['sd']:.1f}"


def _interval(values: list[float], *, sign: bool = False) -> str:
    v = of_the_mean(values)
    plus = "+" if sign else ""
    return f"{v['mean']:{plus}.1f} [{v['low']:{plus}.1f}, {v['high']:{plus}.1f}]"
