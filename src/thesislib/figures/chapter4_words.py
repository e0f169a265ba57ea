"""The words of chapter 4 that a number decides: who gains on whom, what was reached, what is not stored yet."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import Markdown

from thesislib.figures import tables
from thesislib.figures.chapter4_numbers import AIM, of_goals, verdict
from thesislib.figures.letters import top_pairs
from thesislib.figures.signer_scores import (
    THESIS,
    Records,
    Scores,
    choices,
    chosen,
    difference,
    protocol_name,
    protocols_of,
    scores,
    shots_of,
    system_name,
    systems_under,
)
from thesislib.figures.tables import listed

CHOSEN = "chosen by inner folds"
SHOTS = 5  # pictures a letter that sentences speak of, where they were measured
# What is changed in the thesis's system, one thing at a time; signer_scores.rungs takes these.
OTHER_LEARNING = {
    "thesis_plain": "no dropout, features standardised",
    "cross_entropy": "learn by cross entropy, class means",
    "letters_thesis": "give its head letter features",
    "pooled": "no head: the features themselves",
    "keypoints": "no head: the joints found",
    "angles": "no head: bends of the joints found",
    "heatmaps": "no head: the heatmaps",
    "spatial": "no head: spatial features",
}
# What is changed in the nearest neighbour on spatial features, and several of these together.
OTHER_READING = {
    "spatial_pairwise": "linear embedding, the thesis's loss",
    "spatial_supcon": "linear embedding, SupCon",
    "spatial_proxy_anchor": "linear embedding, Proxy-Anchor",
    "spatial_cosface": "linear embedding, CosFace",
    "spatial_mean": "class means for prototypes",
    "spatial_ridge": "ridge for the nearest neighbour",
    "spatial_lda": "shrunk LDA for the nearest neighbour",
    "spatial_centred": "take off each signer's mean",
    "spatial_adapted": "adapt batch norm to the signer",
    "spatial_views": "average over nine views",
    "letters_spatial": "teach the network invented letters",
}
TOGETHER = {
    "letters_cosface": "letters, linear, CosFace",
    "letters_lda": "letters, LDA",
    "letters_centred": "letters, means taken off",
    "letters_views": "letters, nine views",
    "letters_together": "letters, LDA, means, views",
}
MAIN = (
    *(
        "pixels",
        "hog",
        "mediapipe",
        "mediapipe_angles_lda",
        "pooled",
        "thesis",
        "thesis_plain",
        "cross_entropy",
    ),
    *("spatial", "spatial_lda", "letters_spatial", "letters_lda", "letters_together"),
)
ACROSS = (*MAIN[:-1], "letters_pooled", "letters_centred", MAIN[-1])  # what is read from set to set
# Systems that look at all of a stranger's pictures before they answer.
TOGETHER_WITH = ("letters_centred", "letters_together", "spatial_centred", "spatial_adapted")


def of_this_run(records: Records, best: str) -> dict[str, str]:
    """Return the phrases that sentences quote, each whole whatever was measured: name -> words."""
    few, joined = few_shots(records)
    roles = {"pixels": "pixels", "features": "pooled", "spatial": "spatial", "thesis": THESIS, "best": best}
    protocols = {"strangers": "zero_shot", "few": few, "joined": joined}
    protocols |= {"halves": "same_signer", "leaky": "random_split"}
    found = {
        f"said_{role}_{word}": reached(records, name, protocol)
        for role, name in roles.items()
        for word, protocol in protocols.items()
    }
    rivals = {"features": "pooled", "cross_entropy": "cross_entropy", "pixels": "pixels"}
    found |= {f"thesis_against_{word}": against(records, THESIS, name) for word, name in rivals.items()}
    found |= {f"best_against_{role}": against(records, best, roles[role]) for role in ("thesis", "spatial")}
    found["spatial_against_features"] = against(records, "spatial", "pooled")
    for role in ("thesis", "best"):
        for word in ("few", "joined", "halves", "leaky"):
            found[f"{role}_{word}_against_strangers"] = against(
                records, roles[role], roles[role], protocols[word], to="zero_shot"
            )
    found["not_possible"] = not_possible(records)
    shots = shots_of(few) if few else 0
    return found | {"few_shots": f"{shots or 'no'} labelled picture{'s' * (shots != 1)} a letter"}


def of_asl7(records: Records, best: str) -> str:
    """Return the paragraphs on asl7: the thesis's system, the recipe, MediaPipe's points, shots, the goals."""
    goals = of_goals(records, best)

    def said(system: str, protocol: str = "zero_shot") -> str:
        return reached(records, system, protocol)

    seeds = [scores([record], THESIS, "zero_shot").mean for record in records]
    of_seeds = f" (its {len(seeds)} seeds {listed([f'{mean:.1f}' for mean in seeds])})" if seeds[1:] else ""
    alone = one_by_one(records)
    single = scores(records, alone, "zero_shot").mean
    few = [goals[name] for name in ("verdict_k_shot_s5", "verdict_joined_s5") if name in goals]
    return (
        f"**`asl7`, five people photographed in their rooms.** Zero-shot, the thesis's system reaches "
        f"{said(THESIS)}{of_seeds}, the recipe {said(best)}. The goal of {goals['goal_zero_shot']:.0f} % is "
        f"{goals['verdict_zero_shot']}, the aim of {AIM:.0f} % "
        f"{verdict(scores(records, best, 'zero_shot').mean, AIM)}. "
        f"The recipe takes off the mean of all of the stranger's pictures, each letter equally often. Of the "
        f"systems on our networks that read one picture at a time, the highest here is *{system_name(alone)}* with "
        f"{single:.1f} %: the goal is {verdict(single, goals['goal_zero_shot'])}. "
        f"The nearest neighbour on the points that MediaPipe finds reaches "
        f"{said('mediapipe')}; against it the recipe {against(records, best, 'mediapipe')}. The bends of the "
        f"same points, read by shrunk LDA, reach {said('mediapipe_angles_lda')}; against them the recipe "
        f"{against(records, best, 'mediapipe_angles_lda')}. (MediaPipe has learned from many real hands, "
        f"our two networks from none.) Against its own features the thesis's embedding "
        f"{against(records, THESIS, 'pooled')}; without its dropout, on standardised features, it "
        f"{against(records, 'thesis_plain', 'pooled')}." + of_choice(records) + "\n\n"
        f"With five shots of the new person the recipe has {said(best, 'k_shot_s5')} by these alone and "
        f"{said(best, 'joined_s5')} with the others kept; the goal of {goals['goal_k_shot_s5']:.0f} % is, "
        f"in this order, {' and '.join(few)}. Against zero-shot, the examples alone: it "
        f"{against(records, best, best, 'k_shot_s5', to='zero_shot')}, the thesis's system "
        f"{against(records, THESIS, THESIS, 'k_shot_s5', to='zero_shot')}. With the others kept: the recipe "
        f"{against(records, best, best, 'joined_s5', to='zero_shot')}, the thesis's system "
        f"{against(records, THESIS, THESIS, 'joined_s5', to='zero_shot')}. Every question is of another occasion "
        f"than the examples."
    )


def one_by_one(records: Records) -> str:
    """Return the highest system on our networks that needs no second picture of the stranger, zero-shot."""
    names = [name for name in MAIN + tuple(TOGETHER) if not name.startswith(("mediapipe", *TOGETHER_WITH))]
    there = [name for name in names if name in systems_under(records, "zero_shot")]
    return max(there, key=lambda name: scores(records, name, "zero_shot").mean)


def of_confusions(counts: Mapping[str, np.ndarray], letters: Sequence[str], pairs: int = 4) -> str:
    """Return the sentence on the pairs that systems confuse most: {who in words: counts [letters, letters]}."""
    said = []
    for who, matrix in counts.items():
        worst = [
            f"{p.true.upper()} as {p.read_as.upper()} ({p.percent:.0f} %)"
            for p in top_pairs(matrix, letters, pairs)
        ]
        said.append(f"{who} reads {listed(worst)}")
    return "Of a letter's pictures, " + "; ".join(said) + "."


def of_choice(records: Records) -> str:
    """Return the sentence on what inner folds choose for each person, with a space before it; '' without any."""
    if not (found := choices(records)):
        return ""
    counts = Counter(system_name(name) for choice in found for name in choice["chosen"])
    listed = ", ".join(f"*{name}* ({count})" for name, count in counts.most_common())
    return (
        f" No one row of a table need be picked by these people's own scores: if each is read by the system that "
        f"reads the *others* best, of {len(found[0]['inner'])} that have no head to train, that is {listed}, and "
        f"they are read at {chosen(records).said}."
    )


def of_more_signers(record: Mapping[str, Any]) -> str:
    """Return the paragraph on more people, more pictures in a row and more occasions.

    People and pictures are also told apart: the same number of pictures from more people, or on more occasions.
    """
    curves, config = record["metrics"]["curves"], record["config"]
    ends = {name: grown(curves, name, "spatial_lda") for name in curves}

    def at(curve: str, count: int) -> str:
        found = curves[curve]["spatial_lda"].get(str(count))
        return _share(found) if found else "not measured"

    most = max(config["pictures"])
    people = most * config["few"] // config["frames"]  # who together give as many pictures
    return (
        f"The {len(record['metrics']['signers'])} strangers are the same throughout, the teachers are drawn up to "
        f"{config['draws']} times. Read by shrunk LDA on spatial features, strangers are understood at "
        f"{ends['training_signers']} people of {config['frames']} pictures a letter. "
        f"{config['few']} people who give more pictures in a row: {ends['pictures_in_a_row']}; on different "
        f"occasions: {ends['pictures_on_occasions']}. Guessing gets {100 * record['metrics']['chance']:.1f} %. "
        f"More people are also more pictures. With equally many, {people} people reach "
        f"{at('training_signers', people)}, {config['few']} people on {most} occasions "
        f"{at('pictures_on_occasions', most)}, and in a row {at('pictures_in_a_row', most)}."
    )


def not_possible(records: Records) -> str:
    """Return in words which protocols the pictures do not allow, after "These pictures"."""
    lacking = [protocol_name(p) for p in records[0]["metrics"].get("not_possible", [])]
    return f"are too few for {', '.join(lacking)}" if lacking else "allow all of them"


def few_shots(records: Records) -> tuple[str, str]:
    """Return the two protocols of a few shots that a page speaks of, with 5 or else the most; '' without any."""
    there = protocols_of(records)
    shots = [s for p in there if (s := shots_of(p))]
    count = SHOTS if SHOTS in shots else max(shots, default=0)
    joined = f"joined_s{count}"
    return (f"k_shot_s{count}" if count else ""), (joined if joined in there else "")


def reached(records: Records, system: str, protocol: str) -> str:
    """Return an accuracy with its interval in words, or that there is none."""
    if system not in systems_under(records, protocol):
        return "not measured here"
    return scores(records, system, protocol).said


def against(
    records: Records, system: str, other: str, protocol: str = "zero_shot", *, to: str | None = None
) -> str:
    """Return what a system 'gains' or 'loses' against another, paired by signer, or that nobody measured it."""
    there = system in systems_under(records, protocol) and other in systems_under(records, to or protocol)
    if not there:
        return "was not compared in this run"
    return gains(difference(records, system, other, protocol, to=to))


def gains(gain: Mapping[str, float]) -> str:
    """Return a difference in points as a verb: gains, loses, or too little to tell from none."""
    mean, low, high = gain["mean"], gain["low"], gain["high"]
    if gain["n"] > 1 and low <= 0 <= high:
        signed = f"changes by {mean:+.1f} points [{low:+.1f}, {high:+.1f}], which may be none"
        return signed.replace("-", "−")
    size, ends = abs(mean), sorted((abs(low), abs(high)))
    interval = f" [{ends[0]:.1f}, {ends[1]:.1f}]" if gain["n"] > 1 else ""
    return f"{'gains' if mean > 0 else 'loses'} {size:.1f} points{interval}"


def by_set(records: Records) -> dict[str, list[Mapping[str, Any]]]:
    """Return stored records by the data set they read: its name -> one record a seed."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        found.setdefault(record["config"]["dataset"], []).append(record)
    return found


