"""The figure, the table and the words of fine-tuning say what made-up records say."""

import numpy as np
import pytest

from thesislib.chapters import fine_tuning as chapter
from thesislib.chapters import letter_tuning
from thesislib.evaluation.intervals import of_the_mean
from thesislib.figures import fine_tuning
from thesislib.figures.fine_tuning import (
    CONDITIONS,
    LAST_LAYER,
    by_name,
    conditions,
    highest_frozen,
    table,
    told,
)

PEOPLE = ("Anna", "Ben", "Cleo")
SHARES = {name: 0.5 + 0.06 * place for place, name in enumerate(CONDITIONS)}  # .5, .56, ...
SPREAD = np.array([-0.05, 0.01, 0.04])


def over_signers(mean: float, spread=SPREAD) -> dict:
    by_signer = (mean + spread).tolist()
    return {"by_signer": by_signer, "mean": float(np.mean(by_signer)), "low": mean - 0.1, "high": mean + 0.08}


def record(name: str = "asl7", *, seed: int = 0, names=tuple(CONDITIONS), few: bool = True) -> dict:
    """A record of one seed; each seed after the first is two points better."""
    systems = {}
    for condition in names:
        mean = SHARES[condition] + 0.02 * seed
        wider = SPREAD * (2 if condition == "end_to_end" else 1)
        systems[condition] = {"zero_shot": {"top1_macro": over_signers(mean, wider)}}
        if few:
            systems[condition]["k_shot_s5"] = {"top1_macro": over_signers(mean + 0.1)}
    counts = {"letters": list("abcd"), "signers": list(PEOPLE), "images": 240, "chance": 0.25}
    protocols = ("zero_shot", "k_shot_s5") if few else ("zero_shot",)
    counts["protocols"] = {protocol: {"signers": list(PEOPLE)} for protocol in protocols}
    test = name.split(" to ")[1] if " to " in name else ""
    return {
        "config": {"dataset": name.split(" to ")[0], "test": test, "seed": seed},
        "data": {"name": name},
        "metrics": counts | {"systems": systems},
    }


def words_of(figure) -> set[str]:
    return {text.get_text() for axes in figure.axes for text in (*axes.texts, *axes.get_yticklabels())}


def test_every_condition_has_a_name_and_the_same_one_is_compared_with():
    assert tuple(CONDITIONS) == tuple(letter_tuning.CONDITIONS)
    assert fine_tuning.LAST_LAYER == chapter.BASELINE


def test_records_are_sorted_by_what_was_read():
    records = [record("massey to asl7"), record("massey"), record("asl7", seed=1), record("asl7")]
    found = by_name(records)
    assert list(found) == ["massey", "asl7", "massey to asl7"]
    assert [one["config"]["seed"] for one in found["asl7"]] == [1, 0]


def test_the_figure_has_a_panel_a_set_and_a_row_a_condition():
    some = [name for name in CONDITIONS if name != "end_to_end_backgrounds"]
    sets = {"asl7": [record(names=some), record(names=some, seed=1)], "massey": [record("massey")]}
    figure = conditions(sets, {"asl7": 83.25, "elsewhere": 10.0})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["asl7", "massey"]
    for axes, (name, records) in zip(figure.axes, sets.items(), strict=True):
        rows = [label.get_text() for label in axes.get_yticklabels()]
        assert rows == [CONDITIONS[c] for c in (some if name == "asl7" else CONDITIONS)]
        height = {
            label.get_text(): at for label, at in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)
        }
        marks = [line for line in axes.lines if line.get_marker() == "D"]
        assert height[rows[0]] == max(height.values()) and len(marks) == len(rows)
        for mark, condition in zip(marks, some if name == "asl7" else CONDITIONS, strict=True):
            expected = 100 * (SHARES[condition] + 0.01 * (len(records) - 1))  # the mean of the seeds
            assert mark.get_xdata() == pytest.approx([expected])
            assert mark.get_ydata() == [height[CONDITIONS[condition]]]
        dots = [line for line in axes.lines if line.get_marker() == "o"]
        assert all(len(line.get_xdata()) == len(PEOPLE) for line in dots) and len(dots) == len(rows)
    lines = [{line.get_label(): line.get_xdata()[0] for line in axes.lines} for axes in figure.axes]
    assert lines[0]["the same network frozen, its highest row"] == 83.25
    assert "the same network frozen, its highest row" not in lines[1]
    assert all(of["guessing"] == 25.0 for of in lines)
    assert "51.0 [41.0, 59.0]" in words_of(figure)
    assert "end to end 63.0" in figure.get_label() and "highest row 83.2" in figure.get_label()


