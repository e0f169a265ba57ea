"""The training loop: its schedule against PyTorch's own, and runs that are killed, starved or fed nonsense."""

import copy
import errno
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

import thesislib
from thesislib import training
from thesislib.losses.pairwise import PairwiseCosineLoss
from thesislib.training import (
    Recipe,
    TrainingDiverged,
    fit,
    learning_rate,
    make_optimizer,
    parameter_groups,
    read_history,
)

SMALL = Recipe(epochs=4, batch_size=8, warmup_epochs=1, restarts=(2,))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums come in one order only with one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small_network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


def examples() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(7)
    inputs = torch.randn(50, 6, generator=random)
    return inputs, inputs[:, :3].argmax(1)


def noise(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x + 0.1 * torch.randn_like(x), y


def small_fit(folder: Path, *, network: nn.Module | None = None, loss: nn.Module | None = None, **changed):
    """Fit the small network; returns it, its loss and its history."""
    network, loss = network or small_network(), loss or nn.CrossEntropyLoss()
    options = {"recipe": SMALL, "seed": 3, "augment": noise} | changed
    history = fit(network, loss, *examples(), folder=folder, **options)
    return network, loss, history


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_what_is_evaluated_after_an_epoch_is_in_the_history(tmp_path):
    asked = []

    def evaluate(network: nn.Module) -> dict[str, float]:
        asked.append(network.training)
        return {"right": float((network(examples()[0]).argmax(1) == examples()[1]).float().mean())}

    network, _, history = small_fit(tmp_path, evaluate=evaluate)
    assert asked == [False] * SMALL.epochs  # in evaluation mode, and so once an epoch
    assert history[-1]["right"] == evaluate(network)["right"] and read_history(tmp_path) == history
    plain, _, _ = small_fit(tmp_path / "plain")
    assert same_weights(network, plain)  # asking changes nothing


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "adabound"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_optimiser_learns_in_both_precisions(tmp_path, optimizer, precision):
    recipe = Recipe(
        epochs=20,
        batch_size=10,
        optimizer=optimizer,
        precision=precision,
        schedule="constant",
        warmup_epochs=1,
    )
    recipe = replace(recipe, lr_max=0.05 if optimizer == "sgd" else 0.01)
    network, _, history = small_fit(tmp_path, recipe=recipe)
    assert history[-1]["loss"] < 0.6 * history[0]["loss"]
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_a_constant_rate_stays_after_the_warm_up():
    recipe = Recipe(schedule="constant", warmup_epochs=2, lr_max=0.3)
    assert learning_rate(recipe, 1) == pytest.approx(0.15, rel=1e-4)
    assert {learning_rate(recipe, epoch) for epoch in (2, 5, 7.5, 10, 20)} == {0.3}


# Schedules ------------------------------------------------------------------------------------------


def restarting(recipe: Recipe, first_arc: int, factor: int = 1) -> CosineAnnealingWarmRestarts:
    """PyTorch's own SGDR after the warm-up: arcs of first_arc, first_arc * factor, ... epochs."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=recipe.lr_max)
    return CosineAnnealingWarmRestarts(optimizer, T_0=first_arc, T_mult=factor, eta_min=recipe.lr_min)


@settings(deadline=None)  # the first optimizer of a process imports much of torch
@given(st.floats(0, 14.999))
def test_the_thesis_schedule_is_sgdr(after_warm_up):
    recipe = Recipe()  # 20 epochs: warm-up to 5, then arcs 5 to 10 and 10 to 20
    scheduler = restarting(recipe, 5, 2)
    scheduler.step(after_warm_up)
    assert learning_rate(recipe, 5 + after_warm_up) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-6)


@settings(deadline=None)  # the first optimizer of a process imports much of torch
@given(st.floats(0, 17.499))
def test_one_cycle_is_one_arc(after_warm_up):
    recipe = Recipe(schedule="one_cycle", warmup_epochs=2.5, restarts=(5, 10), lr_max=4e-3, lr_min=1e-5)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=recipe.lr_max)
    scheduler = CosineAnnealingWarmRestarts(optimizer, T_0=100, eta_min=recipe.lr_min)
    scheduler.step(after_warm_up / 17.5 * 100)  # the same arc, stretched: its restarts are not for one cycle
    assert learning_rate(recipe, 2.5 + after_warm_up) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-6)


@given(st.floats(0, 4.999))
def test_the_warm_up_is_a_straight_line(epoch):
    recipe = Recipe()
    assert learning_rate(recipe, epoch) == pytest.approx(1e-5 * (1 - epoch / 5) + 0.1 * epoch / 5, rel=1e-9)


def test_the_landmarks_of_the_thesis_schedule():
    recipe = Recipe()
    just_before = 1e-6
    assert learning_rate(recipe, 0) == 1e-5
    assert learning_rate(recipe, 5 - just_before) == pytest.approx(0.1, rel=1e-5)
    for start, end in ((5, 10), (10, 20)):
        assert learning_rate(recipe, start) == pytest.approx(0.1)
        assert learning_rate(recipe, (start + end) / 2) == pytest.approx((0.1 + 1e-4) / 2)
        assert learning_rate(recipe, end - just_before) == pytest.approx(1e-4, rel=1e-5)
    assert learning_rate(recipe, 20) == pytest.approx(1e-4)


recipes = st.builds(
    Recipe,
    epochs=st.integers(1, 30),
    schedule=st.sampled_from(["sgdr", "one_cycle"]),
    warmup_epochs=st.floats(0, 1),
    restarts=st.lists(st.integers(0, 40), max_size=4).map(tuple),
)


@given(recipes, st.floats(0, 1))
def test_the_rate_stays_between_its_ends(recipe, share):
    rate = learning_rate(recipe, share * recipe.epochs)
    assert min(recipe.lr_min, recipe.warmup_lr) <= rate <= recipe.lr_max * (1 + 1e-9)


@given(recipes, st.floats(0, 1))
def test_the_rate_jumps_at_restarts_alone(recipe, share):
    epoch, step = share * recipe.epochs, 1e-7
    restarts = recipe.restarts if recipe.schedule == "sgdr" else ()
    jump = learning_rate(recipe, min(epoch + step, recipe.epochs)) - learning_rate(recipe, epoch)
    if not any(abs(epoch - r) < 2 * step for r in (*restarts, recipe.warmup_epochs)):
        assert jump < 1e-3 or recipe.warmup_epochs < 1e-3


# One undisturbed run --------------------------------------------------------------------------------


def test_fit_is_deterministic(tmp_path):
    a, _, first = small_fit(tmp_path / "a")
    torch.manual_seed(12345)  # what came before does not matter
    b, _, second = small_fit(tmp_path / "b")
    assert first == second and same_weights(a, b)
    c, _, third = small_fit(tmp_path / "c", seed=4)
    assert third != first and not same_weights(a, c)


def test_the_history_has_a_row_an_epoch(tmp_path):
    _, _, history = small_fit(tmp_path)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    steps = 50 // 8
    for row in history:  # the rate of the epoch's last step
        assert row["lr"] == learning_rate(SMALL, row["epoch"] - 1 / steps)
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history == read_history(tmp_path)


def test_training_learns_and_ends_ready_to_use(tmp_path):
    network, _, history = small_fit(tmp_path, recipe=Recipe(epochs=30, batch_size=8, restarts=(10,)))
    inputs, targets = examples()
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert not any(module.training for module in network.modules())
    assert (network(inputs).argmax(1) == targets).float().mean() > 0.8


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adabound"])
def test_every_step_takes_the_rate_of_the_schedule(tmp_path, monkeypatch, optimizer):
    rates = []
    weights = [{"params": [nn.Parameter(torch.zeros(1))]}]
    kind = type(make_optimizer(weights, Recipe(optimizer=optimizer)))
    step = kind.step

    def watched(self, *arguments, **options):
        rates.append({group["lr"] for group in self.param_groups})
        return step(self, *arguments, **options)

    monkeypatch.setattr(kind, "step", watched)
    recipe = Recipe(epochs=3, batch_size=10, optimizer=optimizer, warmup_epochs=1, restarts=(2,))
    small_fit(tmp_path, recipe=recipe)
    assert rates == [{learning_rate(recipe, i // 5 + (i % 5) / 5)} for i in range(15)]


def test_every_epoch_sees_each_example_at_most_once_in_another_order(tmp_path):
    seen = []

    def watched(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(x[:, 0].tolist())
        return x, y

    small_fit(tmp_path, augment=watched)
    assert [len(batch) for batch in seen] == [8] * (6 * 4)  # 50 // 8 whole batches in 4 epochs
    epochs = [sum(seen[6 * e : 6 * e + 6], []) for e in range(4)]
    everything = set(examples()[0][:, 0].tolist())
    assert all(len(set(epoch)) == 48 and set(epoch) < everything for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_a_batch_larger_than_the_data_is_all_of_them(tmp_path):
    seen = []
    small_fit(tmp_path, recipe=Recipe(epochs=1), augment=lambda x, y: (seen.append(len(x)), (x, y))[1])
    assert seen == [50]


def test_parameters_of_the_loss_are_trained_and_kept(tmp_path):
    network, loss, _ = small_fit(tmp_path, loss=PairwiseCosineLoss())
    assert float(loss.alpha.detach()) != 2 and float(loss.beta.detach()) != -1
    kept = load_file(tmp_path / "weights.safetensors")
    assert torch.equal(kept["loss.alpha"], loss.alpha) and torch.equal(kept["loss.beta"], loss.beta)
    assert torch.equal(kept["network.0.weight"], network[0].weight)


def test_matrices_decay_and_vectors_do_not():
    network, loss = small_network(), PairwiseCosineLoss()
    network[4].requires_grad_(False)
    decayed, free = parameter_groups([network, loss], 0.25)
    assert [p.shape for p in decayed["params"]] == [(16, 6)] and decayed["weight_decay"] == 0.25
    assert [tuple(p.shape) for p in free["params"]] == [(16,), (16,), (16,), (), ()]
    assert free["weight_decay"] == 0


@pytest.mark.parametrize("inputs, targets", [(3, 4), (4, 3), (1, 1), (0, 0)])
def test_lengths_that_do_not_fit_raise(tmp_path, inputs, targets):
    with pytest.raises(ValueError, match=f"at least two inputs, and a target for each: {inputs}, {targets}"):
        fit(
            small_network(), nn.CrossEntropyLoss(), torch.zeros(inputs, 6), torch.zeros(targets).long(), SMALL,
            folder=tmp_path, seed=0,
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


# A finished run is loaded ---------------------------------------------------------------------------


class NeverAsked(nn.Module):
    def forward(self, *_):
        raise AssertionError("a finished run must not be trained again")


def test_a_finished_run_is_loaded(tmp_path):
    trained, _, history = small_fit(tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    loaded, _, same_history = small_fit(tmp_path, network=small_network(seed=1), loss=NeverAsked())
    assert same_history == history and same_weights(loaded, trained)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written
    assert sorted(path.name for path in written) == ["history.jsonl", "weights.safetensors"]


def test_a_loaded_network_answers_as_the_trained_one(tmp_path):
    trained, _, _ = small_fit(tmp_path)
    loaded, _, _ = small_fit(tmp_path, network=small_network(seed=1))
    assert [m.training for m in loaded.modules()] == [m.training for m in trained.modules()]
    inputs, _ = examples()
    assert torch.equal(loaded(inputs), trained(inputs))


# Killed and resumed ---------------------------------------------------------------------------------

# Starts the fit in a child process, kills it (SIGKILL) a random moment after its next checkpoint, and again,
# until one child comes to its end. Everything in one Python, so that torch is imported once.
KILLER = """
import importlib.util, json, os, random, signal, sys, time
from pathlib import Path
import torch

spec = importlib.util.spec_from_file_location("tests_of_training", sys.argv[1])
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
torch.set_num_threads(1)
folder, kills, moment = Path(sys.argv[2]), int(sys.argv[3]), random.Random(int(sys.argv[4]))


def version():
    try:
        return (folder / "checkpoint.pt").stat().st_ino
    except FileNotFoundError:
        return None


def start():
    child = os.fork()
    if child == 0:
        code = 1
        try:
            tests.small_fit(folder, loss=tests.PairwiseCosineLoss(), recipe=tests.LONG)
            code = 0
        finally:
            os._exit(code)
    return child


killed = []
for _ in range(kills):
    before, child = version(), start()
    ended = 0
    while version() == before and not ended:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.001)
    if not ended:
        time.sleep(moment.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        killed.append(len(torch.load(folder / "checkpoint.pt", weights_only=True)["history"]))
    else:
        break
else:
    _, status = os.waitpid(start(), 0)
print(json.dumps({"killed_after_epochs": killed, "status": status}))
"""

LONG = Recipe(epochs=12, batch_size=4, warmup_epochs=2, restarts=(6,))


def test_a_killed_run_resumes_to_the_very_same_weights(tmp_path):
    source = Path(thesislib.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", KILLER, __file__, str(tmp_path / "killed"), "5", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["status"] == 0
    killed = report["killed_after_epochs"]
    assert len(killed) >= 2 and killed == sorted(killed) and killed[0] < LONG.epochs

    _, _, history = small_fit(tmp_path / "calm", loss=PairwiseCosineLoss(), recipe=LONG)
    assert read_history(tmp_path / "killed") == history
    ours, theirs = (load_file(tmp_path / name / "weights.safetensors") for name in ("calm", "killed"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    left = {path.name for path in (tmp_path / "killed").iterdir() if not path.name.startswith(".")}
    assert left == {"history.jsonl", "weights.safetensors"}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adabound"])
@pytest.mark.parametrize("stop_at", [1, 7, 12, 23])  # batches: 6 an epoch, 4 epochs
def test_an_interrupted_run_resumes_to_the_very_same_weights(tmp_path, optimizer, stop_at):
    recipe = Recipe(epochs=4, batch_size=8, optimizer=optimizer, warmup_epochs=1, restarts=(2,))
    calm, _, history = small_fit(tmp_path / "calm", recipe=recipe)
    batches = 0

    def interrupted(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal batches
        batches += 1
        if batches > stop_at:
            raise KeyboardInterrupt
        return noise(x, y)

    with pytest.raises(KeyboardInterrupt):
        small_fit(tmp_path / "stopped", recipe=recipe, augment=interrupted)
    start = small_network(seed=0 if stop_at < 6 else 1)  # which weights it starts from counts no more
    resumed, _, same_history = small_fit(tmp_path / "stopped", network=start, recipe=recipe)
    assert same_history == history and same_weights(resumed, calm)


# What can go wrong ----------------------------------------------------------------------------------


class FailsAfter(nn.Module):
    """Cross entropy that becomes ``value`` after so many batches."""

    def __init__(self, batches: int, value: float) -> None:
        super().__init__()
        self.batches, self.value = batches, value

    def forward(self, scores: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        self.batches -= 1
        loss = nn.functional.cross_entropy(scores, label)
        return loss if self.batches >= 0 else loss * self.value


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_diverging_loss_keeps_the_checkpoint_before(tmp_path, value):
    with pytest.raises(TrainingDiverged, match="hands: the loss is .* in epoch 3; lower lr_max .now 0.1."):
        small_fit(tmp_path, loss=FailsAfter(2 * 6 + 3, value), title="hands")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert [row["epoch"] for row in saved["history"]] == [1, 2]
    assert all(tensor.isfinite().all() for tensor in saved["trained"].values())

    calm, _, history = small_fit(tmp_path / "calm")  # and a healthy loss goes on from there
    resumed, _, same_history = small_fit(tmp_path)
    assert same_history == history and same_weights(resumed, calm)


def test_damaged_inputs_are_noticed_in_the_first_epoch(tmp_path):
    inputs, targets = examples()
    inputs[3, 2] = math.nan
    recipe = Recipe(epochs=2, batch_size=50)
    with pytest.raises(TrainingDiverged, match="in epoch 1.*damaged inputs"):
        fit(small_network(), nn.CrossEntropyLoss(), inputs, targets, recipe, folder=tmp_path, seed=0)
    assert not list(tmp_path.iterdir())


def full_disk(*arguments, **_):
    for target in arguments:
        if isinstance(target, Path) and target.name.startswith("."):  # a temporary file
            target.write_bytes(b"half")
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("place", [(torch, "save"), (os, "replace"), (training, "save_file")])
@pytest.mark.parametrize("epochs_before", [0, 2])
def test_a_full_disk_leaves_no_half_file(tmp_path, monkeypatch, place, epochs_before):
    if epochs_before:
        with pytest.raises(TrainingDiverged):
            small_fit(tmp_path, loss=FailsAfter(6 * epochs_before, math.nan))
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(*place, full_disk)
        with pytest.raises(OSError, match="No space left"):
            small_fit(tmp_path)
    now = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    if place[1] == "save_file":  # every epoch was stored, only the last file was not
        assert set(now) == {"checkpoint.pt", "history.jsonl"}
        saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
        assert len(saved["history"]) == SMALL.epochs
    else:
        assert now == kept

    calm, _, history = small_fit(tmp_path / "calm")  # with room again, the run goes on
    resumed, _, same_history = small_fit(tmp_path)
    assert same_history == history and same_weights(resumed, calm)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    with pytest.raises(TrainingDiverged):
        small_fit(tmp_path, loss=FailsAfter(6, math.nan))
    other = copy.deepcopy(small_network())
    other[4] = nn.Linear(16, 5)
    with pytest.raises(RuntimeError, match="size mismatch"):
        small_fit(tmp_path, network=other)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    marker = tmp_path / "code_ran"

    class Evil:
        def __reduce__(self):
            return (Path.touch, (marker,))

    torch.save({"trained": Evil()}, tmp_path / "checkpoint.pt")
    with pytest.raises(Exception, match="(?i)weights.only"):
        small_fit(tmp_path)
    assert not marker.exists()
