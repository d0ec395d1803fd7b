"""Probes as folders: the same answers, and damage is told."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pellucid.features.probes import (
    KernelSVM,
    LinearSVM,
    LogisticRegression,
    MLPHead,
    NearestNeighbours,
    Probe,
    about_probe,
    load_probe,
    save_probe,
)

from .blobs import overlapping

ROWS, TARGETS = overlapping(count=60)
ALL: list[Probe] = [
    LinearSVM(cost=3.0, normalise="standard"),
    KernelSVM(kernel="polynomial", gamma="auto", degree=2),
    KernelSVM(multiclass="one_vs_rest", normalise="minmax"),
    LogisticRegression(),
    NearestNeighbours(neighbours=3, distance="cosine"),
    MLPHead(first=8, second=4, epochs=1),
]


@pytest.mark.parametrize("probe", ALL, ids=[type(one).__name__ for one in ALL])
def test_a_saved_probe_answers_the_same(probe: Probe, tmp_path: Path) -> None:
    probe.fit(ROWS, TARGETS + 4)
    save_probe(probe, tmp_path / "probe", about={"layer": "fc1"})
    found = load_probe(tmp_path / "probe")
    assert type(found) is type(probe)
    assert torch.equal(found.scores(ROWS), probe.scores(ROWS))
    assert torch.equal(found.predict(ROWS), probe.predict(ROWS))
    assert about_probe(tmp_path / "probe") == {"layer": "fc1"}
    with pytest.raises(ValueError, match="exists already"):
        save_probe(probe, tmp_path / "probe")
    save_probe(probe, tmp_path / "probe", force=True)


def test_a_precomputed_kernel_is_saved_too(tmp_path: Path) -> None:
    probe = KernelSVM(kernel="precomputed").fit(ROWS @ ROWS.T, TARGETS)
    save_probe(probe, tmp_path / "probe")
    assert torch.equal(load_probe(tmp_path / "probe").scores(ROWS @ ROWS.T), probe.scores(ROWS @ ROWS.T))


def test_damage_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no saved probe"):
        load_probe(tmp_path)
    with pytest.raises(ValueError, match=r"probe must be a fitted one of linear_svm, .*, got LinearSVM"):
        save_probe(LinearSVM(), tmp_path / "probe")
    save_probe(LinearSVM().fit(ROWS, TARGETS), tmp_path / "probe")
    told, file = tmp_path / "probe" / "probe.json", tmp_path / "probe" / "probe.safetensors"
    good, tensors = json.loads(told.read_text()), load_file(file)
    for change, message in (
        ({"kind": "linear_svn"}, "did you mean linear_svm"),
        ({"format": 2}, "format must be 1, got 2"),
        ({"options": {"costs": 1}}, "unexpected keyword argument 'costs'"),
        ({"kind": "nearest_neighbours"}, "is a damaged probe"),
    ):
        told.write_text(json.dumps({**good, **change}))
        with pytest.raises(ValueError, match=message):
            load_probe(tmp_path / "probe")
    told.write_text(json.dumps(good))
    for name, value, message in (
        ("bias_", torch.zeros(4), "bias_ must fit the others"),
        ("weight_", torch.full((3, 12), torch.nan), "weight_ must be finite"),
    ):
        save_file({**tensors, name: value}, file)
        with pytest.raises(ValueError, match=message):
            load_probe(tmp_path / "probe")
