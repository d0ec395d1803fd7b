"""Mahalanobis, nearest neighbours, ViM and ReAct against plain loops and closed forms."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.covariance import EmpiricalCovariance
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from pellucid.uncertainty.ood import Knn, Mahalanobis, ReAct, Vim, energy

from ..nets import Linear, small, small_images, some_targets

NET, KNOWN, TARGETS = small(), small_images(60), some_targets(60)
ASKED = small_images(9, seed=7)


def penultimate(images: Tensor, net: nn.Sequential = NET) -> Tensor:
    with torch.no_grad():
        found: Tensor = net[:-1](images).double()
    return found


def plain() -> Linear:
    """Its features are the pixels."""
    weight = torch.randn(3, 12, generator=torch.Generator().manual_seed(3)).double()
    return Linear(weight, torch.tensor([0.1, -0.2, 0.3]).double())


def fitted() -> dict[str, Knn | Mahalanobis | ReAct | Vim]:
    return {
        "mahalanobis": Mahalanobis().fit(NET, KNOWN, TARGETS),
        "knn": Knn(neighbours=5).fit(NET, KNOWN),
        "vim": Vim(principal=4).fit(NET, KNOWN),
        "react": ReAct().fit(NET, KNOWN),
    }


def test_mahalanobis_is_the_distance_of_the_formula() -> None:
    known, asked = small_images(90, side=2).double(), small_images(7, side=2, seed=4).double()
    targets = some_targets(90)
    found = Mahalanobis(ridge=1e-12).fit(plain(), known, targets)(asked)
    rows, queries = known.flatten(1).numpy(), asked.flatten(1).numpy()
    means = np.stack([rows[targets.numpy() == k].mean(axis=0) for k in range(3)])
    shared = EmpiricalCovariance(assume_centered=True).fit(rows - means[targets.numpy()]).covariance_
    expected = cdist(queries, means, "mahalanobis", VI=np.linalg.inv(shared)).min(axis=1) ** 2
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_mahalanobis_takes_what_the_head_is_given_or_layers_named() -> None:
    default = Mahalanobis().fit(NET, KNOWN, TARGETS)(ASKED)
    torch.testing.assert_close(Mahalanobis(layers="5").fit(NET, KNOWN, TARGETS)(ASKED), default)
    first = Mahalanobis(layers="1").fit(NET, KNOWN, TARGETS)
    assert first.means_.shape == (3, 6), "maps are averaged"
    both = Mahalanobis(layers="1, 5").fit(NET, KNOWN, TARGETS)
    known = first(KNOWN).mean(), Mahalanobis().fit(NET, KNOWN, TARGETS)(KNOWN).mean()
    torch.testing.assert_close(both(ASKED), (first(ASKED) / known[0] + default / known[1]) / 2)
    assert float(both(KNOWN).mean()) == pytest.approx(1)


def test_mahalanobis_counts_a_feature_that_never_varied() -> None:
    known = small_images(40, side=2).double()
    known[:, 0, 0, 0] = 0.5
    asked = known[:1].clone()
    asked[0, 0, 0, 0] = 0.51
    detector = Mahalanobis().fit(plain(), known, some_targets(40, 2))
    assert float(detector(asked)) > 100 * float(detector(known[:1]))


def test_knn_is_the_kth_distance() -> None:
    directions = nn.functional.normalize(penultimate(KNOWN), dim=1).numpy()
    queries = nn.functional.normalize(penultimate(ASKED), dim=1).numpy()
    expected = NearestNeighbors(n_neighbors=5).fit(directions).kneighbors(queries)[0][:, -1]
    np.testing.assert_allclose(Knn(neighbours=5).fit(NET, KNOWN)(ASKED).numpy(), expected, atol=1e-6)
    assert float(Knn(neighbours=1).fit(NET, KNOWN)(KNOWN).max()) < 1e-6


def test_knn_takes_a_layer_and_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    detector = Knn(neighbours=3, layer="1").fit(NET, KNOWN)
    assert detector.bank_.shape == (60, 6)
    expected = detector(ASKED)
    monkeypatch.setattr(sys.modules[Knn.__module__], "AT_ONCE", 1)
    torch.testing.assert_close(detector(ASKED), expected)


def test_vim_is_the_formula() -> None:
    weight, bias = (NET.get_parameter(f"6.{name}").detach().double().numpy() for name in ("weight", "bias"))
    known, asked = penultimate(KNOWN).numpy(), penultimate(ASKED).numpy()
    origin = -np.linalg.pinv(weight) @ bias
    _, _, rows = np.linalg.svd(known - origin)  # principal directions, the largest first
    rest = rows[4:].T

    def virtual(features: Any) -> Any:
        return np.linalg.norm((features - origin) @ rest, axis=1)

    scale = (known @ weight.T + bias).max(axis=1).mean() / virtual(known).mean()
    logits = np.c_[asked @ weight.T + bias, scale * virtual(asked)]
    share = np.exp(logits[:, -1]) / np.exp(logits).sum(axis=1)  # the virtual class's probability
    found = Vim(principal=4).fit(NET, KNOWN)(ASKED)
    np.testing.assert_allclose(found.sigmoid().numpy(), share, rtol=1e-4)


def test_react_is_the_energy_behind_a_cut() -> None:
    detector = ReAct(percentile=70).fit(NET, KNOWN)
    assert float(detector.threshold_) == pytest.approx(np.percentile(penultimate(KNOWN).numpy(), 70))
    with torch.no_grad():
        logits = NET[6](penultimate(ASKED).float().clamp(max=float(detector.threshold_)))
    torch.testing.assert_close(detector(ASKED), -logits.double().logsumexp(dim=1))
    assert not torch.allclose(detector(ASKED), energy(NET, ASKED), atol=1e-4)


def test_react_that_cuts_nothing_is_the_energy() -> None:
    detector = ReAct(percentile=100).fit(NET, torch.cat([KNOWN, ASKED]))
    torch.testing.assert_close(detector(ASKED), energy(NET, ASKED))
    detector = ReAct(percentile=100, temperature=5).fit(NET, torch.cat([KNOWN, ASKED]))
    torch.testing.assert_close(detector(ASKED), energy(NET, ASKED, temperature=5))


@pytest.mark.parametrize("name", ["mahalanobis", "knn", "vim", "react"])
def test_every_detector(name: str) -> None:
    detector = fitted()[name]
    before = {key: value.clone() for key, value in NET.state_dict().items()}
    scores = detector(ASKED)
    assert (scores.shape, scores.dtype) == ((9,), torch.float64)
    torch.testing.assert_close(torch.cat([detector(image[None]) for image in ASKED]), scores, rtol=1e-5, atol=1e-5)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(detector(ASKED[order]), scores[order], rtol=1e-5, atol=1e-5)
    assert all(torch.equal(value, before[key]) for key, value in NET.state_dict().items())
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in NET.modules())
    with pytest.raises(ValueError, match="images must be in"):
        detector(ASKED * 255)
    with pytest.raises(ValueError, match=r"must be fitted on known images first: call fit\(model, images\)"):
        type(detector)()(ASKED)


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"neighbours must be in \[1, 60\], got 61"):
        Knn(neighbours=61).fit(NET, KNOWN)
    with pytest.raises(ValueError, match="layer 'nine' is not part of the model"):
        Knn(layer="nine").fit(NET, KNOWN)
    with pytest.raises(ValueError, match="images of class 4 must be at least 2, got 1"):
        Mahalanobis().fit(NET, KNOWN[:5], torch.tensor([0, 0, 0, 0, 4]))
    with pytest.raises(ValueError, match=r"ridge must be above 0 and finite, got 0\.0"):
        Mahalanobis(ridge=0.0).fit(NET, KNOWN, TARGETS)
    with pytest.raises(ValueError, match="must vary within a class"):
        Mahalanobis().fit(NET, KNOWN[:1].repeat(4, 1, 1, 1), torch.tensor([0, 0, 1, 1]))
    with pytest.raises(ValueError, match=r"principal must be in \[1, 11\], got 12"):
        Vim(principal=12).fit(NET, KNOWN)
    with pytest.raises(ValueError, match="nothing is left to measure"):
        Vim(principal=10).fit(NET, KNOWN[:2])
    with pytest.raises(ValueError, match=r"percentile must be in \[0, 100\], got 101"):
        ReAct(percentile=101).fit(NET, KNOWN)
    ends = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    for detector, name in ((Vim(), "vim"), (ReAct(), "react")):
        with pytest.raises(ValueError, match=f"{name} needs a network whose logits come from a linear layer"):
            detector.fit(ends, KNOWN)
    assert Knn(neighbours=2).fit(ends, KNOWN)(ASKED).shape == (9,), "any last layer does"
    with pytest.raises(ValueError, match="calls no linear layer and no convolution"):
        Knn(neighbours=2).fit(nn.Flatten().eval(), KNOWN)
