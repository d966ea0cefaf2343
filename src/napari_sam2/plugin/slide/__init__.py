"""Work on a slide: a picture of any size with outlines."""
