import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import normalize

from thesislib.losses.attention import hard_total_variation
from thesislib.losses.sign_metric import (
    SignMetricLoss,
    am_softmax,
    centre_push,
    falling_scale,
    pr_product,
    sample_push,
)
from thesislib.training import Recipe, fit

WORDS, FEATURES = 4, 5
LABELS = st.lists(st.integers(0, WORDS - 1), min_size=2, max_size=8)
SEEDS = st.integers(0, 10_000)
PRESETS = ["paper", "repository"]
quick = settings(max_examples=25, deadline=None)


def unit(count: int, f: int, seed: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, f, generator=random, dtype=torch.float64), dim=1)


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def softmax(logit: list[float]) -> list[float]:
    powers = [math.exp(z - max(logit)) for z in logit]
    return [power / sum(powers) for power in powers]


def slow_am_softmax(cosine: list[float], word: int, scale: float, margin: float, weight: float) -> float:
    """AM-softmax less weighted entropy of one clip, number by number."""
    lowered = [scale * (c - margin if k == word else c) for k, c in enumerate(cosine)]
    predicted = softmax([scale * c for c in cosine])
    entropy = -sum(p * math.log(p) for p in predicted if p > 0)
    return max(0.0, -math.log(softmax(lowered)[word]) - weight * entropy)


def slow_sample_push(rows: list[list[float]], own: list[float], label: list[int], margin: float) -> float:
    total = 0.0
    for i, row in enumerate(rows):
        allowed = max(0.0, own[i] - margin)
        others = [dot(row, other) for j, other in enumerate(rows) if label[j] != label[i]]
        total += max([0.0] + [cosine - allowed for cosine in others])
    return total / len(rows)


def slow_centre_push(rows: list[list[float]], allowed: float) -> float:
    pairs = [dot(rows[i], rows[j]) - allowed for i in range(len(rows)) for j in range(i)]
    near = [excess for excess in pairs if excess > 0]
    return sum(near) / len(near) if near else 0.0


def several_words(label: list[int]) -> bool:
    return len(set(label)) > 1


# The scale ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_the_scale_falls_from_30_to_5_and_stays(preset):
    scale = falling_scale(torch.linspace(0, 60, 241, dtype=torch.float64), 40, preset)
    assert float(scale[0]) == 30 and float(scale[160]) == pytest.approx(5)
    assert (scale[1:161] < scale[:160]).all() and torch.allclose(scale[160:], torch.tensor(5.0).double())


def test_the_paper_falls_in_a_line_and_the_repository_levels_out():
    epoch = torch.linspace(0, 40, 401, dtype=torch.float64)
    steps = falling_scale(epoch).diff()
    torch.testing.assert_close(steps, torch.full_like(steps, -25 / 400))
    curve = falling_scale(epoch, preset="repository")
    assert abs(float(curve.diff()[-1])) < 1e-3  # flat where it ends
    # The one curve a t^1.2 + b t + 30 that reaches 5 at 40 epochs and is flat there
    power = torch.stack([epoch**1.2, epoch], dim=1)
    a, b = torch.linalg.solve(
        torch.tensor([[40**1.2, 40.0], [1.2 * 40**0.2, 1.0]], dtype=torch.float64),
        torch.tensor([-25.0, 0.0], dtype=torch.float64),
    )
    torch.testing.assert_close(curve, 30 + power @ torch.stack([a, b]))


# AM-softmax and entropy -----------------------------------------------------------------------------


@quick
@given(LABELS, SEEDS, st.floats(1, 30), st.floats(0, 0.5), st.floats(0, 2))
def test_am_softmax_is_the_loop(label, seed, scale, margin, weight):
    cosine = unit(len(label), FEATURES, seed) @ unit(WORDS, FEATURES, seed + 1).T
    found = am_softmax(cosine, torch.tensor(label), scale=scale, margin=margin, entropy_weight=weight)
    for value, row, word in zip(found.tolist(), cosine.tolist(), label, strict=True):
        assert value >= 0
        assert value == pytest.approx(slow_am_softmax(row, word, scale, margin, weight), rel=1e-7, abs=1e-9)


