"""All readers of files by name."""

from tests.hostile import arrays, images, lists, models

READERS = {**lists.READERS, **images.READERS, **arrays.READERS, **models.READERS}
