"""Training of what goes over a carried object as a whole.

Masks of labelled scans as the product's own runs leave them.
"""
