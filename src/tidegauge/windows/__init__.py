"""Windows: the last N outcomes, event time in panes, what was seen of late. Plain tables, no clock."""

from tidegauge.windows.panes import PaneTable
from tidegauge.windows.recent import RecentTable
from tidegauge.windows.ring import RingTable

__all__ = ["PaneTable", "RecentTable", "RingTable"]
