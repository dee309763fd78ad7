"""What a difference between stamps and clock tells of its cause; nothing, where it does not."""

_ANOTHER_TIME = 60.0  # seconds; no queue and no clock that somebody synchronises is off by more
_BEFORE_ROBOTS = 10 * 365.25 * 86400.0  # seconds since 1970


def cause_of_age(age: float, now: float | None = None) -> str:
    """The cause of images that are this many seconds old, and what mends it; empty for ages of ordinary images.

    now: seconds since 1970 of the clock that they were held against; None where only the age is known.
    """
    if abs(age) < _ANOTHER_TIME:
        return ""
    if now is not None and 0 <= now < _BEFORE_ROBOTS:
        return "the clock is a simulation's, the stamps are not: let what stamps the images use_sim_time, too"
    if age > _BEFORE_ROBOTS:
        return "they count from the boot of the camera's computer or from a simulation's start; stamp them by the clock"
    if age > 0:
        return "they are of another time: a recording is played without its clock (ros2 bag play --clock, use_sim_time)"
    return "the clock of this computer, or of the camera's, is not set"
