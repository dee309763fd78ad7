"""The camera model: REP-104, scaling, rays, and rectification against independent projections."""

import dataclasses
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mono_depth_ros.camera import CameraModel, Rectifier, UncalibratedCameraError
from test.conftest import fuzz
from test.scenes import LENSES

K = (500.0, 0.0, 320.0, 0.0, 400.0, 240.0, 0.0, 0.0, 1.0)
P = (450.0, 0.0, 300.0, 0.0, 0.0, 360.0, 200.0, 0.0, 0.0, 0.0, 1.0, 0.0)
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
KINECT = LENSES["plumb_bob"].distortion

cameras = st.builds(
    CameraModel,
    width=st.integers(2, 80),
    height=st.integers(2, 80),
    fx=st.floats(20, 200),
    fy=st.floats(20, 200),
    cx=st.floats(-10, 90),
    cy=st.floats(-10, 90),
)


@given(cameras)
def test_rays_project_back_onto_their_pixels(camera):
    rays = camera.rays()
    assert rays.shape == (camera.height, camera.width, 2) and rays.dtype == np.float32
    points = np.dstack([rays, np.ones(rays.shape[:2])]).reshape(-1, 3)
    pixels = (points @ camera.matrix.T).reshape(camera.height, camera.width, 3)
    v, u = np.mgrid[: camera.height, : camera.width]
    np.testing.assert_allclose(pixels[..., 0], u, atol=1e-4)
    np.testing.assert_allclose(pixels[..., 1], v, atol=1e-4)


@given(cameras, st.integers(1, 4), st.integers(1, 4))
def test_resizing_up_leaves_the_rays_of_the_shared_pixels(camera, nx, ny):
    """ROS's plain scaling maps pixel (u, v) onto (nx u, ny v)."""
    large = camera.resized(nx * camera.width, ny * camera.height)
    np.testing.assert_allclose(large.rays()[::ny, ::nx], camera.rays(), atol=1e-5)


@given(cameras, st.data())
def test_a_crop_sees_the_same_rays_as_the_window_it_is_cut_from(camera, data):
    x = data.draw(st.integers(0, camera.width - 1))
    y = data.draw(st.integers(0, camera.height - 1))
    window = camera.cropped(x, y, camera.width - x, camera.height - y)
    np.testing.assert_allclose(window.rays(), camera.rays()[y:, x:], atol=1e-5)


def test_resizing_and_cropping_by_hand():
    camera = CameraModel(640, 480, 500.0, 400.0, 320.0, 240.0)
    assert camera.resized(320, 120) == CameraModel(320, 120, 250.0, 100.0, 160.0, 60.0)
    assert camera.cropped(20, 40, 100, 50) == CameraModel(100, 50, 500.0, 400.0, 300.0, 200.0)


@pytest.mark.parametrize("window", [(-1, 0, 10, 10), (0, 0, 641, 10), (600, 0, 41, 10), (0, 470, 10, 11)])
def test_a_crop_that_sticks_out_is_refused(window):
    with pytest.raises(ValueError, match="640x480"):
        CameraModel.nyu().cropped(*window)


