"""Stages: consume, process, produce, commit. Each file numbers its order in one place."""
