"""How numbers are spread in several populations, as a figure."""

import pytest
import torch

from pellucid.report import populations

EDGES = torch.linspace(-1, 1, 5)
SHARES = torch.tensor([0.5, 0.25, 0.25, 0.0])


def test_each_is_named_and_the_threshold_told() -> None:
    drawn = populations(
        {"its own": SHARES, "<i>else</i> $x$": SHARES.flip(0)}, EDGES, "both", x="energy $e$", threshold=0.3, told="cut"
    )
    for text in (
        'aria-label="both"',
        "its own",
        "&lt;i&gt;else&lt;/i&gt; $x$",
        "energy $e$",
        "cut",
        "share of its set (%)",
    ):
        assert text in drawn
    assert "cut" not in populations({"a": SHARES}, EDGES, "plain", x="e", told="cut")


def test_refusals() -> None:
    with pytest.raises(ValueError, match="shares must be of 1 to 6 populations in one figure, got 0"):
        populations({}, EDGES, "none", x="e")
    with pytest.raises(ValueError, match=r"a: shares must be one for each of 4 bins, got \(3,\)"):
        populations({"a": SHARES[:3]}, EDGES, "wrong", x="e")