@quick
@given(LABELS, SEEDS, st.floats(5, 30), st.floats(0, 0.5))
def test_without_entropy_it_is_cosface_of_pytorch_metric_learning(label, seed, scale, margin):
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    theirs = losses.CosFaceLoss(WORDS, FEATURES, margin=margin, scale=scale).double()
    ours = SignMetricLoss(
        WORDS,
        FEATURES,
        margin=margin,
        entropy_weight=0,
        pr_product=False,
        sample_push_weight=0,
        centre_push_weight=0,
        total_variation_weight=0,
    ).double()
    ours.start_epoch((30 - scale) / 25 * 40)  # where the falling scale is theirs
    raw = 3 * unit(len(label), FEATURES, seed)  # not of length 1: both look at directions alone
    a, b = raw.clone().requires_grad_(), raw.clone().requires_grad_()
    with torch.no_grad():
        theirs.W.copy_(ours.centre.T)
    value, expected = ours(a, torch.tensor(label)), theirs(b, torch.tensor(label))
    value.backward()
    expected.backward()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(a.grad, b.grad)
    torch.testing.assert_close(ours.centre.grad, theirs.W.grad.T)


def test_an_unsure_answer_that_is_right_enough_costs_nothing():
    # Two words, 0.1 apart when scaled: cross entropy log(1 + e^-0.1) and an entropy a little under log 2.
    cosine = torch.tensor([[1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    loss = am_softmax(cosine, torch.tensor([0]), scale=0.1, margin=0, entropy_weight=1)
    loss.sum().backward()
    assert float(loss.detach()) == 0 and not cosine.grad.any()
    without = am_softmax(cosine, torch.tensor([0]), scale=0.1, margin=0)
    assert float(without.detach()) == pytest.approx(math.log(1 + math.exp(-0.1)))


@quick
@given(LABELS, SEEDS)
def test_gradients_of_am_softmax_are_right(label, seed):
    cosine = (unit(len(label), FEATURES, seed) @ unit(WORDS, FEATURES, seed + 1).T).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda c: am_softmax(c, torch.tensor(label), scale=5.0, margin=0.35, entropy_weight=0.085), (cosine,)
    )


# PR-product -----------------------------------------------------------------------------------------


@quick
@given(SEEDS)
def test_pr_product_is_the_cosine_with_the_printed_gradient(seed):
    raw = [4 * unit(3, FEATURES, seed), 4 * unit(3, FEATURES, seed)]
    centre = unit(WORDS, FEATURES, seed + 1)
    cosines = [normalize(x.requires_grad_(), dim=1) @ centre.T for x in raw]
    found = pr_product(cosines[0])
    sine = (1 - cosines[1] ** 2).sqrt()
    printed = sine.detach() * cosines[1] + cosines[1].detach() * (1 - sine)  # Wang, Zou and Xu 2019
    assert torch.equal(found, cosines[0])
    torch.testing.assert_close(found, printed)
    weight = torch.randn(3, WORDS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    (found * weight).sum().backward()
    (printed * weight).sum().backward()
    torch.testing.assert_close(raw[0].grad, raw[1].grad)


@pytest.mark.parametrize("degrees", [0.5, 10, 60, 90, 170, 179.5])
def test_vectors_turn_with_the_same_strength_at_any_angle(degrees):
    angle = math.radians(degrees)
    centre = torch.tensor([1.0, 0.0], dtype=torch.float64)
    for product, strength in ((pr_product, 1.0), (lambda cosine: cosine, math.sin(angle))):
        x = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64, requires_grad=True)
        product(normalize(x, dim=0) @ centre).backward()
        assert float(x.grad.norm()) == pytest.approx(strength, rel=1e-6)


def test_where_the_angle_is_nought_the_gradient_is_finite():
    cosine = torch.tensor([1.0, -1.0, 1.0000001], requires_grad=True)
    pr_product(cosine).sum().backward()
    assert torch.isfinite(cosine.grad).all()


# Pushes ---------------------------------------------------------------------------------------------


@quick
@given(LABELS, SEEDS, st.floats(0, 0.5))
def test_the_push_between_samples_is_the_loop(label, seed, margin):
    assume(several_words(label))
    embedding, own = unit(len(label), 3, seed), unit(len(label), 2, seed)[:, 0]
    found = sample_push(embedding, own, torch.tensor(label), margin)
    expected = slow_sample_push(embedding.tolist(), own.tolist(), label, margin)
    assert float(found) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_push_between_samples_in_numbers():
    embedding = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])  # cosines .6, .8 and .96
    label = torch.tensor([0, 1, 1])
    own = torch.tensor([0.9, 0.3, 0.95])
    # The first pays .8 - (.9 - .1) = 0 for the nearer of the others, the second .6 - .2, the third .8 - .85: none
    assert float(sample_push(embedding, own, label)) == pytest.approx(0.4 / 3)


