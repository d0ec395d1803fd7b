import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.foundations import normalizers
from pellucid.methods import Method

DRAWN = torch.Generator().manual_seed(0)
VALUES = 3 * torch.randn(5, 6, 4, 3, generator=DRAWN, dtype=torch.float64) + 2
SCALE, SHIFT = (torch.randn(6, generator=DRAWN, dtype=torch.float64) for _ in range(2))
AXES = {"batch_norm": (0, 2, 3), "layer_norm": (1, 2, 3), "instance_norm": (2, 3)}
each = pytest.mark.parametrize("method", normalizers.EACH, ids=[one.__name__ for one in normalizers.EACH])


def test_all_equal_torch() -> None:
    affine = {"scale": SCALE, "shift": SHIFT}
    batch = F.batch_norm(VALUES, None, None, SCALE, SHIFT, training=True)
    torch.testing.assert_close(normalizers.batch_norm(VALUES, **affine), batch)
    torch.testing.assert_close(
        normalizers.instance_norm(VALUES, **affine), F.instance_norm(VALUES, weight=SCALE, bias=SHIFT)
    )
    each_place = F.layer_norm(
        VALUES, [6, 4, 3], SCALE[:, None, None].expand(6, 4, 3), SHIFT[:, None, None].expand(6, 4, 3)
    )
    torch.testing.assert_close(normalizers.layer_norm(VALUES, **affine), each_place)
    for groups in (1, 2, 3, 6):
        torch.testing.assert_close(
            normalizers.group_norm(VALUES, groups=groups, **affine), F.group_norm(VALUES, groups, SCALE, SHIFT)
        )


@pytest.mark.parametrize("name", AXES)
def test_mean_zero_and_variance_one_over_the_axes(name: str) -> None:
    normed: Tensor = getattr(normalizers, name)(VALUES)
    mean, variance = normed.mean(dim=AXES[name]), normed.var(dim=AXES[name], unbiased=False)
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-12)
    raw = VALUES.var(dim=AXES[name], unbiased=False)
    torch.testing.assert_close(variance, raw / (raw + 1e-5))


def test_one_group_is_layer_norm_and_c_groups_are_instance_norm() -> None:
    torch.testing.assert_close(normalizers.group_norm(VALUES, groups=1), normalizers.layer_norm(VALUES))
    torch.testing.assert_close(normalizers.group_norm(VALUES, groups=6), normalizers.instance_norm(VALUES))


def test_what_is_remembered_equals_torch_and_the_formula() -> None:
    layer = nn.BatchNorm2d(6, dtype=torch.float64)
    found = None
    for batch in (VALUES, VALUES**2):
        layer(batch)
        found = normalizers.remembered(batch, found)
    assert found is not None
    assert layer.running_mean is not None
    assert layer.running_var is not None
    torch.testing.assert_close(found.mean, layer.running_mean)
    torch.testing.assert_close(found.variance, layer.running_var)
    once = normalizers.remembered(VALUES)
    torch.testing.assert_close(once.mean, 0.1 * VALUES.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(once.variance, 0.9 + 0.1 * VALUES.var(dim=(0, 2, 3)))
    layer.eval()
    torch.testing.assert_close(normalizers.batch_norm_frozen(VALUES, found), layer(VALUES).detach())


def test_frozen_batch_norm_is_affine_and_knows_each_image_alone() -> None:
    held = normalizers.remembered(VALUES)

    def frozen(values: Tensor) -> Tensor:
        return normalizers.batch_norm_frozen(values, held, scale=SCALE, shift=SHIFT)

    torch.testing.assert_close(frozen(VALUES)[:1], frozen(VALUES[:1]))
    offset = frozen(torch.zeros_like(VALUES))
    torch.testing.assert_close(frozen(3 * VALUES) - offset, 3 * (frozen(VALUES) - offset))
    assert not torch.allclose(normalizers.batch_norm(VALUES)[:1], normalizers.batch_norm(VALUES[:1]))


def test_a_bias_before_batch_norm_has_no_gradient() -> None:
    bias = torch.randn(6, dtype=torch.float64, generator=DRAWN).requires_grad_()
    wanted = torch.randn(VALUES.shape, dtype=torch.float64, generator=DRAWN)
    loss = ((normalizers.batch_norm(VALUES + bias[:, None, None], scale=SCALE) - wanted) ** 2).sum()
    (gradient,) = torch.autograd.grad(loss, bias)
    assert gradient.abs().max() < 1e-10
    loss = ((normalizers.group_norm(VALUES + bias[:, None, None], groups=2) - wanted) ** 2).sum()
    assert torch.autograd.grad(loss, bias)[0].abs().max() > 1e-2


@each
def test_scale_and_size_of_the_values_do_not_matter(method: Method) -> None:
    torch.testing.assert_close(method(1e3 * VALUES), method(VALUES), rtol=1e-4, atol=1e-4)
    assert method(VALUES.float()).dtype == torch.float32


@each
def test_refuses(method: Method) -> None:
    with pytest.raises(
        ValueError, match=r"values must be a float tensor \(N, C, H, W\), got torch.float64 \(6, 4, 3\)"
    ):
        method(VALUES[0])
    with pytest.raises(ValueError, match=r"scale must have shape \(6,\), got \(3,\)"):
        method(VALUES, scale=SCALE[:3])
    with pytest.raises(ValueError, match=r"shift must have shape \(6,\), got \(1, 6\)"):
        method(VALUES, shift=SHIFT[None])


def test_refuses_what_has_no_spread_or_no_groups() -> None:
    one = VALUES[:1, :, :1, :1]
    with pytest.raises(ValueError, match="more than one value a channel, got one: take group_norm"):
        normalizers.batch_norm(one)
    with pytest.raises(ValueError, match="one value has no variance"):
        normalizers.remembered(one)
    with pytest.raises(ValueError, match="more than one place, got maps of 1x1"):
        normalizers.instance_norm(one)
    with pytest.raises(ValueError, match="groups must divide the 6 channels, got 4; these do: 1, 2, 3, 6"):
        normalizers.group_norm(VALUES, groups=4)
    with pytest.raises(ValueError, match=r"groups must be in \[1, 6\], got 7"):
        normalizers.group_norm(VALUES, groups=7)
    with pytest.raises(ValueError, match=r"share must be in \[0, 1\], got 1.5"):
        normalizers.remembered(VALUES, share=1.5)
