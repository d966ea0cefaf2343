"""One picture of any size: its levels, channels, pixel size and tissue."""
