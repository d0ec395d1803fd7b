from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.explain import occlusion
from pellucid.explain.occlusion import occluded
from pellucid.models import Model

from .nets import Functional, Linear

GENERATOR = torch.Generator().manual_seed(1)
WEIGHT = torch.randn(5, 3, 8, 8, generator=GENERATOR, dtype=torch.float64)
IMAGES = torch.rand(2, 3, 8, 8, generator=GENERATOR, dtype=torch.float64)
TARGETS = torch.tensor([4, 1])


def test_one_pixel_patch_equals_closed_form() -> None:
    heat = occlusion(Linear(WEIGHT), IMAGES, TARGETS, window=1, stride=1, fill=0.5, objective="score")
    torch.testing.assert_close(heat, (WEIGHT[TARGETS] * (IMAGES - 0.5)).sum(dim=1))


def test_overlapping_patches_are_averaged_and_reach_the_edge() -> None:
    ones = torch.ones(1, 3, 8, 8, dtype=torch.float64)  # every 4x4 patch costs 3 * 4 * 4 * (1 - 0.5) = 24 logits
    model = Linear(torch.ones(1, 3, 8, 8, dtype=torch.float64))
    heat = occlusion(model, ones, torch.tensor([0]), window=4, stride=3, fill=0.5, objective="score")
    torch.testing.assert_close(heat, torch.full((1, 8, 8), 24.0, dtype=torch.float64))


