"""Pages in a real browser: they ask for nothing, the audit's says what the files say, and everyone can read them."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag

import pytest
from PIL import Image

from pellucid import data, training
from pellucid.cli import main

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.chrome.webdriver import WebDriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --window-size=1200,900"
)
pytestmark = pytest.mark.browser


OTHERS = {
    "uncertainty": "uncertainty model set -o uncertainty --samples 8 --shown 4",
    "transfer": "transfer model set -o transfer --probe svm,knn --folds 3 --map pca --origins 1 --shown 4",
    "index": "index model set -o index --kind ivf --shown 4",
    "search": "search index set/1 set/7 -o search",
}
"""Commands that make a page, by its folder; each goes on from those before it."""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small net on handwritten digits, so that there are hits and mistakes, and a set; one file is unreadable."""
    root = tmp_path_factory.mktemp("browser")
    test = data.builtin("digits")
    options: dict[str, Any] = {"model": "digits_cnn,width=8", "limit": 400, "val": 0.0, "epochs": 6, "batch_size": 16}
    for _ in training.start("classify", "digits", root / "model", device="cpu", **options):
        pass
    for number in range(120):
        name = root / "set" / test.classes[int(test.targets[number])] / f"{number} & <b>.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(test.read(number)[0].numpy()).save(name)
    (root / "set" / "0" / "no.png").write_text("x")
    return root


@pytest.fixture(scope="module")
def report(ground: Path) -> Path:
    """The audit of it."""
    words = ["audit", str(ground / "model"), str(ground / "set"), "-o", str(ground / "out"), "--shown", "4"]
    assert main(words) == 0
    return ground / "out"


@pytest.fixture(scope="module")
def others(ground: Path) -> Path:
    """A folder with a folder for each other page."""
    with pytest.MonkeyPatch.context() as here:
        here.chdir(ground)
        for command in OTHERS.values():
            assert main(command.split()) in {0, 1}, command  # 1: one file is unreadable
    return ground


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[WebDriver]:
    """Headless Chromium with a profile of its own, which logs all it asks for."""
    for program in (CHROMIUM, DRIVER):
        if not program.exists():
            pytest.skip(f"{program} is not there")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER), log_output=subprocess.DEVNULL))
    try:
        driver.get("about:blank")
        for kind in ("browser", "performance"):
            log(driver, kind)  # what the first tab did is not the page's doing
        yield driver
    finally:
        driver.quit()


def open_page(browser: WebDriver, report: Path) -> str:
    """Open the page and scroll through it; its address."""
    address = (report / "index.html").as_uri()
    browser.get(address)
    browser.execute_script("for (const one of document.querySelectorAll('details')) one.open = true;")
    browser.execute_script("window.scrollTo(0, document.body.scrollHeight);")
    return address


def show(browser: WebDriver, *, width: int = 1200, scheme: str = "light") -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def log(browser: Any, kind: str) -> list[dict[str, Any]]:
    """What was logged since the last call."""
    entries: list[dict[str, Any]] = browser.get_log(kind)
    return entries


def requests(browser: WebDriver) -> list[str]:
    """Every address the page asked for."""
    events = [json.loads(entry["message"])["message"] for entry in log(browser, "performance")]
    found = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    sockets = [event["params"] for event in events if event["method"] == "Network.webSocketCreated"]
    return [one["request"]["url"] for one in found] + [one["url"] for one in sockets]


def test_the_page_asks_for_nothing_and_complains_of_nothing(browser: WebDriver, report: Path, tmp_path: Path) -> None:
    show(browser)
    address = open_page(browser, report)
    browser.save_screenshot(str(tmp_path / "page.png"))
    asked = requests(browser)
    assert address in asked, "the log works"
    assert [one for one in asked if urldefrag(one).url != address and not one.startswith("data:")] == []
    assert [entry for entry in log(browser, "browser") if entry["level"] in {"WARNING", "SEVERE"}] == []
    broken = "return [...document.images].filter(one => !one.complete || !one.naturalWidth).length"
    assert browser.execute_script("return document.images.length") > 10
    for image in browser.find_elements(By.TAG_NAME, "img"):
        browser.execute_script("arguments[0].scrollIntoView();", image)
    assert browser.execute_script(broken) == 0
    assert (report / "index.html").stat().st_size < 8 * 2**20


