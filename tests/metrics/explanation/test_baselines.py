import pytest
import torch

from pellucid.metrics.explanation import baselines

from .nets import IMAGES


def test_names_shapes_and_sizes() -> None:
    found = baselines(IMAGES)
    assert list(found) == [
        *("random_1", "random_2", "random_3", "blobs_1", "blobs_2", "blobs_3", "centre", "edges"),
    ]
    for heat in found.values():
        assert heat.shape == (3, 8, 8)
        assert heat.dtype == IMAGES.dtype
        assert heat.min() >= 0


def test_random_orders_are_seeded_and_differ() -> None:
    found = baselines(IMAGES)
    assert torch.equal(found["random_2"], baselines(IMAGES, generator=torch.Generator().manual_seed(0))["random_2"])
    assert not torch.equal(found["random_1"], found["random_2"])
    assert not torch.equal(found["random_1"], baselines(IMAGES, generator=torch.Generator().manual_seed(1))["random_1"])
    assert torch.equal(found["random_1"][0], baselines(IMAGES[1:])["random_1"][0]), "whatever the images"


def test_blobs_are_seven_cells_a_side_and_smooth() -> None:
    heat = baselines(torch.zeros(1, 1, 70, 70))["blobs_1"][0]
    cells = heat[4::10, 4::10].add(heat[5::10, 5::10]).div(2)  # both sides of each cell's middle
    assert cells.shape == (7, 7)
    assert cells.std() > 0.2
    assert heat.diff(dim=0).abs().max() <= 0.1 + 1e-6, "a cell is crossed in ten pixels"


def test_the_middle_is_hottest_and_a_quarter_of_the_side_is_one_deviation() -> None:
    heat = baselines(torch.zeros(1, 1, 9, 17))["centre"][0].double()
    assert heat.argmax().item() == 4 * 17 + 8
    torch.testing.assert_close(heat, heat.flip(0).flip(1))
    assert (heat[0, 8] / heat[4, 8]).item() == pytest.approx(torch.tensor(-((4 / 2.25) ** 2) / 2).exp().item())
    assert (heat[4, 0] / heat[4, 8]).item() == pytest.approx(torch.tensor(-((8 / 4.25) ** 2) / 2).exp().item())


def test_edges_are_the_length_of_the_slope() -> None:
    down, across = torch.meshgrid(torch.arange(8) / 10, torch.arange(8) / 10, indexing="ij")
    ramp = (0.3 * down + 0.4 * across).expand(1, 3, 8, 8)  # slopes 0.03 and 0.04 a pixel
    torch.testing.assert_close(baselines(ramp)["edges"][0, 1:-1, 1:-1], torch.full((6, 6), 0.05))
    assert baselines(torch.full((1, 3, 8, 8), 0.7))["edges"].max() < 1e-6


def test_refuses() -> None:
    with pytest.raises(ValueError, match="draws must be at least 0, got -1"):
        baselines(IMAGES, draws=-1)
    with pytest.raises(ValueError, match=r"images must be in \[0, 1\]"):
        baselines(IMAGES * 255)
