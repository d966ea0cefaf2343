"""SAM 2's image encoder by OpenVINO against our own and transformers', in turn in one process, in CPU seconds.

``python benchmarks/openvino_encoder.py --sizes 512 1024 --repeats 5`` needs ``pip install openvino``, and nncf for
``--int8``. Random weights: they cost what trained ones do, and say nothing of masks. OpenVINO is not part of the
package, ``docs/performance.md`` says why.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
import warnings

import openvino
import torch
from torch import nn
from transformers import Sam2VideoConfig, Sam2VideoModel

from napari_sam2.models.sam2.encoder import IMAGE_MEAN, IMAGE_STD, Encoder
from napari_sam2.models.sam2.kernels import pack_linear_modules
from napari_sam2.models.sam2.sizing import resize_config

CALIBRATION_IMAGES = 6


class FromPixels(nn.Module):
    """The encoder as transformers computes it, from intensities in [0, 1]."""

    def __init__(self, network) -> None:
        super().__init__()
        parts = (network.vision_encoder, network.mask_decoder.conv_s0, network.mask_decoder.conv_s1)
        self.encoder, self.fine, self.middle = copy.deepcopy(parts)
        self.mean, self.std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGE_MEAN, IMAGE_STD))

    def forward(self, images):
        pixels = (images.expand(-1, 3, -1, -1) - self.mean) / self.std
        fine, middle, top = self.encoder(pixels, return_dict=True).fpn_hidden_states
        return self.fine(fine), self.middle(middle), top


def compiled(model, precision: str):
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    request = openvino.Core().compile_model(model, "CPU", settings | {"PERFORMANCE_HINT": "LATENCY"})
    request = request.create_infer_request()
    return lambda image: [torch.from_numpy(found.copy()) for found in request.infer([image.numpy()]).values()]


def quantised(model, size: int):
    import nncf

    images = nncf.Dataset([torch.rand(1, 1, size, size).numpy() for _ in range(CALIBRATION_IMAGES)])
    return nncf.quantize(model, images, model_type=nncf.ModelType.TRANSFORMER, subset_size=CALIBRATION_IMAGES)


def measure(size: int, repeats: int, int8: bool) -> None:
    config = Sam2VideoConfig()
    resize_config(config, size)
    torch.manual_seed(0)
    network = Sam2VideoModel(config).eval()
    plain = FromPixels(network)
    pack_linear_modules(network)
    image = torch.rand(1, 1, size, size)
    expected = plain(image)
    start = time.process_time()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns of every shape that it takes for constant
        model = openvino.convert_model(plain, example_input=image, input=[list(image.shape)])
    encoders = {"transformers": plain}
    for name, dtype, precision in (("fp32", torch.float32, "f32"), ("bf16", torch.bfloat16, "bf16")):
        encoders[f"ours {name}"] = Encoder(network.vision_encoder, network.mask_decoder, size, dtype)
        encoders[f"OpenVINO {name}"] = compiled(model, precision)
    print(f"{size} px: OpenVINO converts and compiles twice in {time.process_time() - start:.1f} s")
    if int8:
        narrow = quantised(model, size)
        encoders |= {"OpenVINO int8, fp32": compiled(narrow, "f32"), "OpenVINO int8, bf16": compiled(narrow, "bf16")}
    for name, encoder in encoders.items():
        off = (encoder(image)[2] - expected[2]).abs()
        print(f"{size} px {name:<20} deviates by {off.mean():.1e} on average, {off.max():.1e} at most")
    spent: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(repeats):
        for name, encoder in encoders.items():
            start = time.process_time()
            encoder(image)
            spent[name].append(time.process_time() - start)
    for name, seconds in spent.items():
        print(f"{size} px {name:<20} {statistics.median(seconds):.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--int8", action="store_true", help="also quantised by nncf, on random images")
    options = parser.parse_args()
    print(f"OpenVINO {openvino.__version__}, PyTorch {torch.__version__}, {torch.get_num_threads()} thread(s)")
    with torch.inference_mode():
        for size in options.sizes:
            measure(size, options.repeats, options.int8)


if __name__ == "__main__":
    main()
