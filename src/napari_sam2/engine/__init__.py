"""The volumetric engine: views, features, prompts on a slice, propagation through memory."""
