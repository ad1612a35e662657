"""The page in a real browser: what it shows, that it sorts, filters and opens, and that nothing leaves it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from petl_bench.leaderboard.board import read_tables, reports_of
from petl_bench.leaderboard.web.details import details_of
from petl_bench.leaderboard.web.page import html_text
from petl_bench.profiling.profiles import write_profile
from petl_bench.results import ResultsTree
from petl_bench.switches import PROFILES
from tests.leaderboard.trees import plant, study_of
from tests.profiling.example import example

pytestmark = pytest.mark.xdist_group("browser")  # one is started, one page is written for most tests

Page = webdriver.Chrome


@pytest.fixture(scope="module")
def chrome() -> Iterator[Page]:
    """A headless Chromium that logs its console and every request."""
    browsers = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    browser, driver = next(filter(None, browsers), None), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no Chromium with its driver is installed (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    page = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield page
    page.quit()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two studies and of a published one."""
    folder = tmp_path_factory.mktemp("page")
    plant(folder / "results", *study_of({"linear": 0.3, "lora": 0.7, "full": 0.72}))
    plant(folder / "results", *study_of({"linear": 0.5, "lora": 0.6}, benchmark="esc10")[:-1])
    plant(folder / "results", *study_of({"lora": 0.6}, spec={"switches": PROFILES["published"]}))
    return write(folder / "results", folder)


@pytest.fixture
def page(chrome: Page, written: Path) -> Page:
    """That page, at a desktop's width."""
    return opened(chrome, written)


def write(tree: Path, folder: Path) -> Path:
    tables, problems = read_tables(tree)
    reports, left_out = reports_of(tables, every=True)
    keys = {row["config_key"] for report in reports for row in report["rows"]}
    path = folder / "leaderboard.html"
    details = details_of(tables, ResultsTree(tree).run_folders(), keys)
    path.write_text(html_text(reports, details, [*problems, *left_out]), "utf-8")
    return path


def show(chrome: Page, tree: Path, folder: Path, width: int = 1280) -> Page:
    return opened(chrome, write(tree, folder), width)


def opened(chrome: Page, path: Path, width: int = 1280) -> Page:
    chrome.get("about:blank")
    for log in ("browser", "performance"):
        chrome.get_log(log)
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    chrome.get(path.as_uri())
    return chrome


def boards(page: Page) -> list[WebElement]:
    return [board for board in page.find_elements(By.CSS_SELECTOR, ".board") if board.is_displayed()]


def names(board: WebElement) -> list[str]:
    shown = board.find_elements(By.CSS_SELECTOR, ".rows > tbody > tr[data-method]")
    return [row.get_attribute("data-method") or "" for row in shown if row.is_displayed()]


def board_of(page: Page, benchmark: str, switches: str = "corrected") -> WebElement:
    return page.find_element(By.CSS_SELECTOR, f'.board[data-benchmark="{benchmark}"][data-switches="{switches}"]')


def head(board: WebElement, key: str) -> WebElement:
    return board.find_element(By.CSS_SELECTOR, f'th[data-sort="{key}"]')


def overflow(page: Page) -> int:
    return int(page.execute_script("return document.documentElement.scrollWidth - innerWidth"))  # type: ignore[no-untyped-call]


def test_what_was_profiled_stands_among_the_details(chrome: Page, tmp_path: Path) -> None:
    runs = study_of({"linear": 0.3, "lora": 0.7}, seeds=1)
    tree = plant(tmp_path / "results", *runs)
    write_profile(tree.root, example(runs[0].record.spec.cost_key()))
    page = show(chrome, tree.root, tmp_path)
    for name, figures in (("linear", 1), ("lora", 0)):
        page.find_element(By.CSS_SELECTOR, f"tr[data-method={name}] button.name").click()
        opened = page.find_element(By.CSS_SELECTOR, f"tr[data-method={name}] + tr.detail")
        assert opened.text.count("0.125 GFLOPs per clip") == figures
        assert len(opened.find_elements(By.XPATH, ".//h3[.='Cost']")) == figures


def test_a_table_per_conditions_the_best_first(page: Page) -> None:
    assert len(boards(page)) == 3
    board = board_of(page, "synthetic")
    assert names(board) == ["full", "lora", "linear"]
    assert "200 test clips of 100 sources" in board.text
    cells = [cell.text for cell in board.find_elements(By.CSS_SELECTOR, "tr[data-method=lora] > *")]
    assert re.fullmatch(r"lora †( ◆)?", cells[0])
    assert float(cells[1]) == pytest.approx(70, abs=6)