def missing(what: str, command: str) -> Markdown:
    """Return `tables.missing` as what a cell of the page shows."""
    return Markdown(tables.missing(what, command))


def sets_side_by_side(
    sets: Mapping[str, Records], names: Sequence[str] = MAIN, protocol: str = "zero_shot"
) -> pd.DataFrame:
    """Return one row a system, one column a set: mean, interval and seeds, a dash where it was not measured."""
    columns = {}
    for name, records in sets.items():
        there = systems_under(records, protocol)
        cells = {s: _with_seeds(scores(records, s, protocol)) if s in there else "–" for s in names}
        picked = chosen(records) if protocol == "zero_shot" else None
        columns[name] = {system_name(s): text for s, text in cells.items()} | {
            CHOSEN: picked.text if picked else "–",
            "guessing": f"{100 * records[0]['metrics']['chance']:.1f}",
            "signers": str(len(records[0]["metrics"]["signers"])),
        }
    return pd.DataFrame(columns)


def by_way(records: Records) -> dict[str, list[Mapping[str, Any]]]:
    """Return records of `across_sets` by the way they go, "asl7 to massey", with a record a seed.

    Ways to one set stand together, and begin with those that learn from the fewest sets.
    """
    ways: dict[str, list[Mapping[str, Any]]] = {}
    for record in sorted(records, key=lambda r: (r["config"]["test"], len(r["config"]["train"]))):
        ways.setdefault(record["split"]["name"], []).append(record)
    return ways


