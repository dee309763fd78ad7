"""The soak: depth_node for half an hour under everything that robots do to it, and verdicts on what that cost.

A round is a minute. For three quarters of it, subscribers come and go (also by SIGKILL), parameters are set to legal
and illegal values, the camera changes its lens or is killed and started again, and the lifecycle is cycled. Then all is
put back to one reference state (first lens, default parameters, every output subscribed, configured anew), and it is
calm. What the node holds is compared between the ends of the calm parts alone: a wide image needs more memory than a
small one, and that is no leak. The last sixth of the time is one calm stretch, for what leaks while frames flow.
"""
