"""The patch: its paste by a plain loop, its training by hand, its file, and what it does to images it has not seen."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pellucid.attack import Patch, Trace, outcome, patch, patch_success, read_patch, write_patch
from pellucid.attack._paste import laid
from pellucid.attack._places import SHAPES, Places, Spread
from pellucid.models import Model

from .nets import Linear, called, small_images, small_net


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(shape: str = "disc", side: int = 9, channels: int = 3, **told: Any) -> Patch:
    colours = torch.rand(channels, side, side, generator=seeded(1), dtype=torch.float64)
    return Patch(colours, Spread(shape, **{"area": 0.05, **told}))


# ---- where it lies and what it covers


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("area", [0.03, 0.1, 0.3])
@pytest.mark.parametrize("size", [(48, 48), (40, 64)])
def test_it_covers_the_area_that_was_asked(shape: str, area: float, size: tuple[int, int]) -> None:
    spread = Spread(shape, area, scale_low=0.7, scale_high=1.0)
    if shape == "square" and area == 0.3:
        spread = replace(spread, rotation=5.0)
    spread.check_fits(size)
    places = spread.draw(200, size, seeded())
    covered = spread.seen(places, size, like=torch.zeros(1))[1].sum(dim=(1, 2, 3)) / math.prod(size)
    wanted = area * places.scales**2
    torch.testing.assert_close(covered, wanted, rtol=0.02, atol=0)
    assert covered.mean().item() == pytest.approx(wanted.mean().item(), rel=0.002), "neither more nor less on average"


@pytest.mark.parametrize("shape", SHAPES)
def test_places_are_spread_evenly_and_inside(shape: str) -> None:
    spread, size = Spread(shape, 0.05), (32, 50)
    places = spread.draw(4000, size, seeded())
    assert places.angles.min() < -22
    assert places.angles.max() > 22
    assert (places.angles.abs() <= 22.5).all()
    assert ((places.scales >= 0.7) & (places.scales <= 1.3)).all()
    turned = 1 if shape == "disc" else places.angles.deg2rad().cos() + places.angles.deg2rad().sin().abs()
    reach = places.scales * spread.width(size) / 2 * turned
    for centre, side in ((places.rows, 32), (places.columns, 50)):
        assert (centre - reach >= 0).all()
        assert (centre + reach <= side).all()
        share = (centre - reach - 0.5) / (side - 2 * reach - 1)  # of the way it may go
        assert share.mean().item() == pytest.approx(0.5, abs=0.02)
        assert share.var().item() == pytest.approx(1 / 12, abs=0.005)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("epsilon", [None, 0.1])
def test_the_paste_is_that_of_a_plain_loop(shape: str, epsilon: float | None) -> None:
    """Pixel by pixel: where it looks, what lies there between four values, and how much of it is covered."""
    one = made(shape)
    image = torch.rand(1, 3, 24, 30, generator=seeded(2), dtype=torch.float64)
    row, column, angle, scale = 11.2, 13.7, 17.0, 1.2
    places = Places(*(torch.tensor([value], dtype=torch.float64) for value in (row, column, angle, scale)))
    found = replace(one, epsilon=epsilon).paste(image, places=places)
    half = scale * one.spread.width((24, 30)) / 2
    expected = image[0].clone()
    for i in range(24):
        for j in range(30):
            distance, direction = (
                math.hypot(i + 0.5 - row, j + 0.5 - column),
                math.atan2(i + 0.5 - row, j + 0.5 - column),
            )
            across, down = (f(direction - math.radians(angle)) * distance for f in (math.cos, math.sin))
            colour = looked_up(one.colours, across / half, down / half)
            if shape == "disc":
                share = ramp(math.sqrt(half**2 - 1 / 12) - distance)
            else:
                share = ramp(half - abs(across)) * ramp(half - abs(down))
            now = image[0, :, i, j]
            changed = (
                (1 - share) * now + share * colour if epsilon is None else now + share * epsilon * (2 * colour - 1)
            )
            expected[:, i, j] = changed.clamp(0, 1)
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-10)


def ramp(inside: float) -> float:
    return min(1.0, max(0.0, 0.5 + inside))


def looked_up(colours: Tensor, across: float, down: float) -> Tensor:
    """The colour between four values; x and y from -1 to 1 go over the whole patch, and it continues beyond."""
    side = colours.shape[-1]
    y, x = (min(max((value + 1) / 2 * side - 0.5, 0.0), side - 1.0) for value in (down, across))
    top, left = min(int(y), side - 2), min(int(x), side - 2)
    p, q = y - top, x - left
    upper = (1 - q) * colours[:, top, left] + q * colours[:, top, left + 1]
    lower = (1 - q) * colours[:, top + 1, left] + q * colours[:, top + 1, left + 1]
    return (1 - p) * upper + p * lower


def test_a_turned_patch_turns_clockwise() -> None:
    half = torch.zeros(1, 16, 16)
    half[:, :8] = 1  # its upper half is white: after a quarter turn clockwise the right one
    places = Places(*(torch.tensor([float(value)]) for value in (16, 16, 90, 1)))
    found = Patch(half, Spread("disc", 0.25)).paste(torch.full((1, 1, 32, 32), 0.5), places=places)[0, 0]
    assert found[16, 22] == 1
    assert found[16, 10] == 0


@pytest.mark.parametrize("epsilon", [None, 0.2])
def test_pixels_beside_it_are_left_to_the_bit(epsilon: float | None) -> None:
    images = small_images(5, side=32)
    one = replace(made(), epsilon=epsilon)
    places = one.spread.draw(5, (32, 32), seeded(4))
    found = one.paste(images, places=places)
    covered = one.spread.seen(places, (32, 32), like=images)[1].expand_as(images) > 0
    assert torch.equal(found[~covered], images[~covered])
    assert (found != images)[covered].float().mean() > 0.95
    assert torch.equal(found, one.paste(images, generator=seeded(4))), "the places are the generator's"


def test_it_is_opaque_within_and_fits_any_size() -> None:
    plain = Patch(torch.full((1, 3, 3), 0.25), Spread("disc", 0.2))
    for size in ((20, 20), (60, 45)):
        image = torch.ones(1, 1, *size)
        found = plain.paste(image)
        assert found.min().item() == pytest.approx(0.25, abs=1e-6)
        share = float((1 - found).sum() / 0.75) / math.prod(size)
        assert 0.2 * 0.7**2 * 0.98 < share < 0.2 * 1.3**2 * 1.02


def test_many_images_are_pasted_on_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    images = small_images(7, side=24)
    expected = made().paste(images)
    monkeypatch.setattr("pellucid.attack._paste.TOGETHER", 2)
    assert torch.equal(made().paste(images), expected)


# ---- how it is trained


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("optimiser", ["adam", "sign"])
def test_a_step_is_that_of_autograd_through_all(targeted: bool, optimiser: str) -> None:
    """Paste and network in one graph give the same colours as the network's gradient pulled back through the paste."""
    net, images = small_net(1).double(), small_images(6, side=24).double()
    targets = torch.full((6,), 2) if targeted else called(net, images)
    trace = Trace()
    told: dict[str, Any] = {"batch_size": 4, "steps": 2, "optimiser": optimiser, "targeted": targeted}
    patch(net, images, targets, start="noise", trace=trace, generator=seeded(5), **told)

    source = seeded(5)
    spread = Spread("disc", 0.05)
    side = math.ceil(spread.width((24, 24)))
    colours = torch.rand(3, side, side, generator=source).double().requires_grad_()
    adam = torch.optim.Adam([colours], lr=0.05)
    seen: list[int] = []
    order = torch.randperm(6, generator=source)
    for step in range(2):
        while len(order) < 4 * (step + 1):
            order = torch.cat([order, torch.randperm(6, generator=source)])
        rows = order[4 * step : 4 * step + 4]
        seen.append(len(set(rows.tolist())))
        pasted = laid(images[rows], colours[None], spread.draw(4, (24, 24), source), spread, None)
        loss = nn.functional.cross_entropy(net(pasted), targets[rows]) * (1 if targeted else -1)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        assert colours.grad is not None
        with torch.no_grad():
            if optimiser == "adam":
                adam.step()
            else:
                colours -= 0.05 * colours.grad.sign()
            colours.clamp_(0, 1)
    torch.testing.assert_close(trace.made.colours, colours.detach(), rtol=0, atol=1e-12)
    assert trace.forward.sum() == trace.backward.sum() == 8
    assert trace.forward.max() <= 2, "every image comes once before any comes again"
    assert [int(values.isfinite().sum()) for values in trace.history] == seen