@pytest.mark.parametrize("objective", ["prob", "score"])
def test_equals_a_plain_loop(objective: str) -> None:
    model = Functional().double()
    heat = occlusion(model, IMAGES, TARGETS, window=3, stride=2, fill=0.2, objective=objective)

    def watched(images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = model(images)
        return (logits.softmax(dim=1) if objective == "prob" else logits)[range(2), TARGETS]

    total, count = torch.zeros(2, 8, 8, dtype=torch.float64), torch.zeros(8, 8, dtype=torch.float64)
    for top in (0, 2, 4, 5):  # the last is flush with the edge: 8 - 3
        for left in (0, 2, 4, 5):
            hidden = IMAGES.clone()
            hidden[:, :, top : top + 3, left : left + 3] = 0.2
            total[:, top : top + 3, left : left + 3] += (watched(IMAGES) - watched(hidden))[:, None, None]
            count[top : top + 3, left : left + 3] += 1
    torch.testing.assert_close(heat, (total / count).detach())


def test_patches_are_painted_with_the_models_mean() -> None:
    model = Model(Linear(WEIGHT), mean=[0.1, 0.2, 0.3], std=[1.0] * 3, classes=list("abcde"), size=8)
    heat = occlusion(model, IMAGES, TARGETS, window=1, stride=1, objective="score")
    mean = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(heat, (WEIGHT[TARGETS] * (IMAGES - mean)).sum(dim=1), rtol=1e-6, atol=1e-6)


def test_hiding_what_is_already_there_costs_nothing() -> None:
    gray = torch.full((1, 3, 8, 8), 0.5, dtype=torch.float64)
    assert occlusion(Linear(WEIGHT), gray, torch.tensor([0]), window=3, fill=0.5, objective="score").abs().max() < 1e-12


def test_the_whole_image_as_window_gives_one_value() -> None:
    heat = occlusion(Linear(WEIGHT), IMAGES, TARGETS, window=8, fill=0.0, objective="score")
    expected = (WEIGHT[TARGETS] * IMAGES).sum(dim=(1, 2, 3))
    torch.testing.assert_close(heat, expected[:, None, None].expand(2, 8, 8))


def test_the_default_is_32_and_8_at_224(monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[Any] = []

    def spy(model: Any, plan: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        plans.append(plan)
        return torch.zeros(plan.count, len(plan.images))

    monkeypatch.setitem(occlusion.__globals__, "evaluate", spy)
    occlusion(Linear(torch.zeros(1, 3, 224, 224)), torch.zeros(1, 3, 224, 224), torch.tensor([0]))
    assert plans[1].count == 625
    assert plans[1].boxes[0].tolist() == [0, 0, 32, 32]
    assert plans[1].boxes[1].tolist() == [0, 8, 32, 40]
    assert plans[1].boxes[-1].tolist() == [192, 192, 224, 224]


@pytest.mark.parametrize(
    ("option", "value", "legal"),
    [("window", 9, "1, 8"), ("window", 0, "1, 8"), ("stride", 9, "1, 8"), ("fill", 1.5, "0, 1")],
)
def test_refuses(option: str, value: float, legal: str) -> None:
    options: dict[str, Any] = {"window": 8, option: value}
    for ask in (occlusion, occluded):
        with pytest.raises(ValueError, match=rf"{option} must be in \[{legal}\], got {value}"):
            ask(Linear(WEIGHT), IMAGES, TARGETS, **options)


@pytest.mark.parametrize("objective", ["prob", "score"])
def test_a_constant_network_has_no_important_pixel(objective: str) -> None:
    heat = occlusion(Linear(torch.zeros_like(WEIGHT)), IMAGES, TARGETS, window=3, objective=objective)
    assert heat.abs().max() == 0


def test_fill_is_a_word_or_a_number_also_as_text() -> None:
    def asked(fill: float | str) -> Tensor:
        return occlusion(Linear(WEIGHT), IMAGES, TARGETS, window=3, stride=2, fill=fill, objective="score")

    torch.testing.assert_close(asked("0.25"), asked(0.25))
    torch.testing.assert_close(asked("black"), asked(0))
    torch.testing.assert_close(asked("mean"), asked(0))  # of a plain module, that is fed zeros
    with pytest.raises(ValueError, match=r"fill must be mean, black, blur or a number in \[0, 1\], got 'gray'"):
        asked("gray")


def test_blurred_patches_show_what_a_gaussian_leaves_of_the_image() -> None:
    images = torch.rand(1, 3, 8, 24, dtype=torch.float64, generator=GENERATOR)
    std = 8 * 10 / 224

    def line(side: int) -> Tensor:
        places = torch.arange(side, dtype=torch.float64)
        weights = torch.exp(-(places[:, None] - places).square() / (2 * std**2))
        return weights / weights.sum(dim=1, keepdim=True)

    weight = torch.randn(1, 3, 8, 24, dtype=torch.float64, generator=GENERATOR)
    blurred = torch.einsum("ij,ncjk,lk->ncil", line(8), images, line(24))
    heat = occlusion(Linear(weight), images, torch.tensor([0]), window=1, stride=1, fill="blur", objective="score")
    torch.testing.assert_close(heat, (weight * (images - blurred)).sum(dim=1), rtol=1e-6, atol=1e-6)
    flat = torch.full((1, 3, 8, 8), 0.3, dtype=torch.float64)
    assert occlusion(Linear(WEIGHT), flat, TARGETS[:1], fill="blur", objective="score").abs().max() < 1e-5


@pytest.mark.parametrize("at", [None, "norm"])
def test_many_targets_equal_one_run_for_each(at: str | None) -> None:
    model, many = Functional().double(), torch.tensor([[4, 0, 2], [1, 1, 3]])
    heat = occlusion(model, IMAGES, many, window=3, stride=2, at=at)
    assert heat.shape == (2, 3, 8, 8)
    for which in range(3):
        alone = occlusion(model, IMAGES, many[:, which], window=3, stride=2, at=at)
        torch.testing.assert_close(heat[:, which], alone)


class Tokens(nn.Module):
    """Pixels as maps, channels last, or tokens behind a class token; logits read off all of them."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.layer = form, nn.Identity()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        x = images * 2
        if self.form == "last":
            return self.read(self.layer(x.movedim(1, -1)).movedim(-1, 1))
        if self.form == "tokens":
            first = x.new_ones(len(x), 1, 3)
            tokens = self.layer(torch.cat([first, x.flatten(2).mT], dim=1))
            maps = tokens[:, 1:].mT.reshape(len(x), 3, 8, 8)
            found: Tensor = self.read(maps) * tokens[:, :1, 0]  # the class token must stay as it is
            return found
        return self.read(self.layer(x))

    def read(self, maps: Tensor) -> Tensor:
        found: Tensor = torch.einsum("kchw,nchw->nk", WEIGHT.to(maps), maps)
        return found


@pytest.mark.parametrize("form", ["first", "last", "tokens"])
@pytest.mark.parametrize("fill", ["mean", 0.5])
def test_positions_of_a_layer_are_hidden_in_any_form(form: str, fill: float | str) -> None:
    heat = occlusion(
        Tokens(form), IMAGES, TARGETS, at="layer", window=1, stride=1, fill=fill, objective="score", grid=""
    )
    paint = 0.0 if fill == "mean" else 0.5
    torch.testing.assert_close(heat, (WEIGHT[TARGETS] * (2 * IMAGES - paint)).sum(dim=1))


def test_windows_of_a_layer_equal_a_plain_loop_enlarged() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        before = nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), nn.ReLU(inplace=True))
        after = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))
    model = nn.Sequential(before, after).double().eval()
    maps = before(IMAGES).detach()  # (2, 4, 4, 4)
    total, count = torch.zeros(2, 4, 4, dtype=torch.float64), torch.zeros(4, 4, dtype=torch.float64)
    clean = after(maps).softmax(dim=1)[range(2), TARGETS]
    for top in (0, 2):
        for left in (0, 2):
            hidden = maps.clone()
            hidden[:, :, top : top + 2, left : left + 2] = 0
            drop = clean - after(hidden).softmax(dim=1)[range(2), TARGETS]
            total[:, top : top + 2, left : left + 2] += drop[:, None, None].detach()
            count[top : top + 2, left : left + 2] += 1
    expected = F.interpolate((total / count)[:, None], (8, 8), mode="bilinear")[:, 0]
    torch.testing.assert_close(occlusion(model, IMAGES, TARGETS, at="0", window=2, stride=2), expected)


def test_a_layer_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="fill must be a number, or mean or black for zero, at a layer, got 'blur'"):
        occlusion(Functional().double(), IMAGES, TARGETS, at="second", fill="blur")
    with pytest.raises(ValueError, match=r"window must be in \[1, 8\], got 9"):
        occlusion(Functional().double(), IMAGES, TARGETS, at="second", window=9)
    with pytest.raises(ValueError, match=r"layer 'head' puts out no maps"):
        occlusion(Functional().double(), IMAGES, TARGETS, at="head")


def test_occluded_equals_a_plain_loop() -> None:
    model = Linear(WEIGHT[:, :, :, :7] / 4)
    images = IMAGES.float()[:, :, :, :7]  # 8 x 7: windows of 4 start at 0, 3, 4 down and at 0, 3 across
    told = occluded(model, images, TARGETS, window=4, stride=3, fill=0.9, objective="score")
    clean = model(images)[range(2), TARGETS].detach()
    assert told.boxes.shape == (3, 2, 4)
    assert told.boxes[2, 1].tolist() == [4, 3, 8, 7]
    for row, top in enumerate((0, 3, 4)):
        for column, left in enumerate((0, 3)):
            hidden = images.clone()
            hidden[:, :, top : top + 4, left : left + 4] = 0.9
            logits = model(hidden).detach()
            torch.testing.assert_close(told.probability[:, row, column], logits.softmax(dim=1)[range(2), TARGETS])
            torch.testing.assert_close(told.importance[:, row, column], clean - logits[range(2), TARGETS])
            assert torch.equal(told.classes[:, row, column], logits.argmax(dim=1))
    assert len(set(told.classes.flatten().tolist())) > 1
    heat = occlusion(model, images, TARGETS, window=4, stride=3, fill=0.9, objective="score")
    torch.testing.assert_close(told.importance_map, heat)
    centres = [2, 5, 6], [2, 5]  # between pixels; a pixel's own centre lies half a step on
    for y in range(8):
        for x in range(7):
            row = min(range(3), key=lambda r: abs(centres[0][r] - y - 0.5))
            column = min(range(2), key=lambda c: abs(centres[1][c] - x - 0.5))
            assert torch.equal(told.class_map[:, y, x], told.classes[:, row, column])


def test_occluded_tells_where_the_subject_is() -> None:
    weight = torch.zeros(2, 3, 8, 8, dtype=torch.float64)
    weight[0, :, :3, :3] = 1.0  # class 0 is brightness in the corner, class 1 that of the rest
    weight[1, :, 3:, 3:] = 0.2
    told = occluded(Linear(weight), torch.ones(1, 3, 8, 8).double(), torch.tensor([0]), window=3, stride=1)
    assert told.classes[0, 0, 0] == 1
    assert told.classes[0, 5, 5] == 0
    assert told.class_map[0, 0, 0] == 1
    assert told.class_map[0, 7, 7] == 0
    assert told.probability.argmin() == 0
    assert told.importance.argmax() == 0
    torch.testing.assert_close(told.probability_map[0, 0, 0], told.probability[0, 0, 0])


def test_occluded_asks_for_classes() -> None:
    with pytest.raises(ValueError, match=r"targets must be classes \(N,\), int64"):
        occluded(Linear(WEIGHT), IMAGES, lambda outputs: outputs[:, 0])  # type: ignore[arg-type]
