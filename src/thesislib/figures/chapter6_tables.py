"""Tables of chapter 6: the layers of its two networks, printed numbers beside ours, rungs, readers, speeds."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from pandas.io.formats.style import Styler
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from thesislib.figures.chapter6_numbers import (
    BEST_EPOCH,
    Ladder,
    Record,
    accuracy,
    chance,
    clips_a_word,
    of_films,
    over_people,
    spread,
)
from thesislib.figures.chapter6_words import clips_each, percent
from thesislib.figures.sign_streams import FRAMES_A_SECOND
from thesislib.figures.signs import RUNGS, STARTS
from thesislib.figures.stream_words import SPELLING
from thesislib.figures.tables import plain
from thesislib.networks.frame_lstm import FrameLSTM
from thesislib.networks.sign_video import TABLE_I, Row, S3DMobileNetV3
from thesislib.published import CLOSE, by_key, comparison_table

READERS = {"bag_of_frames": "mean of all frames, no order", "first_frame": "the first frame alone"}
NOTEBOOK = {  # key of published.csv -> start of ours; None is the network of gestures
    "schorr2018_ledasila_accuracy": "scratch",
    "schorr2018_chalearn_accuracy": None,
    "schorr2018_transfer_finetuned_accuracy": "transfer_all",
    "schorr2018_transfer_frozen_accuracy": "transfer_frozen",
}
SPEEDS = {
    "s3d_mobilenet_v3": "S3D MobileNet-V3, table I",
    "s3d_mobilenet_v3_table_iv": "S3D MobileNet-V3, table IV",
    "r3d_18": "R3D-18",
    "r2plus1d_18": "R(2+1)D-18",
    "mc3_18": "MC3-18",
}

# Layers ------------------------------------------------------------------------------------------------


def recurrent(network: FrameLSTM, frames: int) -> Styler:
    """Return the layers of a network that reads features of frames: shapes, parameters, multiply-adds of a clip."""
    parts = [(f"LSTM {n}", lstm, frames) for n, lstm in enumerate(network.lstms, 1)]
    dense = [("dense", layer) for layer in network.dense.modules() if isinstance(layer, nn.Linear)]
    parts += [(name, layer, 1) for name, layer in (*dense, ("dense, classifies", network.classifier))]
    rows = [
        {
            "layer": name,
            "output": f"{times} x {layer.hidden_size}"
            if isinstance(layer, nn.LSTM)
            else str(layer.out_features),
            "parameters": sum(p.numel() for p in layer.parameters()),
            "multiply-adds": times * sum(p.numel() for p in layer.parameters() if p.ndim > 1),
        }
        for name, layer, times in parts
    ]
    return plain(_with_total(rows)).format(thousands=",")


def video_layers(frames: int = 16, size: int = 224, rows: tuple[Row, ...] = TABLE_I) -> Styler:
    """Return the network of table I, line by line: what the table prints, and what a clip of zeros measures.

    Kernels are space x time, strides likewise; an output is channels x time x height x width.
    """
    network = S3DMobileNetV3(rows=rows).eval()
    shapes: dict[nn.Module, str] = {}

    def note(module: nn.Module, _inputs: tuple, output: torch.Tensor) -> None:
        shapes[module] = " x ".join(map(str, output.shape[1:]))

    for module in network.modules():
        module.register_forward_hook(note)
    with FlopCounterMode(display=False, depth=3) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, frames, size, size))
    work = {name.partition(".")[2]: sum(of.values()) // 2 for name, of in counter.get_flop_counts().items()}
    found = [
        {
            "layer": words,
            **printed,
            "output": shapes[network.get_submodule(name)],
            "parameters": sum(p.numel() for p in network.get_submodule(name).parameters()),
            "multiply-adds": work.get(name, 0),
        }
        for name, words, printed in _lines(rows, list(network.attentions))
    ]
    return plain(_with_total(found)).format(thousands=",")


def _lines(rows: tuple[Row, ...], attended: list[str]) -> list[tuple[str, str, dict[str, str]]]:
    """Return the lines of a table of the network: module, its name on a page, and what is printed of it."""

    def cells(
        kernel: str, inside: str = "–", squeeze: str = "–", act: str = "–", stride: str = "–"
    ) -> dict[str, str]:
        return {"kernel": kernel, "inside": inside, "SE": squeeze, "NL": act, "stride": stride}

    lines = [("stem", "convolution", cells("3 x 1", act="HS", stride="2 x 1"))]
    for n, row in enumerate(rows):
        printed = cells(
            f"{row.kernel} x {row.time_kernel}",
            str(row.inside),
            "yes" if row.squeeze else "–",
            "HS" if row.hard_swish else "RE",
            f"{row.stride} x {row.time_stride}",
        )
        lines.append((f"bottlenecks.{n}", f"bottleneck {n}", printed))
        if str(n) in attended:
            lines.append((f"attentions.{n}", "attention", cells("3 x 3")))
    lines.append(("last", "convolution", cells("1 x 1", act="HS")))
    return [*lines, ("head", "mean, then convolution", cells("1 x 1"))]


def _with_total(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return rows with their sums below."""
    sums = {name: sum(row[name] for row in rows) for name in ("parameters", "multiply-adds")}
    return pd.DataFrame([*rows, {"layer": "total"} | sums]).fillna("")


# Printed and measured ----------------------------------------------------------------------------------


