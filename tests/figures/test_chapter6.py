"""Numbers, words and tables of chapter 6 say who gains, what cannot be told, and what nobody has run."""

from typing import Any

import numpy as np
import pytest

from thesislib.evaluation.intervals import of_the_mean
from thesislib.figures import chapter6_numbers as numbers
from thesislib.figures import chapter6_tables as tables
from thesislib.figures import chapter6_words as words
from thesislib.figures import stream_words, transfer_words
from thesislib.figures.signs import RUNGS
from thesislib.networks.frame_lstm import FrameLSTM
from thesislib.networks.sign_video import TABLE_I, TABLE_IV, S3DMobileNetV3

STARTS = ("scratch", "transfer_all", "transfer_one_frozen", "transfer_frozen")


def _spread(values: list[float]) -> dict[str, Any]:
    return of_the_mean(values) | {"by_seed": values}


def study(
    right: dict[str, dict[int, list[float]]],
    *,
    bag: list[float],
    first: list[float],
    films: bool = False,
    chance: float = 0.05,
    best_epoch: float = 0.1,
) -> dict[str, Any]:
    """A record of `frames_to_lstm`: start -> clips a word -> one share a seed."""
    main = "left_out_take" if films else "strangers"
    last = {name: {str(n): _spread(v) for n, v in row.items()} for name, row in right.items()}
    best = {
        name: {str(n): _spread([x + best_epoch for x in v]) for n, v in row.items()}
        for name, row in right.items()
    }
    scratch = right["scratch"]
    gain = {
        name: {str(n): _spread([a - b for a, b in zip(v, scratch[n], strict=True)]) for n, v in row.items()}
        for name, row in right.items()
        if name != "scratch"
    }
    counts = sorted(scratch)
    metrics = {
        "words": [f"word {n}" for n in range(round(1 / chance))],
        "chance": chance,
        "asked_clips": 400,
        "features": 512,
        "gestures": {
            "words": 100,
            "clips": 1200,
            "validation": of_the_mean([0.5, 0.6]),
            "validation_best_epoch": of_the_mean([0.6, 0.7]),
        },
        "accuracy": {main: last, "validation_best_epoch": best},
        "gain": gain,
        "helps_at": {s: [int(n) for n, v in row.items() if v["low"] > 0] for s, row in gain.items()},
        "harms_at": {s: [int(n) for n, v in row.items() if v["high"] < 0] for s, row in gain.items()},
        "without_order": {
            "bag_of_frames": {str(n): _spread(bag) for n in counts},
            "first_frame": {str(n): _spread(first) for n in counts},
        },
    }
    if not films:
        metrics["accuracy"]["validation"] = last
        metrics["gain_by_signer"] = gain
        metrics["flattered"] = {"same_people": {"scratch": {str(counts[-1]): _spread([0.04, 0.06])}}}
        metrics["variant_gain"] = {"one_lstm": {str(counts[-1]): _spread([-0.02, -0.04, -0.03])}}
    config = {
        "dataset": "croatian_signs" if films else "invented",
        "seeds": len(bag),
        "variant_clips": counts[-1],
    }
    return {"config": config, "metrics": metrics, "split": {}}


