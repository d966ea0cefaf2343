"""Files: images in, label maps and sidecars out."""
