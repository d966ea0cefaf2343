"""Detectors of the real classes, as small as they get, with random weights: files to load, no knowledge."""

import json

import torch
import transformers

WORDS = ("liver", "kidney", "spleen", "left", "right", "zor", "##velm", "brin", "##tack", "quos", "##pel", "a", "##b")


def write_grounding_dino(folder, mm=False):
    """A folder as `save_pretrained` writes it, with its table of words."""
    torch.manual_seed(0)
    backbone = transformers.SwinConfig(
        image_size=64, embed_dim=12, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4, out_indices=[2, 3, 4]
    )
    text = transformers.BertConfig(
        vocab_size=1100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    kind = transformers.MMGroundingDinoConfig if mm else transformers.GroundingDinoConfig
    config = kind(
        backbone_config=backbone,
        text_config=text,
        num_queries=12,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        d_model=32,
        init_std=0.3,
    )
    network = (transformers.MMGroundingDinoForObjectDetection if mm else transformers.GroundingDinoForObjectDetection)(
        config
    ).eval()
    network.save_pretrained(folder)
    words = [f"[unused{n}]" for n in range(1100)]
    # The network knows these by their numbers in BERT's table.
    words[0], words[100], words[101], words[102], words[103] = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
    words[1012], words[1029] = ".", "?"
    words[1031 : 1031 + len(WORDS)] = WORDS
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    transformers.GroundingDinoImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96}).save_pretrained(folder)
    return network


def write_sam3(folder):
    """A folder with the detector alone, and the table of words that CLIP's tokenizer reads."""
    torch.manual_seed(0)
    backbone = transformers.Sam3ViTConfig(
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=112,
        patch_size=14,
        window_size=4,
        global_attn_indexes=[1],
        pretrain_image_size=56,
    )
    detr = {"hidden_size": 32, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.Sam3Config(
        vision_config=transformers.Sam3VisionConfig(
            backbone_config=backbone, fpn_hidden_size=32, backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]]
        ),
        text_config={
            "model_type": "clip_text_model",
            "vocab_size": 600,
            "hidden_size": 32,
            "intermediate_size": 32,
            "projection_dim": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 32,
        },
        geometry_encoder_config=detr,
        detr_encoder_config=detr,
        detr_decoder_config={**detr, "num_queries": 6},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )
    network = transformers.Sam3Model(config).eval()
    network.save_pretrained(folder)
    letters = [chr(n) for n in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return network
