import re

import pytest

from pellucid.foundations.lessons import convolution


def test_the_worked_example_is_told_with_every_number() -> None:
    said = convolution(row=0, column=4).text()
    assert "1·1 + 0·0 + 0·0 + 1·1 = 2\n   2 - 1 = 1, ReLU: 1" in said
    blocks = [
        "2 0 0 1 2    1 0 0 0 1",  # q1 and z1
        "0 2 1 0 0    0 1 0 0 0",
        "0 0 1 2 0    0 0 0 1 0",
        "1 0 0 0 2    0 0 0 0 1",
        "2 0 0 0 1    1 0 0 0 0",  # the last rows of q2 and z2
        "0 1 2 1 0    0 0 1 0 0",  # the third of q3 and z3
        "2 0 2    1 0 1",  # stride 2
        "0 2 0    0 1 0",
    ]
    for line in blocks:
        assert f"   {line}\n" in f"{said}\n"


def test_the_options_reach_the_numbers() -> None:
    told = convolution(image="1 -0.5 / 0 2", kernels="1 2 / 3 4", bias=0.5, mode="convolution", padding="full")
    assert "kernel w1, flipped on both axes" in told.text()
    assert re.search(r"0·4 \+ 0·3 \+ 0·2 \+ 1·1 = 1", told.text())
    assert told.facts[1].value == "1 x 3 x 3"
    assert convolution(padding="2").facts[1].value == "3 x 8 x 9"


@pytest.mark.parametrize("padding", ["valid", "same", "full", "1"])
def test_twice_the_stride_keeps_every_second_window_whatever_the_padding(padding: str) -> None:
    """Also where the image is padded to keep its side: the windows do not move."""
    found = convolution(kernels="123/456/789", bias=0, padding=padding).steps
    whole, half = (
        [line.split("    ")[0].split() for line in step.rpartition("\nq1 ")[2].splitlines()[1:]] for step in found[1:]
    )
    assert half == [row[::2] for row in whole[::2]]


def test_an_image_of_zeros_has_a_spectrum_too() -> None:
    found = convolution(image="000/000/000", kernels="11/11")
    assert not [one.title for one in found.sections if "nan)" in one.body]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"image": "10/0"}, "image must have rows of one length, got 2, 1"),
        ({"kernels": "1a"}, 'kernels must be rows such as "10/01"'),
        ({"kernels": "1, 11"}, "kernels must have one size, got 1 x 1, 1 x 2"),
        ({"kernels": ""}, "kernels must have rows of one length, got 0"),
        ({"row": 4}, r"row must be in \[0, 3\], got 4"),
        ({"padding": "-1"}, "padding must be valid, same, same_ceil, full or a number, got '-1'"),
        ({"bias": float("nan")}, "bias must be finite"),
    ],
)
def test_refusals(options: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        convolution(**options)  # type: ignore[arg-type]
