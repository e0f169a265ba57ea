"""Figures and tables of few pictures, on a made-up record."""

import numpy as np
import pytest

from thesislib.chapters import few_pictures as chapter
from thesislib.chapters import head_conditions
from thesislib.figures import few_pictures
from thesislib.figures.few_pictures import CONDITIONS, PANELS, falls, flat, histories, told

EPOCHS, TRAIN = 4, 960
FALL = {name: 2 * place + 0.3 for place, name in enumerate(chapter.CONDITIONS)}  # percent: 0.3, 2.3, 4.3, ...


def head(fall: float, guessing: float, top1: float) -> dict:
    """A loss that starts at twice guessing and ends so many percent under it."""
    losses = np.linspace(2 * guessing, guessing * (1 - fall / 100), EPOCHS).tolist()
    return {"top1": top1, "guessing_loss": guessing, "train_loss": losses, "test_loss": losses}


def record(names=tuple(CONDITIONS)) -> dict:
    rows = {}
    for name in names:
        seeds = [
            {
                "linear_top1": 0.5,
                "nearest_top1": 0.4,
                "pairwise": head(FALL[name] + seed, 1.34, 0.25),
                "cross_entropy": head(FALL[name] / 2 + seed, 3.4, 0.2 + 0.05 * seed),
            }
            for seed in range(3 if name in chapter.MAIN else 1)
        ]
        rows[name] = {"changed": {}, "seeds": seeds}
    fifty = {"pictures": 50, "top1": 0.94, "loss": 0.335, "guessing_loss": 1.34}
    by_heart = {"0": {loss: fifty for loss in head_conditions.LOSSES}}
    counts = {"images": 1200, "train_images": TRAIN, "letters": [str(n) for n in range(30)], "chance": 1 / 30}
    return {"metrics": counts | {"rows": rows, "by_heart": by_heart}}


def test_every_condition_and_loss_has_a_name_and_a_place():
    shown = [name for names in PANELS.values() for name in names]
    assert sorted([few_pictures.USUAL, *shown]) == sorted(CONDITIONS) == sorted(chapter.CONDITIONS)
    assert tuple(few_pictures.LOSSES) == head_conditions.LOSSES


def test_a_loss_falls_by_what_it_ends_under_guessing():
    assert falls(record(), "usual", "pairwise") == pytest.approx([0.3, 1.3, 2.3])
    assert falls(record(), "dropout_90", "pairwise") == pytest.approx([FALL["dropout_90"]])
    for loss, share in (("pairwise", 1), ("cross_entropy", 0.5)):
        mean = {name: share * fall + (name in chapter.MAIN) for name, fall in FALL.items()}
        found = flat(record(), loss)
        assert sorted(found) == sorted(name for name in CONDITIONS if mean[name] < 5)
        assert 0 < len(found) < len(CONDITIONS)


def test_histories_show_each_condition_once_and_the_usual_everywhere():
    figure = histories(record())
    assert [axes.get_title() for axes in figure.axes[:3]] == list(PANELS)
    for row, (loss, guessing) in enumerate((("pairwise", 1.34), ("cross_entropy", 3.4))):
        for axes, names in zip(figure.axes[3 * row : 3 * row + 3], PANELS.values(), strict=True):
            lines = {
                line.get_label().replace("\n", " "): line
                for line in axes.lines
                if not line.get_label().startswith("_")
            }
            assert list(lines) == [CONDITIONS[name] for name in (few_pictures.USUAL, *names)]
            for name in (few_pictures.USUAL, *names):
                line = lines[CONDITIONS[name]]
                assert line.get_xdata().tolist() == [TRAIN, 2 * TRAIN, 3 * TRAIN, 4 * TRAIN]
                expected = guessing * (1 - np.mean(falls(record(), name, loss)) / 100)
                assert line.get_ydata()[-1] == pytest.approx(expected)
            assert any(
                line.get_linestyle() == "--" and line.get_ydata()[0] == guessing for line in axes.lines
            )
    assert "dropout .9 at every layer" in figure.get_label() and "classifier" in figure.get_label()


def test_a_smaller_record_has_fewer_panels():
    small = record(("usual", "dropout_75"))
    assert [axes.get_title() for axes in histories(small).axes] == ["dropout", ""]
    assert len(few_pictures.conditions(small)) == 2


def test_tables_say_what_the_record_holds():
    table = few_pictures.conditions(record())
    usual = table.loc[CONDITIONS["usual"]]
    assert usual.tolist() == ["25.0", "25.0", "50.0", "40.0", "0.99", "3"]
    assert table.loc["rate 0.1", "seeds"] == "1" and table.loc["rate 0.1", "classifier"] == "20.0"
    assert few_pictures.learned_by_heart(record()).loc["dropout 0"].tolist() == ["94", "94"]


def test_what_keeps_both_losses_flat_is_named_and_the_control_is_not():
    found = record()
    for name, row in found["metrics"]["rows"].items():
        for seed in row["seeds"]:
            flat = {"pairwise": name in ("dropout_90", "batch_1024", few_pictures.SHUFFLED)}
            flat["cross_entropy"] = name in ("dropout_90", few_pictures.SHUFFLED)
            for loss, stays in flat.items():
                seed[loss]["test_loss"][-1] = seed[loss]["guessing_loss"] * (0.99 if stays else 0.7)
    assert few_pictures.stopped(found) == CONDITIONS["dropout_90"]
    for row in found["metrics"]["rows"].values():
        for seed in row["seeds"]:
            seed["pairwise"]["test_loss"][-1] = 0.0
    assert few_pictures.stopped(found) == "none of them"


def test_the_paragraph_says_whether_the_few_pictures_explain_anything():
    found = record()
    assert "Trained on 960 of 1,200 pictures" in told(found) and "names 25.0 % of 30 letters" in told(found)
    assert few_pictures.stopped(found) in told(found) and "do not make a loss flat" not in told(found)
    assert "A flat loss does not mean answers at chance" in told(found)
    for row in found["metrics"]["rows"].values():
        for seed in row["seeds"]:
            for loss in few_pictures.LOSSES:
                seed[loss]["test_loss"][-1] = 0.7 * seed[loss]["guessing_loss"]
    assert "ends 30 % under guessing" in told(found) and "do not make a loss flat" in told(found)
    assert "A flat loss" not in told(found)
