"""Speech to text that says what failed instead of inventing."""
