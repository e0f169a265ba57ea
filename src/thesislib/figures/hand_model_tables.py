"""Tables of chapter 5, from records: the seven configurations, what they could not know, repairs, rendering."""

from collections.abc import Sequence

import pandas as pd
from pandas.io.formats.style import Styler

from thesislib.figures.hand_model_scores import (
    ERRORS,
    IN_SPACE,
    MEAN_HAND,
    NO_REPAIR,
    Record,
    Records,
    by_configuration,
    by_repair,
    change,
    counts,
    measured,
    printed,
    printed_images_per_second,
    repair_name,
    score,
    values,
)
from thesislib.figures.tables import plain, spread
from thesislib.published import by_key, comparison_table

LOSSES = {"training_loss": "train_loss", "validation_loss": "validation_loss"}  # printed -> measured
REPAIRED = {  # two tables, so that each fits a page
    "picture": ("true_2d_px_at_224", "tips_2d_px_at_224", "limits_exceeded_deg"),
    "space": ("joints_mm", "joints_mm_aligned", "tips_mm_aligned", "twist_deg_aligned"),
}
RENDERED = {  # Table 4.1 -> what stands beside it: how vertex normals come about, then the same rasteriser
    "loop_normals": "loop_normals",
    "vectorized_normals": "vectorized_normals",
    "geometry_shader": "face_normals",
}


def compared(records: Records) -> Styler:
    """Return the losses of Table 7.1 beside ours, one value a seed; nothing of it is comparable, and why."""
    rows = []
    for configuration, runs in by_configuration(records).items():
        for there, here in LOSSES.items():
            if number := printed(configuration, there):
                rows.append((number.key, values(runs, here), _protocol(runs[0], here), "not comparable"))
    return plain(comparison_table(rows), words=True)


def _protocol(record: Record, metric: str) -> str:
    learned = metric == "train_loss"
    hands, people = counts(record, "validation")
    which = f"{hands:,} that it learned from" if learned else f"all {hands:,} of {people} people it never saw"
    return f"invented hands of {record['config']['size']} px, {which}; another scale of loss"


def configurations(records: Records, pretrained: Records = ()) -> pd.DataFrame:
    """Return one row a configuration: losses, 2D error, size and speed; printed losses stand in `compared`.

    Mean and standard deviation over seeds where there are several. Printed images a second are iterations a second
    times the batch, both of Table 6.2. A frozen encoder is not part of what its run trains, so its size is in the
    record of its pretraining.
    """
    sizes = {record["config"]["encoder"]: record["metrics"]["parameters"] for record in pretrained}
    rows = {}
    for configuration, runs in by_configuration(records).items():
        speed = printed_images_per_second(configuration)
        trained = runs[0]["metrics"]["parameters"]["encoder"]
        parameters = sizes.get(runs[0]["config"]["encoder"], trained) / 1e6
        rows[configuration.title] = {
            ("training loss", "here"): spread(values(runs, "train_loss"), 2),
            ("validation loss", "here"): spread(values(runs, "validation_loss"), 2),
            ("2D joints, px at 224", "here"): _over_seeds(runs, "true_2d_px_at_224"),
            ("encoder, million parameters", "printed"): _cell(printed(configuration, "parameters")),
            ("encoder, million parameters", "here"): f"{parameters:.1f}",
            ("pictures a second", "printed"): "–" if speed is None else f"{speed:.0f}",
            ("seeds", "here"): str(len(runs)),
        }
    return _framed(rows)


