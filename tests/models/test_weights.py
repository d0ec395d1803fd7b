import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pellucid.models import weights_hash
from pellucid.models.weights import no_larger_than, put_weights, read_weights, sha256, write_weights


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


STATE: dict[str, Tensor] = net().state_dict()


class Leaves:
    """Writes a file when it is unpickled: what code in a weights file could do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


def saved(value: Any, *, new: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=new)
    return buffer.getvalue()


def test_safetensors_and_pt_give_the_same_tensors(tmp_path: Path) -> None:
    state = net().state_dict()
    save_file(state, tmp_path / "a.safetensors")
    for name, content in (
        ("b.pt", saved(state)),
        ("c.pth", saved(state, new=False)),
        ("d.pt", saved({"epoch": 3, "state_dict": state})),
        ("e.pt", saved({"model": state})),
        ("f.pt", saved({f"module.{key}": value for key, value in state.items()})),
    ):
        (tmp_path / name).write_bytes(content)
    for path in tmp_path.iterdir():
        found = read_weights(path)
        assert set(found) == set(state)
        assert all(torch.equal(found[key], state[key]) for key in state), path.name


@pytest.mark.parametrize("form", ["zip", "legacy", "raw", "raw protocol 5", "inside"])
def test_code_in_a_pickle_does_not_run(tmp_path: Path, form: str) -> None:
    trace = tmp_path / "it ran"
    evil = Leaves(trace)
    content = {
        "zip": lambda: saved(evil),
        "legacy": lambda: saved(evil, new=False),
        "raw": lambda: pickle.dumps(evil, protocol=2),
        "raw protocol 5": lambda: pickle.dumps(evil, protocol=5),
        "inside": lambda: saved({**STATE, "extra": evil}),
    }[form]()
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"is damaged, or holds Python objects besides tensors, which could run"
    ) as told:
        read_weights(path)
    assert "\n" not in str(told.value)
    assert not trace.exists()
    pickle.loads(pickle.dumps(evil))
    assert trace.exists()  # the trap itself works


def test_a_whole_pickled_module_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(saved(net()))
    with pytest.raises(ValueError, match=r"net.pt: is damaged, or holds .*; save the network's state_dict\(\) instead"):
        read_weights(tmp_path / "net.pt")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pt", b"", "not a readable PyTorch weights file"),
        ("a.pt", b"hello world, no pickle at all", "not a readable PyTorch weights file"),
        ("a.pt", saved({"a": torch.ones(99)})[:-40], "not a readable PyTorch weights file .PytorchStreamReader failed"),
        ("a.pt", saved({"a": torch.ones(99)}, new=False)[:60], "a.pt: (not a readable|is damaged)"),
        ("a.pt", saved([torch.ones(1)]), r"must hold a state dict \(name -> tensor\)"),
        ("a.pt", saved({}), r"must hold a state dict"),
        ("a.pt", saved({"a": 1.0}), r"must hold a state dict"),
        ("a.pt", saved({"state_dict": {"a": "b"}}), r"must hold a state dict"),
        ("a.safetensors", b"", "not a readable safetensors file"),
        ("a.safetensors", b"\xff" * 64, "not a readable safetensors file"),
        ("a.bin", b"", "weights must be a .safetensors, .pt or .pth file"),
    ],
)
def test_refuses_a_file(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as told:
        read_weights(tmp_path / name)
    assert "\n" not in str(told.value)


def test_refuses_a_truncated_safetensors_and_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(net().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        read_weights(path)
    with pytest.raises(ValueError, match=r"nowhere.pt: no such weights file"):
        read_weights(tmp_path / "nowhere.pt")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_brought_to_the_networks_own(dtype: torch.dtype) -> None:
    source, target = net(), net()
    state = {key: value.to(dtype) if value.is_floating_point() else value for key, value in source.state_dict().items()}
    put_weights(target, state, "w")
    assert {p.dtype for p in target.parameters()} == {torch.float32}
    left, right = (found.get_parameter("0.weight") for found in (target, source))
    assert torch.equal(left, right.to(dtype).float())


def test_the_batch_count_of_a_norm_may_be_missing() -> None:
    state = net().state_dict()
    del state["1.num_batches_tracked"]
    put_weights(net(), state, "w")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, r"w: its tensors do not fit the architecture: 6 missing \(first: 0.bias\)"),
        ({**STATE, "2.bias": torch.ones(1)}, r"do not fit the architecture: 1 unknown \(first: 2.bias\)"),
        (
            {key.replace("weight", "wieght"): value for key, value in STATE.items()},
            r"2 missing \(first: 0.weight\), 2 unknown \(first: 0.wieght\); did you mean 0.wieght\?",
        ),
        ({**STATE, "0.weight": torch.ones(2, 4)}, r"w: 0.weight must have shape \(2, 3\), got \(2, 4\)"),
        ({**STATE, "0.bias": torch.tensor(1.0)}, r"w: 0.bias must have shape \(2,\), got \(\)"),
        ({**STATE, "0.bias": torch.ones(2).int()}, r"w: 0.bias must be torch.float32, got torch.int32"),
        ({**STATE, "0.bias": torch.ones(2) + 1j}, "w: 0.bias must be torch.float32, got torch.complex64"),
        ({**STATE, "1.num_batches_tracked": torch.tensor(1.0)}, "must be torch.int64, got torch.float32"),
        ({**STATE, "0.bias": torch.tensor([1, torch.nan])}, "w: 0.bias holds NaN or infinite values"),
        ({**STATE, "0.bias": torch.tensor([1, -torch.inf])}, "w: 0.bias holds NaN or infinite values"),
        (
            {**STATE, "0.bias": torch.tensor([1, 1e300], dtype=torch.float64)},
            "0.bias holds .*too large for torch.float32",
        ),
        ({**STATE, "0.bias": torch.ones(2).to_sparse()}, "0.bias must be a plain dense tensor, got .*sparse"),
        ({**STATE, "0.bias": torch.ones(2, device="meta")}, "0.bias must be a plain dense tensor"),
    ],
)
def test_refuses_weights_that_do_not_fit(state: dict[str, Tensor], message: str) -> None:
    target = net()
    before = weights_hash(target)
    with pytest.raises(ValueError, match=message):
        put_weights(target, state, "w")
    assert weights_hash(target) == before  # nothing is put in halfway


def test_the_hash_tells_every_change() -> None:
    one = net()
    same = weights_hash(net())
    assert weights_hash(one) == same
    with torch.no_grad():
        one.get_parameter("0.weight")[0, 0] += 1e-6
    assert weights_hash(one) != same
    renamed = nn.Sequential(nn.Identity(), *net())
    assert weights_hash(renamed) != same
    assert weights_hash(net().double()) != same
    statistics = net()
    statistics.get_buffer("1.running_mean").add_(1)
    assert weights_hash(statistics) != same


def test_the_hash_does_not_depend_on_the_layout_in_memory() -> None:
    one, two = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
    two.load_state_dict(one.state_dict())
    assert weights_hash(one) == weights_hash(two.to(memory_format=torch.channels_last))


def test_sha256_is_the_standards(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_network_larger_than_its_file_is_not_built() -> None:
    with no_larger_than(9):
        nn.Linear(3, 3, bias=False)
    with (
        pytest.raises(ValueError, match=r"more parameters than its weights file can hold \(9 bytes\)"),
        no_larger_than(9),
    ):
        nn.Linear(2**28, 1)
    nn.Linear(5, 5)


def test_written_tensors_come_back_and_others_may_read_the_file(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    tied = torch.arange(6.0).view(2, 3)
    write_weights(file, {"a": tied, "b": tied.T})  # of one storage, and not contiguous
    found = read_weights(file)
    torch.testing.assert_close(found, {"a": tied, "b": tied.T.contiguous()})
    (tmp_path / "plain").touch()
    assert file.stat().st_mode == (tmp_path / "plain").stat().st_mode
