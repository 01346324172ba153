"""The check, measured on labelled passages."""
