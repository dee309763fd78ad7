"""What sensor messages say, by hand."""

import array
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import LaserScan, PointCloud2, PointField, Range

from mono_depth_ros.readings import Reading, ReadingError, of_cloud, of_range, of_scan
from test.conftest import fuzz

INF = math.inf


def rangefinder(distance: float) -> Range:
    return Range(field_of_view=0.5, min_range=0.2, max_range=4.0, range=distance)


@pytest.mark.parametrize(
    ("distance", "x", "bound"), [(1.5, 1.5, 0), (INF, 4.0, 1), (-INF, 0.2, -1)], ids=["measured", "nothing", "too near"]
)
def test_a_range_is_a_beam_along_x(distance: float, x: float, bound: int):
    reading = of_range(rangefinder(distance), 0.03)
    np.testing.assert_allclose(reading.points, [[x, 0, 0]], atol=1e-7)
    assert reading.bound.tolist() == [bound]
    assert reading.sigma.tolist() == [0.03]
    assert reading.field_of_view == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("distance", "reason"),
    [(math.nan, "NaN"), (0.0, "NaN"), (-1.0, "NaN"), (4.0, "out of range"), (0.1, "out of range")],
)
def test_a_range_that_says_nothing_is_dropped(distance: float, reason: str):
    reading = of_range(rangefinder(distance), 0.03)
    assert len(reading.points) == 0
    assert reading.dropped == {reason: 1}


def test_a_range_without_a_beam_is_refused():
    with pytest.raises(ReadingError, match="field_of_view: found nan"):
        of_range(Range(field_of_view=math.nan, range=1.0, max_range=2.0), 0.03)


def test_a_scan_counts_angles_from_x_to_y():
    scan = LaserScan(angle_min=-math.pi / 2, angle_increment=math.pi / 2, range_min=0.1, range_max=10.0)
    scan.ranges = [1.0, 2.0, INF, math.nan, 0.05]
    reading = of_scan(scan, 0.02)
    np.testing.assert_allclose(reading.points, [[0, -1, 0], [2, 0, 0], [0, 10, 0]], atol=1e-6)
    assert reading.bound.tolist() == [0, 0, 1]
    assert reading.dropped == {"NaN": 1, "out of range": 1}


def test_an_empty_scan_is_refused():
    with pytest.raises(ReadingError, match="ranges: found none"):
        of_scan(LaserScan(), 0.02)


def cloud(names: str, rows: list[tuple], kind: str = "f", endian: str = "<", pad: int = 0) -> PointCloud2:
    """A cloud of points with one number a field, float32 or float64, and padding after each point."""
    size = struct.calcsize(kind)
    datatype = PointField.FLOAT32 if kind == "f" else PointField.FLOAT64
    fields = [
        PointField(name=name, offset=index * size, datatype=datatype, count=1)
        for index, name in enumerate(names.split())
    ]
    step = len(fields) * size + pad
    data = b"".join(struct.pack(endian + kind * len(row), *row) + b"\xff" * pad for row in rows)
    return PointCloud2(
        height=1,
        width=len(rows),
        fields=fields,
        is_bigendian=endian == ">",
        point_step=step,
        row_step=step * len(rows),
        data=data,
    )


@pytest.mark.parametrize("kind", ["f", "d"])
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("pad", [0, 4])
def test_a_cloud_is_read_however_it_is_laid_out(kind: str, endian: str, pad: int):
    rows = [(9.0, 1.0, 2.0, 3.0), (9.0, -1.0, 0.5, 8.0)]
    reading = of_cloud(cloud("intensity x y z", rows, kind, endian, pad), 0.05)
    np.testing.assert_allclose(reading.points, [row[1:] for row in rows])
    assert reading.sigma.tolist() == [0.05, 0.05]
    assert reading.bound.tolist() == [0, 0]


@pytest.mark.parametrize(("name", "value"), [("sigma", 0.5), ("variance", 0.25)])
def test_a_cloud_s_own_sigma_wins(name: str, value: float):
    reading = of_cloud(cloud(f"x y z {name}", [(3.0, 0.0, 4.0, value)]), 0.05)
    assert reading.sigma.tolist() == [0.1]  # 0.5 m of 5 m


