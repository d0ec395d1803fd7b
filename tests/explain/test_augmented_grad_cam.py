import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.explain import grad_cam
from pellucid.explain._super_resolution import SOLVERS, Joined, solve, total_variation
from pellucid.explain.augmented_grad_cam import _mixing, _places, augmented_grad_cam, super_resolve
from pellucid.models import rehearsal

from .nets import GapNet

SEED = torch.Generator().manual_seed(3)
IMAGES = torch.rand(2, 3, 9, 12, generator=SEED, dtype=torch.float64)
TARGETS = torch.tensor([4, 1])
TURNS = torch.tensor([0.0, 0.4, -0.3], dtype=torch.float64)
MOVES = torch.tensor([[0.0, 0.0], [1.0, -2.0], [-0.5, 1.5]], dtype=torch.float64)


def problem(**changed: Any) -> Joined:
    """Three views of an 8 x 12 map, seen on a 4 x 3 grid."""
    rows, columns = _mixing(8, 4, "pool"), _mixing(12, 3, "pool")
    goals = torch.rand(3, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return replace(Joined(_places(TURNS, MOVES, (8, 12)), goals, rows, columns, 0.05, 0.01, False), **changed)


def turned(h: Tensor, angle: float, down: float, right: float) -> Tensor:
    """The map, turned about its centre and then moved: pixel by pixel, bilinear, nothing beyond the edge."""
    height, width = h.shape
    found = torch.zeros_like(h)
    for y in range(height):
        for x in range(width):
            v, u = y - (height - 1) / 2 - down, x - (width - 1) / 2 - right
            row = -math.sin(angle) * u + math.cos(angle) * v + (height - 1) / 2
            column = math.cos(angle) * u + math.sin(angle) * v + (width - 1) / 2
            for i in (math.floor(row), math.floor(row) + 1):
                for j in (math.floor(column), math.floor(column) + 1):
                    if 0 <= i < height and 0 <= j < width:
                        found[y, x] += h[i, j] * (1 - abs(row - i)) * (1 - abs(column - j))
    return found


def test_the_objective_equals_a_plain_loop() -> None:
    one = problem()
    h = torch.rand(8, 12, generator=SEED, dtype=torch.float64)
    total = torch.zeros((), dtype=torch.float64)
    for angle, move, goal in zip(TURNS.tolist(), MOVES.tolist(), one.goals, strict=True):
        view = turned(h, angle, *move)
        for i in range(4):
            for j in range(3):
                total += (view[2 * i : 2 * i + 2, 4 * j : 4 * j + 4].mean() - goal[i, j]) ** 2 / 2
    for y in range(8):
        for x in range(12):
            total += 0.05 * (abs(h[y + 1, x] - h[y, x]) if y < 7 else 0)
            total += 0.05 * (abs(h[y, x + 1] - h[y, x]) if x < 11 else 0)
            total += 0.005 * h[y, x] ** 2
    _, trace = solve(one, h, 0, "primal_dual", False)
    torch.testing.assert_close(trace, total[None])


def test_the_adjoint_is_one() -> None:
    one = problem()
    h = torch.rand(8, 12, dtype=torch.float64, requires_grad=True, generator=SEED)
    v = torch.rand(3, 4, 3, dtype=torch.float64, generator=SEED)
    (back,) = torch.autograd.grad(one.seen(h), h, v)
    torch.testing.assert_close((one.seen(h.detach()) * v).sum(), (h.detach() * back).sum())


def test_the_largest_curvature() -> None:
    one = problem()
    columns = [one.seen(unit.view(8, 12)).flatten() for unit in torch.eye(96, dtype=torch.float64)]
    matrix = torch.stack(columns, dim=1)  # (36, 96)
    exact = torch.linalg.matrix_norm(matrix, 2).square().item() + 0.01
    assert one.steepest(one.counted()) == pytest.approx(exact, rel=0.02)


def test_the_solvers_come_to_the_same_least() -> None:
    start = torch.zeros(8, 12, dtype=torch.float64)
    least = {name: solve(problem(), start, 600, name, False)[1].min().item() for name in SOLVERS}
    exact = solve(problem(), start, 3000, "primal_dual", False)[1].min().item()
    assert least["primal_dual"] == pytest.approx(exact, rel=1e-3)
    for name, worst in (("subgradient", 1.2), ("adam", 1.5), ("constant", 1.5)):  # the last stays off by itself
        assert exact - 1e-9 <= least[name] < worst * exact, name


def test_turning_back_undoes_turning() -> None:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(40.0), indexing="ij")
    blob = torch.exp(-((y - 14) ** 2 + (x - 22) ** 2) / 60)[None, None].double()
    for turn, move in zip(TURNS[:, None], MOVES[:, None], strict=True):
        away = F.grid_sample(blob, _places(turn, move, (32, 40)), align_corners=False)
        home = F.grid_sample(away, _places(turn, move, (32, 40), back=True), align_corners=False)
        assert (home - blob).abs().max() < 0.05


