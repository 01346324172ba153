"""Every setting of the server, read from the environment and from ``.env``.

A class a section of ``docs/configuration.md``, named as the room that it belongs to; `Settings` is
all of them. A new setting is a field with a docstring in its section's class; a new section is a
subclass of `Section` with a heading, and a base of `Settings`. Nothing here acts on a setting.
"""

from api_server.settings.access import LOOPBACK
from api_server.settings.reading import SettingsInvalid, examine_settings, read_settings
from api_server.settings.recognition import INSTALLED
from api_server.settings.settings import Settings

__all__ = [
    "INSTALLED",
    "LOOPBACK",
    "Settings",
    "SettingsInvalid",
    "examine_settings",
    "read_settings",
]
