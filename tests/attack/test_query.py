"""A black box counts, caps and remembers."""

import pytest
import torch
from torch import Tensor

from pellucid.attack import BudgetSpentError, Query
from pellucid.attack._asking import asking

from .nets import called, small_images, small_net

IMAGES = small_images(6)


def test_it_answers_as_the_network_does_and_counts() -> None:
    net = small_net()
    query = Query(net)
    torch.testing.assert_close(query(IMAGES), net(IMAGES).detach())
    query(IMAGES[:2])
    assert (query.count, query.left) == (8, None)


def test_the_cap_is_hard() -> None:
    asked: list[int] = []

    def box(images: Tensor) -> Tensor:
        asked.append(len(images))
        return images.flatten(1)[:, :3]

    query = Query(box, most=7)
    query(IMAGES)
    with pytest.raises(BudgetSpentError, match="2 more images asked, but only 1 of 7 are left"):
        query(IMAGES[:2])
    query(IMAGES[:1])
    assert (asked, query.left) == ([6, 1], 0)


def test_what_was_asked_before_costs_nothing() -> None:
    net = small_net()
    query = Query(net, cache=100)
    twice = torch.cat([IMAGES[:3], IMAGES[:2]])
    torch.testing.assert_close(query(twice), net(twice).detach())
    assert (query.count, query.found) == (3, 2)
    torch.testing.assert_close(query(IMAGES), net(IMAGES).detach())
    assert (query.count, query.found) == (6, 5)
    small = Query(net, cache=2)
    small(IMAGES)
    small(IMAGES[:1])
    assert small.count == 7, "the oldest answers went"


def test_a_query_shares_its_cap_between_the_images_of_an_attack() -> None:
    net = small_net()
    targets = called(net, IMAGES)
    with asking(Query(net, most=20), IMAGES, targets, targeted=False, max_queries=100, trace=None) as ask:
        assert ask.most == 3
        rows = torch.arange(6)
        ask.logits(IMAGES, rows)
        ask.logits(IMAGES[[4]], rows[[4]], 2)
        assert ask.left(rows).tolist() == [2, 2, 2, 2, 0, 2]
        with pytest.raises(RuntimeError, match="beyond its budget"):
            ask.logits(IMAGES[[4]], rows[[4]])
    with (
        pytest.raises(ValueError, match="the query has 5 questions left, fewer than the 6 images"),
        asking(Query(net, most=5), IMAGES, targets, targeted=False, max_queries=100, trace=None),
    ):
        pass


def test_logits_and_probabilities_are_told_apart() -> None:
    net = small_net()
    targets = called(net, IMAGES)
    rows = torch.arange(6)
    expected = net(IMAGES).detach().log_softmax(dim=1)
    for box in (net, lambda images: net(images).softmax(dim=1)):
        with asking(box, IMAGES, targets, targeted=False, max_queries=9, trace=None) as ask:
            torch.testing.assert_close(ask.logits(IMAGES, rows)[0], expected)
            assert ask.labels(IMAGES, rows)[0].equal(targets)
    with asking(
        lambda images: net(images).argmax(1), IMAGES, targets, targeted=False, max_queries=9, trace=None
    ) as ask:
        assert ask.labels(IMAGES, rows)[0].equal(targets)
        with pytest.raises(ValueError, match="the box answers labels: use boundary"):
            ask.logits(IMAGES, rows)


def test_what_is_no_black_box_is_refused() -> None:
    with pytest.raises(ValueError, match="model must be a network or a function of images, got int"):
        Query(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="most must be at least 1, got 0"):
        Query(small_net(), most=0)
    with pytest.raises(ValueError, match="model must be in eval mode"):
        Query(small_net().train())
    with pytest.raises(ValueError, match=r"must answer 6 images with \(6, K\), got \(1, 5\)"):
        Query(lambda _images: torch.zeros(1, 5))(IMAGES)
