"""The page in a real browser: it loads from a file, follows the mouse, complains of nothing and connects to nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from bldr.engine.result import BuildResult
from bldr.report import build_page
from bldr.report.html import Run, render
from tests.unit.engine.builds import empty_build, failed_build, hostile_build
from tests.unit.report.runs import HOSTILE, build_run, hostile_run, tiny_run

pytestmark = [pytest.mark.needs("browser"), pytest.mark.slow]

Browser = webdriver.Chrome


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    profile = tmp_path_factory.mktemp("browser")
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,1000",
        f"--user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield browser
    browser.quit()


def opened(browser: Browser, directory: Path, run: Run | BuildResult) -> None:
    page = directory / "run.html"
    written = render(run) if isinstance(run, Run) else build_page.render(run, {}, version="0.1.0")
    page.write_text(written, encoding="utf-8")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page.as_uri())


def requests(browser: Browser) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "run",
    [build_run(), tiny_run(), hostile_run(), failed_build(), empty_build(), hostile_build(HOSTILE)],
    ids=["build", "tiny", "hostile", "actions", "no actions", "hostile actions"],
)
def test_a_page_loads_without_a_complaint_or_a_connection(
    browser: Browser, tmp_path: Path, run: Run | BuildResult, scheme: str
) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    opened(browser, tmp_path, run)

    assert browser.title.endswith("— bldr")
    assert browser.get_log("browser") == []
    assert requests(browser) == [(tmp_path / "run.html").as_uri()]
    red, *_ = browser.execute_script("return getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g)")
    assert (int(red) > 128) == (scheme == "light")


def test_the_mouse_shows_values_and_processes(browser: Browser, tmp_path: Path) -> None:
    opened(browser, tmp_path, build_run())
    bar = browser.find_elements(By.CSS_SELECTOR, ".process")[0]
    browser.execute_script("arguments[0].scrollIntoView()", bar)
    ActionChains(browser).move_to_element(bar).perform()

    tip = browser.find_element(By.CSS_SELECTOR, ".tip")
    assert "make -j4 -C /work/src" in tip.text
    assert "process 4100, started by 4099" in tip.text
    assert browser.find_element(By.CSS_SELECTOR, '[data-plot="memory"] output').text.startswith("10.7 s · memory ")
    assert "CPUs" in browser.find_element(By.CSS_SELECTOR, '[data-plot="cpu"] output').text

    ActionChains(browser).move_to_element(browser.find_element(By.TAG_NAME, "h1")).perform()
    assert not tip.is_displayed()
    assert browser.find_element(By.CSS_SELECTOR, '[data-plot="memory"] output').text == ""
    assert browser.get_log("browser") == []


def test_the_keyboard_goes_through_time(browser: Browser, tmp_path: Path) -> None:
    opened(browser, tmp_path, build_run())
    charts = browser.find_element(By.CSS_SELECTOR, ".charts")
    output = browser.find_element(By.CSS_SELECTOR, '[data-plot="memory"] output')

    charts.send_keys(Keys.END)
    assert output.text.startswith("21.4 s")
    charts.send_keys(Keys.ARROW_LEFT)
    assert output.text.startswith("21.2 s")
    charts.send_keys(Keys.ESCAPE)
    assert output.text == ""


def test_the_mouse_shows_actions_and_how_many_run(browser: Browser, tmp_path: Path) -> None:
    opened(browser, tmp_path, failed_build())
    bar = browser.find_elements(By.CSS_SELECTOR, ".process")[1]
    browser.execute_script("arguments[0].scrollIntoView()", bar)
    ActionChains(browser).move_to_element(bar).perform()

    tip = browser.find_element(By.CSS_SELECTOR, ".tip")
    assert "//:app compile src/b.c" in tip.text
    assert "built in 750 ms" in tip.text
    assert "src/b.c changed" in tip.text
    for name, count in (("running", 2), ("ready", 1)):
        told = browser.find_element(By.CSS_SELECTOR, f'[data-plot="{name}"] output').text
        assert told.endswith(f" ms · {name} {count}")
    assert browser.get_log("browser") == []


def test_actions_can_be_sought_and_sorted(browser: Browser, tmp_path: Path) -> None:
    opened(browser, tmp_path, failed_build())

    def shown() -> list[str]:
        rows = browser.find_elements(By.CSS_SELECTOR, ".sifted tbody tr")
        return [row.find_element(By.TAG_NAME, "code").text for row in rows if row.is_displayed()]

    assert len(shown()) == 6
    heads = {one.text: one for one in browser.find_elements(By.CSS_SELECTOR, ".sifted th button")}
    heads["time"].click()
    assert shown()[:3] == ["//:app compile src/a.c", "//src:t run the test", "//:app compile src/b.c"]
    heads["time"].click()
    assert shown()[-1] == "//:app compile src/a.c"
    heads["action"].click()
    assert shown()[0] == "//:app compile src/a.c"
    assert browser.find_elements(By.CSS_SELECTOR, '.sifted th[aria-sort="ascending"]')[0].text.startswith("action")
    browser.find_element(By.CSS_SELECTOR, ".sift").send_keys("changed link")
    assert shown() == ["//:app link bin/app"]
    assert browser.get_log("browser") == []


def test_what_tries_to_break_out_stays_text(browser: Browser, tmp_path: Path) -> None:
    opened(browser, tmp_path, hostile_run())
    for bar in browser.find_elements(By.CSS_SELECTOR, ".process")[:3]:
        browser.execute_script("arguments[0].scrollIntoView()", bar)
        ActionChains(browser).move_to_element(bar).perform()

    assert browser.title != "broken"
    assert browser.find_elements(By.CSS_SELECTOR, "img, body svg[onload]") == []
    assert "</script>" in browser.find_element(By.CSS_SELECTOR, ".tip").text


def test_without_javascript_everything_is_there(browser: Browser, tmp_path: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        opened(browser, tmp_path, build_run())
        shown = browser.find_element(By.TAG_NAME, "body").text
        titles = browser.page_source.count("<title>")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})

    assert "memory limit reached" in shown
    assert "limit 1.46 GiB" in shown
    assert titles > 100
