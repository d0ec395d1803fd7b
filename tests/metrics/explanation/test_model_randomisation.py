from copy import deepcopy
from typing import Any

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from pellucid.metrics.explanation import Randomisation, baselines, model_randomisation
from pellucid.metrics.explanation._random_weights import redraw

from .nets import IMAGES, TARGETS, Linear, Small, gradient, state

ORDER = ("head", "middle", "norm", "first", "")
"""Of Small, from the output back, whatever the order in which it was written; its own parameter goes last."""


def edges(_model: nn.Module, images: Tensor, _targets: Any) -> Tensor:
    return baselines(images)["edges"]


def test_stages_go_from_the_output_back_and_each_changes_its_layers_only() -> None:
    model = Small()
    seen: list[set[str]] = []

    def spy(copy: nn.Module, images: Tensor, targets: Any) -> Tensor:
        own = dict(model.named_parameters())
        seen.append({name for name, value in copy.named_parameters() if not torch.equal(value, own[name])})
        return gradient(copy, images, targets)

    found = model_randomisation(spy, model, IMAGES, TARGETS)
    assert found.stages == tuple((name,) for name in ORDER)
    assert seen[0] == set()
    assert seen[1] == {"head.weight", "head.bias"}
    assert seen[2] - seen[1] == {"middle.weight", "middle.bias"}
    assert seen[3] == seen[2], "a norm that has learned nothing starts as it is"
    assert seen[4] - seen[3] == {"first.weight", "first.bias"}
    assert seen[5] - seen[4] == {"scale"}


@pytest.mark.parametrize(("stages", "sizes"), [(1, [5]), (2, [1, 4]), (3, [1, 2, 2]), (4, [1, 1, 2, 1]), (9, [1] * 5)])
def test_few_stages_hold_all_layers_once(stages: int, sizes: list[int]) -> None:
    found = model_randomisation(gradient, Small(), IMAGES, TARGETS, stages=stages)
    assert [name for stage in found.stages for name in stage] == list(ORDER)
    assert len(found.stages) == min(stages, 5)
    assert sorted(map(len, found.stages)) == sorted(sizes)
    assert found.correlation.shape == (len(found.stages), 3)
    assert found.heats.shape == (len(found.stages) + 1, 3, 8, 8)


def test_a_map_of_the_picture_alone_is_insensitive() -> None:
    found = model_randomisation(edges, Small(), IMAGES, TARGETS)
    torch.testing.assert_close(found.correlation, torch.ones(5, 3, dtype=torch.float64))
    assert found.final == pytest.approx(1)
    assert found.lowest == pytest.approx(1)
    assert found.verdict() == "insensitive"


def test_what_was_once_lost_comes_back_by_chance_only() -> None:
    alike, unlike = torch.full((1, 3), 0.9), torch.tensor([[0.2, -0.1, 0.2]])
    nothing = torch.zeros(4, 3, 1, 1)
    found = Randomisation((("a",),) * 3, torch.cat([alike, unlike, alike]), nothing, nothing[..., 0, 0] > 0)
    assert found.final == pytest.approx(0.9)
    assert found.lowest == pytest.approx(0.1)
    assert found.verdict() == "sensitive"
    assert found.verdict(threshold=0.05) == "insensitive"


def test_a_map_of_what_was_learned_is_sensitive() -> None:
    """Of a linear model the slope is its weight, which is drawn anew."""
    weight = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = model_randomisation(gradient, Linear(weight), IMAGES, TARGETS)
    assert found.correlation.abs().max() < 0.5
    assert found.verdict() == "sensitive"
    assert found.verdict(threshold=-1) == "insensitive"
    torch.testing.assert_close(found.heats[0], weight[TARGETS].sum(dim=1))


@pytest.mark.parametrize("absolute", [True, False])
def test_the_correlation_is_that_of_scipy_ties_included(absolute: bool) -> None:
    def rounded(model: nn.Module, images: Tensor, targets: Any) -> Tensor:
        heat = gradient(model, images, targets)
        return (heat / heat.abs().amax(dim=(1, 2), keepdim=True) * 15).round()

    found = model_randomisation(rounded, Small(), IMAGES, TARGETS, absolute=absolute)
    heats = (found.heats.abs() if absolute else found.heats).flatten(2)
    assert len(set(heats[0, 0].tolist())) < 40, "there are ties"
    for stage in range(5):
        for image in range(3):
            expected = spearmanr(heats[0, image], heats[stage + 1, image]).statistic
            assert found.correlation[stage, image].item() == pytest.approx(expected)


def test_a_flat_map_has_nothing_in_common_and_is_told() -> None:
    found = model_randomisation(lambda *_: torch.ones(3, 8, 8), Small(), IMAGES, TARGETS)
    assert found.correlation.tolist() == [[0, 0, 0]] * 5
    assert found.is_flat.all()


def test_the_seed_decides_and_the_model_stays() -> None:
    model = Small()
    before = state(model)
    first, same, other = (
        model_randomisation(gradient, model, IMAGES, TARGETS, generator=torch.Generator().manual_seed(seed)).heats
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, same)
    assert torch.equal(first[0], other[0])
    assert not torch.allclose(first[1:], other[1:])
    assert state(model) == before


def test_the_model_stays_also_after_an_error() -> None:
    model = Small()
    before = state(model)

    def broken(copy: nn.Module, images: Tensor, targets: Any) -> Tensor:
        if not torch.equal(copy.head.weight, model.head.weight):  # type: ignore[arg-type, union-attr]
            raise RuntimeError("on purpose")
        return gradient(copy, images, targets)

    with pytest.raises(RuntimeError, match="on purpose"):
        model_randomisation(broken, model, IMAGES, TARGETS)
    assert state(model) == before