def size(table_iv: Mapping[str, int]) -> Styler:
    """Return table IV beside the network whose size it gives, from `sign_speed.size_of` at 16 x 224 x 224."""
    here = {
        "izutov2020_parameters": (table_iv["parameters"] / 1e6, "as it is trained, without centres of words"),
        "izutov2020_gflops": (2 * table_iv["multiply_adds"] / 1e9, "two operations a multiply-add"),
        "izutov2020_embedding_size": (table_iv["output_features"], "by design"),
    }
    rows = [(key, [value], protocol, _reading(key, value)) for key, (value, protocol) in here.items()]
    return plain(comparison_table(rows), words=True)


def _reading(key: str, value: float) -> str:
    printed = by_key(key).value
    if abs(value - printed) <= CLOSE * printed:
        return "matches"
    return "above" if value > printed else "below"


def notebook(record: Record) -> Styler:
    """Return the notebook's accuracies beside ours, read its way: the best epoch on validation clips."""
    m, most = record["metrics"], str(clips_a_word(record)[-1])
    who = "the person who taught" if of_films(record) else "strangers"
    learned = f"{most} clips of each of {len(m['words'])} words to learn from"
    protocol = f"2 LSTM layers and 1 dense; best epoch; {learned}, clips of {who} validate"
    rows = []
    for key, start in NOTEBOOK.items():
        if start is None:
            gestures = m["gestures"]
            clips = f"{gestures['words']} invented gestures, {gestures['clips']:,} clips"
            of = f"best epoch; {clips}, strangers validate"
            rows.append((key, [gestures[BEST_EPOCH]["mean"]], of, "not comparable"))
        else:
            rows.append((key, m["accuracy"][BEST_EPOCH][start][most]["by_seed"], protocol, "not comparable"))
    return plain(comparison_table(rows), words=True)


def starts(record: Record) -> pd.DataFrame:
    """Return one row a start and a reader without order, one column a number of clips a word: percent right."""
    m = record["metrics"]
    named = {STARTS[start][0]: row for start, row in accuracy(record).items()}
    named |= {READERS[name]: row for name, row in m["without_order"].items()}
    counts = clips_a_word(record)
    rows = {name: {clips_each(n): _cell(row[str(n)]) for n in counts} for name, row in named.items()}
    rows["guessing"] = dict.fromkeys(map(clips_each, counts), f"{100 * m['chance']:.1f}")
    return pd.DataFrame.from_dict(rows, orient="index")


def rungs(of: Ladder) -> pd.DataFrame:
    """Return one row a rung: strangers, the clips learned from, clips robbed of their motion, seeds; percent.

    The first interval is over the people asked, the others over seeds, where there are several.
    """
    columns = {
        "mAP": ("strangers", "map"),
        "top-1, clips learned from": ("signers_of_training", "top1"),
        "top-1, frames out of order": ("strangers_frames_shuffled", "top1"),
        "top-1, one frame": ("strangers_one_frame", "top1"),
    }
    rows = {
        RUNGS[rung]: {"top-1": _cell(over_people(runs))}
        | {title: _cell(spread(runs, *way)) for title, way in columns.items()}
        | {"seeds": str(len(runs))}
        for rung, runs in of.items()
    }
    if of:
        guess = f"{100 * chance(next(iter(of.values()))[0]):.1f}"
        rows["guessing"] = (
            {"top-1": guess} | {t: guess if t != "mAP" else "–" for t in columns} | {"seeds": "–"}
        )
    return pd.DataFrame.from_dict(rows, orient="index")


def spelling(record: Record) -> pd.DataFrame:
    """Return one row a condition of `signs_and_spelling`: what is found in streams, and which answers are wrong."""
    rows = {}
    for name, title in SPELLING.items():
        row = record["metrics"][name]
        minutes = row["n_frames"] / FRAMES_A_SECOND / 60
        rows[title] = {
            "threshold": f"{row['threshold']:.2f}",
            "F1 %, mean over people": _cell(row["f1_by_signer"]),
            "recall %, all signs": _cell(row["recall"]),
            "precision %, all answers": _cell(row["precision"]),
            "wrong in texts": str(row["wrong_while_spelling"]) if row["n_texts"] else "–",
            "wrong elsewhere": str(row["wrong_otherwise"]),
            "wrong a minute": f"{(row['wrong_while_spelling'] + row['wrong_otherwise']) / minutes:.1f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def speeds(record: Record) -> pd.DataFrame:
    """Return one row a network and size of clip: how large, how fast, and that over the 3D ResNet's time."""
    m, rows = record["metrics"], {}
    peer = m["peer"]
    for name, row in m["systems"].items():
        cells = {
            "parameters, million": f"{row['parameters'] / 1e6:.2f}",
            "multiply-adds, billion": f"{row['multiply_adds'] / 1e9:.2f}",
        }
        for kind, title in (("pytorch", "PyTorch"), ("onnx", "ONNX Runtime")):
            cells[f"{title}, ms"] = f"{row[f'latency_ms_{kind}']:.0f}"
            cells[f"{title}, to {SPEEDS[peer]}"] = f"{row[f'latency_ratio_to_{peer}_{kind}']:.2f}"
        if "clips_per_second_gpu_bf16" in row:
            cells["clips a second, GPU"] = f"{row['clips_per_second_gpu_bf16']:.0f}"
        rows[f"{SPEEDS[name.rpartition('_')[0]]}, {row['input_px']} px"] = cells
    return pd.DataFrame.from_dict(rows, orient="index").fillna("–")


def _cell(value: Mapping[str, float]) -> str:
    """Return a share in percent with its interval over seeds, where there are several."""
    return percent(value).replace(" %", "")  # the table says percent
