"""The model on another machine: what a laptop needs for it."""
