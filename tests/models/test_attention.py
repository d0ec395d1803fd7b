from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from pellucid.models.attention import attentions

TOKENS = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def softmax_of(query: Tensor, key: Tensor) -> Tensor:
    """Attention weights, entry by entry."""
    found = torch.zeros(*query.shape[:-1], key.shape[-2], dtype=query.dtype)
    for place in torch.cartesian_prod(*(torch.arange(side) for side in query.shape[:-1])).tolist():
        keys = key[tuple(place[:-1])]
        logits = torch.stack([(query[tuple(place)] * one).sum() for one in keys]) / query.shape[-1] ** 0.5
        found[tuple(place)] = logits.exp() / logits.exp().sum()
    return found


@pytest.mark.parametrize(
    "told",
    [{}, {"is_causal": True}, {"scale": 0.3}, {"attn_mask": torch.rand(5, 5) < 0.7}, {"attn_mask": torch.rand(5, 5)}],
    ids=["plain", "causal", "scale", "mask", "bias"],
)
def test_the_fused_function_gives_what_it_would(told: dict[str, Any]) -> None:
    told = {key: value.double() if isinstance(value, Tensor) and value.is_floating_point() else value
            for key, value in told.items()}  # fmt: skip
    if "attn_mask" in told and told["attn_mask"].dtype == torch.bool:
        told["attn_mask"].fill_diagonal_(True)
    query, key, value = torch.randn(3, 2, 4, 5, 6, dtype=torch.float64)
    expected = F.scaled_dot_product_attention(query, key, value, **told)
    with attentions() as met:
        torch.testing.assert_close(F.scaled_dot_product_attention(query, key, value, **told), expected)
    (one,) = met
    torch.testing.assert_close(one.weights.sum(dim=-1), torch.ones(2, 4, 5, dtype=torch.float64))
    torch.testing.assert_close(one.weights @ value, expected)
    if not told:
        torch.testing.assert_close(one.weights, softmax_of(query, key))


def test_shared_keys_are_repeated() -> None:
    query, key = torch.randn(1, 4, 5, 6), torch.randn(1, 2, 5, 6)
    expected = F.scaled_dot_product_attention(query, key, key, enable_gqa=True)
    with attentions() as met:
        torch.testing.assert_close(F.scaled_dot_product_attention(query, key, key, enable_gqa=True), expected)
    assert met[0].weights.shape == (1, 4, 5, 5)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("grad", [True, False])
def test_multi_head_attention_of_every_way(batch_first: bool, need_weights: bool, grad: bool) -> None:
    module = nn.MultiheadAttention(8, 2, batch_first=batch_first).double().eval()
    x = TOKENS if batch_first else TOKENS.transpose(0, 1)
    with torch.set_grad_enabled(grad):
        expected, weights = module(x, x, x, need_weights=need_weights)  # without gradients by the fast path
        with attentions() as met:
            found, again = module(x, x, x, need_weights=need_weights)
    torch.testing.assert_close(found, expected)
    manual = module(x, x, x, need_weights=True, average_attn_weights=False)[1]
    assert len(met) == 1
    torch.testing.assert_close(met[0].weights, manual.detach())
    assert (again is None) == (weights is None)
    if need_weights:
        torch.testing.assert_close(again, weights)


def test_a_transformer_layer_that_would_take_its_fast_path() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).double().eval()
    with torch.no_grad():
        expected = layer(TOKENS)
        with attentions() as met:
            torch.testing.assert_close(layer(TOKENS), expected)
    assert [tuple(one.weights.shape) for one in met] == [(2, 2, 5, 5)]


def test_the_torchvision_transformer() -> None:
    torch.manual_seed(0)
    model = torchvision.models.VisionTransformer(16, 4, 2, 2, 8, 16, num_classes=5).double().eval()
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    inputs: list[Tensor] = []
    blocks = [module for module in model.modules() if isinstance(module, nn.MultiheadAttention)]
    handles = [block.register_forward_pre_hook(lambda _m, given: inputs.append(given[0])) for block in blocks]
    with torch.no_grad(), attentions() as met:
        model(images)
    for handle in handles:
        handle.remove()
    assert len(met) == len(blocks) == 2
    for one, block, x in zip(met, blocks, inputs, strict=True):
        manual = block(x, x, x, need_weights=True, average_attn_weights=False)[1]
        torch.testing.assert_close(one.weights, manual.detach())


def timm_net(fused: bool) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = timm.create_model(
        "vit_tiny_patch16_224", img_size=32, patch_size=8, embed_dim=12, depth=2, num_heads=3, num_classes=5
    )
    for name, module in model.named_modules():
        if name.endswith("attn"):
            module.fused_attn = fused
    return model.double().eval()


def test_fused_and_unfused_are_identical() -> None:
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    found = []
    for fused in (True, False):
        model = timm_net(fused)
        with attentions() as met:
            model(images)[:, 1].sum().backward()
        found.append(met)
    assert [len(met) for met in found] == [2, 2]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one.weights, other.weights)
        assert one.slope is not None
        assert one.slope.abs().max() > 0
        torch.testing.assert_close(one.slope, other.slope)


@pytest.mark.parametrize("module", [True, False])
def test_the_slope_is_that_of_the_weights(module: bool) -> None:
    torch.manual_seed(0)
    value = torch.randn(2, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    if not module:
        with attentions() as met:
            out = F.scaled_dot_product_attention(value, value, value)
            (out * out).sum().backward()  # type: ignore[no-untyped-call]
        weights = met[0].weights
        torch.testing.assert_close(met[0].slope, (2 * (weights @ value) @ value.mT).detach())
        return
    layer = nn.MultiheadAttention(8, 2, batch_first=True).double().eval()
    x = TOKENS.clone().requires_grad_()
    with attentions() as met:
        layer(x, x, x, need_weights=False)[0][..., 0].sum().backward()
    values = F.linear(TOKENS, layer.in_proj_weight[16:], layer.in_proj_bias[16:]).view(2, 5, 2, 4).transpose(1, 2)
    mixed = values * layer.out_proj.weight[0].view(1, 2, 1, 4)  # what a value adds to the first output
    expected = mixed.sum(dim=-1)[:, :, None].expand(2, 2, 5, 5)
    torch.testing.assert_close(met[0].slope, expected.detach())


def test_other_softmaxes_are_no_attention() -> None:
    x = torch.rand(2, 3, 4, 4)
    with attentions() as met:
        x.softmax(dim=1)
        torch.softmax(x[0, 0], dim=-1)
        F.softmax(x[..., :3], dim=3)
        nn.Softmax(dim=2)(x)
        assert met == []
        nn.Softmax(dim=-1)(x)
        torch.softmax(x, 3)
    assert len(met) == 2


def test_nothing_is_seen_after_the_block_nor_after_an_exception() -> None:
    x = torch.rand(1, 2, 5, 4)
    with pytest.raises(RuntimeError, match="on purpose"), attentions() as met:
        raise RuntimeError("on purpose")
    F.scaled_dot_product_attention(x, x, x)
    assert met == []
