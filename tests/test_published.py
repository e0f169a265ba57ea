"""The printed numbers: literal checks against the documents, and the arithmetic of the tables."""

import math
import re

import pandas as pd
import pytest

from thesislib import published

HEADER = ",".join(published.COLUMNS)
ROW = "later_x_one,later,Table 1,3,System,accuracy,1.50,percent,about,not stated,own,"


# The data ---------------------------------------------------------------------------------------------


def test_every_document_and_every_answering_chapter_is_there():
    numbers = published.load()
    assert {n.document for n in numbers} == set(published.DOCUMENTS)
    assert {n.chapter for n in numbers} == {2, 3, 4, 5, 6}  # chapter 1 answers no printed number
    assert len({n.key for n in numbers}) == len(numbers)
    assert [n for c in published.CHAPTERS for n in published.for_chapter(c)] == sorted(
        numbers, key=lambda n: n.chapter
    )


# (key, value as printed, a place where the document prints it)
LITERAL = [
    ("ignatiev2019_pose_error", 16, "Figure 3.4"),
    ("ignatiev2019_pose_error_radius_1", 30, "section 3.1.3"),
    ("ignatiev2019_boukhayma2019_latency", 26, "Figure 3.4"),
    ("ignatiev2019_k49_classifier", 94.7, "section 3.2.2"),
    ("ignatiev2019_k49_seen", 92.1, "section 3.2.2"),
    ("ignatiev2019_k49_unseen_s10_f10", 87.7, "Figure 3.12"),
    ("ignatiev2019_k49_unseen_s25_f10", 90.1, "Figure 3.13"),
    ("ignatiev2019_k49_unseen_s25_f12", 92.7, "Figure 3.15"),
    ("ignatiev2019_k49_all_s25_f12", 86.6, "Figure 3.16"),
    ("ignatiev2019_asl_unseen", 44.1, "Figure 3.25"),
    ("ignatiev2019_asl_unseen_f10_top2", 60.3, "Figure 3.26"),
    ("ignatiev2019_asl_letter_w", 86, "Figure 3.28"),
    ("ignatiev2019_asl_confusion_r_d", 29, "Figure 3.28"),
    ("tishchenko2018_inception_resnet_v2_private", 59.71, "Table 2"),
    ("tishchenko2018_resnet34_no_avg", 89.28, "Table 1"),
    ("komorowicz2018_resnet_pretrained_validation_loss", 2.085, "Table 7.1"),
    ("komorowicz2018_resnet_random_iterations", 187, "Table 6.2"),
    ("komorowicz2018_data_pass_1_images", 5906, "Table 5.1"),
    ("schorr2018_chalearn_accuracy", 0.74, "printed output"),
    ("schorr2018_transfer_frozen_loss", 2.150, "printed output"),
    ("izutov2020_msasl_1000_map", 55.58, "Table III"),
    ("izutov2020_ablation_pr_product_top1", 80.77, "Table II"),
    ("izutov2020_gflops", 6.65, "Table IV"),
    ("later_k49_cnn", 89.25, "README"),
]


@pytest.mark.parametrize(("key", "value", "where"), LITERAL)
def test_numbers_are_those_the_documents_print(key, value, where):
    number = published.by_key(key)
    assert number.value == value
    assert where in number.where


def test_tables_agree_with_themselves():
    """Cells that a document prints twice, or that follow from each other, must agree in our copy."""
    value = {n.key: n.value for n in published.load()}
    # Izutov: the last step of the ablation is the final model.
    for metric in ("top1", "map"):
        assert value[f"izutov2020_ablation_tv_loss_{metric}"] == value[f"izutov2020_msasl_100_{metric}"]
    # Ignatiev: Figure 3.28 shows the run with 12 features; its diagonal is printed in whole percent.
    diagonal = [v for k, v in value.items() if k.startswith("ignatiev2019_asl_letter_")]
    assert len(diagonal) == 24
    assert sum(diagonal) / 24 == pytest.approx(value["ignatiev2019_asl_unseen_confusion_mean"], abs=0.5)
    # Komorowicz: training and validation images are those left after the second pass; camera adds six.
    parts = value["komorowicz2018_data_training_images"] + value["komorowicz2018_data_validation_images"]
    assert parts == value["komorowicz2018_data_pass_2_images"]
    for model in ("smpl", "mano"):
        pose, shape, total = (value[f"komorowicz2018_{model}_{part}"] for part in ("pose", "shape", "total"))
        assert pose + shape + 6 == total
        assert pose == 3 * (value[f"komorowicz2018_{model}_joints"] - 1)  # the root is not posed
    # Tishchenko and Vänskä: section 5 repeats the public score of Table 2.
    assert value["tishchenko2018_cpm_epoch_40"] == value["tishchenko2018_cpm_public"]


