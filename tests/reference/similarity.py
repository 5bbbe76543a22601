"""Prints what scikit-image makes of the clips in src/analysis/similarity.rs, for its test.

    pip install numpy scikit-image && python tests/reference/similarity.py

Each line: shift, gain, PSNR in dB over the whole clip, SSIM on luma as the mean over frames.
"""

import numpy as np
import skimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity


def grating(shift, gain):
    """The clip of the test, [frames, height, width, 3] in 8 bits."""
    t, y, x, c = np.meshgrid(np.arange(3.0), np.arange(20.0), np.arange(24.0), np.arange(3.0), indexing="ij")
    wave = np.sin(0.45 * x + 0.3 * y - 0.8 * t + shift + c) * 60 + 2 * (x - y)
    # Half rounds away from zero in Rust and to even here; none of these clips has a half.
    return np.round(np.clip(128 + gain * wave, 0, 255)).astype(np.uint8)


def luma(clip):
    return clip.astype(np.float64) @ np.array([0.299, 0.587, 0.114])


def ssim(one, other):
    options = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255)
    return np.mean([structural_similarity(a, b, **options) for a, b in zip(luma(one), luma(other))])


print("scikit-image", skimage.__version__)
first = grating(0, 1)
for shift, gain in [(0.1, 1.0), (0.0, 0.8), (1.5, 0.6)]:
    other = grating(shift, gain)
    print(f"({shift}, {gain}, {peak_signal_noise_ratio(first, other):.9f}, {ssim(first, other):.9f})")
