"""The quality of service of every topic (REP-2003), and the right of a launch file to override it.

Pass OVERRIDABLE as `qos_overriding_options` wherever one of these profiles is used: it declares the read-only
parameters `qos_overrides.<topic>.<publisher|subscription>.<history|depth|reliability|durability>`.
"""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions


def _keep_last(
    depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy = DurabilityPolicy.VOLATILE
) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)


# One frame deep: an older frame still in the queue is of no use. Best effort also matches reliable publishers.
IMAGE_INPUT = _keep_last(1, ReliabilityPolicy.BEST_EFFORT)
# Deeper than the image: each image looks for the camera_info of its own stamp.
CAMERA_INFO_INPUT = _keep_last(5, ReliabilityPolicy.BEST_EFFORT)
# What was sent once, before we came. Only for publishers that keep it: the others would be warned of us.
KEPT_CAMERA_INFO = _keep_last(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
IMU_INPUT = _keep_last(1, ReliabilityPolicy.BEST_EFFORT)
# Anchors: the message nearest to the image's stamp is looked for, which need not be the last.
SENSOR_INPUT = _keep_last(10, ReliabilityPolicy.BEST_EFFORT)
# Reliable matches every subscriber; a best-effort publisher is invisible to the defaults of RViz and depth_image_proc.
OUTPUT = _keep_last(5, ReliabilityPolicy.RELIABLE)

OVERRIDABLE = QoSOverridingOptions(
    (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY)
)
