"""Windows: the last N outcomes, and event time in panes. Plain tables of cells, no clock."""

from tidegauge.windows.panes import PaneTable
from tidegauge.windows.ring import RingTable

__all__ = ["PaneTable", "RingTable"]
