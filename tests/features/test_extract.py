import pytest
import torch
from torch import Tensor, nn

from pellucid.features import extract

from .nets import Tokens, model, small, some_images

IMAGES = some_images()
EVERY = ("0", "2", "5", "7")


def test_maps_are_averaged_and_vectors_stay() -> None:
    net = small()
    found = extract(net, IMAGES, ["0", "5", "7"])
    maps = net[0](IMAGES)
    torch.testing.assert_close(found["0"], maps.mean(dim=(2, 3)))
    torch.testing.assert_close(found["5"], net[:6](IMAGES))
    torch.testing.assert_close(found["7"], net(IMAGES))
    assert list(found) == ["0", "5", "7"]
    assert all(rows.dtype == torch.float32 and not rows.requires_grad for rows in found.values())


@pytest.mark.parametrize("post", ["none", "relu"])
def test_every_pool_of_maps_by_hand(post: str) -> None:
    net = small()
    maps = net[0](IMAGES)  # (N, 6, 8, 8)
    maps = maps.relu() if post == "relu" else maps
    quarters = maps.view(-1, 6, 2, 4, 2, 4).mean(dim=(3, 5))  # (N, 6, 2, 2)
    wanted = {"flat": maps.flatten(1), "gap": maps.mean(dim=(2, 3)), "max": maps.amax(dim=(2, 3))}
    for pool, rows in {**wanted, "grid1": wanted["gap"], "grid2": quarters.flatten(1)}.items():
        torch.testing.assert_close(extract(net, IMAGES, ["0"], pool=pool, post=post)["0"], rows)


def test_relu_is_taken_before_the_average() -> None:
    """The in-place ReLU behind the layer leaves the layer's own features alone."""
    net = small()
    raw, cut = (extract(net, IMAGES, "5", post=post)["5"] for post in ("none", "relu"))
    assert raw.min() < 0
    torch.testing.assert_close(cut, raw.relu())
    torch.testing.assert_close(cut, extract(net, IMAGES, "6")["6"])


def test_several_layers_are_the_separate_ones_bitwise() -> None:
    images = some_images(150)
    for pool in ("auto", "flat"):
        together = extract(small(), images, EVERY, pool=pool)
        for layer in EVERY:
            assert torch.equal(together[layer], extract(small(), images, [layer], pool=pool)[layer])


def test_a_batch_is_its_images_one_by_one() -> None:
    together = extract(small(), IMAGES, EVERY)
    for place in range(len(IMAGES)):
        alone = extract(small(), IMAGES[place : place + 1], EVERY)
        for layer in EVERY:
            torch.testing.assert_close(together[layer][place : place + 1], alone[layer], atol=1e-5, rtol=0)


def test_the_last_layer_gives_the_models_probabilities() -> None:
    asked = model()
    torch.testing.assert_close(extract(asked, IMAGES, ["7"])["7"].softmax(dim=1), asked(IMAGES).softmax(dim=1))


def test_passes_end_behind_the_last_layer_wanted() -> None:
    net = small()
    rows = {"0": 0, "7": 0}
    net[0].register_forward_hook(lambda _m, _i, out: rows.__setitem__("0", rows["0"] + len(out)))
    net[7].register_forward_hook(lambda _m, _i, out: rows.__setitem__("7", rows["7"] + len(out)))
    extract(net, IMAGES, ["0", "2"])
    assert rows["0"] == len(IMAGES)  # each image once
    assert rows["7"] == 1  # the first pass alone goes to the end, to see how often a layer is called


def test_gray_images_are_repeated() -> None:
    gray = some_images(channels=1)
    torch.testing.assert_close(
        extract(model(), gray, EVERY), extract(model(), gray.expand(-1, 3, -1, -1).contiguous(), EVERY)
    )
    with pytest.raises(ValueError, match=r"images must have shape \(N, 1, H, W\), got"):
        extract(model(1), IMAGES, ["5"])


@pytest.mark.parametrize("prefix", [0, 1, 2])
def test_tokens(prefix: int) -> None:
    net = Tokens(prefix)
    tokens = net.embed(IMAGES).flatten(2).transpose(1, 2)  # (N, 16, 4)
    mean = tokens.mean(dim=1)
    first = net.first[:, :1].expand(len(IMAGES), -1, -1)[:, 0] if prefix else mean
    torch.testing.assert_close(extract(net, IMAGES, ["block"])["block"], first)
    torch.testing.assert_close(extract(net, IMAGES, ["block"], pool="gap")["block"], mean)
    torch.testing.assert_close(extract(net, IMAGES, ["block"], pool="max")["block"], tokens.amax(dim=1))
    cells = net.embed(IMAGES).view(-1, 4, 2, 2, 2, 2).mean(dim=(3, 5)).flatten(1)
    torch.testing.assert_close(extract(net, IMAGES, ["block"], pool="grid2")["block"], cells)
    assert extract(net, IMAGES, ["block"], pool="flat")["block"].shape == (20, (16 + prefix) * 4)
    if prefix:
        torch.testing.assert_close(extract(net, IMAGES, ["block"], pool="class")["block"], first)
    else:
        with pytest.raises(ValueError, match=r"layer 'block' gives .* holds no class token: take pool=gap"):
            extract(net, IMAGES, ["block"], pool="class")


