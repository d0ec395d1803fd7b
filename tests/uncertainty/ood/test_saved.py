"""What was fitted comes back as it was, for the network it was fitted on and no other."""

import json
from pathlib import Path

import pytest
import torch

from pellucid.uncertainty.ood import Knn, Mahalanobis, ReAct, Vim, load_detector, save_detector
from pellucid.uncertainty.ood.saved import Fitted

from ..nets import small, small_images, some_targets

NET, KNOWN, TARGETS = small(), small_images(60), some_targets(60)
ASKED = small_images(4, seed=7)

EVERY = [Knn(neighbours=3, layer="1"), Mahalanobis(layers="1, 5"), ReAct(percentile=80), Vim(principal=3)]


@pytest.mark.parametrize("detector", EVERY, ids=lambda each: type(each).__name__)
def test_it_comes_back(detector: Fitted, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be fitted before it is saved"):
        save_detector(type(detector)(), tmp_path / "none")
    detector.fit(NET, KNOWN, TARGETS)
    save_detector(detector, tmp_path / "kept")
    again = load_detector(NET, tmp_path / "kept")
    assert type(again) is type(detector)
    assert set(vars(again)) == set(vars(detector))
    assert torch.equal(again(ASKED), detector(ASKED))
    with pytest.raises(ValueError, match="exists already"):
        save_detector(detector, tmp_path / "kept")
    save_detector(detector, tmp_path / "kept", force=True)


def test_refuses(tmp_path: Path) -> None:
    place = tmp_path / "kept"
    save_detector(ReAct().fit(NET, KNOWN), place)
    other = small()
    other.get_parameter("6.bias").data += 1
    with pytest.raises(ValueError, match="was fitted on a classifier with other weights; fit it on this one"):
        load_detector(other, place)
    told = json.loads((place / "fitted.json").read_text())
    for change, message in (
        ({"kind": "reacts"}, "must be of kind knn or mahalanobis or react or vim, .* got 'reacts'; did you mean react"),
        ({"kind": "vim", "options": {}}, "vim must hold bias_, head_, origin_, residual_, scale_, weight_, got"),
        ({"options": {"share": 3}}, "is damaged .*share"),
        ({"learned": {"head_": 3}}, "react must hold"),
    ):
        (place / "fitted.json").write_text(json.dumps({**told, **change}))
        with pytest.raises(ValueError, match=message):
            load_detector(NET, place)
    (place / "fitted.json").write_text(json.dumps(told))
    (place / "fitted.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load_detector(NET, place)
    with pytest.raises(ValueError, match="is no saved knn or mahalanobis or react or vim"):
        load_detector(NET, tmp_path / "nowhere")