def test_heads_sort_both_ways_and_say_so(page: Page) -> None:
    board = board_of(page, "synthetic")
    for key, first, then in (
        ("method", ["full", "linear", "lora"], "ascending"),
        ("method", ["lora", "linear", "full"], "descending"),
        ("score", ["full", "lora", "linear"], "descending"),
        ("score", ["linear", "lora", "full"], "ascending"),
    ):
        head(board, key).find_element(By.TAG_NAME, "button").click()
        assert names(board) == first
        assert head(board, key).get_attribute("aria-sort") == then
        assert len(board.find_elements(By.CSS_SELECTOR, "th[aria-sort]")) == 1


def test_an_open_row_stays_with_its_name_when_sorted(page: Page) -> None:
    board = board_of(page, "synthetic")
    board.find_element(By.CSS_SELECTOR, "tr[data-method=lora] button").click()
    head(board, "score").find_element(By.TAG_NAME, "button").click()
    after = board.find_element(By.CSS_SELECTOR, "tr[data-method=lora] + tr")
    assert after.get_attribute("class") == "detail"


def test_filters_narrow_and_the_count_says_what_is_left(page: Page) -> None:
    count = page.find_element(By.ID, "count")
    assert count.text == "6 of 6 configurations in 3 tables"
    Select(page.find_element(By.NAME, "benchmark")).select_by_visible_text("synthetic")
    assert count.text == "4 of 6 configurations in 2 tables"
    Select(page.find_element(By.NAME, "switches")).select_by_visible_text("published")
    assert [names(board) for board in boards(page)] == [["lora"]]
    Select(page.find_element(By.NAME, "switches")).select_by_visible_text("all")
    page.find_element(By.NAME, "method").send_keys("LIN")
    assert [names(board) for board in boards(page)] == [["linear"]]
    assert count.text == "1 of 6 configurations in 1 table"


def test_the_front_alone(page: Page) -> None:
    page.find_element(By.NAME, "front").click()
    assert names(board_of(page, "synthetic")) == ["full"]  # the runs of this tree all train as many parameters


def test_details_by_keyboard_alone(page: Page) -> None:
    row = board_of(page, "synthetic").find_element(By.CSS_SELECTOR, "tr[data-method=lora]")
    button = row.find_element(By.TAG_NAME, "button")
    assert button.get_attribute("aria-expanded") == "false"
    for _ in range(40):
        page.switch_to.active_element.send_keys(Keys.TAB)
        if page.switch_to.active_element == button:
            break
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert button.get_attribute("aria-expanded") == "true"
    detail = page.find_element(By.CSS_SELECTOR, "tr.detail")
    lines = [line.text.split() for line in detail.find_elements(By.CSS_SELECTOR, "table tbody tr")[1:]]
    assert [line[0] for line in lines] == ["1", "2", "3", "4", "5"]
    assert all(len(line) == 4 and all(0 <= float(score) <= 100 for score in line[1:]) for line in lines)
    assert "petl-bench run --methods lora --dataset synthetic --seeds 0-2 --epochs 4 --limit 2" in detail.text
    assert "pooling\nmean" in detail.text
    assert len(detail.find_elements(By.CSS_SELECTOR, "path.line")) == 2
    assert page.current_url.endswith(f"#{row.get_attribute('id')}")
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert page.find_elements(By.CSS_SELECTOR, "tr.detail") == []


def test_a_link_to_a_row_opens_it(page: Page) -> None:
    row = board_of(page, "esc10").find_element(By.CSS_SELECTOR, "tr[data-method=linear]").get_attribute("id")
    address = page.current_url
    page.get("about:blank")
    page.get(f"{address}#{row}")
    assert "--dataset esc10" in page.find_element(By.CSS_SELECTOR, f"[id='{row}'] + tr.detail").text


def test_an_address_that_changes_opens_another_row(page: Page) -> None:
    rows = page.find_elements(By.CSS_SELECTOR, "tr[data-method]")[:2]
    for row in rows:
        page.execute_script("location.hash = arguments[0]", row.get_attribute("id"))  # type: ignore[no-untyped-call]
        WebDriverWait(page, 5).until(lambda _, row=row: row.find_elements(By.CSS_SELECTOR, "[aria-expanded=true]"))


