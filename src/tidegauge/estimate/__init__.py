"""Estimates: how good a model is before its labels come. Cells that add, and values read from their sums."""
