"""What it learned from: neighbours of mistakes, pictures on both sides, and the map."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pellucid.audit import Audit, audit, neighbours
from pellucid.audit.feature_map import feature_map
from pellucid.audit.learned import Learned
from pellucid.audit.neighbours import near_limit, nearest_of_class, same_pictures
from pellucid.data import ImageSet, open_images
from pellucid.data.image_set import ClassLabel, Item
from pellucid.data.sources import Array

from .sets import CLASSES, MEAN, STD, model, pixels

COUNT, KNOWN = 24, 40
QUIET: dict[str, Any] = {"judged": 0, "attacked": 0, "corrupted": 0, "methods": "", "workers": 0}


class Two(nn.Module):
    """Features, then a linear layer that reads them."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.features = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU())
            self.head = nn.Linear(12, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


def a_set(arrays: np.ndarray, targets: Sequence[int | None], name: str) -> ImageSet:
    items = tuple(Item(f"{name}/{i:03d}.png", target, str(i)) for i, target in enumerate(targets))
    return ImageSet(name, tuple(ClassLabel(one) for one in CLASSES), items, (Array(arrays),))


def rows_of(arrays: np.ndarray) -> Tensor:
    """(N, 12), float64, by hand."""
    with torch.no_grad():
        x = (torch.from_numpy(arrays / 255).float()[:, None] - MEAN) / STD
        rows: Tensor = Two().eval().features(x).double()
    return rows


ASKED = pixels(COUNT)
TRAINED = np.random.default_rng(9).integers(0, 256, (KNOWN, 8, 8), dtype=np.uint8)
TRAINED[5] = ASKED[7]  # seen before
TRAINED[11] = ASKED[3]
TARGETS = [int(one) for one in np.random.default_rng(4).integers(0, 6, COUNT)]
LABELS = [int(one) for one in np.random.default_rng(5).integers(0, 6, KNOWN)]


@pytest.fixture(scope="module")
def base() -> Audit:
    net = model(Two())
    return audit(net, a_set(ASKED, TARGETS, "asked"), train=a_set(TRAINED, LABELS, "known"), shown=5, **QUIET)


def learned(found: Audit) -> Learned:
    assert found.learned is not None
    return found.learned


def test_each_mistake_stands_beside_the_nearest_of_both_classes(base: Audit) -> None:
    one, rows = learned(base), base.predictions
    assert (one.path, one.images, one.layer) == ("known", KNOWN, "features")
    asked, known, labels = rows_of(ASKED), rows_of(TRAINED), torch.tensor(LABELS)
    wrong = [int(row) for row in rows.confidence.argsort(descending=True) if not rows.correct[row]]
    assert [each.row for each in one.mistaken] == wrong[:5]
    for each in one.mistaken:
        away = 1 - torch.cosine_similarity(asked[each.row], known, dim=1)
        for near, label in ((each.taken_for, int(rows.predicted[each.row])), (each.own, TARGETS[each.row])):
            own = (labels == label).nonzero()[:, 0]
            if not len(own):
                assert near is None
                continue
            assert near is not None
            best = int(own[away[own].argmin()])
            assert (near.file, near.label) == (f"known/{best:03d}.png", label)
            assert near.distance == pytest.approx(float(away[best]), abs=1e-6)
            torch.testing.assert_close(near.image[0], torch.from_numpy(TRAINED[best] / 255).float())
        torch.testing.assert_close(each.image[0], torch.from_numpy(ASKED[each.row] / 255).float())


def test_pictures_on_both_sides_are_found_and_judged_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "NEAR", 1e-9)
    found = audit(model(Two()), a_set(ASKED, TARGETS, "asked"), train=a_set(TRAINED, LABELS, "known"), shown=0, **QUIET)
    one = learned(found)
    assert one.pairs == 2
    assert one.rows.tolist() == [3, 7]
    assert {(each.row, each.near.file) for each in one.twins} == {(3, "known/011.png"), (7, "known/005.png")}
    others = [row for row in range(COUNT) if row not in {3, 7}]
    assert one.without is not None
    assert one.without.value == pytest.approx(float(found.predictions.correct[others].double().mean()))
    assert one.mistaken == ()
    fact = next(fact for fact in found.facts if fact.label == "Seen in training")
    assert fact.value == "2 of 24"
    assert "2 images of 24 are nearly the same as one of 40 images of known" in fact.text
    told = found.summary()["learned"]
    assert (told["pairs"], told["seen"], told["images"]) == (2, 2, KNOWN)
    page = found.page()
    assert "asked: asked/003.png" in page
    assert "learned from: known/011.png" in page


