"""The frame around the verbs: help, version, typing errors, configuration files, exit codes."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pellucid import __version__
from pellucid.cli import VERBS, predict

from .calling import Call, pictures


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_the_overview_names_every_command(call: Call, words: tuple[str, ...]) -> None:
    said = call(*words)
    assert (said.code, said.err) == (0, "")
    listed = [line.split()[0] for line in said.out.splitlines() if line.startswith("  ")]
    assert listed == list(VERBS)
    assert "Start with: pellucid demo" in said.out


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_version(call: Call, word: str) -> None:
    said = call(word)
    assert (said.code, said.out, said.err) == (0, f"pellucid {__version__}\n", "")


@pytest.mark.parametrize("verb", VERBS)
def test_help_explains_every_flag(call: Call, verb: str) -> None:
    said = call(verb, "--help")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"usage: pellucid {verb} ")
    usage, _, listed = said.out.partition("\noptions:\n")
    told = re.split(r"\n  (?=-)", f"\n{listed}")[1:]
    flags = {re.findall(r"--[\w.-]+", one)[0]: " ".join(one.split()) for one in told}
    assert set(re.findall(r"--[\w.-]+", usage.partition("\n\n")[0])) <= {*flags, "--config"}
    assert {"--help", "--config", "--print_config"} <= set(flags)
    for flag, text in flags.items():
        assert len(text.partition(" ")[2]) > 20, f"{flag} is not explained"


@pytest.mark.parametrize("seed", ["-1", str(2**32)])
@pytest.mark.parametrize("words", [("index", "m", "p", "-o", "o"), ("explain", "m", "p", "-o", "o"), ("demo",)])
def test_a_seed_that_not_all_libraries_take_is_refused_by_every_command(
    call: Call, words: tuple[str, ...], seed: str
) -> None:
    said = call(*words, "--seed", seed)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("pellucid: seed must be ")
    assert said.err.endswith(f", got {seed}\n")


@pytest.mark.parametrize(
    ("word", "hint"), [("audti", "; did you mean audit?"), ("predcit", "; did you mean predict, audit?"), ("qqq", "")]
)
def test_an_unknown_command_is_told_with_the_nearest(call: Call, word: str, hint: str) -> None:
    said = call(word, "x")
    assert (said.code, said.out) == (2, "")
    assert said.err == f"pellucid: unknown command '{word}'{hint}; see pellucid --help\n"


def test_a_configuration_file_gives_options_and_the_command_line_wins(
    call: Call, place: Path, model_folder: Path
) -> None:
    pictures(place, "a.png")
    (place / "options.yaml").write_text(f"model: {model_folder}\nimages: [a.png]\ntop: 2\njson: true\n")
    from_file = call("predict", "--config", "options.yaml")
    assert (from_file.code, from_file.err) == (0, "")
    assert from_file.out == call("predict", model_folder, "a.png", "--top", "2", "--json").out
    changed = call("predict", "--config", "options.yaml", "--top", "3")
    assert changed.out == call("predict", model_folder, "a.png", "--top", "3", "--json").out
    assert changed.out != from_file.out


def test_the_printed_configuration_can_be_read_back(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png")
    words = ("explain", model_folder, "a.png", "-o", "out", "--method", "occlusion", "--occlusion.window", "3")
    printed = call(*words, "--print_config")
    assert (printed.code, printed.err) == (0, "")
    assert "  window: 3\n" in printed.out
    assert not (place / "out").exists()
    (place / "options.yaml").write_text(printed.out)
    assert call("explain", "--config", "options.yaml").code == 0
    assert '"window": 3' in (place / "out" / "manifest.json").read_text()


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "interrupted; nothing was left half written"),
        (ValueError("two\nlines"), 2, "two lines"),
        (ValueError("\x1b[31mred\x07 \x9bcsi"), 2, "?[31mred? ?csi"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "OSError: [Errno 28] No space left on device"),
        (MemoryError(), 1, "MemoryError:"),
        (RuntimeError("worker died"), 1, "RuntimeError: worker died"),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, line: str
) -> None:
    def fail(_args: object) -> int:
        raise error

    monkeypatch.setattr(predict, "run", fail)
    said = call("predict", "model", "image")
    assert (said.code, said.out, said.err) == (code, "", f"pellucid: {line}\n")


@pytest.mark.parametrize("error", [ValueError("why"), RuntimeError("why")])
def test_the_traceback_can_be_had(call: Call, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(_args: object) -> int:
        raise error

    monkeypatch.setattr(predict, "run", fail)
    monkeypatch.setenv("PELLUCID_TRACEBACK", "1")
    with pytest.raises(type(error), match="why"):
        call("predict", "model", "image")


def test_a_fault_of_our_own_is_not_hidden(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_args: object) -> int:
        raise KeyError("a mistake in the program")

    monkeypatch.setattr(predict, "run", fail)
    with pytest.raises(KeyError):
        call("predict", "model", "image")


def test_help_needs_no_torch_and_a_poor_terminal_is_enough(place: Path) -> None:
    code = (
        "import sys; from pellucid.cli import main; assert main([]) == 0; assert 'torch' not in sys.modules; print('“')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}
    )
    assert ran.stdout.endswith(b"\\u201c\n")
    assert ran.stderr == b""


def test_a_reader_that_leaves_early_is_no_fault(model_folder: Path) -> None:
    command = [sys.executable, "-m", "pellucid.cli", "describe", str(model_folder), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 1


@pytest.mark.parametrize("words", [["-o", "typed", "--config", "c.yaml"], ["--config=c.yaml", "-o", "typed"]])
def test_what_is_typed_wins_over_the_file(words: list[str], call: Call, place: Path, model_folder: Path) -> None:
    pictures(place, "a.png")
    (place / "c.yaml").write_text("out: told\nmethod: saliency\nimages: [nowhere.png]\n")
    assert call("explain", model_folder, "a.png", *words).code == 0
    assert (place / "typed").is_dir()
    assert not (place / "told").exists()


def test_a_request_to_end_leaves_nothing_behind(place: Path, model_folder: Path) -> None:
    pictures(place, *(f"{number}.png" for number in range(40)))
    script = (
        "import os, signal, sys; from pellucid.cli import main;"
        "import pellucid.report as r; real = r.save_maps;"
        "r.save_maps = lambda *a: (os.kill(os.getpid(), signal.SIGTERM), real(*a))[1];"
        f"sys.exit(main(['explain', {str(model_folder)!r}, '.', '--method', 'saliency', '-o', 'out']))"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=place, check=False, capture_output=True, text=True)
    assert found.returncode == 130, found.stderr
    assert found.stderr == "pellucid: interrupted; nothing was left half written\n"
    assert not [path for path in place.iterdir() if path.suffix in {".part", ".old"} or path.name == "out"]


def test_a_net_that_ends_in_softmax_is_told(call: Call, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(place, "a.png")
    (place / "soft.py").write_text(
        "from torch import nn\nfrom pellucid.models import Model\n"
        "def build():\n"
        "    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Softmax(dim=1)).eval()\n"
        "    return Model(net, mean=[0.0] * 3, std=[1.0] * 3, classes=['r', 'g', 'b'], size=8)\n"
    )
    monkeypatch.syspath_prepend(str(place))
    for words in (
        ["predict", "soft:build", "a.png"],
        ["explain", "soft:build", "a.png", "--method", "saliency", "-o", "x"],
    ):
        said = call(*words)
        assert said.code == 0
        assert "the network's outputs already sum to 1" in said.err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("train", "classify", "digits", "-o", "a", "--epoch", "2"), "--epoch 2; did you mean --epochs"),
        (("sweep", "classify", "digits", "-o", "a", "--grid", "lr=1", "--rep", "2"), "--rep 2"),
        (("predict", "model", "a.png", "--dev", "cpu"), "--dev cpu; did you mean --device"),
        (("runs", "list", "a", "--jso"), "--jso; did you mean --json"),
        (("learn", "convolution", "--o", "a"), "--o"),
    ],
)
def test_an_abbreviation_is_refused(call: Call, words: tuple[str, ...], hint: str) -> None:
    said = call(*words)
    assert said.code == 2
    assert f"{hint}" in said.err, said.err
