"""The paragraphs on frames and LSTMs that numbers decide, as Markdown: does transfer help, and is it motion at all?

Each function takes a record of `frames_to_lstm`, which may be None; then it says which command makes one.
"""

from thesislib.figures.chapter6_numbers import (
    Interval,
    Record,
    accuracy,
    against_order,
    clips_a_word,
    flattery_of_the_best_epoch,
    of_films,
    wilson,
)
from thesislib.figures.chapter6_words import clips_each, gain, percent
from thesislib.figures.signs import STARTS
from thesislib.figures.tables import listed, missing
from thesislib.published import by_key

TRANSFERS = tuple(start for start in STARTS if start != "scratch")
VARIANTS = {
    "one_lstm_two_dense": "one LSTM layer and two dense ones, as the notebook trained from scratch",
    "one_lstm": "one LSTM layer",
    "no_dropout": "two LSTM layers without dropout",
}
NOTEBOOK_CLIPS, NOTEBOOK_WORDS = 440, 21  # Schorr 2018, page 2
VALIDATED = 0.2  # a usual share; the notebook does not give its own
STUDY = "thesis run frames_to_lstm --profile full"


def of_printed() -> str:
    """Return how far a single validation of the notebook's size can be off, and so what its puzzle rests on."""
    count = round(VALIDATED * NOTEBOOK_CLIPS)
    said = []
    for key in ("ledasila", "transfer_finetuned", "transfer_frozen"):
        share = by_key(f"schorr2018_{key}_accuracy").value
        low, high = wilson(share, count)
        said.append(f"{share:.2f} [{low:.2f}, {high:.2f}]")
    return (
        f"How sure is that? The notebook does not say how many clips validated. Were it a fifth, {count} of "
        f"{NOTEBOOK_CLIPS}, then its three accuracies would have these 95 % intervals: from scratch {said[0]}, "
        f"transferred with all layers trained on {said[1]}, and frozen {said[2]}. The first two overlap widely. "
        "Each is one run, at its best epoch by the very clips that it is judged by, and the network from scratch "
        "had other layers than the transferred ones."
    )


def of_transfer(record: Record | None) -> str:
    """Return what networks from scratch reach, what each transfer changes, and whether it helps."""
    if record is None:
        return missing("the study of transfer", STUDY)
    m, counts = record["metrics"], clips_a_word(record)
    scratch = accuracy(record)["scratch"]
    reached = "; ".join(f"with {clips_each(n)} {percent(scratch[str(n)])}" for n in counts)
    return "\n".join(
        [
            f"{_asked(record)} Guessing gets {percent(m['chance'])}. The network that is transferred knows "
            f"{m['gestures']['words']} gestures, of which it names {percent(m['gestures']['validation'])} when "
            f"strangers show them. From scratch, a network reaches: {reached}.",
            "",
            "Does transfer help? Against a network from scratch that learned from the same clips,",
            "",
            *(f"- *{STARTS[start][0]}*: {_answer(record, start)}." for start in TRANSFERS),
            "",
            _over_people(record),
        ]
    ).strip()


def _asked(record: Record) -> str:
    """Return who is asked what, and what brackets hold."""
    m, seeds = record["metrics"], record["config"]["seeds"]
    brackets = f"(Brackets: 95 % over {seeds} seeds, which draw weights and the clips that teach.)"
    if of_films(record):
        return (
            f"{m['asked_clips']} films of {len(m['words'])} words are asked, each left out once together with one "
            "of every other word; they are by whoever taught, and by no stranger. (Brackets: 95 % over "
            f"{seeds} seeds of the weights.)"
        )
    asked = f"{m['asked_clips']} clips of {len(m['words'])} words"
    return f"{asked} are asked, all by people in no other part. {brackets}"


def _answer(record: Record, start: str) -> str:
    """Return at which numbers of clips one start gains or loses clearly, and at which nothing can be told."""
    m, counts = record["metrics"], clips_a_word(record)
    clear = {*m["helps_at"][start], *m["harms_at"][start]}
    said = [f"with {clips_each(n)} it {gain(m['gain'][start][str(n)])}" for n in counts if n in clear]
    if rest := [n for n in counts if n not in clear]:
        said.append(f"with {_numbers(rest)} {record['config']['seeds']} seeds cannot tell a difference")
    return "; ".join(said)


