"""Which map an audit says to believe."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pellucid import explain
from pellucid.audit import Audit, audit
from pellucid.audit import trust as room
from pellucid.audit.words import percent
from pellucid.data import ImageSet
from pellucid.metrics import bootstrap
from pellucid.metrics.explanation import deletion, insertion

from .sets import Small, image_set, model, some_targets

TARGETS = some_targets(40)


def found(methods: str = "saliency,occlusion", **options: Any) -> Audit:
    return audit(model(Small(nn.ReLU())), image_set([*TARGETS]), shown=0, methods=methods, judged=6, **options)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Audit]:
    """An audit whose methods are the given functions of (model, images, targets)."""

    def run(**made: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> Audit:
        names = dict(zip(("saliency", "occlusion", "guided_backprop"), made.values(), strict=False))
        monkeypatch.setattr(room, "bound", lambda name, *_: names[name])
        return found(",".join(names))

    return run


def good(asked: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    return explain.occlusion(asked, images, targets, window=2, stride=1)


def bad(asked: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    return -good(asked, images, targets)


def test_the_numbers_are_the_metrics_own() -> None:
    audited = found("saliency")
    assert audited.trust is not None
    (one,) = audited.trust.judged
    rows = torch.randperm(40, generator=torch.Generator().manual_seed(0))[:6].sort().values
    asked, images = model(Small(nn.ReLU())), image_set([*TARGETS])
    pixels = torch.stack([images.read(int(row), asked.geometry).float() / 255 for row in rows])
    said = asked(pixels).argmax(dim=1)
    heat = explain.saliency(asked, pixels, said)
    back, away = (test(asked, pixels, said, heat, steps=room.STEPS).auc for test in (insertion, deletion))
    torch.testing.assert_close(one.insertion, back, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(one.deletion, away, rtol=1e-4, atol=1e-6)
    told = audited.summary()["explanations"]
    assert told["images"] == 6
    assert told["maps"]["saliency"]["difference"]["value"] == pytest.approx(float((back - away).mean()), rel=1e-4)
    assert set(told["beside"]) == {"random", "blobs", "centre"}


def test_the_better_map_is_believed_and_the_worse_is_not(pretended: Callable[..., Audit]) -> None:
    audited = pretended(one=bad, two=good)
    trust = audited.trust
    assert trust is not None
    assert [one.method for one in trust.judged] == ["occlusion", "saliency"]
    assert trust.best is trust.judged[0]
    assert bootstrap(trust.judged[0].faithfulness - trust.judged[1].faithfulness).low > 0
    assert trust.equals(trust.judged[0]) == []
    share = trust.judged[0].interval
    sentence = (
        "Believe Occlusion first: what it marks moves the prediction most (insertion minus deletion "
        f"{share.value:.2f}, 95 % interval {share.low:.2f} to {share.high:.2f}, "
        f"chance {max(float(trust.beside[name].mean()) for name in ('random', 'blobs')):.2f})."
    )
    assert audited.facts[-1].text == sentence
    assert sentence in audited.page()
    assert audited.summary()["explanations"]["believe"] == "occlusion"
    assert percent(audited.top1.value) in audited.facts[0].text


def test_equal_maps_are_said_to_be_about_equal(pretended: Callable[..., Audit]) -> None:
    audited = pretended(one=good, two=good)
    assert "Occlusion is not clearly worse" in audited.facts[-1].text.replace("Saliency is", "Occlusion is")


def test_no_map_is_believed_that_is_no_better_than_chance(pretended: Callable[..., Audit]) -> None:
    audited = pretended(one=bad)
    assert audited.facts[-1].value == "none"
    assert audited.facts[-1].text.startswith("None of the maps drawn is clearly better than random pixels and random")
    assert audited.summary()["explanations"]["believe"] is None


def test_constant_maps_and_nan_are_flagged(pretended: Callable[..., Audit]) -> None:
    def broken(asked: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        heat = good(asked, images, targets)
        heat[0] = torch.nan
        heat[1] = 3.0
        return heat

    def noisy_only(asked: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return broken(asked, images, targets) if len(images) == 6 else good(asked, images, targets)

    audited = pretended(one=noisy_only)
    flags = audited.summary()["explanations"]["maps"]["saliency"]["flags"]
    assert "2 of 6 maps are constant or hold NaN" in flags
    assert "2 of 6 maps are constant or hold NaN" in audited.page()


def test_a_map_that_ignores_the_weights_is_flagged_and_not_believed(pretended: Callable[..., Audit]) -> None:
    fixed = {}

    def picture(asked: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        if len(images) == 6:
            fixed["heat"] = good(asked, images, targets)
        return fixed["heat"][: len(images)]

    audited = pretended(one=picture)
    trust = audited.trust
    assert trust is not None
    assert trust.judged[0].randomised == pytest.approx(1)
    assert trust.judged[0].is_insensitive
    assert trust.best is None
    assert audited.summary()["explanations"]["maps"]["saliency"]["flags"] == ["hardly depends on the weights"]


def test_a_method_that_does_not_suit_the_model_is_a_note() -> None:
    audited = audit(model(), image_set([*TARGETS]), shown=0, judged=5, methods="guided_backprop")
    assert audited.trust is not None
    (note,) = audited.trust.notes
    assert note.startswith("guided_backprop is not tested: guided_backprop needs ReLU")
    assert note.split("'")[0] in audited.page()
    assert "Map to believe" not in {fact.label for fact in audited.facts}


@pytest.mark.parametrize("options", [{"judged": 0}, {"judged": 4}, {"methods": ""}])
def test_nothing_is_tested_if_nothing_is_asked_for(options: dict[str, Any]) -> None:
    audited = audit(model(), image_set([*TARGETS]), shown=0, **options)
    assert audited.trust is None
    assert audited.summary()["explanations"] is None
    assert "Which map to believe" not in audited.page()


def test_the_sample_follows_the_seed() -> None:
    told = [found("saliency", seed=seed).summary()["explanations"] for seed in (1, 1, 2)]
    assert told[0] == told[1] != told[2]


def test_only_maps_that_pass_are_said_to_be_as_good(pretended: Callable[..., Audit]) -> None:
    def picture(asked: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return images.mean(dim=1)

    audited = pretended(one=good, two=good, three=picture)
    trust = audited.trust
    assert trust is not None
    best = trust.best
    assert best is not None
    near = trust.equals(best)
    assert [one.method for one in near] == [one.method for one in trust.judged if one is not best and trust.passes(one)]
    assert "guided_backprop" not in [one.method for one in near], "the picture itself does not change with the weights"


def test_pictures_that_are_gone_since_cost_no_more_than_the_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    read, seen = ImageSet.read, set[str]()

    def once(self: ImageSet, index: int, *args: Any) -> Tensor:
        file = self.items[index].file
        if file in seen:
            raise ValueError("no longer there")
        seen.add(file)
        return read(self, index, *args)

    monkeypatch.setattr(ImageSet, "read", once)
    audited = found("saliency")
    assert audited.trust is None
    assert len(audited.predictions) == 40
