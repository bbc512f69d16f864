"""A new release reads the snapshots of the one before it, and says clearly what it cannot read."""

from __future__ import annotations

import contextlib
import gzip
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.monitor.streams import Observed, binary, blocks, corrected
from tidegauge.adapters import block_codec
from tidegauge.block import Block
from tidegauge.config import Drift, Limits, Model, Rule, Settings
from tidegauge.config import Monitor as MonitorSettings
from tidegauge.errors import SnapshotError
from tidegauge.monitor import Monitor, Report

FIRST_LAYOUT = Path(__file__).with_name("snapshot-1.msgpack.gz")
NUMBER = re.compile(r"-?[0-9.]+(?:e-?[0-9]+)?")
SEEN = 11  # blocks before the snapshot

SETTINGS = Settings(
    monitor=MonitorSettings(
        count_windows=(50,),
        time_windows=("1h",),
        panes=2,
        score_bins=20,
        calibration_bins=5,
        baseline_outcomes=60,
        inference_outcomes=40,
        recent_outcomes=300,
    ),
    rules=(Rule(metric="accuracy", window="50", min_samples=20, consecutive=2, every_outcomes=10),),
    models={"churn": Model(segments=("country",))},
    drift=Drift(  # the detectors that the release with layout 1 had
        detectors=("adwin",),
        calibration="none",
        separation="none",
        label_delay="none",
        features="psi",
        reference_rows=50,
        min_samples=20,
        window="1h",
    ),
    limits=Limits(segment_values=2),
)


def stream() -> list[Observed]:
    """Return what four models saw: scores, classes, numbers, and one whose task is still open."""
    random = np.random.default_rng(1)
    found = []
    for i, one in enumerate(corrected(binary(400, seed=1, step_ms=20_000), every=9)):
        country = (("country", "abcd"[i % 4]),)
        fields = {"age": float(i % 7), "plan": "xyz"[i % 3]}
        kinds = (
            replace(one, segments=country, features=fields, latency_ms=3.0, kpis={"revenue": float(i)}),
            replace(one, model="kind", prediction="abc"[i % 3], labels=("abc"[i % 2],), proba=None),
            replace(one, model="price", prediction=i + random.normal(), labels=(float(i),), proba=None),
            replace(one, model=f"new-{i // 80}", proba=None, version="v2"),
        )
        found.append(replace(kinds[i % 4], name=f"p{i}"))
    return found


def every() -> list[Block]:
    return list(blocks(stream(), 20, late=4))


# `snapshot-1.msgpack.gz` holds, compressed, what the release with layout 1 wrote after the first SEEN blocks:
#   monitor = Monitor(SETTINGS)
#   for block in every()[:SEEN]: monitor.observe(block)
#   FIRST_LAYOUT.write_bytes(gzip.compress(block_codec.pack(monitor.state()), mtime=0))
def test_a_snapshot_of_the_first_layout_goes_on_as_if_nothing_had_happened() -> None:
    through, again = Monitor(SETTINGS), Monitor(SETTINGS)
    found = [through.observe(block) for block in every()]
    again.restore(block_codec.unpack(gzip.decompress(FIRST_LAYOUT.read_bytes())))
    assert [again.observe(block) for block in every()[SEEN:]] == found[SEEN:]
    assert_alike(again.report(), through.report())


def assert_alike(found: Report, expected: Report) -> None:
    """Sums of weights and losses may have been added up in another order."""
    assert found.models == expected.models
    assert found.writes.keys() == expected.writes.keys()
    for key, fields in expected.writes.items():
        assert found.writes[key].keys() == fields.keys()
        for field, text in fields.items():
            assert found.writes[key][field] == text or close(found.writes[key][field], text), (key, field)


def close(found: str, expected: str) -> bool:
    numbers = [[float(each) for each in NUMBER.findall(text)] for text in (found, expected)]
    return NUMBER.sub("", found) == NUMBER.sub("", expected) and numbers[0] == pytest.approx(
        numbers[1], rel=1e-9
    )


