"""Tables of chapter 4, from records: by protocol, by signer, what examples cost, print beside ours."""

from collections.abc import Mapping, Sequence

import pandas as pd
from pandas.io.formats.style import Styler

from thesislib.figures.letters import Pair
from thesislib.figures.signer_scores import (
    TOP1,
    Records,
    Rung,
    data_name,
    guessing,
    images_of,
    joined_shots_of,
    letters_of,
    measured,
    points,
    protocol_name,
    protocols_of,
    prototype_share,
    scores,
    signers_of,
    system_name,
    systems_under,
)
from thesislib.figures.tables import plain
from thesislib.published import comparison_table


def systems(
    records: Records, protocols: Sequence[str] = (), names: Sequence[str] = (), metric: str = TOP1
) -> pd.DataFrame:
    """Return one row a system, one column a protocol: mean and interval in percent; guessing; how many of what."""
    protocols = list(protocols) or protocols_of(records)
    names = list(names) or list(dict.fromkeys(n for p in protocols for n in systems_under(records, p)))
    rows = {}
    for name in names:
        found = {p: scores(records, name, p, metric) for p in protocols if name in systems_under(records, p)}
        cells = {protocol_name(p): found[p].text if p in found else "–" for p in protocols}
        rows[system_name(name)] = cells | {"seeds": str(max((s.seeds for s in found.values()), default=0))}
    rows["guessing"] = {protocol_name(p): f"{guessing(records):.1f}" for p in protocols} | {"seeds": "–"}
    asked = records[0]["metrics"]["protocols"]
    rows["questions a draw"] = {
        protocol_name(p): f"{asked[p]['queries'] / asked[p]['draws']:,.0f}" for p in protocols
    } | {"seeds": "–"}
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.assign(signers=str(len(signers_of(records))), pictures=f"{images_of(records):,}")


def by_signer(records: Records, protocol: str, names: Sequence[str] = (), metric: str = TOP1) -> pd.DataFrame:
    """Return one row a system, one column a signer left out, in percent; then their mean."""
    rows = {}
    for name in measured(records, names, protocol) or systems_under(records, protocol):
        found = scores(records, name, protocol, metric)
        cells = {signer: f"{value:.1f}" for signer, value in found.by_signer.items()}
        rows[system_name(name)] = cells | {"mean": f"{found.mean:.1f}"}
    return pd.DataFrame.from_dict(rows, orient="index")


def prototype_shares(by_set: Mapping[str, Records]) -> pd.DataFrame:
    """Return one row a data set: how much there is, and what share of a signer's own pictures the examples are.

    A dash stands where a set is too small for a protocol. Shots joined to the others' pictures are the same shots.
    """
    every = [record for records in by_set.values() for record in records]
    protocols = [p for p in protocols_of(every) if p != "zero_shot" and not joined_shots_of(p)]
    rows = {}
    for name, records in by_set.items():
        there = protocols_of(records)
        rows[name] = {
            "signers": str(len(signers_of(records))),
            "letters": str(len(letters_of(records))),
            "pictures": f"{images_of(records):,}",
        } | {
            protocol_name(p): f"{prototype_share(records, p):.1f} %" if p in there else "–" for p in protocols
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def changes(steps: Sequence[Rung]) -> pd.DataFrame:
    """Return a ladder as a table: accuracy with its interval, points gained with theirs, seeds."""
    rows = {
        step.label: {
            "accuracy, %": step.scores.text,
            "points gained": points(step.gain) if step.gain else "–",
            "seeds": str(step.scores.seeds),
        }
        for step in steps
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def pairs(confused: Sequence[Pair]) -> pd.DataFrame:
    """Return the most confused pairs as words and percent, with what the thesis's figure 3.28 prints."""
    rows = [
        {
            "letter": pair.true,
            "read as": pair.read_as,
            "share here": f"{pair.percent:.1f} %",
            "printed": pair.printed_text,
        }
        for pair in confused
    ]
    return pd.DataFrame(rows, columns=["letter", "read as", "share here", "printed"])


def compared(records: Records, *, protocol: str, reading: str = "not comparable") -> Styler:
    """Return the printed numbers that the records answer beside ours, one value a record.

    ``protocol`` says in a few words under which ours were measured; the set's name is put before it.
    """
    answered: dict[str, list[float]] = {}
    for record in records:
        for key, value in record["published"].items():
            answered.setdefault(key, []).append(value)
    ours = f"{data_name(records[0])}, {protocol}"
    return plain(
        comparison_table([(key, values, ours, reading) for key, values in answered.items()]), words=True
    )
