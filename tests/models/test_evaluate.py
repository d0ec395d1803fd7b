from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid import progress
from pellucid.models import Plan, differentiate, evaluate, rehearsal, unvaried
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


def weights(numbers: Tensor) -> Tensor:
    """A number of its own for each variant, so that a lost or doubled one shows."""
    return (numbers + 1.0)[:, None, None]


def weighted_sum(values: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
    return (values * weights(numbers)).sum(dim=0) + 0 * rows[:, None]


@pytest.mark.parametrize("budget", [1, 5_000, 30_000, 2**29])
@pytest.mark.parametrize(("count", "images"), [(1, 1), (7, 1), (7, 5), (70, 2), (130, 1)])
def test_a_fold_sums_over_all_variants_within_any_budget(budget: int, count: int, images: int) -> None:
    model = small()
    found = evaluate(model, Plan(IMAGES[:images], count, dimmed), read, fold=weighted_sum, budget=budget)
    expected = (naive(model, IMAGES[:images], count) * weights(torch.arange(count))).sum(dim=0)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


def test_a_fold_may_change_the_shape() -> None:
    model = small()
    found = evaluate(
        model, Plan(IMAGES, 9, dimmed), read, fold=lambda values, *_: values.amax(dim=2).sum(dim=0), budget=9_000
    )
    torch.testing.assert_close(found, naive(model, IMAGES, 9).amax(dim=2).sum(dim=0), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("limit", [1, 3, 20])
def test_out_of_memory_in_a_fold_counts_nothing_twice(limit: int) -> None:
    model = Limited(limit, ERRORS[0])
    found = evaluate(model, Plan(IMAGES, 12, dimmed), read, fold=weighted_sum)
    expected = (naive(model.inner, IMAGES, 12) * weights(torch.arange(12))).sum(dim=0)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


def chosen(outputs: Tensor, rows: Tensor) -> Tensor:
    """The first logit of even images, the second of odd ones."""
    return outputs.gather(1, rows[:, None] % 2)[:, 0]


def kept(slopes: Tensor, source: Tensor, rows: Tensor) -> Tensor:
    """The gradient and what it is with respect to, told apart by the row's number."""
    return slopes + 10 * source + 100 * rows.view(-1, *[1] * (source.ndim - 1))


def naive_slopes(model: nn.Module, count: int, split: int | None = None) -> Tensor:
    """One gradient at a time, by autograd alone; of a Sequential also with respect to what a layer puts out."""
    found = []
    for p in range(count):
        for n in range(len(IMAGES)):
            source = IMAGES[n : n + 1] / (1 + p)
            rest = model
            if split is not None:
                assert isinstance(model, nn.Sequential)
                source, rest = model[: split + 1](source), model[split + 1 :]
            source = source.detach().requires_grad_()
            (slope,) = torch.autograd.grad(rest(source)[0, n % 2], source)
            found.append((slope + 10 * source + 100 * n)[0].detach())
    return torch.stack(found).view(count, len(IMAGES), *found[0].shape)


@pytest.mark.parametrize("budget", [1, 5_000, 60_000, 2**29])
@pytest.mark.parametrize("split", [None, 0, 1, 2])
def test_gradients_equal_autograds_within_any_budget(split: int | None, budget: int) -> None:
    model = small()
    at = None if split is None else str(split)
    found = differentiate(model, Plan(IMAGES, 7, dimmed), chosen, kept, at=at, budget=budget)
    torch.testing.assert_close(found, naive_slopes(model, 7, split), rtol=1e-5, atol=1e-5)
    assert not found.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("split", [None, 0])
@pytest.mark.parametrize("limit", [1, 3, 20])
def test_gradients_survive_a_lack_of_memory(limit: int, split: int | None) -> None:
    model = Limited(limit, ERRORS[1])
    at = None if split is None else f"inner.{split}"
    found = differentiate(model, Plan(IMAGES, 7, dimmed), chosen, kept, at=at)
    torch.testing.assert_close(found, naive_slopes(model.inner, 7, split), rtol=1e-5, atol=1e-5)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("at", [None, "0"])
def test_a_fold_of_gradients_is_their_sum(at: str | None) -> None:
    model = small()
    found = differentiate(
        model, Plan(IMAGES, 9, dimmed), chosen, kept, at=at, fold=lambda values, *_: values.sum(dim=0), budget=9_000
    )
    torch.testing.assert_close(found, naive_slopes(model, 9, None if at is None else 0).sum(dim=0))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("at", [None, "0"])
@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_may_be_off_and_weights_frozen(mode: Callable[[], Any], at: str | None, frozen: bool) -> None:
    model = small().requires_grad_(not frozen)
    with mode():
        found = differentiate(model, Plan(IMAGES.clone(), 3, dimmed), chosen, kept, at=at)
    torch.testing.assert_close(found, naive_slopes(small(), 3, None if at is None else 0), rtol=1e-5, atol=1e-5)


def test_what_lies_before_a_layer_builds_no_graph() -> None:
    model, modes = small(), []
    model[0].register_forward_hook(lambda *_: modes.append(torch.is_grad_enabled()))
    model[2].register_forward_hook(lambda _m, _i, out: modes.append(out.requires_grad))
    differentiate(model, unvaried(IMAGES[:1]), chosen, kept, at="1")
    assert modes == [False, True]


@pytest.mark.parametrize("at", [None, "1"])
def test_a_score_that_depends_on_nothing_is_told(at: str | None) -> None:
    name = "the input" if at is None else "layer '1'"
    with pytest.raises(ValueError, match=f"the score does not depend on {name}: is there a detach"):
        differentiate(small(), unvaried(IMAGES), lambda outputs, _rows: outputs.detach()[:, 0], kept, at=at)


def test_a_layer_that_is_never_reached_is_told() -> None:
    model = small()
    model.register_module("spare", nn.Identity())
    model.forward = lambda images: nn.Sequential(*list(model)[:4])(images)  # type: ignore[method-assign]
    message = "layer 'spare' is never reached in the forward pass"
    with pytest.raises(ValueError, match=message):
        differentiate(model, unvaried(IMAGES), chosen, kept, at="spare")
    with pytest.raises(ValueError, match=message):
        evaluate(model, Plan(IMAGES, 2, dimmed, at="spare"), read)


@pytest.mark.parametrize("budget", [1, 5_000, 2**29])
@pytest.mark.parametrize("split", [0, 1, 2])
def test_variants_of_a_layer_equal_a_manual_split(split: int, budget: int) -> None:
    model = small()
    before, after = model[: split + 1], model[split + 1 :]

    def vary(output: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
        factors = 1 / (1 + numbers.to(output) + 10 * rows.to(output)[None].T)  # one image at a time: (1, p)
        return output * factors.view(-1, *[1] * output.ndim)

    found = evaluate(model, Plan(IMAGES, 9, vary, at=str(split)), read, budget=budget)
    with torch.no_grad():
        rows = [[after(before(IMAGES[n : n + 1]) / (1 + p + 10 * n))[0] + 100 * n for n in range(5)] for p in range(9)]
    torch.testing.assert_close(found, torch.stack([torch.stack(row) for row in rows]), rtol=1e-6, atol=1e-5)


def test_what_lies_before_a_varied_layer_passes_once_a_chunk() -> None:
    model, given = small(), []
    model[0].register_forward_hook(lambda _m, inputs, _o: given.append(len(inputs[0])))
    evaluate(model, Plan(IMAGES[:1], 60, dimmed, at="1"), read)
    assert given == [1, 1, 2], "one pass measures, one takes the other 59, two rows are checked"


@pytest.mark.parametrize("fold", [None, lambda values, *_: values.sum(dim=0)])
@pytest.mark.parametrize("at", [None, "1"])
def test_a_rehearsal_counts_and_keeps_the_shapes(at: str | None, fold: Any) -> None:
    model = Limited(1, ERRORS[0])  # more than one image at a time would fail
    layer = None if at is None else f"inner.{at}"

    def ask(network: nn.Module) -> tuple[Tensor, Tensor]:
        name = layer if isinstance(network, Limited) else at
        values = evaluate(network, Plan(IMAGES, 7, dimmed, at=name), read, fold=fold)
        return values, differentiate(network, Plan(IMAGES, 3, dimmed), chosen, kept, at=name, fold=fold)

    with rehearsal() as cost:
        told = ask(model)
    assert (cost.forward, cost.backward) == (7 * 5 + 3 * 5, 3 * 5)
    assert model.given == [1, 1]
    assert [one.shape for one in told] == [one.shape for one in ask(small())]


def test_a_rehearsal_ends_with_its_block_also_after_an_error() -> None:
    with pytest.raises(RuntimeError, match="on purpose"), rehearsal():
        raise RuntimeError("on purpose")
    model = Limited(1000, ERRORS[0])
    evaluate(model, Plan(IMAGES, 7, dimmed), read)
    assert sum(model.given) == 35


def test_rehearsals_nest_and_the_inner_one_counts() -> None:
    with rehearsal() as outer:
        with rehearsal() as inner:
            evaluate(small(), unvaried(IMAGES), read)
        evaluate(small(), unvaried(IMAGES[:2]), read)
    assert (inner.forward, outer.forward) == (5, 2)
