"""The doctor: one fault at a time in a healthy graph, in plain values; and a sick one over real DDS."""

import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from mono_depth_ros.ros.doctor import diagnose
from mono_depth_ros.ros.observation import CAMERA_INFO, COMPRESSED, IMAGE, Endpoint, Frame, Info, Observation, Topic
from test.conftest import REPOSITORY
from test.ros.harness import DOMAIN, FRAME_ID, DepthNode, Peer, make_image, make_info

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
    assert "expected sensor_msgs/msg/Image" in finding.problem and "image/compressed:=/image" in finding.fix


def test_two_cameras_on_one_topic():
    finding = only(image=replace(HEALTHY.image, publishers=HEALTHY.image.publishers + (Endpoint("/bag", IMAGE),)))
    assert "2 publish it (/camera, /bag)" in finding.problem


def test_two_camera_infos_on_one_topic():
    info = replace(HEALTHY.camera_info, publishers=HEALTHY.camera_info.publishers + (Endpoint("/rear", CAMERA_INFO),))
    assert "2 publish it (/camera, /rear)" in only(camera_info=info).problem


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


def test_a_node_that_also_asks_for_what_was_kept_has_no_quarrel_with_who_keeps_nothing():
    ends = (Endpoint(NODE, CAMERA_INFO, reliable=False), Endpoint(NODE, CAMERA_INFO, transient_local=True))
    assert findings(camera_info=replace(HEALTHY.camera_info, subscriptions=ends)) == []


def test_the_quarrels_of_others_are_not_ours():
    sick = Topic("/depth", (Endpoint(NODE, IMAGE), Endpoint("/x", IMAGE, reliable=False)), (Endpoint("/y", IMAGE),))
    assert "2 publish it" in only(outputs=(sick,)).problem  # and nothing of incompatible ends


def test_camera_info_is_missing():
    nobody = replace(HEALTHY.camera_info, publishers=())
    finding = only(camera_info=nobody, infos=(), info_topics=("/camera/camera_info",))
    assert "/camera_info: nobody publishes it" in finding.problem
    assert finding.fix == "remap it: camera_info:=/camera/camera_info"
    assert "camera_info_url" in only(camera_info=nobody, infos=(), info_topics=()).fix  # it may well be calibrated
    assert "none came in 4 s" in only(infos=()).problem


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"doubts": ("is for 1280x720, the image is 640x480",)}, "/camera_info: is for 1280x720, the image is 640x480"),
        ({"fx": 0.0}, "K[0] is 0, the camera is not calibrated"),
        ({"problem": "R: found nonsense"}, "describes no camera: R: found nonsense"),
    ],
)
def test_camera_info_that_does_not_describe_the_camera(change, problem):
    assert problem in only(infos=each(INFOS, **change)).problem


def test_camera_info_with_stamps_of_its_own():
    apart = tuple(replace(info, stamp=info.stamp + 0.004) for info in INFOS)
    assert "no stamp of it is that of an image; 4.0 ms apart at best" in only(infos=apart).problem


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
    assert problem in finding.problem and "measure both clocks" in finding.fix
    assert "use_sim_time" in only(**changes, sim_time=True).fix


def test_a_network_that_is_too_slow_is_told_from_a_camera_that_is():
    finding = only(depths=each(HEALTHY.depths, age=0.93))
    assert "depth comes 0.90 s after its image" in finding.problem and "input_size" in finding.fix


def test_images_without_stamp():
    changes = {"images": each(IMAGES, stamp=0.0, age=1.7e9), "depths": each(HEALTHY.depths, age=1.7e9)}
    assert "no stamp" in only(**changes, infos=each(INFOS, stamp=0.0)).problem


@pytest.mark.parametrize(
    ("age", "now", "cause"),
    [
        (40 * 86400.0, 1.7e9, "ros2 bag play --clock"),
        (1.7e9 - 300, 1.7e9, "count from the boot"),
        (-1.7e9, 12.0, "the clock is a simulation's"),
    ],
)
def test_stamps_of_another_time_are_not_laid_at_the_networks_door(age, now, cause):
    changes = {"images": each(IMAGES, age=age), "depths": each(HEALTHY.depths, age=age + 0.1), "now": now}
    finding = only(**changes)
    assert cause in finding.fix and "network" not in finding.fix and "chrony" not in finding.fix


