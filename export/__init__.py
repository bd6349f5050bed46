"""Checkpoint to ONNX, fused ONNX, half or int8 ONNX: each step one function that writes a verified file.

`cgnet_deploy.export` is this package and, called, the function `export` of api.py: an attribute of a package and its
subpackage share one name, so the module itself is callable.
"""

import inspect
import sys
from types import ModuleType
from typing import Any


class _CallableModule(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        from cgnet_deploy.export.api import export

        return export(*args, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        from cgnet_deploy.export.api import export

        return inspect.signature(export)

    @property
    def __doc__(self) -> str | None:  # type: ignore[override]  # what help() shows
        from cgnet_deploy.export.api import export

        return export.__doc__


sys.modules[__name__].__class__ = _CallableModule
