"""The hand model fitted to registered scans: meshes in the model's own topology (Komorowicz 2018, section 5.3.2).

A scan tells where each vertex of the model should be. Three stages look for the parameters that bring it there:
first pose, rotation and translation, then the shape, then all of them. Several scans of one person may share one
shape (eq. 5.2). Lengths are in hand units, angles in radians, P people with K scans each.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from thesislib.config import unknown
from thesislib.hand_model import HandModel, axis_angles, posed
from thesislib.least_squares import Predict, levenberg_marquardt, normal_equations, solved

POSE, SHAPE = ("pose", "rotation", "translation"), ("shape",)
SIZES = {"pose": 45, "rotation": 3, "translation": 3, "shape": 10}
OPTIMISERS = ("sgd", "momentum", "adam", "levenberg_marquardt")

# Step sizes of the first three. The thesis names none; chapters.fitting_scans compares others.
RATES = {"sgd": 0.4, "momentum": 0.4, "adam": 0.03}


@dataclass(frozen=True)
class Stage:
    """So many iterations in which only the named parameters move; ``free`` is POSE, SHAPE or both."""

    name: str
    free: tuple[str, ...]
    iterations: int


def three_stages(iterations: int) -> tuple[Stage, ...]:
    """Return the thesis's stages, a third of the iterations each: pose, shape, both."""
    third = iterations // 3
    return (
        Stage("pose", POSE, third),
        Stage("shape", SHAPE, third),
        Stage("both", POSE + SHAPE, iterations - 2 * third),
    )


@dataclass(frozen=True)
class Fit:
    """Parameters of P people's K scans: pose [P, K, 45], rotation and translation [P, K, 3], shape [P, S, 10].

    S is 1 where a person's scans share the shape, else K. ``history`` holds what was asked for on the way.
    """

    pose: Tensor
    rotation: Tensor
    translation: Tensor
    shape: Tensor
    history: tuple["Moment", ...] = ()

    def first(self, count: int) -> "Fit":
        """Return the parameters of each person's first scans, without history."""
        return Fit(**{name: getattr(self, name)[:, :count] for name in SIZES})


@dataclass(frozen=True)
class Moment:
    """Where a fit stood after so many iterations, the last of them in this stage."""

    iteration: int
    stage: str
    fit: Fit


def fit_scans(
    model: HandModel,
    scans: Tensor,
    *,
    stages: Sequence[Stage] = three_stages(300),
    shared_shape: bool = True,
    optimiser: str = "levenberg_marquardt",
    rate: float | None = None,
    in_turn: bool = False,
    start: Fit | None = None,
    watch: Sequence[int] = (),
) -> Fit:
    """Fit the model to scans [P, K, V, 3] by the squared distance of vertices; all people at once, each alone.

    The loss is eq. 5.2 divided by V; without ``shared_shape`` each scan has a shape of its own, eq. 5.1.
    ``optimiser`` is one of OPTIMISERS: gradient descent without or with momentum 0.9, Adam, or Levenberg-Marquardt,
    which rests when it has finished. ``rate`` is the step size of the first three, of RATES unless given.
    ``in_turn`` steps along the gradient of one scan after another, K steps an iteration. The fit begins at the mean
    hand, laid over each scan by rotation and translation, or at ``start``. ``watch`` counts the iterations after
    which history keeps the parameters, 0 being the beginning. Raises ValueError for scans of another topology, with
    NaN, or where a step was so long that the fit left all bounds.
    """
    _check(model, scans, optimiser, in_turn)
    people, count = scans.shape[:2]
    if not shared_shape:  # each scan is of a person of its own
        alone = fit_scans(
            model,
            scans.flatten(0, 1)[:, None],
            stages=stages,
            optimiser=optimiser,
            rate=rate,
            in_turn=in_turn,
            start=None if start is None else _regrouped(_unshared(start), people * count),
            watch=watch,
        )
        return _regrouped(alone, people)
    state = vars(laid_over(model, scans) if start is None else start)
    state = {name: state[name].detach().clone() for name in SIZES}
    wanted = {"pose": (people, count), "rotation": (people, count), "translation": (people, count)}
    for name, size in SIZES.items():
        shape = (*wanted.get(name, (people, 1)), size)
        if state[name].shape != shape:
            raise ValueError(f"the start's {name} must be {list(shape)}, got {list(state[name].shape)}")

    history = [Moment(0, stages[0].name, Fit(**state))] if 0 in watch else []
    done = 0
    for stage in stages:
        if optimiser == "levenberg_marquardt":
            steps = _levenberg_marquardt(model, scans, state, stage)
        else:
            step_size = RATES[optimiser] if rate is None else rate
            steps = _descend(model, scans, state, stage, optimiser, step_size, in_turn)
        for state in steps:
            done += 1
            if done in watch:
                history.append(Moment(done, stage.name, Fit(**state)))
        if not all(values.isfinite().all() for values in state.values()):
            raise ValueError(
                f"the fit left all bounds in stage {stage.name!r} of {optimiser}; give it a smaller rate"
            )
    return Fit(**state, history=tuple(history))


