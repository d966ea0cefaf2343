"""The panel on a slide, and on any other 2-D picture: prompts in, outlines out."""
