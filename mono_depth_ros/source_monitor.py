"""Which sources of anchors are trusted: one that may be wrong corrects nothing until it has proved itself.

One frame cannot tell a wrong sensor from a wrong network, whose scale is off by a fifth in many views. What tells them
apart is time. The network's scale drifts from view to view and seldom jumps; a right sensor follows what moves in the
image, while one that is frozen or late follows nothing, or an earlier image; and one that looks elsewhere fits better
to the side. Two sources that agree with one another tell at once: then it is the network that is off. A source is
judged before its anchors are used, so that a fault is left out in its first frame.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations

import cv2
import numpy as np

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.fusion import Anchors, Prior, innovation, screened
from mono_depth_ros.prediction import Prediction

# Normalised innovation, and difference in ln depth, beyond which a frame's anchors are implausible at once.
_IMPLAUSIBLE, _FAR = 2.55, 0.7
# In ln depth: a jump from one frame to the next; a mean difference that is no view's any more; one that proves a source
# right at its start, and after it failed; and from what it was before a jump.
_JUMP, _OFF_SCALE, _GOOD_START, _GOOD_AGAIN, _AS_BEFORE = 0.3, 0.25, 0.2, 0.15, 0.2
# In ln depth, what sources that agree are apart at most; seconds for which they have to; and for which what they agreed
# upon is remembered.
_AGREE, _CONFIRM, _REMEMBER = 0.2, 1.0, 2.0
# Logarithms of how much better the anchors fit the image of a second ago, over seconds and in one frame, and the
# present image ten degrees aside.
_LATE, _LATE_NOW, _ASIDE = 0.1, 0.3, 0.25
# In ln depth: differences in fit below these say nothing.
_LATE_FLOOR, _SHAPE_FLOOR = 0.15, 0.03
# Seconds for which nothing changes in a frozen sensor's readings, while ln depth at them changes by this much; so many
# readings never repeat by chance: those are doubted at once.
_SAME, _CHANGED = 1.0, 0.1
_MANY, _CHANGED_AT_ONCE = 8, 0.03
# Seconds to prove itself: at the start, and after a failure.
_START, _REST = 1.0, 3.0
# Frames, at least, and seconds of failing after which it is said; what was found over seconds is said sooner.
_FRAMES, _PATIENCE, _SOON = 5, 1.0, 0.5
# Seconds: of what is compared with an earlier image; after which what was before a jump is forgotten; within which a
# frame is the next one.
_AGO, _FORGET, _NEXT = 1.0, 15.0, 0.25
_THINNED = 4  # earlier images are kept at every so manieth pixel
_SIDE = math.radians(10)


@dataclass(frozen=True)
class Verdict:
    """What is thought of one source in one frame.

    Attributes:
        trusted: whether its anchors are to be used.
        innovation: root mean square of what they say beyond the prediction, over its standard deviation under the
            prior; about 1 for a sensor that is right. NaN where they measure nothing.
        scale: the factor on the prediction that they imply, their median; NaN likewise.
        alarm: why it is set aside from now on; empty in all frames but that one.
    """

    trusted: bool
    innovation: float = math.nan
    scale: float = math.nan
    alarm: str = ""


class SourceMonitor:
    """Follows each source from frame to frame."""

    def __init__(self, prior: Prior | None = None) -> None:
        self._prior = prior or Prior()
        self._sources: dict[int, _Source] = {}
        self._past: deque[tuple[float, np.ndarray]] = deque()
        self._agreed = _Agreed()
        self._agreeing: dict[tuple[int, int], float] = {}  # since when two sources do, stamp

    def judge(
        self,
        prediction: Prediction,
        anchors: Anchors,
        camera: CameraModel,
        stamp: float,
        unchanged: Mapping[int, float] | None = None,
    ) -> dict[int, Verdict]:
        """A verdict on each source among the anchors; one that measures nothing in this frame is what it was before.

        Args:
            prediction: of the image.
            anchors: in the image, of all sources.
            camera: of the image, a pinhole.
            stamp: of the image, seconds; time that goes back starts anew with the images, not with the sources.
            unchanged: seconds since which a source's readings have been the same, to the last bit.
        """
        now = cv2.log(prediction.depth[::_THINNED, ::_THINNED].copy())
        if self._past and not (stamp > self._past[-1][0] and self._past[-1][1].shape == now.shape):
            self._past.clear()
        self._past.append((stamp, now))
        while len(self._past) > 1 and self._past[1][0] <= stamp - _AGO:
            self._past.popleft()

        verdicts = {number: Verdict(self._trusts(number)) for number in np.unique(anchors.source).tolist()}
        measured = screened(anchors[anchors.bound == 0], prediction.depth.shape)
        found = {}
        for number in np.unique(measured.source).tolist():
            own = measured[measured.source == number]
            own = replace(own, u=own.u / _THINNED, v=own.v / _THINNED, radius=own.radius / _THINNED)
            found[number] = self._evidence(own, camera, (unchanged or {}).get(number, 0.0))
        return verdicts | self._follow(found, stamp)

    def _follow(self, found: Mapping[int, "_Evidence"], stamp: float) -> dict[int, Verdict]:
        """Hold each source against the others and against its own past."""
        self._agree({number: evidence.level for number, evidence in found.items()}, stamp)
        verdicts = {}
        for number, evidence in found.items():
            source = self._sources.setdefault(number, _Source())
            was_set_aside = source.set_aside
            source.follow(evidence.beside(self._agreed.value), stamp)
            alarm = source.evidence if source.set_aside and not was_set_aside else ""
            verdicts[number] = Verdict(self._trusts(number), evidence.innovation, math.exp(evidence.level), alarm)
        return verdicts

    def _agree(self, levels: Mapping[int, float], stamp: float) -> None:
        """Find what most sources say of the network's scale; one alone says nothing, and what was said is forgotten.

        It counts in full where they have agreed for a while, or since the first frame of one: what a broken source
        jumps to may be where another is.
        """
        since: dict[int, dict[int, float]] = {number: {} for number in levels}  # others that agree with each
        for one, other in combinations(levels, 2):
            if abs(levels[one] - levels[other]) < _AGREE:
                first = stamp if self._sources.keys() >= {one, other} else -math.inf
                begun = min(stamp, self._agreeing.get((one, other), first))
                self._agreeing[one, other] = since[one][other] = since[other][one] = begun
            else:
                self._agreeing.pop((one, other), None)
        agreed = self._agreed.at(stamp).value
        number = max(levels, key=lambda number: len(since[number]), default=None)
        if number is not None and since[number]:
            share = min(1.0, (stamp - max(since[number].values())) / _CONFIRM)
            agreed += share * (float(np.mean([levels[n] for n in (number, *since[number])])) - agreed)
        self._agreed = _Agreed(agreed, stamp)

    def _trusts(self, number: int) -> bool:
        source = self._sources.get(number)
        return source is not None and source.trusted and not source.failing

    def _image(self, ago: float) -> np.ndarray:
        """The latest image that is so many seconds old, ln depth; the first one, where none is."""
        latest = self._past[-1][0]
        return next((image for stamp, image in reversed(self._past) if stamp <= latest - ago), self._past[0][1])

    def _evidence(self, anchors: Anchors, camera: CameraModel, unchanged: float) -> "_Evidence":
        image = self._image(0.0)
        now, then = innovation(image, anchors), innovation(self._image(_AGO), anchors)
        height, width = image.shape
        across, down = camera.fx / _THINNED * math.tan(_SIDE), camera.fy / _THINNED * math.tan(_SIDE)
        aside = min(
            _spread(innovation(image, replace(anchors, u=u.clip(0, width - 1), v=v.clip(0, height - 1))))
            for u, v in (
                (anchors.u - across, anchors.v),
                (anchors.u + across, anchors.v),
                (anchors.u, anchors.v - down),
                (anchors.u, anchors.v + down),
            )
        )
        # An image that fits no better than a wall does tells nothing of where the sensor looks, nor of when.
        shape = min(_spread(now), _spread(np.log(anchors.depth))) + _SHAPE_FLOOR
        changed = _root_mean_square(now - innovation(self._image(min(unchanged, _AGO)), anchors)) if unchanged else 0.0
        return _Evidence(
            now=now,
            then=then,
            variance=self._prior.spread**2 + self._prior.registration**2 + anchors.sigma**2,
            better_then=math.log(shape / (_spread(then) + _SHAPE_FLOOR)) if len(now) >= _MANY else 0.0,
            better_aside=max(-1.0, min(1.0, math.log(shape / (aside + _SHAPE_FLOOR)))) if len(now) >= 4 else 0.0,
            is_frozen=unchanged >= _SAME and changed > _CHANGED,
            repeats=len(now) >= _MANY and changed > _CHANGED_AT_ONCE,
        )


@dataclass(frozen=True)
class _Evidence:
    """What one frame says of a source.

    Attributes:
        now, then: (N,) innovations of ln depth in the image, and in that of a second ago.
        variance: (N,) of those of a right sensor.
        better_then, better_aside: logarithms of how much better the anchors fit the image of a second ago, and ten
            degrees aside.
        is_frozen: the readings have been the same for a second, and ln depth at them has not.
        repeats: the readings, many of them, are those of before, and ln depth at them is not.
    """

    now: np.ndarray
    then: np.ndarray
    variance: np.ndarray
    better_then: float
    better_aside: float
    is_frozen: bool
    repeats: bool

    @property
    def level(self) -> float:
        """Logarithm of the scale that the anchors imply."""
        return float(np.median(self.now))

    @property
    def innovation(self) -> float:
        """See `Verdict`."""
        return _root_mean_square(self.now / np.sqrt(self.variance))

    def beside(self, level: float) -> "_Evidence":
        """The same beside a network whose scale is known to be off by this, in ln depth."""
        return replace(self, now=self.now - level, then=self.then - level)


@dataclass(frozen=True)
class _Agreed:
    """What sources agreed upon, in ln depth, and when."""

    value: float = 0.0
    stamp: float = math.nan

    def at(self, stamp: float) -> "_Agreed":
        """What is left of it."""
        elapsed = max(0.0, stamp - self.stamp) if self.value else 0.0
        return _Agreed(self.value * math.exp(-elapsed / _REMEMBER), stamp)


@dataclass(frozen=True)
class _Fault:
    """What speaks against a source, for how many seconds it has to until that is said, and whether one frame is enough
    not to trust the source any more; else only that frame is left out.
    """

    text: str
    patience: float
    is_lasting: bool = True


@dataclass
class _Mean:
    """A mean that forgets within ``memory`` seconds."""

    memory: float
    value: float = 0.0
    weight: float = 0.0

    def add(self, x: float, elapsed: float) -> None:
        self.weight = 1 + self.weight * math.exp(-elapsed / self.memory)
        self.value += (x - self.value) / self.weight


@dataclass
class _Source:
    """A source over time: what it was lately, whether it is trusted, and why not."""

    trusted: bool = False
    failing: bool = False
    set_aside: bool = False
    evidence: str = ""
    _stamp: float = math.nan
    _last: float = math.nan
    _level: _Mean = field(default_factory=lambda: _Mean(2.0))
    _level_then: _Mean = field(default_factory=lambda: _Mean(2.0))
    _fit: _Mean = field(default_factory=lambda: _Mean(1.0))
    _fit_then: _Mean = field(default_factory=lambda: _Mean(1.0))
    _aside: _Mean = field(default_factory=lambda: _Mean(2.0))
    _record: _Mean = field(default_factory=lambda: _Mean(4.0))
    _before_jump: tuple[float, float] | None = None  # stamp, and level until then
    _probation: float = _START
    _good: _Mean = field(default_factory=lambda: _Mean(math.inf))
    _good_since: float = math.nan
    _bad_since: float = math.nan
    _bad: int = 0

    def follow(self, seen: _Evidence, stamp: float) -> None:
        """Take in one frame."""
        elapsed = max(0.0, stamp - self._stamp) if math.isfinite(self._stamp) else 0.0
        if stamp < self._stamp:  # a clock that was set back
            self._good_since, self._bad_since, self._before_jump = math.nan, math.nan, None
        self._stamp = stamp
        fault = self._fault(seen, elapsed)
        self.failing = fault is not None
        if fault:
            self._fail(fault, stamp)
        elif self.trusted:
            self._bad_since, self._bad = math.nan, 0
        else:
            self._prove(seen.level, stamp)

    def _fault(self, seen: _Evidence, elapsed: float) -> _Fault | None:
        """What speaks against the source."""
        level, last = seen.level, self._last
        is_implausible = seen.innovation > _IMPLAUSIBLE or abs(seen.level) > _FAR
        # A few first anchors, as landmarks have, say little of what the level was; nor does what was long ago.
        is_next = elapsed < _NEXT and self._record.weight > _FRAMES
        jumped = is_next and abs(level - last) > _JUMP and not is_implausible
        self._last = last if is_implausible else level
        self._level.add(min(1.0, max(-1.0, level)), elapsed)
        self._level_then.add(min(1.0, max(-1.0, float(np.median(seen.then)))), elapsed)
        self._fit.add(min(0.5, float(np.mean((seen.now - self._level.value) ** 2))), elapsed)
        self._fit_then.add(min(0.5, float(np.mean((seen.then - self._level_then.value) ** 2))), elapsed)
        self._aside.add(seen.better_aside, elapsed)
        self._remember(level, elapsed, jumped)
        late = math.log((self._fit.value + _LATE_FLOOR**2) / (self._fit_then.value + _LATE_FLOOR**2)) / 2
        seconds = self._fit.weight > 3
        scale, mean = math.exp(level), math.exp(self._level.value)
        if seen.is_frozen:
            return _Fault("its readings do not change while the image does; frozen?", 0.0)
        if seen.repeats:
            return _Fault("its readings repeat while the image changes; frozen?", math.inf, is_lasting=False)
        if is_implausible:
            text = f"its depth is {scale:.2f} times the image's, {seen.innovation:.1f} standard deviations off"
            return _Fault(f"{text}; blocked, wrong unit or wrong extrinsics?", _PATIENCE, is_lasting=False)
        if jumped:
            text = f"its depth jumped from {math.exp(last):.2f} to {scale:.2f} times the image's; moved or blocked?"
            return _Fault(text, _PATIENCE)
        if late > _LATE and seconds:
            return _Fault("it fits the image of a second ago better than this one; late, or a wrong clock?", _PATIENCE)
        if seen.better_then > _LATE_NOW:
            return _Fault("it fits the image of a second ago better than this one; late?", math.inf, is_lasting=False)
        if self._aside.value > _ASIDE and seconds:
            return _Fault("it fits better ten degrees to the side; moved, or wrong extrinsics?", _SOON)
        if abs(self._level.value) > _OFF_SCALE and seconds:
            return _Fault(f"its depth is {mean:.2f} times the image's for seconds; wrong scale or extrinsics?", _SOON)
        return None

    def _remember(self, level: float, elapsed: float, jumped: bool) -> None:
        """Keep in mind what the level was before a jump: a source that comes back comes back to that."""
        if jumped and self._before_jump is None:
            self._before_jump = self._stamp, self._record.value
        if self._before_jump and self._stamp - self._before_jump[0] > _FORGET:
            self._before_jump = None
        if self._before_jump is None:
            self._record.add(level, elapsed)

    def _fail(self, fault: _Fault, stamp: float) -> None:
        self.evidence = fault.text
        self._bad_since, self._bad = stamp if math.isnan(self._bad_since) else self._bad_since, self._bad + 1
        if stamp - self._bad_since >= fault.patience - 1e-6 and (self._bad >= _FRAMES or fault.patience < _PATIENCE):
            self.set_aside = True
        if fault.is_lasting or self.set_aside:
            self.trusted, self._probation = False, _REST
        if not self.trusted:
            self._good_since, self._good = math.nan, _Mean(math.inf)

    def _prove(self, level: float, stamp: float) -> None:
        """A good frame of a source that is not trusted yet, or not again."""
        if math.isnan(self._good_since):
            self._good_since = stamp
        self._good.add(level, 0.0)
        as_before = not self._before_jump or abs(self._good.value - self._before_jump[1]) < _AS_BEFORE
        if stamp - self._good_since > self._probation - 1e-6 and self._good.weight >= _FRAMES:
            most = _GOOD_START if self._probation == _START else _GOOD_AGAIN
            if abs(self._good.value) < most and as_before:
                self.trusted, self.set_aside, self._probation = True, False, _START
                self._bad_since, self._bad, self._before_jump = math.nan, 0, None
                return
            self._good.weight *= 0.9  # what was long ago counts less
        if not as_before and stamp - self._bad_since > _PATIENCE + _SOON:
            self.set_aside = True


def _spread(innovations: np.ndarray) -> float:
    return _root_mean_square(innovations - np.median(innovations))


def _root_mean_square(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))
