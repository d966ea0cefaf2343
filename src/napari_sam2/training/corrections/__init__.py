"""Training of what answers clicks on carried objects.

Simulated clicks on wrong masks of labelled scans.
"""