def could_not_know(records: Records, errors: Sequence[str] = IN_SPACE) -> pd.DataFrame:
    """Return one row a configuration, one column an error against the truth, mean and spread over seeds.

    First the errors in the picture, of all joints and of those that the loss sees; last the mean hand, laid on the
    true joints, which knows more of the place than a network and nothing of the hand.
    """
    groups = by_configuration(records)
    every = [record for runs in groups.values() for record in runs]
    errors = measured(every, ("true_2d_px_at_224", "detected_2d_px_at_224", *errors))
    rows = {
        configuration.title: {_title(error): _over_seeds(runs, error) for error in errors}
        for configuration, runs in groups.items()
    }
    there = [e for e in errors if any(e in r["metrics"].get("trivial", {}) for r in every)]
    if there:
        known = {e: score(every[:1], e, of="trivial") for e in there}
        rows[MEAN_HAND] = {
            _title(e): f"{known[e].mean:.{ERRORS[e].decimals}f}" if e in known else "–" for e in errors
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def repairs(records: Records, errors: Sequence[str] = REPAIRED["space"]) -> Styler:
    """Return one row a repair: each error with its interval, and below its change against the unrepaired.

    Changes are paired by subject, with Student's 95 % interval of the mean over subjects. Empty without repairs.
    """
    groups = by_repair(records)
    errors = measured([record for runs in groups.values() for record in runs], errors)
    rows = {}
    for repairs_, runs in groups.items():
        cells = {_title(error): score(runs, error).text for error in errors}
        if repairs_ != NO_REPAIR:  # a cell has two lines: a Styler and the book's style sheet keep them
            for error in errors:
                cells[_title(error)] += "\n" + _signed(change(runs, groups[NO_REPAIR], error), error)
        rows[repair_name(repairs_)] = cells
    frame = pd.DataFrame.from_dict(rows, orient="index")
    return frame.style.set_table_attributes('class="dataframe"')


def rendering(record: Record) -> Styler:
    """Return Table 4.1 beside one run of `mesh_rendering_speed`: seconds of a picture of 256 meshes."""
    seconds = record["metrics"]["seconds"]
    here = f"{record['metrics']['protocol']}; {record['environment']['device']}"
    rows = [("komorowicz2018_render_meshrender", None, "not run here", "not comparable")]
    for there, name in RENDERED.items():
        rows.append((f"komorowicz2018_render_{there}", [seconds[name]], here, "not comparable"))
    return plain(comparison_table(rows), words=True)


def rendering_ratios(record: Record) -> pd.DataFrame:
    """Return how many times faster than the loop each way is, as printed and here: speeds compare as ratios."""
    seconds = record["metrics"]["seconds"]
    rows = {}
    for there, name in RENDERED.items():
        number = by_key(f"komorowicz2018_render_{there}")
        loop = by_key("komorowicz2018_render_loop_normals").value / number.value
        way = number.system.removeprefix("Rendering with ")
        rows[way if there == name else f"{way} (here: {name.replace('_', ' ')})"] = {
            "printed": f"{loop:.1f}",
            "here": f"{seconds['loop_normals'] / seconds[name]:.1f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _title(error: str) -> str:
    quantity = ERRORS[error]
    return f"{quantity.title}, {quantity.unit}{' at 224' if quantity.unit == 'px' else ''}"


def _over_seeds(runs: Records, error: str) -> str:
    return spread([run["metrics"]["errors"][error]["mean"] for run in runs], ERRORS[error].decimals)


def _signed(difference: dict[str, float], error: str) -> str:
    """Return a change with its interval as a table shows it; a single subject has no interval."""
    d = ERRORS[error].decimals
    text = f"{difference['mean']:+.{d}f}"
    if difference["n"] > 1:
        text += f" [{difference['low']:+.{d}f}, {difference['high']:+.{d}f}]"
    return text.replace("-", "−")


def _cell(number: object) -> str:
    return "–" if number is None else f"{number.value:g}"


def _framed(rows: dict[str, dict[tuple[str, str], str]]) -> pd.DataFrame:
    """Return rows with two lines of column titles."""
    frame = pd.DataFrame.from_dict(rows, orient="index")
    if len(frame.columns):
        frame.columns = pd.MultiIndex.from_tuples(frame.columns)
    return frame
