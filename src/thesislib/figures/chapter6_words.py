"""The paragraphs of chapter 6 that numbers decide, as Markdown: a network for video, and what its mechanisms add.

Each function takes what is stored, which may be nothing; then it says which command makes it. What is said of
frames and LSTMs is in `transfer_words`, of streams, masks and speed in `stream_words`.
"""

from collections.abc import Mapping
from typing import Any

from thesislib.evaluation.intervals import of_the_mean
from thesislib.figures.chapter4_words import gains
from thesislib.figures.chapter6_numbers import (
    Interval,
    Ladder,
    Record,
    Records,
    above_chance,
    by_authors_code,
    by_person,
    by_start,
    chance,
    over_people,
    shown_as,
    spread,
    steps,
    subsets,
    taught_above_chance,
    within_one,
)
from thesislib.figures.signs import RUNGS, printed_rung
from thesislib.figures.tables import listed, missing
from thesislib.published import by_key

BEGUN = {  # start of a run -> what it had learned before
    "scratch": "from nothing",
    "imagenet": "from ImageNet's pictures",
    "signs": "from a network that has learned other words",
}


ORDERLESS = (
    0.25  # of all clips: two words of a family share their pictures, and one of the two is always wrong
)


def percent(value: float | Interval) -> str:
    """Return a share, or the mean of several with its interval, as a sentence says it."""
    if not isinstance(value, Mapping):
        return f"{100 * value:.1f} %"
    low, high = (100 * within_one(value)[end] for end in ("low", "high"))
    return f"{100 * value['mean']:.1f} %" + (f" [{low:.1f}, {high:.1f}]" if low < high else "")


def gain(difference: Interval) -> str:
    """Return a difference of shares as a verb, in points; see `chapter4_words.gains`."""
    if difference["low"] == difference["high"] == 0:
        return "changes nothing"
    return gains({key: 100 * difference[key] for key in ("mean", "low", "high")} | {"n": difference["n"]})


