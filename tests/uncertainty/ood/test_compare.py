"""Detectors by name and shown the same images; what a page draws of it; ODIN's options."""

import pkgutil
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid import uncertainty
from pellucid.uncertainty import ood
from pellucid.uncertainty.ood import (
    FITTED,
    PLAIN,
    compare,
    detectors,
    max_probability,
    odin,
    spread,
    tune_odin,
)

from ..nets import small, small_images, some_targets

NET, KNOWN, TARGETS = small(), small_images(60), some_targets(60)
INSIDE, OUTSIDE = small_images(40, seed=1), 0.5 * small_images(30, seed=2)


def mean(images: Tensor) -> Tensor:
    return -images.mean(dim=(1, 2, 3))


def dropping() -> nn.Sequential:
    net = small()
    return nn.Sequential(*net[:6], nn.Dropout(0.5), net[6]).eval()


def test_the_face_lists_every_method() -> None:
    files = {module.name for module in pkgutil.iter_modules(ood.__path__) if module.name[0] != "_"}
    assert files == {"compare", "detectors", "saved", "spread", "tune_odin", *PLAIN, *FITTED}
    assert sorted(ood.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)) == ood.__all__


def test_every_detector_by_name() -> None:
    net = dropping()
    found = detectors(net, [*PLAIN, *FITTED], small_images(60), TARGETS)
    assert list(found) == [*PLAIN, *FITTED]
    told = compare(found, INSIDE[:12], OUTSIDE[:9], draws=20)
    assert [row.name for row in told.table.rows] == list(found)
    assert all(scores.shape == (9,) for scores in [*told.scores_in.values(), *told.scores_out.values()])
    torch.testing.assert_close(told.scores_out["odin"], odin(net, OUTSIDE[:9]))
    drawn = uncertainty.mc_dropout(net, INSIDE[told.rows_in])
    assert told.scores_in["mc_dropout"].shape == drawn.shape[1:2]
    assert torch.equal(found["mc_dropout"](INSIDE), found["mc_dropout"](INSIDE)), "the same thinned networks"


def test_mc_dropout_is_a_score_of_its_samples() -> None:
    net = dropping()
    drawn = uncertainty.mc_dropout(net, INSIDE, samples=9)
    mean = drawn.mean(dim=0)
    expected = -(mean * mean.log()).sum(dim=1)
    torch.testing.assert_close(ood.mc_dropout(net, INSIDE, samples=9), expected)
    inside = -(drawn * drawn.log()).sum(dim=2).mean(dim=0)
    found = ood.mc_dropout(net, INSIDE, samples=9, score="mutual_information")
    torch.testing.assert_close(found, expected - inside, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="score must be one of entropy, mutual_information, variation_ratio"):
        ood.mc_dropout(net, INSIDE, score="variance")


def test_entropy_is_the_formula() -> None:
    with torch.no_grad():
        p = NET(INSIDE).double().softmax(dim=1)
    torch.testing.assert_close(ood.entropy(NET, INSIDE), -(p * p.log()).sum(dim=1))


def test_perfect_separation() -> None:
    told = compare({"mean": mean}, INSIDE, OUTSIDE, draws=20)  # the images from elsewhere are darker
    (row,) = told.table.rows
    assert (row.auroc.value, row.aupr_out.value, row.aupr_in.value) == (1, 1, 1)
    assert (row.fpr95.value, row.detection_error.value) == (0, 0)
    assert len(told.passed["mean"]) == 0


def test_it_takes_as_many_of_both_and_tells_the_ratio() -> None:
    told = compare({"mean": mean}, INSIDE, OUTSIDE, draws=20)
    assert (told.table.inside, told.table.outside) == (30, 30)
    assert told.ratio == pytest.approx(40 / 30)
    assert len(set(told.rows_in.tolist())) == 30
    assert told.rows_out.tolist() == list(range(30))
    torch.testing.assert_close(told.scores_in["mean"], mean(INSIDE[told.rows_in]))
    all_of_them = compare({"mean": mean}, INSIDE, OUTSIDE, balance=False, draws=20)
    assert (all_of_them.table.inside, all_of_them.table.outside) == (40, 30)


def test_images_that_pass_and_images_rejected() -> None:
    others = small_images(40, seed=9)
    told = compare({"mean": mean}, INSIDE, others, draws=20)
    threshold = told.thresholds["mean"]
    assert int((mean(INSIDE) <= threshold).sum()) == 38, "95 % of 40"
    assert told.rejected["mean"].tolist() == mean(INSIDE).argsort(descending=True)[:2].tolist()
    passed = told.passed["mean"]
    assert set(passed.tolist()) == set((mean(others) <= threshold).nonzero()[:, 0].tolist())
    assert bool((mean(others)[passed].diff() >= 0).all()), "the most trusted first"
    assert told.table.rows[0].fpr95.value == pytest.approx(len(passed) / 40)


