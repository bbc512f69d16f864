"""Metrics: a family a file. A family turns rows into cells; vectors of cells add; values read them."""
