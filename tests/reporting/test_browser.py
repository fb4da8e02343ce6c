"""The page of a report in headless Chromium, where there is one."""

import json
import re
import shutil
import subprocess
from html import escape

import pytest

from reporting.page import render
from tests.reporting.test_page import page_of

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --disable-background-networking --no-first-run "
    "--disable-component-update --disable-sync --enable-logging=stderr --v=0 --dump-dom"
)
# In a frame, since a window may be no narrower than 500 pixels; the title tells both widths.
MEASURE = "<script>parent.document.title = [document.body.scrollWidth, innerWidth]</script>"
POLICY = "default-src 'none'"

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")


def opened(folder, page, *options):
    (folder / "report.html").write_text(page)
    command = [BROWSER, *OPTIONS.split(), f"--user-data-dir={folder}", *options]
    command.append((folder / "report.html").as_uri())
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def requested(log):
    """The addresses that the page asks for, in a log of Chromium's network stack."""
    text = log.read_text()
    try:
        events = json.loads(text)["events"]
    except ValueError:  # the end is missing if the browser was quick
        events = json.loads(text.rstrip().rstrip(",") + "]}")["events"]
    parameters = [p for event in events if isinstance(p := event.get("params"), dict)]
    # The browser itself asks for updates.
    own = {"not an origin", None}
    return {p["url"] for p in parameters if "url" in p and p.get("initiator") not in own}


def test_no_message_and_no_request(tmp_path):
    log = tmp_path / "net.json"
    outcome = opened(tmp_path, render(page_of()), f"--log-net-log={log}")
    assert "</html>" in outcome.stdout and "CONSOLE" not in outcome.stderr
    assert {url for url in requested(log) if not url.startswith("file:")} == set()
    picture = "http://localhost:9/picture.png"
    opened(tmp_path, f'<img src="{picture}">', f"--log-net-log={log}")
    assert requested(log) == {picture}


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_is_no_wider_than_the_window(tmp_path, width):
    page = render(page_of()).replace("class 1", "A_rather_long_name_of_a_class_" * 3)
    assert POLICY in page
    page = page.replace(POLICY, f"{POLICY}; script-src 'unsafe-inline'")
    page = escape(page.replace("</body>", f"{MEASURE}</body>"))
    frame = f'<iframe width="{width}" height="900" frameborder="0" srcdoc="{page}"></iframe>'
    outcome = opened(tmp_path, f"<!doctype html><title></title>{frame}")
    needed, available = re.search(r"<title>(\d+),(\d+)</title>", outcome.stdout).groups()
    assert int(needed) <= int(available) and int(available) == width
