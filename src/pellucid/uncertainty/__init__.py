"""How sure a network is: samplers f(model, images) -> samples (S, N, K), and scores of samples or of images.

A score is higher the less an answer is to be trusted.
"""

from .mc_dropout import mc_dropout

__all__ = ["mc_dropout"]
