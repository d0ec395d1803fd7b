"""The fair table: every score as asked for by itself, and what it warns of."""

import math
import warnings

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor, nn

from pellucid.data import Pixels
from pellucid.uncertainty import entropy, mc_dropout, variation_ratio
from pellucid.uncertainty.failure import ConfidNet, TrustScore, compare, doctor, true_class_probability

from ..nets import Given, answers, small_images, varied

NET = varied()
PIXELS = (small_images(60, 4, seed=5) * 255).round().to(torch.uint8)
IMAGES = PIXELS.float() / 255
TARGETS = answers(NET, IMAGES)
ALL = (
    "max_probability,entropy,margin,energy,doctor_alpha,doctor_beta,mc_dropout,mc_dropout_mutual_information,"
    "mc_dropout_variation_ratio,mc_dropout_max_probability,tcp_oracle"
)


def test_every_score_is_what_it_is_alone() -> None:
    found = compare(NET, IMAGES, TARGETS, predictors=ALL, samples=20, draws=20)
    with torch.no_grad():
        logits = NET(IMAGES).double()
    p = logits.softmax(dim=1)
    first = p.sort(dim=1, descending=True).values
    source = torch.Generator().manual_seed(0)
    seed = int(torch.randint(2**62, (), generator=source))
    drawn = mc_dropout(NET, IMAGES, samples=20, generator=torch.Generator().manual_seed(seed))
    expected = {
        "max_probability": 1 - first[:, 0],
        "entropy": torch.special.entr(p).sum(dim=1),
        "margin": 1 - (first[:, 0] - first[:, 1]),
        "energy": -logits.logsumexp(dim=1),
        "doctor_alpha": doctor(NET, IMAGES),
        "doctor_beta": doctor(NET, IMAGES, variant="beta"),
        "mc_dropout": entropy(drawn).double(),
        "mc_dropout_variation_ratio": variation_ratio(drawn).double(),
        "mc_dropout_max_probability": 1 - drawn.mean(dim=0).amax(dim=1).double(),
        "tcp_oracle": true_class_probability(NET, IMAGES, TARGETS),
    }
    assert list(found.scores) == ALL.split(",")
    for name, score in expected.items():
        torch.testing.assert_close(found.scores[name], score, rtol=1e-6, atol=1e-7)
    assert torch.equal(found.correct, p.argmax(dim=1) == TARGETS)
    assert found.warnings == ()


def test_the_table_is_scikit_learns_and_its_intervals_hold_it() -> None:
    found = compare(NET, IMAGES, TARGETS, predictors=ALL, samples=5, draws=50)
    wrong = ~found.correct
    for row in found.table.rows:
        score = found.scores[row.name].numpy()
        assert row.aupr_error.value == pytest.approx(average_precision_score(wrong, score))
        assert row.aupr_success.value == pytest.approx(average_precision_score(found.correct, -score))
        assert row.auroc.value == pytest.approx(roc_auc_score(wrong, score))
        assert row.aupr_error.low <= row.aupr_error.value <= row.aupr_error.high
    assert found.table.errors == int(wrong.sum())
    assert found.table.error_rate.value == pytest.approx(float(wrong.float().mean()))


def test_the_worst_errors_are_those_trusted_most() -> None:
    found = compare(NET, IMAGES, TARGETS, predictors="margin", worst=5, draws=1)
    score, errors = found.scores["margin"], (~found.correct).nonzero()[:, 0].tolist()
    assert found.missed["margin"].tolist() == sorted(errors, key=lambda place: float(score[place]))[:5]


def test_fitted_ones_come_last_and_what_they_saw_is_told() -> None:
    train = small_images(200, 4)
    labels = answers(NET, train)
    net = ConfidNet(hidden=8, depth=1, epochs=2).fit(NET, train, labels)
    trust = TrustScore(neighbours=2).fit(NET, IMAGES[:7], torch.arange(7) % 4)
    memory = Pixels(PIXELS, TARGETS, tuple("abcd"), tuple(map(str, range(60))))
    found = compare(NET, memory, None, {"confid_net": net, "trust": trust}, predictors="entropy", draws=5)
    assert [row.name for row in found.table.rows] == ["entropy", "confid_net", "trust"]
    torch.testing.assert_close(found.scores["confid_net"], net(IMAGES).double())
    assert found.warnings == ("trust: 7 of the 60 images were fitted on as well: its row is too good",)
    with warnings.catch_warnings(action="ignore"):
        few = ConfidNet(hidden=8, depth=1, epochs=2).fit(NET, train[:40], labels[:40])
    told = compare(NET, IMAGES, TARGETS, {"few": few}, predictors="", draws=5).warnings
    assert len(told) == 1
    assert told[0].startswith("few: only ")


def test_without_errors_nothing_is_said_to_be_perfect() -> None:
    with torch.no_grad():
        right = NET(IMAGES).argmax(dim=1)
    found = compare(NET, IMAGES, right, draws=5)
    assert all(math.isnan(row.aupr_error.value) for row in found.table.rows)
    assert found.warnings == ("0 errors among 60 images: without both, no score can rank them",)
    assert len(found.missed["entropy"]) == 0


def test_the_oracle_is_above_all_others_with_two_classes() -> None:
    images, targets = small_images(100, 1, channels=2), torch.arange(100) % 2
    found = compare(Given(), images, targets, predictors="tcp_oracle,max_probability,doctor_beta,energy", draws=5)
    values = {row.name: row.aupr_error.value for row in found.table.rows}
    assert values["tcp_oracle"] == 1
    assert values["max_probability"] == values["doctor_beta"] < 1


def test_energy_is_left_out_where_there_are_no_logits() -> None:
    class Soft(Given):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images).softmax(dim=1)

    images, targets = small_images(60, 1, channels=3), torch.arange(60) % 3
    found = compare(Soft(), images, targets, predictors="energy,entropy", draws=5)
    assert list(found.scores) == ["entropy"]
    assert found.warnings[0].startswith("energy was left out: the network ends in a softmax")
    plain = compare(Given(), images, targets, predictors="entropy", draws=5)
    torch.testing.assert_close(found.scores["entropy"], plain.scores["entropy"], rtol=1e-4, atol=1e-5)


def test_refuses() -> None:
    with pytest.raises(ValueError, match=r"predictors must be among .*, got 'entrpy'; did you mean entropy"):
        compare(NET, IMAGES, TARGETS, predictors="entrpy")
    with pytest.raises(ValueError, match="predictors must name a score, or fitted hold one"):
        compare(NET, IMAGES, TARGETS, predictors="")
    with pytest.raises(ValueError, match="worst must be at least 1, got 0"):
        compare(NET, IMAGES, TARGETS, worst=0)
    with pytest.raises(ValueError, match="targets must be the images' true classes"):
        compare(NET, IMAGES)
    trust = TrustScore().fit(NET, IMAGES, TARGETS)
    with pytest.raises(ValueError, match=r"fitted\['trust'\] must be fitted on this model"):
        compare(varied(), IMAGES, TARGETS, {"trust": trust})
    with pytest.raises(ValueError, match="fitted must have names of its own, got 'entropy'"):
        compare(NET, IMAGES, TARGETS, {"entropy": trust})
    with pytest.raises(ValueError, match="the network has no dropout"):
        compare(nn.Sequential(nn.Flatten(), nn.Linear(48, 4)).eval(), IMAGES, TARGETS, predictors="mc_dropout")
