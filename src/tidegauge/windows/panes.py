"""Event-time windows as panes: a row of cells for each series and time step.

Statistics are additive, so a window is the sum of its panes, a late label fills its old pane,
and a correction adds with the opposite sign. A pane that has left the window is dropped when its
window is read, or when the pane that follows it by a whole window needs its place.

Cells lie in pages, and a page is there once something was added to it: what a small model leaves
empty costs nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidegauge.block import Codes, Floats, Ints
from tidegauge.errors import SnapshotError
from tidegauge.windows.columns import distinct, grown

_PAGE = 16  # cells; a page of cells 0 to 255 takes 16 bytes in a snapshot
_NARROW = 64  # rows of cells up to here are one page
_NARROW_PLACES = 1 << 32
_FEW = 3  # series up to here are summed one by one: a dozen calls of numpy cost more
_AT_ONCE = 16  # series whose panes are gathered at once: they stay in a core's cache
_FAR = 1 << 31  # steps between the rows of a block
_MOST_WAITING = 8_192  # sums that wait to be added: small blocks are added together, large ones at once
_COUNTS = {"<u1": 255, "<u2": 65_535}  # what most cells are, and the most that each holds


class Groups(NamedTuple):
    """The rows of a block by series and time step, which is no longer than any table's pane."""

    series: Ints  # [g]
    at_ms: Ints  # [g] the start of the step
    watermark_ms: Ints  # [g] of the series
    place: Ints  # [n] the group of each row

    def of(self, series: Ints) -> Groups:
        """Return the same groups under other numbers of series [g]."""
        return self._replace(series=series)


class Sums(NamedTuple):
    """What the rows of groups add to cells, without the zeros; a cell may come more than once."""

    group: Ints  # [k]
    cell: Ints  # [k]
    amount: Floats  # [k]


class Waiting(NamedTuple):
    """Sums that are not in the cells yet."""

    groups: Groups
    sums: Sums


def grouped(series: Ints, at_ms: Ints, watermark_ms: Ints, step_ms: int) -> Groups:
    """Return rows [n] by series and step; the step must divide every pane. Cost: that of `distinct`."""
    step = at_ms // step_ms
    if not len(step):
        return Groups(series, step, watermark_ms, step)
    near = step - step.min()
    if int(near.max()) >= _FAR:
        near = distinct(step)[1]
    first, place = distinct(series * (int(near.max()) + 1) + near)
    return Groups(series[first], step[first] * step_ms, watermark_ms[first], place)


def summed(groups: Groups, index: Ints | Codes, amount: Floats, width: int) -> Sums:
    """Return what rows add to cells of [width]: amounts [n, m] to the cells `index` [n, m]. Cost: O(n m)."""
    count = len(groups.series)
    flat: Ints = (index.T + groups.place * width).reshape(-1)
    amounts: Floats = amount.T.reshape(-1).astype(np.float64, copy=False)
    if count * width <= len(flat):
        totals = np.bincount(flat, amounts, count * width)
        flat = np.flatnonzero(totals)
        amounts = totals[flat].astype(np.float64, copy=False)
    else:
        some = amounts != 0
        if not some.all():
            flat, amounts = flat[some], amounts[some]
    group = flat // width
    return Sums(group, flat - group * width, amounts)


