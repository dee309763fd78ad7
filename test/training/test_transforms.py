"""Augmentation against hand-worked numbers and geometry: what is drawn must stay a true picture of some camera."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mono_depth_ros.camera import CameraModel
from test.training.scenes import DISTANCE, NORMAL, Planes, picture, plane_depth, points
from training import transforms
from training.data.frame import RgbdFrame
from training.data.sampling import Request, Samples
from training.transforms import EvaluationTransform, TrainTransform

NYU = CameraModel.nyu()
REPLICA = CameraModel(width=512, height=512, fx=256, fy=256, cx=256, cy=256)
SMALL = CameraModel(width=80, height=60, fx=70, fy=72, cx=41, cy=29)
PLAIN: dict[str, Any] = {"flip": 0.0, "cut_depth": 0.0, "color": (0.0, 0.0, 0.0, 0.0)}
WHOLE: dict[str, Any] = {"input_size": (60, 80), "crop_size": (60, 80)}
SMALL_TRANSFORM = TrainTransform(input_size=(60, 80), crop_size=(48, 64), zoom=(1, 1.5))
NYU_FOCAL = (518.8579 * 519.4696) ** 0.5

cameras = st.builds(
    CameraModel,
    width=st.integers(40, 120), height=st.integers(40, 120), fx=st.floats(60, 200), fy=st.floats(60, 200),
    cx=st.floats(20, 90), cy=st.floats(20, 90),
)  # fmt: skip
seeds = st.integers(0, 2**32)


def frame_of(camera: CameraModel, depth: np.ndarray | float | None = None) -> RgbdFrame:
    values = plane_depth(camera) if depth is None else np.broadcast_to(np.float32(depth), (camera.height, camera.width))
    return RgbdFrame("plane", picture(camera), values.copy(), camera)


def distance_from_plane(frame: RgbdFrame) -> float:
    return float(np.abs(points(frame) @ NORMAL - DISTANCE).max())


def sample_of(transform: TrainTransform, frame: RgbdFrame, seed: int = 0) -> dict[str, torch.Tensor]:
    return transform(frame, np.random.default_rng(seed))


class TestGeometry:
    @given(cameras)
    @settings(max_examples=20, deadline=None)
    def test_flipping_twice_changes_nothing(self, camera):
        frame = frame_of(camera)
        twice = transforms.flip(transforms.flip(frame))
        np.testing.assert_array_equal(twice.rgb, frame.rgb)
        np.testing.assert_array_equal(twice.depth, frame.depth)
        assert twice.camera.cx == pytest.approx(camera.cx)

    @given(cameras, st.lists(st.floats(-0.1, 0.1), min_size=3, max_size=3))
    @settings(max_examples=20, deadline=None)
    def test_a_turned_camera_sees_the_same_plane_from_the_same_place(self, camera, axis_angle):
        frame = frame_of(camera)
        assume(frame.depth.max() < 5)  # the widest cameras look along the plane, as far as its horizon
        turned, rotation = transforms.turn(frame, axis_angle), Rotation.from_rotvec(axis_angle).as_matrix()
        # What the frame showed is known, what lies beside it by more than a pixel is not.
        x, y, z = np.moveaxis(np.dstack([camera.rays(), np.ones(turned.depth.shape)]) @ rotation.T, -1, 0)
        u, v = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
        beside = np.maximum(np.abs(u - (camera.width - 1) / 2) - (camera.width - 1) / 2,
                            np.abs(v - (camera.height - 1) / 2) - (camera.height - 1) / 2)  # fmt: skip
        assert (turned.depth[beside < -1] > 0).all()
        assert (turned.depth[beside > 1] == 0).all()
        # Turned back, the points lie on the plane again, to half a pixel of nearest-neighbour sampling.
        back = points(turned) @ rotation.T
        half_a_pixel = 0.71 / min(camera.fx, camera.fy)
        assert np.abs(back @ NORMAL - DISTANCE).max() < half_a_pixel * np.linalg.norm(back, axis=1).max() * 1.5

    def test_turning_to_the_right_brings_in_what_was_on_the_right(self):
        # A quarter of the 80 pixel wide view, by hand: 20 pixels = 70 tan(angle) about the y axis, which points down.
        frame = RgbdFrame("step", picture(SMALL), np.full((60, 80), 2, np.float32), SMALL)
        frame.depth[:, 61:] = 3  # the column of the optical axis is 41
        turned = transforms.turn(frame, [0, np.arctan(20 / 70), 0])
        row = turned.depth[29]
        assert row[40] * np.cos(np.arctan(20 / 70)) == pytest.approx(2, rel=0.01)
        assert row[42] * np.cos(np.arctan(20 / 70)) == pytest.approx(3, rel=0.02)
        assert (row[-15:] == 0).all()

    def test_flipping_mirrors_the_points(self):
        frame = frame_of(SMALL)
        mirrored = points(transforms.flip(frame)).reshape(60, 80, 3)[:, ::-1].reshape(-1, 3)
        np.testing.assert_allclose(mirrored, points(frame) * [-1, 1, 1], atol=1e-5)

    @given(cameras, st.data())
    @settings(max_examples=30, deadline=None)
    def test_a_crop_shows_the_same_plane(self, camera, data):
        width, height = data.draw(st.integers(1, camera.width)), data.draw(st.integers(1, camera.height))
        x, y = data.draw(st.integers(0, camera.width - width)), data.draw(st.integers(0, camera.height - height))
        assert distance_from_plane(transforms.crop(frame_of(camera), x, y, width, height)) < 1e-4

    @given(st.floats(0.4, 2.5))
    @settings(max_examples=30, deadline=None)
    def test_a_resized_frame_shows_the_same_plane(self, scale):
        """Within half a pixel of the smaller picture, under 1/500 of its focal length, at depths up to 4 m."""
        frame = transforms.resize(frame_of(NYU), round(640 * scale), round(480 * scale))
        assert distance_from_plane(frame) < 0.5 * 4 / 500 * max(1, 1 / scale)

    def test_depth_is_never_mixed_over_an_edge(self):
        depth = np.where(np.arange(640) < 333, 1.0, 5.0)
        resized = transforms.resize(frame_of(NYU, depth), 900, 700)
        assert set(np.unique(resized.depth)) == {1.0, 5.0}

    def test_halving_the_picture_averages_it(self):
        frame = frame_of(NYU)
        rgb = transforms.resize(frame, 320, 240).rgb
        blocks = frame.rgb.reshape(240, 2, 320, 2, 3).mean(axis=(1, 3))
        assert np.abs(rgb - blocks).max() <= 1


def grey_columns(sample: dict[str, torch.Tensor], depth: float) -> np.ndarray:
    """Columns of a sample that are the grey of a depth of 10 m all over."""
    mean, std = torch.tensor(transforms.IMAGENET)
    pixels = (sample["image"].permute(1, 2, 0) * std + mean) * 255
    grey = ((pixels - round(depth * 25.5)).abs() < 0.01).all(dim=-1)
    return grey.all(dim=0).nonzero().flatten().numpy()


class TestCutDepth:
    def test_columns_become_depth_as_grey(self):
        """2.5 m of 10 m is 255 / 4 = 63.75: grey 64."""
        frame = frame_of(SMALL, 2.5)
        image = transforms.image_tensor(frame)
        cut = transforms.cut_depth(image, transforms.depth_tensor(frame), left=20, width=15, max_depth=10)
        assert (cut[..., 20:35] == 64).all()
        assert torch.equal(cut[..., :20], image[..., :20]) and torch.equal(cut[..., 35:], image[..., 35:])
        assert not (image[..., 20:35] == 64).all()

    def test_depth_beyond_the_range_is_white_and_unknown_depth_black(self):
        depth = torch.full((1, 60, 80), 30.0)
        depth[..., :40] = 0
        cut = transforms.cut_depth(torch.full((3, 60, 80), 9, dtype=torch.uint8), depth, 0, 80, max_depth=10)
        assert (cut[..., :40] == 0).all() and (cut[..., 40:] == 255).all()

    @given(seeds)
    @settings(max_examples=40, deadline=None)
    def test_the_strip_is_drawn_as_glpdepth_draws_it(self, seed):
        """Of 640 columns: l = int(alpha W), w = int(max((W - alpha W) beta 0.75, 1)), full height."""
        rng = np.random.default_rng(seed)
        (
            rng.random(),
            rng.random(),
            rng.integers(1),
            rng.integers(1),
            rng.integers(2**63),
            rng.random(),
        )  # what is before
        alpha, beta = rng.random(2)
        left, width = int(alpha * 640), int(max((640 - alpha * 640) * beta * 0.75, 1))
        options = {**PLAIN, "cut_depth": 1.0, "crop_size": (480, 640)}
        columns = grey_columns(sample_of(TrainTransform(**options), frame_of(NYU, 4.0), seed), 4.0)
        assert (int(columns[0]), len(columns)) == (left, width) and left + width <= 640

    def test_a_quarter_of_the_samples_is_cut(self):
        transform = TrainTransform(**WHOLE, flip=0, color=PLAIN["color"])
        plain = sample_of(TrainTransform(**WHOLE, **PLAIN), frame_of(SMALL))["image"]
        cut = sum(not torch.equal(sample_of(transform, frame_of(SMALL), seed)["image"], plain) for seed in range(800))
        assert cut == pytest.approx(200, abs=4 * (800 * 0.25 * 0.75) ** 0.5)

    @pytest.mark.parametrize("camera", [NYU, REPLICA])
    @given(st.floats(1, 2), seeds)
    @settings(max_examples=20, deadline=None)
    def test_grey_names_the_target_through_every_lens_zoom_and_colour(self, camera, zoom, seed):
        transform = TrainTransform(input_size=(96, 128), crop_size=(96, 128), zoom=(zoom, zoom), cut_depth=1.0)
        sample = sample_of(transform, frame_of(camera, 4.0), seed)
        target = float(sample["depth"][0, 0, 0])
        assume(abs(target - 4.0) > 0.02 or camera == NYU)  # one zoom brings that lens to the canonical one
        assert len(grey_columns(sample, target)) > 0


class TestTrainTransform:
    def test_shapes_and_types_of_the_papers_sample(self):
        sample = sample_of(TrainTransform(), frame_of(NYU))
        assert {key: (tuple(value.shape), value.dtype) for key, value in sample.items()} == {
            "image": ((3, 448, 576), torch.float32),
            "depth": ((1, 448, 576), torch.float32),
            "mask": ((1, 448, 576), torch.bool),
        }

    def test_the_papers_crop_is_a_window_of_the_frame_as_it_is(self):
        """NYU's camera is the canonical one: depth is untouched."""
        frame = frame_of(NYU, np.arange(480 * 640).reshape(480, 640) / 4e4 + 0.5)
        depth = sample_of(TrainTransform(**PLAIN), frame)["depth"][0].numpy()
        y, x = np.argwhere(np.isclose(frame.depth, depth[0, 0], rtol=1e-7))[0]
        np.testing.assert_allclose(depth, frame.depth[y : y + 448, x : x + 576], rtol=1e-6)

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]),
            ({"normalisation": ((0.5, 0.5, 0.5), (0.5, 0.25, 0.1))}, [1, -2, -3]),
        ],
    )
    def test_colours_are_normalised_as_the_encoder_wants(self, options, expected):
        frame = frame_of(SMALL)
        frame.rgb[:] = 255, 0, 51
        image = sample_of(TrainTransform(**WHOLE, **PLAIN, **options), frame)["image"]
        torch.testing.assert_close(image, torch.tensor(expected, dtype=torch.float32).view(3, 1, 1).expand_as(image))

    @pytest.mark.parametrize(
        ("camera", "input_size", "zoom", "expected"),
        [
            (NYU, (480, 640), (1, 1), 2.0),
            (NYU, (240, 320), (1, 1), 2.0),
            (NYU, (480, 640), (2, 2), 1.0),  # twice the focal length: half the canonical depth
            (REPLICA, (480, 640), (1, 1), 2 * NYU_FOCAL / 320),  # 512x512 covers 480x640 at 1.25: 256 px become 320
            (REPLICA, (240, 320), (1.25, 1.25), 2 * (NYU_FOCAL / 2) / 200),
        ],
    )
    def test_depth_is_in_the_canonical_camera(self, camera, input_size, zoom, expected):
        crop_size = (input_size[0] // 2, input_size[1] // 2)
        transform = TrainTransform(input_size=input_size, crop_size=crop_size, zoom=zoom, **PLAIN)
        depth = sample_of(transform, frame_of(camera, 2.0))["depth"]
        torch.testing.assert_close(depth, torch.full_like(depth, expected), rtol=3e-3, atol=0)

    @given(cameras, st.floats(1, 2), st.floats(0, 0.5), st.sampled_from([(48, 64), (40, 40)]), seeds)
    @settings(max_examples=40, deadline=None)
    def test_a_zoomed_and_cropped_frame_shows_the_same_plane(self, camera, zoom, more, size, seed):
        transform = TrainTransform(input_size=size, crop_size=(32, 40), zoom=(zoom, zoom + more))
        frame = transform._zoom_and_crop(frame_of(camera), np.random.default_rng(seed))
        assert (frame.camera.height, frame.camera.width) == (32, 40)
        np.testing.assert_allclose(points(frame) @ NORMAL, DISTANCE, rtol=0.04)
        magnification = transforms.focal_length(frame.camera) / transforms.focal_length(camera)
        covering = max(size[0] / camera.height, size[1] / camera.width)
        assert zoom * 0.9 < magnification / covering < (zoom + more) * 1.1

    def test_only_known_depth_within_the_range_counts(self):
        depth = np.full((60, 80), 2.0)
        depth[0, :5] = 0, 5e-4, 9.99, 10, 12
        focal = transforms.canonical_focal_length((60, 80))
        camera = CameraModel(width=80, height=60, fx=focal, fy=focal, cx=40, cy=30)
        mask = sample_of(TrainTransform(**WHOLE, **PLAIN), frame_of(camera, depth))["mask"]
        assert mask[0, 0, :6].tolist() == [False, False, True, False, False, True] and mask[0, 1:].all()

    def test_another_canonical_camera(self):
        """100 px for NYU's 519.16: 2 m look like 0.385 m."""
        depth = sample_of(TrainTransform(focal_length=100.0, **PLAIN), frame_of(NYU, 2.0))["depth"]
        torch.testing.assert_close(depth, torch.full_like(depth, 2 * 100 / NYU_FOCAL))

    @pytest.mark.parametrize("scale", [0.5, 0.75, 1.25])
    def test_a_frame_shown_larger_has_nearer_canonical_depth(self, scale):
        """As through a lens longer by the scale: 2 m become 2 / scale, in samples of multiples of 32."""
        transform = TrainTransform(input_size=(256, 320), focal_length=259.58, crop_size=(224, 288), **PLAIN)
        depth = transform(frame_of(NYU, 2.0), np.random.default_rng(0), scale)["depth"]
        assert tuple(depth.shape[1:]) == (32 * round(7 * scale), 32 * round(9 * scale))
        # The canonical camera is NYU's with 240 rows; input_size has 256.
        torch.testing.assert_close(depth, torch.full_like(depth, 2 * 240 / 256 / scale), rtol=0.02, atol=0)

    @pytest.mark.parametrize("option", ["grey", "blur", "noise", "erase"])
    def test_every_change_of_colour_changes_colour_and_nothing_else(self, option):
        strongest = {"grey": 1.0, "blur": 4.0, "noise": 0.1, "erase": 1.0}[option]
        plain, changed = (TrainTransform(**WHOLE, **PLAIN, **o) for o in ({}, {option: strongest}))
        found = [sample_of(changed, frame_of(SMALL), seed) for seed in range(4)]
        expected = sample_of(plain, frame_of(SMALL))
        assert any(not torch.equal(f["image"], expected["image"]) for f in found)
        assert all(torch.equal(f[key], expected[key]) for f in found for key in ("depth", "mask"))
        assert all(
            torch.equal(f["image"], sample_of(changed, frame_of(SMALL), i)["image"]) for i, f in enumerate(found)
        )

    def test_colour_jitter_leaves_geometry_alone(self):
        jittered, plain = TrainTransform(), TrainTransform(color=PLAIN["color"])
        found, expected = (sample_of(transform, frame_of(NYU), 5) for transform in (jittered, plain))
        assert torch.equal(found["depth"], expected["depth"]) and torch.equal(found["mask"], expected["mask"])
        assert 0.02 < (found["image"] - expected["image"]).abs().mean() < 2

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"crop_size": (448, 641)},
                r"crop_size: found \(448, 641\), expected no more than input_size \(480, 640\)",
            ),
            ({"zoom": (0.8, 1.2)}, r"zoom: found \(0.8, 1.2\), expected 1 <= smallest <= largest"),
            ({"scales": ()}, r"scales: found \(\), expected one positive number or more"),
        ],
    )
    def test_impossible_settings_are_named(self, options, message):
        with pytest.raises(ValueError, match=message):
            TrainTransform(**options)


