from itertools import product

import pytest
import torch

from pellucid.foundations.gates import AND, NAND, NOT, OR, all_inputs, fires, gate_network


@pytest.mark.parametrize(
    ("weights", "answers"),
    [(OR, [0, 1, 1, 1]), (AND, [0, 0, 0, 1]), (NAND, [1, 1, 1, 0])],
    ids=["or", "and", "nand"],
)
def test_gates_of_two_inputs(weights: tuple[float, ...], answers: list[int]) -> None:
    assert fires(weights, all_inputs(2)).tolist() == answers


def test_not_and_the_turned_signs_of_nand() -> None:
    assert fires(NOT, all_inputs(1)).tolist() == [1, 0]
    assert tuple(-weight for weight in AND) == NAND


def test_the_inputs_count_upwards_in_binary() -> None:
    assert all_inputs(2).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert all_inputs(4)[11].tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_two_layers_answer_every_table(count: int) -> None:
    inputs = all_inputs(count)
    for answers in product((0.0, 1.0), repeat=2**count):
        network = gate_network(torch.tensor(answers))
        assert network(inputs).tolist() == list(answers)
        assert len(network.hidden) == sum(answers)
        assert network.fired(inputs).sum(dim=0).tolist() == [1] * int(sum(answers)), "each gate knows its row only"


def test_a_table_of_four_inputs() -> None:
    answers = torch.rand(16, generator=torch.Generator().manual_seed(0)).round()
    assert torch.equal(gate_network(answers)(all_inputs(4)), answers.double())


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"table must have 2, 4, 8 or 16 answers, one for each row, got shape \(3,\)"):
        gate_network(torch.zeros(3))
    with pytest.raises(ValueError, match=r"table must be 0 or 1, got 0.5"):
        gate_network(torch.tensor([0.0, 0.5]))
    with pytest.raises(ValueError, match=r"inputs must be 0 or 1, got -1"):
        fires(OR, torch.tensor([[0.0, -1.0]]))
    with pytest.raises(ValueError, match=r"inputs must be in \[1, 4\], got 5"):
        all_inputs(5)