def shades(count: int, side: int = 16, seed: int = 0) -> Tensor:
    """Plain images of a grey between 0.3 and 0.7, with a little noise."""
    drawn = torch.rand(count, 1, side, side, generator=seeded(seed)) * 0.1 - 0.05
    return (torch.linspace(0.3, 0.7, count)[:, None, None, None] + drawn).clamp(0, 1)


def mean_net(side: int = 16, threshold: float = 0.7) -> nn.Module:
    """Class 1 from a mean brightness on, else class 0: the best patch is white."""
    weight = torch.stack([torch.zeros(1, side, side), torch.full((1, side, side), 50 / side**2)])
    return Linear(weight, torch.tensor([50 * threshold, 0.0]))


@pytest.mark.parametrize("told", [{}, {"optimiser": "sign"}, {"shape": "square"}, {"start": "noise"}], ids=str)
def test_the_best_patch_of_a_net_that_sees_the_mean_is_white(told: dict[str, Any]) -> None:
    trace = Trace()
    images = shades(6)
    patch(mean_net(), images, torch.ones(6).long(), targeted=True, steps=40, area=0.1, trace=trace, **told)
    shown = trace.made.colours[0][trace.made.mask > 0.9]
    assert (shown == 1).all()
    assert trace.made.target == 1
    untargeted = patch(mean_net(threshold=0.2), images, torch.ones(6).long(), steps=40, area=0.1, trace=trace, **told)
    assert (trace.made.colours[0][trace.made.mask > 0.9] == 0).all()
    assert trace.made.target is None
    assert (untargeted <= images).all()