def test_points_that_say_nothing_are_dropped():
    rows = [
        (math.nan, 0.0, 1.0, 0.1),
        (0.0, 0.0, 0.0, 0.1),
        (0.0, 0.0, INF, 0.1),
        (0.0, 0.0, 1.0, math.nan),
        (0, 0, 2, 0.1),
    ]
    reading = of_cloud(cloud("x y z sigma", rows), 0.05)
    np.testing.assert_allclose(reading.points, [[0, 0, 2]])
    assert reading.dropped == {"NaN": 3, "no sigma": 1}


def test_a_dense_cloud_is_thinned():
    rows = [(float(index), 0.0, 1.0) for index in range(20000)]
    assert 1000 < len(of_cloud(cloud("x y z", rows), 0.05).points) < 8000


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param(lambda c: setattr(c, "fields", c.fields[:2]), r"expected x, y and z; \['z'\] missing", id="no z"),
        pytest.param(lambda c: setattr(c, "width", 0), "points: found none", id="empty"),
        pytest.param(lambda c: setattr(c, "data", c.data[:-1]), "data: found 23 bytes", id="cut"),
        pytest.param(lambda c: setattr(c.fields[2], "offset", 9), "field z: ends at byte 13", id="past the point"),
        pytest.param(lambda c: setattr(c.fields[2], "datatype", 99), "field z: found datatype 99", id="no type"),
    ],
)
def test_a_cloud_that_cannot_be_read_is_refused_by_name(change, text: str):
    message = cloud("x y z", [(1.0, 2.0, 3.0), (1.0, 2.0, 3.0)])
    change(message)
    with pytest.raises(ReadingError, match=text):
        of_cloud(message, 0.05)


ANY = st.floats(width=32)
LIKELY = st.floats(-1, 10, width=32) | ANY
FIELDS = st.lists(
    st.builds(
        PointField,
        name=st.sampled_from(["x", "y", "z", "sigma", "variance", "intensity"]),
        offset=st.integers(0, 20) | st.integers(0, 2**32 - 1),
        datatype=st.integers(0, 255) | st.just(7),
        count=st.integers(0, 3),
    ),
    max_size=6,
)


def check(read, message) -> None:
    """A reading of numbers, or a refusal with a reason; nothing else."""
    try:
        found: Reading = read(message, 0.02)
    except ReadingError as error:
        assert str(error)
        return
    assert found.points.shape == (len(found.sigma), 3) == (len(found.bound), 3)
    assert np.isfinite(found.points).all() and (np.linalg.norm(found.points, axis=1) > 0).all()
    assert np.isfinite(found.sigma).all() and (found.sigma > 0).all()


@fuzz(300)
@given(st.builds(Range, field_of_view=LIKELY, min_range=LIKELY, max_range=LIKELY, range=LIKELY))
def test_any_range_is_read_or_refused(message):
    check(of_range, message)


@fuzz(300)
@given(LIKELY, LIKELY, LIKELY, LIKELY, st.lists(LIKELY, max_size=20))
def test_any_scan_is_read_or_refused(first, step, nearest, farthest, ranges):
    check(
        of_scan, LaserScan(angle_min=first, angle_increment=step, range_min=nearest, range_max=farthest, ranges=ranges)
    )


@fuzz(300)
@given(
    FIELDS,
    st.integers(0, 4) | st.integers(0, 2**32 - 1),
    st.integers(0, 4) | st.integers(0, 2**32 - 1),
    st.integers(0, 32) | st.integers(0, 2**32 - 1),
    st.integers(0, 128) | st.integers(0, 2**32 - 1),
    st.binary(max_size=256),
    st.booleans(),
)
def test_any_cloud_is_read_or_refused(fields, width, height, step, row, data, is_bigendian):
    message = PointCloud2(
        fields=fields, width=width, height=height, point_step=step, row_step=row, is_bigendian=is_bigendian
    )
    message.data = array.array("B", data)
    check(of_cloud, message)
