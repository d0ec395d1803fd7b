"""Optimizers by name; what must not be decayed is not.

sgd       w -= eta g
momentum  v = mu v + g, w -= eta v                                B. Polyak, 1964
nesterov  v = mu v + g, w -= eta (g + mu v)                       Y. Nesterov, 1983; I. Sutskever et al., 2013
rmsprop   s = .9 s + .1 g^2, w -= eta g / (sqrt s + eps)          T. Tieleman, G. Hinton, 2012
adam      w -= eta m^ / (sqrt v^ + eps)                           D. Kingma, J. Ba, ICLR 2015
adamw     adam, and w -= eta lambda w                             I. Loshchilov, F. Hutter, ICLR 2019
adagrad   s += g^2, w -= eta g / (sqrt s + eps)                   J. Duchi et al., JMLR 2011
lbfgs     history 10, strong Wolfe line search; for full batches  D. Liu, J. Nocedal, 1989

torch's implementations; weight_decay is the lambda of gradient += lambda w (half of it is the gamma of a penalty
gamma sum w^2), decoupled for adamw. The plain forms stand in `pellucid.foundations`.
"""

import torch
from torch import nn

from pellucid.checks import check_choice, check_range

NAMES = ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "adagrad", "lbfgs")


def optimizer(
    name: str,
    module: nn.Module,
    *,
    lr: float,
    momentum: float = 0.9,
    beta1: float = 0.9,
    beta2: float = 0.999,
    weight_decay: float | None = None,
    decay_all: bool = False,
    fused: bool = True,
) -> torch.optim.Optimizer:
    """An optimizer over a module's parameters.

    Args:
        name: sgd, momentum, nesterov, rmsprop, adam, adamw, adagrad or lbfgs.
        module: its parameters that need gradients are taken.
        lr: learning rate, positive.
        momentum: mu of momentum and nesterov, in [0, 1).
        beta1: of adam and adamw, in [0, 1).
        beta2: of adam and adamw, in [0, 1).
        weight_decay: lambda, at least 0; None is 0.01 for adamw, and 0 for the others.
        decay_all: decay biases and norm parameters too; else only parameters of two dimensions and more.
        fused: update all in one go where torch can; must be False to clip gradients in 16-mixed.

    Raises:
        ValueError: an unknown name, an option out of range, or nothing to train.
    """
    check_choice("optimizer", name, NAMES)
    if not 0 < lr < float("inf"):
        raise ValueError(f"lr must be positive, got {lr}")
    for told, value in (("momentum", momentum), ("beta1", beta1), ("beta2", beta2)):
        if not 0 <= value < 1:
            raise ValueError(f"{told} must be in [0, 1), got {value}")
    if weight_decay is None:
        weight_decay = 0.01 if name == "adamw" else 0.0
    check_range("weight_decay", weight_decay, 0)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError("the module has no parameter that needs a gradient: nothing to train")
    if name == "lbfgs":
        if weight_decay:
            raise ValueError(f"weight_decay must be 0 with lbfgs, got {weight_decay}")
        return torch.optim.LBFGS(trained, lr=lr, history_size=10, line_search_fn="strong_wolfe")
    decayed = [parameter for parameter in trained if decay_all or parameter.ndim >= 2]
    spared = [parameter for parameter in trained if not decay_all and parameter.ndim < 2]
    groups = [
        {"params": parameters, "weight_decay": decay}
        for parameters, decay in ((decayed, weight_decay), (spared, 0.0))
        if parameters
    ]
    is_fused = fused and all(parameter.device.type in {"cpu", "cuda"} for parameter in trained)
    if name in {"sgd", "momentum", "nesterov"}:
        used = 0.0 if name == "sgd" else momentum
        return torch.optim.SGD(groups, lr=lr, momentum=used, nesterov=name == "nesterov", fused=is_fused)
    if name == "rmsprop":
        return torch.optim.RMSprop(groups, lr=lr, alpha=0.9)
    if name == "adagrad":
        return torch.optim.Adagrad(groups, lr=lr)
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    return kind(groups, lr=lr, betas=(beta1, beta2), fused=is_fused)
