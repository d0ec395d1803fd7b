"""What augmentation makes of the training images: a sheet of pairs, and the same as a page."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._shared import plain

if TYPE_CHECKING:
    from pellucid.data.augment import Pairs


def show(data: str, chosen: Mapping[str, Any], folder: str, *, force: bool) -> int:
    """Write augmentation.png, index.html and record.json: five training images as they are and as the net meets them.

    Raises:
        ValueError: the augmentation is none, or the set cannot be read.
    """
    from pellucid import data as sets
    from pellucid import report
    from pellucid.files import check_new_folder, new_folder, write_json
    from pellucid.methods import taken
    from pellucid.records import record
    from pellucid.training import open_sets

    if not chosen["augmentation"]:
        raise ValueError(
            "augmentation must be named to be shown, for the usual one goes by the model's size: such as "
            "--augmentation hflip=0.5,crop=32:mode=reflect"
        )
    policy = sets.augment.policy(str(chosen["augmentation"]))
    if not policy.ops:
        raise ValueError(
            "augmentation must not be none, to be shown: such as --augmentation cifar, or hflip=0.5,crop=4"
        )
    check_new_folder(folder, force=force, command="augmentation")
    seed = int(chosen.get("seed", 0))
    train = open_sets(data, **taken(open_sets, chosen)).train
    pairs = sets.augment.augmentation_pairs(train, policy, seed=seed)
    told = {"data": data, "augmentation": str(policy), **taken(open_sets, chosen)}
    made = record("augmentation", options=told, model={}, seed=seed, data={"path": data, "images": len(train)})
    with new_folder(folder, force=force, command="augmentation") as place:
        _sheet(
            pairs, place / "augmentation.png", f"{data}: what {policy} makes of training images, epoch 1, seed {seed}"
        )
        mixed = [f"{name} {chosen[name]:g}" for name in ("mixup", "cutmix") if chosen.get(name)]
        lead = "Left as in the set, right as the net meets it in its first epoch, before its normalisation."
        lead += f" {' and '.join(mixed)} then mixes them by batch, which is not shown." if mixed else ""
        sections = [report.Section("pairs", "Before and after", lead, report.gallery(_entries(pairs)))]
        subtitle = f"{policy}; epoch 1, seed {seed}; {len(train):,} training images"
        page = report.page(f"What augmentation does to {Path(data).name}", subtitle, [], sections, made)
        (place / "index.html").write_text(page, "utf-8", "backslashreplace")
        write_json(place / "record.json", made.json())
    print(f"{plain(str(policy))}: {plain(str(Path(folder) / 'augmentation.png'))}")
    print(f"page: {plain(str((Path(folder) / 'index.html').resolve()))}")
    return 0


def _sheet(pairs: "Pairs", path: Path, title: str) -> None:
    """Pairs as one PNG, the class over each image as it is, what was done over the one below."""
    from pellucid import report

    before, after = ([report.pixels(image) for image in part] for part in (pairs.before, pairs.after))
    report.panel([before, after], [pairs.classes, pairs.told], path, title)


def _entries(pairs: "Pairs") -> "list[tuple[str, str, list[list[tuple[str, str]]]]]":
    """Heading, text, and one row with both images."""
    from pellucid import report

    def uri(image: Any) -> str:
        return report.data_uri(report.pixels(report.fitted(image, 160, 320)), exact=True)

    return [
        (name, told, [[(uri(before), "as in the set"), (uri(after), "as the net meets it")]])
        for name, told, before, after in zip(pairs.classes, pairs.told, pairs.before, pairs.after, strict=True)
    ]
