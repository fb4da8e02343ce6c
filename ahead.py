"""Work that is begun early, in a thread, while the main thread is busy with something else."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class Ahead(Generic[Argument, Result]):
    """A function whose result for one argument is computed before it is asked for.

    Calling it waits for the result. What is logged meanwhile is told then, and what failed is
    done again then: nobody can tell the difference, except by the time.

    Args:
        function: must not depend on what happens between ``start`` and the call.
        argument: the one that it will be called with.
    """

    def __init__(self, function: Callable[[Argument], Result], argument: Argument):
        self._function, self._argument = function, argument
        self._records: list[logging.LogRecord] = []
        self._results: list[Result] = []
        # Python does not wait for it at its exit, if nobody wants the result any more.
        self._thread = threading.Thread(target=self._work, name="ahead", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def __call__(self, argument: Argument) -> Result:
        if argument is not self._argument or self._thread.ident is None:
            return self._function(argument)
        self._thread.join()
        if not self._results:
            return self._function(argument)
        for record in self._records:
            logger = logging.getLogger(record.name)
            if logger.isEnabledFor(record.levelno):
                logger.handle(record)
        return self._results.pop()

    def _work(self) -> None:
        handlers = list(logging.getLogger().handlers)
        for handler in handlers:
            handler.addFilter(self._pass)
        try:
            self._results.append(self._function(self._argument))
        except Exception:  # it is raised again when somebody waits for the result
            pass
        finally:
            for handler in handlers:
                handler.removeFilter(self._pass)

    def _pass(self, record: logging.LogRecord) -> bool:
        """Keeps what this thread logs; other threads are not affected."""
        if threading.current_thread() is not self._thread:
            return True
        if record not in self._records:  # one that several handlers are offered
            self._records.append(record)
        return False
