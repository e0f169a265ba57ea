"""Nonlinear least squares for many people at once, each with several observations that share some unknowns.

Libraries solve one problem at a time and want the derivative of every number by every unknown. Here people do not
depend on each other, nor observations but for what they share, so one derivative along a direction serves all.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

# own unknowns [p, K, m], shared ones [p, s] and whose they are, int64 [p] -> what is seen, [p, K, N]
Predict = Callable[[Tensor, Tensor, Tensor], Tensor]

_PIECE = 32  # observations whose derivatives are in memory together
_FINISHED = 1e-5  # share of the error that a step must promise, or a person's search rests
_EXACT = (
    1e-6  # root mean square error at which it rests too: about all that float32 resolves of numbers near 1
)


@torch.no_grad()
def levenberg_marquardt(
    predict: Predict, own: Tensor, shared: Tensor, target: Tensor, iterations: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the unknowns [P, K, m] and [P, s] after each iteration: damped Gauss-Newton towards targets [P, K, N].

    A person takes only steps that lessen the squared error, and rests when a step promises no more. Either
    kind of unknowns may be none. Damping is Marquardt's (1963), by the diagonal.
    """
    own, shared = own.clone(), shared.clone()
    everybody = torch.arange(len(target), device=target.device)
    damping = target.new_full((len(target),), 1e-3)
    error = _squared_error(predict, own, shared, target, everybody)
    exact = _EXACT**2 * target[0].numel()
    moving = error > exact
    for _ in range(iterations):
        rows = everybody[moving]
        if len(rows):
            normal, slope = normal_equations(predict, own, shared, target, rows)
            diagonal = normal.diagonal(dim1=-2, dim2=-1)
            ridge = damping[rows, None] * (diagonal + 1e-6 * diagonal.mean(dim=1, keepdim=True))
            step = solved(normal + torch.diag_embed(ridge), slope[..., None])[..., 0]  # [p, K m + s]
            apart = step.split([own[0].numel(), shared.shape[1]], dim=1)
            tried = own[rows] + apart[0].view_as(own[rows]).to(own), shared[rows] + apart[1].to(shared)
            after = _squared_error(predict, *tried, target, rows)
            nearer = after < error[rows]
            promised = (step * slope).sum(dim=1) / error[rows]
            for unknowns, new in zip((own, shared), tried, strict=True):
                unknowns[rows[nearer]] = new[nearer]
            error[rows[nearer]] = after[nearer]
            damping[rows] = torch.where(nearer, damping[rows] / 10, damping[rows] * 10).clamp(min=1e-9)
            moving[rows] = (promised > _FINISHED) & (error[rows] > exact)
        yield own.clone(), shared.clone()


def solved(matrix: Tensor, right: Tensor) -> Tensor:
    """Return the solutions [p, n, k] of linear equations [p, n, n] and [p, n, k], one system a person.

    By NumPy: torch hands a batch to MKL's threads from within its own, and these have been seen to wait for each
    other for ever (torch 2.13, two cores under load).
    """
    return torch.from_numpy(np.linalg.solve(matrix.cpu().numpy(), right.cpu().numpy())).to(right)


def normal_equations(
    predict: Predict, own: Tensor, shared: Tensor, target: Tensor, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Return J^T J [p, n, n] and J^T residual [p, n] of the people ``rows``, float64.

    The n = K m + s unknowns are those of each observation in turn, then the shared ones.
    """
    parts = [
        _normal_equations(predict, own[some], shared[some], target[some], some)
        for some in rows.split(max(1, _PIECE // target.shape[1]))
    ]
    return tuple(torch.cat(pieces) for pieces in zip(*parts, strict=True))


def _normal_equations(
    predict: Predict, own: Tensor, shared: Tensor, target: Tensor, rows: Tensor
) -> tuple[Tensor, Tensor]:
    people, count, size = own.shape
    basis = torch.eye(size + shared.shape[1], dtype=own.dtype, device=own.device)

    def along(direction: Tensor) -> Tensor:  # nobody depends on anybody else: one direction serves all
        tangents = direction[:size].expand_as(own), direction[size:].expand_as(shared)
        return torch.func.jvp(lambda a, b: predict(a, b, rows), (own, shared), tangents)[1]

    columns = torch.func.vmap(along, out_dims=2)(basis)  # [p, K, m + s, N]
    residual = target - predict(own, shared, rows)
    squares = (columns @ columns.mT).double()
    slopes = (columns @ residual[..., None])[..., 0].double()
    last = count * size  # where the shared unknowns begin
    normal = squares.new_zeros(people, last + shared.shape[1], last + shared.shape[1])
    for k in range(count):
        this = slice(k * size, (k + 1) * size)
        normal[:, this, this] = squares[:, k, :size, :size]
        normal[:, this, last:] = squares[:, k, :size, size:]
        normal[:, last:, this] = squares[:, k, size:, :size]
    normal[:, last:, last:] = squares[:, :, size:, size:].sum(dim=1)
    return normal, torch.cat([slopes[:, :, :size].flatten(1), slopes[:, :, size:].sum(dim=1)], dim=1)


def _squared_error(predict: Predict, own: Tensor, shared: Tensor, target: Tensor, rows: Tensor) -> Tensor:
    """Return [p] sums over a person's observations."""
    return (predict(own, shared, rows) - target[rows]).square().sum(dim=(1, 2))
