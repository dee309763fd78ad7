"""What is wrong in a live graph around depth_node, and what mends it: pure judgements of one observation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from posixpath import commonpath
from statistics import median

from mono_depth_ros.ros import environment
from mono_depth_ros.ros.ages import cause_of_age
from mono_depth_ros.ros.observation import COMPRESSED, Endpoint, Info, Observation, Topic

_DEPTH_ENCODINGS = ("16UC1", "32FC1")
_NOTHING = "without a camera there is no metric depth (unless assume_lens is set)"
_CALIBRATE = (
    "calibrate: ros2 run camera_calibration cameracalibrator; give its file to the driver or to camera_info_url"
)
_OLD_IMAGE, _OLD_DEPTH = 0.3, 0.3  # seconds: from the stamp to here, and from the image to its depth
_LARGE = 500_000  # bytes: Fast DDS's default shared memory holds no more


@dataclass(frozen=True)
class Finding:
    """Something wrong, or worth a look, and what mends it."""

    problem: str
    fix: str
    is_error: bool = True

    def __str__(self) -> str:
        return f"{'WRONG' if self.is_error else 'HINT '}  {self.problem}\n       fix: {self.fix}"


def diagnose(seen: Observation, known_encodings: tuple[str, ...]) -> list[Finding]:
    """All findings, errors first. known_encodings: those that depth_node decodes."""
    findings = [finding for check in _CHECKS for finding in check(seen)]
    findings += _encoding(seen, known_encodings)
    return sorted(findings, key=lambda finding: not finding.is_error)


def _node(seen: Observation) -> Iterator[Finding]:
    if not seen.depth_node:
        others = ", ".join(seen.nodes) or "none at all"
        yield Finding(
            f"no depth_node in domain {seen.domain}; nodes: {others}",
            "ros2 launch mono_depth_ros depth.launch.py; elsewhere: the same ROS_DOMAIN_ID, "
            "ROS_AUTOMATIC_DISCOVERY_RANGE and RMW_IMPLEMENTATION here; under another name: --node NAME",
        )
        return
    if (count := seen.nodes.count(seen.depth_node)) > 1:
        text = f"{count} nodes are called {seen.depth_node}: their parameters, services and topics are mixed up"
        yield Finding(text, "stop all but one (a launch that was killed may have left one), or namespace:=NAME")
    if seen.image is None:
        name = seen.depth_node
        fix = f"ros2 lifecycle set {name} configure && ros2 lifecycle set {name} activate, or autostart: true"
        yield Finding(f"{name} takes no images: it is not active", f"{fix}; its log says why it failed, if it did")


def _camera(seen: Observation) -> Iterator[Finding]:
    topic = seen.image
    if topic is None:
        return
    if not topic.publishers:
        yield Finding(f"{topic.name}: no camera publishes it", _image_fix(seen, topic.name))
        return
    wanted = {end.type for end in topic.subscriptions if end.node == seen.depth_node}
    for end in topic.publishers:
        if wanted and end.type not in wanted:
            hint = f"remap image to a topic of {', '.join(wanted)}"
            if end.type == COMPRESSED:
                hint = f"remap image/compressed:={topic.name} with compressed:=true"
            yield Finding(f"{topic.name}: {end.node} publishes {end.type}, expected {', '.join(wanted)}", hint)
    if len(topic.publishers) > 1:
        names = ", ".join(end.node for end in topic.publishers)
        yield Finding(f"{topic.name}: {len(topic.publishers)} publish it ({names})", "stop all but one, or remap")
    if not seen.images:
        text = f"{topic.name}: published by {topic.publishers[0].node}, but no image came in {seen.seconds:.0f} s"
        fix = f"look at the driver's log; ros2 topic hz {topic.name}"
        if seen.in_container:
            fix += "; between containers: --ipc=host (or one /dev/shm for both) and --network=host"
        yield Finding(text, fix)


def _image_fix(seen: Observation, name: str) -> str:
    """Which of the other topics it probably is."""
    if f"{name}/compressed" in seen.image_topics:
        return "it is there compressed: compressed:=true"
    if name.endswith("/compressed") and name.removesuffix("/compressed") in seen.image_topics:
        return "it is there raw: compressed:=false, or image:= without /compressed"
    return _remap("image", seen.image_topics, name) or "start the camera's driver, in this ROS_DOMAIN_ID"


def _compatibility(seen: Observation) -> Iterator[Finding]:
    for topic in (seen.image, seen.camera_info, *seen.sensors, *seen.outputs):
        pairs = product(topic.publishers, topic.subscriptions) if topic else ()
        for publisher, subscription in pairs:
            ours = topic and seen.depth_node in (publisher.node, subscription.node)
            if topic and ours and not _otherwise(publisher, topic, subscription):
                for policy, offered, asked in _incompatible(publisher, subscription):
                    pair = f"{publisher.node} offers {offered}, {subscription.node} asks for {asked}"
                    fix = _agreed(seen.depth_node, topic, subscription, policy, offered)
                    yield Finding(f"{topic.name}: incompatible {policy}, nothing arrives: {pair}", fix)


def _otherwise(publisher: Endpoint, topic: Topic, subscription: Endpoint) -> bool:
    """Whether the node gets the publisher's messages by another subscription of its own."""
    others = (end for end in topic.subscriptions if end.node == subscription.node)
    return any(not list(_incompatible(publisher, other)) for other in others)


