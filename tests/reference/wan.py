"""Writes tests/fixtures/wan: small WAN models with random weights and what diffusers and
transformers make of them. Run it after `pip install -r requirements.txt`:

    python tests/reference/wan.py

The models have the real topology. Weights are stored in f16; the reference runs in f32 on the
stored values, so that the comparison is one of f32 arithmetic alone.
"""

import copy
import json
import shutil
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

OUT = Path(__file__).resolve().parent.parent / "fixtures" / "wan"
TEXT_TOKENS = 48
PROMPTS = [
    "a red circle bouncing over a blue background",
    "",
    "two  green\tsquares &amp; one &quot;star&quot;\n spinning ",
    "a large yellow triangle growing slowly over a striped purple background while a small white "
    "ring moves to the right and a little cyan cross falls down behind it",
]
CORPUS = PROMPTS + [
    f"a {size} {colour} {shape} {motion} over a {pattern} {ground} background"
    for size in ("large", "small", "little")
    for colour in ("red", "green", "blue", "yellow", "cyan", "white")
    for shape in ("circle", "square", "triangle", "star", "ring", "cross")
    for motion in ("bouncing", "spinning", "growing", "falling down", "moving right")
    for pattern, ground in (("striped", "purple"), ("plain", "gray"))
]


@torch.no_grad()
def randomise(model, seed, gain=1.0):
    """Draws every weight so that signals neither die nor explode, and rounds it to f16."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if "norm" in name and name.endswith(("weight", "gamma")):
            p.copy_(1 + 0.2 * noise)
        elif "relative_attention_bias" in name:
            p.copy_(noise)
        elif "scale_shift_table" in name:
            p.copy_(0.3 * noise)
        elif p.dim() > 1:
            fan_in = p[0].numel()
            p.copy_(gain * noise / fan_in**0.5)
        else:
            p.copy_(0.1 * noise)
        p.copy_(p.half().float())
    return model.eval()


def transformer(seed, heads, head_dim, layers, ffn):
    model = WanTransformer3DModel(
        num_attention_heads=heads,
        attention_head_dim=head_dim,
        num_layers=layers,
        ffn_dim=ffn,
        text_dim=32,
        freq_dim=64,
    )
    return randomise(model, seed)


def vae(seed):
    mean = torch.linspace(-0.5, 0.7, 16).tolist()
    std = torch.linspace(0.6, 1.9, 16).tolist()
    model = AutoencoderKLWan(base_dim=4, latents_mean=mean, latents_std=std)
    return randomise(model, seed, gain=1.1)


def text_encoder(seed, vocabulary):
    config = UMT5Config(
        vocab_size=vocabulary, d_model=32, d_kv=8, d_ff=64, num_layers=3, num_heads=4,
        relative_attention_max_distance=20, relative_attention_num_buckets=16,
    )
    return randomise(UMT5EncoderModel(config), seed)


def tokenizer():
    inner = Tokenizer(models.Unigram())
    inner.normalizer = normalizers.NFKC()
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.train_from_iterator(
        CORPUS,
        trainers.UnigramTrainer(
            vocab_size=240, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
            show_progress=False,
        ),
    )
    # Training adds up in no fixed order: what it left is rounded and sorted to be repeatable.
    vocabulary = json.loads(inner.to_str())["model"]["vocab"]
    special, rest = vocabulary[:3], vocabulary[3:]
    rest = sorted(((piece, round(score, 2)) for piece, score in rest), key=lambda p: (-p[1], p[0]))
    inner.model = models.Unigram([tuple(p) for p in special] + rest, unk_id=2)
    inner.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        padding_side="right",
    )


def save_weights(model, folder):
    """Saves a copy in f16. The model itself stays as it is: a round trip through f16 would round
    its rotary angles too."""
    copy.deepcopy(model).half().save_pretrained(folder, safe_serialization=True)


def randn(seed, *shape):
    """Noise that f16 holds exactly, so that it can be stored in half the space."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).half().float()


def save(name, tensors):
    stored = {}
    for key, value in tensors.items():
        if value.dtype == torch.float32 and torch.equal(value.half().float(), value):
            value = value.half()
        stored[key] = value.contiguous().clone()
    save_file(stored, OUT / f"{name}.safetensors")


