"""Cohorts: many scans by the same rules, on one machine or on many, and what became of them."""