def _agreed(depth_node: str, topic: Topic, subscription: Endpoint, policy: str, offered: str) -> str:
    if policy == "durability":
        ours = f"set qos_overrides.{topic.name}.publisher.durability: transient_local, or "
        return f"{'' if subscription.node == depth_node else ours}let {subscription.node} ask for {offered}"
    if subscription.node == depth_node:
        return f"set qos_overrides.{topic.name}.subscription.reliability: best_effort (the default)"
    ours = f"set qos_overrides.{topic.name}.publisher.reliability: reliable (the default)"
    return f"{ours}, or let {subscription.node} ask for {offered}"


def _incompatible(publisher: Endpoint, subscription: Endpoint) -> Iterator[tuple[str, str, str]]:
    if subscription.reliable and not publisher.reliable:
        yield "reliability", "best effort", "reliable"
    if subscription.transient_local and not publisher.transient_local:
        yield "durability", "volatile", "transient local"


def _calibration(seen: Observation) -> Iterator[Finding]:
    topic = seen.camera_info
    if topic is None:
        return
    if not topic.publishers:
        near = seen.image.name if seen.image else topic.name
        fix = _remap("camera_info", seen.info_topics, near)
        fix = fix or "let the driver publish it, or set camera_info_url to its calibration file"
        yield Finding(f"{topic.name}: nobody publishes it; {_NOTHING}", fix)
    elif not seen.infos:
        text = f"{topic.name}: published by {topic.publishers[0].node}, but none came in {seen.seconds:.0f} s"
        yield Finding(f"{text}; {_NOTHING}", "publish it with each image, with its stamp")
    else:
        if len(topic.publishers) > 1:
            names = ", ".join(end.node for end in topic.publishers)
            fix = "stop all but one, or remap: the lens of an image is a matter of luck"
            yield Finding(f"{topic.name}: {len(topic.publishers)} publish it ({names})", fix)
        yield from _content_of(topic.name, seen.infos[-1])
        yield from _fit(topic.name, seen)


def _content_of(name: str, info: Info) -> Iterator[Finding]:
    if info.fx == 0:
        yield Finding(f"{name}: K[0] is 0, the camera is not calibrated; {_NOTHING}", _CALIBRATE)
    elif info.problem:
        fix = "mend that field in the driver or its calibration file; camera_info_url gives depth_node another"
        yield Finding(f"{name}: describes no camera: {info.problem}", fix)
    for doubt in info.doubts:
        is_error = not doubt.startswith("frame_id")
        fix = "let the driver publish the camera_info of what it streams; camera_info_url gives depth_node another"
        yield Finding(f"{name}: {doubt}", fix, is_error)


def _fit(name: str, seen: Observation) -> Iterator[Finding]:
    """Of camera_info to the images: the stamp."""
    images = seen.images
    if not images:
        return
    stamps = {frame.stamp for frame in images}
    if len(seen.infos) > 1 and not any(other.stamp in stamps for other in seen.infos):
        gap = min(abs(other.stamp - frame.stamp) for other in seen.infos for frame in images)
        text = f"{name}: no stamp of it is that of an image; {gap * 1e3:.1f} ms apart at best"
        yield Finding(
            text, "stamp both alike in the driver; exact synchronisers pair nothing, depth_node takes the last"
        )


def _encoding(seen: Observation, known: tuple[str, ...]) -> Iterator[Finding]:
    for encoding in sorted({frame.encoding for frame in seen.images if frame.encoding}):
        assert seen.image
        if encoding in _DEPTH_ENCODINGS:
            others = tuple(t for t in seen.image_topics if t != seen.image.name)
            fix = _remap("image", others, seen.image.name) or "remap image"
            yield Finding(f"{seen.image.name}: encoding {encoding} is a depth image, not a picture", fix)
        elif encoding not in known:
            yield Finding(f"{seen.image.name}: encoding {encoding!r} is unknown", f"let the driver send {known[0]}")
        elif encoding.startswith("mono"):
            text = f"{seen.image.name}: {encoding} has no colour; the network was trained on colours"
            yield Finding(text, "take the colour stream, if there is one", is_error=False)


