"""Looking at a page: what axe-core finds hard, what the browser complains of, and pictures at three widths."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.async_api import ConsoleMessage, Page

WIDTHS = (320, 768, 1280)

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_LOOK = """async (tags) => (await axe.run(document, {runOnly: tags, resultTypes: ["violations"]})).violations"""
_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def axe(page: Page) -> list[str]:
    """Name what axe-core finds against WCAG 2.2 AA and good practice, each with the places."""
    await page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    violations: list[dict[str, Any]] = await page.evaluate(_LOOK, _RULES)
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: {[node['target'] for node in each['nodes'][:5]]}"
        for each in violations
    ]


class Screenshots:
    """Pictures of a page. At every width nothing may hang over the side."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    async def __call__(self, page: Page, name: str) -> None:
        """Look at the page at 320, 768 and 1280 px, and keep NAME-WIDTH.png where a folder was given."""
        before = page.viewport_size
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 900})
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
                await page.screenshot(path=self._folder / f"{name}-{width}.png", full_page=True)
            assert await page.evaluate(_SIDEWAYS) <= 0, f"{name} hangs over the side at {width} px"
        if before is not None:
            await page.set_viewport_size(before)


def complaints_of(page: Page, complaints: list[str]) -> None:
    """Collect what fails in a page: scripts, and what the content security policy had to stop."""

    def on_console(message: ConsoleMessage) -> None:
        # A refused form is an answer and no complaint: the browser logs its 409 or 422 all the same.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            complaints.append(message.text)

    page.on("console", on_console)
    page.on("pageerror", lambda error: complaints.append(str(error)))
