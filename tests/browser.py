"""In: HTML files. Out: pages in a headless Chromium, and what they asked the network for."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

# The distribution's; the one that playwright downloads by itself has no decoder for H.264.
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Needs a browser, as `apt-get install chromium` gives."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    assert path, f"these tests need a browser, one of {', '.join(_NAMES)}: apt-get install chromium"
    with sync_playwright() as playwright:
        # Root, which builds often run as, may not use the sandbox.
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


def opened(browser: Browser, path: Path, width: int) -> tuple[Page, list[str]]:
    """The page, and the addresses that it asks for, itself and data left out."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri(), wait_until="load")
    return page, [url for url in asked if url != path.as_uri() and not url.startswith("data:")]
