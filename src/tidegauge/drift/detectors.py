"""River's drift detectors under one convention: an input is an error or a loss, an alarm says what changed.

The only module that imports river. 1 (or a greater number) is always the worse value, whatever the detector
itself expects; a change says whether it was for the worse. Binary detectors take errors of 0 and 1 alone.
Everything here is deterministic: a replay of the values signals the same changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from river import drift
from river.__version__ import __version__ as river_version
from river.drift import binary

from tidegauge.drift import plain
from tidegauge.errors import ConfigError, SnapshotError

VERSION = 1
DIGEST_BYTES = 8  # finds a damaged state before river's native code reads it
E_SR = "e_sr"  # Tidegauge's own, of `error_shift`: it takes any loss
KSWIN_SEED = 1  # it draws at random; a replay must draw the same


class Kind(NamedTuple):
    """How one of river's detectors is built and read."""

    build: Callable[[], Any]
    binary: bool  # only 0 and 1
    ones_are_right: bool = False  # it watches for a fall of ones, so it is fed 1 - error
    recent: Callable[[Any], tuple[float, float]] | None = None  # after a change: n and sum of what it kept
    feed: Callable[[Any, list[float]], Iterator[int]] | None = None  # None: river's own `update`


def _adwin_recent(detector: Any) -> tuple[float, float]:
    return detector.width, detector.total


def _kswin_recent(detector: Any) -> tuple[float, float]:
    return len(detector.window), sum(detector.window)


def _feed(detector: Any, values: list[float]) -> Iterator[int]:
    """Yield the index of each value at which the detector signals a change."""
    update = detector.update
    for index, value in enumerate(values):
        update(value)
        if detector.drift_detected:
            yield index


def _feed_adwin(detector: Any, values: list[float]) -> Iterator[int]:
    """Do the same as river's Python around its native window, which would be two thirds of the time."""
    if detector.drift_detected and values:
        detector._reset()
    update = detector._helper.update
    for index, value in enumerate(values):
        if update(value):
            detector._drift_detected = True
            yield index
            if index + 1 < len(values):
                detector._reset()
                update = detector._helper.update


KINDS: Mapping[str, Kind] = {
    "adwin": Kind(drift.ADWIN, binary=False, recent=_adwin_recent, feed=_feed_adwin),
    "page_hinkley": Kind(lambda: drift.PageHinkley(mode="up"), binary=False),
    "kswin": Kind(lambda: drift.KSWIN(seed=KSWIN_SEED), binary=False, recent=_kswin_recent),
    "ddm": Kind(binary.DDM, binary=True),
    "eddm": Kind(binary.EDDM, binary=True),
    # River's text says that 1 is an error; its code waits for a fall of ones.
    "fhddm": Kind(binary.FHDDM, binary=True, ones_are_right=True),
    "hddm_a": Kind(binary.HDDMA, binary=True),
    "hddm_w": Kind(binary.HDDMW, binary=True),
}


class Change(NamedTuple):
    """A change that a detector signalled.

    `before` and `after` are means of the values since the change before it, split where the detector cut;
    None for detectors without a cut, which only look for the worse.
    """

    at: int  # index among the values of the update that signalled it
    seen: int  # values since the detector's beginning, this one included
    worse: bool
    before: float | None
    after: float | None


def check(names: Iterable[str], binary_errors: bool, key: str = "drift.detectors") -> None:
    """Raise ConfigError where a name is unknown, or needs errors of 0 and 1 and the task has none.

    `binary_errors` is true of classification (right or wrong), false of regression.

    >>> check(["adwin", "ddm"], binary_errors=True)
    """
    for name in names:
        kind = KINDS.get(name)
        if name == E_SR:
            continue
        if kind is None:
            raise ConfigError(f"{key}: expected one of {E_SR}, {', '.join(KINDS)}, got {name!r}")
        if kind.binary and not binary_errors:
            fitting = ", ".join(name for name, kind in KINDS.items() if not kind.binary)
            raise ConfigError(f"{key}: {name!r} needs errors of 0 and 1; for regression use one of {fitting}")


