"""The stored runs that the page of chapter 4 shows, read once and sorted by their question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thesislib import results
from thesislib.figures import fine_tuning
from thesislib.figures.chapter4_words import by_set, by_way
from thesislib.figures.signer_scores import Records, scores


@dataclass(frozen=True)
class StoredRuns:
    """Stored runs of chapter 4 by their question; what has none is empty."""

    sets: Mapping[str, Records]  # `across_signers` by data set, one record a seed
    crossed: Records  # from set to set
    grown: Records  # more people, more pictures
    few: Records  # why few pictures taught nothing
    tuned: Mapping[str, Records]  # `fine_tuning` by what was read
    frozen: Mapping[str, float]  # of what it read, the highest system on frozen features, percent
    other_hand: Mapping[str, Records]  # `left_hands` by data set
    more_features: Records  # of the pose network

    @property
    def untaught(self) -> dict[str, float]:
        """The percent of strangers' letters, by set, that the letter network reads untaught by any photograph."""
        whole = {name: records for name, records in self.tuned.items() if not records[0]["config"]["test"]}
        return {name: scores(records, "as_it_is", "zero_shot").mean for name, records in whole.items()}

    @property
    def asl7(self) -> Sequence[Mapping[str, Any]]:
        """The runs on the set that goals are set for, one a seed."""
        return self.sets.get("asl7", [])


def stored() -> StoredRuns:
    """Return the committed runs of the profile full."""
    sets = by_set(results.committed_records("across_signers"))
    crossed = results.committed_records("across_sets")
    tuned = fine_tuning.by_name(results.committed_records("fine_tuning"))
    beside = sets | by_way(crossed)
    return StoredRuns(
        sets=sets,
        crossed=crossed,
        grown=results.committed_records("more_signers"),
        few=results.committed_records("few_pictures"),
        tuned=tuned,
        frozen={name: fine_tuning.highest_frozen(beside[name]) for name in tuned if name in beside},
        other_hand=by_set(results.committed_records("left_hands")),
        more_features=results.committed_records("pose_features"),
    )