def test_full_resolution_camera_info_gives_its_k():
    camera = CameraModel.from_camera_info(640, 480, K, [0.0] * 5, "plumb_bob", IDENTITY, [0.0] * 12, 0, 0, [0] * 5)
    assert (camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy) == (640, 480, 500, 400, 320, 240)
    assert not camera.is_distorted
    assert camera.rectified() == CameraModel(640, 480, 500.0, 400.0, 320.0, 240.0)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("plumb bob", "plumb_bob"),
        ("Plumb_Bob", "plumb_bob"),
        ("radtan", "plumb_bob"),
        ("Brown-Conrady", "plumb_bob"),
        ("rational polynomial", "rational_polynomial"),
        ("fisheye", "equidistant"),
        ("Fisheye", "equidistant"),
        ("kannala_brandt4", "equidistant"),
        ("Kannala-Brandt", "equidistant"),
        ("opencv_fisheye", "equidistant"),
    ],
)
@pytest.mark.parametrize("zeros", [0, 1, 4, 8])
def test_a_lens_is_known_by_its_other_names_and_with_zeros_behind_its_coefficients(name, model, zeros):
    d = {"plumb_bob": KINECT, "rational_polynomial": LENSES["rational_polynomial"].distortion}
    d = d.get(model, LENSES["equidistant"].distortion)
    camera = CameraModel.from_camera_info(640, 480, K, [*d, *[0.0] * zeros], name)
    assert camera.distortion_model == model
    expected = dataclasses.replace(camera, distortion=d)
    np.testing.assert_array_equal(Rectifier(camera).valid_mask, Rectifier(expected).valid_mask)
    picture = np.random.default_rng(0).integers(0, 256, (480, 640), np.uint8)
    np.testing.assert_array_equal(Rectifier(camera).rectify(picture), Rectifier(expected).rectify(picture))


@pytest.mark.parametrize(
    "name", ["Inverse Brown Conrady", "modified_brown_conrady", "ftheta", "mei", "double_sphere", ""]
)
def test_a_lens_of_another_kind_is_not_taken_for_a_known_one(name):
    with pytest.raises(ValueError, match="distortion_model: found"):
        CameraModel.from_camera_info(640, 480, K, KINECT, name)
    assert not CameraModel.from_camera_info(640, 480, K, [0.0] * 5, name).is_distorted


def test_coefficients_that_a_model_does_not_have_are_not_dropped():
    with pytest.raises(ValueError, match="found 8 values, expected 4 or 5"):
        CameraModel.from_camera_info(640, 480, K, [*KINECT, 0.0, 0.0, 0.1], "plumb_bob")


def test_an_image_that_came_rectified_has_p_even_without_distortion():
    """REP-104: P is the rectified image's; a stereo pair's raw images differ from it by R alone."""
    camera = CameraModel.from_camera_info(640, 480, K, [0.0] * 5, "plumb_bob", IDENTITY, P)
    assert camera.of_rectified_image() == CameraModel(640, 480, 450.0, 360.0, 300.0, 200.0)
    assert camera.rectified() == CameraModel(640, 480, 500.0, 400.0, 320.0, 240.0)
    assert CameraModel.from_camera_info(640, 480, K).of_rectified_image().fx == 500.0


def test_roi_is_cut_before_binning():
    """REP-104: K is of the full resolution; cx = (320 - 100) / 2, cy = (240 - 60) / 3, and so for P."""
    roi = (100, 60, 400, 300, True)
    camera = CameraModel.from_camera_info(640, 480, K, KINECT, "plumb_bob", IDENTITY, P, 2, 3, roi)
    assert (camera.width, camera.height) == (200, 100)
    assert (camera.fx, camera.cx) == (250.0, 110.0)
    assert (camera.fy, camera.cy) == pytest.approx((400 / 3, 60.0))
    pinhole = camera.rectified()
    assert (pinhole.fx, pinhole.cx) == (225.0, 100.0)
    assert (pinhole.fy, pinhole.cy) == pytest.approx((120.0, 140 / 3))


