"""What every test may ask for: the real data and weights where they are given, and small pictures."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does, before torch is imported
import torch


def pytest_configure() -> None:
    torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)  # several workers share the cores


def _given(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value or not Path(value).is_dir():
        pytest.skip(f"{variable} does not name a folder")
    return Path(value).resolve()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets."""
    return _given("PELLUCID_DATA")


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    """The folder of ImageNet-trained models."""
    return _given("PELLUCID_WEIGHTS")
