"""Widgets of the panel on a slide: each shows and signals, none decides."""
