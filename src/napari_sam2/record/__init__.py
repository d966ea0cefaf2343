"""The record of what was done.

Journal, replay, and results saved with their provenance.
"""
