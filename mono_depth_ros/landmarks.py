"""Landmarks: corners tracked while the camera moves, triangulated with its known motion, as anchors of depth.

A corner that is seen from two places lies where the two lines of sight meet. Odometry says how far apart the places
are, so the distance is metric without any depth sensor. Landmarks stay in the odometry frame for some seconds: a robot
that stands still, or turns, still knows what it passed. What is remembered was measured; the network's depth never is.
"""

from collections import Counter

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.fusion import Anchors

# A view is worth adding where the camera has moved by this share of the landmark's distance, or by so many metres.
_STEP, _SMALLEST_STEP = 0.02, 0.05
# Views of a landmark that is believed. Where two edges cross that are not at one distance, the crossing moves as no
# corner does; two views of it always meet somewhere, three seldom do.
_VIEWS = 3
# Pixels: a track returns to where it began, and stays as near to its epipolar line and to its landmark.
_ROUND_TRIP, _OFF_LINE, _OFF_LANDMARK = 1.0, 1.5, 2.0
# Standard deviation of ln depth beyond which a landmark says nothing that the network does not know better.
_WORTHLESS = 0.25
# Pixels between corners, and of the patch that is tracked, at a width of 640.
_SPACING, _PATCH = 14, 15
# Share by which the network's depth may be wrong, where it says where to look for a corner; no anchor is made of it.
_GUESS = 0.3
# Fewer tracks than this do not correct the camera's orientation, nor prove a pose wrong.
_FEW = 8
# What odometry's orientation counts beside the image's: enough that errors of landmarks and of turns, which make one
# another, do not drift away together.
_TRUST = 0.3
# Radians of correction beyond which it is no longer odometry's noise: then the pose is not believed.
_LARGEST_TURN = 0.007
# Metres and seconds between two images beyond which the poses are those of another journey.
_JUMP, _PAUSE = 1.0, 1.0

_LANDMARK = np.dtype(
    [
        ("pixel", "f4", 2),  # where it is in the last image
        ("ray", "f8", 3),  # direction in which it was first seen, in the odometry frame
        ("origin", "f8", 3),  # where it was first seen from
        ("guess", "f8", 3),  # where the network saw it then
        ("from", "f8", 3),  # where its last view was added from
        ("information", "f8", (3, 3)),  # sum of (I - b b^T) over its views, b the direction of view
        ("moment", "f8", 3),  # sum of (I - b b^T) c, c the camera's place
        ("views", "i4"),
        ("seen", "f8"),  # seconds
    ]
)