def test_an_epsilon_bounds_the_change_and_is_used_up() -> None:
    trace = Trace()
    images = shades(6)
    found = patch(mean_net(), images, torch.ones(6).long(), targeted=True, steps=30, area=0.2, epsilon=0.1, trace=trace)
    change = found - images
    assert change.amax(dim=(1, 2, 3)).allclose(torch.tensor(0.1))
    assert (change >= 0).all()
    assert trace.made.epsilon == 0.1


def test_camouflage_stays_by_its_start(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(60, 200, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "leaf.png")
    trace = Trace()
    net, images = small_net(2), small_images(4, side=24)
    told: dict[str, Any] = {"start": str(tmp_path / "leaf.png"), "trace": trace, "lr": 0.02}
    patch(net, images, called(net, images), camouflage=0.0, steps=1, **told)
    start = trace.made.colours
    square = torch.from_numpy(picture[:, 5:45].copy()).permute(2, 0, 1)[None].float() / 255
    small = nn.functional.interpolate(square, start.shape[-2:], mode="bilinear", antialias=True)
    torch.testing.assert_close(start, small[0])
    patch(net, images, called(net, images), camouflage=0.05, steps=20, **told)
    assert (trace.made.colours - start).abs().max().item() == pytest.approx(0.05, abs=1e-6)
    patch(net, images, called(net, images), steps=20, **told)
    assert (trace.made.colours - start).abs().max() > 0.2, "without it there is no bound"


def test_a_gray_picture_starts_a_patch_of_colours(tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 9), 51, dtype=np.uint8)).save(tmp_path / "gray.png")
    for channels in (1, 3):
        trace = Trace()
        net, images = small_net(channels=channels), small_images(2, channels=channels)
        start = str(tmp_path / "gray.png")
        patch(net, images, called(net, images), start=start, camouflage=0.0, steps=1, trace=trace)
        torch.testing.assert_close(trace.made.colours, torch.full_like(trace.made.colours, 0.2))