class TestRandomNumbers:
    def test_a_sample_depends_on_seed_epoch_and_frame_alone(self):
        samples = Samples(Planes(5, SMALL), SMALL_TRANSFORM, seed=3)
        torch.manual_seed(0)
        first = samples[Request(2, 4)]
        samples[Request(0, 1)]
        torch.manual_seed(77)
        np.random.seed(5)  # noqa: NPY002
        again = samples[Request(2, 4)]
        assert all(torch.equal(first[key], again[key]) for key in first)

    @pytest.mark.parametrize(("seed", "other"), [(4, Request(2, 4)), (3, Request(1, 4)), (3, Request(2, 3))])
    def test_another_seed_epoch_or_frame_draws_anew(self, seed, other):
        def depth(seed: int, request: Request) -> torch.Tensor:
            return Samples(Planes(5, SMALL), SMALL_TRANSFORM, seed)[request]["depth"]

        assert not torch.equal(depth(3, Request(2, 4)), depth(seed, other))

    def test_torchs_own_generator_is_left_as_it_was(self):
        torch.manual_seed(11)
        expected = torch.rand(3)
        torch.manual_seed(11)
        sample_of(TrainTransform(), frame_of(NYU))
        assert torch.equal(torch.rand(3), expected)


class TestEvaluationTransform:
    def test_nyu_at_full_size_is_left_alone(self):
        frame = frame_of(NYU)
        transform = EvaluationTransform(input_size=(480, 640), canonical=NYU_FOCAL, max_depth=10)
        sample = transform(frame, np.random.default_rng())
        assert sample["image"].shape == (3, 480, 640) and sample["scale"] == pytest.approx(1)
        np.testing.assert_array_equal(sample["depth"][0], frame.depth)
        assert sample["mask"].all()

    @pytest.mark.parametrize("camera", [NYU, REPLICA])
    def test_truth_stays_whole_and_scale_brings_predictions_to_it(self, camera):
        """The image has the frame's shape and the budget's pixels, to within 32 a side; f shrinks as its sides do."""
        transform = EvaluationTransform(input_size=(240, 320), canonical=200.0, max_depth=10)
        sample = transform(frame_of(camera, 3.0), np.random.default_rng())
        height, width = sample["image"].shape[1:]
        assert abs(height / width * camera.width - camera.height) < 32 * camera.height / height
        assert height * width == pytest.approx(240 * 320, rel=0.15)
        shrink = (height * width / (camera.height * camera.width)) ** 0.5
        assert sample["scale"].item() == pytest.approx((camera.fx * camera.fy) ** 0.5 * shrink / 200, rel=1e-5)
        assert sample["depth"].shape == (1, camera.height, camera.width) and (sample["depth"] == 3).all()