def test_maps_with_channels_last_are_averaged_over_their_positions() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Conv2d(3, 5, 2, stride=2)
            self.norm = nn.LayerNorm(5)
            self.eval()

        def forward(self, images: Tensor) -> Tensor:
            found: Tensor = self.norm(self.embed(images).movedim(1, -1)).mean(dim=(1, 2))
            return found

    net = Last()
    maps = net.norm(net.embed(IMAGES).movedim(1, -1))  # (N, 4, 4, 5)
    torch.testing.assert_close(extract(net, IMAGES, ["norm"])["norm"], maps.mean(dim=(1, 2)))


def test_a_layer_called_twice_gives_its_last_output() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.same = nn.ReLU()
            self.eval()

        def forward(self, images: Tensor) -> Tensor:
            first: Tensor = self.same(images.flatten(1) - 0.5)
            second: Tensor = self.same(first - 0.25)
            return second

    torch.testing.assert_close(
        extract(Twice(), IMAGES, ["same"])["same"], ((IMAGES.flatten(1) - 0.5).relu() - 0.25).relu()
    )


def test_the_model_is_left_as_it_was() -> None:
    net = small()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.inference_mode():
        extract(net, IMAGES, EVERY)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert net.double() is net
    assert extract(net, IMAGES.double(), ["5"])["5"].dtype == torch.float32


def test_features_that_are_not_finite_are_told_by_row_and_layer() -> None:
    class Bad(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc6, self.fc7 = nn.Identity(), nn.Identity()
            self.eval()

        def forward(self, images: Tensor) -> Tensor:
            rows = self.fc6(images.flatten(1))
            found: Tensor = self.fc7(torch.where(rows[:, :1] > 0.999, torch.nan, rows))
            return found

    images = IMAGES.clamp(max=0.9)
    images[17, 0, 0, 0] = 1
    with pytest.raises(ValueError, match="features must be finite, got NaN in row 17, layer 'fc7'"):
        extract(Bad(), images, ["fc6", "fc7"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"layers": ["5", "6x"]}, "layer '6x' is not part of the model"),
        ({"layers": []}, "layers must name at least one layer, got none"),
        ({"pool": "gapp"}, r"pool must be one of auto, flat, gap, max, class, grid2 .* got 'gapp'; did you mean gap\?"),
        ({"pool": "grid0"}, "pool must be a grid of 1 to 64 rows and columns, got 'grid0'"),
        ({"pool": "class"}, r"layer '0' gives \(1, 6, 8, 8\), which holds no class token"),
        ({"post": "rellu"}, "post must be one of none, relu, got 'rellu'; did you mean relu"),
        ({"limit": 0}, "limit must be at least 1, got 0"),
        ({"images": some_images() * 255}, "normalised twice, or still 0 to 255"),
    ],
)
def test_refusals(options: dict[str, object], told: str) -> None:
    given = {"images": IMAGES, "layers": ["0"], **options}
    with pytest.raises(ValueError, match=told):
        extract(small(), **given)  # type: ignore[arg-type]


def test_near_names_are_told() -> None:
    net = nn.Sequential()
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "conv6"):
        net.add_module(name, nn.Identity())
    with pytest.raises(ValueError, match=r"layer 'conv' is not part of the model; did you mean (conv\d(, )?){5}\?"):
        extract(net.eval(), IMAGES, ["conv"])


def test_a_layer_that_is_never_reached_and_a_model_in_training() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Flatten(), nn.Flatten()

        def forward(self, images: Tensor) -> Tensor:
            found: Tensor = self.used(images)
            return found

    with pytest.raises(ValueError, match="layer 'unused' is never reached"):
        extract(Unused().eval(), IMAGES, ["unused"])
    with pytest.raises(ValueError, match="must be in eval mode"):
        extract(small().train(), IMAGES, ["0"])


def test_more_bytes_than_the_limit_are_refused_before_the_work_is_done() -> None:
    net = small()
    passed: list[int] = []
    net[0].register_forward_hook(lambda _m, _i, out: passed.append(len(out)))
    with pytest.raises(
        ValueError,
        match=r"limit = 31,679 bytes, but 20 rows need 31,680 \(layer '0' alone has 384 values\): pool them",
    ):
        extract(net, IMAGES, ["5", "0"], pool="flat", limit=31_679)
    assert sum(passed) == 1
    assert extract(net, IMAGES, ["5", "0"], pool="flat", limit=31_680)["0"].shape == (20, 384)


@pytest.mark.parametrize(
    ("name", "layer", "options"),
    [
        ("vit_tiny_patch16_224", "blocks.1", {"depth": 2, "img_size": 64}),
        ("swin_tiny_patch4_window7_224", "layers.1.blocks.0", {"depths": (1, 1), "num_heads": (3, 6), "img_size": 56}),
        ("resnet10t", "layer1", {}),
    ],
)
def test_published_networks(name: str, layer: str, options: dict[str, object]) -> None:
    """Random weights: the class token, maps with channels last, maps with channels first."""
    timm = pytest.importorskip("timm")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = timm.create_model(name, pretrained=False, **options).eval()
    images = some_images(1, side=56 if "swin" in name else 64)
    output: list[Tensor] = []
    handle = net.get_submodule(layer).register_forward_hook(lambda _m, _i, out: output.append(out))
    with torch.no_grad():
        net(images)
    handle.remove()
    found = output[0]
    wanted = found[:, 0] if found.ndim == 3 else found.mean(dim=(1, 2) if "swin" in name else (2, 3))
    torch.testing.assert_close(extract(net, images, [layer])[layer], wanted)
