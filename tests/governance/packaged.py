"""A module that offers a plugin."""

from __future__ import annotations

from tests.governance.stand_ins import OnlyAttempts

plugin = OnlyAttempts()
