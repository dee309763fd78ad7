"""The prior of fusion: how far the network's errors reach, by marginal likelihood on frames it was not trained on."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from tqdm import tqdm

from mono_depth_ros import checkpoint
from mono_depth_ros.estimator import DepthEstimator
from mono_depth_ros.fusion import Prior
from training.data.frame import RgbdFrame
from training.data.place import locate
from training.data.rgbd_folder import RgbdFolder
from training.metrics import EIGEN_CROP, MAX_DEPTH, MIN_DEPTH

# NYU's blocks that calibrate the error head, with the two unused frames on either side: nothing was trained on them.
ROWS = ((38, 54), (232, 248), (426, 442), (620, 636))
# The same frames as longer lenses see them: the middle of the image, 1.5 and 2 times as large.
ZOOMS = (1.0, 1.5, 2.0)
POINTS, NOISE = 150, 0.02


@dataclass(frozen=True)
class Residuals:
    """Pixels of one frame: u and v as shares of the longer side, ln predicted depth, ln truth less that; (N,) each."""

    u: np.ndarray
    v: np.ndarray
    log_depth: np.ndarray
    residual: np.ndarray


def cropped(frame: RgbdFrame, zoom: float) -> RgbdFrame:
    """The middle of a frame, as a lens that is ``zoom`` times as long sees it."""
    height, width = (round(side / zoom) for side in frame.depth.shape)
    top, left = (frame.depth.shape[0] - height) // 2, (frame.depth.shape[1] - width) // 2
    window = slice(top, top + height), slice(left, left + width)
    camera = frame.camera.cropped(left, top, width, height)
    return replace(frame, rgb=np.ascontiguousarray(frame.rgb[window]), depth=frame.depth[window], camera=camera)


def residuals(estimator: DepthEstimator, folder: Path) -> Iterator[Residuals]:
    """`POINTS` random pixels of each frame and zoom, inside the Eigen crop; always the same ones."""
    rng = np.random.default_rng(0)
    top, bottom, left, right = EIGEN_CROP
    for whole in tqdm(RgbdFolder(folder, rows=ROWS), unit=" frames"):
        trusted = np.zeros_like(whole.depth)
        trusted[top:bottom, left:right] = whole.depth[top:bottom, left:right]
        for zoom in ZOOMS:
            frame = cropped(replace(whole, depth=trusted), zoom)
            predicted = np.log(estimator.predict(frame.rgb, frame.camera).depth.astype(np.float64))
            v, u = np.nonzero((frame.depth > MIN_DEPTH) & (frame.depth < MAX_DEPTH))
            chosen = rng.choice(len(u), POINTS, replace=False)
            u, v = u[chosen], v[chosen]
            longer = max(frame.depth.shape)
            noise = NOISE * rng.standard_normal(POINTS)
            yield Residuals(
                u / longer, v / longer, predicted[v, u], np.log(frame.depth[v, u]) + noise - predicted[v, u]
            )


def misfit(prior: Prior, samples: list[Residuals]) -> float:
    """Negative logarithm of the marginal likelihood (Rasmussen and Williams, equation 2.30), a pixel's mean."""
    total = 0.0
    for s in samples:
        across = (np.subtract.outer(s.u, s.u) ** 2 + np.subtract.outer(s.v, s.v) ** 2) / prior.reach**2
        distance = np.sqrt(across + np.subtract.outer(s.log_depth, s.log_depth) ** 2 / prior.depth_reach**2)
        covariance = prior.spread**2 * np.exp(-distance) + (NOISE**2 + prior.registration**2) * np.eye(len(s.u))
        factor = cho_factor(covariance, lower=True)
        total += s.residual @ cho_solve(factor, s.residual) / 2 + np.log(np.diag(factor[0])).sum()
    return total / sum(len(s.u) for s in samples)


def fit(samples: list[Residuals], start: Prior) -> Prior:
    """The prior of largest marginal likelihood: spread, reach and depth_reach; the rest stays as in ``start``."""

    def prior(logarithms: np.ndarray) -> Prior:
        spread, reach, depth_reach = np.exp(logarithms).tolist()
        return replace(start, spread=spread, reach=reach, depth_reach=depth_reach)

    first = np.log([start.spread, start.reach, start.depth_reach])
    best = minimize(lambda x: misfit(prior(x), samples), first, method="Nelder-Mead", options={"fatol": 1e-5})
    return prior(best.x)


def main(arguments: list[str]) -> None:
    """Print the prior of a checkpoint, and seal it into it where asked to."""
    parser = argparse.ArgumentParser(prog="python -m training anchors-prior", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="a .safetensors file (default: the one that ships)")
    parser.add_argument("--seal", action="store_true", help="write the prior into the checkpoint's metadata")
    options = parser.parse_args(arguments)
    estimator = DepthEstimator.load(options.checkpoint)
    samples = list(residuals(estimator, locate("data/nyu_depth_v2_train")))
    for number, zoom in enumerate(ZOOMS):
        print(f"zoom {zoom}: {fit(samples[number :: len(ZOOMS)], Prior())}")
    prior = fit(samples, Prior())
    print(f"all: {prior}, {misfit(prior, samples):.4f} nats a pixel")
    if options.seal:
        print(f"sealed, SHA-256 {seal(estimator.checkpoint, prior).sha256}")


def seal(found: checkpoint.Checkpoint, prior: Prior) -> checkpoint.Checkpoint:
    """Write a checkpoint again, in its place, with a prior among its facts."""
    int8 = found.int8()
    info = replace(found.info, prior=asdict(prior))
    contents = found.onnx().read_bytes(), int8.read_bytes() if int8 else b""
    return checkpoint.save(found.path, info, found.weights(), *contents)
