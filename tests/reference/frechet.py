"""Prints the squared Fréchet distances of the sets in src/analysis/frechet.rs, for its test.

    pip install numpy==2.4.6 scipy==1.17.1 && python tests/reference/frechet.py

Each line: sizes of the sets, length of a vector, the distance by scipy.linalg.sqrtm and by the eigenvalues
of the product of the covariances.
"""

import numpy as np
import scipy
from scipy.linalg import sqrtm


def features(count, dimensions, phase):
    i, j = np.meshgrid(np.arange(float(count)), np.arange(float(dimensions)), indexing="ij")
    wave = np.sin(i * (1.3 + j) + phase) + np.cos(0.7 * i * j + 2.0 * phase)
    return (wave * (1.0 + 0.1 * j) + 0.05 * phase * j).astype(np.float32).astype(np.float64)


print("SciPy", scipy.__version__)
for (one, other), dimensions in [((400, 300), 12), ((64, 64), 1), ((90, 200), 40), ((9, 14), 20)]:
    a, b = features(one, dimensions, 0.3), features(other, dimensions, 1.9)
    c, d = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    rest = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(c) + np.trace(d)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(c @ d).real, 0))
    print((one, other), dimensions, rest - 2 * np.trace(sqrtm(c @ d)).real, rest - 2 * roots.sum())
