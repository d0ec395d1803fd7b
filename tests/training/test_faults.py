"""What must not go wrong unnoticed: spoilt weights, changed data, shared pictures, shares too small, half-made runs."""

import contextlib
import json
import shutil
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pellucid import training
from pellucid.data import Pixels, builtin
from pellucid.geometry import Geometry
from pellucid.models import load
from pellucid.training import Run, open_sets, resume, start
from pellucid.training.classify import _shares
from pellucid.training.preparing import fit_input
from pellucid.training.recipes.tabular import _trials

NET: dict[str, Any] = {
    "model": "digits_cnn,width=4,dropout=0",
    "batch_size": 4,
    "epochs": 2,
    "device": "cpu",
}
WILD = {"optimizer": "sgd", "lr": 1e38, "schedule": "constant", "epochs": 1, "limit": 100, "batch_size": 90}


def pictures(root: Path, parts: dict[str, int], *, shift: int = 0) -> Path:
    """Class folders of small pictures, so many a class and part, each another one."""
    generator = torch.Generator().manual_seed(shift)
    for part, each in parts.items():
        for name in ("dark", "light"):
            (root / part / name).mkdir(parents=True)
            for number in range(each):
                pixels = torch.randint(0, 100, (8, 8), generator=generator, dtype=torch.uint8) + 150 * (name == "light")
                Image.fromarray(pixels.numpy()).save(root / part / name / f"{number}.png")
    return root


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val": 10}, "val_loss became (nan|inf) after epoch 1: lower lr"),
        ({"val": 0.0}, "a model that answers nan or infinity is not saved; if it is being trained, lower lr"),
    ],
)
def test_a_spoilt_model_is_neither_the_best_nor_a_checkpoint(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        list(start("classify", "digits", tmp_path / "run", **{**NET, **WILD, **options}))
    assert not {"model.json", "last.pt"} & {path.name for path in (tmp_path / "run").iterdir()}


def test_a_spoilt_model_of_tables_is_told() -> None:
    from pellucid.data import split_indices

    table = builtin("iris", split="all")
    one = training.tabular.TableTraining(
        table, split_indices(table.targets, val=20, test=20), batch_size=110, optimizer="sgd", lr=1e38, epochs=1
    )
    with pytest.raises(ValueError, match=r"val_loss became (nan|inf) in epoch 1: lower lr"):
        list(one())


def test_the_record_tells_the_data_and_other_data_are_refused(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "set", {"train": 10, "test": 4})
    told = start("classify", str(folder), tmp_path / "run", **NET)
    list(islice(told, 2))
    told.close()  # type: ignore[attr-defined]
    parts = json.loads((tmp_path / "run" / "record.json").read_text())["data"]["parts"]
    assert {name: part["count"] for name, part in parts.items()} == {"train": 18, "val": 2, "test": 8}
    assert len({part["sha256"] for part in parts.values()}) == 3
    shutil.copytree(tmp_path / "run", tmp_path / "again")
    first = folder / "test" / "dark" / "0.png"
    kept = first.read_bytes()
    Image.new("L", (8, 8), 77).save(first)
    with pytest.raises(
        ValueError, match=r"run: the test part of .*set is not the one it was begun with: put that back"
    ):
        list(resume(tmp_path / "run"))
    first.write_bytes(kept)
    list(resume(tmp_path / "again"))
    assert Run(tmp_path / "again").is_finished


def test_a_table_that_changed_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("x,y\n" + "".join(f"{number},{'ab'[number % 2]}\n" for number in range(40)))
    told = start("tabular", str(table), tmp_path / "run", epochs=9, every=3, device="cpu")
    list(islice(told, 2))
    told.close()  # type: ignore[attr-defined]
    table.write_text(table.read_text().replace("\n7,", "\n7.5,"))
    with pytest.raises(ValueError, match=r"the table part of .*a\.csv is not the one it was begun with"):
        list(resume(tmp_path / "run"))


def test_a_model_tells_the_versions_that_made_it(tmp_path: Path) -> None:
    list(start("classify", "digits", tmp_path / "a", **{**NET, "limit": 40, "epochs": 1}))
    list(start("tabular", "iris", tmp_path / "b", epochs=1, device="cpu"))
    for name in "ab":
        record = json.loads((tmp_path / name / "model.json").read_text())["record"]
        assert record["versions"]["torch"].startswith(torch.__version__)


def test_a_folder_whose_making_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    config = {"recipe": "classify", "data": "digits"}
    Run.create(tmp_path / "run", config)
    (tmp_path / "run" / "config.yaml").rename(tmp_path / "run" / ".config.yaml.123.part")
    assert Run.create(tmp_path / "run", config).config == config
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.yaml", "record.json"]


@pytest.mark.parametrize("text", ['{"artist": "Nina"}', '{"command": "audit", "versions": {"pellucid": "1"}}', "half"])
def test_a_foreign_folder_is_not(tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.json").write_text(text)
    with pytest.raises(ValueError, match="run exists already"):
        Run.create(tmp_path / "run", {"recipe": "classify", "data": "digits"})
    assert (tmp_path / "run" / "record.json").read_text() == text


def test_no_picture_stands_in_two_parts(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "set", {"train": 6, "val": 4, "test": 4})
    shutil.copy(folder / "test" / "dark" / "0.png", folder / "val" / "dark" / "0.png")
    shutil.copy(folder / "val" / "light" / "1.png", folder / "train" / "light" / "2.png")
    sets = open_sets(str(folder))
    assert sets.val is not None
    assert sets.test is not None
    assert (len(sets.train), len(sets.val), len(sets.test)) == (11, 7, 8)
    assert sets.notes == (
        "1 training pictures stand in another part too and are left out",
        "1 val pictures stand in another part too and are left out",
    )


def test_a_part_that_stands_in_another_as_a_whole_is_refused(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "set", {"train": 6, "test": 4})
    shutil.copytree(folder / "test", folder / "val")
    with pytest.raises(ValueError, match="every picture of the val part stands in another part too"):
        open_sets(str(folder))


@pytest.mark.parametrize("limit", [20, 1000, 1435])
def test_a_limit_leaves_every_class_in_proportion(limit: int) -> None:
    counts = open_sets("digits", limit=limit, val=0.0).train.targets.bincount(minlength=10)
    assert counts.sum() == limit
    assert counts.min() >= limit // 11


def test_a_limit_below_the_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="limit must be larger to leave a picture of all 10 classes, got 9"):
        open_sets("digits", limit=9)


def test_a_trained_model_must_take_images_of_the_size(tmp_path: Path) -> None:
    list(start("classify", "digits", tmp_path / "a", **{**NET, "limit": 40, "epochs": 1}))
    options = {**NET, "limit": 40, "epochs": 1, "model": str(tmp_path / "a"), "size": 16}
    with pytest.raises(ValueError, match="a: takes 8 x 8 images, but the set's are 16 x 16; use --size 8"):
        list(start("classify", "digits", tmp_path / "b", **options))


def test_what_is_fitted_to_the_images_sees_them_from_all_over_the_set(tmp_path: Path) -> None:
    list(start("classify", "digits", tmp_path / "a", **{**NET, "limit": 40, "epochs": 1}))
    model = load(tmp_path / "a")

    class Fitted(nn.Module):
        seen: Tensor

        def fit_input(self, images: Tensor) -> None:
            self.seen = images

    model.network = Fitted()
    count = 12_000  # sorted by class, as a folder is
    pixels = torch.zeros(count, 1, 8, 8, dtype=torch.uint8)
    pixels[count // 2 :] = 255
    fit_input(model, Pixels(pixels, torch.zeros(count, dtype=torch.int64), model.classes, ("",) * count))
    assert len(model.network.seen) == 5000
    assert (model.network.seen > model.network.seen.mean()).float().mean() == pytest.approx(0.5, abs=0.01)


def test_a_process_without_a_share_of_a_small_set_has_an_empty_one() -> None:
    two = open_sets("digits", limit=20, val=0.0).train.subset([0, 1])
    shares = [list(_shares(two, 5, SimpleNamespace(global_rank=rank, world_size=4))) for rank in range(4)]
    assert [sum(len(targets) for _, targets in share) for share in shares] == [1, 1, 0, 0]


def test_a_share_of_val_rows_is_one_in_every_fold() -> None:
    table = builtin("iris", split="all")
    trials = _trials(table, "kfold", folds=2, repeats=1, test=0.1, val=0.4, seed=0)
    assert [len(trial.split.val) for trial in trials] == [60, 60]
    with pytest.raises(ValueError, match=r"val and test must leave rows to train on, got 75 \+ 0 of 75 rows"):
        _trials(table, "kfold", folds=2, repeats=1, test=0.1, val=0.5, seed=0)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [({"val": 0.0}, "give val"), ({"final": "refit"}, "give final best"), ({"estimate": "kfold"}, "give final best")],
)
def test_a_plateau_of_tables_needs_val_rows(tmp_path: Path, options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=f"schedule plateau must have val rows to watch: {remedy}"):
        list(start("tabular", "iris", tmp_path / "run", schedule="plateau", epochs=1, device="cpu", **options))


def test_of_several_processes_one_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock, Timeout

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PELLUCID_DATA", "")
    held: list[bool] = []

    def downloaded(root: str, *, download: bool) -> None:
        with contextlib.suppress(Timeout):
            FileLock(f"{root}.lock").acquire(timeout=0)
            held.append(False)
        raise RuntimeError(f"{root} {download}")

    monkeypatch.setattr("torchvision.datasets.MNIST", downloaded)
    with pytest.raises(ValueError, match="mnist is not on this machine"):
        builtin("mnist")
    assert (tmp_path / "pellucid" / "data" / "mnist.lock").exists()
    assert held == []


def test_batch_norm_of_one_value_is_told_with_the_remedy() -> None:
    step = training.Classify(nn.Sequential(nn.Conv2d(1, 2, 8), nn.BatchNorm2d(2), nn.Flatten()))
    one = (torch.zeros(1, 1, 8, 8), torch.zeros(1, dtype=torch.int64))
    with pytest.raises(
        ValueError, match=r"batch norm .* got a batch of 1 .* give a larger batch_size .*drop_last=True"
    ):
        step(one)
    step((torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.int64)))

    class Odd(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise ValueError("of another kind")

    with pytest.raises(ValueError, match=r"^of another kind$"):
        training.Classify(Odd())(one)


def fresh(name: str, side: int) -> nn.Module:
    geometry = Geometry((side, side), None, "bilinear", 3)
    zeros, ones = [0.0] * 3, [1.0] * 3
    return training.fresh_model(name, classes=("a", "b"), geometry=geometry, mean=zeros, std=ones)


def test_of_a_network_that_nobody_named_no_size_is_warned_of() -> None:
    assert fresh("", 40)(torch.zeros(2, 3, 40, 40)).shape == (2, 2)
    with pytest.warns(UserWarning, match="resnet20 was not laid out for 40 x 40 images"):
        fresh("resnet20", 40)


def test_an_unknown_model_is_called_one() -> None:
    with pytest.raises(ValueError, match=r"model must be one of the zoo's .*, got 'resnet19'; did you mean resnet1"):
        fresh("resnet19", 32)


def test_images_left_out_are_not_counted_as_trained_on(tmp_path: Path) -> None:
    list(start("classify", "digits", tmp_path / "a", **{**NET, "limit": 100, "val": 0.0, "batch_size": 60}))
    results = Run(tmp_path / "a").results
    assert results["images_per_second"] * results["training_seconds"] == pytest.approx(2 * 60)
