"""The tracker of SAM 3 behind the engine's protocol, on the networks of transformers."""
