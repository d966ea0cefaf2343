"""SAM 2 and SAM 2.1 behind the engine's protocol.

On the networks of transformers.
"""
