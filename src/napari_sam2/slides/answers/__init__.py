"""Outlines that a model gives for crops of a slide."""