def test_printed_keeps_digits_qualifier_and_origin():
    shown = {
        "izutov2020_msasl_100_top1": "85.00 %",
        "ignatiev2019_k49_dual_path": "about 94 %",
        "ignatiev2019_asl_unseen_best": "at most 46 %",
        "komorowicz2018_resnet_no_shape_loss_duration": "26 h (printed as 1d 2h)",
        "ignatiev2019_pugeault2011_unseen": "35 %, quoted",
        "ignatiev2019_k49_alpha": "about -1",
    }
    assert {key: published.by_key(key).printed for key in shown} == shown


# Bad input --------------------------------------------------------------------------------------------


def test_parse_reads_a_row():
    (number,) = published.parse(f"{HEADER}\n{ROW}\n")
    assert (number.value, number.decimals, number.chapter, number.printed) == (1.5, 2, 3, "about 1.50 %")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",percent,", ",parsec,", "unknown unit 'parsec'"),
        (",1.50,", ",nan,", "not a plain decimal"),
        (",1.50,", ",inf,", "not a plain decimal"),
        (",1.50,", ',"1,50",', "not a plain decimal"),
        (",later,", ",lost,", "unknown document 'lost'"),
        (",own,", ",mine,", "unknown origin 'mine'"),
        (",3,", ",7,", "chapter '7'"),
        ("later_x_one", "Later one", "snake_case"),
        ("later_x_one", "izutov2020_x", "does not start with its document"),
        ("Table 1", "", "column where is empty"),
        (",accuracy", "", "more or fewer"),
        (",own,", ",own,a,b", "more or fewer"),
    ],
)
def test_a_wrong_row_is_named(old, new, message):
    assert old in ROW
    with pytest.raises(ValueError, match=message) as error:
        published.parse(f"{HEADER}\n{ROW.replace(old, new, 1)}\n")
    assert "line 2" in str(error.value)


def test_a_repeated_key_and_a_foreign_file_are_refused():
    with pytest.raises(ValueError, match="later_x_one is there twice"):
        published.parse(f"{HEADER}\n{ROW}\n{ROW}\n")
    for text in ("", "a,b\n1,2\n"):
        with pytest.raises(ValueError, match="must have the columns key, document"):
            published.parse(text)


def test_unknown_names_get_help():
    with pytest.raises(KeyError, match="ignatiev2019_k49_unseen_s10_f10"):
        published.by_key("ignatiev2019_k49_unseen_s10_f11")
    with pytest.raises(KeyError, match=r"published\.csv"):
        published.by_key("?")
    with pytest.raises(ValueError, match="no chapter 9"):
        published.for_chapter(9)


# Tables -----------------------------------------------------------------------------------------------

KEY = "ignatiev2019_k49_unseen_s10_f10"  # 87.7 %


def test_comparison_table_arithmetic():
    values = (85.2, 86.9, 88.0)
    mean = sum(values) / 3
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / 2)  # sample standard deviation, by hand
    table = published.comparison_table(
        [
            (KEY, values, "3 seeds", "below"),
            (KEY, [87.74], "one run", "matches"),
            (KEY, None, "", "not run yet"),
            ("later_k49_cnn", None, "", "not comparable"),
            ("ignatiev2019_pose_latency", [0.034, 0.036], "", "below"),
            ("komorowicz2018_mano_vertices", [778.0], "", "matches"),
        ]
    )
    assert isinstance(table, pd.DataFrame)
    assert list(table) == ["what", "printed there", "where", "measured here", "protocol", "reading"]
    assert list(table["measured here"]) == [
        f"{round(mean, 1)} ± {round(spread, 1)} % (n = 3)",
        "87.7 %",
        "see chapter 3",
        "—",
        "0.035 ± 0.001 ms (n = 2)",
        "778",
    ]
    assert table["where"][0] == "Ignatiev 2019, Figure 3.12, section 3.2.2"
    assert table["where"][3].startswith("Kuzushiji-MNIST repository")
    assert table["reading"][0] == "below" and table["protocol"][0] == "3 seeds"