def clips_record(
    rung: str = "tv_loss",
    top1: float = 0.6,
    *,
    seed: int = 0,
    words: int = 8,
    subset: int = 4,
    shown: str = "clip",
    start: str = "scratch",
    known: float = 0.9,
    among: float = 0.7,
    undecided: float = 0.2,
    said: int = 5,
) -> dict[str, Any]:
    """A record of `signs_in_video` that names so much of strangers' clips right."""

    def named(share: float, n_words: int = words) -> dict[str, float]:
        return {"top1": share, "top1_macro": share, "map": share, "n_clips": 20 * n_words, "n_words": n_words}

    taken = {"taken_backwards": 0.1, "taken_for_other_path": 0.05, "taken_for_other_hand": 0.02}
    streams = {"threshold": 0.4, "overlap": 0.5, "precision": 0.8, "recall": 0.4, "word_error_rate": 0.7}
    streams |= {"substituted": 1, "left_out": 5, "put_in": 1, "n_said": said, "n_signed": 10, "n_streams": 2}
    streams |= {"windows_named_right": 0.65, **({"lag_frames": -1.5} if said else {})}
    masks = {f"after_bottleneck_{n}": {"undecided": undecided} for n in (9, 12)}
    people = np.array([-0.02, -0.01, 0.0, 0.01, 0.02])
    settings = {"start": start, "vocabulary": "signs"}
    settings |= {"rung": rung, "seed": seed, "words": words, "subset": subset, "shown": shown, "epochs": 30}
    return {
        "config": settings | {"profile_name": "full", "size": 64, "signers": 10, "test_signers": 5},
        "split": {"train": {"clips": 480, "signers": [0, 10]}, "test": {"clips": 160, "signers": [10, 15]}},
        "metrics": {
            "clips_seen": 14400,
            "strangers": named(top1) | taken,
            "strangers_top1": {"by_signer": (top1 + people).tolist()},
            "strangers_by_class_means": named(0.55),
            "strangers_frames_shuffled": named(0.3),
            "strangers_one_frame": named(0.25),
            "signers_of_training": named(known),
            "subset": {
                "words": subset,
                "only_among_top1": {"by_signer": (among + people).tolist()},
                "among_all_top1": {"by_signer": (0.5 + people).tolist()},
            },
            "streams": streams,
            "masks": masks if rung in ("attention", "tv_loss") else {},
        },
    }


def starts(scratch: dict, all_layers: dict, frozen: dict) -> dict:
    return {
        "scratch": scratch,
        "transfer_all": all_layers,
        "transfer_one_frozen": frozen,
        "transfer_frozen": frozen,
    }


def helps_few(**more) -> dict:
    """Transfer helps with one clip a word and not with twenty, where frozen layers harm."""
    right = starts(
        {1: [0.30, 0.32, 0.34], 20: [0.90, 0.92, 0.94]},
        {1: [0.50, 0.53, 0.53], 20: [0.91, 0.91, 0.94]},
        {1: [0.45, 0.48, 0.48], 20: [0.80, 0.83, 0.83]},
    )
    return study(right, bag=[0.5, 0.52, 0.54], first=[0.2, 0.21, 0.22], **more)


# Frames to LSTM --------------------------------------------------------------------------------------------


def test_transfer_is_told_by_clips_a_word():
    said = transfer_words.of_transfer(helps_few())
    lines = [line for line in said.splitlines() if line.startswith("- ")]
    assert len(lines) == 3
    assert "all layers trained on*: with 1 clip a word it gains 20.0 points" in lines[0]
    assert "with 20 clips a word 3 seeds cannot tell a difference" in lines[0]
    assert "with 20 clips a word it loses 10.0 points" in lines[2]
    assert "with 1 clip a word 32.0 % [27.0, 37.0]" in said  # 32 +- 4.303 * 2 / sqrt(3)
    assert "Guessing gets 5.0 %" in said
    assert "over the 3 people asked, in the place of seeds, leave out zero here: *transferred, all" in said
    assert "With 20, a network from scratch is right here for 92.0 %" in said
    assert "it stood where 1 clip a word stands here: 0.47 printed, 32.0 % measured" in said
    assert "does not explain by itself why it did not help there" in said


def test_where_the_notebooks_size_is_as_hard_as_its_words_it_stands_in_one_place():
    right = starts({20: [0.5, 0.51]}, {20: [0.5, 0.51]}, {20: [0.4, 0.41]})
    said = transfer_words.of_transfer(study(right, bag=[0.3, 0.3], first=[0.1, 0.1]))
    assert "With 20, a network from scratch is right here for 50.5 %" in said and "loses 10.0 points" in said
    assert "By how hard" not in said and "explain" not in said


