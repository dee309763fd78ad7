"""Simulated sensors read what they should; the prior's fit finds the process that made its samples."""

import math
import shutil

import numpy as np
import pytest

from mono_depth_ros import CameraModel, checkpoint
from mono_depth_ros.fusion import Prior, fuse
from mono_depth_ros.prediction import Prediction
from test.scenes import ROOM, cast, rays_of
from training.anchors import sensors
from training.anchors.prior import Residuals, fit, seal

CAMERA = CameraModel(320, 240, 260.0, 260.0, 160.0, 120.0)
DEPTH = cast(rays_of(CAMERA), ROOM)[0].astype(np.float32)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_points_are_known_pixels_with_the_noise_that_they_claim():
    known = np.where(DEPTH > 2.5, DEPTH, 0)
    anchors = sensors.points(2000)(known, CAMERA, rng())
    errors = np.log(anchors.depth / DEPTH[anchors.v.astype(int), anchors.u.astype(int)])
    assert len(anchors) == 2000 and (DEPTH[anchors.v.astype(int), anchors.u.astype(int)] > 2.5).all()
    assert errors.std() == pytest.approx(0.02, rel=0.1) and (anchors.sigma == 0.02).all()


def test_a_scan_is_level_and_its_beams_are_half_a_degree_apart():
    anchors = sensors.scan(step=0.5, noise=0.02)(DEPTH, CAMERA, rng())
    assert (anchors.v == 120).all()
    bearings = np.degrees(np.arctan((anchors.u - CAMERA.cx) / CAMERA.fx))
    assert np.diff(bearings).mean() == pytest.approx(0.5, abs=0.01)
    np.testing.assert_allclose(anchors.sigma * DEPTH[120, anchors.u.astype(int)], 0.02, rtol=1e-6)


@pytest.mark.parametrize(("sensor", "beams"), [(sensors.zones(noise=0.0), 64), (sensors.rangefinder(noise=0.0), 1)])
def test_wide_beams_of_the_truth_leave_the_truth_as_it_is(sensor, beams):
    anchors = sensor(DEPTH, CAMERA, rng())
    assert len(anchors) == beams and (anchors.radius > 5).all()
    fused = fuse(Prediction(DEPTH), anchors)
    assert np.median(np.abs(fused.depth / DEPTH - 1)) < 0.02


def test_a_beam_over_pixels_without_a_depth_reads_nothing():
    assert len(sensors.rangefinder()(np.zeros_like(DEPTH), CAMERA, rng())) == 0
    half = DEPTH.copy()
    half[:, :160] = 0
    assert len(sensors.zones()(half, CAMERA, rng())) == 32


def test_a_turn_of_one_degree_moves_an_anchor_by_the_focal_length_times_it():
    anchors = sensors.scan()(DEPTH, CAMERA, rng())
    moved = sensors.moved(anchors, CAMERA, np.array([0.0, math.radians(1.0), 0.0]), np.zeros(3))
    middle = np.abs(anchors.u - CAMERA.cx).argmin()
    assert moved.u[middle] - anchors.u[middle] == pytest.approx(260 * math.tan(math.radians(1.0)), rel=0.02)
    away = sensors.moved(anchors, CAMERA, np.zeros(3), np.array([0.0, 0.0, 0.02]))
    np.testing.assert_allclose(away.depth, anchors.depth + 0.02)


def test_misplaced_anchors_are_moved_by_no_more_than_said():
    anchors = sensors.points(200)(DEPTH, CAMERA, rng())
    moved = sensors.misplaced(anchors, CAMERA, 0.0, 0.02, rng())
    before, after = (
        np.stack([(a.u - CAMERA.cx) / CAMERA.fx, (a.v - CAMERA.cy) / CAMERA.fy, np.ones(200)]) * a.depth
        for a in (anchors, moved)
    )
    np.testing.assert_allclose(np.linalg.norm(after - before, axis=0), 0.02, rtol=1e-6)


def test_the_fit_finds_the_prior_that_its_samples_were_drawn_from():
    true, generator, samples = Prior(spread=0.2, reach=0.4, depth_reach=0.6), rng(), []
    for _ in range(20):
        u, v, log_depth = generator.uniform(0, 1, 80), generator.uniform(0, 0.75, 80), generator.uniform(0, 1.5, 80)
        points = np.stack([u / true.reach, v / true.reach, log_depth / true.depth_reach], axis=1)
        distance = np.linalg.norm(points[:, None] - points, axis=-1)
        noise = 0.02**2 + true.registration**2
        factor = np.linalg.cholesky(true.spread**2 * np.exp(-distance) + noise * np.eye(80))
        samples.append(Residuals(u, v, log_depth, factor @ generator.standard_normal(80)))
    found = fit(samples, Prior())
    # Spread and reach are known each for itself to a third only, their ratio, the slope at the tip, to a seventh.
    assert found.spread == pytest.approx(true.spread, rel=0.3)
    assert found.spread**2 / found.reach == pytest.approx(true.spread**2 / true.reach, rel=0.15)
    assert found.spread**2 / found.depth_reach == pytest.approx(true.spread**2 / true.depth_reach, rel=0.15)


def test_a_prior_is_sealed_into_a_checkpoint_beside_everything_else(sealed_checkpoint, tmp_path):
    for file in sealed_checkpoint.path.parent.glob(f"{sealed_checkpoint.path.stem}.*"):
        shutil.copy(file, tmp_path)
    before = checkpoint.load(tmp_path / sealed_checkpoint.path.name)
    seal(before, Prior(spread=0.25))
    after = checkpoint.load(before.path)
    assert Prior(**after.info.prior) == Prior(spread=0.25) and before.info.prior == {}
    assert after.onnx() and after.info.licence == before.info.licence
    one, other = before.weights(), after.weights()
    assert one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
