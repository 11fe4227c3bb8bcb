"""Which version of the service this is, and of which commit where the platform says it."""

import os

VERSION = "1.0.0"
COMMIT = (os.environ.get("SOURCE_COMMIT") or os.environ.get("RENDER_GIT_COMMIT") or "unknown")[:12]
"""SOURCE_COMMIT is given when the image is made, or stands in the settings; Render knows it by itself."""
