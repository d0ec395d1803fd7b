"""The same scores as pytorch-ood's, where it is installed."""

import pytest
import torch
from torch import Tensor, nn

from pellucid.uncertainty.ood import Knn, Mahalanobis, ReAct, Vim, energy, max_logit, max_probability, odin

from ..nets import small, small_images, some_targets

detector = pytest.importorskip("pytorch_ood.detector")

NET, KNOWN, TARGETS = small().double(), small_images(60).double(), some_targets(60)
ASKED = small_images(9, seed=7).double()


def encoder(images: Tensor) -> Tensor:
    found: Tensor = NET[:-1](images)
    return found


def test_of_the_logits() -> None:
    with torch.no_grad():
        torch.testing.assert_close(max_probability(NET, ASKED) - 1, detector.MaxSoftmax(NET).predict(ASKED))
        torch.testing.assert_close(max_logit(NET, ASKED), detector.MaxLogit(NET).predict(ASKED))
        torch.testing.assert_close(energy(NET, ASKED), detector.EnergyBased(NET).predict(ASKED))


@pytest.mark.parametrize(("temperature", "epsilon"), [(1000.0, 0.0014), (10.0, 0.05)])
def test_odin(temperature: float, epsilon: float) -> None:
    theirs = detector.ODIN(NET, eps=epsilon, temperature=temperature).predict(ASKED)
    torch.testing.assert_close(odin(NET, ASKED, temperature=temperature, epsilon=epsilon) - 1, theirs)


def test_mahalanobis() -> None:
    theirs = detector.Mahalanobis(encoder).to("cpu")
    with torch.no_grad():
        theirs.fit_features(encoder(KNOWN).float(), TARGETS)
        expected = theirs.predict_features(encoder(ASKED).float()).double()
    ours = Mahalanobis(ridge=1e-9).fit(NET, KNOWN, TARGETS)(ASKED)
    factor = 2 * len(KNOWN)  # theirs is half the distance, by a covariance that is not divided by the images
    torch.testing.assert_close(ours / factor, expected, rtol=2e-2, atol=0)
    assert ours.argsort().tolist() == expected.argsort().tolist()


def test_knn() -> None:
    theirs = detector.KNN(encoder, k=5)
    with torch.no_grad():
        theirs.fit_features(encoder(KNOWN), TARGETS)
        expected = theirs.predict_features(encoder(ASKED))
    torch.testing.assert_close(Knn(neighbours=5).fit(NET, KNOWN)(ASKED), expected, rtol=1e-5, atol=1e-6)


def test_vim() -> None:
    head = NET[6]
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        theirs = detector.ViM(encoder, d=4, w=head.weight, b=head.bias)
        theirs.fit_features(encoder(KNOWN), TARGETS)
        expected = theirs.predict(ASKED)
    torch.testing.assert_close(Vim(principal=4).fit(NET, KNOWN)(ASKED), expected.double(), rtol=1e-3, atol=1e-4)


def test_react() -> None:
    theirs = detector.ReAct(NET[:-1], NET[-1], percentile=0.8)
    with torch.no_grad():
        theirs.fit_feature_maps(encoder(KNOWN), TARGETS)
        expected = theirs.predict(ASKED)
    torch.testing.assert_close(ReAct(percentile=80).fit(NET, KNOWN)(ASKED), expected)
