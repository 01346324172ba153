"""The steps from each schema to the next, forwards only; run by ``store.migrate``."""