@pytest.mark.parametrize("value", ["null", "[1]", '"x"', "NaN", "1e999"])
def test_odd_epochs_take_no_row_off_the_page(chrome: Page, tmp_path: Path, value: str) -> None:
    tree = tmp_path / "results"
    plant(tree, *study_of({"linear": 0.5}, seeds=1))
    first = next(tree.glob("*/*/*/*/epochs.jsonl"))
    first.write_text(first.read_text().replace("0.5", value, 1))
    page = show(chrome, tree, tmp_path)
    page.find_element(By.CSS_SELECTOR, "button.name").click()
    assert "Optimizer" in page.find_element(By.CSS_SELECTOR, "tr.detail").text
    assert page.get_log("browser") == []


def test_a_point_opens_its_row(page: Page) -> None:
    board = board_of(page, "synthetic")
    dots = board.find_elements(By.CSS_SELECTOR, ".scatter circle")
    assert len(dots) == 3
    page.execute_script("arguments[0].dispatchEvent(new Event('click'))", dots[0])  # type: ignore[no-untyped-call]
    assert board.find_element(By.CSS_SELECTOR, "button[aria-expanded=true]").text.endswith("full")


@pytest.mark.parametrize("width", [340, 390, 768])
def test_narrow_screens_need_no_sideways_scrolling(chrome: Page, tmp_path: Path, width: int) -> None:
    long = "conformer (placement.location = both, placement.layers = last:4, kernel_size = 31, reduction_rate = 64)"
    tree = tmp_path / "results"
    plant(tree, *study_of({"linear": 0.5, long: 0.8}))
    page = show(chrome, tree, tmp_path, width)
    for button in page.find_elements(By.CSS_SELECTOR, "button.name"):
        button.click()
    assert overflow(page) <= 0


def test_no_request_leaves_the_page_and_nothing_is_complained_of(page: Page) -> None:
    for button in page.find_elements(By.CSS_SELECTOR, "button.name"):
        button.click()
    asked = re.findall(r'"method":"Network.requestWillBeSent".*?"url":"(.*?)"', str(page.get_log("performance")))
    assert {url for url in asked if not url.startswith(("data:", "about:"))} <= {page.current_url.partition("#")[0]}
    assert page.get_log("browser") == []


def test_names_are_text_whatever_they_are(chrome: Page, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    image = '"><img src=x onerror=alert(2)>'
    closing = "</script><script>alert(3)</script>"
    tree = tmp_path / "results"
    benchmark = f"{closing}&amp;"
    plant(tree, *study_of({evil: 0.5, image: 0.6}, benchmark=benchmark))
    plant(tree, *study_of({"linear": 0.7}, benchmark=benchmark, overrides={"pooling": closing}))
    page = show(chrome, tree, tmp_path)
    assert sorted(names(boards(page)[0])) == sorted([evil, image, f"linear (pooling = {closing})"])
    for button in page.find_elements(By.CSS_SELECTOR, "button.name"):
        button.click()
    shown = page.find_element(By.TAG_NAME, "main").text
    assert all(text in shown for text in (evil, image, f"{closing}&amp;, backbone mini"))
    assert closing in [value.text for value in page.find_elements(By.CSS_SELECTOR, "dd.given")]
    assert page.find_elements(By.TAG_NAME, "img") == []
    assert len(page.find_elements(By.TAG_NAME, "script")) == 2
    with pytest.raises(NoAlertPresentException):
        page.switch_to.alert.accept()
    assert page.get_log("browser") == []


def test_a_hundred_configurations_are_a_small_page(tmp_path: Path) -> None:
    tree = tmp_path / "results"
    for benchmark in ("synthetic", "esc10"):
        methods = {f"method-{at:03d}": 0.3 + 0.01 * at for at in range(50)}
        plant(tree, *study_of(methods, seeds=1, clips=10, benchmark=benchmark))
    path = write(tree, tmp_path)
    assert path.read_text("utf-8").count("data-method=") == 100
    assert path.stat().st_size < 1_500_000


def test_a_page_without_runs(chrome: Page, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    page = show(chrome, tmp_path / "results", tmp_path)
    assert "No runs yet" in page.find_element(By.TAG_NAME, "main").text
    assert page.get_log("browser") == []