class PaneTable:
    """Cells [width] by series and pane, over the last `panes` panes of `pane_ms`.

    The window at time t covers the panes that end after t - panes * pane_ms, so the current pane
    and the `panes` - 1 before it. Series are small numbers: each takes a row of `panes` places.

    >>> table = PaneTable(width=1, pane_ms=1_000, panes=2)
    >>> one = np.array([1])
    >>> for at_ms in (0, 900, 1_500, 2_100):
    ...     table.add(one, one * at_ms, one * at_ms, np.array([[0]]), np.array([[1.0]]))
    >>> table.window(1, 2_100)
    array([2.])
    """

    def __init__(self, width: int, pane_ms: int, panes: int) -> None:
        self.width = width
        self.pane_ms = pane_ms
        self.panes = panes
        self._page = max(width, 1) if width <= _NARROW else _PAGE
        self._cells: Floats = np.zeros((1, self._page))  # page 0 is the empty one, for good
        self._pages: Codes = np.zeros((1, -(-width // self._page)), np.int32)  # slot 0 is nobody's
        self._slot: Codes = np.zeros((0, panes), np.int32)  # of series and place; 0 for none
        self._pane: Ints = np.zeros((0, panes), np.int64)
        self._free_pages: list[int] = []
        self._free_slots: list[int] = []
        self._page_count = self._slot_count = 1
        self._waiting: list[Waiting] = []
        self._waits = 0  # sums among them

    def add(self, series: Ints, at_ms: Ints, watermark_ms: Ints, index: Ints | Codes, amount: Floats) -> None:
        """Add amounts [n, m] to the cells `index` [n, m] of the panes in which `at_ms` [n] lies.

        Rows older than the window at `watermark_ms` [n] add nothing. Cost: O(n m).
        """
        groups = grouped(series, at_ms, watermark_ms, self.pane_ms)
        self.add_sums(groups, summed(groups, index, amount, self.width))

    def add_sums(self, groups: Groups, sums: Sums) -> None:
        """Add the sums of groups; those older than the window add nothing. Cost: O(groups + sums).

        Sums of small blocks wait for one another, at most until something is read.
        """
        self._waiting.append(Waiting(groups, sums))
        self._waits += len(sums.cell)
        if self._waits > _MOST_WAITING:
            self._settle()

    def window(self, series: int, watermark_ms: int) -> Floats:
        """Return the sum [width] of the panes in the window at `watermark_ms`."""
        self._settle()
        if series >= len(self._slot):
            return np.zeros(self.width)
        newest = watermark_ms // self.pane_ms
        slots, panes = self._slot[series].tolist(), self._pane[series].tolist()
        used = [place for place, slot in enumerate(slots) if slot]
        gone = [place for place in used if panes[place] <= newest - self.panes]
        inside = [slots[place] for place in used if newest - self.panes < panes[place] <= newest]
        if gone:
            self._release(series, np.array(gone))
        return self._sum(np.array(inside, np.int64))

    def windows(self, series: Ints, watermark_ms: Ints) -> Floats:
        """Return what `window` does of many series [n], each once: [n, width]. Cost: O(n panes width)."""
        self._settle()
        if len(series) <= _FEW:
            pairs = zip(series.tolist(), watermark_ms.tolist(), strict=True)
            return np.array([self.window(*pair) for pair in pairs]).reshape(-1, self.width)
        total = np.zeros((len(series), self.width))
        there = np.flatnonzero(series < len(self._slot))
        series, newest = series[there], (watermark_ms[there] // self.pane_ms)[:, None]
        slots, panes = self._slot[series], self._pane[series]
        gone = (slots > 0) & (panes <= newest - self.panes)
        if gone.any():
            row, place = np.nonzero(gone)
            self._drop(slots[row, place])
            self._slot[series[row], place] = slots[row, place] = 0
        slots[panes > newest] = 0
        most = int(np.count_nonzero(slots, axis=1).max(initial=0))
        first = np.argsort(slots == 0, axis=1, kind="stable")[:, :most]  # panes in use, in their order
        slots = np.take_along_axis(slots, first, axis=1)
        for start in range(0, len(slots), _AT_ONCE):
            part = slots[start : start + _AT_ONCE]
            cells = self._cells[self._pages[part]].sum(1).reshape(len(part), -1)
            total[there[start : start + _AT_ONCE]] = cells[:, : self.width]
        return total

    def span(self, series: int, start_ms: int, end_ms: int) -> Floats:
        """Return the sum [width] of the panes that begin at `start_ms` or later, and before `end_ms`."""
        self._settle()
        if series >= len(self._slot):
            return np.zeros(self.width)
        begin = self._pane[series] * self.pane_ms
        return self._sum(
            self._slot[series, (self._slot[series] > 0) & (begin >= start_ms) & (begin < end_ms)]
        )

    def pane(self, series: int, at_ms: int) -> Floats | None:
        """Return the cells [width] of one pane, or None where nothing fell into it."""
        self._settle()
        pane = at_ms // self.pane_ms
        place = pane % self.panes
        if series >= len(self._slot) or not self._slot[series, place] or self._pane[series, place] != pane:
            return None
        return self._sum(self._slot[series, place : place + 1])

    def forget(self, series: int) -> None:
        """Drop every pane of a series."""
        self._settle()
        if series < len(self._slot):
            self._release(series, np.flatnonzero(self._slot[series]))

    def move(self, series: int, other: PaneTable, widen: Any) -> None:
        """Move a series to a table of another width; `widen` maps its cells [width]."""
        self._settle()
        if series < len(self._slot):
            for place in np.flatnonzero(self._slot[series]).tolist():
                cells = widen(self._sum(self._slot[series, place : place + 1]))
                other._put(np.array([series]), self._pane[series, place : place + 1], cells[None])
            self.forget(series)

    def state(self) -> dict[str, Any]:
        """Return the plain state: keys of the panes in use, which of their pages, and those pages' cells.

        Pages stand in the smallest type that holds their cells: counts of few rows in a byte each.
        """
        self._settle()
        series, place = np.nonzero(self._slot)
        pages = self._pages[self._slot[series, place]].reshape(-1)
        used = np.flatnonzero(pages)
        cells = self._cells[pages[used]]
        kinds = _kinds(cells)
        return {
            "pane_ms": self.pane_ms,
            "keys": np.stack((series, self._pane[series, place]), axis=1),
            "pages": used.astype(np.uint32) if pages.size <= _NARROW_PLACES else used,
            "kinds": kinds,
            "cells": [
                cells[kinds == kind].astype(dtype).reshape(-1) for kind, dtype in enumerate((*_COUNTS, "<f8"))
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state that `state()` returned, or one of layout 1: all cells of every pane.

        Raises SnapshotError where it is of another width.
        """
        keys, cells = state["keys"], state["cells"]
        if state.get("pane_ms", self.pane_ms) != self.pane_ms:
            raise SnapshotError(f"expected panes of {self.pane_ms} ms, got {state['pane_ms']}")
        newest = np.full(int(keys[:, 0].max(initial=-1)) + 1, np.iinfo(np.int64).min)
        np.maximum.at(newest, keys[:, 0], keys[:, 1])
        inside = keys[:, 1] > newest[keys[:, 0]] - self.panes  # a window may have become shorter
        if isinstance(cells, list):
            kinds, pages = state["kinds"], np.zeros((len(state["pages"]), self._page))
            for kind, part in enumerate(cells):
                pages[kinds == kind] = part.reshape(-1, self._page)
            self._put_pages(keys, inside, state["pages"], pages)
            return
        if cells.ndim != 2 or cells.shape[1] != self.width:
            raise SnapshotError(f"expected panes of {self.width} cells, got {cells.shape}")
        self._put(keys[inside, 0], keys[inside, 1], cells[inside])

    def _settle(self) -> None:
        """Add what waits, in its order."""
        if not self._waiting:
            return
        waiting, self._waiting, self._waits = self._waiting, [], 0
        series, at_ms, watermark_ms, group, index, amount = _beside(waiting)
        pane, newest = at_ms // self.pane_ms, np.zeros(int(series.max(initial=-1)) + 1, np.int64)
        np.maximum.at(newest, series, watermark_ms // self.pane_ms)
        kept = pane > newest[series] - self.panes
        slots = np.zeros(len(pane), np.int64)
        slots[kept] = self._slots(series[kept], pane[kept])
        slot = slots[group]
        if not kept.all():
            inside = slot > 0
            slot, index, amount = slot[inside], index[inside], amount[inside]
        number = index // self._page
        page = self._pages[slot, number].astype(np.int64)
        missing = np.flatnonzero(page == 0)
        if len(missing):
            page[missing] = self._new_pages(slot[missing], number[missing])
        np.add.at(self._cells.reshape(-1), (page - number) * self._page + index, amount)

    def _put_pages(self, keys: Ints, inside: NDArray[np.bool_], pages: Ints, cells: Floats) -> None:
        """Lay down the pages [p] of the panes [n] that are inside; page i is of pane i // pages a pane."""
        across = self._pages.shape[1]
        if len(pages) and int(pages.max()) >= len(keys) * across:
            raise SnapshotError(f"expected panes of {self.width} cells, got other pages")
        slots = np.zeros(len(keys), np.int64)
        slots[inside] = self._slots(keys[inside, 0], keys[inside, 1])
        slot = slots[pages // across]
        kept = slot > 0
        page = self._new_pages(slot[kept], pages[kept] % across)  # first: it may lay the cells anew
        self._cells[page] = cells[kept]

    def _put(self, series: Ints, pane: Ints, cells: Floats) -> None:
        """Lay down the cells [n, width] of panes that are not there."""
        row, index = np.nonzero(cells)
        slot = self._slots(series, pane)[row]
        number = index // self._page
        page = self._new_pages(slot, number)
        self._cells.reshape(-1)[(page - number) * self._page + index] = cells[row, index]

    def _sum(self, slots: Codes | Ints) -> Floats:
        total: Floats = self._cells[self._pages[slots]].sum(0)
        return total.reshape(-1)[: self.width]

    def _slots(self, series: Ints, pane: Ints) -> Ints:
        """Return the slot of each pane [n] of series [n], new where there was none."""
        if not len(series):
            return np.empty(0, np.int64)
        top = int(series.max()) + 1
        self._slot, self._pane = grown(self._slot, top, 0), grown(self._pane, top, 0)
        place = pane % self.panes
        slot = self._slot[series, place].astype(np.int64)
        fresh = np.flatnonzero((slot == 0) | (self._pane[series, place] != pane))
        if len(fresh):
            first, where = distinct(series[fresh] * self.panes + place[fresh])
            new = fresh[first]
            stale = new[slot[new] > 0]
            self._drop(slot[stale])
            self._slot[series[new], place[new]] = self._take(len(new))
            self._pane[series[new], place[new]] = pane[new]
            slot[fresh] = self._slot[series[new], place[new]][where]
        return slot

    def _take(self, count: int) -> Ints:
        """Return slots that are nobody's."""
        slots = _numbers(self._free_slots, self._slot_count, count)
        self._slot_count = max(self._slot_count, int(slots.max(initial=-1)) + 1)
        self._pages = grown(self._pages, self._slot_count, 0)
        return slots

    def _new_pages(self, slot: Ints, number: Ints) -> Ints:
        """Return the page of each pair [n], which had none, and may come more than once."""
        first, where = distinct(slot * self._pages.shape[1] + number)
        found = _numbers(self._free_pages, self._page_count, len(first))
        self._page_count = max(self._page_count, int(found.max(initial=-1)) + 1)
        self._cells = grown(self._cells, self._page_count, 0)
        self._pages[slot[first], number[first]] = found
        return found[where]

    def _release(self, series: int, places: Ints) -> None:
        self._drop(self._slot[series, places])
        self._slot[series, places] = 0

    def _drop(self, slots: NDArray[Any]) -> None:
        """Empty slots, and give them and their pages back."""
        if len(slots):
            pages = self._pages[slots]
            pages = pages[pages > 0]
            self._cells[pages] = 0.0
            self._pages[slots] = 0
            self._free_pages += pages.tolist()
            self._free_slots += slots.tolist()


def _numbers(free: list[int], used: int, count: int) -> Ints:
    """Return so many numbers: of those that are free the last ones, then those from `used` on."""
    kept = max(len(free) - count, 0)
    again = np.array(free[kept:], np.int64)
    del free[kept:]
    return np.concatenate((again, np.arange(used, used + count - len(again))))


def _kinds(pages: Floats) -> NDArray[np.uint8]:
    """Return for each page [n] the first type of _COUNTS that holds its cells, or the number of them."""
    if not len(pages):
        return np.zeros(0, np.uint8)
    whole = ((pages == np.floor(pages)) & (pages >= 0)).all(1)
    most = pages.max(1)
    kinds = np.full(len(pages), len(_COUNTS), np.uint8)
    for kind, largest in reversed(list(enumerate(_COUNTS.values()))):
        kinds[whole & (most <= largest)] = kind
    return kinds


def _beside(waiting: list[Waiting]) -> tuple[Ints, Ints, Ints, Ints, Ints, Floats]:
    """Return series, time and watermark of all groups, and group, cell and amount of all sums."""
    if len(waiting) == 1:
        groups, sums = waiting[0]
        return groups.series, groups.at_ms, groups.watermark_ms, *sums
    every = [one.groups for one in waiting]
    first = np.cumsum([0, *(len(groups.series) for groups in every[:-1])]).tolist()
    return (
        np.concatenate([groups.series for groups in every]),
        np.concatenate([groups.at_ms for groups in every]),
        np.concatenate([groups.watermark_ms for groups in every]),
        np.concatenate([one.sums.group + start for one, start in zip(waiting, first, strict=True)]),
        np.concatenate([one.sums.cell for one in waiting]),
        np.concatenate([one.sums.amount for one in waiting]),
    )
