"""Constraints that settings of several files share, as annotated types.

A value outside them is refused when its file is read, with the place in the file.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Positive = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]
BasisPoints = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
# Some 300 years: what is longer cannot be counted in milliseconds everywhere.
SECONDS_MAX = 1e10
PositiveSeconds = Annotated[float, msgspec.Meta(gt=0, le=SECONDS_MAX)]
NotNegativeSeconds = Annotated[float, msgspec.Meta(ge=0, le=SECONDS_MAX)]
Days = Annotated[int, msgspec.Meta(ge=0, le=365)]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]
