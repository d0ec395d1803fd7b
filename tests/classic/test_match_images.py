import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from pellucid.classic import Matches, match_images


def photograph(name: str) -> Tensor:
    """One of scikit-image's, every other pixel of its middle 400 x 400, (1, 3, 200, 200)."""
    data = pytest.importorskip("skimage.data")
    image = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)[None].float() / 255
    top, left = ((size - 400) // 2 for size in image.shape[2:])
    return torch.nn.functional.avg_pool2d(image[..., top : top + 400, left : left + 400], 2)


def warped(image: Tensor, scale: float, angle: float) -> tuple[Tensor, "np.ndarray"]:
    """Turned clockwise and scaled about its middle by scikit-image; and the 3 x 3 matrix of that."""
    transform = pytest.importorskip("skimage.transform")
    middle = np.array([99.5, 99.5])
    turn = (
        transform.SimilarityTransform(translation=-middle)
        + transform.SimilarityTransform(scale=scale, rotation=np.deg2rad(angle))
        + transform.SimilarityTransform(translation=middle)
    )
    array = transform.warp(image[0].permute(1, 2, 0).numpy(), turn.inverse, order=3, mode="reflect")
    return torch.from_numpy(array.clip(0, 1)).permute(2, 0, 1)[None].float(), turn.params


@pytest.mark.parametrize("name", ["astronaut", "rocket"])
def test_a_shifted_crop_is_found_where_it_is(name: str) -> None:
    image = photograph(name)
    found = match_images(image, image[:, :, 22:, 36:])
    assert found.alignment is not None
    off = (found.first - found.second - torch.tensor([22.0, 36.0])).abs().amax(dim=1)
    assert (off < 1).double().mean() > 0.93
    assert found.alignment.shift == pytest.approx((-22, -36), abs=0.3)
    assert found.alignment.scale == pytest.approx(1, abs=0.003)
    assert found.alignment.angle == pytest.approx(0, abs=0.2)
    assert (off[found.alignment.agreed] < 4).all()


def test_neighbours_on_the_fine_grid_are_no_rivals() -> None:
    image = photograph("astronaut")
    found = match_images(image, image[:, :, 21:, 35:])  # a pixel off the fine grid: four patches are equally near
    assert len(found.first) > 250
    off = (found.first - found.second - torch.tensor([21.0, 35.0])).abs().amax(dim=1)
    assert (off <= 1).double().mean() > 0.93


@pytest.mark.parametrize(("scale", "angle"), [(1.0, 10.0), (1.15, -8.0), (0.85, 0.0)])
def test_a_turned_and_scaled_picture_is_found(scale: float, angle: float) -> None:
    image = photograph("astronaut")
    other, matrix = warped(image, scale, angle)
    found = match_images(image, other)
    assert found.alignment is not None
    assert found.alignment.scale == pytest.approx(scale, abs=0.01)
    assert found.alignment.angle == pytest.approx(angle, abs=0.5)
    across_down = np.c_[found.first.flip(1).numpy(), np.ones(len(found.first))] @ matrix.T
    right = np.linalg.norm(across_down[:, 1::-1] - found.second.numpy(), axis=1) < 5
    assert right.mean() > 0.75
    agreed = found.alignment.agreed.numpy()
    assert right[agreed].mean() > 0.98


def test_pictures_of_other_things_agree_on_little() -> None:
    found = match_images(photograph("astronaut"), photograph("coffee"))
    assert found.alignment is None or found.alignment.agreed.sum() < 20


def test_nothing_matches_a_flat_picture() -> None:
    image = photograph("rocket")
    found = match_images(image, torch.full_like(image, 0.5))
    assert found.alignment is None
    assert found.first.shape == found.second.shape == (0, 2)


def test_refuses() -> None:
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"first must be one picture \(1, C, H, W\), got 2"):
        match_images(image, image)
    with pytest.raises(ValueError, match="fine must be at least 1, got 0"):
        match_images(image[:1], image[1:], fine=0)
    with pytest.raises(ValueError, match="kind must be one of similarity, translation, got 'shift'"):
        match_images(image[:1], image[1:], kind="shift")


def test_matches_that_fix_no_similarity_have_no_alignment(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = torch.tensor([0, 1]), torch.tensor([0, 50])  # 8 pixels apart there, 100 here
    two = Matches(near, far, torch.zeros(2), torch.zeros(2))
    monkeypatch.setattr(sys.modules["pellucid.classic.match_images"], "match", lambda *_all, **_options: two)
    found = match_images(torch.zeros(1, 1, 32, 200), torch.zeros(1, 1, 32, 200))
    assert found.second.tolist() == [[7.5, 7.5], [7.5, 107.5]]
    assert found.alignment is None