def test_a_rate_is_named_for_each_start():
    one = helps_few()
    one["metrics"]["rates"] = {"scratch": {"rate": 0.003}, "transfer_all": {"rate": 0.001}}
    one["config"]["rates"] = [0.001, 0.003]
    said = transfer_words.of_rates(one)
    assert "Of the rates 0.001, 0.003" in said and "from scratch 0.003; transferred, all layers" in said
    one["config"]["rates"] = [0.003]
    assert transfer_words.of_rates(one) == "All learn at one rate, 0.003."
    assert transfer_words.of_rates(None) == transfer_words.of_rates(helps_few()) == ""


def test_another_size_than_the_notebooks_is_not_compared_with_it():
    right = starts({5: [0.5, 0.51]}, {5: [0.5, 0.51]}, {5: [0.5, 0.51]})
    said = transfer_words.of_transfer(study(right, bag=[0.3, 0.3], first=[0.1, 0.1]))
    assert "notebook" not in said and "2 seeds cannot tell a difference" in said


def test_the_printed_accuracies_have_the_intervals_of_so_few_clips():
    share, n, z = 0.47, 88, 1.959964  # Wilson, by hand; 41 of 88 clips
    share = round(share * n) / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    assert numbers.wilson(0.47, 88) == pytest.approx((middle - half, middle + half), abs=1e-6)
    assert f"0.47 [{middle - half:.2f}, {middle + half:.2f}]" in transfer_words.of_printed()


def test_what_the_best_epoch_and_known_people_add():
    said = transfer_words.of_best_epoch(helps_few())
    assert "each seed's best epoch lies 10.0 points [10.0, 10.0] above its last from scratch" in said
    assert "in place of strangers' the network from scratch changes by +5.0 points" in said
    study = helps_few()
    study["metrics"]["flattered"]["same_people"]["scratch"]["20"] = of_the_mean([-0.04, -0.06, -0.05])
    assert "from scratch loses 5.0 points" in transfer_words.of_best_epoch(helps_few(), study)
    assert "nobody else" in transfer_words.of_best_epoch(helps_few(films=True))


def test_readers_without_order_are_set_against_the_network():
    said = transfer_words.of_order(helps_few())
    assert "frames' features gets 52.0 %" in said and "first frame alone 21.0 %" in said
    assert "gains 40.0 points" in said and "reads something of the order" in said
    even = starts({2: [0.50, 0.54]}, {2: [0.5, 0.5]}, {2: [0.5, 0.5]})
    assert "nothing here shows" in transfer_words.of_order(study(even, bag=[0.51, 0.53], first=[0.1, 0.1]))
    worse = study(even, bag=[0.90, 0.94], first=[0.1, 0.1])
    assert "less than what a simpler reader" in transfer_words.of_order(worse)


def test_films_that_begin_differently_are_not_said_to_be_read():
    right = starts({3: [0.9, 0.92]}, {3: [0.9, 0.92]}, {3: [0.9, 0.92]})
    film = {"bag": [1.0, 1.0], "films": True, "chance": 1 / 9}
    assert "need not be a sign" in transfer_words.of_person(study(right, first=[1.0, 1.0], **film))
    assert "no worse, as far as can be told, than the whole film" in transfer_words.of_person(
        study(right, first=[1.0, 1.0], **film)
    )
    partly = transfer_words.of_person(study(right, first=[0.3, 0.31], **film))
    assert "how a film begins" in partly and "no worse" not in partly
    assert "nothing that can be told" in transfer_words.of_person(study(right, first=[0.0, 0.2], **film))
    assert "by no stranger" in partly and "9 words are not a language" in partly


def test_panels_are_the_histories_of_three_starts():
    keys = [f"history_{start}_5_{key}" for start in STARTS for key in numbers.PANEL]
    panels = numbers.panels({key: np.full((2, 3), n) for n, key in enumerate(keys)}, 5)
    assert list(panels) == [
        "from scratch",
        "transferred, all layers trained on",
        "transferred, all LSTM layers frozen",
    ]
    assert panels["from scratch"]["loss"][0, 0] == keys.index("history_scratch_5_loss")


