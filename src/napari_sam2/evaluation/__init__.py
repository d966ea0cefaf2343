"""Measuring a model against labels, against classical methods, and against itself with the image hidden."""
