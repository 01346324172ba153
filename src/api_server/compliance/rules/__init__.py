"""The deterministic tier: patterns over Korean text, from the rubric's data."""
