"""Tables: what a CSV file may say, and how each mistake in it is told."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.svm import SVC

from pellucid.data import Table, builtin, content_keys, read_rows, read_table

TEXT = "width,height,kind\n1,2.5,oak\n-3e-1, 4 ,elm\n5,6,oak\n"


def written(folder: Path, text: str | bytes, name: str = "trees.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_columns_values_and_classes(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, TEXT))
    assert (table.columns, table.classes, table.target) == (("width", "height"), ("elm", "oak"), "kind")
    assert table.values.dtype == torch.float64
    assert table.values.tolist() == [[1, 2.5], [-0.3, 4], [5, 6]]
    assert table.targets.tolist() == [1, 0, 1]
    assert table.rows.tolist() == [1, 2, 3]
    assert len(table) == 3


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace(",", ";"),
        TEXT.replace(",", "\t"),
        "\ufeff" + TEXT,
        TEXT.replace("\n", "\r\n"),
        TEXT + "\n,,\n",
        'width,height,"kind"\n1,"2.5",oak\n-0.3,4,"elm"\n5,6,oak',
    ],
)
def test_other_ways_to_write_the_same(tmp_path: Path, text: str) -> None:
    table, wanted = (read_table(written(tmp_path, each)) for each in (text, TEXT))
    assert torch.equal(table.values, wanted.values)
    assert torch.equal(table.targets, wanted.targets)
    assert (table.columns, table.classes) == (wanted.columns, wanted.classes)


def test_the_target_may_be_any_column_and_others_be_left_out(tmp_path: Path) -> None:
    text = "id,kind,width,note\n7,oak,1,old\n9,elm,2,new\n"
    table = read_table(written(tmp_path, text), target="kind", ignore="id, note")
    assert (table.columns, table.classes, table.values.tolist()) == (("width",), ("elm", "oak"), [[1], [2]])


def test_classes_that_are_numbers_come_by_size(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "x,y\n1,10\n2,9\n3,-1\n"))
    assert (table.classes, table.targets.tolist()) == (("-1", "9", "10"), [2, 1, 0])


@pytest.mark.parametrize("missing", ["", "NA", "nan", " ? ", "null"])
def test_missing_values_need_a_policy(tmp_path: Path, missing: str) -> None:
    path = written(tmp_path, f"x,y,kind\n1,2,a\n3,{missing},b\n5,6,b\n")
    with pytest.raises(ValueError, match=r"trees\.csv: row 2, column 'y': a value is missing; say what to do"):
        read_table(path)
    dropped = read_table(path, missing="drop")
    assert (dropped.values.tolist(), dropped.rows.tolist(), dropped.dropped) == ([[1, 2], [5, 6]], [1, 3], 1)
    kept = read_table(path, missing="keep")
    assert kept.values.isnan().tolist() == [[False, False], [False, True], [False, False]]
    assert kept.dropped == 0


def test_a_subset_keeps_row_numbers(tmp_path: Path) -> None:
    part = read_table(written(tmp_path, TEXT)).subset([2, 0])
    assert (part.rows.tolist(), part.targets.tolist(), part.values[:, 0].tolist()) == ([3, 1], [1, 1], [5, 1])


def test_rows_by_the_names_of_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "note,y,x\nold,1,2\nnew,,4\n", "new.csv")
    assert read_rows(written(tmp_path, TEXT), ["height", "width"]).tolist() == [[2.5, 1], [4, -0.3], [6, 5]]
    with pytest.raises(ValueError, match="row 2, column 'y': a value is missing"):
        read_rows(path, ["x", "y"])
    assert read_rows(path, ["x", "y"], missing="keep").isnan().tolist() == [[False, False], [False, True]]
    with pytest.raises(ValueError, match=r"has no column 'notes', has note, y, x; did you mean note\?"):
        read_rows(path, ["notes"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,k\n1,2,u\n1,red,v\n", r"row 2, column 'b': must be a number, got 'red'; leave the column out"),
        ("a,b,k\n1,1e999,u\n1,2,v\n", "row 1, column 'b': must be a number, got '1e999'"),
        ("a,b,k\n1,inf,u\n1,2,v\n", "row 1, column 'b': must be a number, got 'inf'"),
        ("a,b,k\n1,2,u\n1,2\n", "row 2 must have 3 cells as the heading, got 2"),
        ("a,b,k\n1,2,u\n1,2,\n", "row 2, column 'k': has no class; drop such rows"),
        ("a,b,k\n1,2,u\n1,2,u\n", "column 'k' must hold at least two classes, got only 'u'"),
        ("a,a,k\n1,2,u\n", "two columns are called 'a'"),
        ("a,,k\n1,2,u\n", "column 2 has no name"),
        ("1,2,3\n1,2,4\n", "the first line must name the columns, got the numbers 1, 2, 3"),
        ("a,b,k\n", "must have a heading and at least one row, got 1 lines"),
        ("", "must have a heading and at least one row, got 0 lines"),
        ("k\nu\nv\n", "needs at least one column of numbers beside 'k'"),
        (b"a,k\n1,\xff\n", "not a CSV table in UTF-8"),
        ("a,k\n" + "\n".join(f"1,{n / 7}" for n in range(30)), "30 different numbers in 30 rows: a measurement"),
    ],
)
def test_refuses(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_table(written(tmp_path, text))


def test_refuses_names_that_are_not_there(tmp_path: Path) -> None:
    path = written(tmp_path, TEXT)
    with pytest.raises(ValueError, match=r"has no column 'kinds', has width, height, kind; did you mean kind\?"):
        read_table(path, target="kinds")
    with pytest.raises(ValueError, match="has no column 'id'"):
        read_table(path, ignore="id")
    with pytest.raises(ValueError, match=r"tree\.csv: no such table; did you mean trees\.csv\?"):
        read_table(tmp_path / "tree.csv")
    with pytest.raises(ValueError, match="is not a regular file"):
        read_table(tmp_path)
    with pytest.raises(ValueError, match="missing must be one of error, drop, keep, got 'mean'"):
        read_table(path, missing="mean")


def test_no_row_left(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no row is left"):
        read_table(written(tmp_path, "a,k\n,u\n,v\n"), missing="drop")


def test_iris_is_scikit_learns() -> None:
    table, iris = builtin("iris", split="all"), load_iris()
    np.testing.assert_array_equal(table.values, iris.data)
    assert table.targets.tolist() == iris.target.tolist()
    assert table.classes == tuple(iris.target_names)


@pytest.mark.parametrize("seed", range(8))
def test_iris_parts_share_no_flower_nor_its_twin(seed: int) -> None:
    train, test = (builtin("iris", split=split, seed=seed) for split in ("train", "test"))
    assert sorted([*train.rows.tolist(), *test.rows.tolist()]) == list(range(1, 151))
    assert test.targets.bincount().tolist() == [10, 10, 10]
    assert not set(content_keys(train.values)) & set(content_keys(test.values))


@pytest.mark.parametrize("name", ["circles", "moons"])
def test_points_of_the_plane(name: str) -> None:
    train, test, every, other = (
        builtin(name, split=split, seed=seed) for split, seed in (("train", 0), ("test", 0), ("all", 0), ("train", 1))
    )
    assert isinstance(train, Table)
    assert isinstance(test, Table)
    assert isinstance(every, Table)
    assert isinstance(other, Table)
    assert train.targets.bincount().tolist() == [100, 100]
    assert test.targets.bincount().tolist() == [1000, 1000]
    assert torch.equal(torch.cat([train.values, test.values]), every.values)
    assert not torch.equal(train.values, other.values)
    assert len(set(content_keys(every.values))) == 2200


def test_circles_have_radius_one_and_a_half_with_noise() -> None:
    test = builtin("circles")
    for target, radius in ((0, 1.0), (1, 0.5)):
        rays = test.values[test.targets == target].norm(dim=1)
        assert float(rays.median()) == pytest.approx(radius, abs=0.03)
        assert float(rays.std()) == pytest.approx(0.15, abs=0.02)


def test_circles_are_as_hard_as_they_were_measured() -> None:
    shares = []
    for seed in range(3):
        train, test = (builtin("circles", split=split, seed=seed) for split in ("train", "test"))
        machine = SVC(kernel="rbf").fit(train.values.numpy(), train.targets.numpy())
        shares.append(machine.score(test.values.numpy(), test.targets.numpy()))
    assert np.mean(shares) == pytest.approx(0.944, abs=0.01)
