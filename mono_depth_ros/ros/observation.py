"""What the doctor judges by: a live graph as seen for some seconds, in plain values."""

from dataclasses import dataclass

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
# Of the topics that correct the depth.
SENSORS = (
    "sensor_msgs/msg/Range",
    "sensor_msgs/msg/LaserScan",
    "sensor_msgs/msg/PointCloud2",
    "nav_msgs/msg/Odometry",
)


@dataclass(frozen=True)
class Endpoint:
    """A publisher or a subscription: its node's full name, the message type, and what it offers or asks for."""

    node: str
    type: str
    reliable: bool = True
    transient_local: bool = False


@dataclass(frozen=True)
class Topic:
    """A topic and its ends."""

    name: str
    publishers: tuple[Endpoint, ...] = ()
    subscriptions: tuple[Endpoint, ...] = ()


@dataclass(frozen=True)
class Frame:
    """An image that came: stamp and age on arrival in seconds; compressed, it has no encoding, damaged, no size."""

    stamp: float
    age: float
    frame_id: str
    width: int = 0
    height: int = 0
    encoding: str = ""
    size: int = 0  # bytes


@dataclass(frozen=True)
class Info:
    """A camera_info that came. problem: why it describes no camera, "" where it does. doubts: what looks wrong."""

    stamp: float
    frame_id: str
    width: int
    height: int
    fx: float
    problem: str = ""
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observation:
    """What was seen in `seconds`; None and empty where there was nothing.

    depth_node: its full name. image, camera_info: the topics it takes. sensors: those that correct its depth. outputs:
    those it publishes. image_topics, info_topics: all topics of these types that others publish. images, infos, depths:
    what came. lost: images that were published but never came. statuses: what is wrong by depth_node's own diagnostics,
    and whether it is an error. traps: what in this shell or container keeps messages from arriving, and what mends it.
    in_container: whether this is one. middleware: the RMW. sim_time: whether a simulator's clock runs. now: seconds by
    the clock that ages are held against.
    """

    seconds: float
    domain: int = 0
    depth_node: str = ""
    nodes: tuple[str, ...] = ()
    image: Topic | None = None
    camera_info: Topic | None = None
    sensors: tuple[Topic, ...] = ()
    outputs: tuple[Topic, ...] = ()
    image_topics: tuple[str, ...] = ()
    info_topics: tuple[str, ...] = ()
    images: tuple[Frame, ...] = ()
    infos: tuple[Info, ...] = ()
    depths: tuple[Frame, ...] = ()
    lost: int = 0
    statuses: tuple[tuple[str, bool], ...] = ()
    traps: tuple[tuple[str, str], ...] = ()
    in_container: bool = False
    middleware: str = "rmw_fastrtps_cpp"
    sim_time: bool = False
    now: float | None = None
