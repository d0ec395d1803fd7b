"""What several verbs ask for and show in the same way."""

import itertools
import os
import re
import unicodedata
from argparse import SUPPRESS, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from argparse import _ArgumentGroup

    from jsonargparse import ArgumentParser
    from rich.progress import Progress

    from pellucid.methods import Method, Option
    from pellucid.models import Model


def model_arguments(parser: "ArgumentParser") -> None:
    """MODEL, --weights, --device."""
    parser.add_argument("model", type=str, help="MODEL: a model folder, torchvision:NAME, timm:NAME, ...")
    parser.add_argument("--weights", type=str | None, default=None, help="a .safetensors, .pt or .pth file for MODEL")
    parser.add_argument("--device", type=str, default="auto", help="cpu, cuda, mps or auto")


def load_model(args: Namespace) -> "Model":
    """The model of the arguments, on their device."""
    import torch

    from pellucid import models
    from pellucid.checks import check_choice

    check_choice("device", args.device.partition(":")[0], ("auto", "cpu", "cuda", "mps"))
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(device for device in ("cuda", "mps", "cpu") if there[device]) if args.device == "auto" else args.device
    if not there[name.partition(":")[0]]:
        raise ValueError(f"device {name} is not available here; use --device cpu or auto")
    _refuse_several(Path(args.model))
    model = models.load(args.model, weights=args.weights)
    try:
        return model.to(name)
    except RuntimeError as error:  # no such number, or no room
        raise ValueError(f"device {name} cannot be used: {str(error).partition(chr(10))[0]}") from error


def _refuse_several(folder: Path) -> None:
    """Refuse the folder of a ladder or a sweep, which is no model but holds some; name them."""
    if not (folder / "config.yaml").is_file() or (folder / "model.json").is_file():
        return
    inside = sorted(path.parent.name for path in folder.glob("*/model.json"))
    if inside:
        several = f"{len(inside)} runs, each a model" if len(inside) > 1 else "a run that is one"
        names = ", ".join(str(folder / name) for name in inside[:3]) + (", ..." if len(inside) > 3 else "")
        raise ValueError(f"{folder}: is no model itself but holds {several}: name one, {names}")


def add_options(
    parser: "ArgumentParser | _ArgumentGroup",
    method: "Method",
    *,
    prefix: str = "",
    skip: Sequence[str] = (),
    late: Sequence[str] = (),
    tells_default: bool = False,
) -> None:
    """A flag for each option of a function, its help read off the docstring; `late` ones are absent unless given."""
    from pellucid.methods import options

    for option in options(method):
        if option.name not in skip:
            told = _with_default(option) if tells_default or option.name in late else option.told
            shown: dict[str, Any] = {"metavar": "VALUE"} if prefix and option.annotation is not bool else {}
            if option.annotation is bool:
                shown = {"nargs": "?", "const": True}
            parser.add_argument(
                f"--{prefix}{option.name.replace('_', '-')}",
                type=_typed(option.annotation),
                default=SUPPRESS if option.name in late else option.default,
                help=told.replace("%", "%%"),  # which argparse would fill in
                **shown,
            )


def add_families(
    parser: "ArgumentParser",
    known: "dict[str, Method]",
    skip: "Callable[[Method], Sequence[str]]",
    *,
    flag: str = "--method",
) -> None:
    """The options of every method as --METHOD.OPTION, in the help a group each, behind what all have."""
    from pellucid.methods import options, summary

    for name, method in known.items():
        skipped = skip(method)
        if any(option.name not in skipped for option in options(method)):
            group = parser.add_argument_group(f"{flag} {name}", summary(method))
            add_options(group, method, prefix=f"{name}.", skip=skipped, tells_default=True)


def _typed(annotation: Any) -> Any:
    """An option's type as far as words can give it: of text or an object made of it, text."""
    words = {int, float, bool, str, type(None)}
    kinds = get_args(annotation)
    is_mixed = str in kinds and not set(kinds) <= words
    return str if is_mixed else annotation


def _with_default(option: "Option") -> str:
    """An option's line, with what it is where nothing is said."""
    usual = '""' if option.default == "" else option.default
    return f"{option.told.rstrip('.')} (default: {usual})"


def given(parsed: Any, method: "Method", skip: Sequence[str] = ()) -> dict[str, Any]:
    """The options of a function as the user gave them."""
    from pellucid.methods import options

    return {o.name: getattr(parsed, o.name) for o in options(method) if o.name not in skip}


def typed_options(functions: Sequence["Method"], pairs: Sequence[str], flag: str) -> list[tuple[str, Any]]:
    """Options of several functions, typed as option=value, with values of their kinds.

    Raises:
        ValueError: no such option, or a value of another kind.
    """
    from argparse import ArgumentError

    from jsonargparse import ArgumentParser

    from pellucid.checks import near
    from pellucid.methods import options

    known = {option.name for function in functions for option in options(function)}
    parser = ArgumentParser(exit_on_error=False)
    for function in functions:
        add_options(parser, function)
    found = []
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.replace("-", "_")
        if not equals or key not in known:
            raise ValueError(f"{flag} takes option=value, got {pair!r}{near(key, known)}")
        try:
            parsed = parser.parse_args([f"--{key.replace('_', '-')}={value}"])
        except ArgumentError as error:
            raise ValueError(f"{flag} {key} cannot be {value!r}; see --help for what it takes") from error
        found.append((key, getattr(parsed, key)))
    return found


@contextmanager
def progress() -> Iterator[None]:
    """Show progress bars on standard error while the block runs, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from pellucid.progress import shown_on

    console = Console(stderr=True)
    if not console.is_terminal or os.environ.get("LOCAL_RANK", "0") != "0":  # of several processes one shows it
        yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars, shown_on(_Bars(bars)):
        yield


class _Bars:
    """Rows of a rich progress display."""

    def __init__(self, bars: "Progress") -> None:
        self.bars = bars

    def start(self, label: str, total: int) -> int:
        return int(self.bars.add_task(label, total=total))

    def advance(self, key: int, steps: int) -> None:
        self.bars.advance(key, steps)  # type: ignore[arg-type]

    def finish(self, key: int) -> None:
        self.bars.remove_task(key)  # type: ignore[arg-type]


def fresh_stem(folder: Path, name: str, tail: str = "") -> str:
    """A plain file name without suffix that is not taken in the folder, as folder, .png or .npy; numbered where it is.

    Args:
        folder: where it is to stand.
        name: any text; its letters and digits are kept, of every alphabet.
        tail: how the name ends, behind the number.
    """
    letters = re.sub(r"[^\w-]+", "-", unicodedata.normalize("NFC", name)).strip("-")[:60] or "image"
    stems = (f"{letters}-{n}{tail}" if n else f"{letters}{tail}" for n in itertools.count())
    return next(s for s in stems if not any((folder / f"{s}{kind}").exists() for kind in ("", ".png", ".npy")))


def counted(number: int, word: str) -> str:
    """A number and its word: "1 picture", "2 pictures"."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def plain(text: str) -> str:
    """Text for a terminal: control characters, which could move the cursor or change colours, become question marks."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[int] = (), title: str = ""
) -> None:
    """A table on standard output, as wide as it needs."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for place, name in enumerate(head):
        table.add_column(name, justify="right" if place in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(str(cell))) for cell in row))
    console = Console()
    Console(width=None if console.is_terminal else 200).print(table)
