"""Risk over coverage as a figure."""

import re

import pytest
import torch

from pellucid.metrics.ranking import risk_coverage
from pellucid.report import risk_curves

SCORES = torch.arange(400).double()
CORRECT = torch.arange(400) % 5 != 4
CURVE = risk_coverage(SCORES, CORRECT)


def test_one_curve_has_its_band_and_several_are_named() -> None:
    one = risk_curves({"stated": CURVE}, "one")
    assert 'aria-label="one"' in one
    assert "FillBetween" in one
    assert "stated" not in one
    two = risk_curves({"stated": CURVE, "<b>$x$</b>": CURVE}, "two")
    assert "FillBetween" not in two
    assert "stated" in two
    assert "&lt;b&gt;$x$&lt;/b&gt;" in two
    assert "wrong among those (%)" in two


def test_what_is_asked_and_chosen_is_marked() -> None:
    assert "95 % right" in risk_curves({"a": CURVE}, "asked", asked=0.95)
    assert "% right" not in risk_curves({"a": CURVE}, "plain")
    plain, dotted = risk_curves({"a": CURVE}, "same"), risk_curves({"a": CURVE}, "same", chosen=(0.4, 0.1))
    assert len(dotted) > len(plain)


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    many = risk_coverage(torch.arange(20_000).double(), torch.arange(20_000) % 4 != 0)
    drawn = risk_curves({"a": many}, "many")
    assert len(drawn) < 60_000
    path = max(re.findall(r'<path[^>]* d="([^"]+)"', drawn), key=lambda found: found.count("L"))
    assert 100 < path.count("L") < 400


@pytest.mark.parametrize("count", [0, 7])
def test_refusals(count: int) -> None:
    with pytest.raises(ValueError, match=f"curves must be 1 to 6 in one figure, got {count}"):
        risk_curves({str(number): CURVE for number in range(count)}, "x")
