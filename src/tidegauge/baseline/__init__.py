"""Baseline files: fitted from a table of rows or from histograms, read and written."""
