"""Writes tests/fixtures/ltx: small LTX-Video models with random weights and what diffusers and
transformers make of them. Run it after `pip install -r requirements.txt`:

    python tests/reference/ltx.py

The models have the topology of 0.9.5 and later, and one VAE that of 0.9.0. Weights are stored in
f16; the reference runs in f32 on the stored values, so that the comparison is one of f32 arithmetic
alone. Runs are made by diffusers' pipelines themselves; a callback changes the transformer between
the steps.
"""

import copy
import io
import json
import shutil
from pathlib import Path

import sentencepiece
import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    FlowMatchEulerDiscreteScheduler,
    LTXConditionPipeline,
    LTXPipeline,
    LTXVideoTransformer3DModel,
)
from diffusers.loaders.single_file_utils import (
    convert_ltx_transformer_checkpoint_to_diffusers,
    convert_ltx_vae_checkpoint_to_diffusers,
)
from diffusers.models.transformers.transformer_ltx import LTXVideoRotaryPosEmbed
from diffusers.pipelines.ltx.pipeline_ltx import calculate_shift
from diffusers.pipelines.ltx.pipeline_ltx_condition import linear_quadratic_schedule
from diffusers.utils import logging
from safetensors.torch import load_file, save_file
from transformers import T5Config, T5EncoderModel

from wan import CORPUS, PROMPTS, TEXT_TOKENS, randn, randomise, save_weights, tokenizer

OUT = Path(__file__).resolve().parent.parent / "fixtures" / "ltx"
PACE, SIDE = 8, 32
# Formats in which diffusers' own errors are the measure of flowblend's.
HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def transformer(seed, heads, head_dim, layers):
    model = LTXVideoTransformer3DModel(
        num_attention_heads=heads,
        attention_head_dim=head_dim,
        cross_attention_dim=heads * head_dim,
        num_layers=layers,
        caption_channels=32,
    )
    return randomise(model, seed)


def finish_vae(model, seed):
    randomise(model, seed, gain=1.1)
    with torch.no_grad():
        count = model.config.latent_channels
        model.latents_mean.copy_(torch.linspace(-0.5, 0.7, count).half().float())
        model.latents_std.copy_(torch.linspace(0.6, 1.9, count).half().float())
        if model.config.timestep_conditioning:
            model.decoder.timestep_scale_multiplier.fill_(1000.0)
    return model


