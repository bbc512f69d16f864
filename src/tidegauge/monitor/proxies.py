"""KPIs in the place of the error: what detectors watch where the truth comes late, or never."""

from __future__ import annotations

import numpy as np

from tidegauge.block import Floats, OutcomeRows, Ragged
from tidegauge.config import Settings
from tidegauge.monitor.quality import Errors
from tidegauge.monitor.roster import Roster

FALLS = "-"  # before the name of a KPI of which less is worse


def watched(settings: Settings, roster: Roster, rows: OutcomeRows, errors: Errors) -> Floats:
    """Return the error of each row [n], or the KPI that its model has for it: at least 0, NaN without one."""
    proxies = {model_id: one.error for model_id, one in settings.models.items() if one.error}
    if not proxies or not len(errors.row):
        return errors.error
    model = np.zeros(len(rows.offset), np.int64)
    model[errors.row] = roster.columns.model[errors.series]
    error = errors.error.copy()
    for number in np.unique(model).tolist():
        kpi = proxies.get(roster.model_ids[number])
        if kpi is not None:
            mine = model == number
            name = kpi.removeprefix(FALLS).removeprefix("kpi.")
            error[mine] = np.maximum(_column(rows.kpis, name)[mine], 0.0)
    return error


def _column(maps: Ragged, name: str) -> Floats:
    """Return the values [rows] under a name, NaN where there are none."""
    column = np.full(len(maps.layout), np.nan)
    for layout, where, values in maps.groups():
        if name in layout.names:
            column[where] = values[:, layout.names.index(name)]
    return column
