"""EdgeTAM behind the engine's protocol.

On the networks of transformers and an image encoder of our own.
"""
