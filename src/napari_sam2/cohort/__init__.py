"""Cohorts: many scans by the same rules.

On one machine or on many, and what became of them.
"""
