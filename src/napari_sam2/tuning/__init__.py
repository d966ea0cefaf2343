"""Weights tuned on a user's own finished scans.

They are judged on scans that they have not seen.
"""
