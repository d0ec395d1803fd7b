"""What the family promises of its face."""

import inspect
import pkgutil

import pytest

from pellucid import visualize
from pellucid.methods import Method, methods, options, title

each = pytest.mark.parametrize("method", methods(visualize).values(), ids=list(methods(visualize)))


def test_the_face_is_the_folder() -> None:
    names = sorted(m.name for m in pkgutil.iter_modules(visualize.__path__) if m.name[0] != "_")
    assert list(methods(visualize)) == names == ["activations", "class_image", "filters", "neuron", "patches"]


@each
def test_every_option_is_told_in_one_line(method: Method) -> None:
    for option in options(method):
        assert option.told, option.name
    assert title(method)
    kinds = {str(p.annotation) for p in inspect.signature(method).parameters.values() if p.kind is p.KEYWORD_ONLY}
    assert not any("Any" in kind or "dict" in kind for kind in kinds)


def test_neuron_and_class_image_climb_with_the_same_options() -> None:
    own = {"layer", "unit", "objective"}
    first, second = (
        {o.name: (o.default, o.annotation, o.told) for o in options(method) if o.name not in own}
        for method in (visualize.neuron, visualize.class_image)
    )
    assert first == second
