"""pellucid audit."""

import errno
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from pellucid import data, models
from pellucid.audit import audit

from .calling import CLASSES, Call, content, pictures, png, zipped

FILES = {"index.html", "predictions.parquet", "summary.json", "record.json"}


def read(file: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def test_the_page_and_the_same_facts_as_files(call: Call, place: Path, model_folder: Path, labelled: Path) -> None:
    said = call("audit", model_folder, labelled, "-o", "deep/out", "--shown", "3")
    assert (said.code, said.err) == (0, "")
    out = place / "deep" / "out"
    assert set(content(out)) == FILES
    assert set(content(place)) == {"deep", "deep/out"} | {f"deep/out/{name}" for name in FILES}
    summary = read(out / "summary.json")
    assert said.out.splitlines() == [
        *(f"{number}. {fact}" for number, fact in enumerate(summary["facts"], start=1)),
        f"page: {out / 'index.html'}",
    ]
    page = (out / "index.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "How good it is" in page
    record = read(out / "record.json")
    assert record.pop("files") == ["index.html", "predictions.parquet", "record.json", "summary.json"]
    assert record == summary["record"]
    assert (record["command"], record["seed"], record["options"]["shown"]) == ("audit", 0, 3)
    assert record["data"] == {"path": str(labelled), "split": "", "images": 24, "read": 24}


def test_the_table_is_what_the_library_says(call: Call, place: Path, model_folder: Path, labelled: Path) -> None:
    assert call("audit", model_folder, labelled, "-o", "out", "--shown", "0").code == 0
    table = pq.read_table(place / "out" / "predictions.parquet")
    assert {"file", "target", "predicted", "probability", "loss", *(f"top{k}" for k in range(1, 6))} <= set(
        table.column_names
    )
    assert json.loads(table.schema.metadata[b"classes"]) == list(CLASSES)
    record = read(place / "out" / "record.json")
    assert json.loads(table.schema.metadata[b"record"]) | {"files": record["files"]} == record
    columns = table.to_pydict()
    model, images = models.load(model_folder), data.open_images(labelled)
    assert columns["file"] == [item.file for item in images.items]
    meant = {"Goldfish": 1, "great-white_shark": 2, "TINCA TINCA": 0, "stingray": 4}
    mine = [meant[file.split("/")[0]] for file in columns["file"]]
    assert columns["target"] == mine
    with torch.inference_mode():
        logits = torch.cat([model(data.read_image(labelled / file, model.geometry)) for file in columns["file"]])
    probabilities = logits.softmax(dim=1)
    ranked = probabilities.argsort(dim=1, descending=True)
    assert columns["predicted"] == ranked[:, 0].tolist()
    assert [columns[f"top{k}"] for k in range(1, 6)] == ranked[:, :5].T.tolist()
    assert columns["target_name"] == [CLASSES[index] for index in mine]
    assert columns["predicted_name"] == [CLASSES[index] for index in columns["predicted"]]
    torch.testing.assert_close(torch.tensor(columns["probability"]), probabilities.amax(dim=1), rtol=1e-4, atol=1e-5)
    loss = -probabilities[torch.arange(24), mine].log()
    torch.testing.assert_close(torch.tensor(columns["loss"]), loss, rtol=1e-4, atol=1e-5)


def test_the_summary_has_the_documented_shape(call: Call, place: Path, model_folder: Path, labelled: Path) -> None:
    assert call("audit", model_folder, labelled, "-o", "out", "--shown", "0").code == 0
    told = read(place / "out" / "summary.json")
    found = audit(models.load(model_folder), data.open_images(labelled), shown=0)
    assert set(told) == {
        *("format", "images", "unreadable", "left_out", "accuracy", "loss", "calibration", "f1", "restricted"),
        *("robustness", "explanations", "facts", "classes_matched_by", "model", "record"),
        *("answers", "warnings", "conformal_sets", "corruptions", "elsewhere", "learned"),
    }
    assert told["classes_matched_by"] == {"name": len(found.matches)}
    assert (told["format"], told["images"], told["unreadable"]) == (1, 24, 0)
    for name, share in (("top1", found.top1), ("top5", found.top5)):
        assert told["accuracy"][name] == {"value": share.value, "low": share.low, "high": share.high}
        assert 0 <= share.low <= share.value <= share.high <= 1
    assert 0 < told["accuracy"]["top1"]["value"] < told["accuracy"]["top5"]["value"], "the set tells them apart"
    assert told["calibration"] == {"ece": found.ece, "brier": found.brier, "nll": found.loss, "temperature": None}
    assert told["loss"] == found.loss
    assert told["f1"] == {"macro": found.per_class.macro_f1, "weighted": found.per_class.weighted_f1}
    assert all(0 <= share <= 1 for share in (*told["f1"].values(), told["calibration"]["ece"]))
    assert told["model"]["spec"] == str(model_folder)
    assert len(told["facts"]) == 8
    assert (told["answers"], told["elsewhere"]) == (None, None), "24 images are too few to be halved"
    assert told["corruptions"]["images"] == 24
    assert told["explanations"]["images"] == 12
    assert told["robustness"]["images"] == 24


def test_the_gate(call: Call, place: Path, model_folder: Path, labelled: Path) -> None:
    words = ("audit", model_folder, labelled, "--shown", "0", "--fail-under")
    failed = call(*words, "1", "-o", "out")
    assert failed.code == 1
    assert set(content(place / "out")) == FILES
    top1 = read(place / "out" / "summary.json")["accuracy"]["top1"]["value"]
    assert failed.out.splitlines()[-1] == f"gate: accuracy {top1:.4f} is under 1.0"
    passed = call(*words, str(top1), "-o", "out2")
    assert passed.code == 0
    assert "gate: " not in passed.out


def test_a_mismatch_of_classes_stops_before_any_work(
    call: Call, place: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise AssertionError("a picture was read")

    names = [f"strange {letter}" for letter in "lkjihgfedcba"]
    pictures(place / "set", *(f"{name}/1.png" for name in names), "goldfish/1.png")
    monkeypatch.setattr(data.ImageSet, "read", fail)
    said = call("audit", model_folder, "set", "-o", "out")
    first = ", ".join(repr(name) for name in sorted(names)[:10])
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(
        f"pellucid: 12 of 13 classes are not among the model's 6: {first} and more; did you mean "
    )
    assert "? match them with --class-map FILE (CSV or JSON" in said.err
    assert "strange k'" not in said.err
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map.csv", "cat,goldfish\ndog,5\nhen,tench\n"),
        ("map.json", '{"cat": "GOLDFISH", "dog": 5, "hen": "Tinca tinca"}'),
    ],
)
def test_the_users_own_class_map(call: Call, place: Path, model_folder: Path, name: str, text: str) -> None:
    pictures(place / "set", "dog/1.png", "cat/1.png", "hen/1.png", "stingray/1.png")
    (place / name).write_text(text)
    said = call("audit", model_folder, "set", "-o", "out", "--class-map", name)
    assert (said.code, said.err) == (0, "")
    columns = pq.read_table(place / "out" / "predictions.parquet").to_pydict()
    told = dict(zip(columns["file"], columns["target"], strict=True))
    assert told == {"cat/1.png": 1, "dog/1.png": 5, "hen/1.png": 0, "stingray/1.png": 4}
    assert read(place / "out" / "record.json")["options"]["class_map"]["cat"].lower() == "goldfish"


def test_a_split_is_chosen_and_told(call: Call, place: Path, model_folder: Path) -> None:
    classes = [f"{split}/{name}" for split in ("train", "val") for name in CLASSES[1:3]]
    pictures(place / "set", *(f"{name}/{number}.png" for name in classes for number in range(3)))
    assert call("audit", model_folder, "set", "-o", "out", "--split", "train").code == 0
    files = pq.read_table(place / "out" / "predictions.parquet")["file"].to_pylist()
    assert {file.split("/")[0] for file in files} == {"train"}
    assert read(place / "out" / "record.json")["data"]["split"] == "train"
    assert "6 images of set, split train, asked of" in (place / "out" / "index.html").read_text()


def test_two_folder_names_make_a_class(call: Call, place: Path, model_folder: Path) -> None:
    zipped(place / "set.zip", "great/white shark/1.png", "tiger/shark/1.png")
    (place / "m.csv").write_text("great/white shark,great white shark\ntiger/shark,tiger shark\n")
    words = ("audit", model_folder, "set.zip", "-o", "out", "--class-level", "2", "--class-map", "m.csv")
    assert call(*words).code == 0
    columns = pq.read_table(place / "out" / "predictions.parquet").to_pydict()
    assert columns["target"] == [2, 3]


def test_what_was_left_out_stands_in_the_page(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place / "set", "goldfish/1.png", "stingray/1.png", "stray.png")
    (place / "set" / "goldfish" / "bad.png").write_text("x")
    (place / "set" / "cock").mkdir()
    said = call("audit", model_folder, "set", "-o", "out")
    assert (said.code, said.err) == (0, "")
    assert "   3 files or folders were left out; the page says why." in said.out.splitlines()
    page = (place / "out" / "index.html").read_text()
    for line in (
        "goldfish/bad.png: not a picture of a known format",
        "stray.png: lies outside every class folder",
        "cock/: holds no picture",
    ):
        assert f"<li>{line}</li>" in page
    summary = read(place / "out" / "summary.json")
    assert (summary["images"], summary["unreadable"], summary["left_out"]) == (2, 1, 3)


def test_pictures_without_a_label_are_left_out(call: Call, place: Path, model_folder: Path) -> None:
    pictures(place / "set", "1.png", "2.png")
    (place / "set" / "labels.csv").write_text("file,class_name\n1.png,goldfish\n2.png,\n")
    assert call("audit", model_folder, "set", "-o", "out").code == 0
    assert "<li>2.png: has no label</li>" in (place / "out" / "index.html").read_text()
    assert read(place / "out" / "summary.json")["images"] == 1


def test_the_built_in_digits_need_no_file(call: Call, place: Path) -> None:
    (place / "model").mkdir()
    models.save(models.create("digits_cnn", classes=[str(n) for n in range(10)], width=2), place / "model")
    assert call("audit", "model", "digits", "-o", "out", "--shown", "0").code == 0
    record = read(place / "out" / "record.json")
    assert record["data"] == {"path": "digits", "split": "test", "images": 360, "read": 360}


def interrupted(*_args: object, **_options: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_audit_leaves_nothing(
    call: Call, place: Path, model_folder: Path, labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in (("audit", "write_json"), ("predictions", "class_logits")):  # while it writes, while it asks
        monkeypatch.setattr(sys.modules[f"pellucid.audit.{module}"], name, interrupted)
        said = call("audit", model_folder, labelled, "-o", "out", "--shown", "0")
        assert (said.code, said.out, said.err) == (130, "", "pellucid: interrupted; nothing was left half written\n")
        assert content(place) == {}


def test_a_full_disk_is_one_line_and_the_old_report_survives(
    call: Call, place: Path, model_folder: Path, labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("audit", model_folder, labelled, "-o", "out", "--shown", "0")
    assert call(*words).code == 0
    before = content(place)

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys.modules["pellucid.audit.audit"], "write_json", full)
    said = call(*words, "--force")
    assert (said.code, said.out) == (1, "")
    assert said.err == "pellucid: OSError: [Errno 28] No space left on device\n"
    assert content(place) == before


def test_force_replaces_its_own_report(call: Call, place: Path, model_folder: Path, labelled: Path) -> None:
    words = ("audit", model_folder, labelled, "-o", "out", "--shown", "0")
    assert call(*words).code == 0
    before = content(place)
    assert call(*words, "--seed", "1").code == 2
    assert content(place) == before
    assert call(*words, "--seed", "1", "--force").code == 0
    assert set(content(place)) == set(before)
    assert read(place / "out" / "record.json")["seed"] == 1


KILLED = """
import os, signal, sys
import pellucid.audit
module = sys.modules["pellucid.audit.audit"]
module.write_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from pellucid.cli import main
main(["audit", *sys.argv[1:], "-o", "out", "--shown", "0", "--force"])
"""


def test_an_audit_that_is_killed_leaves_the_old_report_whole(
    call: Call, place: Path, model_folder: Path, labelled: Path
) -> None:
    assert call("audit", model_folder, labelled, "-o", "out", "--shown", "0").code == 0
    before = content(place / "out")
    ran = subprocess.run([sys.executable, "-c", KILLED, str(model_folder), str(labelled)], check=False)
    assert ran.returncode == -signal.SIGKILL
    assert content(place / "out") == before
    assert any(name.endswith(".part/index.html") for name in content(place)), "it was killed while it wrote"


def test_pictures_from_elsewhere_are_shown_to_detectors(
    call: Call, place: Path, model_folder: Path, labelled: Path
) -> None:
    (place / "others").mkdir()
    for seed in range(6):
        (place / "others" / f"{seed}.png").write_bytes(png(1000 + seed))
    said = call("audit", model_folder, labelled, "-o", "out", "--shown", "0", "--attacked", "0", "--ood", "others")
    assert (said.code, said.err) == (0, "")
    told = read(place / "out" / "summary.json")
    assert (told["elsewhere"]["inside"], told["elsewhere"]["outside"]) == (6, 6)
    assert told["record"]["options"]["ood"] == "others"
    assert "From elsewhere" in (place / "out" / "index.html").read_text()
    missing = call("audit", model_folder, labelled, "-o", "again", "--ood", "nowhere")
    assert missing.code == 2
    assert "nowhere: no such file or folder" in missing.err


def test_training_pictures_are_laid_beside(call: Call, place: Path, model_folder: Path, labelled: Path) -> None:
    quiet = ("--judged", "0", "--attacked", "0", "--corrupted", "0", "--methods", "", "--shown", "2")
    shutil.copytree(labelled, place / "known")
    for number, path in enumerate(sorted((place / "known").rglob("*.png"))):
        path.write_bytes(png(100 + number))  # others
    copied = next((place / "known").rglob("03.png"))
    shutil.copy(next(labelled.rglob("03.png")), copied)
    assert call("audit", model_folder, labelled, "--train", "known", *quiet, "-o", "out").code == 0
    told = read(place / "out" / "summary.json")["learned"]
    assert (told["path"], told["images"]) == ("known", 24)
    assert f"/{copied.parent.name}/03.png".endswith(told["nearest_twins"][0]["near"]["file"])
    assert told["nearest_twins"][0]["near"]["distance"] < 1e-6
    said = call("audit", model_folder, labelled, "--train", labelled, *quiet, "-o", "new")
    assert said.code == 2
    assert "train must be other pictures than those asked about" in said.err