def from_set_to_set(records: Records, names: Sequence[str] = ACROSS) -> pd.DataFrame:
    """Return one row a system, one column each way from sets to a set: mean and interval in percent, then counts.

    One stranger alone has an interval over that person's clips; the row of strangers tells.
    """
    measured = {s for record in records for s in systems_under([record], "zero_shot")}
    columns = {}
    for way, seeds in by_way(records).items():
        there, metrics = systems_under(seeds, "zero_shot"), seeds[0]["metrics"]
        columns[way] = {
            system_name(s): scores(seeds, s, "zero_shot").text if s in there else "–"
            for s in names
            if s in measured
        } | {
            "guessing": f"{100 * metrics['chance']:.1f}",
            "letters": str(len(metrics["letters"])),
            "strangers": str(len(metrics["signers"])),
            "pictures asked": f"{metrics['images']:,}",
            "seeds": str(len(seeds)),
        }
    return pd.DataFrame(columns)


def of_crossings(records: Records, best: str, untaught: Mapping[str, float] | None = None) -> str:
    """Return the paragraph on what is read from set to set: the thesis's system, the recipe, the highest row.

    ``untaught`` has the percent of the letter network as it is, taught by no photograph, of sets where it is known.
    """
    said = []
    for way, seeds in by_way(records).items():
        found = {name: scores(seeds, name, "zero_shot") for name in systems_under(seeds, "zero_shot")}
        ours = {name: value for name, value in found.items() if not name.startswith("mediapipe")}
        highest = max(ours, key=lambda name: ours[name].mean)
        rest = (
            f"; *{system_name(highest)}* is the highest with {ours[highest].mean:.1f} %, against which the recipe "
            f"{against(seeds, best, highest)}"
            if highest != best
            else ""
        )
        asked = seeds[0]["config"]["test"]
        beside = (
            " The letter network as it is, taught by no photograph, reads the same people at "
            f"{untaught[asked]:.1f} %."
            if asked in (untaught or {})
            else ""
        )
        alone = " (one stranger, so there is no interval)" if len(found[best].by_signer) == 1 else ""
        said.append(
            f"- From {way}, the thesis's system reaches {found[THESIS].mean:.1f} % and the "
            f"recipe {found[best].mean:.1f} %{rest}{alone}.{beside}"
        )
    last = "What is best among the people of one set need not be so in another."
    return "\n".join(said) + f"\n\n{last}"


def grown(curves: Mapping[str, Any], curve: str, system: str) -> str:
    """Return what a system reaches at the start and at the end of a curve of `more_signers`, in words."""
    row = {int(count): value for count, value in curves[curve][system].items()}
    least, most = min(row), max(row)
    return f"{_share(row[least])} with {least} and {_share(row[most])} with {most}"


def _with_seeds(found: Scores) -> str:
    return found.text if found.seeds == 1 else f"{found.text}, {found.seeds} seeds"


def _share(value: Mapping[str, float]) -> str:
    return f"{100 * value['mean']:.1f} % [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"
