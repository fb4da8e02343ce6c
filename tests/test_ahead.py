"""Work begun early: nobody can tell the difference."""

import logging
import threading

import pytest

from ahead import Ahead

logger = logging.getLogger("tests.ahead")


@pytest.fixture
def told():
    """The messages that a handler of the root logger gets."""
    messages = []

    class Keep(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    handler, root = Keep(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield messages
    root.removeHandler(handler)
    root.setLevel(level)


def begun(function, argument):
    """Begun, and done."""
    work = Ahead(function, argument)
    work.start()
    work._thread.join()
    return work


def test_it_is_done_once_in_another_thread():
    threads = []
    work = begun(lambda text: threads.append(threading.current_thread()) or text.upper(), "a")
    assert threads and threads[0] is not threading.main_thread()
    assert work("a") == "A"
    assert len(threads) == 1


def test_what_it_says_is_told_when_the_result_is_asked_for(told):
    work = begun(lambda text: logger.info("reading %s", text), "a")
    logger.info("before")
    work("a")
    assert told == ["before", "reading a"]


def test_what_nobody_wants_to_know_is_not_told_later_either(told):
    work = begun(lambda text: logger.info("reading %s", text), "a")
    logging.getLogger().setLevel(logging.WARNING)
    work("a")
    assert told == []


def test_others_can_speak_meanwhile(told):
    go_on = threading.Event()
    work = Ahead(lambda text: go_on.wait(10), "a")
    work.start()
    logger.info("meanwhile")
    assert told == ["meanwhile"]
    go_on.set()
    assert work("a") is True


def test_a_failure_is_raised_where_the_result_is_asked_for(told):
    calls = []

    def fail(text):
        calls.append(text)
        logger.info("try %d", len(calls))
        raise ValueError(text)

    work = begun(fail, "a")
    assert told == []
    with pytest.raises(ValueError, match="a"):
        work("a")
    assert calls == ["a", "a"] and told == ["try 2"]


def test_another_argument_and_a_second_call_are_computed_anew():
    work = begun(str.upper, "a")
    assert work("b") == "B"
    assert [work("a"), work("a")] == ["A", "A"]


def test_without_a_start_it_is_the_function():
    assert Ahead(str.upper, "a")("a") == "A"
