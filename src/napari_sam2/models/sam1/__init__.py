"""The first Segment Anything, an image model, behind the engine's protocol."""