@pytest.mark.parametrize("solver", ["primal_dual", "subgradient", "constant"])
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_one_view_without_smoothing_has_a_closed_form(solver: str, ridge: float) -> None:
    rows, columns = _mixing(8, 4, "pool"), _mixing(12, 3, "pool")
    goals = torch.rand(1, 4, 3, generator=SEED, dtype=torch.float64)
    one = Joined(_places(TURNS[:1], MOVES[:1], (8, 12)), goals, rows, columns, 0.0, ridge, False)
    heat, trace = solve(one, torch.zeros(8, 12, dtype=torch.float64), 4, solver, False)
    blocks = goals[0].repeat_interleave(2, 0).repeat_interleave(4, 1)
    torch.testing.assert_close(heat, blocks / (1 + ridge * 8))  # 2 x 4 pixels a position
    assert trace[-1] <= trace[0]


def test_total_variation() -> None:
    assert total_variation(torch.full((4, 5), 3.0)) == 0
    assert total_variation(torch.tensor([[0.0, 1.0], [5.0, 5.0]])) == 1 + 5 + 4


def test_a_huge_smoothing_gives_a_constant_map() -> None:
    start = torch.rand(8, 12, generator=SEED, dtype=torch.float64)
    heat, _ = solve(problem(smooth=50.0), start, 4000, "primal_dual", False)
    assert heat.amax() - heat.amin() < 1e-3
    flat = torch.ones(8, 12, dtype=torch.float64)
    seen = problem().seen(flat)
    best = (seen * problem().goals).sum() / (seen.square().sum() + 0.01 * 96)  # the best constant, by hand
    assert heat.mean().item() == pytest.approx(best.item(), rel=1e-2)


def test_more_views_come_nearer_to_a_known_map() -> None:
    known = torch.zeros(16, 16, dtype=torch.float64)
    known[4:10, 7:12] = 1
    rows = _mixing(16, 4, "pool")
    source = torch.Generator().manual_seed(1)
    turns = torch.rand(32, generator=source, dtype=torch.float64) - 0.5
    moves = 4 * torch.rand(32, 2, generator=source, dtype=torch.float64) - 2
    far = []
    for count in (2, 8, 32):
        one = Joined(_places(turns[:count], moves[:count], (16, 16)), torch.zeros(()), rows, rows, 1e-4, 1e-6, False)
        one = replace(one, goals=one.seen(known), smooth=2e-4 * count, ridge=1e-6 * count)
        heat, _ = solve(one, torch.zeros_like(known), 300, "primal_dual", True)
        far.append((heat - known).square().mean().item())
    assert far[0] > far[1] > far[2]
    assert far[2] < 0.6 * far[0]


def test_what_lies_beyond_the_edge_can_be_left_out() -> None:
    counted = problem(inside=True).counted()
    assert counted[0].all(), "the image itself has no edge inside"
    assert 0 < counted[1:].mean() < 1
    whole = torch.stack([turned(torch.ones(8, 12), a, *m) for a, m in zip(TURNS.tolist(), MOVES.tolist(), strict=True)])
    torch.testing.assert_close(counted, (F.avg_pool2d(whole, (2, 4)) > 0.999).double())


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_best_iterate_is_kept_and_no_worse_than_the_start(solver: str) -> None:
    told: dict[str, Any] = {"views": 5, "iterations": 12, "solver": solver}
    found = super_resolve(GapNet(), IMAGES, TARGETS, **told)
    assert found.trace.shape == (2, 13)
    assert (found.trace.min(dim=1).values <= found.trace[:, 0]).all()
    again = super_resolve(GapNet(), IMAGES, TARGETS, views=5, iterations=0)
    torch.testing.assert_close(again.heat, again.mean)
    torch.testing.assert_close(again.trace[:, 0], found.trace[:, 0])
    torch.testing.assert_close(augmented_grad_cam(GapNet(), IMAGES, TARGETS, **told), found.heat)


def test_the_first_view_is_the_image_itself() -> None:
    plain = grad_cam(GapNet(), IMAGES, TARGETS)
    found = super_resolve(GapNet(), IMAGES, TARGETS, views=3, iterations=0)
    assert plain.amax() > 0
    for heat, single in zip(plain, found.single, strict=True):  # scaled before it is enlarged
        torch.testing.assert_close(single / single.amax(), heat / heat.amax())
    alone = super_resolve(GapNet(), IMAGES, TARGETS, views=1, iterations=0)
    torch.testing.assert_close(alone.mean, alone.single)
    torch.testing.assert_close(alone.max, alone.single)


