"""Further channels of a scan: other sequences, modalities or stains on the reference's grid."""
