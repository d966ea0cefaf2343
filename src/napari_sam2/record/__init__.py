"""The record of what was done: journal, replay, and results saved with their provenance."""
