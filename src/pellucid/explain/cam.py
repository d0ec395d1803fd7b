"""CAM: the maps a network pools for its last layer, weighted as that layer weighs them.

B. Zhou, A. Khosla, A. Lapedriza, A. Oliva, A. Torralba, "Learning Deep Features for Discriminative Localization",
CVPR 2016, section 2. https://arxiv.org/abs/1512.04150
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.checks import Targets, check_question
from pellucid.models import Score, evaluate, scorer, unvaried
from pellucid.models.probes import calls, first_tensor

from ._cam import At, from_layers

IDLE = (nn.Dropout, nn.Identity)
"""Modules that do nothing in eval mode."""


def cam(
    model: nn.Module,
    images: Tensor,
    targets: Targets,
    *,
    layer: str | None = None,
    grid: str = "",
    relu: bool = False,
) -> Tensor:
    """What each position of the last maps adds to the target's logit, in a network of global pooling and one layer.

    The maps are those whose mean (sum or maximum) goes into the last fully connected layer, behind a ReLU where the
    network has one there; or, in a network that ends in a convolution and a global pooling, the map of the class. That
    they give the logits is verified on the images. A callable target is explained by the weights of the score it
    forms of the logits, to first order.

    Args:
        model: maps (N, C, H, W) in [0, 1] to logits (N, K); in eval mode, left untouched.
        images: (N, C, H, W), float, in [0, 1].
        targets: (N,), int64, the class to explain for each image; or a callable outputs -> (N,).
        layer: dotted name of the layer that is pooled, or several with commas; found by itself when none is given.
        grid: sides of a layer's grid of tokens as HxW, such as 14x14, where it is not found by itself.
        relu: keep only evidence for the target; the paper keeps the evidence against it.

    Returns:
        (N, H, W), dtype and device of images, bilinearly enlarged from (h, w); positive: evidence for the target.
        In logits: with mean pooling the mean over (h, w), with sum pooling the sum, is the logit less its bias.

    Raises:
        ValueError: an argument is out of its range, the model is training, or its logits are not one linear layer
            of globally pooled maps.
    """
    check_question(model, images, targets)
    score = scorer(targets)

    def see(at: At) -> Tensor:
        tail = _Tail(at, is_given=layer is not None)

        def read(outputs: Any, rows: Tensor) -> Tensor:
            slopes = _slopes(score, outputs, rows)  # (R, K)
            maps, weight, bias = tail.head(outputs)
            pooled = tail.verified(maps, weight, bias, outputs)  # (R, C, h, w)
            return torch.einsum("rc,rchw->rhw", slopes @ weight, pooled)

        with calls(model, lambda *_: None, tail.after):
            return evaluate(model, unvaried(images), read)[0]

    return from_layers(model, images, layer, grid, see, relu=relu)


def _slopes(score: Score, outputs: Any, rows: Tensor) -> Tensor:
    """How much each score wants of each logit, (R, K): a class of its own logit alone, one."""
    with torch.inference_mode(False), torch.enable_grad():
        logits = outputs.clone().requires_grad_() if isinstance(outputs, Tensor) else outputs
        value = score(logits, rows)
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            raise ValueError("a class activation map needs logits (N, K): use grad_cam")
        if not value.requires_grad:
            raise ValueError("the score does not depend on the logits: is there a detach or an argmax inside?")
        return torch.autograd.grad(value.sum(), logits)[0]


@dataclass
class _Tail:
    """What the last pass showed of a layer and of the modules behind it."""

    at: At
    is_given: bool  # whether the caller named the layer; otherwise maps behind it will do
    output: Tensor | None = None  # the layer's, as it was before what follows works in place
    behind: list[tuple[str, nn.Module]] = field(default_factory=list)  # leaves that ran behind it, in order
    last: tuple[nn.Linear | nn.Conv2d, Tensor] | None = None  # the last of these, and its output

    def after(self, name: str, module: nn.Module, output: Any) -> None:
        found = first_tensor(output)
        if name == self.at[0] and found is not None:
            self.output, self.last = found.clone(), None
            self.behind.clear()
        elif self.output is not None and next(module.children(), None) is None and not isinstance(module, IDLE):
            self.behind.append((name, module))
            if isinstance(module, nn.Linear | nn.Conv2d) and found is not None:
                self.last = module, found.clone()

    def head(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps (R, C, h, w), and the weight (K, C) and bias (K,) that make logits of what is pooled of them."""
        assert self.output is not None, "find_grid has seen the layer run"
        maps, classes = self.at[1].maps(self.output), outputs.shape[1]
        if self.last is not None:
            module, output = self.last
            weight = module.weight.detach().to(outputs)
            is_pooled = output.ndim == 2 or output[0, 0].numel() == 1  # what it is given; a convolution may end a net
            if is_pooled and weight[0].numel() == maps.shape[1] and len(weight) == classes:
                bias = outputs.new_zeros(classes) if module.bias is None else module.bias.detach().to(outputs)
                return maps, weight.flatten(1), bias
            if not self.is_given and isinstance(module, nn.Conv2d):
                maps = output
        if maps.shape[1] != classes:
            raise self.refusal()
        return maps, torch.eye(classes).to(outputs), outputs.new_zeros(classes)

    def verified(self, maps: Tensor, weight: Tensor, bias: Tensor, outputs: Tensor) -> Tensor:
        """The maps as they are pooled, (R, C, h, w): as they are, or behind a ReLU; each row must give its logits."""
        is_coarse = torch.finfo(outputs.dtype).eps > 1e-6
        most = (3e-2 if is_coarse else 1e-3) * (outputs - bias).abs().amax(dim=1)  # (R,)
        found, fits = maps, torch.zeros_like(most, dtype=torch.bool)
        for shown in (maps, maps.relu()):
            flat = shown.flatten(2)
            for pooled in (flat.mean(dim=2), flat.sum(dim=2), flat.amax(dim=2)):
                new = ~fits & ((pooled @ weight.T + bias - outputs).abs().amax(dim=1) <= most)
                found, fits = torch.where(new[:, None, None, None], shown, found), fits | new
        if not fits.all():
            raise self.refusal()
        return found

    def refusal(self) -> ValueError:
        """Names the modules behind the layer; of many the first and the last."""
        told = [f"{name} ({type(module).__name__})" for name, module in self.behind]
        told = [*told[:3], "...", *told[-3:]] if len(told) > 6 else told
        return ValueError(
            f"layer {self.at[0]!r} is not followed by a global pooling and one linear layer alone, but by "
            f"{', '.join(told) or 'no module'}: use grad_cam, or train such a head"
        )
