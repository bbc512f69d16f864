"""What several features have in common: correlations, means and spreads together, against healthy rows.

Of each row the normal scores of its cells count; of a step of rows, their sum and their cross-products, one
matrix product. The first rows after the freeze are the reference of moments. From then on each step is
bet on, and each window of steps is measured. A step holds the same rows however a stream is cut into blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.drift.domain_classifier import DomainClassifier
from tidegauge.drift.feature_shift import QUIET_STEPS
from tidegauge.drift.features import FeatureBins
from tidegauge.drift.joint_measures import Joint, JointRuler, Statistic, joint_dump, joint_load
from tidegauge.drift.joint_reference import JointReference, Moments, correlations, learn, pairs_of
from tidegauge.drift.normal_scores import normal_scores
from tidegauge.drift.pair_shift import LEAST_REFERENCE, STEP, PairShift
from tidegauge.drift.reference import Cells
from tidegauge.errors import SnapshotError

Floats = NDArray[np.float64]

VERSION = 1
WINDOW_STEPS = 4  # of a window that is measured: 1 000 rows
SHOWN = 8 * STEP  # rows of the reference, the last, that a classifier goes by
WIDEST = 65_535  # cells of a feature: a cell is kept in two bytes


class PairMoved(NamedTuple):
    """A pair of features that was named, and its correlation in scores."""

    features: tuple[str, str]
    evidence: float
    correlation: float
    reference: float


class Multivariate:
    """The moments of a version's features: learned from `learning` rows, then compared with the rest.

    Of features with scores, at most `most` are looked at, in the order of the bins. See docs for the cost.
    """

    def __init__(
        self,
        bins: FeatureBins,
        most: int,
        learning: int = LEAST_REFERENCE,
        quiet: int = QUIET_STEPS,
        classify: bool = False,
    ) -> None:
        scores = [normal_scores(one) for one in bins.references]
        usable = [f for f, one in enumerate(scores) if one.any() and len(one) <= WIDEST]
        self.chosen = np.array(usable[:most], np.int64)
        self.names = tuple(bins.names[f] for f in self.chosen.tolist())
        self.joint: Joint | None = None  # of the last whole window
        self.pairs: PairShift | None = None
        self.learning = -(-max(learning, LEAST_REFERENCE) // STEP) * STEP  # rows
        self._quiet = quiet
        self._classify = classify
        self._shown: NDArray[np.uint16] | None = None  # cells of the reference that the classifier goes by
        self._classifier: DomainClassifier | None = None
        self.domain: Statistic | None = None  # what the classifier reached in the last whole window
        self._starts = bins.starts[self.chosen]
        self._scores = np.concatenate([scores[f] for f in self.chosen.tolist()] or [np.empty(0)])
        widths = [len(scores[f]) for f in self.chosen.tolist()]
        self._offsets = np.cumsum([0, *widths])[:-1].astype(np.int64)
        self._held: list[NDArray[np.uint16]] = []  # cells [features, rows] that fill no step yet
        self._held_rows = 0
        self._window: Moments | None = None
        self._reference: JointReference | None = None
        self._ruler: JointRuler | None = None

    @property
    def rows(self) -> int:
        """Return the rows since the reference was learned, whole steps."""
        return self.pairs.steps * STEP if self.pairs else 0

    def add(self, cells: Cells) -> None:
        """Take the cells [rows, features] of rows in order, those of the whole row of bins."""
        if len(self.chosen) < 2 or not len(cells):
            return
        own = cells.T[self.chosen] - self._starts[:, None]
        self._held.append(own.astype(np.uint16))
        self._held_rows += len(cells)
        needed = STEP if self.pairs else self.learning
        if self._held_rows < needed:
            return
        held = np.concatenate(self._held, axis=1)
        if self.pairs is None:
            self._learn(self._scored(held[:, :needed]))
            if self._classify:
                self._show(held[:, needed - SHOWN : needed].copy())
            held = held[:, needed:]
        for start in range(0, held.shape[1] - STEP + 1, STEP):
            self._step(self._scored(held[:, start : start + STEP]))
        rest = held[:, held.shape[1] // STEP * STEP :].copy()
        self._held, self._held_rows = [rest], rest.shape[1]

    def moved(self) -> list[PairMoved]:
        """Return the pairs that have moved and not come back, those with the most evidence first."""
        if self.pairs is None or self._reference is None:
            return []
        first, second = pairs_of(len(self.chosen))
        before = correlations(self._reference.covariance)
        return [
            PairMoved(
                (self.names[first[one.pair]], self.names[second[one.pair]]),
                one.evidence,
                one.correlation,
                float(before[one.pair]),
            )
            for one in sorted(self.pairs.moving(), key=lambda one: -one.evidence)
        ]

    def dump(self) -> dict[str, Any]:
        """Return the state as plain data that `load` reads back; the bins are kept elsewhere."""
        held = np.concatenate(self._held, axis=1) if self._held else np.zeros((len(self.chosen), 0))
        return {
            "version": VERSION,
            "names": list(self.names),
            "held": held.astype(np.uint16),
            "reference": self._reference.dump() if self._reference else None,
            "pairs": self.pairs.dump() if self.pairs else None,
            "window": list(self._window) if self._window else None,
            "joint": joint_dump(self.joint) if self.joint else None,
            "shown": self._shown,
            "classifier": self._classifier.dump() if self._classifier else None,
            "domain": list(self.domain) if self.domain else None,
        }

    def restore(self, state: Mapping[str, Any]) -> bool:
        """Take over what `dump` wrote; return whether it was of the same features, else nothing is taken.

        Raises SnapshotError where it is something else.
        """
        if state.get("version") != VERSION:
            raise SnapshotError(f"joint drift: expected version {VERSION}, got {state.get('version')!r}")
        if list(state["names"]) != list(self.names):
            return False
        held = self._cells(state["held"])
        if state["reference"] is not None:
            self._take(JointReference.load(state["reference"]))
        if self.pairs is not None:
            self.pairs.restore(state["pairs"])
        self._held, self._held_rows = [held], held.shape[1]
        self._window = _moments(state["window"], len(self.chosen)) if state["window"] else None
        self.joint = joint_load(state["joint"]) if state["joint"] else None
        if self._classify and state["shown"] is not None:
            self._restore_classifier(state)
        return True

    def _restore_classifier(self, state: Mapping[str, Any]) -> None:
        self._show(self._cells(state["shown"]))
        assert self._classifier is not None
        self._classifier.restore(state["classifier"])
        self.domain = Statistic(*map(float, state["domain"])) if state["domain"] else None

    def _cells(self, state: Any) -> NDArray[np.uint16]:
        """Return cells [features, rows]; raises SnapshotError where they are not of the chosen features."""
        found = np.array(state, np.uint16)
        widths = np.diff(np.append(self._offsets, len(self._scores)))
        if found.ndim != 2 or len(found) != len(widths) or (found >= widths[:, None]).any():
            raise SnapshotError(f"joint drift: expected cells of {len(widths)} features")
        return found

    def _scored(self, cells: NDArray[np.uint16]) -> Floats:
        """Return the scores [features, rows] of cells of the chosen features."""
        found: Floats = self._scores[cells + self._offsets[:, None]]
        return found

    def _learn(self, scores: Floats) -> None:
        pairs = self._take(learn(scores))
        for start in range(0, scores.shape[1], STEP):
            pairs.warm(Moments.of(scores[:, start : start + STEP]))

    def _take(self, reference: JointReference) -> PairShift:
        if len(reference.mean) != len(self.chosen):
            raise SnapshotError(f"joint drift: expected moments of {len(self.chosen)} features")
        ends = np.abs(self._scores)
        bounds = np.maximum.reduceat(ends, self._offsets) + np.abs(reference.mean)
        self._reference, self._ruler = reference, JointRuler(reference, bounds)
        self.pairs = PairShift(reference, bounds, quiet=self._quiet)
        return self.pairs

    def _show(self, cells: NDArray[np.uint16]) -> None:
        self._shown, self._classifier = cells, DomainClassifier(self._scored(cells))

    def _step(self, scores: Floats) -> None:
        assert self.pairs is not None and self._ruler is not None
        moments = Moments.of(scores)
        self.pairs.add(moments)
        if self._classifier is not None:
            self._classifier.add(scores)
        self._window = self._window + moments if self._window else moments
        if self._window.rows >= WINDOW_STEPS * STEP:
            self.joint, self._window = self._ruler.measure(self._window), None
            self.domain = self._classifier.close() if self._classifier else None


def _moments(state: list[Any], features: int) -> Moments:
    rows, total, products = state
    found = Moments(float(rows), np.array(total, np.float64), np.array(products, np.float64))
    if found.total.shape != (features,) or found.products.shape != (features, features):
        raise SnapshotError(f"joint drift: expected moments of {features} features")
    return found