def test_binning_drops_the_odd_last_column():
    camera = CameraModel.from_camera_info(641, 481, K, binning_x=2, binning_y=2)
    assert (camera.width, camera.height, camera.fx, camera.cx) == (320, 240, 250.0, 160.0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"k": K[:8]}, "K: found 8 values, expected 9"),
        ({"k": (math.nan, *K[1:])}, "K.*finite"),
        ({"k": (500, 0, 0, 0, 400, 0, 320, 240, 1)}, "K: .*row by row"),  # column by column
        ({"k": (-500, *K[1:])}, "fx, fy: found -500"),
        ({"k": (*K[:4], 0.0, *K[5:])}, "fx, fy"),
        ({"width": 0}, "width: found 0"),
        ({"height": -480}, "height: found -480"),
        ({"d": (0.1, 0.2, 0.3), "distortion_model": "plumb_bob"}, "distortion .*found 3 values, expected 4 or 5"),
        ({"d": (0.1, math.inf, 0, 0, 0), "distortion_model": "plumb_bob"}, "plumb_bob.*finite"),
        ({"d": (math.nan, 0, 0, 0, 0), "distortion_model": "plumb_bob"}, "plumb_bob.*finite"),
        ({"d": KINECT, "distortion_model": "barrel"}, "'barrel', expected one of plumb_bob"),
        ({"r": (2.0, *IDENTITY[1:])}, "R: .*rotation"),
        ({"p": P[:11]}, "P: found 11 values"),
        ({"p": (math.nan, *P[1:])}, "P.*finite"),
        ({"p": (-1.0, *P[1:])}, "P.* fx, fy"),
        ({"roi": (600, 0, 100, 100, False)}, "window"),
        ({"binning_x": 641}, "width: found 0"),
    ],
)
def test_a_camera_info_that_is_no_camera_is_refused_by_name(change, named):
    with pytest.raises(ValueError, match=named):
        CameraModel.from_camera_info(**({"width": 640, "height": 480, "k": K} | change))


def test_k0_of_zero_is_an_uncalibrated_camera():
    with pytest.raises(UncalibratedCameraError, match="uncalibrated"):
        CameraModel.from_camera_info(640, 480, [0.0] * 9)


finite_or_not = st.floats(allow_nan=True, allow_infinity=True)


@fuzz(500)
@given(
    st.integers(-1, 200),
    st.integers(-1, 200),
    st.one_of(st.lists(finite_or_not, min_size=8, max_size=9), st.just(K)),
    st.one_of(
        st.lists(finite_or_not, max_size=9), *(st.lists(st.floats(-9, 9), min_size=n, max_size=n) for n in (4, 5, 8))
    ),
    st.sampled_from(["", "plumb_bob", "rational_polynomial", "equidistant", "magic"]),
    st.one_of(st.lists(finite_or_not, min_size=12, max_size=12), st.just(P), st.just(())),
    st.one_of(st.lists(st.integers(0, 100), min_size=5, max_size=5), st.just((0, 0, 0, 0, False))),
)
def test_any_camera_info_is_a_sound_camera_or_a_value_error(width, height, k, d, model, p, roi):
    try:
        camera = CameraModel.from_camera_info(width, height, k, d, model, IDENTITY, p, 0, 0, roi)
    except ValueError:
        return
    pinhole = camera.rectified()
    assert pinhole.width > 0 and pinhole.height > 0 and not pinhole.is_distorted
    assert np.isfinite(pinhole.matrix).all() and pinhole.fx > 0 and pinhole.fy > 0
    if width * height < 10_000:
        assert Rectifier(camera).rectify(np.zeros((camera.height, camera.width), np.uint8)).max() == 0


def test_yaml_of_a_real_camera(real_frames):
    camera = CameraModel.from_yaml(real_frames / "tum_fr1_rpy" / "camera.yaml")
    assert (camera.width, camera.height) == (640, 480)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (517.3, 516.5, 318.6, 255.3)
    assert camera.is_distorted and camera.distortion_model == "plumb_bob" and camera.distortion == KINECT
    assert not CameraModel.from_yaml(real_frames / "hololens_office" / "camera.yaml").is_distorted


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("image_width: 640\nimage_height: 480\n", "'camera_matrix'.*expected a camera_calibration file"),
        ("- 1\n- 2\n", "expected a camera_calibration file"),
        ("", "expected a camera_calibration file"),
        ("a: [", "not YAML"),
    ],
)
def test_a_yaml_that_is_no_calibration_is_named(tmp_path, text, named):
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=named) as raised:
        CameraModel.from_yaml(path)
    assert "camera.yaml" in str(raised.value)


def test_a_distorted_camera_has_no_rays():
    camera = CameraModel(640, 480, 500.0, 500.0, 320.0, 240.0, "plumb_bob", KINECT)
    with pytest.raises(ValueError, match="rectify it first"):
        camera.rays()