class Landmarks:
    """Tracks corners from image to image and says how far they are.

    Args:
        corners: tracked at once, at most; as many again are remembered.
        memory: seconds for which a landmark is kept that is not tracked any more.
        pixel_sigma: pixels, standard deviation of a tracked corner.
        place_sigma: metres, standard deviation of the camera's place from one view to the next.
        odometry_sigma: share of the distance travelled by which odometry is wrong.

    Attributes:
        dropped: how many tracks and landmarks were given up so far, by reason.
    """

    _tracked: NDArray
    _remembered: NDArray
    _last: tuple[NDArray[np.uint8], CameraModel, NDArray[np.float64], float] | None

    def __init__(
        self,
        corners: int = 300,
        memory: float = 5.0,
        pixel_sigma: float = 0.7,
        place_sigma: float = 0.005,
        odometry_sigma: float = 0.02,
    ) -> None:
        self.corners, self.memory = corners, memory
        self.pixel_sigma, self.place_sigma, self.odometry_sigma = pixel_sigma, place_sigma, odometry_sigma
        self.dropped: Counter[str] = Counter()
        self._forget()

    def update(
        self,
        gray: NDArray[np.uint8],
        depth: NDArray[np.float32],
        camera: CameraModel,
        pose: NDArray[np.float64],
        stamp: float,
        valid: NDArray[np.bool_] | None = None,
    ) -> Anchors:
        """Take in one image and give the landmarks that lie in it.

        Args:
            gray: (H, W) uint8, rectified.
            depth: (H, W) float32, metres, as the network sees it: only to know where to look for a corner next.
            camera: of the image, a pinhole.
            pose: (4, 4) float64, from the camera's optical frame to the odometry frame, metres, at ``stamp``.
            stamp: seconds; must grow.
            valid: (H, W), where the image has a source; None is everywhere.

        Returns:
            Anchors: pixels, metres along the optical axis, standard deviation of ln depth.

        Raises ValueError for an image that is not the camera's, or a pose that is none.
        """
        _check(gray, camera, pose)
        if self._is_another_journey(camera, pose, stamp):
            self._forget()
        self._track(gray, camera, pose)
        turn = self._turn_that_the_image_asks_for(camera, pose)
        pose = _turned(pose, turn)
        off = ~self._moved_as_the_camera(camera, pose)
        # Where most corners moved otherwise than the camera is said to have, it is the pose that is doubtful.
        is_believed = np.linalg.norm(turn) < _LARGEST_TURN and np.count_nonzero(off) <= max(0.5 * len(off), _FEW)
        self._give_up(off)
        if is_believed:
            self._add_views(camera, pose, stamp)
            self._give_up(~self._near_their_landmark(camera, pose))
        else:
            self.dropped["images that contradict their pose"] += 1
        if len(self._tracked) < 0.7 * self.corners:
            self._find_corners(gray, depth, camera, pose, stamp, valid)
        self._remembered = self._remembered[stamp - self._remembered["seen"] < self.memory][-self.corners :]
        self._last = (gray, camera, pose, stamp)
        known = np.concatenate((self._tracked, self._remembered))
        return self._anchors(known if is_believed else known[:0], camera, pose)

    def _forget(self) -> None:
        self._tracked = np.zeros(0, _LANDMARK)
        self._remembered = np.zeros(0, _LANDMARK)
        self._last = None

    def _is_another_journey(self, camera: CameraModel, pose: NDArray[np.float64], stamp: float) -> bool:
        if self._last is None:
            return False
        _, camera_before, pose_before, before = self._last
        travelled = np.linalg.norm(pose[:3, 3] - pose_before[:3, 3])
        return bool(camera != camera_before or not 0 < stamp - before < _PAUSE or travelled > _JUMP)

    def _track(self, gray: NDArray[np.uint8], camera: CameraModel, pose: NDArray[np.float64]) -> None:
        """Follow the corners into this image, there and back again (pyramidal Lucas-Kanade).

        The search begins where a corner would be, had the network been right about its distance.
        """
        if not self._last or not len(self._tracked):
            return
        before = self._last[0]
        start = self._tracked["pixel"].copy()
        likely, in_front = _projected(_likely_places(self._tracked, self.pixel_sigma / camera.fx), camera, pose)
        guess = np.where((in_front > 0)[:, None], likely, start).astype(np.float32)
        there, found = _followed(before, gray, start, guess, self._patch(camera))
        back, returned = _followed(gray, before, there, start.copy(), self._patch(camera))
        good = found & returned
        good &= np.linalg.norm(back - start, axis=1) < _ROUND_TRIP
        good &= _inside(there, camera, self._patch(camera)[0] // 2)
        self._tracked["pixel"] = there
        self.dropped["lost from sight"] += int(np.count_nonzero(~good))
        self._remembered = np.concatenate((self._remembered, self._tracked[~good]))
        self._tracked = self._tracked[good]

    def _turn_that_the_image_asks_for(self, camera: CameraModel, pose: NDArray[np.float64]) -> NDArray[np.float64]:
        """(3,) axis times angle, in the odometry frame, after which most corners are where their landmarks appear.

        A tenth of a degree is a pixel: odometry's orientation and its clock are seldom that exact. Its translation is
        what makes landmarks metric, and is kept. Least squares over small turns, re-weighted (Huber).
        """
        known = self._tracked[self._tracked["views"] >= _VIEWS]
        turn = np.zeros(3)
        if len(known) < _FEW:
            return turn
        seen = _rays(known["pixel"], camera, pose)
        place = _places(known) - pose[:3, 3]
        expected = place / np.linalg.norm(place, axis=1, keepdims=True)
        for _ in range(4):
            now = expected @ cv2.Rodrigues(turn)[0].T
            residual = seen - now
            error = np.linalg.norm(residual, axis=1) * camera.fx
            weight = 1 / np.maximum(error, max(1.0, float(np.median(error))))
            weight /= weight.sum()
            lever = -np.cross(now[:, None, :], np.eye(3)).transpose(0, 2, 1)  # a small turn w moves a ray r by w x r
            normal = np.einsum("n,nij,nik->jk", weight, lever, lever) + _TRUST * np.eye(3)
            turn += np.linalg.solve(normal, np.einsum("n,nij,ni->j", weight, lever, residual) - _TRUST * turn)
        return -turn  # rays that must turn one way are a camera that turns the other

    def _give_up(self, wrong: NDArray[np.bool_]) -> None:
        self.dropped["not of the resting scene"] += int(np.count_nonzero(wrong))
        self._tracked = self._tracked[~wrong]

    def _moved_as_the_camera(self, camera: CameraModel, pose: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each track lies on the epipolar line that its first ray draws here: what moves by itself does not."""
        epipole = (self._tracked["origin"] - pose[:3, 3]) @ pose[:3, :3]
        line = np.cross(epipole, self._tracked["ray"] @ pose[:3, :3]) @ np.linalg.inv(camera.matrix)
        distance = np.abs(np.sum(line * _homogeneous(self._tracked["pixel"]), axis=1))
        distance /= np.maximum(np.linalg.norm(line[:, :2], axis=1), 1e-12)
        # Without a baseline there is no line, and nothing to be off.
        return (distance < _OFF_LINE) | (np.linalg.norm(epipole, axis=1) < _SMALLEST_STEP)

    def _add_views(self, camera: CameraModel, pose: NDArray[np.float64], stamp: float) -> None:
        """Add this image's lines of sight to the landmarks that the camera has moved enough for."""
        tracks = self._tracked
        if not len(tracks):
            return
        tracks["seen"] = stamp
        place = pose[:3, 3]
        near = np.linalg.norm(_places(tracks) - place, axis=1)
        step = np.maximum(_STEP * np.where(tracks["views"] > 1, near, 0), _SMALLEST_STEP)
        due = np.linalg.norm(tracks["from"] - place, axis=1) > step
        _add_view(tracks, due, _rays(tracks["pixel"], camera, pose), place)

    def _near_their_landmark(self, camera: CameraModel, pose: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each track is where its landmark appears from here; a landmark of one view has no place yet."""
        seen, depth = _projected(_places(self._tracked), camera, pose)
        error = np.linalg.norm(seen - self._tracked["pixel"], axis=1)
        known = self._tracked["views"] > 1
        if not known.any():
            return ~known
        typical = 1.4826 * np.median(error[known])
        return ~known | ((error < max(_OFF_LANDMARK, 3 * typical)) & (depth > 0))

    def _find_corners(
        self,
        gray: NDArray[np.uint8],
        depth: NDArray[np.float32],
        camera: CameraModel,
        pose: NDArray[np.float64],
        stamp: float,
        valid: NDArray[np.bool_] | None,
    ) -> None:
        """Begin new tracks between those that there are (Shi-Tomasi)."""
        spacing = max(3, round(_SPACING * camera.width / 640))
        free = np.asarray(np.full(gray.shape, 255, np.uint8))
        if valid is not None:  # The rim of what was rectified is no corner of the scene.
            around = np.ones((2 * spacing + 1, 2 * spacing + 1), np.uint8)
            free = np.asarray(cv2.erode(valid.astype(np.uint8) * 255, around, borderValue=0), np.uint8)
        for x, y in self._tracked["pixel"]:
            cv2.circle(free, (round(float(x)), round(float(y))), spacing, 0, cv2.FILLED)
        found = cv2.goodFeaturesToTrack(gray, self.corners - len(self._tracked), 0.01, spacing, mask=free)
        if found is None:
            return
        pixels = found.reshape(-1, 2)
        pixels = pixels[_inside(pixels, camera, self._patch(camera)[0] // 2)]
        new = np.zeros(len(pixels), _LANDMARK)
        new["pixel"], new["seen"] = pixels, stamp
        new["ray"], new["origin"] = _rays(pixels, camera, pose), pose[:3, 3]
        column, row = np.rint(pixels).astype(int).T
        along = depth[row, column] / (new["ray"] @ pose[:3, 2])
        new["guess"] = new["origin"] + new["ray"] * along[:, None]
        _add_view(new, np.ones(len(new), bool), new["ray"], pose[:3, 3])
        self._tracked = np.concatenate((self._tracked, new))

    def _anchors(self, landmarks: NDArray, camera: CameraModel, pose: NDArray[np.float64]) -> Anchors:
        """Those in view whose distance is known well enough."""
        known = landmarks[landmarks["views"] >= _VIEWS]
        places = _places(known)
        pixels, depth = _projected(places, camera, pose)
        sigma = self._sigma(known, places, depth, camera, pose)
        good = (depth > 0) & (sigma < _WORTHLESS) & _inside(pixels, camera, 0)
        return Anchors(u=pixels[good, 0], v=pixels[good, 1], depth=depth[good], sigma=sigma[good])

    def _sigma(
        self,
        landmarks: NDArray,
        places: NDArray[np.float64],
        depth: NDArray[np.float64],
        camera: CameraModel,
        pose: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Standard deviation of ln depth: of the triangulation, of odometry's scale, and of its drift since then.

        The landmark's covariance is that of a line of sight, (r sigma_pixel / f)^2 + sigma_place^2 at its distance r,
        times the inverse of its information.
        """
        axis = pose[:3, 2]
        spread = np.einsum("i,nij,j->n", axis, np.linalg.inv(landmarks["information"]), axis)
        away = np.linalg.norm(places - pose[:3, 3], axis=1)
        across = (away * self.pixel_sigma / camera.fx) ** 2 + self.place_sigma**2
        drift = self.odometry_sigma * np.linalg.norm(landmarks["from"] - pose[:3, 3], axis=1)
        variance = (across * np.maximum(spread, 0) + drift**2) / np.maximum(depth, 1e-3) ** 2
        return np.sqrt(variance + self.odometry_sigma**2)

    def _patch(self, camera: CameraModel) -> tuple[int, int]:
        side = max(7, round(_PATCH * camera.width / 640)) | 1
        return side, side


def _followed(
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    start: NDArray[np.float32],
    guess: NDArray[np.float32],
    patch: tuple[int, int],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where corners (N, 2) of one image are in another, searched from a guess; and whether each was found."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        start,
        guess,
        winSize=patch,
        maxLevel=3,
        criteria=(cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 12, 0.02),
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(there, np.float32), np.asarray(found).ravel().astype(bool)


def _check(gray: NDArray, camera: CameraModel, pose: NDArray) -> None:
    if gray.shape != (camera.height, camera.width) or gray.dtype != np.uint8:
        raise ValueError(
            f"image: found {gray.dtype} of shape {gray.shape}, expected uint8 {(camera.height, camera.width)}"
        )
    if pose.shape != (4, 4) or not np.isfinite(pose).all() or not is_rotation(pose[:3, :3]):
        raise ValueError(f"pose: found {pose.tolist()}, expected a rotation and a translation (4, 4)")


def is_rotation(matrix: NDArray[np.float64]) -> bool:
    """Whether a (3, 3) turns and does nothing else."""
    return np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-4) and np.linalg.det(matrix) > 0


def _turned(pose: NDArray[np.float64], turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """The pose after a turn about its own place, (3,) axis times angle."""
    turned = pose.copy()
    turned[:3, :3] = cv2.Rodrigues(turn)[0] @ pose[:3, :3]
    return turned


def _add_view(
    landmarks: NDArray, due: NDArray[np.bool_], rays: NDArray[np.float64], place: NDArray[np.float64]
) -> None:
    """Add lines of sight (N, 3) from a place (3,) to those landmarks that are due; in place."""
    across = np.eye(3) - rays[:, :, None] * rays[:, None, :]
    landmarks["information"][due] += across[due]
    landmarks["moment"][due] += across[due] @ place
    landmarks["from"][due] = place
    landmarks["views"][due] += 1


def _places(landmarks: NDArray) -> NDArray[np.float64]:
    """(N, 3) the points nearest to all lines of sight, least squares, in the odometry frame."""
    tiny = 1e-9 * np.eye(3)  # One view says nothing of the distance: then the point is anywhere, but finite.
    return np.linalg.solve(landmarks["information"] + tiny, landmarks["moment"][..., None])[..., 0]


def _likely_places(landmarks: NDArray, angle: float) -> NDArray[np.float64]:
    """(N, 3) the same, with the network's guess of the distance counted for what it is worth.

    ``angle`` is the standard deviation of a line of sight, radians: information is counted in its inverse square.
    """
    ray = landmarks["ray"]
    along = (angle / _GUESS) ** 2 * ray[:, :, None] * ray[:, None, :]
    moment = landmarks["moment"] + np.einsum("nij,nj->ni", along, landmarks["guess"])
    return np.linalg.solve(landmarks["information"] + along, moment[..., None])[..., 0]


def _rays(pixels: NDArray, camera: CameraModel, pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) unit vectors in the odometry frame, from the camera through pixels (N, 2)."""
    rays = _homogeneous(pixels) @ np.linalg.inv(camera.matrix).T @ pose[:3, :3].T
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _projected(
    places: NDArray[np.float64], camera: CameraModel, pose: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixels (N, 2) and depth (N,) of points (N, 3) of the odometry frame; pixels mean nothing behind the camera."""
    points = (places - pose[:3, 3]) @ pose[:3, :3]
    return _dehomogenised(points @ camera.matrix.T), points[:, 2]


def _homogeneous(pixels: NDArray) -> NDArray[np.float64]:
    return np.column_stack((pixels.astype(np.float64), np.ones(len(pixels))))


def _dehomogenised(points: NDArray[np.float64]) -> NDArray[np.float64]:
    scale = points[:, 2:]
    return points[:, :2] / np.where(np.abs(scale) < 1e-9, 1e-9, scale)


def _inside(pixels: NDArray, camera: CameraModel, margin: int) -> NDArray[np.bool_]:
    size = np.array([camera.width - 1, camera.height - 1])
    return np.all((pixels >= margin) & (pixels <= size - margin), axis=1)
