import pytest
import torch

from pellucid import report

GRID = torch.linspace(-1, 1, 21)
BOWL = report.Field(GRID, GRID, GRID[:, None] ** 2 + GRID**2)


def test_the_landscape_the_paths_and_their_names_are_drawn_in_the_colours_of_the_page() -> None:
    paths = {"slow": torch.tensor([[0.9, 0.9], [0.5, 0.5]]), "fast": torch.tensor([[0.9, 0.9], [0.0, 0.0]])}
    drawn = str(report.contours(BOWL, paths, "two paths down a bowl", lowest={"lowest": (0.0, 0.0)}))
    assert 'aria-label="two paths down a bowl"' in drawn
    for told in ("slow", "fast", "lowest", "w1", "w2", "var(--tone-1)", "var(--tone-2)", "var(--soft)"):
        assert told in drawn
    assert "nan" not in drawn.lower()


def test_refuses_no_paths_and_too_many() -> None:
    for count in (0, 7):
        with pytest.raises(ValueError, match=f"paths must be 1 to 6 in one figure, got {count}"):
            report.contours(BOWL, {str(n): torch.zeros(2, 2) for n in range(count)}, "paths")
