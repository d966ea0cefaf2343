"""The small convolutional model that is trained by this package's own recipe."""
