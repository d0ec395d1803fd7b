"""pellucid gallery."""

from pathlib import Path

from .calling import Call, content, pictures


def test_one_command_makes_the_page(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png", "b.png")
    words = ("--methods", "saliency,guided_backprop", "--made", "1", "--steps", "2")
    said = call("gallery", model_folder, "a.png", "b.png", "-o", "out", *words)
    assert (said.code, said.out, said.err) == (0, f"page: {place / 'out' / 'index.html'}\n", "")
    assert set(content(place / "out")) == {"index.html", "record.json"}
    again = call("gallery", model_folder, "a.png", "-o", "out", *words)
    assert (again.code, again.err) == (
        2,
        "pellucid: out exists already; choose another folder, or replace it with --force\n",
    )
    assert call("gallery", model_folder, "a.png", "-o", "out", *words, "--force").code == 0
