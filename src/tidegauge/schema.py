"""JSON Schemas (draft 2020-12) of what crosses a topic and of the baseline file, from their classes."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from tidegauge import records
from tidegauge.baseline_file import BaselineFile
from tidegauge.errors import TidegaugeError

RECORDS: dict[str, type[msgspec.Struct]] = {
    "prediction": records.Prediction,
    "label": records.Label,
    "deadletter": records.DeadLetter,
    "alert": records.Alert,
    "control": records.Control,
    "baseline": BaselineFile,
}


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a record; raises TidegaugeError where there is none of that name."""
    record = RECORDS.get(name)
    if record is None:
        raise TidegaugeError(f"no schema {name!r}; expected one of {', '.join(RECORDS)}")
    described = msgspec.json.schema(record)
    for definition in described["$defs"].values():
        if "description" in definition:  # msgspec before 0.23 leaves a docstring its indentation
            definition["description"] = inspect.cleandoc(definition["description"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described}


def schema_text(name: str) -> str:
    """Return the text of a schema's file."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def file_name(name: str) -> str:
    """Return the name of a schema's file."""
    return f"{name}.schema.json"


def write(directory: Path) -> list[Path]:
    """Write every schema into `directory`; return the files."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / file_name(name) for name in RECORDS]
    for name, path in zip(RECORDS, paths, strict=True):
        path.write_text(schema_text(name), encoding="utf-8")
    return paths