def see(camera: CameraModel, points: np.ndarray) -> np.ndarray:
    """Pixels (N, 2) at which a camera sees points (N, 3): OpenCV's projection, which the maps do not go through."""
    project = cv2.fisheye.projectPoints if camera.distortion_model == "equidistant" else cv2.projectPoints
    at_origin = (np.zeros(3), np.zeros(3), camera.matrix, np.array(camera.distortion))
    return project(points.reshape(-1, 1, 3), *at_origin)[0].reshape(-1, 2)


@pytest.mark.parametrize("lens", [lens for lens in LENSES if lens != "pinhole"])
def test_rectified_pixels_come_from_where_the_lens_projects_their_rays(lens):
    """An image whose value is its own raw pixel coordinate, rectified, must say where projectPoints puts the ray."""
    camera = LENSES[lens]
    rectifier = Rectifier(camera)
    v, u = np.mgrid[: camera.height, : camera.width].astype(np.float32)
    source = rectifier.rectify(np.dstack([u, v]))
    rays = rectifier.camera.rays().astype(np.float64)
    expected = see(camera, np.dstack([rays, np.ones(rays.shape[:2])])).reshape(camera.height, camera.width, 2)
    valid = rectifier.valid_mask
    assert valid.mean() > 0.9
    # remap works in 1/32 of a pixel
    assert np.abs(source - expected)[valid].max() < 0.04


@pytest.mark.parametrize("lens", list(LENSES))
def test_pixels_of_the_raw_image_are_found_in_the_rectified_one(lens):
    rectifier = Rectifier(LENSES[lens])
    pinhole = rectifier.camera
    v, u = np.mgrid[0 : pinhole.height : 20, 0 : pinhole.width : 20].reshape(2, -1).astype(np.float64)
    rays = np.stack([(u - pinhole.cx) / pinhole.fx, (v - pinhole.cy) / pinhole.fy, np.ones_like(u)], axis=-1)
    raw = see(LENSES[lens], rays)
    found = rectifier.points(raw[..., 0], raw[..., 1])
    inside = rectifier.valid_mask[v.astype(int), u.astype(int)]
    assert inside.sum() > 50
    np.testing.assert_allclose(np.stack(found, axis=-1)[inside], np.stack([u, v], axis=-1)[inside], atol=0.6)


def test_the_mask_is_false_exactly_where_the_lens_saw_nothing():
    camera = LENSES["plumb_bob"]
    rectifier = Rectifier(camera)
    rays = rectifier.camera.rays().astype(np.float64)
    u, v = see(camera, np.dstack([rays, np.ones(rays.shape[:2])])).reshape(camera.height, camera.width, 2).T
    beyond = np.maximum.reduce([-u, u - 639, -v, v - 479]).T
    assert rectifier.valid_mask[beyond < 0.02].all()
    assert (beyond > 0.05).any() and not rectifier.valid_mask[beyond > 0.05].any()


def test_a_polynomial_that_folds_back_is_masked_where_it_folds():
    """With k1 = -0.3 the distorted radius r (1 - 0.3 r^2) turns back at r = 1 / sqrt(0.9) = 1.054.

    Beyond r = 1 / sqrt(0.3) = 1.83, in the corners, it is negative: the scene again, turned by 180 degrees.
    """
    camera = CameraModel(400, 400, 150.0, 150.0, 200.0, 200.0, "plumb_bob", (-0.3, 0.0, 0.0, 0.0))
    rectifier = Rectifier(camera)
    radius = np.hypot(*np.moveaxis(rectifier.camera.rays(), -1, 0))
    step = 1.5 / 150
    assert rectifier.valid_mask[radius < 1.054 - step].all()
    assert not rectifier.valid_mask[radius > 1.054 + step].any()


