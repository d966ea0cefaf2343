"""Measuring a model against labels.

And against classical methods, and against itself with the image hidden.
"""