def _time(seen: Observation) -> Iterator[Finding]:
    if not seen.images or seen.image is None:
        return
    age, name = median(frame.age for frame in seen.images), seen.image.name
    clock = "use_sim_time: true on both sides" if seen.sim_time else "measure both clocks (chronyc tracking)"
    if all(frame.stamp == 0 for frame in seen.images):
        yield Finding(f"{name}: images carry no stamp", "let the driver stamp them; tf and synchronisers need it")
    elif cause := cause_of_age(age, seen.now):
        yield Finding(f"{name}: stamps are {abs(age):.0f} s from this computer's clock", cause)
    elif age < -0.05:
        yield Finding(f"{name}: stamps are {-age:.2f} s ahead of this machine's clock", clock)
    elif age > _OLD_IMAGE:
        text = f"{name}: images are {age:.2f} s old when they come, expected at most {_OLD_IMAGE} s"
        yield Finding(
            text, f"{clock}; then look for a queue in the driver, or a network that is too slow for the images"
        )
    if seen.depths and (more := median(frame.age for frame in seen.depths) - age) > _OLD_DEPTH:
        text = f"depth comes {more:.2f} s after its image, expected at most {_OLD_DEPTH} s"
        fix = (
            "a smaller input_size, e.g. [240, 320]; mono-depth benchmark compares backends; threads, if others need CPU"
        )
        yield Finding(text, fix)


def _loss(seen: Observation) -> Iterator[Finding]:
    """Images that got lost on their way; what they need depends on the middleware."""
    if not seen.image or seen.lost <= 0.1 * (seen.lost + len(seen.images)):
        return
    text = f"{seen.image.name}: {seen.lost} of {seen.lost + len(seen.images)} images got lost on the way"
    fix = f"images of {seen.images[-1].size / 1e6:.1f} MB: look at {seen.middleware}'s buffers, and the network's"
    if "fastrtps" in seen.middleware and seen.images[-1].size > _LARGE:
        profile = environment.share_file(environment.PROFILE)
        settings = " ".join(f"{variable}={profile}" for variable in environment.PROFILE_VARIABLES)
        fix = f"export {settings} # before the camera's driver starts; is /dev/shm large enough?"
    yield Finding(text, fix)


def _traps(seen: Observation) -> Iterator[Finding]:
    """Of the shell or the container: errors where nothing arrives, else worth a look."""
    arrives = bool(seen.images) or seen.image is None or not seen.image.publishers
    for text, fix in seen.traps:
        yield Finding(text, fix, is_error=not arrives)


def _shared_outputs(seen: Observation) -> Iterator[Finding]:
    for topic in seen.outputs:
        if len(topic.publishers) > 1:
            names = ", ".join(end.node for end in topic.publishers)
            yield Finding(f"{topic.name}: {len(topic.publishers)} publish it ({names})", "remap all but one")


def _sensors(seen: Observation) -> Iterator[Finding]:
    """Of other sensors; what depth_node thinks of their messages, and that it misses a pose, is in its diagnostics."""
    for topic in seen.sensors:
        if not topic.publishers:
            kind = topic.subscriptions[0].type if topic.subscriptions else "its type"
            fix = f"start its driver, or remap {topic.name} to a topic of {kind}; see docs/anchors.md"
            yield Finding(f"{topic.name}: nobody publishes it, so it does not correct the depth", fix)


def _frames(seen: Observation) -> Iterator[Finding]:
    if not seen.images or seen.image is None:
        return
    frame_id, name = seen.images[-1].frame_id, seen.image.name
    if not frame_id:
        yield Finding(f"{name}: frame_id is empty", "set it in the driver, e.g. camera_optical_frame; tf needs it")
    elif "optical" not in frame_id and not any("optical" in depth.frame_id for depth in seen.depths):
        text = f"{name}: frame {frame_id!r} has no _optical in its name; depth and cloud are x right, y down, z forward"
        fix = "if it is x forward, name the optical frame in the driver (REP-103) or in frame_id; scan needs scan_frame"
        yield Finding(text, fix, is_error=frame_id.endswith("_link"))


def _own_diagnostics(seen: Observation) -> Iterator[Finding]:
    for text, is_error in seen.statuses:
        yield Finding(
            f"{seen.depth_node} says: {text}", "as it says; for the figures: ros2 topic echo /diagnostics", is_error
        )


def _remap(name: str, topics: tuple[str, ...], near: str) -> str:
    """How to remap to one of the topics, those in the same namespaces as `near` first; empty where there are none."""
    if not topics:
        return ""
    first, *rest = sorted(topics, key=lambda topic: -len(commonpath([topic, near])))
    others = f" (or {', '.join(rest[:3])})" if rest else ""
    return f"remap it: {name}:={first}{others}"


_CHECKS: tuple[Callable[[Observation], Iterator[Finding]], ...] = (
    _node, _camera, _compatibility, _calibration, _time, _loss, _traps, _shared_outputs, _sensors, _frames,
    _own_diagnostics,
)  # fmt: skip
