"""Slides: images of any size, read piece by piece.

Regions by click, polygons out.

Nothing here ever holds a whole slide. Coordinates are (row, column) in level-0 pixels: integers are
pixel centres in prompts, as everywhere in this package, and pixel corners in polygons, as in QuPath.
"""
