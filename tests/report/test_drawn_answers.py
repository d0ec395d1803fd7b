"""Pictures beside histograms of the answers to them."""

import re

import numpy as np
import pytest
import torch

from pellucid import report
from pellucid.report import DrawnAnswers, drawn_answers, thumbnails

PICTURE = report.data_uri(np.zeros((4, 4, 3), dtype=np.uint8), exact=True)


def entry(probabilities: list[list[float]], *names: str, picture: str = PICTURE) -> DrawnAnswers:
    values = torch.tensor(probabilities)
    return DrawnAnswers(picture, "head & shoulders", "a.png", names, values, tuple(range(len(names))))


def bars(drawn: str) -> list[tuple[float, float]]:
    """(where it begins, how high it is) of every bar."""
    found = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="[\d.]+" height="([\d.]+)"', drawn)
    return [(float(x), float(height)) for x, height in found]


def test_bars_are_shares_of_the_answers_in_bins_of_equal_width() -> None:
    drawn = drawn_answers([entry([[0.0], [0.49], [0.5], [1.0]], "cat")], bins=2)
    assert bars(drawn) == [(0.5, 20), (100.5, 20)]
    assert bars(drawn_answers([entry([[1.0]] * 3, "cat")], bins=4)) == [(150.5, 40)]


def test_rare_answers_are_still_seen() -> None:
    values = [[0.1]] * 999 + [[0.9]]
    assert bars(drawn_answers([entry(values, "cat")], bins=2))[1][1] > 1


def test_classes_stand_one_under_the_other_and_are_read_aloud() -> None:
    drawn = drawn_answers([entry([[0.75, 0.25], [0.25, 0.75]], "cat", "<dog>")], unit="draws")
    assert 'aria-label="cat: mean probability 0.50, 0 of 2 draws vote for it"' in drawn
    assert "&lt;dog&gt;" in drawn
    assert "<dog>" not in drawn
    assert "head &amp; shoulders" in drawn


def test_refuses() -> None:
    with pytest.raises(ValueError, match="bins must be at least 2, got 1"):
        drawn_answers([], bins=1)
    with pytest.raises(ValueError, match="a picture in a page must be a data URI"):
        drawn_answers([entry([[1.0]], "cat", picture="http://elsewhere")])
    with pytest.raises(ValueError, match="a picture in a page must be a data URI"):
        thumbnails([("javascript:alert(1)", "a")])


def test_thumbnails_are_named() -> None:
    drawn = thumbnails([(PICTURE, "a & b")])
    assert drawn.count("a &amp; b") == 2
