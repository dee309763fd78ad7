"""The doctor: one fault at a time in a healthy graph, in plain values; and a sick one over real DDS."""

import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image

from mono_depth_ros.ros.doctor import diagnose
from mono_depth_ros.ros.observation import CAMERA_INFO, COMPRESSED, IMAGE, Endpoint, Frame, Info, Observation, Topic
from test.conftest import REPOSITORY
from test.ros.harness import DOMAIN, make_image, make_info

KNOWN = ("rgb8", "bgr8", "mono8")
CAMERA, NODE, PLANNER = "/camera", "/depth_node", "/planner"
IMAGES = tuple(Frame(t, 0.03, "camera_optical_frame", 640, 480, "rgb8", 921_600) for t in (1.0, 2.0, 3.0))
INFOS = tuple(Info(t, "camera_optical_frame", 640, 480, 519.0) for t in (1.0, 2.0, 3.0))
HEALTHY = Observation(
    seconds=4.0,
    depth_node=NODE,
    nodes=(CAMERA, NODE, PLANNER),
    image=Topic("/image", (Endpoint(CAMERA, IMAGE, reliable=False),), (Endpoint(NODE, IMAGE, reliable=False),)),
    camera_info=Topic("/camera_info", (Endpoint(CAMERA, CAMERA_INFO),), (Endpoint(NODE, CAMERA_INFO, reliable=False),)),
    outputs=(Topic("/depth", (Endpoint(NODE, IMAGE),), (Endpoint(PLANNER, IMAGE),)),),
    image_topics=("/image",),
    info_topics=("/camera_info",),
    images=IMAGES,
    infos=INFOS,
    depths=tuple(replace(frame, age=0.12, encoding="32FC1") for frame in IMAGES),
)


def findings(**changes):
    return diagnose(replace(HEALTHY, **changes), KNOWN)


def only(is_error=True, **changes):
    """The one finding there is."""
    (finding,) = findings(**changes)
    assert finding.is_error == is_error and finding.fix
    return finding


def each(frames, **changes):
    return tuple(replace(frame, **changes) for frame in frames)


def test_a_healthy_graph_has_no_findings():
    assert findings() == []


def test_without_the_node_the_nodes_there_are_and_the_domain_are_named():
    finding = diagnose(Observation(4.0, domain=7, nodes=("/camera", "/rviz")), KNOWN)[0]
    assert "no depth_node in domain 7; nodes: /camera, /rviz" in finding.problem
    assert "ros2 launch mono_depth_ros depth.launch.py" in finding.fix


def test_a_node_that_is_not_active_is_to_be_activated():
    finding = only(image=None, camera_info=None, images=(), infos=(), depths=())
    assert "/depth_node takes no images" in finding.problem
    assert "ros2 lifecycle set /depth_node activate" in finding.fix


def test_two_nodes_of_one_name():
    assert "2 nodes are called /depth_node" in only(nodes=(CAMERA, NODE, NODE)).problem


def test_no_camera_and_the_topic_that_was_probably_meant():
    nobody = replace(HEALTHY.image, publishers=())
    gone = {"image": nobody, "images": (), "depths": ()}
    finding = only(**gone, image_topics=("/camera/image_raw", "/rear/image_raw"))
    assert "/image: no camera publishes it" in finding.problem
    assert finding.fix == "remap it: image:=/camera/image_raw (or /rear/image_raw)"
    assert "start the camera's driver" in only(**gone, image_topics=()).fix


def test_a_camera_that_sends_nothing():
    assert "/image: published by /camera, but no image came in 4 s" in only(images=(), depths=()).problem


def test_a_compressed_topic_in_place_of_a_raw_one():
    camera = Endpoint(CAMERA, COMPRESSED, reliable=False)
    finding = only(image=replace(HEALTHY.image, publishers=(camera,)))
    assert "expected sensor_msgs/msg/Image" in finding.problem and finding.fix == "compressed:=true"


def test_two_cameras_on_one_topic():
    finding = only(image=replace(HEALTHY.image, publishers=HEALTHY.image.publishers + (Endpoint("/bag", IMAGE),)))
    assert "2 publish it (/camera, /bag)" in finding.problem


def test_a_best_effort_camera_and_an_input_overridden_to_reliable():
    finding = only(image=replace(HEALTHY.image, subscriptions=(Endpoint(NODE, IMAGE, reliable=True),)))
    assert "/camera offers best effort, /depth_node asks for reliable" in finding.problem
    assert "qos_overrides./image.subscription.reliability: best_effort" in finding.fix


@pytest.mark.parametrize(
    ("publisher", "subscription", "problem", "fix"),
    [
        (Endpoint(NODE, IMAGE, reliable=False), Endpoint(PLANNER, IMAGE), "best effort, /planner asks for reliable",
         "qos_overrides./depth.publisher.reliability: reliable"),
        (Endpoint(NODE, IMAGE), Endpoint(PLANNER, IMAGE, transient_local=True),
         "volatile, /planner asks for transient local", "let /planner ask for volatile"),
    ],
)  # fmt: skip
def test_a_consumer_that_gets_nothing(publisher, subscription, problem, fix):
    finding = only(outputs=(Topic("/depth", (publisher,), (subscription,)),))
    assert problem in finding.problem and fix in finding.fix


def test_the_quarrels_of_others_are_not_ours():
    sick = Topic("/depth", (Endpoint(NODE, IMAGE), Endpoint("/x", IMAGE, reliable=False)), (Endpoint("/y", IMAGE),))
    assert findings(outputs=(sick,)) == []


