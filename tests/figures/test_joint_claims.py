"""What documents say beside what came out: which claim a change has, and two orders of the same networks."""

import pytest

from thesislib.figures import joint_claims
from thesislib.figures.joint_runs import BY_ADAMW, RECIPES, THE_REPORTS_WAY
from thesislib.published import by_key


@pytest.mark.parametrize(
    ("changed", "said", "agrees"),
    [
        ({"loss": "l2"}, "no difference", ["within luck"]),
        ({"radius": 1.0}, "worse", ["worse"]),
        ({"radius": 4.0, "last_radius": 1.0}, "no benefit", ["within luck", "worse"]),
        ({"radius": 1.0, "last_radius": None}, None, []),
        ({"optimizer": "adamw", "lr_max": 0.001}, "no better", ["within luck", "worse"]),
        ({"optimizer": "adabound", "lr_max": 0.001}, "worse", ["worse"]),
        ({"lr_min": 0.01}, "no difference", ["within luck"]),
        ({"lr_min": 0.01, "lr_max": 0.3}, None, []),
        ({"loss": "spatial_cross_entropy"}, None, []),
        ({"width": 1.0}, None, []),
    ],
)
def test_the_thesis_speaks_of_some_changes(changed, said, agrees):
    claim = joint_claims.claim_of(changed)
    assert (claim and claim.said) == said
    assert sorted(claim.verdicts if claim else ()) == agrees


def small(network: str, error: float, way: str = BY_ADAMW) -> dict:
    return {
        "config": {"network": network, **RECIPES[way]},
        "metrics": {"decoder": "output", "unseen_signers_output": {"epe_px_at_256": error}},
    }


def test_the_reports_networks_stand_in_its_order_with_their_places_here():
    networks = [
        small("cpm", 50.0),
        small("resnet34", 42.0),
        small("resnet34", 30.0, THE_REPORTS_WAY),  # another way to learn is another training
        small("inception_v3", 41.0),
        small("vgg", 20.0),  # none of the report's
    ]
    tables = joint_claims.of_the_report(networks)
    assert {where: [one.key for one in ranked] for where, ranked in tables.items()} == {
        "Table 1": ["tishchenko2018_resnet34_no_avg"],
        "Table 2": [f"tishchenko2018_{name}_public" for name in ("resnet34", "cpm", "inception_v3")],
    }
    table = joint_claims.report_table(tables).loc[lambda rows: rows.index.str.endswith("(Table 2)")]
    assert list(table["place there"]) == ["1", "2", "3"] and list(table["place here"]) == ["2", "3", "1"]
    assert list(table["error here, px at 256"]) == ["42.0", "50.0", "41.0"]
    # better before worse there, and here: 42 before 50, 42 not before 41, 50 not before 41
    assert joint_claims.of_the_reports_order(tables, 5.0) == (
        "Of the 3 pairs of networks in Table 2, 1 comes in the same order here; 2 differ by more than luck, "
        "1 of these as there."
    )
    assert "luck" not in joint_claims.of_the_reports_order(tables, None)
    assert joint_claims.of_the_reports_order({}, 5.0) == "" and joint_claims.report_table({}).empty


def test_every_score_of_the_report_is_one_where_less_is_better():
    assert {by_key(key).metric.split(",")[0] for key in joint_claims.REPORT} == {"Kaggle score"}
    assert joint_claims.Ranked("tishchenko2018_cpm_public", 1.0).score == 86.37
