"""fit(): the one training loop of the book, with its schedules, checkpoints and JSON-lines history."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from thesislib.files import write_whole
from thesislib.runtime import seed_everything


class TrainingDiverged(RuntimeError):
    """The loss became infinite or not a number."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained; the defaults are the thesis's (Ignatiev 2019, section 3.1.2).

    ``schedule`` is 'sgdr' (a linear warm-up, then cosine arcs that restart at the epochs in ``restarts``,
    counted from the start), 'one_cycle' (up for ``warmup_epochs``, then one cosine down to ``lr_min``) or
    'constant' (``lr_max`` after the warm-up). ``precision`` is that of the forward and backward pass.
    """

    epochs: int = 20
    batch_size: int = 1024
    optimizer: Literal["sgd", "adam", "adamw", "adabound"] = "sgd"
    schedule: Literal["sgdr", "one_cycle", "constant"] = "sgdr"
    lr_max: float = 0.1
    lr_min: float = 1e-4
    warmup_epochs: float = 5
    warmup_lr: float = 1e-5
    restarts: tuple[int, ...] = (5, 10)
    weight_decay: float = 1e-4
    precision: Literal["fp32", "bf16"] = "fp32"


def learning_rate(recipe: Recipe, epoch: float) -> float:
    """Return the learning rate at a fractional epoch (Ignatiev 2019, eq. 3.7, read as SGDR).

    As printed, eq. 3.7 has cos(2 pi .), which starts and ends a cycle at the minimum; the warm restarts that
    the text names start at the maximum and fall by a half cosine. This is the latter.
    """
    if epoch < recipe.warmup_epochs:
        return recipe.warmup_lr + (recipe.lr_max - recipe.warmup_lr) * epoch / recipe.warmup_epochs
    if recipe.schedule == "constant":
        return recipe.lr_max
    arcs = [recipe.warmup_epochs, recipe.epochs]
    if recipe.schedule == "sgdr":
        arcs += [r for r in recipe.restarts if recipe.warmup_epochs < r < recipe.epochs]
    last = max(a for a in arcs if a <= epoch) if epoch < recipe.epochs else recipe.warmup_epochs
    following = min((a for a in arcs if a > epoch), default=recipe.epochs)
    progress = min((epoch - last) / max(following - last, 1e-9), 1.0)
    return recipe.lr_min + (recipe.lr_max - recipe.lr_min) * (1 + math.cos(math.pi * progress)) / 2


def parameter_groups(modules: list[nn.Module], weight_decay: float) -> list[dict[str, Any]]:
    """Return two groups: weight matrices with decay; biases, norms and scalars (alpha, beta) without."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def make_optimizer(groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser of the parameter groups; SGD has Nesterov momentum 0.9, as in the thesis."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.lr_max, momentum=0.9, nesterov=True)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.lr_max)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr_max)
    from pytorch_optimizer import AdaBound  # imported here: no other recipe needs it

    # Luo et al. 2019 let it end at SGD's 0.1 from Adam's 0.001: a hundred times as much, and so it is here.
    return AdaBound(groups, lr=recipe.lr_max, final_lr=100 * recipe.lr_max)


def fit(
    network: nn.Module,
    loss: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    recipe: Recipe,
    *,
    folder: Path,
    seed: int,
    augment: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
    title: str = "training",
) -> list[dict[str, float]]:
    """Train a network in place and return its history, one mapping an epoch; resume where it was killed.

    ``inputs`` [N, ...] and ``targets`` [N, ...] live on the network's device. ``augment(inputs, targets)``
    returns a new batch there. ``loss(network(inputs), targets)`` may own parameters (alpha and beta; proxies):
    they are trained with the network's. After each epoch ``evaluate(network)``, with the network in evaluation
    mode, returns what else the history shall note. All that is random in an epoch follows from (seed, epoch),
    so a run resumed from the checkpoint of its last epoch ends with the same weights as an undisturbed one.
    The last incomplete batch of an epoch is left out. Raises TrainingDiverged on an infinite or undefined loss,
    ValueError where inputs and targets disagree.
    """
    if len(inputs) != len(targets) or len(inputs) < 2:
        raise ValueError(f"need at least two inputs, and a target for each: {len(inputs)}, {len(targets)}")
    finished, checkpoint = folder / "weights.safetensors", folder / "checkpoint.pt"
    trained = nn.ModuleDict({"network": network, "loss": loss})
    if finished.exists():
        trained.load_state_dict(load_file(finished, device=str(inputs.device)))
        network.eval()
        return read_history(folder)

    groups = parameter_groups([network, loss], recipe.weight_decay)
    optimizer = make_optimizer(groups, recipe)
    history: list[dict[str, float]] = []
    if checkpoint.exists():  # our own file, and read without unpickling arbitrary objects all the same
        saved = torch.load(checkpoint, map_location=inputs.device, weights_only=True)
        trained.load_state_dict(saved["trained"])
        optimizer.load_state_dict(saved["optimizer"])
        history = saved["history"]

    batch_size = min(recipe.batch_size, len(inputs))
    steps = max(len(inputs) // batch_size, 1)
    progress = tqdm(
        range(len(history), recipe.epochs), title, recipe.epochs, initial=len(history), leave=False
    )
    for epoch in progress:
        seed_everything(seed, epoch)
        network.train()
        total = torch.zeros((), device=inputs.device)
        order = torch.randperm(len(inputs)).to(inputs.device)
        for step, index in enumerate(order[: steps * batch_size].split(batch_size)):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, epoch + step / steps)
            x, y = inputs[index], targets[index]
            if augment is not None:
                x, y = augment(x, y)
            with torch.autocast(inputs.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
                value = loss(network(x), y)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            total += value.detach()
        mean_loss = float(total) / steps
        if not math.isfinite(mean_loss):
            raise TrainingDiverged(
                f"{title}: the loss is {mean_loss} in epoch {epoch + 1}; lower lr_max (now {recipe.lr_max}) "
                "or look for damaged inputs. The checkpoint of the epoch before is kept."
            )
        row = {"epoch": epoch + 1, "loss": mean_loss, "lr": learning_rate(recipe, epoch + 1 - 1 / steps)}
        if evaluate is not None:
            network.eval()
            with torch.inference_mode():
                row |= evaluate(network)
        history.append(row)
        progress.set_postfix(loss=f"{mean_loss:.3f}")
        state = {"trained": trained.state_dict(), "optimizer": optimizer.state_dict(), "history": history}
        write_whole(checkpoint, lambda path, state=state: torch.save(state, path))
    network.eval()
    lines = "".join(json.dumps(row) + "\n" for row in history)
    write_whole(folder / "history.jsonl", lambda path: path.write_text(lines, encoding="utf8"))
    weights = {name: tensor.contiguous() for name, tensor in trained.state_dict().items()}
    write_whole(finished, lambda path: save_file(weights, path))
    checkpoint.unlink(missing_ok=True)
    return history


def read_history(folder: Path) -> list[dict[str, float]]:
    """Return a finished run's history, one mapping an epoch."""
    return [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf8").splitlines()]
