"""The order of networks that the ETH report prints, beside the order that chapter 2 finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from thesislib.chapters.joint_choices import OURS
from thesislib.figures.joint_runs import Records, learns_alike, main_errors, usual_rival
from thesislib.published import by_key

# Scores of the ETH report, and the network of ours that each is of; Table 2 prints a public and a private one.
REPORT = {
    "tishchenko2018_resnet34_leaky_avg": "resnet34_leaky",
    "tishchenko2018_resnet34_leaky_preactivation_avg": "resnet34_preactivation",
    "tishchenko2018_resnet68_deepercut": "resnet68_deepercut",
    "tishchenko2018_resnet34_bottleneck_no_avg": "resnet34_bottleneck",
    "tishchenko2018_resnet34_no_avg": "resnet34",
    "tishchenko2018_cpm_public": "cpm",
    "tishchenko2018_inception_v3_public": "inception_v3",
    "tishchenko2018_resnet34_public": "resnet34",
    "tishchenko2018_inception_resnet_v2_public": "inception_resnet_v2",
}


@dataclass(frozen=True)
class Ranked:
    """A network of the report: its score there and its error here, both better where lower."""

    key: str  # of published.csv
    error_px: float  # mean, px at 256

    @property
    def score(self) -> float:
        """The Kaggle score that the report prints."""
        return by_key(self.key).value


def ranked(networks: Records) -> dict[str, list[Ranked]]:
    """Return {table of the report: those of its networks that learned as most rivals did, best score first}.

    Their errors are means over seeds.
    """
    rival = usual_rival(networks)
    of_network: dict[str, list[float]] = {}
    for record in networks:
        if record["config"]["network"] != OURS and learns_alike(record, rival):
            of_network.setdefault(record["config"]["network"], []).extend(main_errors([record]))
    errors = {network: float(np.mean(of_seeds)) for network, of_seeds in of_network.items()}
    tables: dict[str, list[Ranked]] = {}
    for key, network in REPORT.items():
        if network in errors:
            tables.setdefault(by_key(key).where, []).append(Ranked(key, errors[network]))
    return {where: sorted(ranked, key=lambda one: one.score) for where, ranked in tables.items()}


def table(tables: Mapping[str, Sequence[Ranked]]) -> pd.DataFrame:
    """Return one row a network of the report, in its order, with its place there and here; less is better."""
    rows = {}
    for where, ranked in tables.items():
        for one in ranked:
            rows[f"{by_key(one.key).system} ({where})"] = {
                "its score": by_key(one.key).printed,
                "place there": str(1 + sum(other.score < one.score for other in ranked)),
                "error here, px at 256": f"{one.error_px:.1f}",
                "place here": str(1 + sum(other.error_px < one.error_px for other in ranked)),
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def words(tables: Mapping[str, Sequence[Ranked]], luck_px: float | None) -> str:
    """Return how many pairs of networks come in the same order here; '' where there are none.

    ``luck_px`` is how far luck alone takes two single trainings apart, 95 %.
    """
    told = []
    for where, ranked in tables.items():
        pairs = list(combinations(ranked, 2))
        if pairs:
            same = sum(better.error_px < worse.error_px for better, worse in pairs)
            said = (
                f"Of {len(pairs)} pairs of networks in {where}, {same} come in the same order here; tossing a coin "
                f"for each would give {len(pairs) / 2:g}"
            )
            if luck_px is not None:
                far = [pair for pair in pairs if abs(pair[0].error_px - pair[1].error_px) > luck_px]
                agree = sum(better.error_px < worse.error_px for better, worse in far)
                said += (
                    f". Luck may put {luck_px:.1f} px between two single runs of the thesis's network; {len(far)} "
                    f"pairs are further apart here, {agree} of them in the same order"
                )
            told.append(f"{said}.")
    return " ".join(told)