def vertices(model: HandModel, fit: Fit) -> Tensor:
    """Return the meshes [P, K, V, 3] of a fit, in camera axes."""
    people, count = fit.pose.shape[:2]
    shape = fit.shape.expand(-1, count, -1)
    flat = (values.flatten(0, 1) for values in (fit.pose, shape, fit.rotation))
    return posed(model, *flat).vertices.unflatten(0, (people, count)) + fit.translation[:, :, None]


def laid_over(model: HandModel, scans: Tensor) -> Fit:
    """Return the mean hand, unbent, turned and moved to lie best over each scan [P, K, V, 3] (Kabsch 1976).

    The thesis does not say where it begins; without a rough rotation no local search finds a hand seen from behind.
    """
    people, count = scans.shape[:2]
    rest = Fit(**{name: scans.new_zeros(people, count, size) for name, size in SIZES.items()})
    rest = replace(rest, shape=rest.shape[:, :1])
    still = vertices(model, rest)
    cross = (still - still.mean(2, keepdim=True)).mT @ (scans - scans.mean(2, keepdim=True))  # [P, K, 3, 3]
    u, _, v = torch.linalg.svd(cross.double())
    proper = torch.ones_like(u[..., 0])
    proper[..., 2] = torch.linalg.det(u @ v)  # a rotation, not a reflection
    rotation = axis_angles(((u * proper[..., None, :]) @ v).mT.to(scans.dtype))
    turned = replace(rest, rotation=rotation)
    return replace(turned, translation=(scans - vertices(model, turned)).mean(dim=2))


def shape_standard_errors(model: HandModel, fit: Fit, noise: float, *, pose_known: bool) -> Tensor:
    """Return [P, 10]: how far shape numbers of a finished fit stray when each coordinate has so much noise.

    The Cramer-Rao bound at the fit, for one shape shared by each person's scans: noise times the roots of the
    diagonal of (J^T J)^-1. With ``pose_known`` as if pose, rotation and translation need not be found: the ratio of
    the two is what the ambiguity between pose and shape costs.
    """
    free = SHAPE if pose_known else POSE + SHAPE
    normal, last = _normal_matrix(model, fit, free), SIZES["shape"]
    columns = torch.eye(normal.shape[1]).to(normal)[:, -last:].expand(len(normal), -1, -1)
    covariance = solved(normal, columns)[:, -last:]  # [P, 10, 10], of the shape numbers alone
    return noise * covariance.diagonal(dim1=1, dim2=2).sqrt()


def curvatures(model: HandModel, fit: Fit) -> Tensor:
    """Return the curvatures [P, 51 K + 10] of the loss at a finished fit, least first.

    Gradient descent is stable below step size 2 / greatest, and needs about 1 / (step size * least) iterations to
    get e times nearer along the flattest direction.
    """
    return 2 * torch.linalg.eigvalsh(_normal_matrix(model, fit, POSE + SHAPE)) / len(model.template)


def _check(model: HandModel, scans: Tensor, optimiser: str, in_turn: bool) -> None:
    if scans.ndim != 4 or scans.shape[2:] != model.template.shape:
        raise ValueError(
            f"scans must be [people, scans, {len(model.template)}, 3], the vertices of {model.name!r} in their "
            f"order, got {list(scans.shape)}; register scans of another topology first"
        )
    if 0 in scans.shape:
        raise ValueError(f"there must be a person and a scan at least, got {list(scans.shape)}")
    whole = scans.isfinite().flatten(2).all(dim=2)
    if not whole.all():
        person, scan = (~whole).nonzero()[0].tolist()
        raise ValueError(
            f"scan {scan} of person {person} has NaN or infinite vertices; leave it out or mend it"
        )
    if optimiser not in OPTIMISERS:
        raise ValueError(unknown("optimiser", optimiser, OPTIMISERS))
    if in_turn and optimiser == "levenberg_marquardt":
        raise ValueError(
            "Levenberg-Marquardt needs all scans of a person at once; in_turn is for gradient descent"
        )