def test_the_tables_of_the_study_hold_its_shares():
    record = helps_few()
    table = tables.starts(record)
    assert table.loc["from scratch", "1 clip a word"] == "32.0 [27.0, 37.0]"
    assert table.loc["guessing", "20 clips a word"] == "5.0" and "the first frame alone" in table.index
    beside = tables.notebook(record).data.set_index("what")["measured here"]
    assert list(beside) == ["1.02 ± 0.02 (n = 3)", "0.65", "1.02 ± 0.02 (n = 3)", "0.92 ± 0.02 (n = 3)"]


def test_a_share_is_never_beyond_its_ends():
    assert words.percent({"mean": 0.9, "low": 0.7, "high": 1.2, "n": 2}) == "90.0 % [70.0, 100.0]"
    assert words.percent({"mean": 0.1, "low": -0.3, "high": 0.5, "n": 2}) == "10.0 % [0.0, 50.0]"
    assert words.percent({"mean": 0.1, "low": 0.1, "high": 0.1, "n": 1}) == words.percent(0.1) == "10.0 %"


def test_a_difference_that_is_none_at_all_is_said_to_be_none():
    assert words.gain({"mean": 0.0, "low": 0.0, "high": 0.0, "n": 5}) == "changes nothing"
    assert words.gain({"mean": 0.0, "low": -0.1, "high": 0.1, "n": 5}).endswith("which may be none")
    assert words.gain({"mean": -0.1, "low": -0.2, "high": -0.05, "n": 5}) == "loses 10.0 points [5.0, 20.0]"


# Signs in video --------------------------------------------------------------------------------------------


def stored(**more) -> list[dict[str, Any]]:
    rungs = {"am_softmax": 0.4, "temporal_jitter": 0.5, "dropout": 0.5, "tv_loss": 0.7}
    return [
        clips_record(rung, top1 + wobble, seed=seed, **more)
        for rung, top1 in rungs.items()
        for seed, wobble in enumerate((0.0, 0.01, 0.02) if rung != "dropout" else (0.02, 0.0, 0.01))
    ]


def test_the_ladder_is_the_setting_with_most_rungs_in_their_order():
    others = [clips_record("tv_loss", words=40), clips_record("tv_loss", shown="shuffled")]
    others.append(clips_record("repository"))
    ladder = numbers.ladder([*others, *reversed(stored())])
    assert list(ladder) == ["am_softmax", "temporal_jitter", "dropout", "tv_loss"]
    assert [len(runs) for runs in ladder.values()] == [3, 3, 3, 3]
    assert all(run["config"]["words"] == 8 for runs in ladder.values() for run in runs)
    assert numbers.rungs(ladder)["tv_loss"]["top1"]["mean"] == pytest.approx(0.71)
    assert numbers.ladder([]) == {} and numbers.last_of({}) is None
    assert numbers.last_of(ladder)["config"]["rung"] == "tv_loss"


def test_steps_are_paired_by_person_and_only_with_the_rung_below():
    steps = numbers.steps(numbers.ladder(stored()))
    assert list(steps) == ["temporal_jitter", "dropout"]  # below tv_loss stands attention, which is not there
    assert steps["temporal_jitter"]["mean"] == pytest.approx(0.1) and steps["temporal_jitter"]["n"] == 5
    alone = [
        run for run in stored() if run["config"]["rung"] != "temporal_jitter" or run["config"]["seed"] == 1
    ]
    jitter = numbers.steps(numbers.ladder(alone))["temporal_jitter"]  # one seed of each
    assert jitter["mean"] == pytest.approx(0.1)
    said = words.of_ladder(numbers.ladder(stored()))
    assert f"4 of {len(RUNGS)} rungs are stored, with 3 seeds each" in said
    assert (
        "*+ temporal jitter* gains 10.0 points" in said and "The other step cannot be told from zero." in said
    )
    assert "*+ hard TV loss* names 71.0 %" in said and "85.00 %" in said


