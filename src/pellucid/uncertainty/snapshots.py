"""Snapshot ensemble: the networks that one training was at the ends of its learning rate's cycles.

G. Huang, Y. Li, G. Pleiss, Z. Liu, J. Hopcroft, K. Weinberger, "Snapshot Ensembles: Train 1, Get M for Free", ICLR
2017, section 3. https://arxiv.org/abs/1704.00109
"""

from pathlib import Path

from pellucid.checks import check_count
from pellucid.models import Model, is_model_folder, load
from pellucid.training.runs import SNAPSHOTS, is_run


def snapshots(run_folder: str | Path, *, last: int | None = None) -> list[Model]:
    """The models that a training kept at its cycles' ends, for `ensemble`; early ones first.

    Args:
        run_folder: of a run of `pellucid train classify ... --schedule cyclic --snapshots true`; finished or not.
        last: how many of the latest are taken, at least 1; none takes all.

    Returns:
        Models, on the CPU and in eval mode.

    Raises:
        ValueError: the folder is no run, holds no snapshots, or fewer than asked for; or one of them is damaged.
    """
    folder = Path(run_folder)
    if not is_run(folder):
        raise ValueError(f"{folder}: is not a run (it has no config.yaml and record.json)")
    kept = [place for place in (folder / SNAPSHOTS).glob("epoch-*") if is_model_folder(place)]
    places = sorted(kept, key=lambda place: (len(place.name), place.name))
    if not places:
        raise ValueError(
            f"{folder}: holds no snapshots; they are kept by pellucid train classify ... --schedule cyclic --period 5 "
            "--snapshots true"
        )
    if last is not None:
        check_count("last", last, 1, len(places))
    return [load(place) for place in places[-(last or len(places)) :]]
