"""Weights tuned on a user's own finished scans, and judged on scans that they have not seen."""