def test_a_ladder_at_chance_is_said_to_be_one():
    rungs = ("am_softmax", "temporal_jitter", "tv_loss")
    at_chance = [clips_record(rung, 0.12, seed=seed) for rung in rungs for seed in (0, 1)]
    said = words.of_ladder(numbers.ladder(at_chance))
    assert "ladder of runs at chance" in said and "12.5 %" in said and "gains" not in said
    mixed = [clips_record("am_softmax", 0.12), clips_record("tv_loss", 0.7)]
    said = words.of_ladder(numbers.ladder(mixed))
    assert "Not to be told from guessing (12.5 %): *AM-softmax*." in said and "at chance" not in said


@pytest.mark.parametrize(
    ("top1", "known", "expected"),
    [
        (0.6, 0.9, "That is more than guessing."),
        (0.13, 0.9, "it knows the clips it learned from, and nothing of strangers'"),
        (0.13, 0.14, "and neither can what it says of clips it learned from"),
    ],
)
def test_one_run_is_set_against_guessing(top1, known, expected):
    said = words.of_clips(clips_record(top1=top1, known=known))
    assert expected in said and "guessing gets 12.5 %" in said
    assert "160 clips of 5 others" in said and f"names {100 * top1:.1f} %" in said
    assert "10.0 % mistake a word for itself backwards" in said


def test_it_is_said_which_network_speaks():
    page = clips_record() | {"config_digest": "a"}
    assert (
        words.of_speaker(page, page)
        == "The network is the one of this page's run, which has learned 8 signs."
    )
    rung = clips_record("attention", words=40) | {"config_digest": "b"}
    assert "last stored rung, *+ attention*: it has learned 40 signs" in words.of_speaker(rung, page)


def test_a_step_that_seeds_disagree_about_is_not_clear():
    low, high = ([clips_record(rung, top1, seed=s) for s, top1 in enumerate(values)]
                 for rung, values in (("am_softmax", (0.5, 0.5)), ("temporal_jitter", (0.8, 0.49))))  # fmt: skip
    step = numbers.steps(numbers.ladder([*low, *high]))["temporal_jitter"]
    assert step["by_seed"] == pytest.approx([0.3, -0.01]) and step["low"] > 0
    assert "no step from one rung to the next" in words.of_ladder(numbers.ladder([*low, *high]))
    both = [run for run in (*low, *high) if run["config"]["seed"] == 0]
    said = words.of_ladder(numbers.ladder(both))
    assert "gains 30.0 points" in said and "there is 1 seed a rung" in said


def test_a_ladder_that_falls_with_what_it_learned_from_is_explained():
    falls = [clips_record("am_softmax", 0.8, known=0.95), clips_record("tv_loss", 0.7, known=0.85)]
    said = words.of_ladder(numbers.ladder(falls))
    assert "95.0 % by the first rung, 85.0 % by the last. So in 30 epochs" in said
    learned = [clips_record("am_softmax", 0.8, known=0.95), clips_record("tv_loss", 0.7, known=0.99)]
    assert "by the last" not in words.of_ladder(numbers.ladder(learned))


def test_the_start_is_told_with_its_worst_and_best_person():
    start = clips_record("am_softmax", 0.8)
    others = [clips_record(start="signs"), start]
    said = words.of_the_start(others)
    assert (
        "names 80.0 % [78.0, 82.0] of the clips of 5 strangers: of one person 78.0 %, of another 82.0 %."
        in said
    )
    assert words.of_the_start(others[:1]) == ""


