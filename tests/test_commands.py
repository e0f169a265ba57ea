"""The files that start everything: make, conda, Snakemake, continuous integration, the pinned versions."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

import thesislib
from thesislib import book, cli, paths, results
from thesislib.config import PROFILES, ExperimentConfig

PROJECT = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
MAKEFILE = (paths.ROOT / "Makefile").read_text(encoding="utf8")
TARGETS = ("help", "book", "records", "test", "lab", "lint", "clean")


def pins() -> dict[str, str]:
    lines = (paths.ROOT / "constraints.txt").read_text(encoding="utf8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_every_requirement_has_a_pin_that_satisfies_it():
    pinned = {name.lower().replace("_", "-"): version for name, version in pins().items()}
    for text in PROJECT["dependencies"] + [r for extra in EXTRAS.values() for r in extra]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pinned[requirement.name]), text
    assert "+" not in "".join(pinned.values())  # a local version such as +cpu would fit one machine only


def test_conda_users_get_what_pyproject_names():
    environment = yaml.safe_load((paths.ROOT / "environment.yml").read_text(encoding="utf8"))
    *conda, pip = environment["dependencies"]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    options = dict(line.split(" ", 1) for line in pip["pip"])
    assert options["--constraint"] == "constraints.txt"
    assert options["--editable"] == ".[book,test]"
    assert set(EXTRAS) == {"book", "test", "peers", "cluster", "video"}


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make on this machine")
@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_the_target_and_says_what_it_does(target: str):
    subprocess.run(["make", "--dry-run", target], cwd=paths.ROOT, check=True, capture_output=True)
    assert re.search(rf"^{target}:.* ## \w", MAKEFILE, re.MULTILINE)


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make on this machine")
def test_make_works_in_a_folder_with_a_space_in_its_name(tmp_path):
    checkout = tmp_path / "my thesis"
    tools = checkout / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(paths.ROOT / name, checkout)
    for tool in ("thesis", "snakemake", "python", "ruff"):
        (tools / tool).write_text(f'#!/bin/sh\necho {tool} "$@" >> called\n')
        (tools / tool).chmod(0o755)
    (checkout / ".venv" / ".installed").touch()
    for target in ("book", "records", "unlock", "test", "lint"):
        subprocess.run(["make", target], cwd=checkout, check=True, capture_output=True)
    called = (checkout / "called").read_text().splitlines()
    assert [line.split()[0] for line in called] == ["thesis", *["snakemake"] * 2, "python", "ruff", "ruff"]
    assert called[0] == "thesis book --profile quick" and called[1].endswith("records")


def test_the_citation_file_agrees_with_the_package():
    citation = yaml.safe_load((paths.ROOT / "CITATION.cff").read_text(encoding="utf8"))
    assert citation["version"] == PROJECT["version"] == thesislib.__version__
    assert citation["license"] == PROJECT["license"]


@pytest.mark.parametrize("name", ["tests", "publish"])
def test_workflows_run_commands_that_exist(name: str):
    text = (paths.ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf8")
    steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
    commands = [step["run"].split() for step in steps if "run" in step]
    assert commands
    for command in commands:
        if command[0] == "make":
            assert command[1] in TARGETS
            for setting in command[2:]:
                assert setting.removeprefix("PROFILE=") in PROFILES
        else:
            assert command == ["bash", ".ci/run"]


def test_continuous_integration_ends_with_the_test_suite():
    script = paths.ROOT / ".ci" / "run"
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert script.read_text(encoding="utf8").splitlines()[-1] == "make test"
    assert script.stat().st_mode & 0o111


def dry_run(*arguments: str, cores: int = 1) -> str:
    """Return what Snakemake would do, from nothing."""
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", "workflow/Snakefile"]
    options = ["--cores", str(cores), "--dry-run", "--forceall", "--printshellcmds", "--nolock"]
    done = subprocess.run(
        [*snakemake, *options, *arguments],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_snakemake_runs_every_notebook_and_then_builds_the_book():
    plan = dry_run("--config", "profile=smoke")
    order = re.findall(r"thesislib\.cli (execute notebooks/\S+ --profile smoke|build)", plan)
    executions = [f"execute notebooks/{path.name} --profile smoke" for path in book.notebooks()]
    assert sorted(order[:-1]) == executions
    assert order[-1] == "build"


@pytest.fixture(scope="module")
def planned() -> list[tuple[str, ExperimentConfig]]:
    """Experiment and configuration of each run that `make records` orders."""
    runs = []
    for experiment, parameters in re.findall(
        r"thesislib\.cli run (\w+) --profile full (.*)", dry_run("records")
    ):
        words = shlex.split(parameters)
        pairs = [words[i + 1 : i + 3] for i, word in enumerate(words) if word == "-p"]
        chapter = importlib.import_module(f"thesislib.chapters.{experiment}")
        runs.append((experiment, chapter.Config.profile("full", **cli.values(pairs))))
    return runs


def test_snakemake_names_each_run_of_the_records_once(planned):
    digests = [(experiment, config.digest()) for experiment, config in planned]
    assert len(digests) == len(set(digests)) > 1


def test_make_records_finds_every_stored_record_and_measures_none_again(planned):
    digests = {(experiment, config.digest()) for experiment, config in planned}
    stored = sorted(paths.RESULTS.glob("*/*.json"))
    assert stored
    for path in stored:
        record = results.read_record(path)
        chapter = importlib.import_module(record["module"])
        config = chapter.Config(**record["config"])  # of today's code, which may have renamed a parameter
        assert chapter.record_path(config) == path
        assert (record["experiment"], config.digest()) in digests, f"no rule makes {path.name}"


SLURM = paths.ROOT / "workflow" / "profiles" / "slurm"


def jobs(plan: str) -> list[dict[str, str]]:
    """Return the jobs of a dry run: name of the rule, threads, command, and each resource."""
    found = []
    for rule, body in re.findall(r"^rule (\w+):\n((?:    .*\n)+)", plan, re.MULTILINE):
        fields = dict(re.findall(r"^    (\w+): (.*)$", body, re.MULTILINE))
        resources = dict(re.findall(r"(\w+)=([^,]+)", fields.get("resources", "")))
        found.append(
            {"rule": rule, "threads": fields.get("threads", "1"), "wildcards": "", **fields, **resources}
        )
    return found


@pytest.mark.parametrize(
    "executor",
    [
        "local",
        pytest.param(
            "slurm",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
                reason="the Slurm plugin is not installed; pip install -c constraints.txt -e '.[cluster]'",
            ),
        ),
    ],
)
def test_on_a_cluster_each_run_is_a_job_with_its_threads_memory_and_minutes(executor: str):
    plan = dry_run("records", "book", "--profile", str(SLURM), "--executor", executor, cores=64)
    runs = [job for job in jobs(plan) if job["rule"] == "record"]
    commands = re.findall(r"thesislib\.cli (run .*)", plan)
    assert len(runs) == len(commands) == len({job["wildcards"] for job in runs}) > 1
    for job in jobs(plan):
        if job["rule"] not in ("records", "book"):  # these only name others
            assert int(job["mem_mb"]) >= 1000 and int(job["runtime"]) >= 30, job
            assert job["threads"] == ("4" if job["rule"] == "notebook" else "1")
    longest = max(runs, key=lambda job: int(job["runtime"]))
    assert longest["wildcards"].startswith("experiment=finding_joints")


def test_the_profile_for_slurm_names_only_options_and_rules_that_exist():
    profile = yaml.safe_load((SLURM / "config.yaml").read_text(encoding="utf8"))
    options = subprocess.run(
        [sys.executable, "-m", "snakemake", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert profile["executor"] == "slurm" and profile["cores"] >= profile["jobs"]  # a real run needs `cores`
    for name in profile:
        assert f"--{name} " in options or f"--{name}," in options or f"--{name}\n" in options, name
    rules = re.findall(r"^rule (\w+):", (paths.ROOT / "workflow" / "Snakefile").read_text(), re.MULTILINE)
    assert set(profile["set-threads"]) <= set(rules)
