"""The MLP head: its parameters, its training, and that a seed decides it."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from pellucid.data import Split, split_indices
from pellucid.features.probes import MLPHead
from pellucid.features.probes.mlp_head import head

from .blobs import apart, overlapping


def test_the_paper_s_size() -> None:
    counts = [sum(p.numel() for p in part.parameters()) for part in head(4096, 15, 1024, 512, 0.2)]
    assert [count for count in counts if count] == [4_195_328, 524_800, 7_695]
    assert sum(counts) == 4_727_823


def test_classes_that_stand_apart_are_learned() -> None:
    rows, targets = apart()
    names = torch.tensor([3, 9, 4])
    found = MLPHead(first=32, second=16, lr=1e-2, epochs=15).fit(rows, names[targets])
    assert torch.equal(found.predict(rows), names[targets])
    assert found.scores(rows).shape == (60, 3)
    assert not found.network_.training


def test_the_best_epoch_is_kept_and_patience_ends_it() -> None:
    rows, targets = overlapping(spread=3.0)
    found = MLPHead(first=64, second=32, lr=1e-2, epochs=20, patience=2).fit(rows, targets)
    losses = [loss for _, loss, _ in found.epochs_]
    assert found.best_epoch_ == losses.index(min(losses)) + 1
    assert len(losses) == found.best_epoch_ + 2 < 20
    held = split_indices(targets, val=0.2, test=0.0).val
    assert float(F.cross_entropy(found.scores(rows[held]), targets[held])) == pytest.approx(min(losses), rel=1e-4)


def test_a_seed_decides_it_and_nothing_is_drawn_from_torch_s_own_generator() -> None:
    rows, targets = overlapping()
    before = torch.get_rng_state()
    probe = MLPHead(first=8, second=8, epochs=2)
    first, second = (probe.fit(rows, targets).scores(rows) for _ in range(2))
    other = probe.fit(rows, targets, generator=torch.Generator().manual_seed(5)).scores(rows)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_refusals() -> None:
    rows, targets = overlapping()
    with pytest.raises(ValueError, match="first must be at least 1, got 0"):
        MLPHead(first=0)
    with pytest.raises(ValueError, match=r"dropout must be below 1 and validation in \(0, 1\), got 1 and 0.2"):
        MLPHead(dropout=1)
    with pytest.raises(ValueError, match="must be fitted first"):
        MLPHead().scores(rows)
    with pytest.raises(ValueError, match="lr must be positive, got 0"):
        MLPHead(lr=0).fit(rows, targets)
    with pytest.raises(ValueError, match="val and test must leave rows to train on"):
        MLPHead(validation=0.9).fit(rows[:3], targets[:3])


def test_equal_pictures_stand_on_one_side_of_the_choice_of_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[Split] = []

    def split(*asked: Any, **options: Any) -> Split:
        met.append(split_indices(*asked, **options))
        return met[-1]

    monkeypatch.setattr("pellucid.features.probes.mlp_head.split_indices", split)
    rows = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)).repeat_interleave(2, dim=0)
    contents = [number // 2 for number in range(60)]
    targets = torch.arange(30).remainder(2).repeat_interleave(2)
    probe = MLPHead(epochs=1, normalise="standard").fit(rows, targets, contents=contents)
    sides = [{contents[row] for row in side.tolist()} for side in (met[0].train, met[0].val)]
    assert not sides[0] & sides[1]
    torch.testing.assert_close(probe.normaliser_.shift_, rows[met[0].train].mean(dim=0))
