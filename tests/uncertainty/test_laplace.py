"""Laplace against the curvature that autograd finds, exact evidences, integrals on a grid, and laplace-torch."""

import json
import math
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.data import Pixels
from pellucid.models import rehearsal
from pellucid.uncertainty import Laplace, mutual_information
from pellucid.uncertainty._curvature import Curvature, CurvatureSum
from pellucid.uncertainty.laplace import evidence, most_evident

from .nets import Given, Linear, small, small_images, varied

EACH = pytest.mark.parametrize("structure", ["full", "kron", "diag"])
NET, IMAGES = varied().double(), small_images(40, 4).double()
TARGETS = torch.arange(40) % 4
ASKED = small_images(6, 4, seed=5).double()
CPU = torch.device("cpu")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows_of(images: Tensor) -> Tensor:
    """The features of NET's last layer and a 1."""
    with torch.no_grad():
        features = NET[:-1](images)
    return torch.cat([features, torch.ones_like(features[:, :1])], dim=1)


def weights_of(net: nn.Sequential) -> Tensor:
    head = net[-1]
    assert isinstance(head, nn.Linear)
    return torch.cat([head.weight, head.bias[:, None]], dim=1).detach()


def by_autograd(weights: Tensor, rows: Tensor, targets: Tensor) -> Tensor:
    """The curvature (K P, K P) of the summed cross-entropy in all weights."""

    def surprise(flat: Tensor) -> Tensor:
        return F.cross_entropy(rows @ flat.view(weights.shape).T, targets, reduction="sum")

    found: Tensor = torch.autograd.functional.hessian(surprise, weights.flatten())  # type: ignore[no-untyped-call]
    return found


def matrix(curvature: Curvature, values: Tensor) -> Tensor:
    """(K P, K P) with the eigenvectors of a curvature and these eigenvalues."""
    kind, values = type(curvature).__name__, values.flatten()
    told: Any = curvature
    if kind == "Diagonal":
        return torch.diag(values)
    vectors = told.vectors if kind == "Full" else torch.kron(told.classes, told.features)
    return vectors @ torch.diag(values) @ vectors.T


def expected(structure: str, whole: Tensor, rows: Tensor, chances: Tensor) -> Tensor:
    """What a structure makes of the whole curvature, by loops."""
    if structure == "kron":
        of_classes = sum(torch.diag(p) - torch.outer(p, p) for p in chances)
        of_features = sum(torch.outer(row, row) for row in rows)
        return torch.kron(of_classes, of_features / len(rows))  # type: ignore[arg-type]
    return whole if structure == "full" else torch.diag(whole.diagonal())