@torch.no_grad()
def transformer_cases(model, embeds):
    cases = {}
    shapes = [(1, 4, 4), (2, 6, 4), (3, 4, 10), (5, 8, 8), (7, 2, 6)]
    times = [1000.0, 731.25, 3.5, 500.0, 60.0]
    for i, (shape, time) in enumerate(zip(shapes, times)):
        latents = randn(100 + i, 1, 16, *shape)
        # Two lengths of text: the pipeline's padded one, and a short one without padding.
        text = embeds[i % len(embeds)][None] if i != 1 else embeds[0][None, :5]
        cases[f"{i}.latents"] = latents
        cases[f"{i}.timestep"] = torch.tensor([time])
        cases[f"{i}.text"] = text
        cases[f"{i}.velocity"] = model(latents, torch.tensor([time]), text, return_dict=False)[0]
    save("transformer", cases)


@torch.no_grad()
def vae_cases(model):
    mean = torch.tensor(model.config.latents_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(model.config.latents_std).view(1, -1, 1, 1, 1)
    cases = {}
    for i, (frames, height, width) in enumerate(
        [(1, 32, 24), (5, 16, 32), (9, 24, 16), (17, 16, 16)]
    ):
        video = randn(200 + i, 1, 3, frames, height, width).clamp(-2, 2) / 2
        latents = randn(300 + i, 1, 16, (frames - 1) // 4 + 1, height // 8, width // 8)
        cases[f"{frames}.video"] = video
        cases[f"{frames}.encoded"] = (model.encode(video).latent_dist.mode() - mean) / std
        cases[f"{frames}.latents"] = latents
        cases[f"{frames}.decoded"] = model.decode(latents * std + mean, return_dict=False)[0]
    save("vae", cases)


@torch.no_grad()
def text_cases(pipe):
    embeds = pipe._get_t5_prompt_embeds(PROMPTS, max_sequence_length=TEXT_TOKENS)
    ids = pipe.tokenizer(PROMPTS).input_ids
    (OUT / "prompts.json").write_text(
        json.dumps({"text_tokens": TEXT_TOKENS, "prompts": PROMPTS, "uncut_lengths": [len(i) for i in ids]}, indent=1)
        + "\n"
    )
    save("text", {"embeddings": embeds})
    return embeds


@torch.no_grad()
def run_case(name, pipe, small, embeds, plan, guidance):
    """One denoising run in which two models take turns, as the pipeline would do it."""
    scheduler = pipe.scheduler
    scheduler.set_timesteps(len(plan))
    scheduler.set_begin_index(0)
    x = randn(400, 1, 16, 5, 4, 4)
    out = {"initial": x, "sigmas": scheduler.sigmas, "timesteps": scheduler.timesteps}
    for i, t in enumerate(scheduler.timesteps):
        model = pipe.transformer if plan[i] == "L" else small
        velocity = model(x, t.expand(1), embeds[:1], return_dict=False)[0]
        if guidance != 1:
            unguided = model(x, t.expand(1), embeds[1:2], return_dict=False)[0]
            velocity = unguided + guidance * (velocity - unguided)
        x = scheduler.step(velocity, t, x, return_dict=False)[0]
        out[f"{i}.x"] = x
    config = pipe.vae.config
    mean = torch.tensor(config.latents_mean).view(1, -1, 1, 1, 1)
    std = 1.0 / torch.tensor(config.latents_std).view(1, -1, 1, 1, 1)
    out["frames"] = pipe.vae.decode(x / std + mean, return_dict=False)[0]
    save(name, out)
    print(name, "latents", x.std().item(), "frames", out["frames"].std().item())


@torch.no_grad()
def experts_case(large, small, embeds):
    """A run of Wan 2.2's pipeline: the first expert down to a noise level, the second one below it."""
    pipe = WanPipeline.from_pretrained(large, torch_dtype=torch.float32)
    pipe.scheduler = FlowMatchEulerDiscreteScheduler(shift=12.0)
    second = WanTransformer3DModel.from_pretrained(small / "transformer", torch_dtype=torch.float32)
    pipe = WanPipeline(
        pipe.tokenizer, pipe.text_encoder, pipe.vae, pipe.scheduler, pipe.transformer, second, boundary_ratio=0.875
    )
    out = {"initial": randn(401, 1, 16, 3, 4, 4)}

    def after_step(pipe, i, t, tensors):
        out[f"{i}.x"] = tensors["latents"].clone()
        return {}

    pipe(
        prompt_embeds=embeds[:1], negative_prompt_embeds=embeds[1:2], latents=out["initial"],
        height=32, width=32, num_frames=9, num_inference_steps=10, guidance_scale=4.0, guidance_scale_2=3.0,
        callback_on_step_end=after_step, output_type="latent",
    )
    out["sigmas"] = pipe.scheduler.sigmas
    save("run_experts", out)
    print("run_experts", "latents", out["9.x"].std().item())


@torch.no_grad()
def half_run(pipe, small, dtype):
    """How far diffusers' latents are off at the end of run_lsl in a number format."""
    run = {k: v.float() for k, v in load_file(OUT / "run_lsl.safetensors").items()}
    embeds = load_file(OUT / "text.safetensors")["embeddings"].to(dtype)
    pipe.scheduler.set_timesteps(10)
    pipe.scheduler.set_begin_index(0)
    x = run["initial"]
    for letter, t in zip("LLLLSSSSLL", pipe.scheduler.timesteps):
        model = pipe.transformer if letter == "L" else small
        guided, unguided = (
            model(x.to(dtype), t.expand(1), text[None], return_dict=False)[0] for text in embeds[:2]
        )
        x = pipe.scheduler.step(unguided + 4.0 * (guided - unguided), t, x, return_dict=False)[0]
    return errors(x, run["9.x"])


def errors(got, want):
    """Relative root mean square and largest error, the latter against the largest value."""
    apart = got.float() - want
    return [(apart.norm() / want.norm()).item(), (apart.abs().max() / want.abs().max()).item()]


@torch.no_grad()
def half_precision():
    """What diffusers itself is off in f16 and bf16, the worst of the cases: the measure of flowblend's."""
    load = lambda name: {k: v.float() for k, v in load_file(OUT / f"{name}.safetensors").items()}
    moves, videos, texts = load("transformer"), load("vae"), load("text")
    prompts = json.loads((OUT / "prompts.json").read_text())["prompts"]
    large, found = OUT / "pair" / "large", {}
    for dtype in (torch.float16, torch.bfloat16):
        pipe = WanPipeline.from_pretrained(large, torch_dtype=dtype)
        mean = torch.tensor(pipe.vae.config.latents_mean).view(1, -1, 1, 1, 1)
        std = torch.tensor(pipe.vae.config.latents_std).view(1, -1, 1, 1, 1)
        small = WanTransformer3DModel.from_pretrained(
            OUT / "pair" / "small" / "transformer", torch_dtype=dtype
        )
        seen = {"velocity": [], "encoded": [], "decoded": [], "text": []}
        seen["run"] = [half_run(pipe, small, dtype)]
        for i in range(5):
            get = lambda key: moves[f"{i}.{key}"]
            inputs = get("latents").to(dtype), get("timestep"), get("text").to(dtype)
            made = pipe.transformer(*inputs, return_dict=False)[0]
            seen["velocity"].append(errors(made, get("velocity")))
        for frames in (1, 5, 9, 17):
            get = lambda key: videos[f"{frames}.{key}"]
            encoded = pipe.vae.encode(get("video").to(dtype)).latent_dist.mode().float()
            seen["encoded"].append(errors((encoded - mean) / std, get("encoded")))
            latents = (get("latents") * std + mean).to(dtype)
            decoded = pipe.vae.decode(latents, return_dict=False)[0]
            seen["decoded"].append(errors(decoded, get("decoded")))
        embeds = pipe._get_t5_prompt_embeds(prompts, max_sequence_length=TEXT_TOKENS)
        for i in range(len(prompts)):
            seen["text"].append(errors(embeds[i], texts["embeddings"][i]))
        name = str(dtype).removeprefix("torch.")
        found[name] = {what: [max(pair) for pair in zip(*rows)] for what, rows in seen.items()}
    (OUT / "half.json").write_text(json.dumps(found, indent=1) + "\n")


def main():
    torch.set_num_threads(2)
    shutil.rmtree(OUT, ignore_errors=True)
    large_dir, small_dir = OUT / "pair" / "large", OUT / "pair" / "small"
    tok = tokenizer()
    large = transformer(1, heads=4, head_dim=16, layers=3, ffn=128)
    small = transformer(2, heads=2, head_dim=12, layers=2, ffn=48)
    decoder = vae(3)
    encoder = text_encoder(4, len(tok))
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    save_weights(large, large_dir / "transformer")
    save_weights(small, small_dir / "transformer")
    save_weights(decoder, large_dir / "vae")
    save_weights(encoder, large_dir / "text_encoder")
    tok.save_pretrained(large_dir / "tokenizer")
    scheduler.save_pretrained(large_dir / "scheduler")
    pipe = WanPipeline(tok, encoder, decoder, scheduler, large)
    pipe.save_config(large_dir)

    embeds = text_cases(pipe)
    transformer_cases(large, embeds)
    vae_cases(decoder)
    run_case("run_lsl", pipe, small, embeds, "LLLLSSSSLL", guidance=4.0)
    run_case("run_unguided", pipe, small, embeds, "LSSL", guidance=1.0)
    experts_case(large_dir, small_dir, embeds)
    half_precision()
    size = sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file())
    print(f"{size / 1e6:.2f} MB in {OUT}")


if __name__ == "__main__":
    main()
