"""The book's runner, generated pages, checks and build, on notebooks and pages made for the test."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from thesislib import book, book_checks, book_scripts, paths, published, results
from thesislib.config import ConfigError, ExperimentConfig


def write_notebook(path: Path, *sources: str) -> Path:
    parameters = 'profile = "quick"  # size\nepochs = 1  # rounds'
    nb = new_notebook(cells=[new_code_cell(parameters, metadata={"tags": ["parameters"]})])
    nb.cells += [new_code_cell(source) for source in sources]
    nb.metadata.kernelspec = {"name": "somebody-elses", "display_name": "x", "language": "python"}
    nbformat.write(nb, path)
    return path


# Running ---------------------------------------------------------------------------------------------


def test_execute_runs_here_with_the_parameters_and_hides_papermills_cell(tmp_path):
    code = "import os, sys\nprint(profile, epochs, os.getcwd(), sys.executable, os.environ['TQDM_DISABLE'])"
    output = tmp_path / "executed" / "a.ipynb"
    book.execute(write_notebook(tmp_path / "a.ipynb", code), {"profile": "smoke"}, output)
    nb = nbformat.read(output, as_version=4)
    profile, epochs, folder, python, _ = nb.cells[-1].outputs[0].text.split()
    assert (profile, epochs, Path(folder)) == ("smoke", "1", paths.ROOT)
    assert Path(python) == Path(sys.executable)
    tags = [cell.metadata.get("tags", []) for cell in nb.cells]
    assert tags == [["parameters"], ["injected-parameters", "remove-cell"], []]
    assert [path.name for path in output.parent.iterdir()] == ["a.ipynb"]


def test_a_failed_cell_is_named_and_the_earlier_result_kept(tmp_path):
    output = tmp_path / "executed" / "a.ipynb"
    output.parent.mkdir()
    output.write_text("the earlier result")
    notebook = write_notebook(tmp_path / "a.ipynb", "x = 1", "ratio = x / 0", "print('never')")
    with pytest.raises(book.BookError, match=r"cell \[4\].*'ratio = x / 0': ZeroDivisionError") as raised:
        book.execute(notebook, {"epochs": 2}, output)
    assert output.read_text() == "the earlier result"
    failed = output.parent / "a.failed.ipynb"
    assert str(failed) in str(raised.value)
    assert nbformat.read(failed, as_version=4)
    assert sorted(path.name for path in output.parent.iterdir()) == ["a.failed.ipynb", "a.ipynb"]


def test_a_kernel_that_dies_is_explained(tmp_path):
    notebook = write_notebook(tmp_path / "a.ipynb", "import os; os._exit(1)")
    with pytest.raises(book.BookError, match="kernel died"):
        book.execute(notebook, {}, tmp_path / "executed" / "a.ipynb")
    assert list((tmp_path / "executed").iterdir()) == []


def test_an_unknown_parameter_or_a_broken_notebook_stops_before_anything_runs(tmp_path):
    notebook = write_notebook(tmp_path / "a.ipynb")
    with pytest.raises(ConfigError, match="'epoch'. Did you mean 'epochs'.*profile, epochs"):
        book.execute(notebook, {"epoch": 1}, tmp_path / "out" / "a.ipynb")
    with pytest.raises(ConfigError, match="no notebook"):
        book.execute(tmp_path / "b.ipynb", {}, tmp_path / "out" / "b.ipynb")
    notebook.write_text("{ half")
    with pytest.raises(book.BookError, match="not a readable notebook"):
        book.execute(notebook, {}, tmp_path / "out" / "a.ipynb")
    assert not (tmp_path / "out").exists()


def test_find_notebook_knows_names_and_paths(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path)
    notebook = write_notebook(tmp_path / "03_learning.ipynb")
    write_notebook(tmp_path / "scratch.ipynb")
    assert book.notebooks() == [notebook]
    assert {book.find_notebook(n) for n in ("03_learning", "03_learning.ipynb", str(notebook))} == {notebook}
    with pytest.raises(ConfigError, match="Did you mean '03_learning'"):
        book.find_notebook("03_lerning")


# On the page -----------------------------------------------------------------------------------------


def record(**changes: object) -> dict:
    config = ExperimentConfig(profile_name="smoke", seed=7)
    made = results.make_record(
        "tiny",
        config,
        module="thesislib.config",
        data={"name": "glyphs <invented>", "version": "1", "sha256": "abcdef0123456789"},
        split={"name": "split 2", "seen_classes": [1, 2, 3], "unseen_classes": [4]},
        metrics={},
        published={},
        environment={"commit": "12345abcde", "device": "a CPU, 2 threads"},
        wall_seconds=200.0,
    )
    return made | changes


def test_the_provenance_box_says_where_the_numbers_come_from():
    box = book.provenance(record(), minutes_to_read=12).data
    for text in (
        "<strong>smoke</strong>",
        "<dd>7</dd>",
        "glyphs &lt;invented&gt;, 1, sha256 abcdef012345…",
        "split 2, 3 seen classes, 1 unseen classes",
        "commit 12345abcde",
        "a CPU, 2 threads",
        "12 min to read, about 3 min to run again",
    ):
        assert text in box, text
    assert "code changed" not in box
    assert "\n\n" not in box  # a blank line would end the HTML block and print the rest as text


def test_the_provenance_box_marks_changed_code_and_refuses_an_edited_record():
    box = book.provenance(record(source_hash="0" * 16), 1).data
    assert "measured at commit 12345abcde, code changed since" in box
    with pytest.raises(results.RecordError, match="edited"):
        book.provenance(record(config_digest="00000000"), 1)


def test_glued_numbers_can_be_formatted(monkeypatch):
    glued = {}
    monkeypatch.setattr("myst_nb.glue", lambda key, value, display: glued.update({key: (value, display)}))
    book.glue_all({"accuracy": np.float64(0.5), "count": np.int64(3), "name": "k49"})
    assert glued == {"accuracy": (0.5, False), "count": (3, False), "name": ("k49", False)}
    assert [type(value) for value, _ in glued.values()] == [float, int, str]


def test_an_interactive_figure_carries_its_description(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    figure = SimpleNamespace(to_html=lambda **options: f"<i>{options}</i>", to_plotly_json=dict)
    book_scripts.interactive(figure, 'a "peak"')
    assert 'aria-label="a &quot;peak&quot;"' in shown[0]["text/html"]
    assert "'include_plotlyjs': False" in shown[0]["text/html"]


def test_a_page_loads_plotly_where_it_is_used_and_thebe_never():
    hooks, added = {}, []
    app = SimpleNamespace(connect=hooks.__setitem__, add_js_file=added.append)
    book_scripts.setup(app)

    def scripts(**context: str) -> list[str]:
        kept = SimpleNamespace(filename="theme.js", attributes={})
        thebe = SimpleNamespace(filename=None, attributes={"body": "const THEBE_JS_URL"})
        files = [kept, thebe]
        added.clear()
        hooks["html-page-context"](app, "a", "page.html", {"script_files": files, **context}, None)
        return [file.filename for file in files] + added

    assert scripts() == ["theme.js"]  # the search page has no body
    assert scripts(body="<p>text</p>") == ["theme.js"]
    assert scripts(body='<div class="plotly-graph-div">') == ["theme.js", "vendor/plotly.min.js"]


# Generated pages -------------------------------------------------------------------------------------


def test_the_ledger_is_filled_from_committed_records_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "committed")
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "quick")
    key = published.load()[0].key
    for name, value in (("committed/a/s0", 90.5), ("committed/a/s1", 91.5), ("quick/a/s0", 12.0)):
        results.write_json(tmp_path / f"{name}.json", record(published={key: value}))
    assert book.measured_numbers() == {key: [90.5, 91.5]}
    edited = record(published={key: 99.0})
    edited["config"]["seed"] += 1
    results.write_json(tmp_path / "committed/a/s2.json", edited)
    with pytest.raises(results.RecordError, match=r"s2\.json was edited"):
        book.measured_numbers()


def test_the_build_status_tells_profile_time_and_versions(tmp_path):
    run = {"parameters": {"profile": "quick"}, "start_time": "2026-01-02T03:04:05.6", "duration": 61.4}
    nb = new_notebook()
    nb.metadata.update(language_info={"name": "python", "version": "3.11.7"}, papermill=run)
    chapter = book.notebooks()[2].stem
    for name in (chapter, f"{chapter}.failed", "07_of_another_branch"):
        nbformat.write(nb, tmp_path / f"{name}.ipynb")
    table = book.build_status(tmp_path)
    assert f"| {{doc}}`executed/{chapter}` | quick | 2026-01-02 03:04 | 61 | 3.11.7 |" in table
    assert table.count("{doc}") == 1
    assert "| papermill | 2" in table


# Checks and build ------------------------------------------------------------------------------------

FILLER = "<h1>Title</h1><p>" + "Some words of a page that is not empty. " * 8 + "</p>"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (FILLER + '<img src="_images/a.png" alt="A line that rises">', None),
        (FILLER + "<pre>Traceback (most recent call last) in a listing {glue:text}</pre>", None),
        ("", "empty"),
        (FILLER.replace("h1", "h2"), "no title"),
        (FILLER + '<img src="_images/a.png">', "alternative text"),
        (FILLER + '<img src="a.png" alt="../_images/1f3.png">', "alternative text"),
        (FILLER + "<p>The accuracy is {glue:text}`x`.</p>", "unresolved"),
        (FILLER + '<div class="output traceback"><pre>ValueError: no</pre></div>', "shows an error"),
        (FILLER + '<div class="plotly-graph-div"></div>', "no label"),
    ],
)
def test_page_problems(tmp_path, body, problem):
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: intro\nchapters:\n- file: missing\n")
    (tmp_path / "index.html").touch()
    (tmp_path / "intro.html").write_text(f"<article>{body}</article>")
    of_page = [p for p in book_checks.page_problems(tmp_path, tmp_path / "_toc.yml") if p.startswith("intro")]
    assert (problem in of_page[0] and len(of_page) == 1) if problem else of_page == []


def test_a_page_that_was_not_built_is_a_problem(tmp_path):
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: intro\n")
    assert book_checks.page_problems(tmp_path, tmp_path / "_toc.yml") == [
        "there is no index.html",
        "intro: the page was not built",
    ]


def test_notebook_problems(tmp_path):
    toc = tmp_path / "_toc.yml"
    toc.write_text("format: jb-book\nroot: book/intro\nchapters:\n- file: book/executed/03_learning\n")
    executed = tmp_path / "book" / "executed"
    assert "is missing" in book_checks.notebook_problems(executed, toc)[0]
    executed.mkdir(parents=True)
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
    bare = {"output_type": "display_data", "data": {"application/vnd.plotly.v1+json": {}}, "metadata": {}}
    fine = {"output_type": "display_data", "data": {"text/plain": "1"}, "metadata": {}}
    cells = [{"cell_type": "markdown"}, {"outputs": [fine, error]}, {"outputs": [bare]}]
    (executed / "03_learning.ipynb").write_text(json.dumps({"cells": cells}))
    first, second = book_checks.notebook_problems(executed, toc)
    assert first == "03_learning.ipynb, cell 2: ValueError: no"
    assert "cell 3" in second and "plotly" in second


def test_build_is_strict_and_a_failed_build_leaves_the_earlier_book(tmp_path, capfd):
    (tmp_path / "book" / "_static").mkdir(parents=True)
    (tmp_path / "_config.yml").write_text("title: T\nonly_build_toc_files: true\n")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/intro\n")
    intro = tmp_path / "book" / "intro.md"
    intro.write_text("# Title\n\n" + "Some words of a page. " * 20)
    output = tmp_path / "build" / "book"
    index = book.build(tmp_path, output)
    assert index == output / "index.html" and (output / "book" / "intro.html").exists()

    intro.write_text(intro.read_text() + "\n\nSee {ref}`nowhere`.\n")
    with pytest.raises(book.BookError, match="strict build"):
        book.build(tmp_path, output)
    assert "nowhere" in capfd.readouterr().err
    assert "nowhere" not in (output / "book" / "intro.html").read_text()
    assert (tmp_path / "build" / "book.failed" / "book" / "intro.html").exists()
    assert sorted(path.name for path in output.parent.iterdir()) == ["book", "book.failed"]


def test_the_book_is_made_by_the_snakefile(monkeypatch):
    asked = []

    def run(command, **options):
        asked.append((command, options["cwd"]))
        return SimpleNamespace(returncode=len(asked) - 1)

    monkeypatch.setattr(book.subprocess, "run", run)
    assert book.make("smoke") == paths.BUILD / "book" / "index.html"
    with pytest.raises(book.BookError, match="stands above"):
        book.make("smoke")
    command, folder = asked[0]
    assert command[:3] == [sys.executable, "-m", "snakemake"] and folder == paths.ROOT
    assert command[-2:] == ["--config", "profile=smoke"]


def test_a_book_that_cannot_be_moved_leaves_the_earlier_one(tmp_path, monkeypatch):
    pages, output = tmp_path / "pages", tmp_path / "book"
    for folder in (pages, output):
        folder.mkdir()
        (folder / "index.html").write_text(folder.name)
    replace = os.replace

    def busy(source, target):
        if source == pages:
            raise OSError("device or resource busy")
        replace(source, target)

    monkeypatch.setattr(os, "replace", busy)
    with pytest.raises(OSError, match="busy"):
        book._put_in_place(pages, output)
    assert (output / "index.html").read_text() == "book"
    monkeypatch.setattr(os, "replace", replace)
    book._put_in_place(pages, output)
    assert (output / "index.html").read_text() == "pages"
    assert [path.name for path in tmp_path.iterdir()] == ["book"]


def test_a_parameter_that_papermill_would_only_log_is_refused():
    known = ("profile", "seed")
    book.refuse_unknown_parameters({"profile", "seed", "In", "get_ipython", "_i1"}, known)
    with pytest.raises(ConfigError, match="profle.*Did you mean 'profile'"):
        book.refuse_unknown_parameters({"profle", "In"}, known)


def test_a_figure_that_is_named_but_not_drawn_is_a_problem(tmp_path):
    toc = tmp_path / "_toc.yml"
    toc.write_text("format: jb-book\nroot: intro\nchapters:\n- file: executed/01_x\n")
    (tmp_path / "executed").mkdir()
    cell = nbformat.v4.new_code_cell("figure")
    data = {"text/plain": "<Figure size 10x10 with 1 Axes>"}
    cell.outputs = [nbformat.v4.new_output("execute_result", data=data)]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "executed" / "01_x.ipynb")
    problems = book_checks.notebook_problems(tmp_path / "executed", toc)
    assert len(problems) == 1 and "not drawn" in problems[0]


def test_a_split_by_signers_says_how_many_hands_and_people():
    split = {"train": {"signers": [0, 400], "hands": 30_000}, "test": {"signers": [1000, 1064], "hands": 20}}
    assert book._split_line(split) == "train 30,000 hands by 400 signers, test 20 hands by 64 signers"
    films = {"gesture_validation": {"clips": 4, "signers": [7, 9]}}
    assert book._split_line(films) == "gesture validation 4 clips by 2 signers"
    assert book._split_line({"name": "fixed", "seen": [1, 2], "unseen": [3]}) == "fixed, 2 seen, 1 unseen"