def test_an_undistorted_image_passes_through_untouched():
    camera = CameraModel.from_camera_info(640, 480, K, [0.0] * 5, "plumb_bob", IDENTITY, P)
    rectifier = Rectifier(camera)
    image = np.zeros((480, 640, 3), np.uint8)
    assert rectifier.rectify(image) is image
    assert rectifier.valid_mask.all()
    assert (rectifier.camera.fx, rectifier.camera.cx) == (500.0, 320.0)


@pytest.mark.parametrize("lens", ["plumb_bob", "equidistant"])
def test_the_calibrations_projection_and_rotation_are_used(lens):
    """As image_proc: a ray of P's pinhole, turned back by R, is where the raw camera looks."""
    rotation = cv2.Rodrigues(np.array([0.01, -0.02, 0.005]))[0]
    d = LENSES[lens].distortion
    camera = CameraModel.from_camera_info(640, 480, K, d, lens, rotation.ravel().tolist(), P)
    rectifier = Rectifier(camera)
    assert (rectifier.camera.fx, rectifier.camera.fy) == (450.0, 360.0)
    assert (rectifier.camera.cx, rectifier.camera.cy) == (300.0, 200.0)
    v, u = np.mgrid[:480, :640].astype(np.float32)
    source = rectifier.rectify(np.dstack([u, v]))[200, 300]  # P's own axis
    np.testing.assert_allclose(source, see(camera, rotation.T @ [0.0, 0.0, 1.0])[0], atol=0.04)


def test_a_fisheye_pinhole_ends_at_the_nearest_edge_of_the_image():
    """Ideal fisheye, f = 400: the nearest edge, 240 px, is 0.6 rad off the axis, and stays the edge."""
    camera = CameraModel(640, 481, 400.0, 400.0, 320.0, 240.0, "equidistant", (1e-9, 0.0, 0.0, 0.0))
    pinhole = camera.rectified()
    assert pinhole.fx == pinhole.fy == pytest.approx(240 / math.tan(0.6), rel=1e-4)
    assert (pinhole.cx, pinhole.cy) == (320.0, 240.0)
    assert Rectifier(camera).valid_mask.all()


def test_a_very_wide_fisheye_keeps_110_degrees():
    """Ideal fisheye, f = 200, which sees 183 degrees across: 320 px of the pinhole are 55 degrees."""
    camera = CameraModel(641, 481, 200.0, 200.0, 320.0, 240.0, "equidistant", (1e-9, 0.0, 0.0, 0.0))
    assert camera.rectified().fx == pytest.approx(320 / math.tan(math.radians(55)), rel=1e-4)
    assert Rectifier(camera).valid_mask.all()


def test_an_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match="found 320x240, expected the camera's 640x480"):
        Rectifier(LENSES["plumb_bob"]).rectify(np.zeros((240, 320), np.uint8))


def test_labels_are_not_blended():
    camera = LENSES["barrel"]
    image = np.where(np.indices((480, 640)).sum(0) % 7 < 3, 10, 200).astype(np.uint8)
    assert set(np.unique(Rectifier(camera).rectify(image, cv2.INTER_NEAREST))) <= {0, 10, 200}


def test_resizing_a_distorted_camera_rectifies_to_the_same_rays():
    """Distortion lives in normalised coordinates: halving the image halves the source pixels and nothing else."""
    camera = dataclasses.replace(LENSES["plumb_bob"], projection=(500.0, 500.0, 320.0, 240.0))
    small = camera.resized(320, 240)
    assert small.distortion == camera.distortion
    np.testing.assert_allclose(small.rectified().rays(), camera.rectified().rays()[::2, ::2], atol=1e-6)


def test_memory_that_fits_is_written_into_and_other_memory_is_left_alone():
    rectifier = Rectifier(LENSES["plumb_bob"])
    image = np.random.default_rng(3).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    expected = rectifier.rectify(image)
    fits, other = np.empty_like(image), np.zeros((240, 320, 3), np.uint8)
    assert rectifier.rectify(image, out=fits) is fits
    np.testing.assert_array_equal(fits, expected)
    np.testing.assert_array_equal(rectifier.rectify(image, out=other), expected)
    assert not other.any()
