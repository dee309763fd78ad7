"""OpenVINO, imported without the report that its import sends to its maker over the network."""

import sys
from typing import Any

_REPORTS = "openvino_telemetry"
# Where its module for reports cannot be imported, OpenVINO takes a stub of it, for good.
_modules: dict[str, Any] = sys.modules
_found = _modules.get(_REPORTS)
_modules[_REPORTS] = None
try:
    import openvino
finally:
    del _modules[_REPORTS]
    if _found is not None:
        _modules[_REPORTS] = _found

__all__ = ["openvino"]