WEIGHTED: dict[str, tuple[nn.Module, int]] = {
    "fully connected": (nn.Linear(300, 200), 300),
    "convolution": (nn.Conv2d(30, 40, 3), 270),
    "depthwise": (nn.Conv2d(400, 400, 5, groups=400), 25),
    "transposed": (nn.ConvTranspose2d(40, 30, 3), 360),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_weights_are_normal_with_one_over_the_inputs(name: str) -> None:
    module, inputs = WEIGHTED[name]
    module = deepcopy(module)
    redraw(module, torch.Generator().manual_seed(0))
    weight, bias = dict(module.named_parameters()).values()
    assert weight.std().item() == pytest.approx(inputs**-0.5, rel=0.03)
    assert abs(weight.mean().item()) < 0.03 * inputs**-0.5
    assert not bias.any()


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(6), nn.LayerNorm(6), nn.GroupNorm(2, 6), nn.RMSNorm(6), nn.BatchNorm2d(6, affine=False)]
)
def test_norms_start_anew(norm: nn.Module) -> None:
    norm, fresh = deepcopy(norm), {name: value.clone() for name, value in norm.state_dict().items()}
    for value in norm.state_dict().values():
        value.fill_(3)
    redraw(norm, torch.Generator().manual_seed(0))
    for name, value in norm.state_dict().items():
        assert torch.equal(value, fresh[name])


def test_frozen_norms_start_anew_in_a_stage_of_their_own() -> None:
    class Frozen(nn.Module):
        """A norm that keeps all it has as buffers."""

        def __init__(self) -> None:
            super().__init__()
            for name in ("weight", "bias", "running_mean", "running_var"):
                self.register_buffer(name, torch.rand(6, generator=torch.Generator().manual_seed(1)) + 0.5)
            self.register_buffer("calls", torch.tensor(7))

        def forward(self, x: Tensor) -> Tensor:
            weight, bias, mean, var = (getattr(self, name)[:, None, None] for name in list(self._buffers)[:4])
            shifted: Tensor = (x - mean) / (var + 1e-5).sqrt() * weight + bias
            return shifted

    model = Small()
    model.norm = Frozen()  # type: ignore[assignment]
    model.double().eval()
    copies: list[nn.Module] = []

    def spy(copy: nn.Module, images: Tensor, targets: Any) -> Tensor:
        copies.append(deepcopy(copy.norm))  # type: ignore[arg-type]
        return gradient(copy, images, targets)

    found = model_randomisation(spy, model, IMAGES, TARGETS)
    assert found.stages == tuple((name,) for name in ORDER)
    assert torch.equal(copies[2].weight, model.norm.weight)  # type: ignore[arg-type]
    fresh = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0, "calls": 7.0}
    for name, value in copies[3].state_dict().items():
        assert torch.equal(value, torch.full_like(value, fresh[name]))
    assert model.norm.weight.max() > 1.1, "the model stays"
    assert not torch.equal(found.heats[2], found.heats[3])


def test_norms_without_parameters_are_stages_too() -> None:
    model = Small()
    model.norm = nn.BatchNorm2d(6, affine=False).double().eval()
    assert model_randomisation(gradient, model, IMAGES, TARGETS).stages == tuple((name,) for name in ORDER)


def test_what_is_no_weight_keeps_its_mean_and_spread() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.position = nn.Parameter(torch.randn(1, 50, 40, generator=torch.Generator().manual_seed(1)) * 0.02 + 7)
            self.scale = nn.Parameter(torch.full((8,), 0.1))
            self.inner = nn.Linear(3, 3)

    module = Tokens()
    before = deepcopy(module.state_dict())
    redraw(module, torch.Generator().manual_seed(0))
    assert module.position.mean().item() == pytest.approx(7, abs=0.002)
    assert module.position.std().item() == pytest.approx(0.02, rel=0.1)
    assert not torch.allclose(module.position, before["position"], atol=0.01)
    torch.testing.assert_close(module.scale.detach(), before["scale"])  # no spread, nothing learned
    assert torch.equal(module.inner.weight, before["inner.weight"]), "a part is not the whole's business"


def test_attention_inside_is_reached() -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.TransformerEncoderLayer(24, 2, 16, batch_first=True, dropout=0)
            self.head = nn.Linear(24, 5)
            self.double().eval()

        def forward(self, images: Tensor) -> Tensor:
            tokens: Tensor = self.block(images.transpose(1, 2).flatten(2))
            logits: Tensor = self.head(tokens.mean(dim=1))
            return logits

    model = Attending()
    changed: list[int] = []

    def spy(copy: nn.Module, images: Tensor, targets: Any) -> Tensor:
        pairs = zip(copy.parameters(), model.parameters(), strict=True)
        changed.append(sum(not torch.equal(new, old) for new, old in pairs))
        return gradient(copy, images, targets)

    found = model_randomisation(spy, model, IMAGES, TARGETS, stages=2)
    assert found.stages[0] == ("head",)
    assert {"block.self_attn", "block.self_attn.out_proj", "block.linear1"} <= set(found.stages[1])
    assert found.correlation[-1].abs().max() < 1


def test_refuses() -> None:
    with pytest.raises(ValueError, match="stages must be at least 1, got 0"):
        model_randomisation(gradient, Small(), IMAGES, TARGETS, stages=0)
    with pytest.raises(ValueError, match="model must have parameters to be made random, got none"):
        model_randomisation(gradient, nn.Flatten().eval(), IMAGES, TARGETS)
    with pytest.raises(ValueError, match="heat must be finite"):
        model_randomisation(lambda *_: torch.full((3, 8, 8), torch.nan), Small(), IMAGES, TARGETS)
