"""Build the tokenizer and train the text encoder, on captions alone.

    python train_text.py --out work/text --minutes 4

The encoder learns to say what a caption says: one query per attribute looks at the encoder's outputs and
names the shape, the colour, the motion and so on. The queries are thrown away; the encoder stays frozen
from then on, as a large one taken from elsewhere would be.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

import scenes
from common import Budget, Optimiser, log

MAX_TOKENS = 64
SPECIAL = ["<pad>", "</s>", "<unk>"]


def captions(seed: int, count: int) -> list[tuple[str, dict[str, str]]]:
    rng = np.random.default_rng(seed)
    return [scenes.caption(scenes.sample_scene(rng), rng) for _ in range(count)]


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A lower-casing unigram tokenizer that ends every text with </s>.

    Every word of the captions is a piece of its own; letters stand in for other words. The language is too
    small to learn pieces from: a trainer keeps cutting common words up.
    """
    texts = [text.replace(",", " ,") for text, _ in captions(1, 20_000)]
    words = Counter(word for text in texts for word in text.split() if word != ",")
    total = sum(words.values())
    pieces = [(piece, 0.0) for piece in SPECIAL]
    pieces += [("\u2581" + word, math.log(count / total)) for word, count in sorted(words.items())]
    pieces += [(letter, -15.0) for letter in "\u2581abcdefghijklmnopqrstuvwxyz0123456789,.'-"]
    core = Tokenizer(models.Unigram(pieces, unk_id=SPECIAL.index("<unk>")))
    core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    core.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=MAX_TOKENS
    )


def build_encoder(vocab_size: int) -> UMT5EncoderModel:
    config = UMT5Config(
        vocab_size=vocab_size,
        d_model=128,
        d_kv=32,
        num_heads=4,
        d_ff=256,
        num_layers=3,
        feed_forward_proj="gated-gelu",
        relative_attention_num_buckets=32,
        relative_attention_max_distance=128,
        dropout_rate=0.0,
        pad_token_id=0,
        eos_token_id=1,
        use_cache=False,
        is_encoder_decoder=False,
    )
    model = UMT5EncoderModel(config)
    nn.init.normal_(model.shared.weight, std=1.0)
    return model


class Readout(nn.Module):
    """One attention query and one classifier per attribute; only for training."""

    def __init__(self, width: int, answers: dict[str, list[str]]):
        super().__init__()
        self.answers = answers
        self.queries = nn.Parameter(torch.randn(len(answers), width) / width**0.5)
        self.heads = nn.ModuleList(nn.Linear(width, len(words)) for words in answers.values())

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        """Outputs [B, T, D] and their mask [B, T] to logits per attribute."""
        scores = torch.einsum("qd,btd->bqt", self.queries, tokens).masked_fill(mask[:, None] == 0, -1e4)
        seen = torch.einsum("bqt,btd->bqd", scores.softmax(-1), tokens)
        return [head(seen[:, i]) for i, head in enumerate(self.heads)]

    def targets(self, said: list[dict[str, str]]) -> torch.Tensor:
        """Indices of the right answers [B, attributes]."""
        return torch.tensor([[words.index(s[slot]) for slot, words in self.answers.items()] for s in said])


def answers() -> dict[str, list[str]]:
    slots = {}
    for i in range(2):
        slots |= {
            f"shape{i}": [*scenes.SHAPES, "none"],
            f"colour{i}": [*scenes.COLOURS, "none"],
            f"size{i}": [*scenes.SIZES, "any", "none"],
            f"motion{i}": [*scenes.MOTIONS, "none"],
        }
    return slots | {"background": list(scenes.BACKGROUNDS), "pattern": list(scenes.PATTERNS)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    tokenizer = build_tokenizer()
    encoder = build_encoder(len(tokenizer))
    readout = Readout(encoder.config.d_model, answers())
    both = nn.ModuleDict({"encoder": encoder, "readout": readout})
    optimiser = Optimiser(both, args.lr, other=("encoder.shared", "encoder.encoder.embed", "readout"))
    budget, step = Budget(args.minutes), 0

    def guesses(seed: int, count: int):
        batch = captions(seed, count)
        words = tokenizer([text for text, _ in batch], padding=True, return_tensors="pt")
        out = encoder(words.input_ids, words.attention_mask).last_hidden_state
        return readout(out, words.attention_mask), readout.targets([said for _, said in batch])

    while not budget.over:
        logits, right = guesses(1000 + step, args.batch)
        loss = sum(F.cross_entropy(guess, right[:, i]) for i, guess in enumerate(logits)) / len(logits)
        loss.backward()
        optimiser.step(budget.factor())
        step += 1
        if step % 100 == 0:
            log(step=step, loss=loss.item(), left=1 - budget.progress)
    with torch.no_grad():
        logits, right = guesses(999, 2000)
        hits = torch.stack([guess.argmax(-1) == right[:, i] for i, guess in enumerate(logits)], 1)
    log(step=step, attributes_right=float(hits.float().mean()), captions_right=float(hits.all(1).float().mean()))
    encoder.save_pretrained(args.out / "text_encoder")
    tokenizer.save_pretrained(args.out / "tokenizer")


if __name__ == "__main__":
    main()