@EACH
def test_the_curvature_is_that_of_autograd(structure: str) -> None:
    found = Laplace(structure=structure).fit(NET, IMAGES, TARGETS)
    rows, weights = rows_of(IMAGES), weights_of(NET)
    whole = by_autograd(weights, rows, TARGETS)
    told = expected(structure, whole, rows, (rows @ weights.T).softmax(dim=1))
    torch.testing.assert_close(matrix(found.curvature_, found.curvature_.values), told, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(found.layer_.weights, weights)
    assert found.images_ == 40


@pytest.mark.parametrize("structure", ["full", "kron"])
def test_it_is_exact_where_the_posterior_is_a_parabola(structure: str) -> None:
    """Gaussian noise, in three answers at once: mean, covariance and evidence of the closed form."""
    alpha, beta = 0.7, 4.0
    rows = torch.randn(30, 5, dtype=torch.float64, generator=seeded(1))
    answers = rows @ torch.randn(5, 3, dtype=torch.float64, generator=seeded(2))
    answers += 0.5 * torch.randn(30, 3, dtype=torch.float64, generator=seeded(3))
    found = CurvatureSum(structure, 3, 5, CPU)
    for part in torch.split(rows, 7):
        found.add(part, part.new_full((len(part), 3), beta), part.new_zeros(len(part), 3))
    curvature = found.found()
    inner = torch.linalg.inv(alpha * torch.eye(5, dtype=torch.float64) + beta * rows.T @ rows)
    mode = beta * inner @ rows.T @ answers  # (5, 3)
    covariance = matrix(curvature, 1 / (curvature.values + alpha))
    torch.testing.assert_close(covariance, torch.kron(torch.eye(3), inner.contiguous()), rtol=1e-8, atol=1e-10)
    told = evidence(
        -float(
            F.gaussian_nll_loss(rows @ mode, answers, torch.full_like(answers, 1 / beta), full=True, reduction="sum")
        ),
        curvature.values,
        float(mode.square().sum()),
        alpha,
    )
    whole = torch.eye(30, dtype=torch.float64) / beta + rows @ rows.T / alpha
    known: Any = torch.distributions.MultivariateNormal(torch.zeros(30, dtype=torch.float64), whole)
    assert told == pytest.approx(float(known.log_prob(answers.T).sum()), rel=1e-10)


@pytest.mark.parametrize("alpha", [0.5, 5.0])
def test_the_evidence_is_near_the_integral_on_a_grid(alpha: float) -> None:
    """Two classes, one feature, no bias: two weights, integrated over a plane."""
    generator = seeded(3)
    x = torch.rand(80, 1, 1, 1, dtype=torch.float64, generator=generator)
    targets = (x[:, 0, 0, 0] + 0.5 * torch.randn(80, dtype=torch.float64, generator=generator) > 0.3).long()
    weights = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([weights], max_iter=100, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def height(each: Tensor) -> Tensor:
        logits = x[:, 0, 0] * each[..., None, :]  # (..., N, 2)
        chances = logits.log_softmax(dim=-1).gather(-1, targets.expand(*each.shape[:-1], -1)[..., None])
        return chances.sum(dim=(-2, -1)) - alpha * each.square().sum(dim=-1) / 2

    def loss() -> Tensor:
        search.zero_grad()
        value = -height(weights)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    search.step(loss)  # type: ignore[no-untyped-call]
    found = Laplace(structure="full", prior_precision=alpha).fit(Linear(weights.detach()[:, None]), x, targets)
    line = torch.linspace(-12, 12, 241, dtype=torch.float64)
    plane = torch.cartesian_prod(line, line)
    heights = torch.cat([height(part) for part in torch.split(plane, 20_000)])
    integral = float(heights.logsumexp(dim=0)) + 2 * math.log(24 / 240) + math.log(alpha / (2 * math.pi))
    assert found.log_marginal_likelihood_ == pytest.approx(integral, abs=0.05)


def test_the_tuned_prior_has_the_largest_evidence() -> None:
    curvature = torch.rand(50, dtype=torch.float64, generator=seeded(4)) * 20
    best = most_evident(curvature, 3.0)
    heights = {factor: evidence(-9.0, curvature, 3.0, best * factor) for factor in (0.5, 0.999, 1.0, 1.001, 2.0)}
    assert max(heights, key=lambda each: heights[each]) == 1.0
    assert best * 3 == pytest.approx(float((curvature / (curvature + best)).sum()), rel=1e-9)
    for length in (0.1, 2.0, 3.0, 7.7):  # all weights fixed, to the last digit
        assert most_evident(torch.full((4,), 1e30, dtype=torch.float64), length) == pytest.approx(4 / length)
    tuned, fixed = (Laplace(prior_precision=given).fit(NET, IMAGES, TARGETS) for given in (None, 3.0))
    assert tuned.log_marginal_likelihood_ > fixed.log_marginal_likelihood_
    again = Laplace(prior_precision=tuned.prior_precision_).fit(NET, IMAGES, TARGETS)
    assert again.log_marginal_likelihood_ == tuned.log_marginal_likelihood_


@EACH
def test_draws_and_variances_are_those_of_the_covariance(structure: str) -> None:
    found = Laplace(structure=structure, prior_precision=2.0).fit(NET, IMAGES, TARGETS)
    whole = matrix(found.curvature_, 1 / (found.curvature_.values + 2.0))
    rows = rows_of(ASKED)
    spread = (found.curvature_.values + 2.0).rsqrt()
    variances = torch.stack(
        [torch.stack([(each := torch.kron(torch.eye(4)[k], row)) @ whole @ each for k in range(4)]) for row in rows]
    )
    torch.testing.assert_close(found.curvature_.variances(rows, spread), variances)
    noise = torch.randn(6000, *found.layer_.weights.shape, dtype=torch.float64, generator=seeded())
    moved = found.curvature_.moved(rows, spread, noise)  # (S, N, K)
    first = torch.stack([torch.kron(torch.eye(4)[k], rows[0]) for k in range(4)])  # (K, K P)
    covariance = first @ whole @ first.T
    error = 4 * (covariance.diagonal().outer(covariance.diagonal()) * 2 / 6000).sqrt()
    assert ((moved[:, 0].T.cov() - covariance).abs() < error).all()
    assert (moved.mean(dim=0).abs() < 4.5 * (variances / 6000).sqrt()).all()
    logits = rows @ weights_of(NET).T
    torch.testing.assert_close(found.probit(ASKED), (logits / (1 + math.pi / 8 * variances).sqrt()).softmax(dim=1))
    assert float((found.probit(ASKED) - found(ASKED, samples=2000).mean(dim=0)).abs().max()) < 0.1


@EACH
def test_an_image_seen_twice_at_temperature_two_is_seen_once(structure: str) -> None:
    twice = torch.cat([IMAGES, IMAGES]), torch.cat([TARGETS, TARGETS])
    once, cold = Laplace(structure=structure), Laplace(structure=structure, temperature=2.0)
    once.fit(NET, IMAGES, TARGETS), cold.fit(NET, *twice)
    assert cold.prior_precision_ == pytest.approx(once.prior_precision_, rel=1e-9)
    assert cold.log_marginal_likelihood_ == pytest.approx(once.log_marginal_likelihood_, rel=1e-9)
    torch.testing.assert_close(cold.probit(ASKED), once.probit(ASKED))


@EACH
def test_it_doubts_more_far_from_what_it_saw(structure: str) -> None:
    """Two clouds to the left and the right; along their boundary, up and down, nothing was seen."""
    near = 0.5 + 0.03 * torch.randn(100, 1, 1, 2, dtype=torch.float64, generator=seeded(6))
    targets = torch.arange(100) % 2
    near[:, 0, 0, 0] += 0.1 * (2 * targets - 1)
    net = Linear(torch.tensor([[-30.0, 0.0], [30.0, 0.0]]).double(), torch.tensor([15.0, -15.0]).double())
    found = Laplace(structure=structure).fit(net, near, targets)
    asked = torch.tensor([[0.6, 0.5], [0.6, 1.0], [0.6, 0.0]], dtype=torch.float64).view(3, 1, 1, 2)
    drawn = found(asked if structure != "diag" else asked[:2], samples=400)  # diag knows no directions, only more light
    open_ = (drawn[:, :, 1] / drawn[:, :, 0]).log().std(dim=0)
    assert (open_[1:] > 1.2 * open_[0]).all()
    assert (mutual_information(drawn)[1:] > mutual_information(drawn)[0]).all()


@EACH
def test_without_spread_it_is_the_plain_network(structure: str) -> None:
    sure = Laplace(structure=structure, prior_precision=1e16).fit(NET, IMAGES, TARGETS)
    plain = NET(ASKED).softmax(dim=1).detach()
    torch.testing.assert_close(sure(ASKED, samples=5), plain.expand(5, -1, -1), rtol=0, atol=1e-5)
    torch.testing.assert_close(sure.probit(ASKED), plain)


@EACH
def test_order_chunks_and_company_change_nothing(structure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Laplace(structure=structure).fit(NET, IMAGES, TARGETS)
    drawn = found(ASKED, samples=30)
    assert drawn.shape == (30, 6, 4)
    assert drawn.dtype == torch.float64
    torch.testing.assert_close(drawn.sum(dim=2), torch.ones(30, 6, dtype=torch.float64))
    order = torch.tensor([2, 0, 3, 1, 5, 4])
    torch.testing.assert_close(found(ASKED[order], samples=30), drawn[:, order])
    torch.testing.assert_close(found(ASKED[1:2], samples=30), drawn[:, 1:2])
    torch.testing.assert_close(found(ASKED, samples=12), drawn[:12])
    assert not torch.allclose(found(ASKED, samples=12, generator=seeded(1)), drawn[:12])
    for module in ("_last_layer", "_curvature"):
        monkeypatch.setattr(import_module(f"pellucid.uncertainty.{module}"), "AT_ONCE", 1)
    monkeypatch.setattr(import_module("pellucid.models.evaluate"), "CPU_BUDGET", 1)
    torch.testing.assert_close(found(ASKED, samples=30), drawn)
    again = Laplace(structure=structure).fit(NET, IMAGES, TARGETS)
    torch.testing.assert_close(again.curvature_.values, found.curvature_.values, rtol=1e-9, atol=1e-9)


def test_a_set_in_memory_is_summed_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = (IMAGES * 255).round().to(torch.uint8)
    known = Pixels(pixels, TARGETS, tuple("abcd"), tuple(map(str, range(40))))
    net = varied()
    whole = Laplace().fit(net, pixels.float() / 255, TARGETS)
    monkeypatch.setattr(import_module("pellucid.uncertainty._pictures"), "AT_ONCE", 48 * 7)
    parts = Laplace().fit(net, known)
    torch.testing.assert_close(parts.curvature_.values, whole.curvature_.values, rtol=1e-5, atol=1e-6)
    assert parts.log_marginal_likelihood_ == pytest.approx(whole.log_marginal_likelihood_, rel=1e-5)


def test_the_network_is_left_as_it_was() -> None:
    net = varied()
    images = IMAGES.float()
    before, noise = {name: value.clone() for name, value in net.state_dict().items()}, torch.random.get_rng_state()
    with torch.inference_mode():
        drawn = Laplace().fit(net, images, TARGETS)(images[:3], samples=4)
    assert drawn.dtype == torch.float32
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(noise, torch.random.get_rng_state())
    assert not any(module.training or module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_rehearsal_counts_the_images_and_draws_nothing() -> None:
    found = Laplace().fit(NET, IMAGES, TARGETS)
    with rehearsal() as cost:
        assert found(ASKED, samples=50).shape == (50, 6, 4)
    assert cost.forward == 6


@EACH
def test_it_comes_back(structure: str, tmp_path: Path) -> None:
    found = Laplace(structure=structure, temperature=1.5).fit(NET, IMAGES, TARGETS)
    found.save(tmp_path / "kept")
    again = Laplace.load(tmp_path / "kept", NET)
    assert set(vars(again)) == set(vars(found))
    assert torch.equal(again(ASKED, samples=5), found(ASKED, samples=5))
    assert again.log_marginal_likelihood_ == found.log_marginal_likelihood_
    other = varied().double()
    other.get_parameter("8.bias").data += 1
    with pytest.raises(ValueError, match="other weights"):
        Laplace.load(tmp_path / "kept", other)
    told = json.loads((tmp_path / "kept" / "fitted.json").read_text())
    for change in ({"options": {"structure": "cubic"}}, {"options": {"sharp": 1}}, {"prior_precision": 0.0}):
        (tmp_path / "kept" / "fitted.json").write_text(json.dumps({**told, **change}))
        with pytest.raises(ValueError, match="is damaged"):
            Laplace.load(tmp_path / "kept", NET)


def test_too_much_memory_is_refused_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Linear(torch.zeros(300, 192))
    images, targets = small_images(2), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"structure='full' over 300 x 192 weights would need .*structure='kron'"):
        Laplace(structure="full").fit(wide, images, targets)
    found = Laplace().fit(NET, IMAGES, TARGETS)
    with pytest.raises(ValueError, match=r"samples=100000000 of 6 images would need .* lower samples"):
        found(ASKED, samples=10**8)
    monkeypatch.setattr(import_module("pellucid.uncertainty._last_layer"), "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="structure='diag'"):
        Laplace().fit(NET, IMAGES, TARGETS)


def test_refuses() -> None:
    with pytest.raises(ValueError, match="structure must be one of full, kron, diag, got 'cron'; did you mean kron"):
        Laplace(structure="cron")
    with pytest.raises(ValueError, match=r"prior_precision must be above 0 and finite, got 0\.0"):
        Laplace(prior_precision=0.0)
    with pytest.raises(ValueError, match="temperature must be above 0 and finite, got nan"):
        Laplace(temperature=math.nan)
    with pytest.raises(ValueError, match=r"must be fitted first: call fit\(model, images, targets\)"):
        Laplace()(ASKED)
    with pytest.raises(ValueError, match="must be fitted first"):
        Laplace().save("nowhere")
    with pytest.raises(ValueError, match="true classes, an int64 tensor"):
        Laplace().fit(NET, IMAGES)
    with pytest.raises(ValueError, match=r"target 4 is no class: not in 0\.\.3"):
        Laplace().fit(NET, IMAGES, TARGETS + 1)
    with pytest.raises(ValueError, match="model must be in eval mode"):
        Laplace().fit(varied().train(), IMAGES.float(), TARGETS)
    ends = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    softmax = nn.Sequential(*small(4), nn.Softmax(dim=1)).eval()
    for net in (ends, softmax):
        with pytest.raises(
            ValueError, match=r"Laplace needs a network whose logits come from a linear layer.*ensemble"
        ):
            Laplace().fit(net, IMAGES.float(), TARGETS)
    with pytest.raises(ValueError, match="calls no linear layer"):
        Laplace().fit(Given(), IMAGES.float(), TARGETS)
    with pytest.raises(ValueError, match=r"prior_precision must be given.*the weights are all 0"):
        Laplace().fit(Linear(torch.zeros(4, 48)), IMAGES.float(), TARGETS)
    found = Laplace().fit(NET, IMAGES, TARGETS)
    with pytest.raises(ValueError, match="samples must be at least 1, got 0"):
        found(ASKED, samples=0)
    with pytest.raises(ValueError, match="images must be in"):
        found.probit(ASKED * 255)


@pytest.mark.filterwarnings("ignore")
@EACH
def test_beside_laplace_torch(structure: str) -> None:
    """The bias stands as one more feature: there it is a block of its own in the Kronecker factors, here none."""
    theirs: Any = pytest.importorskip("laplace")

    class Joined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = NET[:-1], nn.Linear(13, 4, bias=False).double()
            self.head.weight.data = weights_of(NET).contiguous()
            self.eval()

        def forward(self, images: Tensor) -> Tensor:
            features = self.body(images)
            logits: Tensor = self.head(torch.cat([features, torch.ones_like(features[:, :1])], dim=1))
            return logits

    net = Joined()
    loader: Any = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(IMAGES, TARGETS), batch_size=40)
    other = theirs.Laplace(
        net, "classification", subset_of_weights="last_layer", hessian_structure=structure, prior_precision=2.0
    )
    other.fit(loader)
    for found in (Laplace(structure=structure, prior_precision=2.0).fit(each, IMAGES, TARGETS) for each in (NET, net)):
        told = other(ASKED, pred_type="glm", link_approx="probit").detach()
        torch.testing.assert_close(found.probit(ASKED), told, rtol=0, atol=1e-6)
        assert found.log_marginal_likelihood_ == pytest.approx(float(other.log_marginal_likelihood()), rel=1e-6)