def test_the_map_shows_every_picture(base: Audit) -> None:
    one = learned(base)
    assert one.map is not None
    assert one.map.projection.points.shape == (COUNT, 2)
    assert one.map.targets.tolist() == TARGETS
    assert one.map.scores is not None
    assert sorted(one.pictures) == list(range(COUNT))
    page = base.page()
    assert 'id="map"' in page
    assert f"{COUNT} images by their features at features" in page
    assert base.summary()["learned"]["nearest_of_own_class"] == one.map.scores.agreement_before


def test_a_map_of_few_pictures_takes_fewer_neighbours() -> None:
    rows = torch.randn(12, 5, generator=torch.Generator().manual_seed(0))
    made = feature_map(rows, torch.zeros(12, dtype=torch.int64))
    assert made.scores is None
    assert bool(made.projection.points.isfinite().all())


def test_the_nearest_of_a_class_that_is_not_known_is_none() -> None:
    known, asked = torch.eye(3), torch.tensor([[1.0, 0.1, 0.0], [0.0, 1.0, 0.2]])
    found = nearest_of_class(known, torch.tensor([0, 0, 1]), asked, torch.tensor([1, 7]))
    assert found.rows.tolist() == [2, -1]
    assert found.distances.tolist() == [1.0, float("inf")]
    found = nearest_of_class(known, torch.tensor([0, 0, 1]), asked, torch.tensor([0, 0]))
    assert found.rows.tolist() == [0, 1]


def test_near_is_less_than_what_pictures_usually_have() -> None:
    angles = torch.arange(0, 10, dtype=torch.float64) / 10
    known = torch.stack([angles.cos(), angles.sin()], dim=1)
    asked = torch.stack([(angles + 0.05).cos(), (angles + 0.05).sin()], dim=1)
    assert near_limit(known, asked) == pytest.approx(0.1 * (1 - np.cos(0.05)), rel=1e-4)
    assert near_limit(torch.eye(2), torch.tensor([[-1.0, -1.0]])) == 0.04


def test_features_that_tell_too_little_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_rows: object, **_options: object) -> None:
        raise ValueError("pairs must be fewer")

    monkeypatch.setattr(neighbours, "near_duplicates", refuse)
    found = audit(model(Two()), a_set(ASKED, TARGETS, "asked"), train=a_set(TRAINED, LABELS, "known"), shown=0, **QUIET)
    assert learned(found).notes == ("pictures on both sides could not be listed: pairs must be fewer",)
    assert next(fact for fact in found.facts if fact.label == "Seen in training").value == "not known"
    assert "pairs must be fewer" in found.page()


def test_pictures_that_are_alike_to_the_network_alone_are_not_the_same() -> None:
    others = np.random.default_rng(1).integers(0, 256, (KNOWN, 8, 8), dtype=np.uint8)
    near = same_pictures(
        torch.ones(3, 2), torch.ones(2, 2), lambda row: image(others[row]), lambda row: image(ASKED[row])
    )
    assert (len(near.pairs), near.is_listed) == (0, True)
    same = same_pictures(
        torch.ones(3, 2), torch.ones(2, 2), lambda row: image(ASKED[row]), lambda row: image(ASKED[row])
    )
    assert sorted(zip(same.pairs.first.tolist(), same.pairs.second.tolist(), strict=True)) == [(0, 0), (1, 1)]


def image(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array / 255).float()[None]


def test_training_pictures_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / CLASSES[number % 2]).mkdir(exist_ok=True)
        Image.fromarray(TRAINED[number]).save(tmp_path / CLASSES[number % 2] / f"{number}.png")
    (tmp_path / CLASSES[0] / "broken.png").write_bytes(b"no picture")
    found = audit(model(Two()), a_set(ASKED, TARGETS, "asked"), train=open_images(tmp_path), shown=0, **QUIET)
    assert learned(found).images == 6
    (told,) = learned(found).notes
    assert told.startswith("training pictures that could not be read are left out: 1, the first ")
    assert next(fact for fact in found.facts if fact.label == "Seen in training").value == "1 of 24"  # no. 5
    assert "broken.png" in found.page()


def test_without_a_training_set_nothing_is_said(base: Audit) -> None:
    found = audit(model(Two()), a_set(ASKED, TARGETS, "asked"), shown=0, **QUIET)
    assert found.learned is None
    assert found.summary()["learned"] is None
    assert 'id="seen"' not in found.page()
    assert base.record.options["train"] == "known"


def test_refuses_a_training_set_without_labels() -> None:
    bare = a_set(TRAINED, [None] * KNOWN, "known")
    with pytest.raises(ValueError, match="known: has no labels, which the training pictures of an audit need"):
        audit(model(Two()), a_set(ASKED, TARGETS, "asked"), train=bare, shown=0, **QUIET)
