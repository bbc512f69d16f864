"""Baseline files on disk."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tidegauge.baseline_file import BaselineFile, decode, encode
from tidegauge.config import Settings
from tidegauge.errors import ConfigError
from tidegauge.monitor.adopted import unfit

HOW = "make one with `tidegauge baseline fit`"


def read(path: Path) -> BaselineFile:
    """Return the baseline in a file; raises ConfigError that says what is wrong and where."""
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; {HOW}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: not a baseline file: {error}; {HOW}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not JSON: {error}; {HOW}") from error


def write(path: Path, found: BaselineFile) -> int:
    """Write a baseline; return its bytes. Raises ConfigError where the file cannot be written."""
    text = encode(found)
    try:
        path.write_bytes(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
    return len(text)


def configured(settings: Settings) -> dict[str, BaselineFile]:
    """Return the baseline files that the settings name, by model; raises ConfigError naming the key."""
    return {
        model_id: _of_model(model_id, model.baseline_file, settings)
        for model_id, model in settings.models.items()
        if model.baseline_file is not None
    }


def _of_model(model_id: str, name: str, settings: Settings) -> BaselineFile:
    key = f"models.{model_id}.baseline_file"
    try:
        found = read(Path(name))
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from error
    if found.model_id != model_id:
        raise ConfigError(
            f"{key}: {name}: expected a baseline of {model_id!r}, got one of {found.model_id!r}"
        )
    why = unfit(found, settings)
    if why:
        raise ConfigError(f"{key}: {name}: {why}")
    return found