def fitting(names: Iterable[str], binary_errors: bool) -> list[str]:
    """Return the names of river's detectors that can take the errors of a task, in their order.

    For a task that is inferred while running, where `check` came too early to refuse.

    >>> fitting(["adwin", "ddm"], binary_errors=False)
    ['adwin']
    """
    return [name for name in names if name in KINDS and (binary_errors or not KINDS[name].binary)]


class Detector:
    """One of river's detectors and what it has signalled so far.

    >>> detector = Detector("adwin")
    >>> [change.worse for change in detector.update(np.repeat([0.0, 1.0], 500))]
    [True]
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._kind = KINDS[name]
        self._river = self._kind.build()
        self.seen = 0  # values
        self.changes = 0
        self.last: Change | None = None
        self._n = 0  # values and their sum since the last change
        self._sum = 0.0

    def update(self, values: NDArray[np.float64]) -> list[Change]:
        """Take errors or losses [n] in order and return the changes signalled among them.

        Raises ValueError where a value is not finite, or a binary detector gets another number than 0 and 1:
        one such value would spoil its statistics for good.
        """
        self._check(values)
        fed = (1.0 - values if self._kind.ones_are_right else values).tolist()
        found = []
        start = 0
        for index in (self._kind.feed or _feed)(self._river, fed):
            found.append(self._changed(index, values[start : index + 1]))
            start = index + 1
        self._count(values[start:])
        return found

    def snapshot(self) -> bytes:
        """Return the state as bytes that `restore` continues from."""
        state = {
            "version": VERSION,
            "name": self.name,
            "written_by": river_version,
            "counts": (self.seen, self.changes, self._n, self._sum),
            "last": self.last,
            "river": plain.dump(self._river),
        }
        return _seal(msgspec.msgpack.encode(state))

    @classmethod
    def restore(cls, state: bytes) -> Detector:
        """Return the detector that `snapshot` wrote; raises SnapshotError for other bytes."""
        read = _decode(state)
        detector = cls(read.name)
        plain.load(detector._river, read.river)
        detector.seen, detector.changes, detector._n, detector._sum = read.counts
        detector.last = read.last
        return detector

    def _check(self, values: NDArray[np.float64]) -> None:
        if not np.isfinite(values).all():
            raise ValueError(f"{self.name}: expected finite errors, got {values[~np.isfinite(values)][:1]}")
        if self._kind.binary and not ((values == 0) | (values == 1)).all():
            raise ValueError(f"{self.name}: expected errors of 0 and 1, got {values.min()} to {values.max()}")

    def _count(self, values: NDArray[np.float64]) -> None:
        self.seen += len(values)
        self._n += len(values)
        self._sum += float(values.sum())

    def _changed(self, index: int, values: NDArray[np.float64]) -> Change:
        self._count(values)
        before, after = self._means()
        worse = before is None or after is None or after > before
        self.changes += 1
        self.last = Change(index, self.seen, worse, before, after)
        self._n, self._sum = 0, 0.0
        return self.last

    def _means(self) -> tuple[float | None, float | None]:
        """Return the means before and after the cut.

        What was dropped is all since the last change, less what the detector kept.
        """
        if self._kind.recent is None:
            return None, None
        n, total = self._kind.recent(self._river)
        if n <= 0 or self._n <= n:
            return None, None
        return (self._sum - total) / (self._n - n), total / n


class _State(msgspec.Struct, frozen=True):
    version: int
    name: str
    written_by: str  # the native states are river's own and may change with it
    counts: tuple[int, int, int, float]
    last: Change | None
    river: dict[str, Any]


def _seal(body: bytes) -> bytes:
    return blake2b(body, digest_size=DIGEST_BYTES).digest() + body


def _decode(state: bytes) -> _State:
    body = state[DIGEST_BYTES:]
    if _seal(body) != state:
        raise SnapshotError(f"detector: {len(state)} bytes that are no detector's state, or damaged")
    try:
        read = msgspec.msgpack.decode(body, type=_State)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SnapshotError(f"detector: {error}") from error
    if read.version != VERSION or read.name not in KINDS or read.written_by != river_version:
        expected, got = (VERSION, river_version), (read.version, read.written_by)
        raise SnapshotError(f"detector {read.name!r}: expected version and river {expected}, got {got}")
    return read
