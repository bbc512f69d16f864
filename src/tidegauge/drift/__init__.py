"""Drift: frozen reference bins, distances on them, sequential detectors, and the baselines of metrics."""
