"""EdgeTAM behind the engine's protocol, on the networks of transformers and an image encoder of our own."""