def test_the_trace_tells_the_mean_of_an_image_that_comes_twice() -> None:
    """The patch is middle grey and opaque on a net that sees the mean: of every place the same."""
    images, net, trace = torch.full((2, 1, 16, 16), 0.3), mean_net(), Trace()
    patch(net, images, torch.ones(2).long(), steps=1, batch_size=6, scale_low=1.0, scale_high=1.0, trace=trace)
    brightness = 0.3 + 0.2 * 0.05
    loss = math.log1p(math.exp(50 * (0.7 - brightness)))  # the cross-entropy of class 1
    torch.testing.assert_close(trace.history[0], torch.full((2,), loss), rtol=0.01, atol=0)
    assert trace.forward.tolist() == [3, 3]


def test_the_images_come_back_under_the_patch_of_the_trace() -> None:
    net, images = small_net(), small_images(5, side=24)
    trace = Trace()
    found = patch(net, images, called(net, images), steps=3, generator=seeded(3), trace=trace)
    share = ((found != images).any(dim=1).sum(dim=(1, 2)) / 24**2).tolist()
    assert all(0.05 * 0.7**2 < one < 0.05 * 1.3**2 * 1.6 for one in share), "its edge's pixels count as whole ones"
    assert trace.iterations.tolist() == [3] * 5
    other = patch(net, images, called(net, images), steps=3, generator=seeded(4))
    assert not torch.equal((found != images).any(dim=1), (other != images).any(dim=1)), "the places are drawn too"


def test_it_works_on_images_it_was_not_trained_on() -> None:
    """The report's numbers are those of `outcome`, and a trained patch does better than grey."""
    net = small_net(3)
    seen, unseen = small_images(12, side=24), small_images(20, side=24, seed=9)
    trace = Trace()
    patch(net, seen, torch.full((12,), 2), targeted=True, steps=60, area=0.2, batch_size=12, trace=trace)
    one, all_ = trace.made, torch.full((20,), 2)
    found = patch_success(net, one, unseen, all_, areas=(0.1, 0.3), generator=seeded(7))
    assert (found.areas, found.images) == ((0.1, 0.3), 20)
    assert found.patch[1].value > 0.8
    assert found.control[1].value < 0.2
    assert found.patch[1].value >= found.patch[0].value

    source = seeded(7)
    for place, area in enumerate((0.1, 0.3)):
        spread = replace(one.spread, area=area, scale_low=1.0, scale_high=1.0)
        places = spread.draw(20, (24, 24), source)
        grey = Patch(torch.full((3, 1, 1), 0.5), spread, 2)
        for told, shares in ((replace(one, spread=spread), found.patch), (grey, found.control)):
            measured = outcome(net, unseen, told.paste(unseen, places=places), all_, targeted=True)
            assert measured.rate == shares[place]
            assert measured.attacked == found.attacked


def test_a_control_is_laid_in_turn_in_the_same_places() -> None:
    """White photographs reach class 1 where black ones do not: of two in turn, every second image."""
    images = torch.full((6, 1, 16, 16), 0.65)
    control = torch.stack([torch.zeros(1, 30, 20), torch.ones(1, 30, 20)])
    one = Patch(torch.ones(1, 4, 4), Spread("disc", 0.1), 1)
    found = patch_success(mean_net(), one, images, torch.ones(6).long(), areas=(0.3,), control=control)
    assert (found.patch[0].value, found.control[0].value, found.attacked) == (1.0, 0.5, 6)
    done = patch_success(mean_net(), one, images + 0.2, torch.ones(6).long(), areas=(0.3,))
    assert done.attacked == 0
    assert math.isnan(done.patch[0].value)


