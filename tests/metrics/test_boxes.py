import pytest
import torch
from torch import Tensor

from pellucid.metrics import Box, best_iou, box_iou, heat_boxes


def blobs(*centres: tuple[int, int], side: int = 64, radius: float = 8.0) -> Tensor:
    """Gaussian bumps of height 1 at (row, column), (1, H, W)."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    bumps = [torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * radius**2)) for y, x in centres]
    return torch.stack(bumps).amax(dim=0)[None]


def test_the_box_of_a_blob_lies_on_it() -> None:
    heat = blobs((20, 40))
    (box,) = heat_boxes(heat, threshold=0.2)
    hot = (heat[0] > 0.2).nonzero()  # rows, columns
    (top, left), (bottom, right) = hot.amin(dim=0).tolist(), (hot.amax(dim=0) + 1).tolist()
    assert (box.image, box.y0, box.x0, box.y1, box.x1) == (0, top, left, bottom, right)
    assert box.score == pytest.approx(heat[heat > 0.2].mean().item())
    reach = 8 * (2 * torch.tensor(5.0).log()).sqrt().item()  # where a bump of radius 8 falls to a fifth
    wanted = Box(0, round(40 - reach), round(20 - reach), round(40 + reach) + 1, round(20 + reach) + 1)
    assert box_iou([box], [wanted]).item() > 0.9


def test_two_blobs_are_two_boxes_the_larger_first() -> None:
    heat = torch.maximum(blobs((14, 14), radius=4), blobs((44, 44), radius=7))
    both = heat_boxes(heat, which="all")
    assert len(both) == 2
    assert heat_boxes(heat) == both[:1]
    assert both[0].x0 > both[1].x1
    assert heat_boxes(heat, which="all", min_area=200) == both[:1]
    assert heat_boxes(heat, min_area=64 * 64) == ()


def test_boxes_are_half_open_and_parts_that_touch_at_a_corner_are_one() -> None:
    heat = torch.zeros(2, 4, 5)
    heat[0, 1, 2] = heat[0, 2, 3] = 2.0
    heat[1, 0, 0] = 1.0
    heat[1, 3, 4] = 0.5
    assert heat_boxes(heat, which="all") == (
        Box(0, 2, 1, 4, 3, 2.0),
        Box(1, 0, 0, 1, 1, 1.0),
        Box(1, 4, 3, 5, 4, 0.5),
    )
    assert heat_boxes(heat, which="all", threshold=0.5)[1:] == (Box(1, 0, 0, 1, 1, 1.0),), "strictly above the share"


def test_a_map_without_evidence_has_no_box() -> None:
    heat = torch.stack([torch.zeros(8, 8), -blobs((4, 4), side=8)[0], blobs((4, 4), side=8)[0]])
    with pytest.warns(UserWarning, match=r"no value is positive, so there is no box, in map 0, 1$") as told:
        assert [box.image for box in heat_boxes(heat)] == [2]
    assert len(told) == 1
    with pytest.warns(UserWarning, match="no box"):
        assert heat_boxes(heat[:2], which="all") == ()
    assert len(heat_boxes(heat[2:])) == 1


def test_scaling_a_map_moves_no_box() -> None:
    heat = blobs((20, 40), (50, 10), radius=5)
    first, second = (heat_boxes(heat * scale, which="all") for scale in (1.0, 1e-6))
    assert [(b.x0, b.y0, b.x1, b.y1) for b in first] == [(b.x0, b.y0, b.x1, b.y1) for b in second]


def test_iou_in_closed_form() -> None:
    boxes = [Box(0, 0, 0, 4, 4), Box(1, 0, 0, 4, 4)]
    given = [Box(0, 2, 2, 6, 6), Box(1, 0, 0, 4, 2), Box(2, 0, 0, 1, 1)]
    expected = torch.tensor([[4 / 28, 0.0, 0.0], [0.0, 0.5, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(box_iou(boxes, given), expected)
    torch.testing.assert_close(best_iou(boxes, given), expected.amax(dim=0))
    assert box_iou([Box(0, 1, 1, 1, 1)], [Box(0, 1, 1, 1, 1)]).item() == 0
    assert box_iou([], given).shape == (0, 3)
    assert torch.equal(best_iou([], given), torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("heat", "options", "message"),
    [
        (torch.zeros(4, 4), {}, r"heat must be finite floats \(N, H, W\), got torch.float32 \(4, 4\)"),
        (torch.full((1, 4, 4), torch.nan), {}, "heat must be finite floats"),
        (torch.zeros(1, 4, 4).long(), {}, r"heat must be finite floats \(N, H, W\), got torch.int64"),
        (torch.zeros(1, 4, 4), {"threshold": 1.0}, "threshold must be between 0 and 1, both excluded, got 1.0"),
        (torch.zeros(1, 4, 4), {"threshold": 0.0}, "threshold must be between 0 and 1, both excluded, got 0.0"),
        (torch.zeros(1, 4, 4), {"which": "biggest"}, "which must be one of largest, all, got 'biggest'"),
        (torch.zeros(1, 4, 4), {"min_area": 0}, "min_area must be at least 1, got 0"),
    ],
)
def test_refuses(heat: Tensor, options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        heat_boxes(heat, **options)  # type: ignore[arg-type]
