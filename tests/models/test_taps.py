import pytest
import torch
from torch import Tensor, nn

from pellucid.models.taps import Tap


def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 3), nn.ReLU(inplace=True), nn.Linear(3, 2)).eval()


ROWS = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


def test_reads_layers_before_anything_changes_them() -> None:
    asked = net()
    found = Tap(asked, ["0", "2"])(ROWS)
    torch.testing.assert_close(found, {"0": asked[0](ROWS), "2": asked(ROWS)})
    assert found["0"].min() < 0  # the ReLU behind it works in place


def test_keeps_what_is_read() -> None:
    asked = net()
    tap = Tap(asked, ["0"], read=lambda place, output: output.sum(dim=1) + len(place))
    for _ in range(2):  # the second pass ends early
        torch.testing.assert_close(tap(ROWS)["0"], asked[0](ROWS).sum(dim=1) + 1)


def test_later_passes_end_behind_the_last_layer_wanted() -> None:
    asked, passed = net(), []
    asked[2].register_forward_hook(lambda *_: passed.append(1))
    tap = Tap(asked, ["0"])
    for _ in range(3):
        tap(ROWS)
    assert len(passed) == 1


def test_several_outputs_are_named() -> None:
    class Two(nn.Module):
        def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
            return rows + 1, rows + 2

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.two = Two()

        def forward(self, rows: Tensor) -> Tensor:
            found: Tensor = self.two(rows)[0]
            return found

    torch.testing.assert_close(Tap(Net(), ["two[1]"])(ROWS)["two[1]"], ROWS + 2)
    with pytest.raises(ValueError, match=r"layer 'two' puts out 2 things, say which: two\[0\], two\[1\]"):
        Tap(Net(), ["two"])(ROWS)
