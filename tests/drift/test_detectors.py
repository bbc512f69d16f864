import pickle

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift

from tidegauge.drift import detectors, plain
from tidegauge.drift.detectors import KINDS, Detector
from tidegauge.errors import ConfigError, SnapshotError

BINARY = sorted(name for name, kind in KINDS.items() if kind.binary)
ANY = sorted(KINDS.keys() - set(BINARY))
REPEATS = {"kswin": 1}  # it sorts a window at every step: half a millisecond


def errors(rates, seed=3, each=1_000):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.random(each) < rate for rate in rates]).astype(np.float64)


def stream(name, rates):
    return errors(rates, each=300 if name == "kswin" else 1_000)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_rise_of_the_error_is_a_change_for_the_worse(name):
    values = stream(name, [0.1, 0.7])
    half = len(values) // 2
    detector = Detector(name)
    found = [change for change in detector.update(values) if change.at >= half]
    assert found
    assert found[0].worse
    assert found[0].at - half < 300
    assert detector.seen == len(values)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_fall_of_the_error_is_never_a_change_for_the_worse(name):
    values = stream(name, [0.7, 0.1])
    half = len(values) // 2
    assert not [
        change for change in Detector(name).update(values) if change.worse and half <= change.at < half + 200
    ]


def test_river_waits_for_a_fall_of_ones_in_fhddm_so_it_is_fed_the_right_answers():
    rising = errors([0.1, 0.9])
    bare = drift.binary.FHDDM()
    signalled = []
    for index, value in enumerate(rising.tolist()):
        bare.update(value)
        signalled += [index] * bare.drift_detected
    assert not [index for index in signalled if 1_000 <= index < 1_300]
    assert any(1_000 <= change.at < 1_300 for change in Detector("fhddm").update(rising))


def test_adwin_signals_where_river_signals_and_tells_the_means_on_both_sides_of_its_cut():
    values = np.concatenate([np.zeros(600), np.ones(400), np.zeros(600)])
    bare, expected = drift.ADWIN(), []
    for index, value in enumerate(values.tolist()):
        bare.update(value)
        expected += [index] * bare.drift_detected
    found = Detector("adwin").update(values)
    assert [change.at for change in found] == expected
    assert [change.worse for change in found[:1]] == [True]
    assert not found[-1].worse
    start = 0
    for change in found:
        both = [change.before, change.after]
        assert min(both) <= values[start : change.at + 1].mean() <= max(both)
        start = change.at + 1


@pytest.mark.parametrize("name", sorted(KINDS))
@pytest.mark.parametrize("cut", [0.0, 0.3, 0.55, 1.0])
def test_a_restored_detector_goes_on_as_if_nothing_had_happened(name, cut):
    values = stream(name, [0.1, 0.6, 0.2])
    at = int(len(values) * cut)
    detector = Detector(name)
    detector.update(values[:at])
    restored = Detector.restore(detector.snapshot())
    assert restored.update(values[at:]) == detector.update(values[at:])
    assert (restored.seen, restored.changes, restored.last) == (
        detector.seen,
        detector.changes,
        detector.last,
    )
    assert restored.snapshot() == detector.snapshot()


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"kswin"}))
def test_a_detector_restored_right_after_a_change_starts_over_like_the_other(name):
    values = stream(name, [0.05, 0.8])
    first = Detector(name).update(values)[0]
    detector = Detector(name)
    detector.update(values[: first.at + 1])
    restored = Detector.restore(detector.snapshot())
    assert restored.update(values[first.at + 1 :]) == detector.update(values[first.at + 1 :])


@settings(max_examples=20)
@given(st.lists(st.integers(1, 400), max_size=6))
def test_how_the_values_are_cut_into_batches_changes_nothing(sizes):
    values = errors([0.1, 0.6])
    whole, parts = Detector("adwin"), Detector("adwin")
    expected = [change._replace(at=0) for change in whole.update(values)]
    found = [change for part in np.split(values, np.cumsum(sizes)) for change in parts.update(part)]
    assert [(c.seen, c.worse) for c in found] == [(c.seen, c.worse) for c in expected]
    assert [c.before for c in found] == pytest.approx([c.before for c in expected])


@pytest.mark.parametrize("name", ANY)
def test_losses_between_zero_and_one_are_taken_by_detectors_of_any_values(name):
    rng = np.random.default_rng(5)
    n = 250 if name == "kswin" else 1_500
    values = np.clip(np.concatenate([rng.normal(0.2, 0.05, n), rng.normal(0.6, 0.05, n)]), 0, 1)
    assert any(change.worse and change.at >= n for change in Detector(name).update(values))


