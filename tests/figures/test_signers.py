"""Figures, tables and numbers of chapter 4 show what the records say, on made-up records of five signers."""

import copy

import numpy as np
import pytest

from thesislib.figures import (
    chapter4_numbers,
    letters,
    signer_protocols,
    signer_scores,
    signer_tables,
    signers,
    style,
)
from thesislib.figures.signer_protocols import ASK, EXAMPLE, GAP, LEARN

LETTERS = list("abcdefghiklmnopqrstuvwxy")
SIGNERS = [f"user {n}" for n in range(3, 8)]
ZERO_SHOT = {  # about what each system reaches on strangers
    "pixels": 0.38,
    "hog": 0.69,
    "mediapipe": 0.85,
    "keypoints": 0.78,
    "angles": 0.8,
    "pooled": 0.55,
    "spatial": 0.72,
    "heatmaps": 0.7,
    "thesis": 0.5,
    "cross_entropy": 0.66,
    "spatial_ridge": 0.83,
    "spatial_lda": 0.88,
    "spatial_centred": 0.86,
    "spatial_views": 0.9,
    "letters_lda": 0.91,
    "letters_together": 0.93,
}
CLOSER = {  # what share of the way to perfect the easier protocols bring
    "zero_shot": 0.0,
    "k_shot_s1": 0.2,
    "k_shot_s5": 0.5,
    "k_shot_s10": 0.6,
    "same_signer": 0.7,
    "random_split": 0.92,
}
SWEPT = [4, 6, 8, 10, 12, 16, 32, 64]


def over_signers(mean, rng):
    by_signer = np.clip(mean + 0.04 * rng.normal(size=len(SIGNERS)), 0, 1)
    found = float(by_signer.mean())
    return {
        "by_signer": by_signer.tolist(),
        "mean": found,
        "low": found - 0.04,
        "high": min(found + 0.03, 1.0),
    }


def record(seed=0):
    """A record of the chapter with plausible numbers; every number of another seed is another."""
    rng = np.random.default_rng(seed)
    systems = {}
    for name, base in ZERO_SHOT.items():
        systems[name] = {}
        for protocol, closer in CLOSER.items():
            top1 = base + closer * (1 - base)
            systems[name][protocol] = {
                "top1_macro": over_signers(top1, rng),
                "top1_micro": over_signers(top1, rng),
                "top2_macro": over_signers(top1 + 0.4 * (1 - top1), rng),
            }
    sweep = {
        str(f): {
            m: over_signers(0.55 - 1.2 / f + more, rng)
            for m, more in (("top1_macro", 0), ("top2_macro", 0.15))
        }
        for f in SWEPT
    }
    metrics = {
        "letters": LETTERS,
        "signers": SIGNERS,
        "images": 1200,
        "chance": 1 / 24,
        "protocols": {
            name: {"signers": SIGNERS, "draws": 20, "queries": 600, "share_of_prototypes": share}
            for name, share in zip(CLOSER, (4.0, 0.1, 0.5, 0.6, 0.5, 0.5), strict=True)
        },
        "systems": systems,
        "sweep": sweep,
    }
    return {
        "config": {"seed": seed},
        "data": {"name": "asl7", "title": "asl7"},
        "metrics": metrics,
        "published": {"ignatiev2019_asl_unseen_f10_top1": 40.0 + seed},
    }


def confusion(seed=0):
    """Counts in which some letters are often taken for each other."""
    rng = np.random.default_rng(seed)
    counts = np.diag(rng.integers(25, 45, 24)) + rng.integers(0, 2, (24, 24))
    for true, read_as, more in (("m", "n", 22), ("r", "u", 18), ("k", "v", 15), ("a", "s", 9), ("t", "n", 8)):
        counts[LETTERS.index(true), LETTERS.index(read_as)] += more
    return counts


RECORDS = [record(seed) for seed in range(3)]


def by_hand(system, protocol, metric="top1_macro"):
    """Each signer's accuracy in percent, averaged over the seeds with plain sums."""
    stored = [r["metrics"]["systems"][system][protocol][metric]["by_signer"] for r in RECORDS]
    return [100 * sum(of_seeds) / len(stored) for of_seeds in zip(*stored, strict=True)]


