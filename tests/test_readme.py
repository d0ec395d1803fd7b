"""What README and quick start show runs as written, as far as it needs nothing but the demo."""

import re
import shlex
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch

from pellucid.cli import VERBS, main
from pellucid.foundations import lessons

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "docs/quickstart.md",
    "docs/looking-inside.md",
    "docs/breaking.md",
    "docs/how-sure.md",
    "docs/reuse.md",
    "docs/foundations.md",
    "docs/training.md",
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    assert main(["demo", "--epochs", "1", "-o", str(folder / "demo")]) == 0
    return folder


def blocks(name: str, language: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_the_python_example_runs(
    demo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(demo)
    (example,) = blocks("README.md", "python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 11
    exec(compile(example, "README.md", "exec"), {"__name__": "readme"})
    assert "Interval(" in capsys.readouterr().out
    assert (demo / "report" / "index.html").is_file()


def test_the_commands_on_the_demo_run(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo)
    shown = [line for block in blocks("docs/quickstart.md", "sh") for line in block.splitlines() if "demo/run" in line]
    assert len(shown) == 4
    for line in shown:
        assert main(shlex.split(line)[1:]) == 0


def test_the_examples_of_looking_inside_run(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo)
    told: dict[str, object] = {}
    for example in blocks("docs/looking-inside.md", "python"):
        exec(compile(example, "looking-inside.md", "exec"), told)
    shapes = {name: tuple(value.shape) for name, value in told.items() if isinstance(value, torch.Tensor)}
    assert shapes["maps"] == (4, 2, *shapes["heat"][1:])
    assert shapes["twice"] == shapes["heat"]


def test_the_examples_of_breaking_run(
    demo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(demo)
    told: dict[str, object] = {}
    capsys.readouterr()
    for example in blocks("docs/breaking.md", "python"):
        exec(compile(example, "breaking.md", "exec"), told)
    printed = capsys.readouterr().out
    assert printed.startswith("Interval(value=")
    assert len(re.findall("^(?:quiet|ALARM) ", printed, re.MULTILINE)) == 6
    assert 32 <= int(printed.splitlines()[-1]) <= 32 * 100
    shown = [line for block in blocks("docs/breaking.md", "sh") for line in block.splitlines() if "25/255 -o" in line]
    assert len(shown) == 1
    assert main(shlex.split(shown[0])[1:]) == 0
    assert (demo / "broken" / "index.html").is_file()


def test_the_examples_of_how_sure_run(
    demo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(demo)
    told: dict[str, object] = {}
    for example in blocks("docs/how-sure.md", "python"):
        exec(compile(example, "how-sure.md", "exec"), told)
    assert isinstance(told["samples"], torch.Tensor)
    assert told["samples"].shape == (100, 200, 10)
    assert "('energy', Interval(" in capsys.readouterr().out
    assert main(["describe", "calibrated-run"]) == 0
    shown = [line for block in blocks("docs/how-sure.md", "sh") for line in block.splitlines() if "-o sure" in line]
    assert len(shown) == 1
    assert main([*shlex.split(shown[0])[1:], "--samples", "10", "--shown", "2"]) == 0
    assert (demo / "sure" / "index.html").is_file()


def test_the_examples_of_reuse_run(
    demo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(demo)
    told: dict[str, object] = {}
    capsys.readouterr()
    for example in blocks("docs/reuse.md", "python"):
        exec(compile(example, "reuse.md", "exec"), told)
    assert isinstance(told["right"], torch.Tensor)
    assert told["right"].double().mean() > 0.8
    assert (demo / "digits-train").is_dir()
    assert re.search(r"^C = [\d.]+: 0\.\d+ in cross-validation", capsys.readouterr().out, re.MULTILINE)
    shown = [
        line for block in blocks("docs/reuse.md", "sh") for line in block.splitlines() if line.endswith(" -o reuse")
    ]
    assert len(shown) == 1
    assert main(shlex.split(shown[0])[1:]) == 0
    assert (demo / "reuse" / "index.html").is_file()


def test_the_foundations_run_and_every_lesson_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks("docs/foundations.md", "sh"):
        for line in block.splitlines():
            assert main(shlex.split(line)[1:]) == 0
    told: dict[str, object] = {}
    for example in blocks("docs/foundations.md", "python"):
        exec(compile(example, "foundations.md", "exec"), told)
    assert isinstance(told["maps"], torch.Tensor)
    assert told["maps"].shape == (1, 4, 5, 5)
    assert "no hyperplane parts them, as with XOR" in capsys.readouterr().out
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "foundations.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(table) == sorted(lessons.__all__)


def test_the_trainings_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that need no files: on digits and iris; the runs that they make are listed, shown and compared."""
    monkeypatch.chdir(tmp_path)
    shown = [line for block in blocks("docs/training.md", "sh") for line in block.splitlines()]
    cheap = [
        line
        for line in shown
        if re.match(r"pellucid train \w+ (digits|iris) ", line) or re.match(r"pellucid runs ", line)
    ]
    assert len(cheap) == 7
    for line in cheap:
        words = shlex.split(line.partition("   #")[0])[1:]
        assert main(words) == 0, line
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["a", "folds", "iris"]
    told: dict[str, object] = {}
    capsys.readouterr()
    for example in blocks("docs/training.md", "python"):
        exec(compile(example, "training.md", "exec"), told)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["1", "2", "3", "4", "5"]
    assert isinstance(told["best"], dict)


def test_every_command_shown_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words and options are those that the command knows; nothing is run."""
    asked: list[str] = []

    def parsed(verb: str) -> Callable[[object], int]:
        def run(_args: object) -> int:
            asked.append(verb)
            return 0

        return run

    for verb in VERBS:
        monkeypatch.setattr(import_module(f"pellucid.cli.{verb}"), "run", parsed(verb))
    for page in PAGES:
        text = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
        for line in text.splitlines():
            command = line.partition("   #")[0]
            words = shlex.split(re.sub(r".*-m pellucid\.cli", "pellucid", command))
            if words[:1] == ["pellucid"]:
                assert main(words[1:]) == 0, line
    assert set(asked) >= {"train", "sweep", "runs", "audit", "learn", "predict"}


def test_every_command_shown_exists() -> None:
    for name in PAGES:
        text = (ROOT / name).read_text(encoding="utf-8")
        named = set(re.findall(r"(?:^|`)pellucid ([a-z]+)", text, flags=re.MULTILINE))
        assert named
        assert named <= set(VERBS)


def test_every_link_leads_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_gallery_is_there_and_names_no_place_of_this_machine() -> None:
    page = (ROOT / "docs" / "gallery" / "index.html").read_text(encoding="utf-8")
    assert page.count("data:image/") > 60
    for title in ("RISE", "Augmented Grad-CAM", "What its layers see", "What it asks for"):
        assert title in page
    assert "/home" not in page
    assert "/tmp" not in page
