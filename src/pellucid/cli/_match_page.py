"""The page of one `pellucid match`: both pictures joined by lines, the second brought onto the first, the numbers."""

import csv
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from markupsafe import Markup
from PIL import Image
from torch import Tensor

from pellucid import report
from pellucid.classic import match_views
from pellucid.files import new_folder, write_json
from pellucid.records import Record, record
from pellucid.report import Fact, Section

from ._matched import VERDICTS, Matched, enlarged, landing, least, scale_of, summed
from ._shared import given


def write_match(args: Namespace, found: Matched) -> None:
    """OUT and every file in it."""
    made = record(
        "match",
        options={"side": args.side, "lines": args.lines, **given(args, match_views)},
        model={},
        seed=0,
        data={"first": args.first, "second": args.second},
    )
    with new_folder(args.out, force=args.force, command="match") as folder:
        report.matched_pictures(
            found.first.image,
            found.second.image,
            found.starts,
            found.ends,
            folder / "matches.png",
            agreed=found.agreed,
            most=args.lines,
        )
        if found.verdict != "none":
            _draw_aligned(found, folder / "aligned.png")
        _write_matches(folder / "matches.csv", found)
        write_json(folder / "summary.json", summed(found))
        write_json(folder / "record.json", made.json())
        (folder / "index.html").write_text(_page(found, made, folder), "utf-8", "backslashreplace")


def _page(found: Matched, made: Record, folder: Path) -> str:
    names = [Path(side.file).name for side in (found.first, found.second)]
    sizes = [f"{side.size[1]:,} x {side.size[0]:,}" for side in (found.first, found.second)]
    when = made.made.replace("T", " ").removesuffix("+00:00")
    subtitle = f"{names[0]} ({sizes[0]} pixels) and {names[1]} ({sizes[1]}), on {when} UTC"
    lead = (
        "A line joins a patch of the left picture with the patch of the right one that is most like it, where no other "
        "is nearly so. Bright ones agree with each other on one turn, scale and shift; gray ones do not, and are taken "
        "for wrong."
    )
    body = _shown(folder / "matches.png", f"{names[0]} (left) and {names[1]} (right)")
    sections = [Section("matches", "What they share", lead, body)]
    if found.verdict != "none":
        lead = (
            "The second picture turned, resized and shifted so that the matches that agree lie on each other, and how "
            "far the two then differ: black where they are equal. Gray: beyond the second's border."
        )
        shown = _shown(folder / "aligned.png", f"{names[1]} brought onto {names[0]}")
        sections.append(Section("aligned", "One brought onto the other", lead, shown))
    sections.append(Section("numbers", "What it means", _meaning(found), _numbers(found)))
    return report.page(
        f"{VERDICTS[found.verdict][0].upper()}{VERDICTS[found.verdict][1:]}", subtitle, _facts(found), sections, made
    )


def _facts(found: Matched) -> list[Fact]:
    total = len(found.starts)
    told = [Fact("Verdict", VERDICTS[found.verdict], _sentence(found.told[0]))]
    if found.alignment is not None and found.verdict != "none":
        value = f"{found.alignment.angle:.1f}°, x {scale_of(found):.3g}".replace("-", "−")
        told.append(Fact("Turn and scale", value, _sentence(found.told[1])))
    text = f"{found.count:,} of {total:,} agree; {least(total)} are needed to call it the same."
    return [*told, Fact("Matches", f"{found.count:,} of {total:,}", text)]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _meaning(found: Matched) -> str:
    """What the verdict says, and what it does not."""
    if found.verdict == "same":
        return (
            "So many patches in the same arrangement are no chance: these are pictures of one scene or object, or one "
            "is a part or a copy of the other. One turn, scale and shift is all that is looked for: parts that moved, "
            "or lie at another depth, do not agree."
        )
    if found.verdict == "perhaps":
        return (
            "A few patches lie in the same arrangement, about as many as chance can bring. Look at the lines; a larger "
            "--side finds smaller common parts."
        )
    return (
        "No arrangement of patches is common to both. That is no proof: little texture, much blur, a very different "
        "view, or a common part that is small may hide it. A larger --side finds smaller parts."
    )


def _numbers(found: Matched) -> Markup:
    rows: list[tuple[str, str]] = [
        ("matches, beyond doubt and mutual", f"{len(found.starts):,}"),
        ("of these agree", f"{found.count:,}"),
        ("needed", f"{least(len(found.starts)):,}"),
    ]
    if found.alignment is not None and found.verdict != "none":
        (down, across), (row, column) = landing(
            found, torch.tensor([[0.0, 0.0], [(side - 1) / 2 for side in found.first.size]])
        ).tolist()
        rows += [
            ("turn, clockwise", f"{found.alignment.angle:.2f}°"),
            ("scale", f"{scale_of(found):.4f}"),
            ("shift of the upper left pixel, down and across", f"{down:.1f}, {across:.1f} px"),
            ("the first's middle lies in the second at row, column", f"{row:.1f}, {column:.1f} px"),
            ("matches that agree are off by (root mean square)", f"{summed(found)['alignment']['error']:.2f} px"),
        ]
    caption = "From the first picture to the second, in pixels of the files" if len(rows) > 3 else "Matches"
    text = [(name, value.replace("-", "−")) for name, value in rows]
    return report.table(("what", "value"), text, caption, numbers=(1,))


def _draw_aligned(found: Matched, path: Path) -> None:
    """The first, the second brought onto it, and how far they differ."""
    assert found.alignment is not None
    image, other = found.first.image, found.second.image
    tall, wide = image.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(tall), torch.arange(wide), indexing="ij")
    places = found.alignment.move(torch.stack([rows.flatten(), columns.flatten()], dim=1).double())  # (P, 2)
    moved, inside = _taken(other, places, (tall, wide))
    apart = (image - moved).abs() * inside
    gray = torch.full_like(moved, 0.5)
    pictures = [report.pixels(one) for one in (image, torch.where(inside, moved, gray), apart)]
    titles = ["the first", "the second, brought onto it", "how far they differ"]
    report.panel([pictures], [titles], path)


def _taken(image: Tensor, places: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pixels of an image (3, h, w) at places (P, 2), as (3, H, W), and which lie in it, (1, H, W)."""
    sides = places.new_tensor(image.shape[-2:])
    inside = ((places >= -0.5) & (places <= sides - 0.5)).all(dim=1).view(1, *size)
    even = (2 * places + 1) / sides - 1
    taken = F.grid_sample(
        image[None], even.flip(1).view(1, *size, 2).float(), mode="bilinear", padding_mode="border", align_corners=False
    )
    return taken[0], inside


def _write_matches(path: Path, found: Matched) -> None:
    """A row a match, the surest first; pixels of the files."""
    starts, ends = enlarged(found.starts, found.first), enlarged(found.ends, found.second)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["first_row", "first_column", "second_row", "second_column", "ratio", "agrees"])
        for start, end, ratio, agrees in zip(
            starts.tolist(), ends.tolist(), found.ratio.tolist(), found.agreed.tolist(), strict=True
        ):
            table.writerow([*(round(one, 2) for one in (*start, *end)), round(ratio, 4), int(agrees)])


def _shown(path: Path, told: str) -> Markup:
    """A drawn PNG as a picture of the page."""
    with Image.open(path) as picture:
        uri = report.data_uri(np.asarray(picture.convert("RGB")))
    return report.drawings([(Markup('<img src="{}" alt="{}">').format(uri, told), told)])