def test_a_subset_alone_is_set_against_all_words():
    few, many = clips_record(words=4, subset=2, top1=0.8), clips_record(words=8, subset=4, among=0.7)
    assert numbers.subsets([few, many]) == [(few, many)]
    assert not numbers.subsets([few, clips_record(words=8, subset=2)])
    assert not numbers.subsets([few, clips_record(words=8, subset=4, seed=1)])
    said = words.of_subset([few, many])
    assert "Taught 4 words alone, the network names 80.0 %" in said and "loses 10.0 points" in said
    none = words.of_subset(
        [clips_record(words=4, subset=2, top1=0.25), clips_record(words=8, subset=4, among=0.2)]
    )
    assert "Neither can be told from guessing" in none


def test_starts_are_set_side_by_side():
    one, other = clips_record(top1=0.13), clips_record(top1=0.7, start="signs")
    lower = [clips_record("dropout", start=start) for start in ("scratch", "signs")]
    assert numbers.by_start([*lower, one, other, clips_record(words=40)]) == {
        "scratch": [one],
        "signs": [other],
    }
    said = words.of_start([*lower, one, other])
    assert "from nothing 13.0 % [11.0, 15.0], which cannot be told from guessing" in said
    assert "from a network that has learned other words 70.0 % [68.0, 72.0]." in said
    assert "stored yet" in words.of_start([one]) and "stored yet" in words.of_start([])
    assert list(numbers.ladder([one, *lower])) == ["dropout", "tv_loss"]  # of one start


def test_the_authors_code_is_set_against_the_last_rung_of_its_seed():
    ours = clips_record(top1=0.6), clips_record(top1=0.5, seed=1), clips_record("attention", top1=0.9)
    theirs = clips_record("repository", top1=0.7), clips_record("repository", top1=0.1, start="signs")
    assert numbers.by_authors_code([*ours, *theirs]) == [(theirs[0], ours[0])]
    said = words.of_authors_code([*ours, *theirs])
    assert (
        "names 70.0 %" in said
        and "it gains 10.0 points" in said
        and "reads worst, 58.0 %, is read at 68.0 %" in said
    )
    assert "stored yet" in words.of_authors_code([*ours])


def test_runs_without_order_are_set_against_the_same_run_on_clips():
    shuffled = clips_record(top1=0.2, shown="shuffled")
    said = words.of_order([shuffled, clips_record(top1=0.6), clips_record("dropout", top1=0.9)])
    assert "frames out of order" in said and "names 20.0 %" in said and "loses 40.0 points" in said
    assert "stored yet" in words.of_order([shuffled])


def test_a_stream_is_told_with_its_errors_and_its_silence():
    said = stream_words.of_stream(clips_record())
    assert "10 words are signed" in said and "in 2 streams" in said and "5 words are said" in said
    assert (
        "4 of them, 80.0 %, are right" in said
        and "Of the 10 signs 40.0 % are found" in said
        and "50.0 % or more" in said
    )
    assert "The surest window of a right answer ends 1.5 frames before its sign does" in said
    assert "nothing is said at all" in stream_words.of_stream(clips_record(said=0))


def spelling_record(unknown=(0.4, 0.5), examples=(0.7, 0.7), left=(False, False)) -> dict:
    """A record of `signs_and_spelling` of two strangers: F1 by person of the rows that are compared."""

    def row(f1, wrong, texts=4, **more):
        told = {"f1_by_signer": {"by_signer": list(f1)} | of_the_mean(f1), "threshold": 0.8, "n_streams": 2}
        told |= {"recall": 0.5, "precision": 0.25, "n_texts": texts, "n_frames": 900 if texts else 600}
        told |= {"wrong_while_spelling": wrong, "wrong_otherwise": 3}
        return told | {"passed_over_in_texts": 0.9, "passed_over_in_signs": 0.2} | more

    rows = {
        "signs_alone": row((0.6, 0.7), 0, texts=0),
        "spelling_unknown": row(unknown, 5),
        "spelling_in_threshold": row((0.5, 0.6), 2),
        "examples_same_threshold": row((0.5, 0.5), 1),
        "examples": row(examples, 1, threshold=0.75),
    }
    taken = {"kind": "windows", "count": 90, "validation_f1_windows": 0.8, "validation_f1_text_means": 0.7}
    hands = {"teachers": [False] * 3, "validation": [False], "test": list(left)}
    config = {"signs": 12, "words": 40, "texts": 2}
    return {"config": config, "metrics": rows | {"examples_from": taken, "left_handed": hands}}


