"""Windows: the last N outcomes, event time in panes, what was seen of late. Plain tables, no clock."""

from tidegauge.windows.backlog import Backlog
from tidegauge.windows.columns import Runs, distinct, grown
from tidegauge.windows.panes import Groups, PaneTable, Sums, grouped, summed
from tidegauge.windows.recent import RecentTable
from tidegauge.windows.ring import RingTable

__all__ = [
    "Backlog",
    "Groups",
    "PaneTable",
    "RecentTable",
    "RingTable",
    "Runs",
    "Sums",
    "distinct",
    "grouped",
    "grown",
    "summed",
]