# ---- its file


@pytest.fixture
def small_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pellucid.attack._printed.PIXELS", 100)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.usefixtures("small_prints")
def test_it_is_read_back_as_it_was_written(shape: str, channels: int, tmp_path: Path) -> None:
    one = replace(made(shape, side=13, channels=channels), target=859, target_name="toaster", epsilon=0.25)
    write_patch(one, tmp_path / "p.png", centimetres=8)
    again = read_patch(tmp_path / "p.png")
    assert replace(again, colours=one.colours) == one
    torch.testing.assert_close(again.colours.double(), one.colours, rtol=0, atol=0.5 / 255 + 1e-6)
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.width == picture.height >= 100
        assert picture.width / picture.info["dpi"][0] * 2.54 == pytest.approx(8, rel=1e-3)
        assert "class 859 toaster" in picture.info["Description"]
        opaque = np.asarray(picture)[..., -1]
    assert opaque[50, 50] == 255
    assert opaque[0, 0] == (0 if shape == "disc" else 255)
    assert (opaque / 255).mean() == pytest.approx(math.pi / 4 if shape == "disc" else 1, rel=2e-3)


@pytest.mark.usefixtures("small_prints")
def test_an_untargeted_patch_is_read_back(tmp_path: Path) -> None:
    write_patch(made(), tmp_path / "p.png")
    again = read_patch(tmp_path / "p.png")
    assert (again.target, again.epsilon, again.spread) == (None, None, Spread())