def test_an_empty_comparison_keeps_its_columns():
    assert "measured here" in published.comparison_table([])


@pytest.mark.parametrize(
    ("values", "reading", "error", "message"),
    [
        ([90.0], "better", ValueError, "unknown reading 'better'"),
        ([89.0], "matches", ValueError, "does not match 87.7"),
        ([90.0], "below", ValueError, "is not below 87.7"),
        ([80.0], "above", ValueError, "is not above 87.7"),
        ([80.0], "not run yet", ValueError, "there are measured values"),
        (None, "matches", ValueError, "needs measured values"),
        ([], "matches", ValueError, "at least one"),
        ([math.nan], "matches", ValueError, "finite"),
        (87.7, "matches", TypeError, "sequence of numbers"),
        ("87.7", "matches", TypeError, "sequence of numbers"),
        ([None], "matches", TypeError, "must be numbers"),
    ],
)
def test_a_wrong_comparison_is_refused(values, reading, error, message):
    with pytest.raises(error, match=message) as caught:
        published.comparison_table([(KEY, values, "", reading)])
    assert KEY in str(caught.value)


def markdown_tables(text):
    """Return every table as rows of unescaped cells, read without the package's help."""
    tables = []
    for block in re.findall(r'<div class="wide-table">\n\n(.*?)\n\n</div>', text, flags=re.DOTALL):
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.split("\n")]
        tables.append([[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in row] for row in rows])
    return tables


def test_ledger_holds_every_number_in_valid_markdown():
    text = published.ledger_table({})
    tables = markdown_tables(text)
    lines_of_tables = [line for line in text.split("\n") if line.startswith("|")]
    assert len(lines_of_tables) == sum(map(len, tables))  # no table stands outside its scrolling element
    for header, rule, *rows in tables:
        assert len(header) == 6 and set(rule) == {"---"} and rows
        assert {len(row) for row in rows} == {6}
    shown = [tuple(row[:3]) for table in tables for row in table[2:]]
    assert sorted(shown) == sorted((n.what, n.printed, n.where) for n in published.load())
    for document in published.DOCUMENTS:
        assert f"(ledger-{document})=" in text


def test_ledger_shows_ours_and_names_a_chapter_only_for_what_the_documents_measured():
    text = published.ledger_table({KEY: [86.0, 87.0], "later_k49_cnn": [90.0]})
    here = {tuple(row[:3]): row[3] for table in markdown_tables(text) for row in table[2:]}
    for number in published.load():
        cell = here[number.what, number.printed, number.where]
        if number.key == KEY:
            assert cell == "86.5 ± 0.7 % (n = 2)"
        elif number.key == "later_k49_cnn":
            assert cell == "90.00 %"
        else:
            assert cell == (f"see chapter {number.chapter}" if number.origin == "own" else "—")


def test_markdown_cannot_be_broken_by_a_cell():
    nasty = "a|b *c* `d` $e$ <f> [g] {h}\n\\i"
    assert re.sub(r"\\(.)", r"\1", published._escape(nasty)) == nasty.replace("\n", " ")
    assert not re.search(r"(?<!\\)[|*`$<\[\]{}]", published._escape(nasty))


def test_write_ledger_replaces_the_file_whole_or_not_at_all(tmp_path):
    path = tmp_path / "generated" / "ledger_table.md"
    published.write_ledger(path, {})
    before = path.read_text(encoding="utf8")
    assert before == published.ledger_table({})
    with pytest.raises(KeyError, match="did you mean"):
        published.write_ledger(path, {"ignatiev2019_pose_eror": [1.0]})
    with pytest.raises(TypeError, match="sequence of numbers"):
        published.write_ledger(path, {KEY: 87.7})
    assert path.read_text(encoding="utf8") == before
    assert [p.name for p in path.parent.iterdir()] == ["ledger_table.md"]
