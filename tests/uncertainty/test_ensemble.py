"""Ensembles against their members, and against the refusals that keep one from agreeing with itself."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid import models, training
from pellucid.files import read_object, write_json
from pellucid.models import Model
from pellucid.training.recipes import _following
from pellucid.uncertainty import ensemble, members, mutual_information, snapshots

from .nets import modules, small_images

IMAGES = small_images()


def net(seed: int, classes: int = 5) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, classes)).eval()


def model(seed: int, classes: tuple[str, ...] = tuple("abcde"), **told: Any) -> Model:
    mean = [0.1 * seed] * 3
    return Model(net(seed, len(classes)), mean=mean, std=[1.0] * 3, classes=classes, size=8, **told)


def test_each_model_gives_a_sample_in_its_order() -> None:
    few = [net(0), net(1), modules()]
    drawn = ensemble(few, IMAGES)
    assert drawn.shape == (3, 4, 5)
    for sample, one in zip(drawn, few, strict=True):
        torch.testing.assert_close(sample, one(IMAGES).softmax(dim=1))
    torch.testing.assert_close(ensemble(few[::-1], IMAGES), drawn.flip(0))
    torch.testing.assert_close(ensemble(few, IMAGES[2:3]), drawn[:, 2:3])


def test_each_model_prepares_the_images_itself() -> None:
    few = [model(0), model(1)]
    torch.testing.assert_close(ensemble(few, IMAGES)[1], few[1].network(IMAGES - 0.1).softmax(dim=1))


def test_networks_that_end_in_a_softmax_are_not_squashed_twice() -> None:
    soft = nn.Sequential(net(0), nn.Softmax(dim=1)).eval()
    torch.testing.assert_close(ensemble([soft, net(1)], IMAGES), ensemble([net(0), net(1)], IMAGES))


def test_the_loss_of_the_mean_is_no_larger_than_the_mean_of_the_losses() -> None:
    """Jensen: -ln is convex. The gap is exact for two members at odds: ln cosh of half their distance in logits."""
    targets = torch.tensor([0, 1, 2, 3])
    drawn = ensemble([net(seed) for seed in range(6)], IMAGES)
    of_mean = F.nll_loss(drawn.mean(dim=0).log(), targets)
    mean_of = torch.stack([F.nll_loss(sample.log(), targets) for sample in drawn]).mean()
    assert float(of_mean) < float(mean_of)
    brier = (drawn - F.one_hot(targets, 5)).square().sum(dim=2).mean(dim=1)
    assert float((drawn.mean(dim=0) - F.one_hot(targets, 5)).square().sum(dim=1).mean()) < float(brier.mean())

    class Certain(nn.Module):
        def __init__(self, logit: float) -> None:
            super().__init__()
            self.logits = nn.Parameter(torch.tensor([logit, 0.0]))
            self.eval()

        def forward(self, images: Tensor) -> Tensor:
            return self.logits.expand(len(images), 2)

    odd = ensemble([Certain(3.0), Certain(-3.0)], IMAGES[:1])
    torch.testing.assert_close(odd.mean(dim=0), torch.tensor([[0.5, 0.5]]))
    share = torch.tensor([0.5, 3.0]).log()  # mutual information: ln 2 less the entropy of sigmoid(3)
    p = torch.tensor(3.0).sigmoid()
    expected = -share[0] + p * p.log() + (1 - p) * (1 - p).log()
    torch.testing.assert_close(mutual_information(odd), expected[None])


def test_trained_members_beat_their_mean_member_where_they_disagree() -> None:
    """Four nets on too few points; the ensemble's loss on others lies below its best member's."""
    noise = torch.Generator().manual_seed(0)
    points = torch.rand(260, 12, 1, 1, generator=noise)
    targets = ((points[:, 0] - points[:, 1] + 0.2 * torch.randn(260, 1, 1, generator=noise)).flatten() > 0).long()
    few = []
    for seed in range(4):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            one = nn.Sequential(nn.Flatten(), nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 2))
        batches = [(points[:60], targets[:60])]
        list(training.fit(training.Classify(one), batches, training.optimizer("adam", one, lr=0.05), epochs=60))
        few.append(one.eval())
    drawn = ensemble(few, points[60:])
    each = torch.stack([F.nll_loss(sample.log(), targets[60:]) for sample in drawn])
    assert float(F.nll_loss(drawn.mean(dim=0).log(), targets[60:])) < min(0.9 * float(each.mean()), float(each.min()))


def test_nothing_of_the_members_changes() -> None:
    few = [modules(), net(1)]
    noise = torch.random.get_rng_state()
    before = [{name: value.clone() for name, value in one.state_dict().items()} for one in few]
    ensemble(few, IMAGES)
    assert torch.equal(noise, torch.random.get_rng_state())
    for one, kept in zip(few, before, strict=True):
        assert all(torch.equal(value, kept[name]) for name, value in one.state_dict().items())
        assert not one.training


@pytest.mark.parametrize(
    ("few", "message"),
    [
        ([net(0)], "models must be at least 2, got 1: train it again with other seeds"),
        (net(0), "models must be at least 2, got one network"),
        ([net(0), net(0)], "models must differ, but model 1 and model 2 have the same weights"),
        ([model(0), model(0)], "models must differ, but model 1 and model 2 have the same weights"),
        ([net(0), net(1, 4)], "models must tell the same classes, but model 1 has 5 and model 2 4"),
        (
            [model(0, source={"folder": "runs/a"}), model(1, tuple("abced"), source={"spec": "runs/b"})],
            r"the same classes in the same order, but those of model 1 \(runs/a\) and model 2 \(runs/b\) differ: "
            "class 3 is 'd' and 'e'",
        ),
        ([model(0), net(3), model(1, tuple("abcd"))], "model 1 and model 3 differ: 5 and 4 of them"),
        ([net(0), net(1).train()], "model must be in eval mode"),
    ],
)
def test_refuses_members(few: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ensemble(few, IMAGES)


def test_refuses_images() -> None:
    with pytest.raises(ValueError, match="every model, but model 1 takes 3 channels, got 1"):
        ensemble([model(0), model(1)], IMAGES[:, :1])
    with pytest.raises(ValueError, match=r"images must be in \[0, 1\]"):
        ensemble([model(0), model(1)], 3 * IMAGES)


OPTIONS: dict[str, Any] = {
    "model": "digits_cnn,width=4",
    "limit": 60,
    "batch_size": 20,
    "device": "cpu",
    "schedule": "cyclic",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_following, "write_page", lambda *_: None)
        list(training.start("classify", "digits", folder, epochs=3, period=1, snapshots=True, **OPTIONS))
    return folder


def test_the_snapshots_of_a_run_make_an_ensemble(run: Path) -> None:
    found = snapshots(run)
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    drawn = ensemble(found, images)
    assert drawn.shape == (3, 2, 10)
    last = models.load(run / "snapshots" / "epoch-0003")
    torch.testing.assert_close(drawn[2], last(images).softmax(dim=1))
    torch.testing.assert_close(ensemble(snapshots(run, last=2), images), drawn[1:])
    with pytest.raises(ValueError, match=r"last must be in \[1, 3\], got 4"):
        snapshots(run, last=4)


def test_a_folder_without_snapshots_says_how_to_keep_them(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a run"):
        snapshots(tmp_path)
    for name in ("config.yaml", "record.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    with pytest.raises(ValueError, match=r"holds no snapshots; they are kept by .* --schedule cyclic"):
        snapshots(tmp_path)


def test_runs_that_were_tested_on_other_images_are_told(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other, ignore=shutil.ignore_patterns("snapshots"))
    changed = models.load(run)
    next(changed.parameters()).data.mul_(1.1)
    models.save(changed, other)
    assert len(members(run, other)) == 2, "tested on the same"
    told = read_object(other / "record.json")
    told["data"]["parts"]["test"]["hash"] = "another"
    write_json(other / "record.json", told)
    with pytest.warns(UserWarning, match=r"model 1 \(.*run\) and model 2 \(.*other\) were tested on other images"):
        members(run, other)


def test_members_are_named_as_a_model_is_or_by_the_folder_they_lie_in(run: Path) -> None:
    places = sorted((run / "snapshots").iterdir())
    named, together = members(*places[:2], "zoo:digits_cnn@none"), members(run / "snapshots")
    assert [str(one.source["folder"]) for one in together] == [str(place) for place in places]
    assert len(named) == 3
    with pytest.raises(
        ValueError, match=r"models must differ, but model 1 \(.*run\) and model [234] \(.*000[123]\) have"
    ):
        members(run, run / "snapshots")
    with pytest.raises(ValueError, match="no such model"):
        members(run, "runs/none")