def damaged(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Files that are no patch, and what is said of them."""
    from PIL.PngImagePlugin import PngInfo

    good = tmp_path / "good.png"
    write_patch(made(), good)
    with Image.open(good) as picture:
        told = picture.info["pellucid.patch"]
        whole = picture.copy()

    def saved(name: str, text: str, picture: Image.Image = whole) -> Path:
        info = PngInfo()
        info.add_text("pellucid.patch", text)
        picture.save(tmp_path / name, pnginfo=info, compress_level=1)
        return tmp_path / name

    yield tmp_path / "none.png", "not readable"
    (tmp_path / "text.png").write_text("no picture")
    yield tmp_path / "text.png", "not readable"
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:200])
    yield tmp_path / "cut.png", "not readable"
    Image.new("RGB", (9, 9)).save(tmp_path / "plain.png")
    yield tmp_path / "plain.png", "is no patch that pellucid wrote"
    yield saved("words.png", "{"), "not readable"
    yield saved("format.png", told.replace('"format": 1', '"format": 2')), "not of a format it knows"
    yield saved("factor.png", told.replace('"factor": 13', '"factor": 2')), "is a damaged patch"
    yield saved("target.png", told.replace('"target": null', '"target": -3')), "is a damaged patch"
    yield saved("area.png", told.replace('"area": 0.05', '"area": 7')), "is a damaged patch .*area must be a share"
    yield saved("lacks.png", told.replace('"shape"', '"form"')), "is a damaged patch"
    yield saved("type.png", told.replace('"rotation": 22.5', '"rotation": "x"')), "is a damaged patch"
    yield saved("oblong.png", told, whole.crop((0, 0, 91, 78))), "is a damaged patch"


@pytest.mark.usefixtures("small_prints")
def test_what_is_no_patch_is_refused(tmp_path: Path) -> None:
    for path, message in damaged(tmp_path):
        with pytest.raises(ValueError, match=rf"{path.name}: .*{message}"):
            read_patch(path)
    with pytest.raises(ValueError, match="centimetres must be above 0, got 0"):
        write_patch(made(), tmp_path / "p.png", centimetres=0)


# ---- what is refused

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"area": 0.0}, r"area must be a share of the image, above 0 and below 1, got 0\.0"),
    ({"area": 1.0}, "area must be a share of the image"),
    ({"area": 5}, "area must be a share of the image, above 0 and below 1, got 5"),
    (
        {"area": 0.6},
        "area 0.6 makes a disc of up to 28 pixels, larger than the image of 24 x 24: lower area or scale_h",
    ),
    ({"area": 0.4, "shape": "square"}, "makes a square of up to 27 pixels, larger than the image"),
    ({"area": 0.001}, "makes a disc of 0.6 pixels across: raise area or scale_low"),
    ({"shape": "dics"}, "shape must be one of disc, square, got 'dics'; did you mean disc"),
    ({"rotation": -1.0}, r"rotation must be in \[0, 180\], got -1"),
    ({"scale_low": 0.0}, "scale_low must be above 0, got 0"),
    ({"scale_high": 0.5}, r"scale_high must be at least 0\.7, got 0\.5"),
    ({"lr": 0.0}, "lr must be above 0, got 0"),
    ({"optimiser": "adm"}, "optimiser must be one of adam, sign, got 'adm'; did you mean adam"),
    ({"camouflage": 8}, r"camouflage must be in \[0, 1\], got 8"),
    ({"steps": 0}, "steps must be at least 1, got 0"),
    ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ({"start": "gray"}, "start must be grey, noise or the path of a picture, got 'gray'; did you mean grey"),
    ({"loss": "cross"}, "loss must be one of"),
    ({"targeted": True}, "targets must be one class, which the patch is to show, got 3: 0, 1, 2"),
]


@pytest.mark.parametrize(("told", "message"), REFUSED, ids=[str(told) for told, _ in REFUSED])
def test_refuses(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        patch(small_net(), small_images(3, side=24), torch.arange(3), **told)


def test_a_model_gets_images_of_its_own_size_and_names_the_class() -> None:
    model = Model(small_net(), mean=[0.5] * 3, std=[0.5] * 3, classes=["a", "b", "c", "d", "e"], size=24)
    with pytest.raises(ValueError, match="images must be 24 x 24, as the model takes them, got 12 x 12: resize them"):
        patch(model, small_images(), torch.zeros(4).long())
    trace = Trace()
    patch(model, small_images(side=24), torch.full((4,), 3), targeted=True, steps=1, trace=trace)
    assert (trace.made.target, trace.made.target_name) == (3, "d")


def test_a_target_of_a_later_batch_is_checked_too() -> None:
    with pytest.raises(ValueError, match=r"target 9 is no class: not in 0\.\.4"):
        patch(small_net(), small_images(4), torch.tensor([0, 1, 2, 9]), steps=1, batch_size=1, generator=seeded(1))


def test_a_network_without_slope_is_told() -> None:
    class Flat(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean(dim=(2, 3)) * 0

    trace = Trace()
    with pytest.warns(UserWarning, match="the gradient is zero at the start on every image"):
        patch(Flat().eval(), small_images(), torch.zeros(4).long(), steps=1, trace=trace)
    assert trace.vanished.all()


def test_a_paste_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="images must have the patch's 3 channels, got 1"):
        made().paste(small_images(channels=1))
    with pytest.raises(ValueError, match="places must be as many as images, 4, got 2"):
        made().paste(small_images(side=24), places=Spread().draw(2, (24, 24), seeded()))
    with pytest.raises(ValueError, match="larger than the image of 12 x 12"):
        made(area=0.6).paste(small_images())


def test_the_report_refuses_other_targets() -> None:
    one, images = replace(made(), target=2), small_images(side=24)
    with pytest.raises(ValueError, match=r"targets must all be 2, the patch's class, got \[1, 2\]"):
        patch_success(small_net(), one, images, torch.tensor([2, 2, 1, 2]))
    with pytest.raises(ValueError, match="areas must be at least one"):
        patch_success(small_net(), one, images, torch.full((4,), 2), areas=())
    with pytest.raises(ValueError, match="larger than the image"):
        patch_success(small_net(), one, images, torch.full((4,), 2), areas=(0.9,))
