"""What an embedding looks at: gradients of a similarity, preferred images, adversarial steps."""

from collections.abc import Callable

import torch
from torch import Tensor


def similarity_gradients(embed: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return d s_ab / d x_a for all pairs (Ignatiev 2019, eq. 3.38): [n, 1, S, S] to [n, n, S, S].

    ``embed`` maps images to unit vectors [n, f]; row a, column b is the gradient of s_ab = phi(x_a) . phi(x_b)
    by the pixels of x_a alone, phi(x_b) held fixed.
    """
    target = embed(images).detach()  # [n, f]
    columns = []
    for b in range(len(images)):
        x = images.clone().requires_grad_()
        similarity = embed(x) @ target[b]  # [n], image a against b: the rows do not mix
        columns.append(torch.autograd.grad(similarity.sum(), x)[0][:, 0])  # [n, S, S]
    return torch.stack(columns, dim=1)


def preferred_images(
    embed: Callable[[Tensor], Tensor], num_features: int, size: int, *, steps: int = 100, rate: float = 0.05
) -> Tensor:
    """Return the image that each feature responds to most, grown from empty paper: [num_features, S, S].

    Sign-gradient ascent (Ignatiev 2019, eqs 3.35 and 3.36) on feature l from image l, kept within 0..1. The
    start is a faint grey: on pure black every ReLU is silent and no gradient flows.
    """
    x = torch.full((num_features, 1, size, size), 0.1)
    for _ in range(steps):
        x.requires_grad_()
        activation = embed(x).diagonal().sum()  # feature l of image l
        (gradient,) = torch.autograd.grad(activation, x)
        x = (x.detach() + rate * gradient.sign()).clamp(0, 1)
    return x[:, 0]


def adversarial_steps(
    score: Callable[[Tensor], Tensor], images: Tensor, target: Tensor, *, rate: float, steps: int
) -> Tensor:
    """Return images walked towards being taken for ``target`` (Ignatiev 2019, eq. 3.37), all steps kept.

    ``score`` maps images [n, 1, S, S] to class scores [n, C], ``target`` [n] is the class wanted; each
    step adds ``rate`` times the sign of the gradient. Result [steps + 1, n, S, S], starting with the images.
    """
    path = [images]
    for _ in range(steps):
        x = path[-1].clone().requires_grad_()
        wanted = score(x).log_softmax(dim=1).gather(1, target[:, None]).sum()
        (gradient,) = torch.autograd.grad(wanted, x)
        path.append((x.detach() + rate * gradient.sign()).clamp(0, 1))
    return torch.stack(path)[:, :, 0]
