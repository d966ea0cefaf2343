"""Files that hold a slide's objects."""
