"""What was fitted comes back as it was, for the network it was fitted on and no other."""

import json
from pathlib import Path

import pytest
import torch

from pellucid.uncertainty.ood import Knn, Mahalanobis, ReAct, Vim, load_detector, save_detector
from pellucid.uncertainty.ood.saved import Fitted

from .nets import small, some_images, some_targets

NET, KNOWN, TARGETS = small(), some_images(60), some_targets(60)
ASKED = some_images(4, seed=7)

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
    with pytest.raises(ValueError, match="fitted on a network with other weights: fit it anew"):
        load_detector(other, place)
    told = json.loads((place / "detector.json").read_text())
    for change, message in (
        ({"detector": "reactor"}, "detector must be one of .*, got 'reactor'; did you mean react"),
        ({"detector": "vim", "options": {}}, "it must hold bias_, head_, origin_, residual_, scale_, weight_, got"),
        ({"options": {"share": 3}}, "share"),
        ({"learned": {"head_": 3}}, "it must hold"),
    ):
        (place / "detector.json").write_text(json.dumps({**told, **change}))
        with pytest.raises(ValueError, match=message):
            load_detector(NET, place)
    (place / "detector.json").write_text(json.dumps(told))
    (place / "learned.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        load_detector(NET, place)
    with pytest.raises(ValueError, match="not readable"):
        load_detector(NET, tmp_path / "nowhere")