@pytest.mark.parametrize(
    ("middleware", "size", "fix"),
    [
        ("rmw_fastrtps_cpp", 921_600, "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("rmw_fastrtps_cpp", 90_000, "rmw_fastrtps_cpp's buffers"),
        ("rmw_cyclonedds_cpp", 921_600, "rmw_cyclonedds_cpp's buffers"),
        ("rmw_zenoh_cpp", 921_600, "rmw_zenoh_cpp's buffers"),
    ],
)
def test_a_profile_is_advised_where_images_are_lost_that_it_would_save(middleware, size, fix):
    finding = only(lost=27, middleware=middleware, images=each(IMAGES, size=size))
    assert "27 of 30 images got lost" in finding.problem and fix in finding.fix


def test_traps_of_the_shell_are_errors_where_nothing_arrives_and_hints_where_it_does():
    traps = (("FASTRTPS_DEFAULT_PROFILES_FILE names /nowhere.xml", "correct it"),)
    assert "names /nowhere.xml" in only(False, traps=traps).problem
    found = findings(traps=traps, images=(), depths=(), in_container=True)
    assert {f.is_error for f in found} == {True} and any("--ipc=host" in f.fix for f in found)


def test_two_nodes_on_one_output():
    shared = Topic("/mavros/obstacle/send", (Endpoint("/front/depth_node", IMAGE), Endpoint("/rear/depth_node", IMAGE)))
    finding = only(outputs=(shared,))
    assert "2 publish it (/front/depth_node, /rear/depth_node)" in finding.problem and "remap" in finding.fix


def test_a_sensor_that_nobody_publishes_does_not_correct():
    scan = Topic("/anchors/scan", (), (Endpoint(NODE, "sensor_msgs/msg/LaserScan", reliable=False),))
    finding = only(sensors=(scan,))
    assert finding.problem == "/anchors/scan: nobody publishes it, so it does not correct the depth"
    assert "remap /anchors/scan to a topic of sensor_msgs/msg/LaserScan" in finding.fix
    assert findings(sensors=(replace(scan, publishers=(Endpoint("/lidar", "sensor_msgs/msg/LaserScan"),)),)) == []


def test_a_compressed_image_is_not_advised_in_a_circle():
    nobody = replace(HEALTHY.image, name="/cam/image", publishers=())
    gone = {"images": (), "depths": ()}
    assert "compressed:=true" in only(image=nobody, image_topics=("/cam/image/compressed",), **gone).fix
    nobody = replace(nobody, name="/cam/image/compressed")
    assert "compressed:=false" in only(image=nobody, image_topics=("/cam/image",), **gone).fix


def test_candidates_of_the_images_own_namespace_come_first():
    nobody = replace(HEALTHY.camera_info, name="/info", publishers=())
    image = replace(HEALTHY.image, name="/rear/cam/image_raw")
    topics = ("/front/cam/camera_info", "/rear/camera_info", "/rear/cam/camera_info")
    finding = only(image=image, camera_info=nobody, infos=(), info_topics=topics)
    assert finding.fix.startswith("remap it: camera_info:=/rear/cam/camera_info (or /rear/camera_info, /front/")


@pytest.mark.parametrize(
    ("frame_id", "is_error", "problem"),
    [
        ("", True, "frame_id is empty"),
        ("camera_link", True, "'camera_link' has no _optical in its name"),  # Gazebo's
        ("camera", False, "'camera' has no _optical in its name"),  # usb_cam's
    ],
)
def test_frames_that_break_the_convention(frame_id, is_error, problem):
    named = {"images": IMAGES, "infos": INFOS, "depths": HEALTHY.depths}
    assert problem in only(is_error, **{k: each(v, frame_id=frame_id) for k, v in named.items()}).problem


def test_frames_that_differ():
    doubt = "frame_id 'lens', the image has 'camera_optical_frame': perhaps of another camera"
    assert doubt in only(False, infos=each(INFOS, doubts=(doubt,))).problem
    named_by_frame_id = {"images": each(IMAGES, frame_id="camera"), "infos": each(INFOS, frame_id="camera")}
    assert not findings(**named_by_frame_id)


def test_what_the_node_says_is_passed_on_and_errors_come_first():
    hint, error = each(IMAGES, encoding="mono8"), (("scan: the band is out of view", True),)
    first, second = findings(images=hint, statuses=error)
    assert "/depth_node says: scan: the band" in first.problem and not second.is_error
    assert "95 % of the images" in only(False, statuses=(("95 % of the images", False),)).problem  # a warning


def test_the_remedy_for_lost_images_is_a_command_that_a_shell_takes():
    fix = only(lost=10, images=each(IMAGES, size=921_600)).fix
    done = subprocess.run(["sh", "-ec", f"{fix}\ntest -f $FASTRTPS_DEFAULT_PROFILES_FILE"], timeout=10)
    assert fix.startswith("export ") and done.returncode == 0


def doctor(*arguments):
    """Exit code and words of the command."""
    command = [sys.executable, "-m", "mono_depth_ros.cli", "doctor", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, env=os.environ | {"ROS_DOMAIN_ID": str(DOMAIN)},
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def while_streaming(peer, info, frame_id=FRAME_ID, centre=None):
    """What the doctor says, who must find something wrong, while the peer sends such camera_infos with its images."""
    stop = threading.Event()

    def stream():
        while not stop.wait(0.1):
            message = info()
            if centre:
                message.k[2], message.k[5] = centre
            peer.send(make_image(peer.node.get_clock().now().to_msg(), frame_id=frame_id), message)

    camera = threading.Thread(target=stream)
    camera.start()
    try:
        code, said = doctor("--seconds", "3")
    finally:
        stop.set()
        camera.join()
    assert code == 1, said
    return said


def test_a_sick_graph_over_dds(running, peer):
    """camera_info of another size, uncalibrated; a link frame; a consumer that asks for what is not offered."""
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    peer.node.create_subscription(Image, "depth", lambda _: None, latched)
    said = while_streaming(peer, lambda: make_info(640, 480, focal=0.0), "camera_link")
    assert "/camera_info: K[0] is 0" in said
    assert "/camera_info: is for 640x480, the image is 320x240" in said
    assert "/depth: incompatible durability, nothing arrives: /depth_node offers volatile, /peer asks for" in said
    assert "'camera_link' has no _optical" in said
    assert "no camera publishes" not in said and "but no image came" not in said, said


def test_intrinsics_that_cannot_be_this_cameras_are_said(running, peer):
    """What a simulator publishes whose camera was given another size; nothing else is wrong with it."""
    said = while_streaming(peer, lambda: make_info(focal=130.0), centre=(80.0, 60.0))
    assert "K: cx, cy = 80, 60, expected near the middle of 320x240; K is perhaps that of a picture of 160x120" in said


def test_node_and_doctor_say_the_same_of_a_rectified_image():
    with (
        Peer("image_rect") as peer,
        DepthNode("-r", "image:=image_rect") as node,
    ):
        node.expect_active()

        def other_size():
            info = make_info()
            info.p[0] = info.p[5] = 1.1 * info.k[0]
            return info

        said = while_streaming(peer, other_size)
        assert said.count("P is used, as the image is rectified") == 2 and "K is used" not in said


def test_of_several_nodes_each_is_examined_with_its_own_camera():
    names = ("/front/depth_node", "/rear/depth_node")
    remaps = ("-r", "image:=cam/image_raw")
    with Peer("/front/cam/image_raw", name=names[0]) as front, Peer("/rear/cam/image_raw", name=names[1]):
        infos = front.node.create_publisher(CameraInfo, "/front/cam/camera_info", 10)
        with DepthNode("-r", "__ns:=/front", *remaps) as one, DepthNode("-r", "__ns:=/rear", *remaps) as other:
            one.expect_active(), other.expect_active()
            infos.publish(make_info())
            code, said = doctor("--seconds", "2")
            assert code == 1
            assert "/front/depth_node: /front/cam/image_raw: published by /peer, but no image came" in said
            assert "/rear/depth_node: /rear/cam/camera_info: nobody publishes it" in said
            assert "image:=/front/depth" not in said and "/front/depth/camera_info" not in said
            assert "nodes are called" not in said
            code, said = doctor("--seconds", "2", "--node", "/front/depth_node")
            assert "/rear/cam" not in said
