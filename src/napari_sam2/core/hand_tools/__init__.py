"""What a hand does to a mask: grow, shrink, smooth, fill, keep a part, snap to the edge, brush, scribble, lasso."""