def _unshared(fit: Fit) -> Fit:
    return replace(fit, shape=fit.shape.expand(-1, fit.pose.shape[1], -1))


def _regrouped(fit: Fit, people: int) -> Fit:
    """Return the same scans as those of so many people."""
    moved = {name: getattr(fit, name).flatten(0, 1).unflatten(0, (people, -1)) for name in SIZES}
    return Fit(**moved, history=tuple(replace(m, fit=_regrouped(m.fit, people)) for m in fit.history))


# Gradient descent -------------------------------------------------------------------------------------

_MAKE: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": lambda leaves, lr: torch.optim.SGD(leaves, lr=lr, momentum=0.9),
    "adam": torch.optim.Adam,
}


def _descend(
    model: HandModel,
    scans: Tensor,
    state: dict[str, Tensor],
    stage: Stage,
    optimiser: str,
    rate: float,
    in_turn: bool,
) -> Iterator[dict[str, Tensor]]:
    """Yield the state after each iteration; nobody's step depends on anybody else, the loss being a sum."""
    count = scans.shape[1]
    groups = [slice(k, k + 1) for k in range(count)] if in_turn else [slice(0, count)]
    # Scans taken in turn are leaves of their own, so that momentum does not move those whose turn it is not.
    own = {name: [state[name][:, group].clone() for group in groups] for name in POSE}
    shape = state["shape"].clone()
    leaves = [leaf for name in stage.free for leaf in own.get(name, [shape])]
    descent = _MAKE[optimiser]([leaf.requires_grad_() for leaf in leaves], lr=rate)
    for _ in range(stage.iterations):
        for turn, group in enumerate(groups):
            mesh = vertices(model, Fit(**{name: own[name][turn] for name in POSE}, shape=shape))
            descent.zero_grad()
            (mesh - scans[:, group]).square().sum(dim=-1).mean(dim=-1).sum().backward()
            descent.step()
        yield {name: torch.cat(own[name], dim=1).detach() for name in POSE} | {
            "shape": shape.detach().clone()
        }


# Levenberg-Marquardt ----------------------------------------------------------------------------------


def _levenberg_marquardt(
    model: HandModel, scans: Tensor, state: dict[str, Tensor], stage: Stage
) -> Iterator[dict[str, Tensor]]:
    """Yield the state after each iteration."""
    predict, *start = _unknowns(model, state, stage.free)
    for found in levenberg_marquardt(predict, *start, scans.flatten(2), stage.iterations):
        yield state | _by_name(*found, stage.free)


def _unknowns(
    model: HandModel, state: dict[str, Tensor], free: tuple[str, ...]
) -> tuple[Predict, Tensor, Tensor]:
    """Return how the vertices follow from the free numbers, those of each scan [P, K, m] and the shared [P, s]."""
    nothing = state["pose"][..., :0]
    own = torch.cat([nothing, *(state[name] for name in POSE if name in free)], dim=-1)
    shared = state["shape"][:, 0] if "shape" in free else nothing[:, 0]

    def predict(own: Tensor, shared: Tensor, rows: Tensor) -> Tensor:
        held = {name: values[rows] for name, values in state.items() if name not in free}
        return vertices(model, Fit(**held, **_by_name(own, shared, free))).flatten(2)

    return predict, own, shared


def _by_name(own: Tensor, shared: Tensor, free: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the numbers of each scan and the shared ones under the names of what is free."""
    names = [name for name in POSE if name in free]
    parts = dict(zip(names, own.split([SIZES[name] for name in names], dim=-1), strict=True))
    return parts | ({"shape": shared[:, None]} if "shape" in free else {})


def _normal_matrix(model: HandModel, fit: Fit, free: tuple[str, ...]) -> Tensor:
    """Return J^T J [P, N, N] at a fit with shared shapes; N counts each scan's free numbers, then the shape's."""
    state = {name: getattr(fit, name) for name in SIZES}
    everybody = torch.arange(len(fit.pose), device=fit.pose.device)
    with torch.no_grad():
        return normal_equations(*_unknowns(model, state, free), vertices(model, fit).flatten(2), everybody)[0]
