# depth_node on ROS 2 Jazzy, as a user without privileges: `docker build -t mono_depth_ros .`, then docs/robots.md.
FROM ros:jazzy-ros-base

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip ros-jazzy-usb-cam \
    && rm -rf /var/lib/apt/lists/*

# Both are optional: without them OpenCV runs the network and decodes JPEG, slower.
# hadolint ignore=DL3013
RUN python3 -m pip install --no-cache-dir --break-system-packages openvino simplejpeg

WORKDIR /ws
COPY . src/mono_depth_ros
RUN apt-get update \
    && rosdep update --rosdistro jazzy \
    && rosdep install --from-paths src --ignore-src --dependency-types exec -y \
    && rm -rf /var/lib/apt/lists/* \
    && . /opt/ros/jazzy/setup.sh \
    && colcon build --packages-select mono_depth_ros

# ubuntu, of the image. Fast DDS shares memory only between processes of one user number.
USER 1000
ENTRYPOINT ["/ros_entrypoint.sh", "bash", "-c", ". install/setup.bash && exec \"$@\"", "bash"]
CMD ["ros2", "launch", "mono_depth_ros", "depth.launch.py", "image:=/camera/image_raw"]
