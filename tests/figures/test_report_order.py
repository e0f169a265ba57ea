"""The report's order of networks beside ours."""

from thesislib.chapters.joint_choices import Config
from thesislib.figures import report_order
from thesislib.figures.joint_runs import BY_ADAMW, RECIPES, THE_REPORTS_WAY
from thesislib.published import by_key


def small(network: str, error: float, way: str = BY_ADAMW, **choices) -> dict:
    config = Config.profile("full", network=network, **RECIPES[way] | choices).as_dict()
    return {
        "config": config,
        "metrics": {"decoder": "output", "unseen_signers_output": {"epe_px_at_256": error}},
    }


def test_the_reports_networks_stand_in_its_order_with_their_places_here():
    networks = [
        small("thesis", 1.0),  # ours is none of the report's
        small("cpm", 45.0, precision="bf16"),
        small("cpm", 55.0, seed=1, precision="bf16"),
        small("resnet34", 42.0),
        small("resnet34", 30.0, THE_REPORTS_WAY),  # another way to learn is another training
        small("resnet34", 20.0, augmentation="report"),  # and so is this
        small("inception_v3", 41.0),
        small("vgg", 20.0),  # none of the report's
    ]
    tables = report_order.ranked(networks)
    assert {where: [one.key for one in ranked] for where, ranked in tables.items()} == {
        "Table 1": ["tishchenko2018_resnet34_no_avg"],
        "Table 2": [f"tishchenko2018_{name}_public" for name in ("resnet34", "cpm", "inception_v3")],
    }
    table = report_order.table(tables).loc[lambda rows: rows.index.str.endswith("(Table 2)")]
    assert list(table["place there"]) == ["1", "2", "3"] and list(table["place here"]) == ["2", "3", "1"]
    assert list(table["error here, px at 256"]) == ["42.0", "50.0", "41.0"]
    # better before worse there, and here: 42 before 50, 42 not before 41, 50 not before 41
    assert report_order.words(tables, 5.0) == (
        "Of 3 pairs of networks in Table 2, 1 come in the same order here; tossing a coin for each would give 1.5. "
        "Luck may put 5.0 px between two single runs of the thesis's network; 2 pairs are further apart here, 1 of "
        "them in the same order."
    )
    assert "luck" not in report_order.words(tables, None)
    assert report_order.words({}, 5.0) == "" and report_order.table({}).empty


def test_every_score_of_the_report_is_one_where_less_is_better():
    assert {by_key(key).metric.split(",")[0] for key in report_order.REPORT} == {"Kaggle score"}
    assert report_order.Ranked("tishchenko2018_cpm_public", 1.0).score == 86.37
