"""Further channels of a scan, on the reference's grid."""