# Scores -----------------------------------------------------------------------------------------------


def test_seeds_are_pooled_by_signer_and_do_not_narrow_the_interval():
    pooled = signer_scores.scores(RECORDS, "thesis", "zero_shot")
    expected = by_hand("thesis", "zero_shot")
    assert pooled.by_signer == pytest.approx(dict(zip(SIGNERS, expected, strict=True)))
    assert pooled.mean == pytest.approx(sum(expected) / 5)
    assert (pooled.mean - pooled.low, pooled.high - pooled.mean) == pytest.approx((4, 3))
    assert pooled.seeds == 3


def test_a_system_that_only_some_seeds_have_is_pooled_over_those():
    lacking = record(0)
    del lacking["metrics"]["systems"]["spatial_views"]
    found = signer_scores.scores([lacking, record(1)], "spatial_views", "zero_shot")
    assert found.seeds == 1 and found == signer_scores.scores([record(1)], "spatial_views", "zero_shot")
    with pytest.raises(KeyError, match="top1_macro of 'spatial_views' under 'zero_shot'"):
        signer_scores.scores([lacking], "spatial_views", "zero_shot")


def test_records_of_other_people_are_not_pooled():
    other = record(1)
    other["metrics"]["signers"] = [f"hand {n}" for n in range(1, 6)]
    with pytest.raises(ValueError, match="differ in their signers"):
        signer_scores.scores([record(0), other], "thesis", "zero_shot")


def test_differences_are_paired_by_signer():
    base, other = record(0), record(0)
    asked = other["metrics"]["protocols"]["k_shot_s5"]
    asked["signers"] = SIGNERS[1:]  # the first has too few pictures
    del other["metrics"]["systems"]["hog"]["k_shot_s5"]["top1_macro"]["by_signer"][0]
    swing = [0.2, 0.4, 0.5, 0.6, 0.8]  # signers differ widely, the gain is the same for each
    base["metrics"]["systems"]["thesis"]["zero_shot"]["top1_macro"]["by_signer"] = swing
    base["metrics"]["systems"]["hog"]["zero_shot"]["top1_macro"]["by_signer"] = [v + 0.1 for v in swing]
    found = signer_scores.difference([base], "hog", "thesis", "zero_shot")
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((10, 10, 10))
    gained = signer_scores.difference([other], "hog", "hog", "k_shot_s5", to="zero_shot")
    there, here = (
        other["metrics"]["systems"]["hog"][p]["top1_macro"]["by_signer"] for p in ("k_shot_s5", "zero_shot")
    )
    assert gained["mean"] == pytest.approx(100 * np.mean(np.subtract(there, here[1:])))


def test_protocols_come_by_shots_and_have_names():
    protocols = signer_scores.protocols_of(RECORDS[::-1])
    assert protocols[:4] == ["zero_shot", "k_shot_s1", "k_shot_s5", "k_shot_s10"]
    names = [signer_scores.protocol_name(p) for p in protocols]
    assert names == ["zero-shot", "1 shot", "5 shots", "10 shots", "contiguous halves", "random halves"]


def test_printed_numbers_are_the_theses():
    printed = signer_scores.printed_f_sweep()
    assert printed["top1_macro"] == {6: 32.3, 8: 43.2, 10: 46.6, 12: 45.8}
    assert printed["top2_macro"] == {6: 51.4, 8: 59.2, 10: 60.3, 12: 61.0}
    confusions = signer_scores.printed_confusions()
    assert confusions["r", "d"] == 29 and confusions["k", "v"] == 18
    assert min(confusions.values()) >= 10
    assert list(signer_scores.printed_letters()) == LETTERS and signer_scores.printed_letters()["t"] == 12


# Figures ----------------------------------------------------------------------------------------------


