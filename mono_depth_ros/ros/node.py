"""The lifecycle node: what each transition opens and closes, and parameters that change."""

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from mono_depth_ros.ros import distributions, memory, parameters
from mono_depth_ros.ros.diagnostics import Reporter, Situation
from mono_depth_ros.ros.estimator import NodeEstimator
from mono_depth_ros.ros.outputs import Outputs
from mono_depth_ros.ros.problems import Problems
from mono_depth_ros.ros.statistics import Statistics
from mono_depth_ros.ros.stream import Stream

AREA = "node"
_SUCCESS, _FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class DepthNode(LifecycleNode):
    """Images in; depth, cloud, scan and preview of the newest image out.

    The constructor raises rclpy's ParameterException or ValueError for parameter values that cannot be.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("depth_node", **options)
        distributions.refuse_impossible_transitions(self)
        self.problems = Problems(warn=self._warn, error=self._error)
        self._settings = parameters.declare(self)
        distributions.on_parameters(self, self._check_settings, self._take_settings)
        self._statistics = Statistics()
        self._reporter = Reporter(self.get_fully_qualified_name(), self._statistics, self.problems)
        self._estimator: NodeEstimator | None = None
        self._outputs: Outputs | None = None
        self._stream: Stream | None = None
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # By the steady clock: when sim time stands still, that is what there is to report.
        self.create_timer(1.0, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def bring_up(self) -> None:
        """Configure and activate, unless a manager is to do that."""
        if self._settings.autostart and self.trigger_configure() == _SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check the parameters' names, load the checkpoint, make the publishers."""
        return self._attempt("configure", self._configure, self._clean_up)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the subscriptions and start the worker."""
        return self._attempt("activate", self._activate, self._deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the subscriptions and finish the frame in hand."""
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

    def close(self) -> None:
        """Stop and free what the transitions opened."""
        self._deactivate()
        self._clean_up()

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
        self._estimator = NodeEstimator(self._settings, self.problems)
        self._outputs = Outputs(self)
        facts = ", ".join(f"{name} {value}" for name, value in self._estimator.description().items())
        self.get_logger().info(f"configured: {facts}")

    def _activate(self) -> None:
        assert self._estimator and self._outputs
        self._statistics.forget_samples()
        self._stream = Stream(
            self, lambda: self._settings, self._estimator, self._outputs, self._statistics, self.problems
        )
        self._warn_of_unknown_names()
        self.get_logger().info(f"active: waiting for images on {self._stream.input.topic}")

    def _deactivate(self) -> None:
        if self._stream:
            self._stream.close()
        self._stream = None

    def _clean_up(self) -> None:
        if self._outputs:
            self._outputs.destroy()
        self._outputs = self._estimator = None
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

    def _report(self) -> None:
        situation = Situation(
            state=distributions.lifecycle_state(self),
            input=self._stream.input if self._stream else None,
            backend=self._estimator.description() if self._estimator else {},
            camera_info=self._stream.camera_info() if self._stream else {},
            subscribed=self._outputs.wanted() if self._outputs else (),
        )
        now = self.get_clock().now()
        report = DiagnosticArray(status=self._reporter.report(now.nanoseconds, situation, self._settings))
        report.header.stamp = now.to_msg()
        self._diagnostics.publish(report)

    def _warn(self, text: str) -> None:
        self.get_logger().warning(text)

    def _error(self, text: str) -> None:
        self.get_logger().error(text)
