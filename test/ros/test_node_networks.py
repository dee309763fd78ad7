"""Any network in the node, over real DDS: each kind of output gives metres, or none are published."""

import array

import numpy as np
import pytest
from sensor_msgs.msg import PointCloud2

from test.ros.harness import DepthNode, Peer, depth_of, make_image, make_info, wait_until
from test.ros.test_node_anchors import FOCAL, HEIGHT, HERE, WIDTH, cloud, points_of, publisher, robot

pytest.importorskip("torch")
pytest.importorskip("onnx")
from test.networks import picture, sealed_of  # noqa: E402

RGB, METRES = picture(HEIGHT, WIDTH)


def send(peer: Peer, before=lambda header: None) -> tuple[int, int]:
    """Send the picture whose colours are its metres; `before` gets its header."""
    image = make_image(peer.stamp(), WIDTH, HEIGHT)
    image.data = array.array("B", RGB.tobytes())
    before(image.header)
    return peer.send(image, make_info(WIDTH, HEIGHT, FOCAL))


@pytest.mark.parametrize("kind", ["metres", "log-metres"])
def test_a_metric_network_gives_its_metres(tmp_path, kind):
    with robot(checkpoint=str(sealed_of(tmp_path, kind).path)) as (peer, _):
        stamp = send(peer)
        wait_until(lambda: peer.depths, lambda: f"depth of {stamp}: {peer.counts()}")
        np.testing.assert_allclose(depth_of(peer.depths[-1]), METRES, rtol=0.05)


@pytest.mark.parametrize("kind", ["relative", "disparity"])
def test_a_network_without_metres_gets_them_from_a_sensor(tmp_path, kind):
    """Without its cloud no depth is published, and it is said why; with it, from the first frame on."""
    checkpoint = str(sealed_of(tmp_path, kind).path)
    with robot(checkpoint=checkpoint, anchor_points=True, anchor_points_pose=HERE) as (peer, sensors):
        out = publisher(sensors, PointCloud2, "anchors/points")
        send(peer)
        peer.expect_status("backend", b"\x02", f"output is {kind}, without a scale", "found 0 depths that are known")
        peer.expect_counts(failed=1)
        send(peer, lambda header: out.publish(cloud(header, points_of(METRES, 1.0))))
        wait_until(lambda: peer.depths, lambda: f"depth: {peer.counts()}")
        np.testing.assert_allclose(depth_of(peer.depths[-1]), METRES, rtol=0.05)


def test_a_network_without_metres_is_refused_where_no_sensor_is_named(tmp_path):
    with DepthNode(checkpoint=str(sealed_of(tmp_path, "disparity").path)) as node:
        node.expect_log("cannot configure: CheckpointError")
        node.expect_log("its output is disparity, without a scale; expected one whose output is metres, or a sensor")