def test_camera_info_is_missing():
    nobody = replace(HEALTHY.camera_info, publishers=())
    finding = only(camera_info=nobody, infos=(), info_topics=("/camera/camera_info",))
    assert "/camera_info: nobody publishes it" in finding.problem
    assert finding.fix == "remap it: camera_info:=/camera/camera_info"
    assert "cameracalibrator" in only(camera_info=nobody, infos=(), info_topics=()).fix
    assert "none came in 4 s" in only(infos=()).problem


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"width": 1280, "height": 720}, "/camera_info: is for 1280x720, the image is 640x480"),
        ({"fx": 0.0}, "K[0] is 0, the camera is not calibrated"),
        ({"problem": "R: found nonsense"}, "describes no camera: R: found nonsense"),
    ],
)
def test_camera_info_that_does_not_describe_the_camera(change, problem):
    assert problem in only(infos=each(INFOS, **change)).problem


def test_camera_info_with_stamps_of_its_own():
    apart = tuple(replace(info, stamp=info.stamp + 0.004) for info in INFOS)
    assert "no stamp of it is that of an image; 4.0 ms apart at best" in only(infos=apart).problem


@pytest.mark.parametrize(("fx", "view"), [(50.0, 162), (5000.0, 7)])
def test_a_focal_length_that_belongs_to_another_size_is_a_hint_about_scale(fx, view):
    assert f"a view of {view} degrees; depth scales with fx" in only(False, infos=each(INFOS, fx=fx)).problem


def test_encodings():
    assert "encoding '8UC4' is unknown" in only(images=each(IMAGES, encoding="8UC4")).problem
    finding = only(images=each(IMAGES, encoding="16UC1"), image_topics=("/image", "/camera/color"))
    assert "16UC1 is a depth image" in finding.problem and "image:=/camera/color" in finding.fix
    assert "no colour" in only(False, images=each(IMAGES, encoding="mono8")).problem


@pytest.mark.parametrize(
    ("age", "problem"), [(0.8, "images are 0.80 s old when they come"), (-2.0, "stamps are 2.00 s ahead")]
)
def test_images_that_are_older_or_younger_than_they_should_be(age, problem):
    changes = {"images": each(IMAGES, age=age), "depths": each(HEALTHY.depths, age=age + 0.1)}
    finding = only(**changes)
    assert problem in finding.problem and "synchronise the clocks" in finding.fix
    assert "use_sim_time" in only(**changes, sim_time=True).fix


def test_a_network_that_is_too_slow_is_told_from_a_camera_that_is():
    finding = only(depths=each(HEALTHY.depths, age=0.93))
    assert "depth comes 0.90 s after its image" in finding.problem and "input_size" in finding.fix


def test_images_without_stamp():
    changes = {"images": each(IMAGES, stamp=0.0, age=1.7e9), "depths": each(HEALTHY.depths, age=1.7e9)}
    assert "no stamp" in only(**changes, infos=each(INFOS, stamp=0.0)).problem


def test_the_missing_profile_is_wrong_for_large_images_and_a_hint_for_small_ones():
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" in only(profile=False).fix
    only(False, profile=False, images=each(IMAGES, size=100_000))
    assert "27 of 30 images got lost" in only(lost=27).problem


@pytest.mark.parametrize(
    ("frame_id", "is_error", "problem"),
    [("", True, "frame_id is empty"), ("camera_link", False, "'camera_link' has no _optical in its name")],
)
def test_frames_that_break_the_convention(frame_id, is_error, problem):
    named = {"images": IMAGES, "infos": INFOS, "depths": HEALTHY.depths}
    assert problem in only(is_error, **{k: each(v, frame_id=frame_id) for k, v in named.items()}).problem


def test_frames_that_differ():
    assert "frame_id 'lens', the image has" in only(False, infos=each(INFOS, frame_id="lens")).problem
    assert "somebody else publishes depth" in only(depths=each(HEALTHY.depths, frame_id="lens")).fix


def test_what_the_node_says_is_passed_on_and_errors_come_first():
    hint, error = each(IMAGES, encoding="mono8"), ("scan: the band is out of view",)
    first, second = findings(images=hint, statuses=error)
    assert "/depth_node says: scan: the band" in first.problem and not second.is_error


def doctor(*arguments):
    """Exit code and words of the command."""
    command = [sys.executable, "-m", "mono_depth_ros.cli", "doctor", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, env=os.environ | {"ROS_DOMAIN_ID": str(DOMAIN)},
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_sick_graph_over_dds(running, peer):
    """camera_info of another size, uncalibrated; a link frame; a consumer that asks for what is not offered."""
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    peer.node.create_subscription(Image, "depth", lambda _: None, latched)
    stop = threading.Event()

    def stream():
        while not stop.wait(0.1):
            info = make_info(640, 480, focal=0.0)
            peer.send(make_image(peer.node.get_clock().now().to_msg(), frame_id="camera_link"), info)

    camera = threading.Thread(target=stream)
    camera.start()
    try:
        code, said = doctor("--seconds", "3")
    finally:
        stop.set()
        camera.join()
    assert code == 1, said
    assert "/camera_info: K[0] is 0" in said
    assert "/camera_info: is for 640x480, the image is 320x240" in said
    assert "/depth: incompatible durability, nothing arrives: /depth_node offers volatile, /peer asks for" in said
    assert "'camera_link' has no _optical" in said
    assert "no camera publishes" not in said and "but no image came" not in said, said
