"""JAX's persistent compilation cache, by which later runs and trials of a sweep start faster.

Loading a cached file means executing it, so the cache must be in a folder where no other user can
write: ``$XDG_CACHE_HOME/cosine-loss`` (default: in ``~/.cache``) or ``JAX_COMPILATION_CACHE_DIR``.
``JAX_ENABLE_COMPILATION_CACHE=0`` turns it off. Each version and processor has a folder of its own,
since code compiled on another processor may use instructions that this one lacks.
"""

import hashlib
import logging
import os
import platform
from pathlib import Path

from storage.files import replacing
from storage.own_folder import own_folder, user_cache
from utils import UserError

logger = logging.getLogger(__name__)

_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_LEAST = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
_SHORTEST = 0.2  # seconds of compilation time that are worth a file


def keep_compiled_code() -> None:
    """Enable JAX's compilation cache if there is a safe folder; call before JAX compiles."""
    import jax

    if not jax.config.jax_enable_compilation_cache:
        return
    try:
        folder = os.environ.get(_FOLDER) or _default_folder()
        if "://" not in str(folder):  # a remote cache is the user's choice
            folder = own_folder(Path(folder))
        _write_whole_files()
    except (OSError, RuntimeError, ImportError, AttributeError) as error:
        logger.warning("Compiled code is not kept for the next run: %s", error)
        jax.config.update("jax_enable_compilation_cache", False)
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if _LEAST not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _SHORTEST)


def _default_folder() -> Path:
    import jaxlib

    digest = hashlib.sha256(_processor().encode()).hexdigest()[:12]
    return user_cache() / "cosine-loss" / f"jax-{jaxlib.__version__}-{digest}"


def _processor() -> str:
    """Return the processor's model and instruction sets."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    kinds = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(kinds)}))


def _write_whole_files() -> None:
    """Make JAX write cache files atomically.

    JAX 0.10 writes them in place, so every later run would read the incomplete file of a killed
    process, with a warning, and never replace it; no issue and no public hook is known.
    """
    from jax._src import compilation_cache
    from jax._src.lru_cache import _CACHE_SUFFIX

    class WholeFiles(compilation_cache.LRUCache):
        """Cache whose files are complete or absent, and which replaces damaged ones."""

        failed = False

        def put(self, key: str, value: bytes) -> None:
            if self.eviction_enabled:  # the user has limited the size
                super().put(key, value)
                return
            try:
                with replacing(Path(self.path, f"{key}{_CACHE_SUFFIX}")) as temporary:
                    temporary.write_bytes(value)
            except UserError as error:
                if not self.failed:
                    logger.warning("Compiled code is not kept for the next run: %s", error)
                self.failed = True

    compilation_cache.LRUCache = WholeFiles
