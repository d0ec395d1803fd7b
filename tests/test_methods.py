import torch

from pellucid import explain
from pellucid.methods import methods, options, summary, taken, title


def noisy(model: object, images: object, *, samples: int = 3, generator: torch.Generator | None = None) -> None:
    """Do something at random.

    Args:
        samples: how many, at least 1.
    """


def test_a_method_is_offered_all_and_takes_what_it_knows() -> None:
    generator = torch.Generator()
    assert taken(noisy, {"layer": "a", "generator": generator}) == {"generator": generator}
    assert taken(explain.grad_cam, {"layer": "a", "generator": generator}) == {"layer": "a"}
    assert taken(explain.grad_cam, {"layer": None}) == {}
    assert taken(explain.saliency, {"layer": "a", "generator": generator}) == {}


def test_options_are_read_off_signature_and_docstring() -> None:
    (option,) = options(noisy)
    assert (option.name, option.default, option.annotation, option.told) == ("samples", 3, int, "how many, at least 1.")
    assert summary(noisy) == "Do something at random."


def test_titles_are_the_names_people_write() -> None:
    titles = {name: title(method) for name, method in methods(explain).items()}
    assert titles.items() >= {"grad_cam": "Grad-CAM", "guided_backprop": "Guided backpropagation"}.items()
    for name, told in titles.items():
        assert told != name, "the file's first line begins with the name and a colon"
        assert told[0].isupper()
        assert len(told) < 30
