import pytest
import torch
from torch import Tensor, nn

from pellucid.models import Layer, Model, cam_layers, describe, layers
from pellucid.models._model_json import build


class Block(nn.Module):
    """Two convolutions by one ReLU module, and a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(4, 4, 3, padding=1)
        self.two = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        x: Tensor = self.two(self.relu(self.one(images)))
        found: Tensor = self.relu(x + images)
        return found


def net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2), Block(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )


def test_layers_come_as_they_finish_with_shape_and_calls() -> None:
    assert layers(net(), (3, 8, 12)) == (
        Layer("0", "Conv2d", (1, 4, 8, 12), True, 1),
        Layer("1", "MaxPool2d", (1, 4, 4, 6), True, 1),
        Layer("2.one", "Conv2d", (1, 4, 4, 6), True, 1),
        Layer("2.two", "Conv2d", (1, 4, 4, 6), True, 1),
        Layer("2.relu", "ReLU", (1, 4, 4, 6), True, 2),
        Layer("2", "Block", (1, 4, 4, 6), False, 1),
        Layer("3", "AdaptiveAvgPool2d", (1, 4, 1, 1), True, 1),
        Layer("4", "Flatten", (1, 4), True, 1),
        Layer("5", "Linear", (1, 5), True, 1),
    )


def test_names_are_relative_to_the_users_own_network() -> None:
    model = Model(net(), mean=[0.5] * 3, std=[0.5] * 3, classes=list("abcde"), size=(8, 12))
    assert layers(model) == layers(net(), (3, 8, 12))
    assert cam_layers(model) == cam_layers(net(), (3, 8, 12))


def test_cam_layers_are_one_a_resolution_the_deepest_first_and_blocks_before_their_parts() -> None:
    assert cam_layers(net(), (3, 8, 12)) == ("2", "0")


def test_a_pool_a_dropout_or_a_stage_that_ends_in_one_is_no_cam_layer() -> None:
    stages = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Conv2d(2, 2, 3), nn.Dropout()),
        nn.Flatten(),
    )
    assert cam_layers(stages, (1, 12, 12)) == ("1.0", "0.1")


def test_a_matrix_of_attention_weights_is_no_map() -> None:
    class Attention(nn.Module):
        def forward(self, tokens: Tensor) -> Tensor:  # (N, C, h, w) -> (N, 1, T, T)
            x = tokens.flatten(2)
            return (x.transpose(1, 2) @ x)[:, None]

    assert cam_layers(nn.Sequential(nn.Conv2d(1, 2, 3), Attention()), (1, 6, 6)) == ("0",)


class Shuffled(nn.Module):
    """What window attention does to a map: cut apart and put together; and afterwards square like a matrix."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.roll(1, dims=2).view(n, c, h // 2, 2, w).flatten(2, 3)


def test_a_map_that_cannot_be_followed_must_have_the_channels_that_are_classified() -> None:
    pooled = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
    fits = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 3, 3), Shuffled(), *pooled, nn.Linear(3, 4))
    assert cam_layers(fits, (1, 10, 10)) == ("2", "0")
    assert cam_layers(fits[:3], (1, 10, 10)) == ("1", "0")  # nothing is classified
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 3, 3), Shuffled(), nn.Flatten(), nn.Linear(108, 4))
    assert cam_layers(other, (1, 10, 10)) == ("1", "0")


def test_a_patch_embedding_is_no_default() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Conv2d(1, 8, 2, stride=2)
            self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Linear(8, 3)

        def forward(self, images: Tensor) -> Tensor:
            tokens = self.blocks(self.embed(images).flatten(2).transpose(1, 2))
            found: Tensor = self.head(tokens.mean(dim=1))
            return found

    expected = ("blocks.layers.1.norm2", "blocks.layers.0.norm2")
    assert cam_layers(Transformer(), (1, 8, 8)) == expected
    assert describe(Transformer(), (1, 8, 8)).cam_layers == expected


def test_convolutions_before_a_long_head_are_a_default_by_their_multiply_adds() -> None:
    head = [part for _ in range(4) for part in (nn.Linear(4, 4), nn.ReLU())]
    conv = nn.Conv2d(1, 4, 3)
    assert cam_layers(nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head), (1, 9, 9)) == ("0",)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("torchvision:resnet18", "layer4"),
        ("torchvision:mobilenet_v2", "features"),
        ("torchvision:swin_t", "permute"),
        ("torchvision:maxvit_t", "blocks.3"),
        ("torchvision:vit_b_32", None),
        ("timm:swin_tiny_patch4_window7_224", None),
        ("timm:vit_tiny_patch16_224", None),
    ],
)
def test_known_networks(name: str, first: str | None) -> None:
    with torch.device("meta"):
        network = build(name, {})
    assert next(iter(cam_layers(network, 224)), None) == first


def test_no_map_no_cam_layer() -> None:
    assert cam_layers(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), (1, 4, 4)) == ()


def test_on_a_network_without_memory() -> None:
    with torch.device("meta"):
        found = layers(net(), (3, 8, 8))
    assert found[-1].shape == (1, 5)


def test_refuses_an_image_the_network_does_not_take() -> None:
    with pytest.raises(ValueError, match=r"does not take an image \(2, 8, 8\): layer '0' \(Conv2d\), given"):
        layers(net(), (2, 8, 8))
    with pytest.raises(ValueError, match="input size is not known"):
        cam_layers(net())