def _over_people(record: Record) -> str:
    """Return what each transfer gains over the people asked in the place of seeds, and the notebook's place."""
    counts, people = clips_a_word(record), record["metrics"].get("gain_by_signer")
    if not people:
        return ""
    said = []
    for start, of in people.items():
        clear = [n for n in counts if of[str(n)]["n"] > 1 and of[str(n)]["low"] * of[str(n)]["high"] > 0]
        if clear:
            changes = ", ".join(f"with {clips_each(n)} it {gain(of[str(n)])}" for n in clear)
            said.append(f"*{STARTS[start][0]}*, {changes}")
    if said:
        asked = people["transfer_all"][str(counts[0])]["n"]
        said = [
            f"Brackets over the {asked} people asked, in the place of seeds, leave out zero here: "
            f"{'; '.join(said)}."
        ]
    return " ".join([*said, *_notebook_place(record)])


def _notebook_place(record: Record) -> list[str]:
    """Return what transfer does here where the notebook stood: by its clips, and by how hard its words were."""
    counts, m = clips_a_word(record), record["metrics"]
    scratch = {n: accuracy(record)["scratch"][str(n)]["mean"] for n in counts}
    had, printed = NOTEBOOK_CLIPS / NOTEBOOK_WORDS, by_key("schorr2018_ledasila_accuracy").value
    near = min(counts, key=lambda n: abs(n - had))
    if abs(near - had) > 0.25 * had:
        return []
    hard = min(counts, key=lambda n: abs(scratch[n] - printed))
    said = [
        f"And the notebook? By its clips it stood at some {had:.0f} a word. With {near}, a network from scratch is "
        f"right here for {percent(scratch[near])} of the clips; *{STARTS['transfer_all'][0]}* "
        f"{gain(m['gain']['transfer_all'][str(near)])}, *{STARTS['transfer_frozen'][0]}* "
        f"{gain(m['gain']['transfer_frozen'][str(near)])}."
    ]
    if hard != near:
        said.append(
            f"By how hard its words were it stood where {clips_each(hard)} {'stands' if hard == 1 else 'stand'} "
            f"here: {printed:.2f} printed, {percent(scratch[hard])} measured. There *{STARTS['transfer_all'][0]}* "
            f"{gain(m['gain']['transfer_all'][str(hard)])}."
        )
    if m["helps_at"]["transfer_all"] == counts[: len(m["helps_at"]["transfer_all"])] != []:
        said.append(
            "So transfer helps here where clips are fewest. That films were too few, as the notebook suspects, "
            "does not explain by itself why it did not help there."
        )
    return said


def of_rates(record: Record | None) -> str:
    """Return at which learning rate each start learns, and what chose it."""
    if record is None or not record["metrics"].get("rates"):
        return ""
    rates, config = record["metrics"]["rates"], record["config"]
    tried = ", ".join(f"{rate:g}" for rate in config["rates"])
    if len(config["rates"]) < 2:
        return f"All learn at one rate, {tried}."
    said = "; ".join(f"{STARTS[start][0]} {rates[start]['rate']:g}" for start in STARTS if start in rates)
    return (
        f"Of the rates {tried} the validation signers choose one for each start, once, with "
        f"{clips_each(config['variant_clips'])} to learn from: {said}."
    )


def of_best_epoch(record: Record | None, study: Record | None = None) -> str:
    """Return what it adds to judge by the best epoch, and in the larger study by clips of people who taught."""
    if record is None:
        return missing("the study of transfer", STUDY)
    most = clips_a_word(record)[-1]
    flattered = {
        start: flattery_of_the_best_epoch(record, start, most) for start in ("scratch", "transfer_all")
    }
    text = (
        f"The notebook prints the best epoch, chosen by the clips that judge it. With {clips_each(most)} each "
        f"seed's best epoch lies {_points(flattered['scratch'])} above its last from scratch, and "
        f"{_points(flattered['transfer_all'])} after transfer, on the same clips."
    )
    study = study or record
    same = study["metrics"].get("flattered", {}).get("same_people")
    if not same:
        return f"{text} Films of one person have nobody else to validate with."
    most = clips_a_word(study)[-1]
    return (
        f"{text} A random split would ask about other clips of the people who taught. With {clips_each(most)} and "
        f"{study['config']['seeds']} seeds, on such clips in place of strangers' the network from scratch "
        f"{gain(same['scratch'][str(most)])}. They are other people, who may be easier or harder to read, and the "
        "bracket over seeds does not hold that."
    )


