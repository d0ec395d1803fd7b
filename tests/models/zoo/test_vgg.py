import pytest
import torch
from torch import nn

from pellucid.models import layers, zoo
from pellucid.models.zoo.vgg import VGG

from .nets import scatter_norms

NAMES = [f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")]


def test_stage_sizes_and_the_names_by_which_layers_are_known() -> None:
    with torch.device("meta"):
        net, tiny = zoo.vgg16(), zoo.vgg16(size=32)
    shapes = {layer.name: layer.shape for layer in layers(net, 224)}
    assert [shapes[f"features.relu{place}"][1:3] for place in ("1_2", "2_2", "3_3", "4_3", "5_3")] == [
        (64, 224),
        (128, 112),
        (256, 56),
        (512, 28),
        (512, 14),
    ]
    assert (shapes["features.pool5"], shapes["classifier.fc6"]) == ((1, 512, 7, 7), (1, 4096))
    shapes = {layer.name: layer.shape for layer in layers(tiny, (3, 32, 32))}
    assert [shapes[f"features.pool{stage}"][-1] for stage in range(1, 6)] == [16, 8, 4, 2, 1]


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_of_torchvisions_has_its_place(name: str) -> None:
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        theirs, ours = models.get_model(name, weights=None, init_weights=False), getattr(zoo, name)()
    renamed = zoo.from_torchvision(name, theirs.state_dict())
    assert {n: t.shape for n, t in renamed.items()} == {n: t.shape for n, t in ours.state_dict().items()}
    assert list(renamed) == list(ours.state_dict())  # torchvision's order of layers is ours


def test_it_answers_as_torchvisions_with_fewer_units() -> None:
    vgg = pytest.importorskip("torchvision.models.vgg")
    torch.manual_seed(0)
    with torch.device("meta"):
        theirs = vgg.VGG(nn.Identity(), init_weights=False)
    theirs.features = vgg.make_layers(vgg.cfgs["A"], batch_norm=True)
    theirs.classifier = nn.Sequential(
        *(nn.Linear(512 * 49, 6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 5))
    )
    scatter_norms(theirs.eval())
    ours = VGG(11, classes=5, channels=3, dropout=0.5, is_small=False, has_norm=True, hidden=6).eval()
    ours.load_state_dict(zoo.from_torchvision("vgg11_bn", theirs.state_dict()))
    images = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        wanted = theirs(images)
        torch.testing.assert_close(ours(images), wanted, rtol=1e-5, atol=1e-5)
    assert wanted.std() > 1e-3


def test_without_norms_the_signal_keeps_its_size() -> None:
    """He's start: the last maps are neither gone nor blown up after 16 convolutions."""
    torch.manual_seed(0)
    net = zoo.vgg19(size=32, classes=3).eval()
    with torch.no_grad():
        features = net.get_submodule("features")(torch.randn(4, 3, 32, 32))
    assert 0.01 < features.square().mean().sqrt() < 10  # PyTorch's own start leaves 0.007, which is its biases'


def test_adaptive_takes_other_sizes_and_changes_nothing_at_its_own() -> None:
    torch.manual_seed(0)
    net = VGG(11, classes=3, channels=1, dropout=0, is_small=False, hidden=2).eval()
    maps = torch.randn(1, 512, 7, 7)
    torch.testing.assert_close(net.pool(maps), maps)
    with torch.device("meta"):
        for size in (48, 96):
            tall = zoo.vgg11(classes=3, size=size, adaptive=True)
            assert tall(torch.empty(1, 3, size, size)).shape == (1, 3)


def test_dropout_stands_behind_each_hidden_layer() -> None:
    with torch.device("meta"):
        net, tiny = zoo.vgg11(dropout=0.25), zoo.vgg11(size=32)
    assert [module.p for module in net.modules() if isinstance(module, nn.Dropout)] == [0.25, 0.25]
    assert not [module for module in tiny.modules() if isinstance(module, nn.Dropout)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 96}, "vgg16 takes 224 x 224 images there, .* got size 96: resize them, or give adaptive=True"),
        ({"size": 48}, "vgg16 takes 32 x 32 images there, .* got size 48: resize"),
        ({"size": 28}, "vgg16 at 28 x 28 collapses in pool5: give images of at least 32 x 32"),
        ({"size": 28, "adaptive": True}, "vgg16 at 28 x 28 collapses in pool5"),
        ({"dropout": -0.1}, r"dropout must be in \[0, 0.95\], got -0.1"),
        ({"adaptive": 1}, "adaptive must be true or false, got 1"),
    ],
)
def test_refuses(arguments: dict[str, int | float], message: str) -> None:
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        zoo.build("vgg16", classes=10, **arguments)  # type: ignore[arg-type]