def test_spelling_is_told_by_what_it_costs_and_what_telling_of_it_brings():
    said = stream_words.of_spelling(spelling_record())
    assert "2 strangers sign 12 of 40 words" in said and "in 20 seconds" in said and "in 30." in said
    assert (
        "F1 loses 20.0 points [20.0, 20.0], with 5 wrong answers while somebody spells and 3 otherwise"
        in said
    )
    assert (
        "leaves 2 wrong answers while somebody spells" in said
        and "The 90 examples are single windows" in said
    )
    assert "leave 1 wrong answer while somebody spells" in said
    assert "pass over 90.0 % of the windows in texts, and 20.0 % of those in signs" in said
    assert (
        "nothing is known of spelling: the F1 changes by +25.0 points" in said
    )  # 30 and 20: wide for two people
    assert "left hand" not in said and "stored yet" in stream_words.of_spelling(None)
    gaining = stream_words.of_spelling(spelling_record(unknown=(0.7, 0.8), examples=(0.6, 0.7)))
    assert (
        "is known, the F1 gains 10.0 points" in gaining and "of spelling: the F1 loses 10.0 points" in gaining
    )


def test_who_signs_with_the_other_hand_is_told_apart():
    said = stream_words.of_spelling(spelling_record(left=(True, False)))
    assert (
        "1 stranger signs with the left hand, as no teacher does: 60.0 %; the others' mean is 70.0 %." in said
    )
    assert "left hand" not in stream_words.of_spelling(
        spelling_record(left=(True, True))
    )  # nobody to hold against


def test_the_table_of_spelling_has_a_row_a_condition():
    table = tables.spelling(spelling_record())
    assert list(table.index) == list(stream_words.SPELLING.values())
    assert table["wrong in texts"].tolist() == ["–", "5", "2", "1", "1"]
    assert table["wrong a minute"].tolist() == ["4.5", "8.0", "5.0", "4.0", "4.0"]
    assert table["F1 %, mean over people"].iloc[3] == "50.0" and table["threshold"].iloc[-1] == "0.75"


def test_masks_are_compared_between_two_runs_that_differ_in_the_loss_alone():
    with_, without = clips_record(undecided=0.1), clips_record("attention", undecided=0.3)
    others = [clips_record("attention", seed=1), clips_record("attention", words=40), clips_record("mixup")]
    assert numbers.without_tv_loss([*others, without], with_) is without
    assert (
        numbers.without_tv_loss(others, with_) is None and numbers.without_tv_loss([without], without) is None
    )
    assert "the loss makes them sharper" in stream_words.of_masks(with_, without)
    assert "the loss does not make them sharper" in stream_words.of_masks(
        clips_record(undecided=0.4), without
    )
    assert "stored yet" in stream_words.of_masks(with_) and "stored yet" in stream_words.of_masks(
        clips_record("mixup")
    )


def speed_record() -> dict[str, Any]:
    row = {
        "input_px": 224,
        "parameters": 4_121_232,
        "multiply_adds": 3_228_761_728,
        "latency_ms_pytorch": 200.0,
    }
    row |= {
        "latency_ms_onnx": 100.0,
        "latency_ratio_to_r3d_18_pytorch": 0.25,
        "latency_ratio_to_r3d_18_onnx": 0.1,
    }
    peer = row | {"latency_ratio_to_r3d_18_pytorch": 1.0, "latency_ratio_to_r3d_18_onnx": 1.0}
    systems = {"s3d_mobilenet_v3_table_iv_224": row, "r3d_18_224": peer}
    return {"metrics": {"peer": "r3d_18", "systems": systems}}


