"""The check along three planes, under the name that scripts import."""

from napari_sam2.session.triplanar import TriplanarCheck, Visited, accept_consensus, check_object, check_steps

__all__ = ["TriplanarCheck", "Visited", "accept_consensus", "check_object", "check_steps"]
