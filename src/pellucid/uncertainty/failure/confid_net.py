"""ConfidNet: a small net that learns how probable the true class is, from what the classifier saw.

C. Corbière, N. Thome, A. Bar-Hen, M. Cord, P. Pérez, "Addressing Failure Prediction by Learning Model Confidence",
NeurIPS 2019, sections 2.2 and 4.1. https://arxiv.org/abs/1910.04851
"""

import copy
import dataclasses
import math
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from pellucid.checks import check_choice, check_count, check_eval, check_range
from pellucid.data import Pixels
from pellucid.uncertainty import _fitted
from pellucid.uncertainty._features import Place, features_and_logits, place_of
from pellucid.uncertainty._pictures import Pictures, check_asked, check_classes, images_at, keys_of, labels_of

from ._learning import LOSSES, Branch, Lesson, Pace, learn
from .true_class_probability import without

PHASES = ("head", "both")

FEW_ERRORS = 50
"""Errors among the images learned from below which there is next to nothing to learn."""


class ConfidNet:
    """One minus the probability that a fitted head gives to the true class.

    The classifier is only read: its logits stay the same to the last bit. Phase "head" learns on its features; "both"
    then tunes a copy of the classifier below the head, whose answers nobody asks for. The best epoch is the one with
    the largest AUPR of errors on images held out from those fitted on. Best fitted on what the classifier was trained
    on, or, where it makes no errors there, on a labelled set of its own.

    Learned: head_; encoder_, the tuned copy (the classifier itself in phase "head"); place_, where the features are;
    epochs_, the best of each phase; images_ and errors_, how many it learned from; told_, what to be wary of; seen_
    (N, 16), keys of the images.

    Args:
        layer: dotted name whose output are the features; none takes what the last linear layer is given.
        hidden: units of a hidden layer, at least 1.
        depth: hidden layers, at least 1.
        phase: head, or both: the head, then head and a copy of the classifier together.
        loss: mse, bce or ranking (of pairs by their true class probability).
        error_weight: how much more an error counts in mse and bce than a right answer, above 0.
        epochs: of the first phase at most, at least 1.
        lr: Adam's learning rate in the first phase, above 0.
        tune_epochs: of the second phase at most, at least 1.
        tune_lr: Adam's learning rate in the second phase, above 0; the paper's lie from 1e-7 to 1e-5.
        patience: epochs without a better AUPR of errors after which a phase ends, at least 1; the paper waits all.
        batch_size: images an update, at least 1.
        validation: share of the images held out to choose the epoch, in [0.01, 0.5].
    """

    def __init__(
        self,
        *,
        layer: str | None = None,
        hidden: int = 400,
        depth: int = 4,
        phase: str = "head",
        loss: str = "mse",
        error_weight: float = 1.0,
        epochs: int = 500,
        lr: float = 1e-4,
        tune_epochs: int = 20,
        tune_lr: float = 1e-6,
        patience: int = 50,
        batch_size: int = 128,
        validation: float = 0.1,
    ) -> None:
        self.layer, self.hidden, self.depth = layer, hidden, depth
        self.phase, self.loss, self.error_weight = phase, loss, error_weight
        self.epochs, self.lr, self.tune_epochs, self.tune_lr = epochs, lr, tune_epochs, tune_lr
        self.patience, self.batch_size, self.validation = patience, batch_size, validation

    def fit(
        self,
        model: nn.Module,
        images: Pictures,
        targets: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> "ConfidNet":
        """Learn how probable the true class is.

        Warns of fewer than 50 errors among the images, and of none among those held out.

        Args:
            model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
            images: (N, C, H, W), float, in [0, 1]; or a labelled set in memory.
            targets: (N,), int64, in [0, K): the true classes; none with a set in memory.
            generator: of the first weights, the order and what is held out; none takes one of seed 0.

        Raises:
            ValueError: images or targets that are none, a layer that is not there, or an option out of range.
        """
        self._check()
        check_eval(model)
        labels = labels_of(images, targets)
        check_range("images", len(labels), 4)
        source = torch.Generator().manual_seed(0) if generator is None else generator
        place = place_of(model, images_at(images, torch.arange(1), model), self.layer)
        with torch.inference_mode(False), torch.enable_grad():
            features, logits = features_and_logits(model, images, place)
            check_classes(labels, logits.shape[1])
            labels = labels.to(logits.device)
            wrong = logits.argmax(dim=1) != labels
            wanted = 1 - without(logits, labels)
            lesson = Lesson(wanted.float(), wrong, *_parted(wrong, self.validation, source))
            told = _told(lesson)
            head = head_of(features.shape[1], self.hidden, self.depth, source).to(features.device)
            epochs = [self._learn_head(head, features, lesson, _seed(source))]
            encoder = model
            if self.phase == "both":
                encoder = copy.deepcopy(model)
                epochs.append(self._tune(head, (encoder, place), images, lesson, _seed(source)))
        self.model, self.head_, self.encoder_, self.place_ = model, head.requires_grad_(False), encoder, place
        self.epochs_, self.images_, self.errors_ = tuple(epochs), len(labels), int(wrong.sum())
        self.told_, self.seen_ = told, keys_of(images)
        for line in told:
            warnings.warn(line, stacklevel=2)
        return self

    def __call__(self, images: Pictures) -> Tensor:
        """Scores (N,), float32, in [0, 1]: one minus the confidence; higher = less to be trusted."""
        if not hasattr(self, "head_"):
            raise ValueError("ConfidNet must be fitted first: call fit(model, images, targets)")
        check_asked(self.model, images)
        with torch.no_grad():
            score: Tensor = (-self.head_(features_and_logits(self.encoder_, images, self.place_)[0])[:, 0]).sigmoid()
        return score

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write head, tuned copy and settings as safetensors and JSON into a new folder.

        Raises:
            ValueError: nothing was learned yet, or the folder may not be made.
        """
        if not hasattr(self, "head_"):
            raise ValueError("ConfidNet must be fitted before it is saved: call fit(model, images, targets)")
        told = {
            "options": self._options(),
            "place": dataclasses.asdict(self.place_),
            "features": int(self.head_[0].in_features),  # type: ignore[arg-type]
            "epochs": list(self.epochs_),
            "images": self.images_,
            "errors": self.errors_,
            "told": list(self.told_),
        }
        tensors = {f"head.{name}": value for name, value in self.head_.state_dict().items()}
        if self.encoder_ is not self.model:
            tensors |= {f"encoder.{name}": value for name, value in self.encoder_.state_dict().items()}
        _fitted.write(folder, "confid_net", self.model, told, {**tensors, "seen": self.seen_}, force=force)

    @classmethod
    def load(cls, folder: str | Path, model: nn.Module) -> "ConfidNet":
        """Read what was saved, for the classifier it was fitted on.

        Args:
            folder: as `save` wrote it.
            model: the classifier, with the same weights; in eval mode.

        Raises:
            ValueError: the folder is no saved ConfidNet, is damaged, or was fitted on another classifier.
        """
        told, tensors = _fitted.read(folder, "confid_net", model)
        with _fitted.read_errors(folder):
            net = cls(**told["options"])
            net._check()
            head = head_of(told["features"], net.hidden, net.depth, torch.Generator().manual_seed(0))
            net.place_ = Place(**told["place"])
            net.epochs_, net.told_ = tuple(told["epochs"]), tuple(told["told"])
            net.images_, net.errors_, net.seen_ = told["images"], told["errors"], tensors["seen"]
        net.model, net.encoder_ = model, model
        if net.phase == "both":
            net.encoder_ = copy.deepcopy(model)
            _fitted.put(net.encoder_, tensors, "encoder.", folder)
        _fitted.put(head, tensors, "head.", folder)
        first = next(model.parameters(), None)
        net.head_ = head.to(None if first is None else first.device).requires_grad_(False).eval()
        return net

    def _learn_head(self, head: nn.Sequential, features: Tensor, lesson: Lesson, seed: int) -> int:
        branch = Branch(head, loss=self.loss, error_weight=self.error_weight)
        pace = Pace(self.epochs, self.lr, self.batch_size, self.patience, seed)
        held = features[lesson.held]
        return learn(branch, lambda rows: features[rows], lambda: head(held)[:, 0], lesson, pace)

    def _tune(
        self, head: nn.Sequential, copied: tuple[nn.Module, Place], images: Pictures, lesson: Lesson, seed: int
    ) -> int:
        """Head and encoder together; the head as the first phase left it is the epoch 0."""
        encoder, place = copied
        encoder.requires_grad_(True)
        branch = Branch(head, loss=self.loss, error_weight=self.error_weight, encoder=encoder, place=place)
        pace = Pace(self.tune_epochs, self.tune_lr, self.batch_size, self.patience, seed)
        rows = lesson.held.cpu()
        held = images.subset(rows) if isinstance(images, Pixels) else images_at(images, rows, encoder)

        def judged() -> Tensor:
            logits: Tensor = head(features_and_logits(encoder, held, place)[0])[:, 0]
            return logits

        best = learn(branch, lambda some: images_at(images, some, encoder), judged, lesson, pace, is_start_kept=True)
        encoder.requires_grad_(False)
        return best

    def _options(self) -> dict[str, object]:
        names = ("layer", "hidden", "depth", "phase", "loss", "error_weight", "epochs", "lr", "tune_epochs", "tune_lr")
        return {name: getattr(self, name) for name in (*names, "patience", "batch_size", "validation")}

    def _check(self) -> None:
        check_choice("phase", self.phase, PHASES)
        check_choice("loss", self.loss, LOSSES)
        for name in ("hidden", "depth", "epochs", "tune_epochs", "patience", "batch_size"):
            check_count(name, getattr(self, name), 1)
        for name in ("error_weight", "lr", "tune_lr"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        check_range("validation", self.validation, 0.01, 0.5)


def head_of(features: int, hidden: int, depth: int, generator: torch.Generator) -> nn.Sequential:
    """Linear layers with ReLU between them, features -> hidden (depth times) -> 1, drawn as torch draws them."""
    layers: list[nn.Module] = []
    for inputs, outputs in [(features, hidden), *[(hidden, hidden)] * (depth - 1), (hidden, 1)]:
        linear: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for parameter in linear.parameters():
                drawn = torch.rand(parameter.shape, generator=generator, device=generator.device)
                parameter.copy_((2 * drawn - 1) / math.sqrt(inputs))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _parted(wrong: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows learned from and rows held out, each with its share of the errors; of two errors at least one is held."""
    learned, held = [], []
    for rows in (wrong.nonzero()[:, 0], (~wrong).nonzero()[:, 0]):
        order = torch.randperm(len(rows), generator=generator, device=generator.device).to(rows.device)
        count = min(len(rows) - 1, max(1, round(share * len(rows)))) if len(rows) else 0
        held.append(rows[order[:count]])
        learned.append(rows[order[count:]])
    return torch.cat(learned).sort().values, torch.cat(held).sort().values


def _told(lesson: Lesson) -> tuple[str, ...]:
    """What to be wary of."""
    errors, images = int(lesson.wrong.sum()), len(lesson.wrong)
    lines = []
    if errors < FEW_ERRORS:
        lines.append(
            f"only {errors} errors among the {images} images learned from: fewer than {FEW_ERRORS} teach next to "
            "nothing; fit on labelled images that the classifier was not trained on"
        )
    held = lesson.wrong[lesson.held]
    if int(held.sum()) in {0, len(held)}:
        lines.append(
            f"{int(held.sum())} errors among the {len(held)} images held out: the loss chooses the epoch, not the AUPR"
        )
    return tuple(lines)


def _seed(source: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=source, device=source.device))
