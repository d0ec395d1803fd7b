"""ConfidNet on toys whose true class probability is known, and that the classifier stays what it was."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from pellucid.data import Pixels
from pellucid.metrics.ranking import auroc
from pellucid.uncertainty.failure import ConfidNet
from pellucid.uncertainty.failure._learning import loss_of
from pellucid.uncertainty.failure.confid_net import head_of

from ..nets import Given, Shares, answers, small_images, varied

TINY: dict[str, Any] = {"hidden": 16, "depth": 2, "epochs": 3, "lr": 1e-3, "batch_size": 32}
FIRST = torch.zeros(400, dtype=torch.int64)


def shares(count: int = 400, seed: int = 0) -> Tensor:
    return small_images(count, 1, seed, 2)


def test_the_head_has_as_many_weights_as_the_papers() -> None:
    head = head_of(128, 400, 4, torch.Generator().manual_seed(0))
    assert sum(parameter.numel() for parameter in head.parameters()) == 533_201
    bound = 400**-0.5
    drawn = dict(head.named_parameters())["2.weight"].detach()
    assert bound * 0.99 < float(drawn.abs().max()) <= bound, "torch's own range"


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_a_confidence_that_is_linear_in_the_features_is_learned(loss: str) -> None:
    net = ConfidNet(hidden=64, depth=2, loss=loss, epochs=150, lr=5e-3, batch_size=64, patience=150).fit(
        Shares(), shares(), FIRST
    )
    new = shares(300, seed=1)
    error = (1 - net(new) - new[:, 0, 0, 0]).square().mean()
    assert float(error) < 1e-4
    assert (net.images_, net.errors_) == (400, int((shares()[:, 0, 0, 0] < 0.5).sum()))


def test_ranking_learns_the_order() -> None:
    net = ConfidNet(hidden=16, depth=2, loss="ranking", epochs=20, lr=1e-2, batch_size=64).fit(
        Shares(), shares(), FIRST
    )
    new = shares(300, seed=1)
    assert spearmanr(net(new), 1 - new[:, 0, 0, 0]).statistic > 0.99
    assert auroc(net(new), new[:, 0, 0, 0] < 0.5) > 0.99


def test_losses_in_closed_form() -> None:
    logits, wanted, wrong = torch.tensor([0.0, 2.0]), torch.tensor([0.75, 0.25]), torch.tensor([False, True])
    sure = 1 / (1 + torch.tensor(-2.0).exp())
    squares = torch.tensor([0.25**2, (sure - 0.25) ** 2])
    torch.testing.assert_close(loss_of(logits, wanted, wrong, "mse", 1.0), squares.mean())
    torch.testing.assert_close(loss_of(logits, wanted, wrong, "mse", 3.0), (squares[0] + 3 * squares[1]) / 2)
    crossed = torch.stack([torch.tensor(2.0).log(), -(0.25 * sure.log() + 0.75 * (1 - sure).log())])
    torch.testing.assert_close(loss_of(logits, wanted, wrong, "bce", 1.0), crossed.mean())
    torch.testing.assert_close(loss_of(logits, wanted, wrong, "ranking", 1.0), (1 + torch.tensor(2.0).exp()).log())


@pytest.mark.parametrize("phase", ["head", "both"])
def test_the_classifier_stays_what_it_was(phase: str) -> None:
    net, images = varied().requires_grad_(False), small_images(200, 4)
    before, held = net(images), {name: value.clone() for name, value in net.state_dict().items()}
    noise = torch.random.get_rng_state()
    with warnings.catch_warnings(action="ignore"):
        found = ConfidNet(**TINY, phase=phase, tune_epochs=2, tune_lr=1e-2).fit(net, images, answers(net, images))
    assert torch.equal(net(images), before)
    assert all(torch.equal(value, held[name]) for name, value in net.state_dict().items())
    assert not any(module.training for module in net.modules())
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in net.modules())
    assert torch.equal(noise, torch.random.get_rng_state())
    assert len(found.epochs_) == (1 if phase == "head" else 2)


def test_the_second_phase_tunes_a_copy_with_batch_norm_and_dropout_at_rest() -> None:
    net, images = varied(), small_images(200, 4)
    with torch.no_grad():
        said = net(images).argmax(dim=1)
        before = net(images)
    bright = images[:, 0].mean(dim=(1, 2))
    targets = torch.where(bright > bright.median(), (said + 1) % 4, said)  # what the tuned layers can see
    found = ConfidNet(**TINY, phase="both", tune_epochs=12, tune_lr=3e-3).fit(net, images, targets)
    assert found.epochs_[1] >= 1, "tuning helped on the images held out"
    with torch.no_grad():
        assert torch.equal(net(images), before), "the classifier is not what was tuned"
    mine, theirs = dict(net.state_dict()), dict(found.encoder_.state_dict())
    assert not torch.equal(mine["0.weight"], theirs["0.weight"])
    assert torch.equal(mine["8.weight"], theirs["8.weight"]), "nothing behind the features is tuned"
    assert all(torch.equal(mine[name], theirs[name]) for name in mine if "running" in name or "tracked" in name)
    one, other = found(images), found(images)
    assert torch.equal(one, other), "dropout is off"
    assert all(module.training is False for module in found.encoder_.modules())


def test_a_phase_that_makes_it_worse_is_undone() -> None:
    net, images = varied(), small_images(200, 4)
    targets = answers(net, images)
    head = ConfidNet(**TINY).fit(net, images, targets)
    spoilt = ConfidNet(**TINY, phase="both", tune_epochs=1, tune_lr=10.0).fit(net, images, targets)
    if spoilt.epochs_[1] == 0:
        torch.testing.assert_close(spoilt(images), head(images))
    assert spoilt.epochs_[0] == head.epochs_[0], "the first phase draws the same"


def test_same_generator_same_scores_whatever_the_company() -> None:
    net, images = varied(), small_images(200, 4)
    targets = answers(net, images)
    one, other = (ConfidNet(**TINY).fit(net, images, targets, generator=torch.Generator().manual_seed(4)) for _ in "ab")
    assert torch.equal(one(images), other(images))
    torch.testing.assert_close(one(images[[7, 3]]), one(images)[[7, 3]])
    third = ConfidNet(**TINY).fit(net, images, targets, generator=torch.Generator().manual_seed(5))
    assert not torch.equal(third(images), one(images))
    assert float(one(images).min()) >= 0
    assert float(one(images).max()) <= 1


def test_a_set_in_memory_gives_what_its_images_give() -> None:
    net = varied()
    pixels = (small_images(200, 4) * 255).round().to(torch.uint8)
    images = pixels.float() / 255
    targets = answers(net, images)
    memory = Pixels(pixels, targets, tuple("abcd"), tuple(map(str, range(len(pixels)))))
    options = {**TINY, "phase": "both", "tune_epochs": 1}
    one, other = ConfidNet(**options).fit(net, images, targets), ConfidNet(**options).fit(net, memory)
    torch.testing.assert_close(one(images), other(memory))
    assert torch.equal(one.seen_, other.seen_)


def test_features_are_what_the_last_linear_layer_is_given_or_a_layer_named() -> None:
    class Backwards(nn.Module):
        """Layers held in another order than they are called in."""

        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = nn.Linear(7, 4), nn.Conv2d(3, 7, 1)
            self.eval()

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.last(self.first(images).mean(dim=(2, 3)))
            return logits

    torch.manual_seed(0)
    net, images = Backwards(), small_images(200, 4)
    found = ConfidNet(**TINY).fit(net, images, answers(net, images))
    assert (found.place_.name, found.place_.is_input) == ("last", True)
    assert found.head_.state_dict()["0.weight"].shape == (16, 7)
    named = ConfidNet(**TINY, layer="first").fit(net, images, answers(net, images))
    torch.testing.assert_close(named(images), found(images))  # maps are averaged, as the net does itself


@pytest.mark.parametrize("phase", ["head", "both"])
def test_saved_and_loaded(phase: str, tmp_path: Path) -> None:
    net, images = varied(), small_images(200, 4)
    found = ConfidNet(**TINY, phase=phase, tune_epochs=1, tune_lr=1e-3).fit(net, images, answers(net, images))
    found.save(tmp_path / "kept")
    assert sorted(file.name for file in (tmp_path / "kept").iterdir()) == [
        "fitted.json",
        "fitted.safetensors",
        "record.json",
    ]
    again = ConfidNet.load(tmp_path / "kept", net)
    assert torch.equal(again(images), found(images))
    assert (again.epochs_, again.errors_, again.told_) == (found.epochs_, found.errors_, found.told_)
    assert torch.equal(again.seen_, found.seen_)
    with pytest.raises(ValueError, match="exists already"):
        found.save(tmp_path / "kept")
    other = varied().requires_grad_(False)
    next(other.parameters()).add_(1)
    with pytest.raises(ValueError, match="was fitted on a classifier with other weights"):
        ConfidNet.load(tmp_path / "kept", other)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    net, images = varied(), small_images(200, 4)
    ConfidNet(**TINY).fit(net, images, answers(net, images)).save(tmp_path / "kept")
    file = tmp_path / "kept" / "fitted.json"
    told = json.loads(file.read_text())
    for change, message in (
        ({"options": {**told["options"], "depth": 0}}, "is damaged .depth must be at least 1"),
        ({"options": {"unknown": 1}}, "is damaged"),
        ({"options": {**told["options"], "hidden": 17}}, "hidden|shape|fit"),
        ({"kind": "other"}, "must be of kind confid_net, format 1, got 'other'"),
    ):
        file.write_text(json.dumps({**told, **change}))
        with pytest.raises(ValueError, match=message):
            ConfidNet.load(tmp_path / "kept", net)
    with pytest.raises(ValueError, match="is no saved confid_net"):
        ConfidNet.load(tmp_path, net)


def test_few_errors_are_told() -> None:
    net, images = varied(), small_images(200, 4)
    right = answers(net, images, wrong=0)
    with (
        pytest.warns(UserWarning, match="only 0 errors among the 200 images"),
        pytest.warns(UserWarning, match="0 errors among the 20 images held out: the loss chooses"),
    ):
        found = ConfidNet(**TINY).fit(net, images, right)
    assert len(found.told_) == 2
    few = torch.where(torch.arange(200) < 2, (right + 1) % 4, right)
    with pytest.warns(UserWarning, match="only 2 errors") as caught:
        ConfidNet(**TINY).fit(net, images, few)
    assert len(caught) == 1, "of two errors one is held out"


def test_what_has_no_features_is_refused() -> None:
    images = small_images(8, 4)
    targets = torch.arange(8) % 4
    one = nn.Sequential(nn.Flatten(), nn.Linear(48, 4)).eval()
    with pytest.raises(ValueError, match="the network has a single layer with weights, '1'"):
        ConfidNet().fit(one, images, targets)
    with pytest.raises(ValueError, match="the network calls no linear layer: name the layer"):
        ConfidNet().fit(Given(), small_images(8, 1, channels=4), targets)
    with pytest.raises(ValueError, match=r"layer '5x' is not part of the model"):
        ConfidNet(layer="5x").fit(varied(), images, targets)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("phase", "bot", "phase must be one of head, both, got 'bot'; did you mean both"),
        ("loss", "mae", "loss must be one of mse, bce, ranking, got 'mae'"),
        ("hidden", 0, "hidden must be at least 1, got 0"),
        ("epochs", 2.5, "epochs must be a whole number"),
        ("lr", 0.0, "lr must be above 0 and finite, got 0"),
        ("error_weight", float("nan"), "error_weight must be above 0 and finite, got nan"),
        ("validation", 0.6, r"validation must be in \[0\.01, 0\.5\], got 0\.6"),
    ],
)
def test_refuses_options(option: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConfidNet(**{option: value}).fit(varied(), small_images(8, 4), torch.arange(8) % 4)  # type: ignore[arg-type]


def test_refuses_what_it_is_asked() -> None:
    net, images, targets = varied(), small_images(8, 4), torch.arange(8) % 4
    with pytest.raises(ValueError, match=r"targets must be the images' true classes, .* got none"):
        ConfidNet().fit(net, images)
    with pytest.raises(ValueError, match=r"target 4 is no class: not in 0\.\.3"):
        ConfidNet().fit(net, images, targets + 1)
    with pytest.raises(ValueError, match="targets must be left out with a set in memory"):
        ConfidNet().fit(net, Pixels(images.byte(), targets, tuple("abcd"), tuple("abcdefgh")), targets)
    with pytest.raises(ValueError, match="model must be in eval mode"):
        ConfidNet().fit(varied().train(), images, targets)
    with pytest.raises(ValueError, match="must be fitted first"):
        ConfidNet()(images)
    with pytest.raises(ValueError, match="must be fitted before it is saved"):
        ConfidNet().save("nowhere")
