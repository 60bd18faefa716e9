"""The documentation as a site that can be searched, with a reference made from the code.

`docs/` and the pages of the root stay as they are, for a forge; a copy of them is what the site is
built from.
"""

from deployments.site.build import build as build
