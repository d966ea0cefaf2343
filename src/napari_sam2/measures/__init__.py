"""Figures about masks: volumes, diameters, distances, montages."""