def of_order(record: Record | None) -> str:
    """Return what readers get right that know no order, or one frame alone, against the network from scratch."""
    if record is None:
        return missing("the study of transfer", STUDY)
    m, most = record["metrics"], clips_a_word(record)[-1]
    bag, first = (m["without_order"][name][str(most)] for name in ("bag_of_frames", "first_frame"))
    motion = against_order(record, "bag_of_frames")
    if motion["low"] > 0:
        verdict = "So the network reads something of the order."
    elif motion["high"] < 0:
        verdict = "So what it learned of the order is less than what a simpler reader gets from the frames."
    else:
        verdict = "So nothing here shows that it reads the order."
    return (
        f"Each is a shrunk LDA that learned from {clips_each(most)}. The mean of all frames' features "
        f"gets {percent(bag)} right, the first frame alone {percent(first)}; guessing gets {percent(m['chance'])}. "
        f"Against the mean of all frames, the network from scratch {gain(motion)}. {verdict}"
    )


def of_variants(record: Record | None) -> str:
    """Return what other layers and no dropout do to the network from scratch; nothing where it was not measured."""
    if record is None or "variant_gain" not in record["metrics"]:
        return ""
    found, clips = record["metrics"]["variant_gain"], record["config"]["variant_clips"]
    said = "; ".join(f"with {VARIANTS[name]} it {gain(row[str(clips)])}" for name, row in found.items())
    return (
        f"Other layers, from scratch and with {clips_each(clips)}, against the two LSTM layers and one dense one "
        f"that are transferred: {said}."
    )


def of_person(record: Record | None) -> str:
    """Return what films of one person show and do not show."""
    if record is None:
        return missing("the Croatian films", f"{STUDY} -p dataset croatian_signs")
    m, most = record["metrics"], clips_a_word(record)[-1]
    scratch = accuracy(record)["scratch"][str(most)]
    first = m["without_order"]["first_frame"][str(most)]
    still = against_order(record, "first_frame")
    if first["low"] <= m["chance"]:
        alone = "The first frame alone says nothing that can be told from guessing."
    elif still["low"] > 0:
        alone = (
            f"The first frame alone is read at {percent(first)}, above guessing: part of what is learned is how a "
            "film begins, and need not be a sign."
        )
    else:
        alone = (
            f"The first frame alone is read at {percent(first)}: no worse, as far as can be told, than the whole "
            "film. So what is learned here may be how a film begins, light or clothes, and need not be a sign."
        )
    if first["mean"] == scratch["mean"] == 1:
        low, _ = wilson(1.0, m["asked_clips"])
        return (
            f"All {m['asked_clips']} films of {len(m['words'])} words are named right (at least {percent(low)} by "
            "Wilson's interval), each left out once together with one of every other word, and even by their first "
            f"frame alone; guessing gets {percent(m['chance'])}. So these films cannot say what motion, order or "
            "transfer bring: light or clothes may tell the words. One person cannot show how strangers would be "
            f"understood, and {len(m['words'])} words are not a language."
        )
    changes = "; ".join(f"*{STARTS[start][0]}* {gain(m['gain'][start][str(most)])}" for start in TRANSFERS)
    return (
        f"{_asked(record)} With {clips_each(most)} to learn from, a network from scratch gets {percent(scratch)} "
        f"right; guessing gets {percent(m['chance'])}. After invented gestures: {changes}. {alone} One person "
        f"cannot show how strangers would be understood, and {len(m['words'])} words are not a language."
    )


def _points(difference: Interval) -> str:
    """Return a difference of shares in points with its interval, without a verb."""
    mean, low, high = (100 * difference[key] for key in ("mean", "low", "high"))
    interval = f" [{low:.1f}, {high:.1f}]" if difference["n"] > 1 else ""
    return f"{mean:.1f} points{interval}".replace("-", "−")


def _numbers(counts: list[int]) -> str:
    return f"{listed(counts)} clip{'s' * (counts != [1])} a word"
