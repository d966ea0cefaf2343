"""Mouse, coordinates and drawn shapes on napari's canvas."""
