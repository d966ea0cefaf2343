"""What a hand does to a mask.

Grow, shrink, smooth, fill, keep a part, snap to the edge, brush, scribble, lasso.
"""