def test_both_weights_grow_with_the_views() -> None:
    told: dict[str, Any] = {"views": 5, "iterations": 0}
    plain = super_resolve(GapNet(), IMAGES, TARGETS, **told, smooth=0.0, ridge=0.0)
    smooth = super_resolve(GapNet(), IMAGES, TARGETS, **told, smooth=0.02, ridge=0.0)
    ridge = super_resolve(GapNet(), IMAGES, TARGETS, **told, smooth=0.0, ridge=0.02)
    for image, mean in enumerate(plain.mean):
        told_smooth, told_ridge = (found.trace[image, 0] - plain.trace[image, 0] for found in (smooth, ridge))
        torch.testing.assert_close(told_smooth, 5 * 0.02 * total_variation(mean))
        torch.testing.assert_close(told_ridge, 5 * 0.02 / 2 * mean.square().sum())


def test_empty_maps_are_counted_and_stay_zero() -> None:
    model = GapNet()
    nn.init.zeros_(model.head.weight)
    found = super_resolve(model, IMAGES, TARGETS, views=4, iterations=5)
    assert found.empty.tolist() == [4, 4]
    assert found.heat.abs().max() == 0
    assert found.trace.abs().max() == 0


def test_the_solver_asks_nothing_of_the_model() -> None:
    with rehearsal() as cost:
        super_resolve(GapNet(), IMAGES, TARGETS, views=6, iterations=9)
    assert (cost.forward, cost.backward) == (12, 12)


def test_options_of_the_map() -> None:
    told: dict[str, Any] = {"views": 4, "iterations": 40, "smooth": 0.0}
    assert super_resolve(GapNet(), IMAGES, TARGETS, **told).heat.min() < 0
    assert super_resolve(GapNet(), IMAGES, TARGETS, **told, nonnegative=True).heat.min() == 0
    zero = super_resolve(GapNet(), IMAGES, TARGETS, views=4, iterations=0, start="zero")
    assert zero.heat.abs().max() == 0
    other = super_resolve(GapNet(), IMAGES, TARGETS, **told, down="bilinear")
    assert not torch.allclose(other.heat, super_resolve(GapNet(), IMAGES, TARGETS, **told).heat)
    source = torch.Generator().manual_seed(1)
    assert not torch.allclose(super_resolve(GapNet(), IMAGES, TARGETS, **told, generator=source).heat, other.heat)


class Cue(nn.Module):
    """Counts red pixels, and looks at them through cells of 8 x 8: its evidence is known to the pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.colour = nn.Conv2d(3, 1, 1)
        self.cells = nn.AvgPool2d(8)
        with torch.no_grad():
            self.colour.weight.copy_(torch.tensor([1.0, -0.5, -0.5]).view(1, 3, 1, 1))
            self.colour.bias.fill_(-0.5)  # type: ignore[union-attr]
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.cells(self.colour(images).relu()).mean(dim=(2, 3))
        return torch.cat([found, -found], dim=1)


def scene(seed: int) -> tuple[Tensor, Tensor]:
    """A grey noisy picture (1, 3, 32, 32) with a red square of 8 x 8 somewhere, and the square's mask."""
    source = torch.Generator().manual_seed(seed)
    image = 0.3 + 0.4 * torch.rand(1, 1, 32, 32, generator=source).repeat(1, 3, 1, 1)
    top, left = torch.randint(4, 20, (2,), generator=source).tolist()
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[top : top + 8, left : left + 8] = True
    return torch.where(mask, torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1), image), mask


def test_a_planted_cue_is_outlined_better_than_by_one_enlarged_map() -> None:
    def overlap(heat: Tensor, mask: Tensor) -> Tensor:
        shown = torch.stack([heat > share * heat.max() for share in (0.5, 0.15)])
        return (shown & mask).sum(dim=(1, 2)) / (shown | mask).sum(dim=(1, 2))

    plain, sharp = torch.zeros(2), torch.zeros(2)
    for seed in range(6):
        image, mask = scene(seed)
        found = super_resolve(Cue(), image, torch.tensor([0]), layer="cells", views=50, iterations=100)
        assert found.trace.min() < 0.9 * found.trace[0, 0]
        plain += overlap(found.single[0], mask) / 6
        sharp += overlap(found.heat[0], mask) / 6
    assert (sharp > plain).all(), "half of the maximum, and the published threshold"
    assert sharp[1] > 1.2 * plain[1]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"views": 0}, "views must be at least 1, got 0"),
        ({"smooth": -1.0}, "smooth must be at least 0, got -1"),
        ({"ridge": -1.0}, "ridge must be at least 0, got -1"),
        ({"angle": 3.2}, r"angle must be in \[0, 3.14\d*\], got 3.2"),
        ({"shift": 1.5}, r"shift must be in \[0, 1\], got 1.5"),
        ({"iterations": -1}, "iterations must be at least 0, got -1"),
        ({"solver": "adams"}, "solver must be one of .*; did you mean adam"),
        ({"start": "max"}, "start must be one of mean, zero, got 'max'"),
        ({"down": "nearest"}, "down must be one of pool, bilinear, got 'nearest'"),
        ({"layer": "head"}, "layer 'head' puts out no maps"),
    ],
)
def test_refuses(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        augmented_grad_cam(GapNet(), IMAGES, TARGETS, **option)
