import sys
from typing import Any

import pytest
import torch

from pellucid.classic import Bags, Kernel, chi2_distance, compare_kernels, intersection
from pellucid.classic._machine import Machine
from pellucid.features.probes import KernelSVM

GENERATOR = torch.Generator().manual_seed(0)
TRAIN = torch.rand(40, 25, generator=GENERATOR)
TEST = torch.rand(11, 25, generator=GENERATOR)
TRAIN[TRAIN < 0.3] = 0
TEST[TEST < 0.2] = 0
TRAIN[:, 3] = TEST[:, 3] = 0  # a word that never comes up
CLASSES = torch.arange(40) % 4
PULLED = TRAIN + torch.nn.functional.one_hot(CLASSES, 25)


def test_intersection_and_chi2_equal_their_sums() -> None:
    both = TEST[:, None].double(), TRAIN[None].double()
    smaller = torch.minimum(*both).sum(dim=2)
    torch.testing.assert_close(intersection(TEST, TRAIN).double(), smaller, rtol=1e-5, atol=1e-5)
    far = ((both[0] - both[1]).square() / (both[0] + both[1]).clamp(min=1e-30)).sum(dim=2)
    torch.testing.assert_close(chi2_distance(TEST, TRAIN).double(), far, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(intersection(TRAIN, TRAIN).diagonal(), TRAIN.sum(dim=1))
    assert chi2_distance(TRAIN, TRAIN).diagonal().amax() < 1e-5
    empty = torch.zeros(2, 25)
    assert not intersection(TRAIN, empty).any()
    torch.testing.assert_close(chi2_distance(empty, TRAIN), TRAIN.sum(dim=1).expand(2, -1))


def test_the_block_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = chi2_distance(TEST, TRAIN)
    monkeypatch.setattr(sys.modules["pellucid.classic.kernel"], "BLOCK", 25 * 17)
    torch.testing.assert_close(chi2_distance(TEST, TRAIN), whole)


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("linear", "linear_kernel", {}),
        ("rbf", "rbf_kernel", {"gamma": 0.7}),
        ("polynomial", "polynomial_kernel", {"gamma": 0.3, "degree": 2, "offset": 1.5}),
        ("sigmoid", "sigmoid_kernel", {"gamma": 0.1, "offset": -0.5}),
        ("chi2", "chi2_kernel", {"gamma": 0.4}),
    ],
)
def test_equals_scikit_learn(kind: str, name: str, told: dict[str, Any]) -> None:
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    found = Kernel(kind, **told).fit(TRAIN)(TEST)
    theirs = {"coef0" if key == "offset" else key: value for key, value in told.items()}
    wanted = getattr(pairwise, name)(TEST.double().numpy(), TRAIN.double().numpy(), **theirs)
    torch.testing.assert_close(found.double(), torch.from_numpy(wanted), rtol=1e-4, atol=1e-5)


def test_gamma_is_learned_from_training_rows() -> None:
    assert Kernel("rbf").fit(TRAIN).gamma_ == pytest.approx(1 / (25 * float(TRAIN.var(correction=0))))
    assert Kernel("rbf", gamma="auto").fit(TRAIN).gamma_ == 1 / 25
    assert Kernel("chi2").fit(TRAIN).gamma_ == pytest.approx(1 / float(chi2_distance(TRAIN, TRAIN).mean()))
    kernel = Kernel("rbf").fit(TRAIN)
    torch.testing.assert_close(kernel(TEST * 3)[:1], kernel(TEST[:1] * 3))


@pytest.mark.parametrize("multiclass", ["one_vs_one", "one_vs_rest"])
@pytest.mark.parametrize("kind", ["linear", "rbf", "polynomial", "intersection", "chi2"])
def test_tells_apart_what_can_be(kind: str, multiclass: str) -> None:
    kernel = Kernel(kind).fit(PULLED)
    machine = KernelSVM(kernel="precomputed", cost=1000.0, multiclass=multiclass).fit(kernel(PULLED), CLASSES)
    assert torch.equal(machine.predict(kernel(PULLED)), CLASSES)