def count(number: int, one: str, more: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {one if number == 1 else more}"


def clips_each(number: int) -> str:
    """Return from how many clips of each word something was learned."""
    return count(number, "clip a word", "clips a word")


# The network --------------------------------------------------------------------------------------------


def of_size(table_i: Mapping[str, int], table_iv: Mapping[str, int]) -> str:
    """Return what the printed tables are worth, from `sign_speed.size_of` of the two networks."""
    size, work = by_key("izutov2020_parameters"), by_key("izutov2020_gflops")
    mine, other = ({k: of[k] / 1e6 for k in ("parameters", "multiply_adds")} for of in (table_i, table_iv))
    twice = 2 * other["multiply_adds"] / 1e3
    apart = f"{100 * abs(work.value - twice) / work.value:.0f} % {'more' if work.value > twice else 'fewer'}"
    return (
        f"Built line by line, table I has {mine['parameters']:.2f} million parameters; table IV prints "
        f"{size.printed.removesuffix(' million')}. They seem to be two networks: with pictures halved one "
        "bottleneck later, and that one narrower, as in the author's published code, there are "
        f"{other['parameters']:.2f} million. That one takes {other['multiply_adds'] / 1e3:.2f} billion "
        f"multiply-adds for a clip, so {twice:.2f} billion single operations. The printed {work.value:g} most "
        f"likely count single operations, {apart} than are counted here, where convolutions and matrix "
        "products count and nothing else does."
    )


# Clips --------------------------------------------------------------------------------------------------


def of_clips(record: Record | None) -> str:
    """Return what one run of `signs_in_video` learned: strangers, guessing, and clips robbed of their motion."""
    if record is None:
        return missing("signs in video", "thesis run signs_in_video --profile full")
    m, config, train = record["metrics"], record["config"], record["split"]["train"]
    asked = m["strangers"]
    return (
        f"The network has learned from {train['clips']:,} clips of {config['words']} words by "
        f"{config['signers']} people, {m['clips_seen']:,} clips shown in all, starting {BEGUN[config['start']]}, "
        f"and is asked about {asked['n_clips']:,} clips of "
        f"{count(config['test_signers'], 'other', 'others')}. It names {percent(over_people([record]))} of them, "
        f"with a mean average precision of {percent(asked['map'])}; guessing gets {percent(chance(record))}. "
        f"{_verdict([record])} Of the clips it learned from it names "
        f"{percent(m['signers_of_training']['top1'])}. Asked about strangers' clips with their frames out of order "
        f"it names {percent(m['strangers_frames_shuffled']['top1'])}, and with one frame in the place of all "
        f"{percent(m['strangers_one_frame']['top1'])}, but it has learned from none such. The nearest mean of the "
        f"training clips' embeddings, in place of the centres, names "
        f"{percent(m['strangers_by_class_means']['top1'])}. Of all answers "
        f"{percent(asked['taken_backwards'])} mistake a word for itself backwards (who reads pictures perfectly "
        f"and their order not at all would be at {percent(ORDERLESS)}), "
        f"{percent(asked['taken_for_other_path'])} for the same hand on another path, and "
        f"{percent(asked['taken_for_other_hand'])} for another hand on the same path. (Brackets: 95 % over the "
        "people asked.)"
    )


def _verdict(runs: Records) -> str:
    """Return whether strangers, or at least the clips learned from, are named better than by guessing."""
    if above_chance(runs):
        return "That is more than guessing."
    if taught_above_chance(runs):
        return "That cannot be told from guessing: it knows the clips it learned from, and nothing of strangers'."
    return "That cannot be told from guessing, and neither can what it says of clips it learned from."


def of_speaker(record: Record, page: Record) -> str:
    """Return which network the rest of the page is about: the last stored rung, or the page's own run."""
    config = record["config"]
    learned = f"{config['words']} {config['vocabulary']}"
    if record["config_digest"] == page["config_digest"]:
        return f"The network is the one of this page's run, which has learned {learned}."
    rung = RUNGS[config["rung"]]
    return f"From here on the network is that of the last stored rung, *{rung}*: it has learned {learned}."


def of_ladder(rungs: Ladder) -> str:
    """Return what the stored rungs of table II reach, and which steps can be told from luck."""
    if not rungs:
        return missing("the ladder", "make records")
    first = next(iter(rungs.values()))[0]
    config, lacking = first["config"], len(RUNGS) - len(rungs)
    seeds = sorted({len(runs) for runs in rungs.values()})
    each = (
        "one seed"
        if seeds == [1]
        else f"{listed(seeds)} seeds"
        if len(seeds) == 1
        else f"{seeds[0]} to {seeds[-1]} seeds"
    )
    said = [
        f"{'All' if not lacking else f'{len(rungs)} of'} {len(RUNGS)} rungs are stored, with {each} each: "
        f"{config['words']} {config['vocabulary']}, {first['split']['train']['clips']:,} clips to learn from, "
        f"frames of {config['size']} pixels, {first['metrics']['strangers']['n_clips']:,} clips by "
        f"{count(config['test_signers'], 'stranger', 'strangers')}. All start {BEGUN[config['start']]}."
    ]
    learned = [rung for rung, runs in rungs.items() if above_chance(runs)]
    if not learned:
        said.append(
            f"No rung can be told from guessing, which gets {percent(chance(first))}. So this is a ladder of runs "
            "at chance: its order means nothing, and it says nothing about table II."
        )
        return " ".join(said)
    if len(learned) < len(rungs):
        at_chance = listed([f"*{RUNGS[rung]}*" for rung in rungs if rung not in learned])
        said.append(f"Not to be told from guessing ({percent(chance(first))}): {at_chance}.")
    ends = list(rungs)
    for rung in dict.fromkeys((ends[0], ends[-1])):
        said.append(
            f"*{RUNGS[rung]}* names {percent(over_people(rungs[rung]))} of the strangers' clips "
            f"(printed, on MS-ASL: {printed_rung(rung)['top1']:.2f} %)."
        )
    said += [_steps(steps(rungs)), _why_lower(rungs[ends[0]], rungs[ends[-1]])]
    return " ".join(filter(None, said))


def _why_lower(first: Records, last: Records) -> str:
    """Return what a ladder that falls with what it learned from is worth; nothing for one that does not."""
    taught = [spread(runs, "signers_of_training", "top1") for runs in (first, last)]
    if over_people(last)["mean"] >= over_people(first)["mean"] or taught[1]["mean"] >= taught[0]["mean"]:
        return ""
    epochs = count(first[0]["config"]["epochs"], "epoch", "epochs")
    return (
        f"The clips that taught are named less often, too: {percent(taught[0])} by the first rung, "
        f"{percent(taught[1])} by the last. So in {epochs} the mechanisms slow learning down, and what they work "
        "against, learning by heart, is hardly there yet; the start that all share was trained as the first rung, "
        "besides. Table II, with far more epochs and other weights to start from, is not contradicted by that."
    )


def _steps(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return which steps of a ladder gain or lose clearly: over people, and every seed on the same side."""
    if not found:
        return ""
    clear = {
        rung: step
        for rung, step in found.items()
        if step["n"] > 1
        and step["low"] * step["high"] > 0
        and all(step["mean"] * seed > 0 for seed in step["by_seed"])
    }
    said = [f"*{RUNGS[rung]}* {gain(step)} on the rung below" for rung, step in clear.items()]
    rest = len(found) - len(clear)
    seeds = min(len(step["by_seed"]) for step in found.values())
    luck = (
        f"(These brackets are over people. Luck in training is not in them: there {'is' if seeds == 1 else 'are'} "
        f"{count(seeds, 'seed', 'seeds')} a rung.)"
    )
    if not said:
        return f"Person by person, no step from one rung to the next can be told from zero. {luck}"
    others = (
        f" The other {'step' if rest == 1 else f'{rest} steps'} cannot be told from zero." if rest else ""
    )
    return f"Person by person, {'; '.join(said)}.{others} {luck}"


def of_authors_code(records: Records) -> str:
    """Return what the author's published code, which departs from the paper, makes of the last rung."""
    pairs = by_authors_code(records)
    if not pairs:
        return missing("the preset of the author's code", "make records")
    theirs, paper = ([pair[side] for pair in pairs] for side in (0, 1))
    people, before = by_person(theirs), by_person(paper)
    worst = int(before.argmin())
    taught = [spread(runs, "signers_of_training", "top1") for runs in (theirs, paper)]
    return (
        "The author's published code departs from the paper: it averages losses over the clips that still have "
        "any, lets the scale fall along a curve, and turns and mirrors clips. With all of it the last rung names "
        f"{percent(over_people(theirs))} of the strangers' clips; against the same seeds without, it "
        f"{gain(of_the_mean(people - before))}. The person whom the last rung reads worst, "
        f"{percent(float(before[worst]))}, is read at {percent(float(people[worst]))}. Of the clips that taught it "
        f"names {percent(taught[0])}, the last rung {percent(taught[1])}."
    )


def of_order(records: Records) -> str:
    """Return what is reached by runs that only ever saw frames out of order, or a single frame."""
    said = []
    for shown, words in (("shuffled", "frames out of order"), ("still", "one frame of each clip")):
        if pairs := shown_as(records, shown):
            reached = percent(over_people([robbed for robbed, _ in pairs]))
            lost = by_person([robbed for robbed, _ in pairs]) - by_person([whole for _, whole in pairs])
            said.append(
                f"Trained and asked with {words}, the same network names {reached} of the strangers' clips; "
                f"against whole clips it {gain(of_the_mean(lost))}."
            )
    if not said:
        return missing("training without order", "make records")
    return " ".join(said)


def of_start(records: Records) -> str:
    """Return what the same network reaches from different starts, which the paper says decides all."""
    starts = by_start(records)
    if len(starts) < 2:
        return missing("two starts side by side", "make records")
    rung = next(iter(starts.values()))[0]["config"]["rung"]
    reached = "; ".join(
        f"{BEGUN[start]} {percent(over_people(runs))}"
        + ("" if above_chance(runs) else ", which cannot be told from guessing")
        for start, runs in starts.items()
    )
    return (
        f"*{RUNGS[rung]}* names, of strangers' clips of the same words: {reached}. (The strangers are not the same "
        "ones: people whom a start has seen take no part.)"
    )


def of_the_start(records: Records) -> str:
    """Return what the network that others start from knows; nothing where its run is not stored."""
    known = [r for r in records if r["config"]["vocabulary"] == "signs" and r["config"]["start"] == "scratch"]
    if not known:
        return ""
    config, people = known[0]["config"], by_person(known[:1])
    return (
        f"The network that all start from learned {config['words']} signs by {config['signers']} people, from "
        f"nothing, in {count(config['epochs'], 'epoch', 'epochs')} of the first rung. It names "
        f"{percent(over_people(known[:1]))} of the clips of {count(len(people), 'stranger', 'strangers')}: of one "
        f"person {percent(float(people.min()))}, of another {percent(float(people.max()))}."
    )


def of_subset(records: Records) -> str:
    """Return whether it is better to learn from all words, or from those alone that are asked."""
    pairs = subsets(records)
    if not pairs:
        return missing("a subset of the words beside all of them", "make records")
    few, many = ([pair[side] for pair in pairs] for side in (0, 1))
    words, all_words = (runs[0]["config"]["words"] for runs in (few, many))
    among = over_people(many, "subset", "only_among_top1")
    difference = by_person(many, "subset", "only_among_top1") - by_person(few)
    return (
        f"Taught {words} words alone, the network names {percent(over_people(few))} of strangers' "
        f"clips of these; taught {all_words}, {percent(among)} where an answer must be one of the {words}, and "
        f"{percent(over_people(many, 'subset', 'among_all_top1'))} where it may be any. Guessing among {words} "
        f"gets {percent(1 / words)}. When the others are taught, too, top-1 on these "
        f"{gain(of_the_mean(difference))}. "
        f"{_worth(few, among)}"
    )


def _worth(few: Records, among: Interval) -> str:
    """Return a warning where neither way to learn a subset can be told from guessing."""
    if above_chance(few) or among["low"] > chance(few[0]):
        return ""
    return "Neither can be told from guessing, so nothing follows from their difference."
