"""How often the detectors cry for nothing, and how soon they find what is there."""
