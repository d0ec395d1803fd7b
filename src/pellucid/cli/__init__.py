"""The command line: one file a verb, each with `arguments(parser)` and `run(args) -> exit code`.

Exit codes: 0 fine; 1 a gate or a run failed; 2 wrong input, told in one line; 130 interrupted.
"""

import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pellucid import __version__

from ._shared import plain

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

GROUPS = {
    "begin": ("demo", "learn", "zoo"),
    "train": ("train", "sweep", "runs"),
    "ask": ("predict", "describe", "layers"),
    "look inside": ("explain", "visualize", "gallery"),
    "break it, and how sure is it": ("attack", "uncertainty", "audit"),
    "reuse what it learned": ("transfer", "index", "search", "solve"),
    "without any network": ("match", "words"),
}
"""The verbs, in the order in which one meets them."""

VERBS = tuple(verb for verbs in GROUPS.values() for verb in verbs)
MISSING = {"grid": "--grid OPTION=VALUE,VALUE"}
TRAINING = frozenset({"train", "sweep", "demo"})
"""Verbs whose images lie in memory: there a thread that sleeps between two small operations only comes late."""

SEEDS = 2**32 - 1
"""The largest seed that all libraries take."""

KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a letter must not cost the result
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_overview())
        return 0
    if words[0] in {"-V", "--version"}:
        print(f"pellucid {__version__}")
        return 0
    if words[0] not in VERBS:
        from pellucid.checks import near

        return _told(f"unknown command {words[0]!r}{near(words[0], VERBS)}; see pellucid --help", 2)
    if words[0] not in TRAINING:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # idle threads sleep, so that decoding gets the cores
    verb = import_module(f"pellucid.cli.{words[0]}")
    try:
        with _tidy_end(), _warnings_as_lines():
            return _run(verb, words)
    except KeyboardInterrupt:
        return _told("interrupted; nothing was left half written", 130)
    except ValueError as error:
        if os.environ.get("PELLUCID_TRACEBACK"):
            raise
        return _told(str(error), 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left; nothing more to say
        return 1
    except (OSError, MemoryError, RuntimeError) as error:
        if os.environ.get("PELLUCID_TRACEBACK"):
            raise
        return _told(f"{type(error).__name__}: {error}", 1)


def _run(verb: ModuleType, words: list[str]) -> int:
    from argparse import ArgumentError

    from jsonargparse import ArgumentParser

    text = (verb.__doc__ or "").strip()
    parser = ArgumentParser(prog=f"pellucid {words[0]}", description=text, exit_on_error=False, default_env=False)
    parser.add_argument("--config", action="config", help="read options from this YAML file")
    try:
        verb.arguments(parser)
        for one in (parser, *_kinds(parser).values()):
            one.allow_abbrev = False  # --epoch for --epochs would be taken without a word
        parsed = parser.parse_args(_config_first(words[1:], kinds=_kinds(parser)))
    except ArgumentError as error:
        return _told(f"{_reason(str(error))}{_nearest(str(error), parser, words)}; see pellucid {words[0]} --help", 2)
    except SystemExit as done:  # --help and --print_config print and leave
        return int(done.code or 0)
    if isinstance(getattr(parsed, "seed", None), int):
        from pellucid.checks import check_count

        check_count("seed", parsed.seed, 0, SEEDS)
    result: int = verb.run(parsed)
    return result


def _config_first(words: list[str], *, kinds: Collection[str]) -> list[str]:
    """Options with --config before all others, behind the kind of command: what is typed wins over what a file says."""
    first = words[:1] if words[:1] and words[0] in kinds else []
    rest: list[str] = []
    left = iter(words[len(first) :])
    for word in left:
        if word == "--config":
            first += [word, *(value for value in [next(left, None)] if value is not None)]
        else:
            (first if word.startswith("--config=") else rest).append(word)
    return first + rest


@contextmanager
def _tidy_end() -> Iterator[None]:
    """A polite request to end does what Ctrl-C does while the block runs, so that everything is tidied up."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """The library's own warnings as lines on standard error, each once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("once", category=UserWarning, module=r"pellucid\.")
        shown = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if category is UserWarning:
                _told(str(message), 0)
            else:
                shown(message, category, *place, **more)

        warnings.showwarning = show
        yield


def _reason(message: str) -> str:
    """Plain words for what jsonargparse says at length: a value of another kind, or something that is missing."""
    missing = re.search(r"the following arguments are required: (.*)", message)
    if missing is not None:
        names = [name.rpartition(".")[2].replace("_", "-") for name in missing[1].split(", ")]
        return f"missing: {', '.join('-o OUT' if name == 'out' else MISSING.get(name, name) for name in names)}"
    unsaid = re.match(r'expected "(\w+)" to be one of \{(.*)\}, but it was not provided', message)
    if unsaid is not None:
        return f"missing: {unsaid[1].upper()}, one of {', '.join(unsaid[2].split(','))}"
    pattern = r"""Parser key "(\S+\.)?(\w+)":\s+[ED].*?<class '(\w+)'>.*?(?:Got|Given) value: (.*)"""
    found = re.match(pattern, message, re.DOTALL)
    if found is None:
        return message
    method, name, kind, value = found.groups()
    return f"{method or ''}{name.replace('_', '-')} must be {KINDS.get(kind, kind)}, got {value}"


def _kinds(parser: "ArgumentParser") -> "dict[str, ArgumentParser]":
    """The commands below a command, such as the recipes of train."""
    return next((action.choices for action in parser._actions if isinstance(action.choices, dict)), {})


def _nearest(message: str, parser: "ArgumentParser", words: list[str]) -> str:
    """The nearest known word, where one was typed that is not known."""
    from pellucid.checks import near

    kinds = _kinds(parser)
    choice = re.search(r"invalid choice: '(\S+)'", message)
    if choice is not None:
        return near(choice[1], kinds)
    flag = re.search(r"unrecognized arguments: (?:\S+ )*?(--[\w.-]+)", message, re.IGNORECASE)
    if flag is None:
        return ""
    parsers = [parser, *(kinds[word] for word in words if word in kinds)]
    return near(flag[1], [flag for one in parsers for action in one._actions for flag in action.option_strings], 2)


def _overview() -> str:
    lines = ["pellucid: look inside a neural network, break it, ask how sure it is, reuse what it learned", ""]
    lines += ["usage: pellucid COMMAND [options]"]
    for name, verbs in GROUPS.items():
        lines += ["", f"{name}:"]
        for verb in verbs:
            first = (import_module(f"pellucid.cli.{verb}").__doc__ or "").strip().partition("\n")[0]
            lines.append(f"  {verb:11} {first}")
    lines += [
        "",
        "MODEL is a folder with model.json, torchvision:NAME, timm:NAME, zoo:NAME or package.module:function.",
        "Start with: pellucid demo    More of a command: pellucid COMMAND --help",
    ]
    return "\n".join(lines)


def _told(message: str, code: int) -> int:
    print(f"pellucid: {plain(' '.join(message.split()))}", file=sys.stderr)
    return code
