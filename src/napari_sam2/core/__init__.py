"""Values on numpy arrays: volume, prompts, window, labels, slice masks, history."""