def diamonds(axes):
    """The means that rows show: where the diamonds stand, by height."""
    marks = [line for line in axes.lines if line.get_marker() == "D"]
    return {float(line.get_ydata()[0]): float(line.get_xdata()[0]) for line in marks}


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_systems_are_sorted_and_show_their_means_and_signers():
    axes = signers.systems(RECORDS, "zero_shot").axes[0]
    means = diamonds(axes)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(names) == len(ZERO_SHOT) and names[0] == "pixels"
    assert [means[row] for row in range(len(names))] == sorted(means.values())
    assert means[0] == pytest.approx(np.mean(by_hand("pixels", "zero_shot")))
    dots = [sorted(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 5]
    assert any(np.allclose(row, sorted(by_hand("pixels", "zero_shot"))) for row in dots)
    guess = next(line for line in axes.lines if line.get_linestyle() == ":")
    assert guess.get_xdata()[0] == pytest.approx(100 / 24)


def test_the_ladder_names_each_gain_and_keeps_what_is_together_apart():
    changes = {"spatial": "kept spatial", "hog": "no network"}
    steps = signer_scores.rungs(RECORDS, changes, "zero_shot", together={"spatial_views": "all"})
    axes = signers.ladder(steps).axes[0]
    assert [step.label for step in steps] == ["the thesis's embedding", "kept spatial", "no network", "all"]
    rows = diamonds(axes)
    assert [rows[y] for y in sorted(rows, reverse=True)] == pytest.approx(
        [step.scores.mean for step in steps]
    )
    gain = np.mean(by_hand("spatial", "zero_shot")) - np.mean(by_hand("thesis", "zero_shot"))
    assert any(text.startswith(f"{gain:+.1f} [") for text in texts(axes))
    assert "start" in texts(axes) and "together:" in texts(axes)
    gaps = -np.diff(sorted(rows, reverse=True))
    assert gaps.tolist() == [1, 1, 1.5]
    table = signer_tables.changes(steps)
    assert table.loc["kept spatial", "points gained"].startswith(f"{gain:+.1f} [")


def test_what_a_set_cannot_measure_is_left_out_and_a_misspelt_name_is_not():
    small = record(0)
    del small["metrics"]["systems"]["mediapipe"]
    for by_protocol in small["metrics"]["systems"].values():
        del by_protocol["k_shot_s5"]
    figure = signers.flattery([small], ["mediapipe", "hog"])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["edges (HOG)"]
    assert "5 shots" not in [text.get_text() for text in figure.legends[0].get_texts()]
    steps = signer_scores.rungs([small], {"mediapipe": "landmarks", "hog": "edges"}, "zero_shot")
    assert [step.label for step in steps[1:]] == ["edges"]
    with pytest.raises(KeyError, match="no system 'hogg'"):
        signers.shots([small], ["hogg"])


def test_a_loss_has_a_minus_sign_and_one_signer_no_interval():
    steps = signer_scores.rungs(RECORDS, {"pixels": "pixels"}, "zero_shot")
    assert any(text.startswith("−") for text in texts(signers.ladder(steps).axes[0]))
    assert signer_scores.points({"mean": -3.21, "low": -3.21, "high": -3.21, "n": 1}) == "-3.2"


def test_shots_start_with_none():
    axes = signers.shots(RECORDS, ["thesis", "hog"]).axes[0]
    assert [label.get_text().split("\n")[0] for label in axes.get_xticklabels()] == ["0", "1", "5", "10"]
    mean = axes.containers[0].lines[0].get_ydata()
    expected = [np.mean(by_hand("thesis", p)) for p in ("zero_shot", "k_shot_s1", "k_shot_s5", "k_shot_s10")]
    assert np.allclose(mean, expected)


def test_a_curve_is_in_order_of_its_numbers_as_numbers():
    points = {"thesis": {n: {"mean": int(n) / 100, "low": 0.0, "high": 1.0} for n in ("16", "2", "64", "4")}}
    axes = signers.curve(points, xlabel="training signers").axes[0]
    assert axes.lines[0].get_xdata().tolist() == [2, 4, 16, 64]
    assert axes.lines[0].get_ydata() == pytest.approx([2, 4, 16, 64])


def test_flattery_is_the_last_protocol_minus_the_first():
    figure = signers.flattery(RECORDS, ["thesis", "hog"])
    gain = np.mean(by_hand("hog", "random_split")) - np.mean(by_hand("hog", "zero_shot"))
    assert any(text.startswith(f"{gain:+.1f} [") for text in texts(figure.axes[0]))
    marks = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    assert len(marks) == 8 and len({line.get_marker() for line in marks}) == 4


def test_the_sweep_stands_beside_the_printed_one():
    figure = signers.features(RECORDS, here="ours", there="theirs")
    for axes, metric in zip(figure.axes, ("top1_macro", "top2_macro"), strict=True):
        ours = next(line for line in axes.lines if line.get_label() == "here: ours")
        theirs = next(line for line in axes.lines if line.get_label() == "printed: theirs")
        assert list(ours.get_xdata()) == SWEPT
        stored = [[r["metrics"]["sweep"][str(f)][metric]["mean"] for f in SWEPT] for r in RECORDS]
        assert np.allclose(ours.get_ydata(), 100 * np.mean(stored, axis=0))
        assert list(theirs.get_ydata()) == list(signer_scores.printed_f_sweep()[metric].values())


def test_the_drawing_obeys_the_protocols():
    zero_shot, k_shot, halves, by_lot = (panel.roles for panel in signer_protocols.panels())
    assert (zero_shot[:-1] == LEARN).all() and (zero_shot[-1] == ASK).all()
    assert (k_shot[:-1] == LEARN).all()
    for clip in k_shot[-1]:
        examples = np.flatnonzero(clip == EXAMPLE)
        assert len(examples) == signer_protocols.SHOTS and np.ptp(examples) == len(examples) - 1
        beside = [clip[i] for i in (examples[0] - 1, examples[-1] + 1) if 0 <= i < len(clip)]
        assert beside and set(beside) == {GAP}
    for clip in halves.reshape(-1, signer_protocols.FRAMES):
        assert np.flatnonzero(clip == EXAMPLE).max() < np.flatnonzero(clip == GAP).min()
        assert np.flatnonzero(clip == GAP).max() < np.flatnonzero(clip == ASK).min()
    for clip in by_lot.reshape(-1, signer_protocols.FRAMES):
        assert (clip == EXAMPLE).sum() == (clip == ASK).sum() == len(clip) / 2
        assert (np.diff(clip == ASK) != 0).sum() > 1  # neighbours are torn apart
    axes = signer_protocols.protocols().axes[0]
    assert len(axes.patches) == sum(panel.roles.size for panel in signer_protocols.panels())


# Letters ----------------------------------------------------------------------------------------------

PICTURES = {name: np.full((3, 8, 8), 10 * i, np.uint8) for i, name in enumerate(LETTERS)}


def test_the_most_confused_pairs_are_those_of_the_largest_shares():
    counts = confusion()
    pairs = letters.top_pairs(counts, LETTERS, 4)
    every = [
        (100 * counts[i, j] / counts[i].sum(), LETTERS[i], LETTERS[j])
        for i in range(24)
        for j in range(24)
        if i != j
    ]
    best = sorted(every, reverse=True)[:4]
    assert [(pair.true, pair.read_as) for pair in pairs] == [pair[1:] for pair in best]
    assert [pair.percent for pair in pairs] == pytest.approx([pair[0] for pair in best])
    printed = {(p.true, p.read_as): p.printed for p in letters.top_pairs(counts, LETTERS, 5)}
    assert printed["k", "v"] == 18 and printed["a", "s"] is None
    axes = letters.confused_pairs(counts, LETTERS, PICTURES, 4).axes
    assert [t for axis in axes for t in texts(axis) if "→" in t] == [f"{p.true} → {p.read_as}" for p in pairs]
    widths = [bar.get_width() for axis in axes for bar in axis.patches]
    assert np.allclose(np.array(widths) / widths[0], [p.percent / pairs[0].percent for p in pairs])
    words = signer_tables.pairs(letters.top_pairs(counts, LETTERS, 5)).set_index(["letter", "read as"])
    assert words.loc[("a", "s"), "printed"] == "under 10 %" and words.loc[("k", "v"), "printed"] == "18 %"
    (own,) = letters.top_pairs(np.array([[3, 1], [0, 4]]), ["a", "hello"], 1)
    assert own.printed_text == "–"  # the thesis has no such letter


def test_letters_never_asked_and_perfect_readers_are_drawn_too():
    counts = np.array([[4, 0, 0], [0, 0, 0], [0, 0, 2]])
    assert letters.top_pairs(counts, ["a", "b", "c"], 3) == []
    drawn = letters.confused_pairs(counts, ["a", "b", "c"], PICTURES)
    assert "no letter was taken for another" in texts(drawn.axes[0])


def test_a_confusion_has_shares_and_a_picture_on_both_sides():
    counts = confusion()
    axes = letters.confusion(counts, LETTERS, PICTURES).axes[0]
    assert np.allclose(axes.images[0].get_array(), counts / counts.sum(axis=1, keepdims=True))
    assert len(axes.images) == 1 + 2 * len(LETTERS)
    own = letters.confusion(np.eye(2, dtype=int), ["a", "hello"], PICTURES).axes[0]
    assert len(own.images) == 1 + 2 and texts(own).count("hello") == 2


def test_a_close_up_holds_the_hand_and_little_else():
    pictures = np.full((2, 3, 40, 40), 120, np.uint8)
    pictures[0, 0, 20:30, 5:13] = 220  # red: a hand of 10 by 8 pixels
    cut = letters.close_up(pictures)
    assert cut.shape == pictures.shape and (cut[1] == pictures[1]).all()
    assert 0.7 < (cut[0, 0] == 220).mean() <= 0.8  # eight tenths of a square as high as the hand


def test_a_map_shows_each_picture_as_letter_and_as_signer():
    rng = np.random.default_rng(0)
    point, letter, signer = rng.normal(size=(30, 2)), rng.integers(0, 24, 30), rng.integers(0, 5, 30)
    left, right = letters.maps(point, letter, signer, LETTERS, SIGNERS).axes
    assert sorted(texts(left)) == sorted(LETTERS[i] for i in letter)
    assert sum(len(line.get_xdata()) for line in right.lines) == 30
    assert len({line.get_marker() for line in right.lines}) == 5


def test_gradient_cells_are_scaled_by_their_own_largest():
    image = np.random.default_rng(0).integers(0, 256, (2, 3, 6, 6), dtype=np.uint8)
    gradient = np.random.default_rng(1).normal(size=(2, 2, 6, 6)) * np.array([1, 1000])[:, None, None]
    axes = letters.gradients(image, gradient).axes
    cells = [axis.images[1].get_array() for axis in axes if len(axis.images) == 2]
    assert len(cells) == 4 and all(np.abs(cell).max() == pytest.approx(1) for cell in cells)


# Tables and numbers -----------------------------------------------------------------------------------


def test_the_table_has_every_system_under_every_protocol():
    table = signer_tables.systems(RECORDS)
    assert len(table) == len(ZERO_SHOT) + 2 and table.loc["guessing", "1 shot"] == "4.2"
    asked = RECORDS[0]["metrics"]["protocols"]["k_shot_s5"]
    assert table.loc["questions a draw", "5 shots"] == f"{asked['queries'] / asked['draws']:,.0f}"
    value = signer_scores.scores(RECORDS, "hog", "k_shot_s5")
    cell = f"{np.mean(by_hand('hog', 'k_shot_s5')):.1f} [{value.low:.1f}, {value.high:.1f}]"
    assert table.loc["edges (HOG)", "5 shots"] == cell
    assert set(table["signers"]) == {"5"} and set(table["pictures"]) == {"1,200"}
    few = signer_tables.by_signer(RECORDS, "zero_shot", ["hog"])
    expected = [f"{value:.1f}" for value in by_hand("hog", "zero_shot")]
    assert few.loc["edges (HOG)", SIGNERS].tolist() == expected


def test_shares_of_examples_are_shown_where_there_are_any():
    table = signer_tables.prototype_shares({"asl7": RECORDS})
    assert table.loc["asl7", "5 shots"] == "50.0 %" and "zero-shot" not in table.columns


def test_a_set_too_small_for_a_protocol_has_a_dash_in_its_place():
    small = copy.deepcopy(RECORDS[0])
    for by_protocol in small["metrics"]["systems"].values():
        del by_protocol["k_shot_s10"]
    del small["metrics"]["protocols"]["k_shot_s10"]
    table = signer_tables.prototype_shares({"lsa16": [small], "asl7": RECORDS})
    assert table.loc["lsa16", "10 shots"] == "–" and table.loc["asl7", "10 shots"] != "–"
    assert list(table.columns)[-3:] == ["10 shots", "contiguous halves", "random halves"]


def test_print_and_ours_stand_side_by_side():
    html = signer_tables.compared(RECORDS, protocol="zero-shot").to_html()
    assert "46.6" in html and "41.0 ± 1.0 % (n = 3)" in html and "asl7, zero-shot" in html


def test_the_numbers_are_those_of_the_records():
    numbers = chapter4_numbers.numbers(RECORDS, "spatial_lda")
    assert all(isinstance(value, str) or np.isfinite(value) for value in numbers.values())
    assert numbers["thesis_zero_shot"] == pytest.approx(np.mean(by_hand("thesis", "zero_shot")))
    assert numbers["best_k_shot_s10"] == pytest.approx(np.mean(by_hand("spatial_lda", "k_shot_s10")))
    pairs = np.subtract(by_hand("spatial_lda", "zero_shot"), by_hand("hog", "zero_shot"))
    assert numbers["gain_over_hog_zero_shot"] == pytest.approx(pairs.mean())
    half = 2.7764 * pairs.std(ddof=1) / np.sqrt(5)  # Student's t, four degrees of freedom
    assert numbers["gain_over_hog_zero_shot_low"] == pytest.approx(pairs.mean() - half, abs=1e-3)
    added = np.mean(by_hand("thesis", "k_shot_s5")) - np.mean(by_hand("thesis", "zero_shot"))
    left = np.mean(by_hand("thesis", "same_signer")) - np.mean(by_hand("thesis", "k_shot_s5"))
    assert numbers["added_thesis_k_shot_s5"] == pytest.approx(added)
    assert numbers["left_thesis_k_shot_s5"] == pytest.approx(left)
    assert numbers["missed_zero_shot"] == pytest.approx(90 - numbers["best_zero_shot"])
    worst = int(np.argmin(by_hand("thesis", "zero_shot")))
    assert numbers["thesis_hardest_signer"] == SIGNERS[worst]
    assert numbers["share_k_shot_s5"] == pytest.approx(50)


def test_numbers_need_neither_every_protocol_nor_every_baseline():
    small = record(0)
    systems = small["metrics"]["systems"]
    small["metrics"]["systems"] = {
        name: {"zero_shot": systems[name]["zero_shot"]} for name in ("hog", "thesis")
    }
    numbers = chapter4_numbers.numbers([small], "hog")
    assert "gain_over_thesis_zero_shot" in numbers and "gain_over_mediapipe_zero_shot" not in numbers
    assert not any("k_shot" in name or "flattery" in name for name in numbers)


def test_a_met_goal_is_said_to_be_met():
    good = record(0)
    for protocol in ("zero_shot", "k_shot_s5"):
        good["metrics"]["systems"]["hog"][protocol]["top1_macro"] = {
            "by_signer": [0.98] * 5,
            **dict.fromkeys(("mean", "low", "high"), 0.98),
        }
    goals = chapter4_numbers.of_goals([good], "hog")
    assert goals["verdict_zero_shot"] == goals["verdict_k_shot_s5"] == "met"


def test_every_figure_says_in_words_what_it_shows_and_is_as_wide_as_the_text():
    steps = signer_scores.rungs(RECORDS, {"hog": "no network"}, "zero_shot")
    made = [
        signers.systems(RECORDS, "zero_shot"),
        signers.ladder(steps),
        signers.shots(RECORDS, ["hog"]),
        signers.flattery(RECORDS, ["hog"]),
        signers.features(RECORDS, here="ours", there="theirs"),
        signer_protocols.protocols(),
        letters.confused_pairs(confusion(), LETTERS, PICTURES),
    ]
    for figure in made:
        assert len(figure.get_label()) > 20 and figure.get_figwidth() == style.WIDTH
