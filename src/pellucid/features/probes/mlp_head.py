"""MLP head: a small network on features, as it would stand behind the trunk.

D. Rumelhart, G. Hinton, R. Williams, "Learning Representations by Back-propagating Errors", Nature 323, 1986.
https://doi.org/10.1038/323533a0
N. Srivastava et al., "Dropout", JMLR 15, 2014. https://jmlr.org/papers/v15/srivastava14a.html
"""

from collections.abc import Hashable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.checks import check_count, check_range
from pellucid.data import split_indices
from pellucid.features.normaliser import Normaliser, Rows
from pellucid.training import Classify, Stopping, fit, optimizer

from ._labelled import Labelled, asked, labelled

AT_ONCE = 4096
"""Rows a pass when asked."""


class MLPHead:
    """Linear, ReLU, dropout; the same again; linear: trained by Adam, the weights of the best validation loss kept.

    Learned: network_, in eval mode; epochs_, list of (train loss, validation loss, validation accuracy) of each epoch;
    best_epoch_, from 1; classes_ (K,), int64; normaliser_.

    Args:
        first: width of the first hidden layer, at least 1.
        second: width of the second, at least 1.
        dropout: share of hidden values dropped while training, in [0, 1).
        lr: learning rate, positive.
        batch_size: rows a step, at least 1.
        epochs: passes over the training rows, at least 1.
        patience: epochs without a smaller validation loss after which it ends, at least 1.
        validation: share of the rows held out to choose the epoch, in (0, 1), every class in proportion.
        normalise: none, l2, standard or minmax; learned from the rows fitted on.
    """

    def __init__(
        self,
        *,
        first: int = 1024,
        second: int = 512,
        dropout: float = 0.2,
        lr: float = 1e-3,
        batch_size: int = 32,
        epochs: int = 20,
        patience: int = 5,
        validation: float = 0.2,
        normalise: str = "none",
    ) -> None:
        for name, value in (("first", first), ("second", second), ("batch_size", batch_size), ("epochs", epochs)):
            check_count(name, value, 1)
        check_count("patience", patience, 1)
        check_range("dropout", dropout, 0, 1)
        if dropout == 1 or not 0 < validation < 1:
            raise ValueError(f"dropout must be below 1 and validation in (0, 1), got {dropout} and {validation}")
        self.first, self.second, self.dropout = first, second, dropout
        self.lr, self.batch_size, self.epochs, self.patience = lr, batch_size, epochs, patience
        self.validation = validation
        self.normalise = normalise

    def fit(
        self,
        features: Rows,
        targets: Tensor,
        *,
        contents: Sequence[Hashable] | None = None,
        generator: torch.Generator | None = None,
    ) -> "MLPHead":
        """Learn from training rows.

        Args:
            features: (N, D), float, finite.
            targets: (N,), whole numbers, at least two different ones.
            contents: a key a row, equal for equal pictures, which then are all held out or all learned from.
            generator: of first weights, held-out rows, order and dropout, on the CPU; None takes one of seed 0.

        Raises:
            ValueError: features or targets are not so, or too few to hold some out.
        """
        known = labelled(features, targets)
        source = torch.Generator().manual_seed(0) if generator is None else generator
        split = split_indices(known.numbers.cpu(), val=self.validation, test=0.0, contents=contents, generator=source)
        if not len(split.val):
            raise ValueError(
                f"validation must leave a row to choose the epoch by, got {self.validation} of {len(known.rows)}"
            )
        self.normaliser_ = Normaliser(self.normalise).fit(known.rows[split.train])
        self.classes_ = known.classes
        rows = Labelled(self.normaliser_.transform(known.rows), known.classes, known.numbers)
        devices = [known.rows.device.index] if known.rows.is_cuda else []
        with torch.random.fork_rng(devices):  # first weights and dropout draw from torch's own generator
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=source)))
            self._train(rows, split.train, split.val, source)
        return self

    def scores(self, features: Rows) -> Tensor:
        """Logits (N, K), float32.

        Raises:
            ValueError: not fitted yet, or features are no finite matrix of the dimension fitted on.
        """
        rows = asked(self, features)
        with torch.no_grad():
            return torch.cat([self.network_(part) for part in torch.split(rows, AT_ONCE)])

    def predict(self, features: Rows) -> Tensor:
        """The most probable label, (N,), int64."""
        numbers = self.scores(features).argmax(dim=1)
        return self.classes_.to(numbers.device)[numbers]

    def _train(self, known: Labelled, train: Tensor, val: Tensor, source: torch.Generator) -> None:
        network = head(known.rows.shape[1], len(known.classes), self.first, self.second, self.dropout).to(
            known.rows.device
        )

        def batches(_epoch: int, _skip: int) -> Iterator[tuple[Tensor, Tensor]]:
            for chosen in torch.split(train[torch.randperm(len(train), generator=source)], self.batch_size):
                yield known.rows[chosen], known.numbers[chosen]

        stopping = Stopping("val_loss", patience=self.patience)
        best, self.epochs_ = {}, []
        for record in fit(Classify(network), batches, optimizer("adam", network, lr=self.lr), epochs=self.epochs):
            loss, accuracy = _judged(network, known.rows[val], known.numbers[val])
            self.epochs_.append((record.values["loss"], loss, accuracy))
            if stopping.is_better(record.epoch, {"val_loss": loss}):
                best = {name: value.clone() for name, value in network.state_dict().items()}
                self.best_epoch_ = record.epoch
            if stopping.is_over:
                break
        network.load_state_dict(best)
        self.network_ = network.eval()


def head(dimension: int, classes: int, first: int, second: int, dropout: float) -> nn.Sequential:
    """The network: D to first to second to K."""
    return nn.Sequential(
        nn.Linear(dimension, first),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(second, classes),
    )


@torch.no_grad()
def _judged(network: nn.Module, rows: Tensor, numbers: Tensor) -> tuple[float, float]:
    """Mean cross-entropy in nats, and accuracy; `fit` sets the network to training again."""
    logits = network.eval()(rows)
    return float(F.cross_entropy(logits, numbers)), float((logits.argmax(dim=1) == numbers).float().mean())
