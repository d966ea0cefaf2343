"""The parts of the panel: small widgets that show and signal, and decide nothing."""
