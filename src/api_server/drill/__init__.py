"""``stt-engine drill``: every declared fallback, by making the real fault happen."""
