"""Which images are shown, and what is drawn of them."""

from typing import Any

import pytest
import torch
from markupsafe import escape
from torch import Tensor, nn

from pellucid import explain
from pellucid.audit import Audit, audit
from pellucid.data import ImageSet

from .sets import CLASSES, Linear, Small, image_set, model, some_targets

TARGETS = some_targets(60)
EVERY = "saliency,grad_cam,guided_backprop,occlusion"


def shown(count: int = 5, **options: Any) -> Audit:
    return audit(model(Small(nn.ReLU())), image_set([*TARGETS]), shown=count, **options)


def test_mistakes_are_the_most_confident_and_hits_the_least() -> None:
    found = audit(model(), image_set([*TARGETS]), shown=5, methods="")
    rows = found.predictions
    confidence, correct = rows.confidence.tolist(), rows.correct.tolist()
    wrong = sorted((row for row in range(60) if not correct[row]), key=lambda row: -confidence[row])
    right = sorted((row for row in range(60) if correct[row]), key=lambda row: confidence[row])
    assert len(wrong) > 5 < len(right)
    assert [one.row for one in found.shown.mistakes] == wrong[:5]
    assert [one.row for one in found.shown.unsure] == right[:5]


def test_the_sample_follows_the_seed() -> None:
    rows = [[one.row for one in shown(8, methods="", seed=seed).shown.sample] for seed in (1, 1, 2)]
    assert rows[0] == rows[1] != rows[2]
    assert rows[0] == sorted(set(rows[0]))
    assert len(rows[0]) == 8


def test_nothing_is_shown_if_nothing_is_asked_for() -> None:
    found = shown(0)
    assert (found.shown.mistakes, found.shown.unsure, found.shown.sample) == ((), (), ())


def test_the_maps_are_the_methods_own() -> None:
    found = shown(methods=EVERY)
    asked, images = model(Small(nn.ReLU())), image_set([*TARGETS])
    groups = (found.shown.mistakes, found.shown.unsure, found.shown.sample)
    for one in [one for group in groups for one in group]:
        image = images.read(one.row, asked.geometry)[None].float() / 255
        assert torch.equal(one.image, image[0])
        predicted, target = int(asked(image).argmax()), TARGETS[one.row]
        expected = [(name, index) for name in EVERY.split(",") for index in dict.fromkeys((predicted, target))]
        assert [(name, index) for name, index, _ in one.heats] == expected
        for name, index, heat in one.heats:
            options = {"layer": "activation"} if name == "grad_cam" else {}
            by_hand = getattr(explain, name)(asked, image, torch.tensor([index]), **options)[0]
            torch.testing.assert_close(heat, by_hand, rtol=1e-4, atol=1e-6)
    assert all(len({index for _, index, _ in one.heats}) == 2 for one in found.shown.mistakes)


@pytest.mark.parametrize(
    ("network", "note"),
    [
        (
            Linear(),
            "grad_cam is not drawn: the model has no late layer with maps (N, C, h, w): name a layer, or use saliency",
        ),
        (
            Small(nn.GELU()),
            "guided_backprop is not drawn: guided_backprop needs ReLU; the model's activations: GELU x1; use saliency "
            "or smooth_grad",
        ),
    ],
)
def test_a_method_that_does_not_suit_the_model_becomes_a_note(network: nn.Module, note: str) -> None:
    found = audit(model(network), image_set([*TARGETS]), shown=3, methods=EVERY)
    assert note in found.shown.notes
    name = note.partition(" ")[0]
    drawn = {method for one in found.shown.sample for method, _, _ in one.heats}
    assert drawn == set(EVERY.split(",")) - {told.partition(" ")[0] for told in found.shown.notes}
    assert name not in drawn
    assert str(escape(note)) in found.page()


class Sealed(nn.Module):
    """No gradient comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Linear()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner(images).detach()
        return logits


def test_a_net_without_gradients_gets_a_note() -> None:
    found = audit(model(Sealed()), image_set([*TARGETS]), shown=2, methods="saliency")
    (note,) = found.shown.notes
    assert note.startswith("saliency is not drawn: the score does not depend on the input")


def test_a_picture_that_is_gone_since_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    read, seen = ImageSet.read, list[str]()

    def once(self: ImageSet, index: int, *args: Any) -> Tensor:
        file = self.items[index].file
        if file == "pictures/007.png" and file in seen:
            raise ValueError("no longer there")
        seen.append(file)
        return read(self, index, *args)

    monkeypatch.setattr(ImageSet, "read", once)
    found = shown(60, methods="")
    assert found.shown.notes == ("pictures/007.png is not drawn: no longer there",)
    assert 7 not in {one.row for one in found.shown.sample}
    assert len(found.shown.sample) == 59
    assert len(found.predictions) == 60
    assert "pictures/007.png is not drawn" in found.page()


def test_a_method_named_twice_is_drawn_once() -> None:
    found = shown(2, methods=" saliency , saliency,")
    assert {len(one.heats) for one in found.shown.unsure} == {1}
    assert all(CLASSES[index] for one in found.shown.sample for _, index, _ in one.heats)