def vae(seed):
    """The topology of 0.9.5, 0.9.6 and 0.9.7."""
    return finish_vae(
        AutoencoderKLLTXVideo(
            block_out_channels=(4, 8, 16, 16, 16),
            down_block_types=("LTXVideo095DownBlock3D",) * 4,
            decoder_block_out_channels=(8, 16, 32),
            layers_per_block=(1, 2, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 2, 1),
            spatio_temporal_scaling=(True,) * 4,
            decoder_spatio_temporal_scaling=(True,) * 3,
            decoder_inject_noise=(False,) * 4,
            downsample_type=("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
            upsample_residual=(True,) * 3,
            upsample_factor=(2,) * 3,
            timestep_conditioning=True,
            scaling_factor=0.8,
            spatial_compression_ratio=SIDE,
            temporal_compression_ratio=PACE,
        ),
        seed,
    )


def old_vae(seed):
    """The topology of 0.9.0, with a causal decoder for once."""
    return finish_vae(
        AutoencoderKLLTXVideo(
            latent_channels=4,
            block_out_channels=(4, 6, 6, 8),
            decoder_block_out_channels=(4, 6, 6, 8),
            layers_per_block=(1, 1, 2, 1, 1),
            decoder_layers_per_block=(1, 2, 1, 1, 1),
            decoder_causal=True,
        ),
        seed,
    )


def text_encoder(seed, vocabulary):
    config = T5Config(
        vocab_size=vocabulary, d_model=32, d_kv=8, d_ff=64, num_layers=3, num_heads=4,
        relative_attention_max_distance=20, relative_attention_num_buckets=16,
        feed_forward_proj="gated-gelu",
    )
    return randomise(T5EncoderModel(config), seed)


def save(name, tensors):
    stored = {}
    for key, value in tensors.items():
        if value.dtype == torch.float32 and torch.equal(value.half().float(), value):
            value = value.half()
        stored[key] = value.contiguous().clone()
    save_file(stored, OUT / f"{name}.safetensors")


def in_halves(model):
    return {name: copy.deepcopy(model).to(dtype) for name, dtype in HALVES.items()}


def note(worst, name, what, error):
    """Keeps the larger ones of the errors of all cases."""
    before = worst.setdefault(name, {}).setdefault(what, [0.0, 0.0])
    worst[name][what] = [max(pair) for pair in zip(before, error)]


def errors(got, want):
    """The measures of the tests: l2 norm and largest difference, both relative."""
    difference = got.double() - want.double()
    return [
        (difference.norm() / want.double().norm()).item(),
        (difference.abs().max() / want.double().abs().max()).item(),
    ]


def positions(shape, frame_rate, condition):
    """What tells the transformer where its tokens lie, as the two pipelines do it."""
    frames, height, width = shape
    if condition:
        ids = LTXConditionPipeline._prepare_video_ids(1, frames, height, width)
        coords = LTXConditionPipeline._scale_video_ids(ids, SIDE, PACE).float()
        coords[:, 0] = coords[:, 0] * (1.0 / frame_rate)
        return {"video_coords": coords}
    scale = (PACE / frame_rate, SIDE, SIDE)
    return {
        "num_frames": frames, "height": height, "width": width, "rope_interpolation_scale": scale
    }


@torch.no_grad()
def velocity(model, latents, time, text, mask, frame_rate, condition):
    shape = latents.shape[2:]
    packed = LTXPipeline._pack_latents(latents)
    out = model(
        packed.to(model.dtype), text.to(model.dtype), torch.tensor([time]), mask,
        return_dict=False, **positions(shape, frame_rate, condition),
    )[0]
    return LTXPipeline._unpack_latents(out.float(), *shape)


def transformer_cases(model, embeds, mask, worst):
    cases = {}
    shapes = [(1, 2, 2), (2, 3, 2), (3, 2, 5), (4, 4, 4), (7, 1, 3), (3, 2, 2)]
    times = [1000.0, 731.25, 3.5, 500.0, 60.0, 250.0]
    rates = [25.0, 25.0, 24.0, 30.0, 8.0, 25.0]
    halves = in_halves(model)
    for i, (shape, time, rate) in enumerate(zip(shapes, times, rates)):
        condition = i == 5
        text, told = embeds[i % len(embeds)][None], mask[i % len(embeds)][None]
        latents = randn(100 + i, 1, 128, *shape)
        case = (latents, time, text, told, rate, condition)
        cases[f"{i}.latents"] = latents
        cases[f"{i}.timestep"] = torch.tensor([time])
        cases[f"{i}.frame_rate"] = torch.tensor([rate])
        cases[f"{i}.text"] = text[:, : int(told.sum())]
        cases[f"{i}.velocity"] = velocity(model, *case)
        for name, half in halves.items():
            note(worst, name, "velocity", errors(velocity(half, *case), cases[f"{i}.velocity"]))
    save("transformer", cases)


@torch.no_grad()
def encode(model, video):
    mean, std = model.latents_mean, model.latents_std
    latents = model.encode(video.to(model.dtype)).latent_dist.mode().float()
    return LTXPipeline._normalize_latents(latents, mean, std, model.config.scaling_factor)


@torch.no_grad()
def decode(model, latents, noise, time, scale):
    mean, std = model.latents_mean, model.latents_std
    latents = LTXPipeline._denormalize_latents(latents, mean, std, model.config.scaling_factor)
    if not model.config.timestep_conditioning:
        return model.decode(latents.to(model.dtype), return_dict=False)[0].float()
    latents = (1 - scale) * latents + scale * noise
    told = torch.tensor([time])
    return model.decode(latents.to(model.dtype), told, return_dict=False)[0].float()


def vae_cases(name, model, sizes, worst):
    cases = {}
    halves = in_halves(model)
    channels = model.config.latent_channels
    for i, (frames, height, width) in enumerate(sizes):
        video = randn(200 + i, 1, 3, frames, height, width).clamp(-2, 2) / 2
        shape = (1, channels, (frames - 1) // PACE + 1, height // SIDE, width // SIDE)
        latents, noise = randn(300 + i, *shape), randn(350 + i, *shape)
        time, scale = [(0.05, 0.025), (0.0, 0.0), (0.3, 0.5)][i % 3]
        cases[f"{frames}.video"] = video
        cases[f"{frames}.encoded"] = encode(model, video)
        cases[f"{frames}.latents"] = latents
        cases[f"{frames}.noise"] = noise
        cases[f"{frames}.decode"] = torch.tensor([time, scale], dtype=torch.float64)
        cases[f"{frames}.decoded"] = decode(model, latents, noise, time, scale)
        for format, half in halves.items():
            for key, got in [
                ("encoded", encode(half, video)),
                ("decoded", decode(half, latents, noise, time, scale)),
            ]:
                note(worst, format, key, errors(got, cases[f"{frames}.{key}"]))
    save(name, cases)


@torch.no_grad()
def text_cases(pipe, condition, worst):
    """Embeddings of both pipelines: one lets the encoder see the padding, the other does not."""
    out, lengths = {}, None
    for name, one in [("seen", pipe), ("masked", condition)]:
        embeds, mask = one._get_t5_prompt_embeds(PROMPTS, max_sequence_length=TEXT_TOKENS)
        lengths = mask.sum(1)
        for i, length in enumerate(lengths):
            out[f"{name}.{i}"] = embeds[i : i + 1, : int(length)]
        if name == "seen":
            seen = embeds, mask
    save("text", out)
    (OUT / "prompts.json").write_text(
        json.dumps(
            {"text_tokens": TEXT_TOKENS, "prompts": PROMPTS, "lengths": lengths.tolist()}, indent=1
        )
        + "\n"
    )
    for name, encoder in in_halves(pipe.text_encoder).items():
        half = LTXPipeline(pipe.scheduler, pipe.vae, encoder, pipe.tokenizer, pipe.transformer)
        embeds, _ = half._get_t5_prompt_embeds(PROMPTS, max_sequence_length=TEXT_TOKENS)
        for i, length in enumerate(lengths):
            note(worst, name, "text", errors(embeds[i, : int(length)].float(), out[f"seen.{i}"][0]))
    return seen


def sigma_cases():
    """Grids of the scheduler as LTXPipeline asks for them, and of LTXConditionPipeline."""
    grids = []
    dynamic = dict(
        use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=1024,
        max_image_seq_len=4096, shift_terminal=0.1,
    )
    for config in [
        {}, dict(shift=3.0), dynamic, dict(dynamic, shift_terminal=None),
        dict(dynamic, time_shift_type="linear"), dict(shift=2.0, shift_terminal=0.05),
    ]:
        for steps, tokens in [(2, 60), (10, 60), (40, 1024), (50, 4992)]:
            scheduler = FlowMatchEulerDiscreteScheduler(**config)
            told = scheduler.config
            mu = calculate_shift(
                tokens, told.base_image_seq_len, told.max_image_seq_len, told.base_shift,
                told.max_shift,
            )
            sigmas = torch.linspace(1.0, 1 / steps, steps, dtype=torch.float64).numpy()
            scheduler.set_timesteps(sigmas=sigmas, mu=mu)
            grids.append(
                {
                    "config": config, "steps": steps, "tokens": tokens,
                    "sigmas": scheduler.sigmas.tolist(), "timesteps": scheduler.timesteps.tolist(),
                }
            )
    quadratic = []
    for steps in [1, 2, 7, 8, 30, 40]:
        quadratic.append(linear_quadratic_schedule(steps).tolist())
    text = json.dumps({"linspace": grids, "linear_quadratic": quadratic})
    (OUT / "sigmas.json").write_text(text + "\n")


def rope_cases():
    """Angles at the real widths, where f32 has few digits left."""
    out = {}
    for dim in [2048, 4096]:
        rope = LTXVideoRotaryPosEmbed(dim)
        cos, sin = rope(torch.zeros(1, 1, 1), **positions((3, 5, 7), 25.0, False))
        out[f"{dim}.cos"], out[f"{dim}.sin"] = cos[0, -1, ::2], sin[0, -1, ::2]
        coords = positions((3, 5, 7), 25.0, True)
        cos, sin = rope(torch.zeros(1, 1, 1), **coords)
        out[f"{dim}.condition.cos"], out[f"{dim}.condition.sin"] = cos[0, -1, ::2], sin[0, -1, ::2]
    save("rope", out)


@torch.no_grad()
def run_case(name, pipe, small, embeds, mask, plan, guidance, condition):
    """One denoising run in which two models take turns."""
    shape = (1, 128, 3, 2, 2)
    large = pipe.transformer
    generator = torch.Generator().manual_seed(500)
    out = {}
    arguments = {}
    if condition:
        # This pipeline draws its own noise.
        out["initial"] = torch.randn(shape, generator=torch.Generator().manual_seed(500))
    else:
        out["initial"] = randn(400, *shape)
        arguments["latents"] = LTXPipeline._pack_latents(out["initial"])

    def after_step(pipe, i, t, tensors):
        out[f"{i}.x"] = LTXPipeline._unpack_latents(tensors["latents"], *shape[2:])
        pipe.transformer = large if plan[i + 1 : i + 2] == "L" else small
        return {}

    pipe.transformer = large if plan[0] == "L" else small
    video = pipe(
        prompt_embeds=embeds[:1], prompt_attention_mask=mask[:1],
        negative_prompt_embeds=embeds[1:2], negative_prompt_attention_mask=mask[1:2],
        height=shape[3] * SIDE, width=shape[4] * SIDE, num_frames=(shape[2] - 1) * PACE + 1,
        frame_rate=25, num_inference_steps=len(plan), guidance_scale=guidance,
        generator=generator, decode_timestep=0.05, decode_noise_scale=0.025,
        callback_on_step_end=after_step, output_type="pt", **arguments,
    ).frames
    pipe.transformer = large
    drawn = torch.Generator().manual_seed(500)
    if condition:
        torch.randn(shape, generator=drawn)
    out["noise"] = torch.randn(shape, generator=drawn)
    out["sigmas"], out["timesteps"] = pipe.scheduler.sigmas, pipe.scheduler.timesteps
    if not condition:
        # The first and the last frame, to keep the file small.
        out["frames"] = video.permute(0, 2, 1, 3, 4)[:, :, ::16]
    save(name, out)
    print(name, "latents", out[f"{len(plan) - 1}.x"].std().item(), "frames", video.std().item())


@torch.no_grad()
def half_run(dtype, pipe, small, embeds, mask, plan, guidance):
    """How far the pipeline's latents are off in a number format at the end of run_lsl."""
    run = load_file(OUT / "run_lsl.safetensors")
    large, small = (copy.deepcopy(model).to(dtype) for model in (pipe.transformer, small))
    half = LTXPipeline(pipe.scheduler, pipe.vae, pipe.text_encoder, pipe.tokenizer, large)

    def after_step(half, i, t, tensors):
        half.transformer = large if plan[i + 1 : i + 2] == "L" else small
        return {}

    text = {"prompt_embeds": embeds[:1], "negative_prompt_embeds": embeds[1:2]}
    latents = half(
        **{key: value.to(dtype) for key, value in text.items()},
        prompt_attention_mask=mask[:1], negative_prompt_attention_mask=mask[1:2],
        latents=LTXPipeline._pack_latents(run["initial"].float()), height=64, width=64, num_frames=17,
        frame_rate=25, num_inference_steps=len(plan), guidance_scale=guidance,
        callback_on_step_end=after_step, output_type="latent",
    ).frames
    latents = LTXPipeline._unpack_latents(latents.float(), 3, 2, 2)
    return errors(latents, run[f"{len(plan) - 1}.x"])


BLOCKS = {
    "decoder.mid_block": "decoder.up_blocks.0",
    "encoder.mid_block": "encoder.down_blocks.8",
    **{f"decoder.up_blocks.{i}.upsamplers.0": f"decoder.up_blocks.{2 * i + 1}" for i in range(4)},
    **{f"decoder.up_blocks.{i}": f"decoder.up_blocks.{2 * i + 2}" for i in range(4)},
    **{f"encoder.down_blocks.{i}.downsamplers.0": f"encoder.down_blocks.{2 * i + 1}" for i in range(4)},
    **{f"encoder.down_blocks.{i}": f"encoder.down_blocks.{2 * i}" for i in range(4)},
    "decoder.time_embedder": "decoder.last_time_embedder",
    "decoder.scale_shift_table": "decoder.last_scale_shift_table",
    "latents_mean": "per_channel_statistics.mean-of-means",
    "latents_std": "per_channel_statistics.std-of-means",
}


def native_transformer_name(name):
    for ours, theirs in [("proj_in.", "patchify_proj."), ("time_embed.", "adaln_single.")]:
        if name.startswith(ours):
            name = theirs + name[len(ours) :]
    name = name.replace(".norm_q.", ".q_norm.").replace(".norm_k.", ".k_norm.")
    return "model.diffusion_model." + name


def native_vae_name(name):
    for ours in sorted(BLOCKS, key=len, reverse=True):
        if name == ours or name.startswith(ours + "."):
            name = BLOCKS[ours] + name[len(ours) :]
            break
    return "vae." + name.replace(".resnets.", ".res_blocks.")


def name_cases(model, decoder):
    """Native names of every tensor, proved by diffusers' own conversion."""
    pairs = {"transformer": {}, "vae": {}}
    for key, of, native, convert in [
        ("transformer", model, native_transformer_name, convert_ltx_transformer_checkpoint_to_diffusers),
        ("vae", decoder, native_vae_name, convert_ltx_vae_checkpoint_to_diffusers),
    ]:
        names = list(of.state_dict())
        for name in names:
            pairs[key][native(name)] = name
        assert len(pairs[key]) == len(names)
        # The value says where it came from. One shape tells diffusers the version.
        marks = {theirs: torch.tensor([float(i)]) for i, theirs in enumerate(pairs[key])}
        if key == "vae":
            telling = "vae.encoder.conv_out.conv.weight"
            marks[telling] = marks[telling].expand(1, 2048)
        converted = convert(dict(marks))
        assert set(converted) == set(names), set(converted) ^ set(names)
        for theirs, ours in pairs[key].items():
            assert converted[ours].flatten()[0] == marks[theirs].flatten()[0], ours
    (OUT / "names.json").write_text(json.dumps(pairs, indent=0) + "\n")


def spiece_cases():
    """A tokenizer in the form that T5 was published with, and SentencePiece's own tokens."""
    rules = OUT / "rules.tsv"
    # From one character, or two, to none, one or two: fullwidth and accented letters, a ligature.
    lines = [("FF21", "41"), ("E9", "65"), ("65 301", "65"), ("FB01", "66 69"), ("200B", ""), ("9", "20"), ("A", "20")]
    rules.write_text("".join(f"{one}\t{other}\n" for one, other in lines))
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=written, vocab_size=60, pad_id=0, eos_id=1,
        unk_id=2, bos_id=-1, normalization_rule_tsv=str(rules), num_threads=1, minloglevel=2,
    )
    rules.unlink()
    (OUT / "spiece.model").write_bytes(written.getvalue())
    reader = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    texts = PROMPTS + [
        "  a  red\tcircle ", "caf\u00e9 caf\u0065\u0301", "\uff21 \ufb01sh", "ring\u200bring",
        "\U0001f600\U0001f600 star", "a.b,c!", "line\nbreak", "unknown \u0436\u0436 letters",
    ]
    cases = [(text, reader.encode(text) + [1]) for text in texts]
    (OUT / "spiece.json").write_text(json.dumps(cases) + "\n")


def main():
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    large_dir, small_dir = OUT / "pair" / "large", OUT / "pair" / "small"
    # The pipelines warn at length of the one prompt that is meant to be too long.
    logging.set_verbosity_error()
    tok = tokenizer()
    tok.model_max_length = TEXT_TOKENS
    large = transformer(1, heads=4, head_dim=10, layers=3)
    small = transformer(2, heads=2, head_dim=12, layers=2)
    decoder, old = vae(3), old_vae(5)
    encoder = text_encoder(4, len(tok))
    scheduler = FlowMatchEulerDiscreteScheduler()
    save_weights(large, large_dir / "transformer")
    save_weights(small, small_dir / "transformer")
    save_weights(decoder, large_dir / "vae")
    save_weights(old, OUT / "old" / "vae")
    save_weights(encoder, large_dir / "text_encoder")
    tok.save_pretrained(large_dir / "tokenizer")
    scheduler.save_pretrained(large_dir / "scheduler")
    pipe = LTXPipeline(scheduler, decoder, encoder, tok, large)
    pipe.save_config(large_dir)
    condition = LTXConditionPipeline(scheduler, decoder, encoder, tok, large)

    worst = {}
    embeds, mask = text_cases(pipe, condition, worst)
    transformer_cases(large, embeds, mask, worst)
    vae_cases("vae", decoder, [(1, 64, 32), (9, 32, 32), (17, 32, 32)], worst)
    vae_cases("old_vae", old, [(9, 32, 32)], {})
    spiece_cases()
    sigma_cases()
    rope_cases()
    name_cases(large, decoder)
    run_case("run_lsl", pipe, small, embeds, mask, "LLLLSSSSLL", 3.0, False)
    run_case("run_condition", condition, small, embeds, mask, "LLLLSSSSLL", 3.0, True)
    for name, dtype in HALVES.items():
        error = half_run(dtype, pipe, small, embeds, mask, "LLLLSSSSLL", 3.0)
        note(worst, name, "run", error)
    (OUT / "half.json").write_text(json.dumps(worst, indent=1) + "\n")
    size = sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file())
    print(f"{size / 1e6:.2f} MB in {OUT}; against f32: {worst}")


if __name__ == "__main__":
    main()