def test_the_logs_would_show_a_request_and_a_complaint(browser: WebDriver, report: Path, tmp_path: Path) -> None:
    text = (report / "index.html").read_text()
    (tmp_path / "index.html").write_text(
        re.sub(r"<meta http-equiv=[^>]+>", "", text).replace("</main>", '<img src="missing.png"></main>')
    )
    open_page(browser, tmp_path)
    assert (tmp_path / "missing.png").as_uri() in requests(browser)
    assert [entry for entry in log(browser, "browser") if entry["level"] == "SEVERE"]


def test_the_accuracy_is_found_by_its_name(browser: WebDriver, report: Path) -> None:
    open_page(browser, report)
    summary = json.loads((report / "summary.json").read_text())
    told = {}
    for element in browser.find_elements(By.CSS_SELECTOR, "[aria-label^='Accuracy']"):
        name, _, value = str(element.accessible_name).partition(": ")
        assert element.text == value
        told[name] = value
    expected = {f"Accuracy (top {k})": summary["accuracy"][f"top{k}"]["value"] for k in (1, 5)}
    assert told == {name: f"{100 * value:.1f} %" for name, value in expected.items()}
    assert 0.2 < expected["Accuracy (top 1)"] < 1
    regions = browser.find_elements(By.CSS_SELECTOR, "section, nav, [role=region], svg[role=img]")
    assert len(regions) > 12
    assert all(element.accessible_name for element in regions)
    assert {element.aria_role for element in browser.find_elements(By.TAG_NAME, "section")} == {"region"}
    assert all(image.accessible_name for image in browser.find_elements(By.TAG_NAME, "img"))


OVER = """return [...document.querySelectorAll("main *")].filter(one =>
    (!one.closest(".scroll, pre, svg") && one.getBoundingClientRect().right > window.innerWidth + 1)
    || (one.matches("th[scope=row]") && one.innerText.length > 9 && one.offsetWidth < 70)
).map(one => one.outerHTML.slice(0, 80))"""
"""What hangs over the edge, and names of rows that are squeezed to a letter a line."""


@pytest.mark.parametrize("width", [1200, 400])
def test_nothing_hangs_over_the_edge(browser: WebDriver, report: Path, tmp_path: Path, width: int) -> None:
    show(browser, width=width)
    open_page(browser, report)
    browser.save_screenshot(str(tmp_path / f"{width}.png"))
    seen, inner = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert inner == width
    assert seen <= width
    assert browser.execute_script(OVER) == []


def test_every_link_leads_to_its_section(browser: WebDriver, report: Path) -> None:
    show(browser)
    open_page(browser, report)
    links = browser.find_elements(By.TAG_NAME, "a")
    assert len(links) == 1 + len(browser.find_elements(By.CSS_SELECTOR, "main > section[id]"))
    for link in links:
        target = str(link.get_dom_attribute("href"))
        assert target.startswith("#")
        browser.execute_script("arguments[0].click();", link)
        top = browser.execute_script("return document.querySelector(':target').getBoundingClientRect().top")
        assert -1 <= top < 900, f"{target} is not in sight"
        assert str(browser.current_url).endswith(target)


def test_the_keyboard_reaches_everything_in_order(browser: WebDriver, report: Path) -> None:
    show(browser)
    browser.get((report / "index.html").as_uri())
    wanted = browser.execute_script(
        "return [...document.querySelectorAll('a, summary, [tabindex]')]"
        ".filter(one => one.checkVisibility()).map(one => one.outerHTML.slice(0, 60))"
    )
    reached = []
    for _ in wanted:
        browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.append(browser.execute_script("return document.activeElement.outerHTML.slice(0, 60)"))
        if len(reached) == 1:
            skip = browser.execute_script("return document.activeElement.getBoundingClientRect().left")
            assert skip >= 0, "the skip link shows itself"
    assert reached == wanted
    assert [one for one in reached if 'href="#record"' in one]
    assert [one for one in reached if one.startswith("<summary>")]