@pytest.mark.parametrize("name", BINARY)
def test_a_binary_detector_refuses_other_numbers_and_keeps_its_state(name):
    detector = Detector(name)
    with pytest.raises(ValueError, match="errors of 0 and 1"):
        detector.update(np.array([0.0, 0.4]))
    assert detector.seen == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="finite"):
        Detector("adwin").update(np.array([0.0, value]))


def test_no_values_signal_nothing():
    detector = Detector("adwin")
    assert detector.update(np.empty(0)) == []
    assert detector.seen == 0


@pytest.mark.parametrize("name", BINARY)
def test_a_binary_detector_on_a_regression_stops_the_start_and_names_what_fits(name):
    detectors.check([name], binary_errors=True)
    with pytest.raises(ConfigError, match=r"drift\.detectors: .*0 and 1.*adwin"):
        detectors.check([name], binary_errors=False)


def test_an_unknown_detector_stops_the_start_and_names_the_known():
    with pytest.raises(ConfigError, match=r"models\.x\.detectors: expected one of e_sr, adwin.*'adwinn'"):
        detectors.check(["adwinn"], binary_errors=True, key="models.x.detectors")


class Exploit:
    def __reduce__(self):
        return print, ("a snapshot ran code",)


def sealed(state):
    return detectors._seal(msgspec.msgpack.encode(state))


def written(name="adwin", values=()):
    detector = Detector(name)
    detector.update(np.array(values, np.float64))
    return msgspec.msgpack.decode(detector.snapshot()[detectors.DIGEST_BYTES :])


@pytest.mark.parametrize(
    "state", [b"", b"x", b"\x80" * 100, pickle.dumps(Exploit()), detectors._seal(b"\xc1")]
)
def test_bytes_that_are_no_snapshot_are_refused_and_no_code_is_run(state, capsys):
    with pytest.raises(SnapshotError):
        Detector.restore(state)
    assert capsys.readouterr().out == ""


def test_a_hostile_pickle_inside_a_valid_seal_is_refused_and_not_run(capsys):
    with pytest.raises(SnapshotError):
        Detector.restore(detectors._seal(pickle.dumps(Exploit())))
    with pytest.raises(SnapshotError):
        Detector.restore(sealed(written() | {"river": {"_helper": pickle.dumps(Exploit())}}))
    assert capsys.readouterr().out == ""


def test_every_damaged_byte_is_noticed():
    state = bytearray(Detector("ddm").snapshot())
    for index in range(len(state)):
        damaged = bytearray(state)
        damaged[index] ^= 1
        with pytest.raises(SnapshotError):
            Detector.restore(bytes(damaged))


@pytest.mark.parametrize(
    "change", [{"version": 99}, {"name": "unknown"}, {"written_by": "0.0"}, {"counts": []}]
)
def test_a_snapshot_of_another_release_is_refused(change):
    with pytest.raises(SnapshotError):
        Detector.restore(sealed(written() | change))


@pytest.mark.parametrize(
    ("name", "attribute", "value"),
    [
        ("adwin", "_helper", b"short"),
        ("adwin", "_helper", 3),
        ("adwin", "delta", "0.002"),
        ("adwin", "new", 1),
        ("page_hinkley", "mode", "both"),
        ("page_hinkley", "_x_mean", 3.0),
        ("kswin", "window", "text"),
        ("kswin", "window", ["text"]),
        ("kswin", "_rng", [1, 2]),
        ("kswin", "_rng", 7),
    ],
)
def test_a_state_that_does_not_fit_the_detector_is_refused(name, attribute, value):
    state = written(name)
    state["river"][attribute] = value
    with pytest.raises(SnapshotError, match="state of"):
        Detector.restore(sealed(state))


def test_an_object_without_plain_state_cannot_be_dumped():
    class Holder:
        def __init__(self):
            self.inner = object()

    with pytest.raises(TypeError, match="state is bytes"):
        plain.dump(Holder())


def test_an_inferred_regression_keeps_the_detectors_that_fit_it():
    assert detectors.fitting(["ddm", "adwin", "unknown"], binary_errors=False) == ["adwin"]
    assert detectors.fitting(["ddm", "adwin"], binary_errors=True) == ["ddm", "adwin"]
