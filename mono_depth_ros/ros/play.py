"""`mono-depth play`: a bag in, the same bag with depth, cloud and scan out; every frame, as fast as it goes."""

from collections import Counter
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from rclpy.serialization import deserialize_message, serialize_message
from rosbags.interfaces import Connection, ConnectionExtRosbag2
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tqdm import tqdm

from mono_depth_ros.backends import BackendError
from mono_depth_ros.fusion import NO_ANCHORS, in_metres
from mono_depth_ros.io import ImageError, SourceError, bag
from mono_depth_ros.io.topics import looks_rectified
from mono_depth_ros.prediction import Prediction
from mono_depth_ros.ros.cameras import Cameras
from mono_depth_ros.ros.composer import Composer
from mono_depth_ros.ros.estimator import NodeEstimator
from mono_depth_ros.ros.images import Decoder
from mono_depth_ros.ros.orientation import Orientation, Turn
from mono_depth_ros.ros.outputs import CAMERA_INFO, DEPTH, POINTS, SCAN, TYPES
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.pipeline import Dropped, Pipeline
from mono_depth_ros.ros.problems import Problems
from mono_depth_ros.ros.statistics import Laps

DEFAULT_OUTPUTS = (DEPTH, CAMERA_INFO, POINTS, SCAN)
# Parameters that have the node listen to other sensors.
_SENSORS = ("anchor_points", "anchor_range", "anchor_scan", "landmarks", "odometry")


@dataclass
class Played:
    """What became of a bag's images.

    Attributes:
        images: how many there were.
        written: messages by output.
        faults: images of which nothing came, by reason.
    """

    images: int = 0
    written: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


class Player:
    """Plays the images of one topic through the node's own pipeline, without a graph and its clock."""

    def __init__(self, source: Path, settings: Settings, report: Callable[[str], Any]) -> None:
        """Load the network and find the camera. Raises SourceError, ValueError and what the estimator raises."""
        if asked := [name for name in _SENSORS if getattr(settings, name)]:
            raise ValueError(f"{', '.join(asked)}: found true, expected false: a bag is played without other sensors")
        self._source, self._reader = source, bag.open_bag(source)
        self.image = bag.color_topic(self._reader)
        problems = Problems(warn=report, error=report)
        self._cameras = Cameras(bag.info_topic(self._reader, self.image) or "camera_info", problems)
        self._cameras.start(self.image)
        composer = Composer(_AsGiven(), problems)
        estimator = NodeEstimator(settings, problems)
        decoder = Decoder(self.image, problems)
        self._pipeline = Pipeline(decoder, self._cameras, estimator, _without_sensors, composer)
        self._settings = settings.changed({"camera_info_timeout": 0.0})
        self._rectified = settings.image_is == "rectified" or (
            settings.image_is == "auto" and looks_rectified(self.image)[0]
        )
        self.description = estimator.description()

    def play(self, target: Path, wanted: Collection[str], namespace: str, played: Played) -> None:
        """Write the new bag. Raises SourceError where it cannot be begun, or the old one ends in damage."""
        names = {output: f"/{namespace.strip('/')}/{output}".replace("//", "/") for output in wanted}
        taken = sorted({c.topic for c in self._reader.connections} & set(names.values()))
        if taken:
            raise SourceError(f"the bag has {', '.join(taken)} already; name another --namespace for the new topics")
        if target.exists():
            raise SourceError(f"{target}: is there already; name another bag to write")
        infos = self._camera_infos()
        with closing(self._reader), Writer(target, version=9, storage_plugin=_storage(self._source)) as writer:
            copies = {c.id: _copied(writer, c) for c in self._reader.connections}
            store = get_typestore(Stores.ROS2_JAZZY)
            outputs = {o: writer.add_connection(names[o], _type_name(TYPES[o]), typestore=store) for o in wanted}
            messages = tqdm(self._reader.messages(), total=self._reader.message_count, unit=" messages")
            for connection, time, data in messages:
                writer.write(copies[connection.id], time, data)
                if connection.topic == self.image:
                    for output, message in self._made_of(connection, data, infos, wanted, played).items():
                        writer.write(outputs[output], time, serialize_message(message))
                        played.written[output] += 1

    def _made_of(
        self, connection: Connection, data: bytes, infos: dict[int, CameraInfo], wanted: Collection[str], played: Played
    ) -> dict[str, Any]:
        played.images += 1
        try:
            image = deserialize_message(
                bytes(data), Image if connection.msgtype.endswith("/Image") else CompressedImage
            )
            if info := infos.get(_nanoseconds(image.header)):
                self._cameras.receive(info)
            laps = Laps(perf_counter())
            return self._pipeline.run(image, self._rectified, self._settings, wanted, laps).messages
        except (Dropped, ImageError, BackendError) as error:
            played.faults[str(error)] += 1
            return {}

    def _camera_infos(self) -> dict[int, CameraInfo]:
        """By stamp. The first is received at once: an image before it is of the same camera."""
        topic = bag.info_topic(self._reader, self.image)
        if topic is None:
            return {}
        connections = [c for c in self._reader.connections if c.topic == topic]
        found = [deserialize_message(bytes(data), CameraInfo) for _, _, data in self._reader.messages(connections)]
        self._cameras.receive(found[0])
        return {_nanoseconds(info.header): info for info in found}


def _without_sensors(prediction: Prediction, *_: Any) -> Prediction:
    """The prediction itself. Raises `NotMetricError`."""
    return in_metres(prediction, NO_ANCHORS)


class _AsGiven(Orientation):
    """How the camera is turned, by the parameters alone: a bag is no graph."""

    def __init__(self) -> None:
        pass

    def of_camera(self, header: Header, frame: str, settings: Settings) -> tuple[Turn, str]:
        """Nobody is asked."""
        return Turn(settings.scan_roll, settings.scan_pitch, settings.scan_yaw), ""


def _copied(writer: Writer, connection: Connection) -> Connection:
    """The connection in the new bag, with its type as it was recorded, known here or not."""
    ext = connection.ext
    assert isinstance(ext, ConnectionExtRosbag2)
    return writer.add_connection(
        connection.topic,
        connection.msgtype,
        msgdef=connection.msgdef.data,
        rihs01=connection.digest,
        serialization_format=ext.serialization_format,
        offered_qos_profiles=ext.offered_qos_profiles,
    )


def _storage(source: Path) -> StoragePlugin:
    """That of the old bag."""
    return StoragePlugin.SQLITE3 if any(source.glob("*.db3")) else StoragePlugin.MCAP


def _type_name(kind: type) -> str:
    return f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"


def _nanoseconds(header: Header) -> int:
    return header.stamp.sec * 10**9 + header.stamp.nanosec
