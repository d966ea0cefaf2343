"""Headless jobs: a whole segmentation from files to files, without a window."""
