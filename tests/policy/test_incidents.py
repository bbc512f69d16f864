import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.errors import SnapshotError
from tidegauge.policy.incidents import TABLE, IncidentKey, Incidents, identify

KEY = IncidentKey("churn", "v1", None, "rule", "f1@1000 < 0.9*baseline", "f1")
OTHER = KEY._replace(segment="country=DE")
WORDS = {"b": "breach", "h": "healthy", "u": "undecided"}
verdicts = st.lists(st.sampled_from("bhu"), max_size=60)


def run(incidents, letters, needed=3, key=KEY, start=0):
    """Return (evaluation, status) of every step; evaluation i is at event time i."""
    steps = [incidents.step(key, WORDS[letter], start + i, needed) for i, letter in enumerate(letters)]
    return [(i, step.status) for i, step in enumerate(steps) if step]


@pytest.mark.parametrize(
    ("letters", "expected"),
    [
        ("bb", []),
        ("bbb", [(2, "firing")]),
        ("bbhbb", []),
        ("bubub", [(4, "firing")]),  # undecided neither counts nor breaks the row
        ("bbbbbbb", [(2, "firing")]),
        ("bbbhhh", [(2, "firing"), (5, "resolved")]),
        ("bbbhhbhhh", [(2, "firing"), (8, "resolved")]),
        ("bbbuuuuhhuh", [(2, "firing"), (10, "resolved")]),
        ("bbbhhhbbb", [(2, "firing"), (5, "resolved"), (8, "firing")]),
        ("hhhuuu", []),
    ],
)
def test_an_incident_fires_and_resolves_after_three_in_a_row(letters, expected):
    assert run(Incidents(), letters) == expected


def test_with_one_needed_every_breach_and_every_recovery_counts():
    assert run(Incidents(), "bhb", needed=1) == [(0, "firing"), (1, "resolved"), (2, "firing")]


@given(verdicts, st.integers(1, 4))
def test_statuses_alternate_beginning_with_firing(letters, needed):
    statuses = [status for _, status in run(Incidents(), letters, needed)]
    assert statuses == [("firing", "resolved")[i % 2] for i in range(len(statuses))]


@given(verdicts, st.integers(1, 4))
def test_it_fires_exactly_at_the_needed_breach_in_a_row(letters, needed):
    decided = [letter for letter in letters if letter != "u"]
    fired = run(Incidents(), letters, needed)[:1]
    row = "b" * needed
    expected = "".join(decided).find(row)
    assert bool(fired) == (expected >= 0)
    if fired:
        places = [i for i, letter in enumerate(letters) if letter != "u"]
        assert fired == [(places[expected + needed - 1], "firing")]


@given(verdicts, st.integers(0, 60), st.integers(1, 4))
def test_restored_incidents_go_on_with_the_same_ids(letters, cut, needed):
    straight, first = Incidents(), Incidents()
    expected = [straight.step(KEY, WORDS[letter], i, needed) for i, letter in enumerate(letters)]
    found = [first.step(KEY, WORDS[letter], i, needed) for i, letter in enumerate(letters[:cut])]
    second = Incidents.restore(json.loads(json.dumps(first.snapshot())))
    found += [second.step(KEY, WORDS[letter], cut + i, needed) for i, letter in enumerate(letters[cut:])]
    assert found == expected
    assert second.snapshot() == straight.snapshot()


def test_the_firing_alert_and_its_resolution_share_the_incident_and_differ_in_id():
    incidents = Incidents()
    steps = [incidents.step(KEY, WORDS[letter], 10 * i, 1) for i, letter in enumerate("bhb")]
    assert steps[0].incident_id == steps[1].incident_id
    assert steps[0].opened_at_ms == steps[1].opened_at_ms == 0
    assert steps[2].incident_id != steps[0].incident_id
    assert len({step.alert_id for step in steps}) == 3


def test_ids_depend_on_the_key_and_the_time_alone():
    first = Incidents().step(KEY, "breach", 5, 1)
    assert first == Incidents().step(KEY, "breach", 5, 1)
    others = [key for i in range(6) for key in [KEY._replace(**{KEY._fields[i]: "else"})]]
    ids = {Incidents().step(key, "breach", 5, 1).incident_id for key in others}
    assert len(ids | {first.incident_id}) == 7
    assert identify("a", None) != identify("a", "None")


def test_an_incident_that_reopens_while_event_time_stands_still_has_an_id_of_its_own():
    incidents = Incidents()
    steps = [incidents.step(KEY, WORDS[letter], 7, 1) for letter in "bhbhb"]
    assert len({step.incident_id for step in steps}) == 3


def test_keys_do_not_disturb_one_another():
    incidents = Incidents()
    assert run(incidents, "bb") == [] and run(incidents, "bbb", key=OTHER) == [(2, "firing")]
    assert (incidents.state(KEY), incidents.state(OTHER)) == ("suspect", "firing")


def test_a_quiet_key_that_never_had_an_incident_takes_no_memory():
    incidents = Incidents()
    run(incidents, "hbbhuh")
    assert incidents.snapshot()["incidents"] == []
    assert incidents.state(KEY) == "quiet"


def test_forgetting_a_version_resolves_its_open_incidents_and_no_other():
    incidents = Incidents()
    elsewhere = KEY._replace(model_version="v2")
    for key in (KEY, OTHER, elsewhere):
        run(incidents, "b" if key == OTHER else "bbb", key=key)
    opened = identify(*KEY, 2, 0)
    assert [(key, step.status, step.incident_id) for key, step in incidents.forget("churn", "v1")] == [
        (KEY, "resolved", opened)
    ]
    assert (incidents.state(KEY), incidents.state(OTHER), incidents.state(elsewhere)) == (
        "quiet", "quiet", "firing",
    )  # fmt: skip


def test_the_table_decides_every_state_and_verdict_but_undecided():
    states = {"quiet", "suspect", "firing", "recovering"}
    assert set(TABLE) == {(state, verdict) for state in states for verdict in ("healthy", "breach")}


@pytest.mark.parametrize("state", [{}, {"version": 99, "incidents": []}, {"version": 1, "incidents": [[1]]}])
def test_a_foreign_state_is_refused(state):
    with pytest.raises(SnapshotError, match="incidents"):
        Incidents.restore(state)
