"""Formula: what a small exact function computes, as its docstring writes it."""

import inspect
import re
from textwrap import dedent

from pellucid.methods import Method


def formula(method: Method) -> str:
    """The lines a docstring has under "Formula:".

    Args:
        method: a function of this room, such as `optimizers.adam`.

    Returns:
        One or more lines of text; g is the gradient, w the weights, other letters are named in the docstring.

    Raises:
        ValueError: the docstring writes no formula.
    """
    found = re.search(r"^Formula:\n((?:    .+\n|\n)+)", (inspect.getdoc(method) or "") + "\n", re.MULTILINE)
    if found is None:
        raise ValueError(f"method must have a formula in its docstring, got {method.__name__}, which has none")
    return dedent(found[1]).strip()