@pytest.mark.parametrize("cut", [3, SEEN, 15])
def test_a_snapshot_of_this_layout_goes_on_as_if_nothing_had_happened(cut: int) -> None:
    through, again, first = Monitor(SETTINGS), Monitor(SETTINGS), Monitor(SETTINGS)
    found = [through.observe(block) for block in every()]
    for block in every()[:cut]:
        first.observe(block)
    again.restore(block_codec.unpack(block_codec.pack(first.state())))
    assert [again.observe(block) for block in every()[cut:]] == found[cut:]
    assert again.report() == through.report()


def test_a_report_between_two_blocks_changes_no_alert_and_no_later_report() -> None:
    silent, asked = Monitor(SETTINGS), Monitor(SETTINGS)
    for block in every():
        assert silent.observe(block) == asked.observe(block)
        asked.report()
    asked.observe(every()[0])  # nothing of it is new
    told = silent.report()
    everything = Monitor(SETTINGS)
    everything.restore(block_codec.unpack(block_codec.pack(asked.state())))
    assert (
        everything.report().writes.items()
        >= {key: fields for key, fields in told.writes.items() if not key.startswith("tg:series:")}.items()
    )


def test_reports_in_pieces_tell_together_what_one_report_tells() -> None:
    whole, pieces = Monitor(SETTINGS), Monitor(SETTINGS)
    for block in every():
        whole.observe(block)
        pieces.observe(block)
    found: dict[str, dict[str, str]] = {}
    while pieces.unreported():
        before = pieces.unreported()
        for key, fields in pieces.report(2).writes.items():
            found[key] = found.get(key, {}) | fields
        assert before - pieces.unreported() == min(2, before)
    assert found == whole.report().writes


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every map and list in a tree, and of what they hold."""
    yield path
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(entries)[: 12 if len(path) < 2 else 2]:
        yield from leaves(value, (*path, key))


def test_a_tree_that_lacks_something_is_refused_by_name_or_read() -> None:
    monitor = Monitor(SETTINGS)
    for block in every()[:SEEN]:
        monitor.observe(block)
    data = block_codec.pack(monitor.state())
    for path in leaves(block_codec.unpack(data)):
        for foreign in ("x", None, [1], {}, np.zeros((2, 1))):
            tree = {"state": block_codec.unpack(data)}
            place: Any = tree
            for key in ("state", *path)[:-1]:
                place = place[key]
            place[("state", *path)[-1]] = foreign
            with contextlib.suppress(SnapshotError):
                Monitor(SETTINGS).restore(tree["state"])


@pytest.mark.parametrize("state", [None, [], {}, *({"version": number} for number in range(4))])
def test_what_is_no_state_is_refused(state: object) -> None:
    with pytest.raises(SnapshotError):
        Monitor(SETTINGS).restore(state)


def test_metrics_and_what_is_told_without_them_are_together_what_one_report_tells() -> None:
    apart, whole = Monitor(SETTINGS), Monitor(SETTINGS)
    for block in every():
        apart.observe(block)
        whole.observe(block)
    parts = apart.report(whole=False), apart.report(metrics=False)
    assert not parts[0].writes.keys() & parts[1].writes.keys()
    assert parts[0].writes | parts[1].writes == whole.report().writes
    assert not apart.unreported()


def test_history_is_told_with_whole_reports_and_none_of_it_is_lost_between_them() -> None:
    hasty, patient = Monitor(SETTINGS), Monitor(SETTINGS)
    for block in every():
        hasty.observe(block)
        patient.observe(block)
        assert not [key for key in hasty.report(None, whole=False).writes if key.startswith("tg:series:")]
    told = [monitor.report().writes for monitor in (hasty, patient)]
    history = [{key: one[key] for key in one if key.startswith("tg:series:")} for one in told]
    assert history[0] == history[1]
    assert history[0]
