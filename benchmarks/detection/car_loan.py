"""NannyML's synthetic_car_loan: 50 000 labelled loans as reference, then 50 000 whose labels come late.

The data ships inside NannyML's wheel (Apache-2.0). It is read out of the wheel, or out of an installed
package; NannyML's code is neither imported nor run, and its sixty dependencies are not installed.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CACHE = Path(__file__).parent / ".data"  # not in git
PACKAGE = "nannyml>=0.13,<0.14"
FOLDER = "datasets/data"
CHUNK_ROWS = 5_000  # of NannyML's published tables

NUMBERS = ("car_value", "debt_to_income_ratio", "loan_length", "driver_tenure")
TEXTS = ("salary_range", "repaid_loan_on_prev_car", "size_of_downpayment")


class Loans(NamedTuple):
    """Columns [rows] in the order of time."""

    score: Floats
    predicted: Floats
    repaid: Floats
    numbers: Mapping[str, Floats]
    texts: Mapping[str, list[str]]

    def part(self, rows: slice) -> Loans:
        """Return some of the rows."""
        numbers = {name: column[rows] for name, column in self.numbers.items()}
        texts = {name: column[rows] for name, column in self.texts.items()}
        return Loans(self.score[rows], self.predicted[rows], self.repaid[rows], numbers, texts)


def load() -> tuple[Loans, Loans]:
    """Return the reference and the analysis period; downloads the wheel once."""
    reference = read("synthetic_car_loan_reference.csv")
    analysis = read("synthetic_car_loan_analysis.csv")
    repaid = {row["id"]: row["repaid"] for row in read("synthetic_car_loan_analysis_target.csv")}
    return _loans(reference), _loans([row | {"repaid": repaid[row["id"]]} for row in analysis])


def _loans(rows: list[dict[str, str]]) -> Loans:
    def column(name: str) -> Floats:
        return np.array([row[name] for row in rows], np.float64)

    return Loans(
        column("y_pred_proba"),
        column("y_pred"),
        column("repaid"),
        {name: column(name) for name in NUMBERS},
        {name: [row[name] for row in rows] for name in TEXTS},
    )


def read(name: str) -> list[dict[str, str]]:
    """Return the rows of a table: of the installed package, else of the wheel."""
    installed = importlib.util.find_spec("nannyml")
    if installed is not None and installed.origin is not None:
        text = (Path(installed.origin).parent / FOLDER / name).read_text(encoding="utf-8")
    else:
        with zipfile.ZipFile(_wheel()) as wheel:
            text = wheel.read(f"nannyml/{FOLDER}/{name}").decode()
    return list(csv.DictReader(io.StringIO(text)))


def _wheel() -> Path:
    """Return the wheel in the cache, which pip puts there from the index that it is set up for."""
    found = sorted(CACHE.glob("nannyml-*.whl"))
    if not found:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--dest", str(CACHE), PACKAGE], check=True)
        found = sorted(CACHE.glob("nannyml-*.whl"))
    return found[-1]
