"""Writes tests/fixtures/vision: small DINOv2 and CLIP models with random weights and what transformers
makes of two pictures and three texts with them. Run it after `pip install -r requirements.txt`:

    python tests/reference/vision.py

The models have the real topology: DINOv2 once with plain feed-forward layers and pictures whose patches
are fewer than its positions, once gated as the giant one is; CLIP with both its halves and a tokenizer
of its own kind. Weights are stored in f16; the reference runs in f32 on the stored values. It also
prints what Pillow makes of a small picture, for the test in src/models/vision/resize.rs.
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Regex
from transformers import (
    BitImageProcessorPil,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    PreTrainedTokenizerFast,
)

OUT = Path(__file__).resolve().parent.parent / "fixtures" / "vision"
TEXTS = [
    "A red circle, bouncing over a blue background",
    "",
    "two  green squares and 1 star " * 4,
]
CORPUS = [
    f"a {size} {colour} {shape} {motion} over a {ground} background, 1 of 2"
    for size in ("large", "small")
    for colour in ("red", "green", "blue")
    for shape in ("circle", "square", "star")
    for motion in ("bouncing", "spinning")
    for ground in ("purple", "gray")
]
TEXT_TOKENS = 20


@torch.no_grad()
def randomise(model, seed):
    """Draws every weight so that signals neither die nor explode, and rounds it to f16."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if "norm" in name and name.endswith("weight"):
            p.copy_(1 + 0.2 * noise)
        elif "lambda" in name:
            p.copy_(0.7 + 0.2 * noise)
        elif "embedding" in name or "token" in name:
            p.copy_(0.5 * noise)
        elif p.dim() > 1:
            p.copy_(noise / p[0].numel() ** 0.5)
        else:
            p.copy_(0.1 * noise)
        p.copy_(p.half().float())
    return model.eval()


def save(model, folder):
    """Saves a model with its weights in f16, under the names that public checkpoints have."""
    model.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    halves = {name: value.half() if value.dim() else value for name, value in weights.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})


def pictures():
    """Two pictures of 56 x 40 pixels: waves, and noise with hard edges."""
    y, x, c = np.meshgrid(np.arange(40.0), np.arange(56.0), np.arange(3.0), indexing="ij")
    waves = 128 + 120 * np.sin(0.23 * x - 0.31 * y + 1.7 * c)
    noise = np.random.default_rng(7).integers(0, 2, (40, 56, 3)) * 255
    return [np.round(waves).astype(np.uint8), noise.astype(np.uint8)]


def tokenizer():
    """A byte-level BPE tokenizer with all that CLIP's tokenizer.json has."""
    inner = Tokenizer(
        models.BPE(unk_token="<|endoftext|>", continuing_subword_prefix="", end_of_word_suffix="</w>")
    )
    inner.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    inner.train_from_iterator(CORPUS, trainer)
    # The marks come last, as in CLIP, where that of the end is the highest token.
    file = json.loads(inner.to_str())
    start = len(file["model"]["vocab"])
    end = start + 1
    file["model"]["vocab"] |= {"<|startoftext|>": start, "<|endoftext|>": end}
    inner = Tokenizer.from_str(json.dumps(file))
    inner.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    inner.post_processor = processors.RobertaProcessing(
        ("<|endoftext|>", end), ("<|startoftext|>", start), trim_offsets=False, add_prefix_space=False
    )
    return inner, start, end


@torch.no_grad()
def dinov2(name, seed, config, crop):
    folder = OUT / name
    model = randomise(Dinov2Model(Dinov2Config(**config)), seed)
    processor = BitImageProcessorPil(
        size={"shortest_edge": 32},
        crop_size={"height": crop, "width": crop},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    save(model, folder)
    processor.save_pretrained(folder)
    pixels = processor([Image.fromarray(p) for p in pictures()], return_tensors="pt")["pixel_values"]
    return model(pixels).pooler_output


@torch.no_grad()
def clip(name, seed):
    folder = OUT / name
    inner, start, end = tokenizer()
    shared = dict(num_hidden_layers=2, intermediate_size=40)
    config = CLIPConfig(
        projection_dim=12,
        vision_config=dict(hidden_size=24, num_attention_heads=3, image_size=28, patch_size=7, **shared),
        text_config=dict(
            hidden_size=16,
            num_attention_heads=2,
            vocab_size=inner.get_vocab_size(),
            max_position_embeddings=TEXT_TOKENS,
            bos_token_id=start,
            eos_token_id=end,
            pad_token_id=end,
            **shared,
        ),
    )
    model = randomise(CLIPModel(config), seed)
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
    )
    save(model, folder)
    processor.save_pretrained(folder)
    inner.save(str(folder / "tokenizer.json"))
    fast = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|endoftext|>")
    pixels = processor([Image.fromarray(p) for p in pictures()], return_tensors="pt")["pixel_values"]
    texts = []
    for text in TEXTS:
        ids = fast(text, truncation=True, max_length=TEXT_TOKENS, return_tensors="pt")["input_ids"]
        texts.append(model.get_text_features(ids).pooler_output[0])
    return model.get_image_features(pixels).pooler_output, torch.stack(texts)


def pillow():
    """The sums that src/models/vision/resize.rs is held against."""
    noise, levels = 1, []
    for _ in range(7 * 5 * 3):
        noise = (noise * 1_664_525 + 1_013_904_223) % 2**32
        levels.append(min(max((noise >> 24) * 2 - 128, 0), 255))
    picture = Image.fromarray(np.array(levels, np.uint8).reshape(5, 7, 3))
    for size, resample in [((7, 5), 3), ((20, 16), 3), ((3, 2), 3), ((7, 9), 3), ((11, 3), 2)]:
        out = np.asarray(picture.resize(size, resample)).reshape(-1).astype(np.int64)
        print(size, resample, int((out * np.arange(1, out.size + 1)).sum()))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    small = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, image_size=28, patch_size=7)
    results = {
        "dinov2": dinov2("dinov2", 1, small, crop=21),
        "dinov2_gated": dinov2("dinov2_gated", 2, dict(small, use_swiglu_ffn=True), crop=28),
    }
    results["clip_images"], results["clip_texts"] = clip("clip", 3)
    results["pictures"] = torch.from_numpy(np.stack(pictures()))
    save_file({name: value.contiguous() for name, value in results.items()}, OUT / "expected.safetensors")
    (OUT / "texts.json").write_text(json.dumps(TEXTS, indent=1) + "\n")
    for name, value in results.items():
        if value.is_floating_point():
            print(name, tuple(value.shape), "rms", float(value.pow(2).mean().sqrt()))
    pillow()


main()
