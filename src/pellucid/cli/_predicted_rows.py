"""What a model of tables says of the rows of CSV files."""

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._shared import print_table

if TYPE_CHECKING:
    from pellucid.models import TableModel


def predict_rows(args: Namespace) -> int:
    """Print the most probable classes of each row."""
    from pellucid import models
    from pellucid.checks import check_range

    model = models.load_table_model(args.model)
    if args.weights is not None:
        raise ValueError("weights cannot be given to a model of tables; its folder holds them")
    top = 1 if args.top is None else args.top
    check_range("top", top, 1, len(model.classes))
    entries = [entry for file in args.images for entry in _entries(model, str(file), top)]
    if args.json:
        print(json.dumps({"format": 1, "rows": entries}, indent=1))
        return 0
    rows = []
    for entry in entries:
        said = [f"{one['class']} {100 * one['probability']:.2f} %" for one in entry["predictions"]]
        rows.append((*([entry["file"]] if len(args.images) > 1 else []), entry["row"], *said))
    head = [*(["file"] if len(args.images) > 1 else []), "row", model.target, *(f"{n}." for n in range(2, top + 1))]
    print_table(head, rows, right=[head.index("row")])
    return 0


def _entries(model: "TableModel", file: str, top: int) -> list[dict[str, Any]]:
    """What it says of each row of a file."""
    import torch

    from pellucid import data

    if Path(file).suffix.lower() not in {".csv", ".tsv", ".txt"}:
        raise ValueError(f"{file}: the model is one of tables; give a .csv file with {', '.join(model.columns)}")
    rows = data.read_rows(file, model.columns, missing="keep" if model.scaler.fills else "error")  # (N, d)
    with torch.inference_mode():
        logits = model(rows).double()
    probabilities, indices = logits.softmax(dim=1).topk(top, dim=1)  # (N, top)
    return [
        {
            "file": file,
            "row": number,
            "predictions": [
                {
                    "class": model.classes[index],
                    "index": index,
                    "probability": p,
                    "logit": float(logits[number - 1, index]),
                }
                for index, p in zip(own.tolist(), chances.tolist(), strict=True)
            ],
        }
        for number, (own, chances) in enumerate(zip(indices, probabilities, strict=True), start=1)
    ]
