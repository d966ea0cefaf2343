"""The tracker of SAM 3 behind the engine's protocol.

On the networks of transformers.
"""