def test_sets_that_are_alike_are_not_told_apart_and_roles_can_be_swapped() -> None:
    one, other = small_images(300, side=4, seed=1), small_images(300, side=4, seed=2)
    row = compare({"mean": mean}, one, other, draws=200).table.rows[0]
    assert row.auroc.low <= 0.5 <= row.auroc.high
    assert row.aupr_out.value == pytest.approx(0.5, abs=0.08)
    back = compare({"mean": mean}, other, one, draws=20).table.rows[0]
    assert back.auroc.value == pytest.approx(1 - row.auroc.value)
    negated = compare({"mean": lambda images: -mean(images)}, other, one, draws=20).table.rows[0]
    assert negated.auroc.value == pytest.approx(row.auroc.value)


def test_how_the_sets_look() -> None:
    gray = OUTSIDE[:, :1].expand(-1, 3, -1, -1)
    told = compare({"mean": mean}, INSIDE, gray, balance=False, draws=5)
    assert told.appearance_out.gray == 1
    assert told.appearance_in.gray == 0
    assert told.appearance_in.mean == pytest.approx(INSIDE.mean(dim=(0, 2, 3)).tolist())
    assert told.appearance_out.high == pytest.approx(float(gray.max()))


def test_compare_refuses() -> None:
    with pytest.raises(ValueError, match=r"shape of the known images \(3, 8, 8\), got \(3, 9, 9\)"):
        compare({"mean": mean}, INSIDE, small_images(5, side=9))
    with pytest.raises(ValueError, match=r"shape of the known images \(3, 8, 8\), got \(1, 8, 8\)"):
        compare({"mean": mean}, INSIDE, small_images(5, channels=1))
    shared = torch.cat([OUTSIDE[:2], INSIDE[7:8]])
    with pytest.raises(ValueError, match=r"none of images, got 1 that are in both \(the first: number 2 is number 7"):
        compare({"mean": mean}, INSIDE, shared)
    with pytest.raises(ValueError, match="images must not be empty"):
        compare({"mean": mean}, INSIDE, OUTSIDE[:0])
    with pytest.raises(ValueError, match="detectors must name at least one"):
        compare({}, INSIDE, OUTSIDE)
    with pytest.raises(ValueError, match=r"names must be one of .*, got 'odinn'; did you mean odin"):
        detectors(NET, ["odinn"])
    with pytest.raises(ValueError, match="images must be given to fit knn on"):
        detectors(NET, ["knn"])
    with pytest.raises(ValueError, match="targets must be given to fit mahalanobis on"):
        detectors(NET, ["mahalanobis"], KNOWN)


def test_spread_counts_every_score() -> None:
    known, others = torch.linspace(0, 1, 1000), torch.cat([torch.linspace(0.5, 1, 999), torch.tensor([1e6])])
    found = spread(known, others, bins=20)
    assert float(found.known.sum()) == pytest.approx(1)
    assert float(found.others.sum()) == pytest.approx(1)
    assert float(found.edges[-1]) <= 1, "one far score does not flatten the rest"
    assert float(found.others[:9].sum()) == 0
    even = spread(torch.zeros(3), torch.zeros(2), bins=4)
    assert even.known.tolist() == even.others.tolist()
    with pytest.raises(ValueError, match=r"scores_in must be finite and of shape \(N,\)"):
        spread(torch.tensor([float("nan")]), others)


def test_odin_tuned_on_known_images_alone() -> None:
    found = tune_odin(NET, INSIDE)
    assert (found.mode, found.temperature) == ("in_only", 1000)
    assert found.values.shape == (1, 21)
    for column in (0, 7, 20):
        step = found.epsilons[column]
        expected = 1 - odin(NET, INSIDE, epsilon=step).mean()
        torch.testing.assert_close(found.values[0, column], expected, rtol=1e-7, atol=0)
    assert found.epsilon == found.epsilons[int(found.values.argmax())]
    with pytest.raises(ValueError, match="out_images must not be given where mode is in_only"):
        tune_odin(NET, INSIDE, OUTSIDE)


def test_odin_tuned_with_images_from_elsewhere() -> None:
    test = small_images(5, seed=8)
    found = tune_odin(NET, INSIDE[:20], OUTSIDE[:20], test, mode="with_ood")
    assert found.values.shape == (10, 21)
    row, column = found.temperatures.index(found.temperature), found.epsilons.index(found.epsilon)
    assert float(found.values[row, column]) == float(found.values.min())
    known, others = (
        odin(NET, images, temperature=found.temperature, epsilon=found.epsilon)
        for images in (INSIDE[:20], OUTSIDE[:20])
    )
    threshold = float(known.sort().values[18])
    assert float((others <= threshold).double().mean()) == pytest.approx(float(found.values.min()))
    plain = max_probability(NET, INSIDE[:20]).sort().values[18]
    passed = float((max_probability(NET, OUTSIDE[:20]) <= plain).double().mean())
    assert float(found.values[0, 0]) == pytest.approx(passed), "temperature 1, epsilon 0"


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        ((None, OUTSIDE), "out_images must be given where mode is with_ood"),
        ((OUTSIDE, None), "test_images must be given where mode is with_ood"),
        ((OUTSIDE, OUTSIDE[3:4]), "out_images must hold none of test_images, got 1 that are in both"),
        ((INSIDE, OUTSIDE), "out_images must hold none of images, got 40"),
    ],
)
def test_tuning_with_images_from_elsewhere_needs_sets_of_their_own(sets: tuple[Any, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        tune_odin(NET, INSIDE, *sets, mode="with_ood")
