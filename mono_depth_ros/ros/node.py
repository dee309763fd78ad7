"""The lifecycle node: what each transition opens and closes, and parameters that change."""

import threading
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool

from mono_depth_ros.ros import calibration, distributions, memory, parameters
from mono_depth_ros.ros.anchors import AnchorInputs
from mono_depth_ros.ros.bond import Bond
from mono_depth_ros.ros.cameras import Cameras
from mono_depth_ros.ros.composer import Composer
from mono_depth_ros.ros.diagnostics import Reporter, Situation
from mono_depth_ros.ros.estimator import NodeEstimator
from mono_depth_ros.ros.frames import Tree
from mono_depth_ros.ros.images import Decoder, decoders
from mono_depth_ros.ros.journal import Journal
from mono_depth_ros.ros.orientation import Orientation
from mono_depth_ros.ros.outputs import Outputs
from mono_depth_ros.ros.pipeline import Pipeline
from mono_depth_ros.ros.problems import Problems
from mono_depth_ros.ros.statistics import Statistics
from mono_depth_ros.ros.stream import Stream
from mono_depth_ros.ros.topics import camera_info_topic, image_topic

AREA = "node"
_LONGEST_LOAD = 300.0  # seconds; TensorRT builds its engine in minutes
_SUCCESS, _FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
_Result = TypeVar("_Result")


