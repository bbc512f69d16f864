"""What the application gives the stages of the settings."""

from __future__ import annotations

from typing import Any

import pytest

from tidegauge import app
from tidegauge.config import Join, Settings
from tidegauge.ports import Ownership


def test_the_join_waits_for_more_as_long_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[Any, ...]] = []
    monkeypatch.setattr(app, "RowProducer", lambda kafka: None)
    monkeypatch.setattr(app, "BatchConsumer", lambda *arguments: built.append(arguments))
    monkeypatch.setattr(app, "JoinStage", lambda settings, join_group, *rest: join_group)
    unused: Any = None
    settings = Settings(join=Join(gather_ms=500))
    join_group: Any = app.stage_builders(settings, unused)["join"](unused)
    join_group(Ownership(unused, unused, unused))
    ((_, group, topics, _, gather_seconds),) = built
    assert (group, gather_seconds) == ("join", 0.5)
    assert topics == [settings.topics.predictions, settings.topics.labels]
