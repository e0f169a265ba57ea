import ast
import errno
import json
import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thesislib import paths, results
from thesislib.config import ExperimentConfig
from thesislib.results import RecordError

MODULE = "thesislib.losses.pairwise"  # some module whose code a record may name
CONFIG = ExperimentConfig(profile_name="full", seed=3)


def record(config: ExperimentConfig = CONFIG, *, sha256: str = "a" * 64, **metrics) -> dict:
    return results.make_record(
        "experiment",
        config,
        module=MODULE,
        data={"sha256": sha256},
        split={},
        metrics=metrics or {"accuracy": 0.5},
        published={},
        environment={},
        wall_seconds=1.0,
    )


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "QUICK_RESULTS", tmp_path / "quick")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in place of ours; returns a function that writes one of its modules."""
    root = tmp_path / "thesislib"

    def write(module: str, source: str) -> None:
        path = root / f"{module.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        forget()

    def forget() -> None:
        results._tree.cache_clear()
        results._imports.cache_clear()

    monkeypatch.setattr(results, "PACKAGE", root)
    write("__init__", "")
    yield write
    forget()


# Files ----------------------------------------------------------------------------------------------


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=json_values)
def test_json_comes_back_unrounded(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "deep" / "value.json"
    results.write_json(path, value)
    assert json.loads(path.read_text()) == value
    assert [p.name for p in path.parent.iterdir()] == ["value.json"]


@pytest.mark.parametrize("value", [math.nan, [math.inf], {"a": object()}])
def test_what_json_cannot_hold_leaves_the_old_file(tmp_path, value):
    path = tmp_path / "value.json"
    results.write_json(path, "old")
    with pytest.raises((ValueError, TypeError)):
        results.write_json(path, {"first": "part", "second": value})
    assert json.loads(path.read_text()) == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["value.json", "value.npz"])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, name):
    def write(number: int) -> None:
        if name == "value.json":
            results.write_json(tmp_path / name, number)
        else:
            results.write_arrays(tmp_path / name, {"number": np.array(number)})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    write(1)
    before = (tmp_path / name).read_bytes()
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write(2)
    assert (tmp_path / name).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_arrays_come_back(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float16).reshape(2, 3), "b": np.array([True, False])}
    results.write_arrays(tmp_path / "deep" / "a.npz", arrays)
    back = results.read_arrays(tmp_path / "deep" / "a.npz")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype


def test_damaged_arrays_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(RecordError, match="run again"):
        results.read_arrays(path)
    results.write_arrays(path, {"a": np.arange(1000)})
    whole = path.read_bytes()
    for part in (whole[: len(whole) // 2], b"", b"no archive"):
        path.write_bytes(part)
        with pytest.raises(RecordError, match=r"a\.npz.*delete the record beside it"):
            results.read_arrays(path)
    np.savez(path, a=np.array([{"pickled": 1}], dtype=object))
    with pytest.raises(RecordError):
        results.read_arrays(path)


def test_bad_records_are_refused(tmp_path):
    path = tmp_path / "record.json"
    with pytest.raises(RecordError, match="no record at .*thesis run"):
        results.read_record(path)
    text = json.dumps(record())
    for part in (text[:-5], "", "\x00"):
        path.write_text(part)
        with pytest.raises(RecordError, match="not a readable record.*run again"):
            results.read_record(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RecordError, match="not a readable record"):
        results.read_record(path)
    for foreign in ([], 3, {"format": results.FORMAT + 1}, {"format": results.FORMAT}, {"accuracy": 0.5}):
        path.write_text(json.dumps(foreign))
        with pytest.raises(RecordError, match=f"not a record of format {results.FORMAT}"):
            results.read_record(path)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_no_number_is_refused_by_name(bad):
    with pytest.raises(RecordError, match=r"metric embeddings\.head\.curve\[1\] is"):
        record(embeddings={"head": {"curve": [0.5, bad]}})


def test_a_record_says_what_made_it():
    made = record()
    assert made["config"] == {"profile_name": "full", "seed": 3}
    assert made["config_digest"] == CONFIG.digest()
    assert made["source_hash"] == results.source_hash(MODULE)
    json.dumps(made, allow_nan=False)


def test_where_records_live(tmp_path):
    name = results.record_name(CONFIG, "label")
    assert name == f"label-{CONFIG.digest()}"
    assert results.record_path("e", name, committed=True) == tmp_path / "results" / "e" / f"{name}.json"
    assert results.record_path("e", name, committed=False) == tmp_path / "quick" / "e" / f"{name}.json"


def test_committed_records_come_in_order_of_their_names(tmp_path):
    for seed in (2, 0, 1):
        made = record(ExperimentConfig(seed=seed))
        results.write_json(results.record_path("e", f"seed{seed}", committed=True), made)
    assert [r["config"]["seed"] for r in results.committed_records("e")] == [0, 1, 2]
    assert results.committed_records("nothing") == []


def test_a_stored_configuration_is_found_by_its_values():
    for seed in (2, 5):
        made = record(ExperimentConfig(profile_name="full", seed=seed))
        results.write_json(results.record_path("e", f"seed{seed}", committed=True), made)
    found = results.stored_config("e", ExperimentConfig, seed=5)
    assert found == ExperimentConfig(profile_name="full", seed=5)
    assert results.stored_config("e", ExperimentConfig, seed=3) is None
    assert results.stored_config("nothing", ExperimentConfig) is None
    with pytest.raises(RecordError, match="2 stored records of e have .*full.*tells them apart"):
        results.stored_config("e", ExperimentConfig, profile_name="full")


# Stored or measured ---------------------------------------------------------------------------------


class Measure:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict:
        self.times += 1
        return record(accuracy=self.times / 10)


def ask(measure: Measure, *, committed: bool, sha256: str | None = "a" * 64, config=CONFIG) -> dict:
    path = results.record_path("e", "record", committed=committed)
    return results.cached(path, config, MODULE, measure, lambda: sha256)


@pytest.mark.parametrize("committed", [True, False])
def test_a_run_is_measured_once(committed):
    measure = Measure()
    first = ask(measure, committed=committed)
    assert ask(measure, committed=committed) == first
    assert measure.times == 1
    assert results.read_record(results.record_path("e", "record", committed=committed)) == first


@pytest.mark.parametrize("committed, times", [(True, 1), (False, 2)])
def test_changed_code_makes_a_quick_run_again_and_keeps_a_committed_record(monkeypatch, committed, times):
    measure = Measure()
    ask(measure, committed=committed)
    monkeypatch.setattr(results, "source_hash", lambda module: "changed")
    ask(measure, committed=committed)
    assert measure.times == times


@pytest.mark.parametrize("committed", [True, False])
def test_another_configuration_is_measured_again(committed):
    measure = Measure()
    ask(measure, committed=committed)
    ask(measure, committed=committed, config=ExperimentConfig(seed=4))
    assert measure.times == 2


@pytest.mark.parametrize("committed", [True, False])
def test_an_edited_record_is_refused_and_not_overwritten(committed):
    measure = Measure()
    made = ask(measure, committed=committed)
    path = results.record_path("e", "record", committed=committed)
    for edited in ({"config": made["config"] | {"seed": 4}}, {"config_digest": "00000000"}):
        results.write_json(path, made | edited)
        with pytest.raises(RecordError, match=r"record\.json was edited"):
            ask(measure, committed=committed)
    assert measure.times == 1


@pytest.mark.parametrize("committed", [True, False])
def test_other_data_are_refused_and_missing_data_are_not(committed):
    measure = Measure()
    first = ask(measure, committed=committed)
    assert ask(measure, committed=committed, sha256=None) == first
    with pytest.raises(RecordError, match="measured on other data .aaaaaaaaaaaa. .*now .bbbbbbbbbbbb"):
        ask(measure, committed=committed, sha256="b" * 64)
    assert measure.times == 1


def test_a_measurement_that_fails_stores_nothing():
    def fail() -> dict:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        ask(fail, committed=False)
    assert not list(paths.QUICK_RESULTS.rglob("*"))


def test_a_damaged_stored_record_is_an_error_and_not_overwritten():
    path = results.record_path("e", "record", committed=True)
    path.parent.mkdir(parents=True)
    path.write_text('{"format": 1, "conf')
    measure = Measure()
    with pytest.raises(RecordError, match="not a readable record"):
        ask(measure, committed=True)
    assert measure.times == 0 and path.read_text() == '{"format": 1, "conf'


def test_the_state_of_a_record(monkeypatch):
    made = record()
    assert results.state(made) == "fresh"
    assert results.state({**made, "config": {**made["config"], "seed": 4}}) == "edited"
    assert results.state({**made, "config_digest": "00000000"}) == "edited"
    assert results.state({**made, "config": {**made["config"], "profile_name": "quick"}}) == "fresh"
    assert results.state({**made, "source_hash": "0" * 16}) == "code changed"
    with pytest.raises(RecordError, match="thesislib.gone.*does not exist"):
        results.state({**made, "module": "thesislib.gone"})


def test_a_record_stays_fresh_on_disk():
    path = results.record_path("e", "record", committed=True)
    results.write_json(path, record())
    assert results.state(results.read_record(path)) == "fresh"


# Source hashes --------------------------------------------------------------------------------------

PLAIN = "def double(x):\n    return 2 * x\n"


@pytest.mark.parametrize(
    "same",
    [
        "# A comment.\ndef double(x):  # another\n    return 2 * x\n",
        '"""A module."""\n\n\ndef double(x):\n    """Return twice x."""\n    return 2 * x\n',
        "def double(\n    x,\n):\n\n    return (2 *\n            x)\n",
        "def double(x): return 2*x",
        "def double(x):\r\n\treturn 2 * x\r\n",
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(package, same):
    package("a", PLAIN)
    before = results.source_hash("thesislib.a")
    package("a", same)
    assert results.source_hash("thesislib.a") == before


@pytest.mark.parametrize(
    "other",
    [
        "def double(x):\n    return 3 * x\n",
        "def double(x):\n    return 2.0 * x\n",
        "def double(x):\n    return x * 2\n",
        "def double(y):\n    return 2 * y\n",
        "def double(x=1):\n    return 2 * x\n",
        "def double(x):\n    2 * x\n",
        "async def double(x):\n    return 2 * x\n",
        PLAIN + "SIZE = 1\n",
        "def double(x):\n    'docstring'\n    'no docstring'\n    return 2 * x\n",
    ],
)
def test_code_counts(package, other):
    package("a", PLAIN)
    before = results.source_hash("thesislib.a")
    package("a", other)
    assert results.source_hash("thesislib.a") != before


def test_a_class_or_function_that_is_all_docstring_is_one_that_passes(package):
    package("a", 'class A:\n    """Doc."""\n\n\ndef f():\n    """Doc."""\n')
    before = results.source_hash("thesislib.a")
    package("a", "class A:\n    pass\n\n\ndef f():\n    pass\n")
    assert results.source_hash("thesislib.a") == before


@pytest.mark.parametrize(
    "import_b",
    [
        "import thesislib.deep.b\n",
        "import thesislib.deep.b as other\n",
        "from thesislib.deep import b\n",
        "from thesislib.deep.b import double\n",
        "def late():\n    from thesislib.deep.b import double\n",
        "from thesislib import c\n",  # which imports b
    ],
)
def test_imports_are_followed(package, import_b):
    package("deep.__init__", "")
    package("deep.b", PLAIN)
    package("c", "import math\nfrom thesislib.deep.b import double\n")
    package("unrelated", PLAIN)
    package("a", import_b)
    before = results.source_hash("thesislib.a")
    package("unrelated", "CHANGED = 1\n")
    assert results.source_hash("thesislib.a") == before
    package("deep.b", PLAIN.replace("2", "3"))
    assert results.source_hash("thesislib.a") != before


def test_importing_something_of_another_name_counts(package):
    package("deep.__init__", "SIZE = 1\n")
    package("a", "from thesislib.deep import SIZE\n")
    before = results.source_hash("thesislib.a")
    package("deep.__init__", "SIZE = 2\n")
    assert results.source_hash("thesislib.a") != before


def test_modules_that_import_each_other_end(package):
    package("a", "from thesislib import b\n")
    package("b", "from thesislib import a\n")
    assert results.source_hash("thesislib.a") == results.source_hash("thesislib.b")


def test_bookkeeping_does_not_count(package):
    package("a", "import thesislib\nfrom thesislib import paths, published, results\n")
    for name in ("paths", "published", "results"):
        package(name, "import thesislib.elsewhere\n")
    package("elsewhere", PLAIN)
    before = results.source_hash("thesislib.a")
    for name in ("paths", "published", "results", "elsewhere", "__init__"):
        package(name, "CHANGED = 1\n")
    assert results.source_hash("thesislib.a") == before


def test_a_module_that_is_not_there_is_an_error(package):
    with pytest.raises(RecordError, match="thesislib.gone of a record does not exist"):
        results.source_hash("thesislib.gone")


def test_the_chapter_hashes_what_it_stands_on():
    stands_on = results._imported({"thesislib.chapters.learning_to_compare"})
    assert {
        f"thesislib.{name}"
        for name in (
            "config", "training", "transforms.glyphs", "losses.pairwise", "networks.blocks", "datasets.glyphs",
            "synthetic.script", "evaluation.low_shot", "chapters.character_stages", "chapters.looking_inside",
        )
    } <= stands_on  # fmt: skip
    assert not {"thesislib.book", "thesislib.cli", "thesislib.published"} & stands_on


def test_a_tree_reads_the_same_under_every_python():
    tree = ast.parse("def f(x=None):\n    return x[1:]\n")
    text = (
        "Module(body=[FunctionDef(name='f',args=arguments(args=[arg(arg='x')],defaults=[Constant()]),"
        "body=[Return(value=Subscript(value=Name(id='x',ctx=Load()),slice=Slice(lower=Constant(value=1)),"
        "ctx=Load()))])])"
    )
    assert results._dump(tree) == text
    function = tree.body[0]  # a later Python gives nodes another, empty field
    function._fields = (*function._fields, "field_of_a_later_python")
    function.field_of_a_later_python = []
    assert results._dump(tree) == text


@pytest.mark.parametrize(
    "a, b",
    [
        ("x = 1", "x = True"),
        ("x = 0", "x = False"),
        ("x = 1", "x = 1.0"),
        ("x = 'a'", "x = b'a'"),
        ("x = None", "x = 'None'"),
        ("x[:]", "x[None]"),
        ("f(a, b)", "f([a, b])"),
        ("x = 'a', 'b'", "x = \"a', 'b\""),
        ("{**a}", "{a}"),
        ("def f(*, a=1, b): pass", "def f(*, a, b=1): pass"),
    ],
)
def test_different_code_has_different_text(a, b):
    assert results._dump(ast.parse(a)) != results._dump(ast.parse(b))