class DepthNode(LifecycleNode):
    """Images in; depth, cloud, scan and preview of the newest image out.

    The constructor raises rclpy's ParameterException or ValueError for parameter values that cannot be.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("depth_node", **options)
        distributions.refuse_impossible_transitions(self)
        self.problems = Problems(warn=self._warn, error=self._error)
        self._journal = Journal(Statistics(), self.problems)
        self._settings = parameters.declare(self)
        distributions.on_parameters(self, self._check_settings, self._take_settings)
        self._reporter = Reporter(self.get_fully_qualified_name(), *self._journal)
        self._cameras: Cameras | None = None  # stays: a camera_info that is sent once holds for all transitions
        self._estimator: NodeEstimator | None = None
        self._outputs: Outputs | None = None
        self._tree = Tree(self)
        self._orientation: Orientation | None = None
        self._anchors: AnchorInputs | None = None
        self._stream: Stream | None = None
        self._bond = Bond(self) if Bond.is_known() and not self._settings.autostart else None  # with who manages it
        self._left: Stream | None = None  # the one before, with a frame that did not end
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._enabled = True
        self.create_service(SetBool, "~/set_enabled", self._set_enabled)
        self._ended = threading.Event()
        self._reporting = threading.Thread(target=self._report_each_second, name="diagnostics", daemon=True)
        self._reporting.start()

    def bring_up(self) -> None:
        """Configure and activate, unless a manager is to do that."""
        if self._settings.autostart and self.trigger_configure() == _SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check the parameters' names, load the checkpoint, make the publishers."""
        return self._attempt("configure", self._configure, self._clean_up)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the subscriptions and start the worker; who is managed says that it lives."""
        if self._enabled:
            result = self._attempt("activate", self._activate, self._deactivate)
        else:
            self.get_logger().info("active, but no images are taken: set_enabled says so")
            result = _SUCCESS
        if self._bond and result == _SUCCESS:
            self._bond.form()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the subscriptions and finish the frame in hand; one that does not end is left to itself."""
        if self._bond:
            self._bond.end()
        self._deactivate()
        return _SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take the topics back and free the network's memory."""
        self._clean_up()
        return _SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, from any state."""
        self.close()
        return _SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, so that the node can be configured anew."""
        self.close()
        return _SUCCESS

    def close(self) -> bool:
        """Stop and free what the transitions opened; False where a frame did not end."""
        if self._bond:
            self._bond.end()
        self._deactivate()
        ended = self._left is None or not self._left.is_busy()
        self._clean_up()
        return ended

    def destroy_node(self) -> None:
        """End the diagnostics, then everything else."""
        self._ended.set()
        self._reporting.join(2)
        super().destroy_node()

    def _attempt(self, name: str, transition: Callable[[], None], undo: Callable[[], None]) -> TransitionCallbackReturn:
        """Make an error of any kind, which rclpy would swallow, a message in the log and FAILURE."""
        self.problems.clear(AREA, name)
        try:
            transition()
        except Exception as error:
            undo()
            self.problems.stand(AREA, name, f"cannot {name}: {type(error).__name__}: {error}", is_error=True)
            return _FAILURE
        return _SUCCESS

    def _configure(self) -> None:
        self._refuse_misspelt_names()
        settings = self._settings
        topic, _ = image_topic(self, settings.compressed)
        self._cameras = self._cameras or Cameras(camera_info_topic(self, topic), self.problems)
        self._cameras.calibrate(calibration.load(settings.camera_info_url) if settings.camera_info_url else None)
        self._estimator = within(_LONGEST_LOAD, lambda: NodeEstimator(settings, self.problems))
        self._outputs = Outputs(self)
        facts = ", ".join(f"{name} {value}" for name, value in self._estimator.description().items())
        self.get_logger().info(f"configured: {facts}")

    def _activate(self) -> None:
        assert self._estimator and self._outputs and self._cameras
        if self._left and self._left.is_busy():
            raise RuntimeError("the backend has not ended the last frame yet; clean up and configure to start another")
        self._left = None
        self.problems.clear("backend", "left")
        topic, is_compressed = image_topic(self, self._settings.compressed)
        self._cameras.start(topic)
        self._orientation = Orientation(self, self._tree, self._settings.scan_attitude)
        self._anchors = AnchorInputs(self, self._settings, self._estimator.prior(), self._tree, self.problems)
        composer = Composer(self._orientation, self.problems)
        decoder = Decoder(topic, self.problems)
        pipeline = Pipeline(decoder, self._cameras, self._estimator, self._anchors.correct, composer)
        self._stream = Stream(self, lambda: self._settings, pipeline, self._outputs, self._journal)
        self._warn_of_unknown_names()
        self.get_logger().info(f"active: waiting for images on {topic}, decoded by {decoders(is_compressed)}")
        self.get_logger().info(f"the images are taken for {self._stream.taken_for()}; image_is says otherwise")

    def _deactivate(self) -> None:
        if self._stream and not self._stream.close():
            self._left = self._stream
            seconds, stage = self._stream.input.busy_seconds(), self._stream.input.stage()
            text = f"a frame has been in work for {seconds:.0f} s, in {stage}, and did not end; it is left to itself"
            self.problems.stand("backend", "left", text, is_error=True)
        self._journal.statistics.forget_samples()
        for opened in (self._orientation, self._anchors, self._tree):
            if opened:
                opened.close()
        self._stream = self._orientation = self._anchors = None

    def _clean_up(self) -> None:
        outputs, self._outputs = self._outputs, None  # diagnostics ask no publisher that is being closed
        if outputs:
            outputs.destroy()
        self._estimator = self._left = None
        memory.give_back()

    def _refuse_misspelt_names(self) -> None:
        """Raise ValueError for a name that is nearly a parameter's; it was meant to change how the robot behaves."""
        misspelt = {name: meant for name, meant in parameters.unknown_names(self).items() if meant}
        if misspelt:
            raise ValueError("; ".join(f"parameter {name} does not exist, {m} does" for name, m in misspelt.items()))

    def _warn_of_unknown_names(self) -> None:
        """Say which names nobody declared, once all topics' QoS overrides are; a shared file may mean other nodes."""
        if unknown := parameters.unknown_names(self):
            text = f"parameters that do not exist were given and are not used: {', '.join(unknown)}"
            self.problems.stand(AREA, "unknown parameters", text)

    def _check_settings(self, changes: list[Parameter]) -> SetParametersResult:
        """Accept a set of changes as a whole, or refuse it with the reason."""
        try:
            settings = self._settings.changed({change.name: change.value for change in changes})
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        fixed = self._settings.fixed_changes(settings)
        if fixed and self._estimator:
            reason = f"{', '.join(fixed)}: found a change while configured; clean up first, then set and configure"
            return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    def _take_settings(self, changes: list[Parameter]) -> None:
        self._settings = self._settings.changed({change.name: change.value for change in changes})

    def _report_each_second(self) -> None:
        """Publish the diagnostics, whatever a transition or a frame is doing, and whether time stands or not."""
        while not self._ended.wait(1.0):
            try:
                self._report()
            except Exception:
                if not self._ended.is_set():
                    self._error(f"no diagnostics: {traceback.format_exc()}")

    def _report(self) -> None:
        stream, outputs, estimator, anchors = self._stream, self._outputs, self._estimator, self._anchors
        situation = Situation(
            state=distributions.lifecycle_state(self) + ("" if self._enabled else ", disabled"),
            input=stream.input if stream else None,
            backend=estimator.description() if estimator else {},
            camera_info=stream.camera_info() if stream else {},
            anchors=anchors.facts() if anchors else {},
            subscribed=outputs.wanted() if outputs else (),
            shared=outputs.shared() if outputs else {},
        )
        now = self.get_clock().now()
        report = DiagnosticArray(status=self._reporter.report(now.nanoseconds, situation, self._settings))
        report.header.stamp = now.to_msg()
        self._diagnostics.publish(report)

    def _set_enabled(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Depth on demand: close the subscriptions, or open them again, while the node stays active and loaded."""
        self._enabled, response.success = request.data, True
        if distributions.lifecycle_state(self) == "active":
            if not request.data:
                self._deactivate()
            elif not self._stream:
                response.success = self._attempt("activate", self._activate, self._deactivate) == _SUCCESS
        response.message = "images are taken while the node is active" if request.data else "no images are taken"
        return response

    def _warn(self, text: str) -> None:
        self.get_logger().warning(text)

    def _error(self, text: str) -> None:
        self.get_logger().error(text)


def within(limit: float, make: Callable[[], _Result]) -> _Result:
    """What `make` returns or raises, if it ends in so many seconds; else TimeoutError, and it is left to itself."""
    results: list[_Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(make())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="load", daemon=True)
    thread.start()
    thread.join(limit)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"not done in {limit:.0f} s")
    return results[0]
