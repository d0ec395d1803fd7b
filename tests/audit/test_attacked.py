"""How small a change breaks a model, against a linear one whose answer is known."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid import report
from pellucid.audit import Audit, audit
from pellucid.audit.attacked import EPSILONS, check_second

from .sets import CLASSES, MEAN, STD, Linear, image_set, model, pixels, some_targets, weight

COUNT = 60


def found(network: nn.Module | None = None, **options: Any) -> Audit:
    told: dict[str, Any] = {"attacked": 40, "shown": 4, "judged": 0, "methods": "", "workers": 0}
    return audit(model(network), image_set(list(some_targets(COUNT))), **(told | options))


@pytest.fixture(scope="module")
def base() -> Audit:
    return found()


def distances(targets: list[int]) -> Tensor:
    """(N,), least linf change that makes the linear model call another class, ignoring the box: |f| / ||w||_1."""
    w = torch.from_numpy(weight()) / STD
    x = torch.from_numpy(pixels(COUNT).reshape(COUNT, -1) / 255)
    z = (x - MEAN / 1) @ w.T
    far = []
    for row, target in enumerate(targets):
        gaps = [(z[row, target] - z[row, k]) / (w[target] - w[k]).abs().sum() for k in range(8) if k != target]
        far.append(float(torch.stack(gaps).min()))
    return torch.tensor(far)


def test_the_least_change_is_that_of_the_closed_form(base: Audit) -> None:
    one = base.attacked
    assert one is not None
    far = distances(some_targets(COUNT))
    assert len(one.rows) == 40
    seen = set()
    for row, least in zip(one.rows, one.smallest.tolist(), strict=True):
        exact = float(far[row])
        if exact <= 0:
            assert least == 0
            continue
        assert least > exact - 1e-6, "nothing smaller than the least change breaks it"
        allowed = [e for e in EPSILONS if e > 1.35 * exact]  # 0 and 1 stop some values short
        assert not allowed or least <= allowed[0]
        seen.add(least)
    assert len(seen) > 2


def test_accuracy_counts_what_is_left(base: Audit) -> None:
    one = base.attacked
    assert one is not None
    right = base.predictions.correct[list(one.rows)]
    assert one.accuracy[0].value == pytest.approx(float(right.double().mean()))
    values = [share.value for share in one.accuracy]
    assert values == sorted(values, reverse=True)
    half = next(e for e, v in zip(EPSILONS, values, strict=True) if e > 0 and v <= values[0] / 2)
    assert one.half == half


def test_what_is_shown_was_attacked_too(base: Audit) -> None:
    one = base.attacked
    assert one is not None
    assert {e.row for e in (*base.shown.sample, *base.shown.unsure)} <= set(one.shown)
    assert {e.row for e in base.shown.sample} <= set(one.rows), "the sample shown is part of the sample attacked"


def test_the_broken_ones_are_broken_within_their_epsilon(base: Audit) -> None:
    one = base.attacked
    assert one is not None
    assert one.broken
    net = model()
    for broken in one.broken:
        assert float((broken.adversarial - broken.image).abs().max()) <= broken.epsilon + 1e-6
        with torch.no_grad():
            called = int(net(broken.adversarial[None]).argmax())
        assert called == broken.after != int(base.predictions.targets[broken.row])
    least = [broken.epsilon for broken in one.broken]
    assert least == sorted(least)


def test_the_page_and_the_summary_say_the_same(base: Audit, tmp_path: Path) -> None:
    base.save(tmp_path / "out")
    told = json.loads((tmp_path / "out" / "summary.json").read_text())["robustness"]
    one = base.attacked
    assert one is not None
    assert told["images"] == 40
    assert [point["epsilon"] for point in told["curve"]] == list(EPSILONS)
    assert [point["accuracy"] for point in told["curve"]] == [share.value for share in one.accuracy]
    page = base.page()
    assert "How small a change breaks it" in page
    assert "difference × " in page
    assert next(fact for fact in base.facts if fact.label == "Broken by").value == f"{255 * one.half:.3g}/255"


def test_a_second_model_is_asked_about_the_same_images() -> None:
    same = found(second=model()).attacked
    assert same is not None
    assert same.transfer is not None
    assert same.transfer.rate.value > 0.9, "what breaks a model breaks its twin"
    assert same.transfer.images == int((same.smallest > 0).sum())

    class Deaf(Linear):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward((images > 0.5).to(images))

    other = found(second=model(Deaf())).attacked
    assert other is not None
    assert other.transfer is not None
    assert other.transfer.rate.value < same.transfer.rate.value - 0.3, "a net that sees black and white hardly cares"


def test_a_second_model_of_other_classes_is_refused() -> None:
    other = model()
    other.classes = (*CLASSES[:-1], "ibis")
    with pytest.raises(ValueError, match=r"second must have the model's classes, in the same order: it has 8"):
        check_second(model(), other)
    with pytest.raises(ValueError, match="second must have the model's classes"):
        found(second=other)


class Flat(Linear):
    """Rounds its input first, so that its gradient is zero everywhere."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.round())


def test_a_gradient_that_vanishes_is_told() -> None:
    told = found(Flat())
    assert told.attacked is not None
    assert told.attacked.vanished == int((told.attacked.smallest > 0).sum())
    assert "zero everywhere" in told.page()


class Cut(Linear):
    """Hands out logits without a graph."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).detach()


def test_a_network_that_hides_its_slope_is_told() -> None:
    told = found(Cut())
    assert told.attacked is None
    assert "This model was not attacked: the score does not depend on the input" in told.page()
    assert told.summary()["robustness"] is None


@pytest.mark.parametrize("attacked", [0, 4])
def test_too_few_say_nothing(attacked: int) -> None:
    told = found(attacked=attacked)
    assert (told.attacked, told.unattacked) == (None, "")
    assert "How small a change" not in told.page()


def test_a_difference_is_enlarged_by_a_nice_number_that_cuts_nothing_off() -> None:
    image = torch.full((1, 4, 4), 0.5)
    changed = image.clone()
    changed[0, 0, 0] += 0.012
    changed[0, 1, 1] -= 0.006
    shown, factor = report.magnified(image, changed)
    assert factor == 20  # 0.5 / 0.012 is 41
    assert shown[0, 0, 0].item() == pytest.approx(0.5 + 20 * 0.012, abs=1e-6)
    assert shown[0, 1, 1].item() == pytest.approx(0.5 - 20 * 0.006, abs=1e-6)
    same, factor = report.magnified(image, image)
    assert (factor, bool((same == 0.5).all())) == (1, True)
    assert math.isfinite(float(shown.sum()))
