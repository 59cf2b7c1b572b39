"""The HTML report in Debian's chromium: the matrix leads to a case page and back, filters stay in the address."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from ipsectest.report import html
from ipsectest.runner.records import RunRecord

CHROMEDRIVER = shutil.which("chromedriver") or ""
pytestmark = [
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
    pytest.mark.skipif(not CHROMEDRIVER, reason="chromedriver (package chromium-driver) is not installed"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = Options()
    options.binary_location = shutil.which("chromium") or ""
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "window-size=1300,1200",
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: webdriver.Chrome, record: RunRecord, tmp_path: Path) -> str:
    address = html.write(record, tmp_path).as_uri()
    browser.get("about:blank")
    browser.get(address)
    return address


def shown(browser: webdriver.Chrome) -> list[WebElement]:
    return [chip for chip in browser.find_elements(By.CSS_SELECTOR, "a.chip") if chip.is_displayed()]


def verdicts(browser: webdriver.Chrome) -> set[str]:
    return {chip.get_attribute("data-verdict-of") or "" for chip in shown(browser)}


def toggle(browser: webdriver.Chrome, verdict: str) -> None:
    browser.find_element(By.CSS_SELECTOR, f'button[data-verdict="{verdict}"]').click()


def test_a_chip_leads_to_its_case_and_back(browser: webdriver.Chrome, page: str, record: RunRecord) -> None:
    chips = shown(browser)
    assert len(chips) == len(record.results)
    failed = next(c for c in chips if "regression" in (c.get_attribute("class") or ""))
    name = (failed.get_attribute("title") or "").split("\n")[0]
    failed.click()
    assert name in browser.find_element(By.CSS_SELECTOR, ".meta").text
    assert browser.find_element(By.CSS_SELECTOR, "svg.ladder").is_displayed()
    assert "IKE_SA_INIT N(INVALID_KE_PAYLOAD" in browser.find_element(By.CSS_SELECTOR, ".versus").text
    browser.find_element(By.ID, "back").click()
    assert browser.current_url == page


def test_a_rung_of_the_ladder_opens_its_decoded_message(browser: webdriver.Chrome, page: str) -> None:
    shown(browser)[0].click()
    message = browser.find_element(By.ID, "message-1")
    assert not message.find_element(By.CSS_SELECTOR, ".tree").is_displayed()
    browser.execute_script(
        "document.querySelector('svg.ladder a').dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    WebDriverWait(browser, 10).until(lambda _: message.find_element(By.CSS_SELECTOR, ".tree").is_displayed())
    assert "ENCR_AES_GCM_16_128" in message.text


def test_a_filter_survives_in_the_address(browser: webdriver.Chrome, page: str) -> None:
    toggle(browser, "pass")
    assert "pass" not in verdicts(browser)
    assert "verdict=nonstrict" in browser.current_url
    link = browser.current_url
    rest = len(shown(browser))
    shown(browser)[0].click()
    browser.back()
    assert len(shown(browser)) == rest
    browser.get("about:blank")
    browser.get(link)
    assert len(shown(browser)) == rest


def test_peer_search_and_changes_narrow_the_matrix(browser: webdriver.Chrome, page: str, record: RunRecord) -> None:
    Select(browser.find_element(By.ID, "peer")).select_by_visible_text("builtin")
    assert len(shown(browser)) == sum(c.peer == "builtin" for c in record.results)
    browser.find_element(By.ID, "search").send_keys("cookie")
    assert len(shown(browser)) == 1
    browser.find_element(By.ID, "search").send_keys(" nowhere")
    assert shown(browser) == []
    assert browser.find_element(By.ID, "none").is_displayed()
    browser.get("about:blank")
    browser.get(f"{page}#changes=1")
    assert len(shown(browser)) == sum(c.outcome != "as-expected" for c in record.results)


def test_the_theme_switches_and_nothing_complains(browser: webdriver.Chrome, page: str) -> None:
    before = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    browser.find_element(By.ID, "theme").click()
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") != before
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