def test_speed_is_told_as_ratios():
    said = stream_words.of_speed(speed_record())
    assert "at 224 pixels 4.0 times as fast with PyTorch and 10.0 times with ONNX Runtime" in said
    table = tables.speeds(speed_record())
    assert table.loc["S3D MobileNet-V3, table IV, 224 px", "multiply-adds, billion"] == "3.23"
    assert table.loc["R3D-18, 224 px", "ONNX Runtime, to R3D-18"] == "1.00"


def test_what_is_not_stored_names_the_command_that_makes_it():
    of_study = (transfer_words.of_transfer, transfer_words.of_best_epoch, transfer_words.of_order)
    for told in (
        *of_study,
        transfer_words.of_person,
        words.of_clips,
        stream_words.of_stream,
        stream_words.of_masks,
        stream_words.of_speed,
    ):
        assert "stored yet; `" in told(None)
    for told in (words.of_ladder, words.of_subset, words.of_order):
        assert "stored yet; `" in told([] if told is not words.of_ladder else {})
    assert transfer_words.of_variants(None) == transfer_words.of_variants(helps_few(films=True)) == ""
    assert "with one LSTM layer it loses 3.0 points" in transfer_words.of_variants(helps_few())


# Layers ----------------------------------------------------------------------------------------------------


def test_the_lines_of_table_i_add_up_to_the_network():
    table = tables.video_layers(16, 32).data
    network = S3DMobileNetV3()
    *lines, total = table.to_dict("records")
    assert sum(line["parameters"] for line in lines) == sum(p.numel() for p in network.parameters())
    assert total["parameters"] == sum(line["parameters"] for line in lines)
    assert [line["layer"] for line in lines].count("attention") == 2 and len(lines) == len(TABLE_I) + 5
    fourth = next(line for line in lines if line["layer"] == "bottleneck 3")
    assert fourth["kernel"] == "5 x 3" and fourth["SE"] == "yes" and fourth["output"] == "40 x 8 x 4 x 4"
    # inside 72 channels: 1 x 1, depthwise 5 x 5, squeeze and excitation of every frame, then 3 in time to 40
    places, halved = 8 * 8 * 8, 8 * 4 * 4
    expected = 24 * 72 * places + 25 * 72 * halved + 2 * 72 * 24 * 8 + 3 * 72 * 40 * halved
    assert fourth["multiply-adds"] == expected


def test_the_layers_of_an_lstm_by_hand():
    table = tables.recurrent(FrameLSTM(12, 3, hidden=5, layers=1, dense=2), frames=7).data.set_index("layer")
    assert table.loc["LSTM 1", "parameters"] == 4 * 5 * (12 + 5 + 2)  # four gates, two biases
    assert (
        table.loc["LSTM 1", "multiply-adds"] == 7 * 4 * 5 * (12 + 5)
        and table.loc["LSTM 1", "output"] == "7 x 5"
    )
    assert table.loc["dense", "multiply-adds"] == 25 and table.loc["dense, classifies", "parameters"] == 18
    assert table.loc["total", "multiply-adds"] == 7 * 340 + 25 + 15


def test_the_printed_size_is_that_of_the_second_network():
    def size(rows):
        return sum(p.numel() for p in S3DMobileNetV3(rows=rows).parameters())

    table_iv = {"parameters": size(TABLE_IV), "multiply_adds": 3_228_761_728, "output_features": 256}
    table = tables.size(table_iv).data.set_index("what")
    assert list(table["reading"]) == ["matches", "below", "matches"]
    table_i = table_iv | {"parameters": size(TABLE_I)}
    assert list(tables.size(table_i).data["reading"])[0] == "above"
    said = words.of_size(table_i, table_iv)
    assert "4.55 million" in said and "4.12 million" in said and "single operations, 3 % more" in said
