from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pellucid import progress
from pellucid.models import Plan, evaluate
from pellucid.models._live_bytes import LiveBytes

IMAGES = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()


def dimmed(images: Tensor, numbers: Tensor, _rows: Tensor) -> Tensor:
    return images * (1 / (1 + numbers.to(images)))[:, None, None, None, None]  # (p, n, C, H, W)


def read(outputs: Tensor, rows: Tensor) -> Tensor:
    return outputs + 100 * rows[:, None]


def naive(model: nn.Module, images: Tensor, count: int) -> Tensor:
    """One pass for every variant of every image."""
    found = torch.empty(count, len(images), 3)
    with torch.no_grad():
        for p in range(count):
            for n in range(len(images)):
                found[p, n] = model(images[n : n + 1] / (1 + p))[0] + 100 * n
    return found


@pytest.mark.parametrize("budget", [1, 5_000, 30_000, 2**29])
@pytest.mark.parametrize(("count", "images"), [(1, 1), (1, 5), (7, 1), (7, 5), (70, 2), (130, 1)])
def test_equals_the_naive_loop_within_any_budget(budget: int, count: int, images: int) -> None:
    model = small()
    found = evaluate(model, Plan(IMAGES[:images], count, dimmed), read, budget=budget)
    torch.testing.assert_close(found, naive(model, IMAGES[:images], count), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("budget", [1, 30_000, 2**29])
def test_a_variant_may_depend_on_which_image_it_is_of(budget: int) -> None:
    shift = torch.arange(20.0).view(4, 5)  # one for each variant of each image

    def shifted(images: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
        return images + shift[numbers][:, rows, None, None, None]

    model = small()
    found = evaluate(model, Plan(IMAGES, 4, shifted), lambda outputs, _rows: outputs, budget=budget)
    expected = [[model(IMAGES[n : n + 1] + shift[p, n])[0] for n in range(5)] for p in range(4)]
    torch.testing.assert_close(found, torch.stack([torch.stack(row) for row in expected]))


def test_keeps_whatever_shape_is_read() -> None:
    model = small()
    found = evaluate(model, Plan(IMAGES, 3, dimmed), lambda outputs, _rows: outputs.argmax(dim=1))
    assert found.shape == (3, 5)
    assert torch.equal(found, naive(model, IMAGES, 3).argmax(dim=2))


class Limited(nn.Module):
    """Runs out of memory on more than `limit` images, and remembers what it was given."""

    def __init__(self, limit: int, error: Callable[[], Exception]) -> None:
        super().__init__()
        self.inner, self.limit, self.error = small(), limit, error
        self.given: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.given.append(len(images))
        if len(images) > self.limit:
            raise self.error()
        found: Tensor = self.inner(images)
        return found


ERRORS: list[Callable[[], Exception]] = [
    lambda: torch.OutOfMemoryError("CUDA out of memory"),
    lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(("limit", "count"), [(1, 7), (3, 7), (10, 7), (20, 7), (30, 100)])
def test_out_of_memory_halves_the_pass_and_loses_nothing(
    limit: int, count: int, error: Callable[[], Exception]
) -> None:
    model = Limited(limit, error)
    found = evaluate(model, Plan(IMAGES, count, dimmed), read)
    torch.testing.assert_close(found, naive(model.inner, IMAGES, count), rtol=1e-6, atol=1e-6)
    assert max(model.given) > limit  # it was tried


@pytest.mark.parametrize("error", ERRORS)
def test_out_of_memory_with_a_single_image_is_told(error: Callable[[], Exception]) -> None:
    model = Limited(0, error)
    with pytest.raises(RuntimeError, match="memory"):
        evaluate(model, Plan(IMAGES, 2, dimmed), read)


def test_any_other_error_is_told_at_once() -> None:
    model = Limited(3, lambda: RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        evaluate(model, Plan(IMAGES, 7, dimmed), read)
    assert sum(size > 3 for size in model.given) == 1


def test_the_budget_bounds_the_images_a_pass() -> None:
    model = Limited(1000, ERRORS[0])
    with torch.no_grad(), LiveBytes() as live:
        read(model.inner(dimmed(IMAGES[:1], torch.tensor([0]), torch.tensor([0])).flatten(0, 1)), torch.tensor([0]))
    evaluate(model, Plan(IMAGES, 12, dimmed), read, budget=4 * live.most)
    assert 3 <= max(model.given) <= 4, "the pass that measures also makes its variant"
    assert sum(model.given) == 12 * 5, "the pass that measures is one of them"


def test_no_graph_is_built() -> None:
    found = evaluate(small(), Plan(IMAGES.clone().requires_grad_(), 2, dimmed), read)
    assert not found.requires_grad


def test_refuses_a_budget_of_nothing() -> None:
    with pytest.raises(ValueError, match="budget must be at least 1, got 0"):
        evaluate(small(), Plan(IMAGES, 2, dimmed), read, budget=0)


class Shown:
    """A display that adds up."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int]] = []
        self.done = self.finished = 0

    def start(self, label: str, total: int) -> int:
        self.rows.append((label, total))
        return 0

    def advance(self, key: int, steps: int) -> None:
        self.done += steps

    def finish(self, key: int) -> None:
        self.finished += 1


@pytest.mark.parametrize("limit", [1000, 6])
def test_progress_adds_up_to_the_total(limit: int) -> None:
    shown = Shown()
    with progress.shown_on(shown):
        evaluate(Limited(limit, ERRORS[0]), Plan(IMAGES, 9, dimmed), read, label="occlusion")
    assert (shown.rows, shown.done, shown.finished) == ([("occlusion", 45)], 45, 1)


def peak_bytes(model: nn.Module, images: Tensor) -> int:
    with torch.no_grad(), LiveBytes() as live:
        model(images)
    most: int = live.most
    return most


MAP = 4 * 8 * 16 * 16  # bytes of 8 channels of 16 x 16


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (nn.Sequential(nn.Conv2d(1, 8, 1)), MAP),
        (nn.Sequential(nn.Conv2d(1, 8, 1), nn.ReLU()), 2 * MAP),
        (nn.Sequential(nn.Conv2d(1, 8, 1), nn.ReLU(inplace=True)), MAP),
        (nn.Sequential(nn.Conv2d(1, 8, 1), nn.ReLU(), nn.Tanh(), nn.Sigmoid()), 2 * MAP),
        (nn.Sequential(nn.Conv2d(1, 8, 1), nn.Flatten(), nn.Linear(2048, 2048)), 2 * MAP),
        (nn.Sequential(nn.Conv2d(1, 8, 1), nn.Flatten(), nn.Unflatten(1, (8, 16, 16)), nn.ReLU()), 2 * MAP),
        (nn.Sequential(nn.Flatten()), 0),
    ],
    ids=["one", "two alive", "in place", "chain", "view and linear", "views", "only a view"],
)
def test_peak_bytes_of_nets_where_it_is_known(net: nn.Module, expected: int) -> None:
    images = torch.rand(1, 1, 16, 16)
    assert peak_bytes(net, images) == expected
    assert peak_bytes(net, images.repeat(3, 1, 1, 1)) == 3 * expected


def test_peak_bytes_of_a_skip_holds_three_maps() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(1, 8, 1), nn.Conv2d(8, 8, 1)

        def forward(self, images: Tensor) -> Tensor:
            x: Tensor = self.one(images)
            found: Tensor = x + self.two(x)
            return found

    assert peak_bytes(Skip(), torch.rand(1, 1, 16, 16)) == 3 * MAP
