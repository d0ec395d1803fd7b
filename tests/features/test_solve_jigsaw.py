"""A jigsaw is solved by what a network says of it, or of all its shuffles."""

import pytest
import torch
from torch import Tensor, nn

from pellucid.data import jigsaw
from pellucid.features import solve_jigsaw

EVERY = torch.arange(24)


class Reads(nn.Module):
    """Knows the answer where every quarter holds its number / 4: the logits of that permutation, `sure` and no other.

    With `blind`, it says nothing of a picture whose first quarter lies at its own place.
    """

    def __init__(self, *, sure: float = 9.0, blind: bool = False, outputs: int = 24) -> None:
        super().__init__()
        self.sure, self.blind, self.outputs = sure, blind, outputs
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        found = (images[:, 0, ::2, ::2] * 4).round().long().flatten(1)  # (N, 4): which quarter lies at each place
        logits = nn.functional.one_hot(jigsaw.label_of(found), 24) * self.sure
        if self.blind:
            logits = logits * (found[:, :1] != 0)
        return logits[:, : self.outputs].to(images.dtype)


def numbered() -> Tensor:
    """(1, 3, 4, 4)."""
    return (torch.tensor([[0, 0, 1, 1]] * 2 + [[2, 2, 3, 3]] * 2) / 4).expand(1, 3, 4, 4)


@pytest.mark.parametrize("voting", [False, True])
def test_a_network_that_knows_solves_all(voting: bool) -> None:
    shuffled = jigsaw.shuffle(numbered().expand(24, -1, -1, -1), EVERY)
    found = solve_jigsaw(Reads(), shuffled, voting=voting)
    assert torch.equal(found.labels, EVERY)
    assert torch.equal(found.images, numbered().expand(24, -1, -1, -1))
    expected = torch.eye(24) * 9
    torch.testing.assert_close(found.probabilities, expected.softmax(dim=1))


def test_votes_outdo_one_answer_where_the_network_is_blind() -> None:
    shuffled = jigsaw.shuffle(numbered(), EVERY[:1])  # the identity: the first quarter at its place
    alone = solve_jigsaw(Reads(blind=True), shuffled)
    torch.testing.assert_close(alone.probabilities, torch.full((1, 24), 1 / 24))
    voted = solve_jigsaw(Reads(blind=True), shuffled, voting=True)
    assert voted.labels.item() == 0
    sure = (torch.eye(24)[0] * 9).softmax(dim=0)
    torch.testing.assert_close(voted.probabilities[0], (18 * sure + 6 / 24) / 24)  # 18 of 24 do not begin with 0


def test_votes_are_the_mean_of_the_answers_in_a_plain_loop() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 24)).eval()
    image = torch.rand(1, 3, 4, 4)
    expected = torch.zeros(24)
    for again in range(24):
        answer = model(jigsaw.shuffle(image, torch.tensor([again]))).softmax(dim=1)[0]
        for label in range(24):
            one, other = jigsaw.permutation(torch.tensor([label, again])).tolist()
            product = torch.tensor([[one[place] for place in other]])
            expected[label] += answer[jigsaw.label_of(product)].item() / 24
    torch.testing.assert_close(solve_jigsaw(model, image, voting=True).probabilities[0], expected)


def test_refuses_other_networks_and_odd_sides() -> None:
    with pytest.raises(ValueError, match=r"model must have 24 outputs, one a permutation, got \(10,\): train one with"):
        solve_jigsaw(Reads(outputs=10), numbered())
    with pytest.raises(ValueError, match="images must have even sides"):
        solve_jigsaw(Reads(), torch.zeros(1, 3, 5, 4))
    with pytest.raises(ValueError, match="model must be in eval mode"):
        solve_jigsaw(Reads().train(), numbered())