def test_a_set_without_the_protocol_has_no_panel():
    sets = {"asl7": [record()], "massey to asl7": [record("massey to asl7", few=False)]}
    assert len(conditions(sets, protocol="k_shot_s5").axes) == 1
    assert len(conditions(sets).axes) == 2


def test_the_table_pairs_each_gain_by_signer():
    rows = table([record(), record(seed=1)])
    assert list(rows.index) == list(CONDITIONS.values())
    assert rows.loc[CONDITIONS["as_it_is"], "zero-shot, %"] == "51.0 [41.0, 59.0]"
    gain = of_the_mean(100 * (0.06 + SPREAD))  # end_to_end is 6 points up, and twice as spread
    text = f"{gain['mean']:+.1f} [{gain['low']:+.1f}, {gain['high']:+.1f}]".replace("-", "−")
    assert rows.loc[CONDITIONS["end_to_end"], "zero-shot, points gained"] == text
    assert set(rows.loc[CONDITIONS[LAST_LAYER], ["zero-shot, points gained", "5 shots, points gained"]]) == {
        "–"
    }
    assert rows.loc[CONDITIONS["as_it_is"], "5 shots, points gained"].startswith("−6.0")
    assert set(rows["seeds"]) == {"2"}


def test_without_the_last_layer_nothing_is_compared():
    rows = table([record(names=("as_it_is", "end_to_end"))])
    assert set(rows["zero-shot, points gained"]) == {"–"}
    text = told({"asl7": [record(names=("as_it_is", "end_to_end"))]})
    assert "gains" not in text and "50.0 %" in text


def test_words_follow_the_numbers():
    text = told(
        {"asl7": [record()], "massey": [record("massey", names=("as_it_is", LAST_LAYER))]}, {"asl7": 70}
    )
    asl7, massey = text.split("\n\n")
    assert asl7.startswith("**`asl7`.**") and "reaches 50.0 % [40.0, 58.0]" in asl7
    assert "Against that, *the last layer alone* gains 6.0 points" in asl7
    assert "*end to end, half invented hands* gains 12.0 points" in asl7
    assert "*end to end* changes by +6.0 points" in asl7 and "which may be none" in asl7  # twice as spread
    assert "has 70.0 %; end to end has 62.0 %" in asl7 and "no photograph" not in asl7
    untouched = told({"asl7": [record(names=("end_to_end", LAST_LAYER, "as_it_is"))]}, {"asl7": 40})
    assert "no photograph" not in untouched  # it is not the highest
    assert "Against the last layer" not in massey and "frozen" not in massey
    above = record()
    above["metrics"]["systems"]["as_it_is"]["zero_shot"]["top1_macro"]["mean"] = 0.75
    assert "Both are below the 75.0 % of the network that has seen no photograph" in told(
        {"asl7": [above]}, {"asl7": 70}
    )


def test_the_bar_to_clear_is_the_highest_mean_of_the_frozen_letter_network():
    others = ("mediapipe", "letters_lda", "letters_views")
    records = [record(), record(seed=1)]
    for seed, one in enumerate(records):
        for name, base in zip(others, (0.9, 0.7, 0.72), strict=True):
            share = base + 0.1 * seed * (
                name == "letters_lda"
            )  # in the mean over the seeds it is the highest
            one["metrics"]["systems"][name] = {"zero_shot": {"top1_macro": over_signers(share)}}
    assert highest_frozen(records) == pytest.approx(75.0)
    assert highest_frozen(records[:1]) == pytest.approx(72.0)
