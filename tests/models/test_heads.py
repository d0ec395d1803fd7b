"""A new head on a trained network: what is before it stays, its size is the paper's, and the whole can be saved."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pellucid import models
from pellucid.models import Model, find_head, with_head
from pellucid.models._heads import new_head

NAMES = ["red", "green", "blue"]


def small(name: str = "digits_cnn", **arguments: object) -> Model:
    torch.manual_seed(3)
    return models.create(name, classes=[str(number) for number in range(10)], **arguments).eval()


class Bare(nn.Module):
    """A user's own network: one hidden layer, then one answer a class, or `behind` it another layer."""

    def __init__(self, *, behind: bool = False) -> None:
        super().__init__()
        self.flat = nn.Flatten()
        self.hidden = nn.Sequential(nn.Linear(48, 6), nn.ReLU(), nn.Linear(6, 5))
        self.last = nn.Linear(5, 4) if behind else nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(self.hidden(self.flat(images)))
        return logits


def own(*, behind: bool = False) -> Model:
    told = {"mean": [0.0] * 3, "std": [1.0] * 3, "size": 4}
    return Model(Bare(behind=behind).eval(), classes=list("abcd" if behind else "abcde"), **told)  # type: ignore[arg-type]


def test_the_mlp_head_has_the_parameters_that_the_layers_sizes_give() -> None:
    head = new_head("mlp", 4096, 15)
    assert isinstance(head, nn.Sequential)
    counts = [sum(parameter.numel() for parameter in layer.parameters()) for layer in head]
    assert [count for count in counts if count] == [4_195_328, 524_800, 7_695]
    assert sum(counts) == 4_727_823
    assert [layer.p for layer in head if isinstance(layer, nn.Dropout)] == [0.2, 0.2]
    with_dropout = new_head("dropout", 7, 3)
    assert isinstance(with_dropout, nn.Sequential)
    assert isinstance(with_dropout[0], nn.Dropout)
    assert with_dropout[0].p == 0.3


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ("torchvision:vgg11", "classifier.6"),
        ("torchvision:resnet18", "fc"),
        ("torchvision:mobilenet_v2", "classifier.1"),
        ("torchvision:squeezenet1_1", "classifier.1"),
        ("torchvision:vit_b_32", "heads.head"),
        ("timm:vit_tiny_patch16_224", "head"),
    ],
)
def test_the_head_of_every_known_network_is_found(spec: str, place: str) -> None:
    told = {"mean": [0.5], "std": [1.0], "size": 224}
    named = Model(nn.Identity(), classes=list("abc"), build=(spec, {"num_classes": 3}), **told)  # type: ignore[arg-type]
    assert find_head(named) == place  # found by name and arguments alone


@pytest.mark.parametrize("head", ["linear", "mlp", "dropout"])
def test_all_but_the_head_is_what_was_learned_and_the_new_model_can_be_saved(tmp_path: Path, head: str) -> None:
    model = small("resnet20")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    new = with_head(model, NAMES, head=head)
    place = f"network.{find_head(new)}."
    for name, tensor in new.state_dict().items():
        assert name.startswith(place) or torch.equal(tensor, before[name]), name
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert (new.classes, new.class_ids, new.training) == (tuple(NAMES), (), False)
    models.save(new, tmp_path / "model")
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    loaded = models.load(tmp_path / "model")
    torch.testing.assert_close(loaded(images), new(images))
    again = with_head(loaded, ["left", "right"])  # a head of ours is exchanged in its turn
    assert again(images).shape == (2, 2)
    assert isinstance(again.network.get_submodule(find_head(again)), nn.Linear)


def test_the_swapped_head_gives_what_its_layers_give_on_the_same_features() -> None:
    model = small("resnet20")
    new = with_head(model, NAMES, head="mlp")
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    features: list[torch.Tensor] = []
    hook = model.network.get_submodule(find_head(model)).register_forward_pre_hook(
        lambda _module, given: features.append(given[0])
    )
    model(images)
    hook.remove()
    head = new.network.get_submodule(find_head(new))
    torch.testing.assert_close(new(images), head(features[0]))


def test_a_named_layer_falls_with_all_that_is_behind_it() -> None:
    new = with_head(own(), NAMES, head_at="hidden.0")
    hidden = new.network.get_submodule("hidden")
    assert isinstance(hidden, nn.Sequential)
    assert [type(layer) for layer in hidden] == [nn.Linear]
    assert hidden[0].weight.shape == (3, 48)
    whole = with_head(own(), NAMES, head="dropout", head_at="hidden")
    assert whole(torch.rand(2, 3, 4, 4)).shape == (2, 3)


def test_the_seed_decides_the_head_alone_and_no_other_randomness() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    seeds = (None, 0, 0, 1)
    made = [None if seed is None else torch.Generator().manual_seed(seed) for seed in seeds]
    heads = [dict(with_head(own(), NAMES, generator=one).named_parameters())["network.hidden.2.weight"] for one in made]
    assert torch.equal(heads[0], heads[1])
    assert torch.equal(heads[1], heads[2])
    assert not torch.equal(heads[2], heads[3])
    with_head(small(), NAMES)
    torch.manual_seed(5)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (own, {"head": "svm"}, "head must be one of linear, mlp, dropout, got 'svm'"),
        (own, {"classes": ["one"]}, r"classes must be at least two different names, got \['one'\]"),
        (own, {"classes": ["a", "a"]}, "classes must be at least two different names"),
        (own, {"head_at": "hiden"}, "head_at must be a layer of the network, got 'hiden'; did you mean hidden"),
        (lambda: own(behind=True), {"head_at": "hidden.0"}, "behind which last.bias stands"),
        (
            small,
            {"head_at": "0"},
            "head_at must name a layer that takes features .*, got '0', where Conv2d comes first",
        ),
        (own, {"head_at": "last"}, "got 'last', where Identity comes first"),
    ],
)
def test_refuses(model: object, options: dict[str, Any], message: str) -> None:
    assert callable(model)
    with pytest.raises(ValueError, match=message):
        with_head(model(), **{"classes": NAMES, **options})


def test_a_network_whose_last_layer_answers_no_class_must_have_its_head_named() -> None:
    odd = Model(Bare().eval(), classes=list("abc"), mean=[0.0] * 3, std=[1.0] * 3, size=4)
    with pytest.raises(ValueError, match="head_at must be given: the network's last linear layer has not one output"):
        with_head(odd, NAMES)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"new_head": "mlp"}, "arguments must give new_head and new_head_at together, both words, got 'mlp' and None"),
        ({"new_head": "mlp", "new_head_at": 3}, "both words"),
        ({"new_head": "os.system", "new_head_at": "12"}, "head must be one of linear, mlp, dropout, got 'os.system'"),
        ({"new_head": "mlp", "new_head_at": "__class__"}, "head_at must be a layer of the network, got '__class__'"),
    ],
)
def test_a_file_that_tells_another_head_is_refused(tmp_path: Path, told: dict[str, object], message: str) -> None:
    import json

    models.save(with_head(small(), NAMES), tmp_path)
    path = tmp_path / "model.json"
    said = json.loads(path.read_text())
    said["arguments"] |= told
    path.write_text(json.dumps(said))
    with pytest.raises(ValueError, match=message):
        models.load(tmp_path)
