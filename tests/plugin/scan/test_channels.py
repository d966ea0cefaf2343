from __future__ import annotations

import numpy as np

from napari_sam2.core.prompts import Point
from napari_sam2.plugin.scan.channels import add_layer, offered_layers, said_image, use_image, ways_to_see


def test_another_layer_becomes_a_channel_and_is_seen_when_chosen(ball_bench):
    work = ball_bench.controller.work
    image = work.image
    assert ways_to_see(work) == []
    other = image.data.max() - np.asarray(image.data)
    layer = ball_bench.viewer.add_image(other, name="other stain", affine=image.affine, scale=image.scale)
    assert offered_layers(work) == [layer]
    add_layer(work, layer)
    ball_bench.settle()
    assert ball_bench.warnings == []
    assert ways_to_see(work)[-1] == "other-stain"
    use_image(work, "other-stain")
    ball_bench.settle()
    work.ask(lambda session: session.add_prompt(1, Point((20, 18, 12))))
    ball_bench.settle()
    assert ball_bench.warnings == []
    assert said_image(work) == "other-stain"
    use_image(work, "other-stain=1")
    ball_bench.settle()
    assert work.snapshot.objects[work.current].mix.kind == "fused"
