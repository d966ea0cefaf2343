"""Training of the second network for a boxed slice, `napari_sam2.models.small.box_net`."""