@pytest.mark.parametrize("multiclass", ["one_vs_one", "one_vs_rest"])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_machine_equals_scikit_learn(multiclass: str, classes: int) -> None:
    svm, outer = pytest.importorskip("sklearn.svm"), pytest.importorskip("sklearn.multiclass")
    labels = torch.randint(classes, (40,), generator=torch.Generator().manual_seed(3))
    kernel = Kernel("rbf").fit(TRAIN)
    machine = Machine(kernel(TRAIN).numpy(), labels.numpy(), 2.0, multiclass)
    peer = svm.SVC(C=2.0, gamma="scale")
    peer = outer.OneVsRestClassifier(peer) if multiclass == "one_vs_rest" else peer
    peer.fit(TRAIN.double().numpy(), labels.numpy())
    predicted = torch.from_numpy(machine.scores(kernel(TEST).numpy())).argmax(dim=1)
    assert torch.equal(predicted, torch.from_numpy(peer.predict(TEST.double().numpy())))


def bags(rows: torch.Tensor, name: str = "one") -> Bags:
    return Bags(rows, name, torch.arange(len(rows)))


def test_every_kernel_at_every_cost_is_the_machine_itself() -> None:
    labels = torch.randint(4, (11,), generator=torch.Generator().manual_seed(1))
    asked = TEST + 0.4 * torch.nn.functional.one_hot(labels, 25)
    costs = (100.0, 0.1, 1.0)
    found = compare_kernels(bags(PULLED), CLASSES, bags(asked), labels, kinds=("rbf", "intersection"), costs=costs)
    assert found.costs.tolist() == [0.1, 1.0, 100.0]
    for kind, rates in found.accuracy.items():
        for cost, rate in zip(found.costs.tolist(), rates.tolist(), strict=True):
            kernel = Kernel(kind).fit(PULLED)
            scores = Machine(kernel(PULLED).numpy(), CLASSES.numpy(), cost, "one_vs_one").scores(kernel(asked).numpy())
            predicted = torch.from_numpy(scores).argmax(dim=1)
            assert rate == pytest.approx(float((predicted == labels).double().mean()))
    best = found.accuracy[found.kind]
    assert best.max() == max(float(rates.max()) for rates in found.accuracy.values())
    assert found.cost == found.costs[int(best.argmax())]


def test_bags_of_two_dictionaries_never_meet() -> None:
    with pytest.raises(ValueError, match="bags must be of one dictionary, counted in one way, got one and two"):
        compare_kernels(bags(PULLED), CLASSES, bags(TEST, "two"), torch.zeros(11).long())


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"kind must be one of linear, .*, got 'gauss'"):
        Kernel("gauss")
    with pytest.raises(
        ValueError, match="gamma must be above 0, or one of scale, auto, got 'scal'; did you mean scale"
    ):
        Kernel("rbf", gamma="scal")
    with pytest.raises(ValueError, match="gamma must be above 0 and finite, got -1"):
        Kernel("rbf", gamma=-1.0)
    with pytest.raises(ValueError, match="rows must have the 25 columns of the training rows, got 24"):
        Kernel().fit(TRAIN)(TEST[:, 1:])
    with pytest.raises(ValueError, match=r"rows must be at least 0 for chi2, got -1: counts of words"):
        Kernel("chi2").fit(TRAIN - 1)
    with pytest.raises(ValueError, match="the kernel must be fitted on training rows first"):
        Kernel()(TEST)
    few = bags(TRAIN), CLASSES, bags(TEST), torch.zeros(11).long()
    with pytest.raises(
        ValueError, match=r"kinds and costs must name one each at least, costs above 0, got .* \(0.0,\)"
    ):
        compare_kernels(*few, costs=(0.0,))
    with pytest.raises(ValueError, match="targets must be of at least 2 classes, got 7 alone"):
        compare_kernels(few[0], torch.full((40,), 7), few[2], few[3])
    with pytest.raises(ValueError, match=r"targets must be int64 \(40,\), one for each row, got torch.int64 \(39,\)"):
        compare_kernels(few[0], CLASSES[1:], few[2], few[3])
    with pytest.raises(ValueError, match="multiclass must be one of one_vs_one, one_vs_rest, got 'ovo'"):
        compare_kernels(*few, multiclass="ovo")
