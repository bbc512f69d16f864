"""A streaming model performance monitor for predictions whose labels come late."""
