from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pellucid.models import load, zoo
from pellucid.models.weights import put_weights
from pellucid.models.zoo._convert import is_torchvision

from .nets import scatter_norms


def test_a_file_of_torchvisions_is_loaded_and_the_model_says_so(tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    theirs = models.resnet18(num_classes=4).eval()
    scatter_norms(theirs)
    torch.save(theirs.state_dict(), tmp_path / "resnet18.pth")
    save_file(theirs.state_dict(), tmp_path / "resnet18.safetensors")
    images = torch.rand(1, 3, 70, 70)
    for suffix in ("pth", "safetensors"):  # the second is in the alphabet's order, which must not matter
        model = load("zoo:resnet18,classes=4", weights=tmp_path / f"resnet18.{suffix}")
        assert model.source["weights"]["names"] == "torchvision's, renamed to ours"
        with torch.no_grad():
            wanted = theirs((images - model.mean) / model.std)
            torch.testing.assert_close(model(images), wanted, rtol=1e-5, atol=1e-5)


def test_a_file_of_ours_is_not_renamed(tmp_path: Path) -> None:
    save_file(zoo.resnet_cifar(depth=8, classes=4).state_dict(), tmp_path / "w.safetensors")
    model = load("zoo:resnet_cifar,depth=8,classes=4", weights=tmp_path / "w.safetensors")
    assert set(model.source["weights"]) == {"file", "sha256"}


def test_words_and_truth_values_are_read_off_the_command(tmp_path: Path) -> None:
    model = load("zoo:resnet20@none,shortcut=B,zero_gamma=true,classes=4")
    assert model.build == ("resnet20", {"classes": 4, "channels": 3, "shortcut": "B", "zero_gamma": True})
    assert not model.network.get_parameter("stage1.0.conv2.bn.weight").any()
    assert len(load("zoo:resnet20@none,zero_gamma=False").classes) == 10


def test_a_file_of_other_shapes_lists_the_first_and_loads_nothing(tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models")
    torch.save(models.resnet18(num_classes=4).state_dict(), tmp_path / "w.pth")
    ours = zoo.resnet18(classes=4)
    with pytest.raises(
        ValueError, match=r"w.pth: stem.conv.weight must have shape \(64, 3, 3, 3\), got \(64, 3, 7, 7\)"
    ):
        load("zoo:resnet18,classes=4,size=32", weights=tmp_path / "w.pth")
    state = {name: tensor[..., :1] if "conv1.conv" in name else tensor for name, tensor in ours.state_dict().items()}
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        put_weights(ours, {name: tensor + 1 for name, tensor in state.items()}, "w")
    assert str(caught.value) == (
        "w: stage1.0.conv1.conv.weight must have shape (64, 64, 3, 3), got (64, 64, 3, 1); "
        "stage1.1.conv1.conv.weight must have shape (64, 64, 3, 3), got (64, 64, 3, 1); "
        "stage2.0.conv1.conv.weight must have shape (128, 64, 3, 3), got (128, 64, 3, 1); and 5 more"
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in ours.state_dict().items())


@pytest.mark.parametrize(
    ("name", "state", "message"),
    [
        ("lenet5", ["conv1.weight"], "torchvision has no network like lenet5"),
        (
            "resnet18",
            ["conv1.weight", "features.0.weight"],
            "resnet18 has no tensor that torchvision calls 'features.0",
        ),
        ("wrn_16_4", ["conv1.weight"], "wrn_16_4 has no tensor that torchvision calls 'conv1.weight'"),
        ("resnet19", [], "architecture must be one of .*did you mean resnet18"),
    ],
)
def test_refuses(name: str, state: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        zoo.from_torchvision(name, {key: torch.zeros(1) for key in state})
    assert not is_torchvision(name, {key: torch.zeros(1) for key in state})


def test_the_weights_of_the_other_form_are_named() -> None:
    """torchvision's googlenet has batch norm, ours of that name has none."""
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        theirs = models.googlenet(weights=None, init_weights=False).state_dict()
    with pytest.raises(ValueError, match=r"googlenet has no tensor .*: these are the weights of googlenet_bn$"):
        zoo.from_torchvision("googlenet", theirs)
    assert zoo.from_torchvision("googlenet_bn", theirs)