CONTRAST = """
const parse = text => { const [r, g, b, a] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a ?? 1]; };
const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
const light = colour => { const [r, g, b] = colour.slice(0, 3).map(v => v / 255).map(
  v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ground = one => { const layers = [];
  for (let at = one; at; at = at.parentElement) layers.unshift(parse(getComputedStyle(at).backgroundColor));
  return layers.reduce((below, top) => over(top, below), [255, 255, 255, 1]); };
for (const cell of document.querySelectorAll(".hit, .miss")) cell.style.setProperty("--share", 1);
return [...document.querySelectorAll("body *")].filter(one => one.checkVisibility() && !one.matches(".zero, .skip")
  && !one.closest("svg") && [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim())
).map(one => { const below = ground(one), ink = over(parse(getComputedStyle(one).color), below);
  const [a, b] = [light(ink), light(below)].sort((x, y) => y - x);
  return [(a + 0.05) / (b + 0.05), one.outerHTML.slice(0, 80)]; });
"""


def test_both_colour_schemes_can_be_read(browser: WebDriver, report: Path, tmp_path: Path) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        show(browser, scheme=scheme)
        open_page(browser, report)
        browser.save_screenshot(str(tmp_path / f"{scheme}.png"))
        grounds[scheme] = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        contrasts: list[Any] = browser.execute_script(CONTRAST)
        assert len(contrasts) > 100
        assert [(round(value, 2), text) for value, text in contrasts if value < 4.5] == []
    assert (
        sum(map(int, re.findall(r"\d+", grounds["dark"]))) < 150 < sum(map(int, re.findall(r"\d+", grounds["light"])))
    )


def test_without_javascript_it_reads_the_same(browser: WebDriver, report: Path) -> None:
    address = (report / "index.html").as_uri()
    texts = []
    for is_off in (False, True):
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": is_off})
        browser.get(address)
        texts.append(browser.find_element(By.TAG_NAME, "body").text)
    assert texts[0] == texts[1]
    assert "How good it is" in texts[0]
    assert "no.png: not a picture of a known format" in texts[0]


WRITTEN = """
return [...document.querySelectorAll("svg text")].filter(one => one.checkVisibility() && one.textContent.trim()).map(
  one => [getComputedStyle(one).fill, getComputedStyle(document.body).backgroundColor, one.textContent]);
"""


@pytest.mark.parametrize("name", OTHERS)
def test_the_other_pages_are_whole_too(browser: WebDriver, others: Path, tmp_path: Path, name: str) -> None:
    for width, scheme in ((1200, "light"), (400, "dark")):
        show(browser, width=width, scheme=scheme)
        address = open_page(browser, others / name)
        browser.save_screenshot(str(tmp_path / f"{name}-{width}.png"))
        assert [one for one in requests(browser) if urldefrag(one).url != address and not one.startswith("data:")] == []
        assert [entry for entry in log(browser, "browser") if entry["level"] in {"WARNING", "SEVERE"}] == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script(OVER) == []
        contrasts: list[Any] = browser.execute_script(CONTRAST)
        assert len(contrasts) > 20
        assert [(round(value, 2), text) for value, text in contrasts if value < 4.5] == []
        assert [told for told in browser.execute_script(WRITTEN) if contrast(*told[:2]) < 4.5] == []
    assert "data:image/" in browser.page_source
    assert all(image.accessible_name for image in browser.find_elements(By.TAG_NAME, "img"))
    assert all(one.accessible_name for one in browser.find_elements(By.CSS_SELECTOR, "section, svg[role=img]"))


def contrast(ink: str, ground: str) -> float:
    """Of two opaque colours, as WCAG counts it."""
    lights = []
    for colour in (ink, ground):
        parts = [float(part) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)