@quick
@given(LABELS, SEEDS)
def test_the_push_moves_samples_and_not_the_bar_they_are_held_to(label, seed):
    assume(several_words(label))
    truth, own = torch.tensor(label), unit(len(label), 2, seed)[:, 0].requires_grad_()
    embedding = unit(len(label), 3, seed).requires_grad_()
    (gradient,) = torch.autograd.grad(sample_push(embedding, own, truth), own, allow_unused=True)
    assert gradient is None
    assert torch.autograd.gradcheck(lambda e: sample_push(e, own, truth), (embedding,))


def test_a_batch_of_one_word_cannot_be_pushed_apart():
    with pytest.raises(ValueError, match="all 3 clips of this batch are of one word.*larger batch.*weight 0"):
        sample_push(torch.eye(3), torch.ones(3), torch.tensor([2, 2, 2]))


@quick
@given(st.integers(1, 7), SEEDS, st.floats(-1, 1))
def test_the_push_between_centres_is_the_loop(count, seed, allowed):
    centre = unit(count, 3, seed)
    expected = slow_centre_push(centre.tolist(), allowed)
    assert float(centre_push(centre, allowed)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_centres_at_right_angles_are_left_alone_and_near_ones_part():
    assert float(centre_push(torch.eye(4))) == 0
    raw = (torch.ones(4, 4) + 0.1 * torch.eye(4)).requires_grad_()
    optimizer = torch.optim.Adam([raw], lr=0.05)
    for _ in range(60):
        optimizer.zero_grad()
        centre_push(normalize(raw, dim=1)).backward()
        optimizer.step()
    cosine = normalize(raw.detach(), dim=1) @ normalize(raw.detach(), dim=1).T
    assert cosine.triu(1).max() < 0.11


@given(SEEDS)
@quick
def test_gradients_of_the_push_between_centres_are_right(seed):
    assert torch.autograd.gradcheck(centre_push, (unit(5, 3, seed).requires_grad_(),))


# All together ---------------------------------------------------------------------------------------


def outputs(label: list[int], seed: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    random = torch.Generator().manual_seed(seed)
    masks = [torch.rand(len(label), 3, side, side, generator=random, dtype=torch.float64) for side in (4, 2)]
    return unit(len(label), FEATURES, seed), masks


def make(seed: int = 0, **settings: object) -> SignMetricLoss:
    torch.manual_seed(seed)
    loss = SignMetricLoss(WORDS, FEATURES, **settings).double()
    with torch.no_grad():
        loss.centre.mul_(torch.rand(WORDS, 1, dtype=torch.float64) + 0.5)  # a centre's length plays no part
    return loss


@pytest.mark.parametrize("preset", PRESETS)
@quick
@given(LABELS, SEEDS, st.floats(0, 50))
def test_each_term_is_its_loop_and_the_loss_their_sum(preset, label, seed, epoch):
    assume(several_words(label))
    loss = make(seed, preset=preset, entropy_weight=0.5, sample_push_weight=2, centre_push_weight=3)
    loss.start_epoch(epoch)
    embedding, masks = outputs(label, seed)
    rows, centres = embedding.tolist(), normalize(loss.centre.detach(), dim=1).tolist()
    scale = float(falling_scale(torch.tensor(epoch, dtype=torch.float64), 40, preset))
    cosine = [[dot(row, centre) for centre in centres] for row in rows]
    each = [slow_am_softmax(c, word, scale, 0.35, 0.5) for c, word in zip(cosine, label, strict=True)]
    counted = len(each) if preset == "paper" else max(1, sum(value > 0 for value in each))
    own = [c[word] for c, word in zip(cosine, label, strict=True)]
    expected = {
        "am_softmax": sum(each) / counted,
        "sample_push": slow_sample_push(rows, own, label, 0.1),
        "centre_push": slow_centre_push(centres, 0.1),
        "total_variation": sum(float(hard_total_variation(mask, preset)) for mask in masks),
    }
    terms = loss.terms((embedding, masks), torch.tensor(label))
    assert {name: float(value.detach()) for name, value in terms.items()} == {
        name: pytest.approx(value, rel=1e-5, abs=1e-7) for name, value in expected.items()
    }
    total = float(loss((embedding, masks), torch.tensor(label)).detach())
    weights = {"am_softmax": 1, "sample_push": 2, "centre_push": 3, "total_variation": 0.1}
    assert total == pytest.approx(sum(weights[name] * value for name, value in expected.items()), rel=1e-5)
    assert total >= 0


def test_the_repository_averages_over_clips_that_still_cost_something():
    label, values = torch.tensor([0, 1, 2]), {}
    for preset in PRESETS:
        loss = make(preset=preset, margin=0, entropy_weight=2, sample_push_weight=0, total_variation_weight=0)
        with torch.no_grad():
            loss.centre.copy_(torch.eye(WORDS, FEATURES))
        embedding = loss.centre.detach()[[0, 1, 3]]  # two are where they should be, one is at another word
        values[preset] = float(loss.terms(embedding, label)["am_softmax"].detach())
    wrong = slow_am_softmax([0.0, 0.0, 0.0, 1.0], 2, 30, 0, 2)
    assert wrong > 1 and slow_am_softmax([1.0, 0.0, 0.0, 0.0], 0, 30, 0, 2) == 0
    assert values == {"paper": pytest.approx(wrong / 3), "repository": pytest.approx(wrong)}


@quick
@given(LABELS, SEEDS, st.sampled_from(PRESETS))
def test_the_order_of_a_batch_does_not_matter(label, seed, preset):
    assume(several_words(label))
    loss, truth, (embedding, masks) = make(preset=preset), torch.tensor(label), outputs(label, seed)
    order = torch.randperm(len(label), generator=torch.Generator().manual_seed(seed))
    turned = loss.terms((embedding[order], [mask[order] for mask in masks]), truth[order])
    torch.testing.assert_close(turned, loss.terms((embedding, masks), truth))


def test_a_term_without_a_weight_is_not_computed():
    label = torch.tensor([0, 0, 0])  # one word: a push between samples would raise
    loss = make(sample_push_weight=0, centre_push_weight=0, total_variation_weight=0)
    embedding, masks = outputs([0, 0, 0], 0)
    assert list(loss.terms(embedding, label)) == list(loss.terms((embedding, masks), label)) == ["am_softmax"]
    with pytest.raises(ValueError, match="one word"):
        make(total_variation_weight=0)(embedding, label)
    with pytest.raises(ValueError, match="no attention masks.*total_variation_weight=0"):
        make(sample_push_weight=0)(embedding, label)


def test_gradients_of_embeddings_and_centres_are_right():
    label = torch.tensor([0, 1, 2, 3, 1])
    loss = make(pr_product=False, sample_push_weight=0)  # these two hold things fixed on purpose
    embedding, masks = outputs(label.tolist(), 3)
    inputs = (embedding.requires_grad_(), masks[0].requires_grad_(), loss.centre)
    assert torch.autograd.gradcheck(lambda e, mask, _: loss((e, [mask]), label), inputs)


def test_pr_product_changes_gradients_of_am_softmax_alone():
    label, gradients, values = torch.tensor([0, 1, 2, 1]), [], []
    for pr in (False, True):
        loss, (embedding, masks) = make(pr_product=pr), outputs(label.tolist(), 1)
        terms = loss.terms((embedding.requires_grad_(), masks), label)
        values.append({name: float(value.detach()) for name, value in terms.items()})
        gradients.append([torch.autograd.grad(terms[k], embedding)[0] for k in ("am_softmax", "sample_push")])
    assert values[0] == pytest.approx(values[1])
    assert not torch.allclose(gradients[0][0], gradients[1][0])
    torch.testing.assert_close(gradients[0][1], gradients[1][1])


@pytest.mark.parametrize("preset", PRESETS)
def test_descent_sorts_one_batch(preset):
    torch.manual_seed(0)
    label = torch.arange(WORDS).repeat(3)
    x = nn.Parameter(torch.randn(len(label), FEATURES))
    loss = SignMetricLoss(WORDS, FEATURES, preset=preset, total_variation_weight=0)
    optimizer = torch.optim.Adam([x, *loss.parameters()], lr=0.05)
    values = []
    for step in range(80):
        loss.start_epoch(step / 2)
        value = loss(x, label)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.3 * values[0]
    assert (loss.cosine(x.detach()).argmax(1) == label).all()


def test_the_scale_goes_on_where_a_killed_run_stopped(tmp_path):
    recipe = Recipe(epochs=4, batch_size=8, schedule="constant", lr_max=0.01, warmup_epochs=0)
    inputs, label, scales = torch.randn(16, 6), torch.arange(4).repeat(4), []

    def trained(folder, stop_at: int | None = None) -> torch.Tensor:
        torch.manual_seed(0)
        network, loss = nn.Linear(6, FEATURES), SignMetricLoss(WORDS, FEATURES, total_variation_weight=0)

        def evaluate(_: nn.Module) -> dict[str, float]:
            loss.start_epoch(float(loss.epoch) + 1)
            scales.append(float(loss.scale))
            return {"scale": float(loss.scale)}

        def augment(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            if loss.epoch == stop_at:
                raise KeyboardInterrupt
            return x, y

        fit(network, loss, inputs, label, recipe, folder=folder, seed=0, augment=augment, evaluate=evaluate)
        return loss.centre.detach()

    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = trained(tmp_path / "whole")
    assert scales == pytest.approx([30 - 25 / 40 * epoch for epoch in (1, 2, 3, 4)])
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", stop_at=2)
    assert torch.equal(trained(tmp_path / "killed"), whole)


def test_low_precision_of_the_network_stays_out_of_the_loss():
    label = torch.tensor([0, 1, 2])
    loss = SignMetricLoss(WORDS, FEATURES)
    embedding, masks = outputs(label.tolist(), 0)
    embedding, masks = embedding.bfloat16(), [mask.bfloat16() for mask in masks]
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss.terms((embedding, masks), label)
    outside = loss.terms((embedding.float(), [mask.float() for mask in masks]), label)
    assert all(value.dtype == torch.float32 for value in inside.values())
    torch.testing.assert_close(inside, outside)


def test_centres_start_at_random_directions():
    torch.manual_seed(0)
    loss = SignMetricLoss(100)
    assert loss.centre.shape == (100, 256)
    torch.testing.assert_close(loss.centre.detach().norm(dim=1), torch.ones(100))
    cosine = loss.cosine(loss.centre.detach())
    assert cosine.shape == (100, 100) and cosine.triu(1).abs().max() < 0.4


@pytest.mark.parametrize(
    ("embedding", "label", "message"),
    [
        (torch.full((2, FEATURES), torch.nan), torch.tensor([0, 1]), "NaN or infinite.*damaged.*diverged"),
        (torch.full((2, FEATURES), torch.inf), torch.tensor([0, 1]), "NaN or infinite"),
        (torch.ones(2, FEATURES), torch.tensor([0, WORDS]), "labels are 0 to 3 for 4 words; got 0 to 4"),
        (torch.ones(2, FEATURES), torch.tensor([-1, 0]), "got -1 to 0"),
        (torch.ones(2, FEATURES), torch.tensor([0.0, 1.0]), "int64.*float32"),
        (torch.ones(2, FEATURES), torch.tensor([0]), r"\[2, 5\] and \[1\]"),
        (torch.ones(2, 3), torch.tensor([0, 1]), r"embeddings are \[B, 5\].*\[2, 3\]"),
        (torch.ones(0, FEATURES), torch.zeros(0, dtype=torch.int64), "one at least"),
        (torch.ones(2, FEATURES), torch.tensor([1, 1]), "of one word"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(embedding, label, message):
    with pytest.raises(ValueError, match=message):
        SignMetricLoss(WORDS, FEATURES, total_variation_weight=0)(embedding, label)


def test_one_word_or_an_unknown_preset_is_refused():
    for words, preset in ((1, "paper"), (5, "papre")):
        with pytest.raises(ValueError, match=f"two words at least.*{words}, '{preset}'"):
            SignMetricLoss(words, 3, preset=preset)
