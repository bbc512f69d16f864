import numpy as np
import pytest

from tidegauge.simulate.mischief import NEVER, SOUND, Mischief, draw

HORIZON_MS = 7 * 86_400_000
ROWS = 20_000
NONE = Mischief(**dict.fromkeys(Mischief.__slots__, 0.0))


def plan(mischief: Mischief, seed: int = 1, labelled: np.ndarray | None = None):
    at_ms = np.arange(ROWS, dtype=np.int64) * 1_000
    label_ms = at_ms + 3_600_000 if labelled is None else labelled
    return draw(at_ms, label_ms, np.full(ROWS, 5), HORIZON_MS, mischief, seed)


def test_without_mischief_each_row_is_predicted_once_and_labelled_once():
    found = plan(NONE)
    assert len(found) == 2 * ROWS
    assert sorted(found.row[found.label].tolist()) == list(range(ROWS))
    assert not (found.wrong.any() or found.orphan.any() or (found.spoil != SOUND).any())


def test_messages_are_in_true_time_order():
    assert (np.diff(plan(Mischief()).time_ms) >= 0).all()


def test_the_same_seed_gives_the_same_plan_and_another_one_does_not():
    one, same, other = plan(Mischief()), plan(Mischief()), plan(Mischief(), seed=2)
    assert one.row.tolist() == same.row.tolist()
    assert one.row.tolist() != other.row.tolist()


def test_a_row_without_label_is_told_no_label_of_any_kind():
    found = plan(Mischief(), labelled=np.full(ROWS, NEVER, np.int64))
    assert not found.label.any()


@pytest.mark.parametrize("share", ["corrections", "missing", "beyond_horizon", "label_first", "orphans"])
def test_a_share_is_met(share: str):
    found = plan(Mischief(**(dict.fromkeys(Mischief.__slots__, 0.0) | {share: 0.05})))
    predicted = dict(zip(found.row[~found.label].tolist(), found.time_ms[~found.label].tolist(), strict=True))
    labels = zip(found.row[found.label].tolist(), found.time_ms[found.label].tolist(), strict=True)
    counts = {
        "corrections": found.wrong.sum(),
        "missing": 2 * ROWS - len(found),
        "beyond_horizon": (found.labelled_at_ms - found.row * 1_000 > HORIZON_MS)[found.label].sum(),
        "label_first": sum(at_ms < predicted[row] for row, at_ms in labels),
        "orphans": found.orphan.sum(),
    }
    assert counts[share] == pytest.approx(0.05 * ROWS, rel=0.15)


def test_a_wrong_label_is_older_than_the_right_one():
    found = plan(Mischief(corrections=0.5))
    right = ~found.wrong & ~found.orphan & found.label & (found.spoil == SOUND)
    right_at_ms = dict(zip(found.row[right].tolist(), found.labelled_at_ms[right].tolist(), strict=True))
    wrong = zip(found.row[found.wrong].tolist(), found.labelled_at_ms[found.wrong].tolist(), strict=True)
    assert all(at_ms < right_at_ms[row] for row, at_ms in wrong)
