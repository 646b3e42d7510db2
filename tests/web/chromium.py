"""Debian's chromium without a window, and how a person finds things on a page."""

import shutil

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
driven = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="apt-get install chromium chromium-driver"),
]
PATIENCE_S = 90


def found(browser, selector, text=""):
    """Return the first element of a selector that has a text, once it is there."""

    def look(browser):
        each = browser.find_elements(By.CSS_SELECTOR, selector)
        return next((element for element in each if text in element.text), None)

    return waiting(browser).until(look, f"{selector} with {text!r}")


def until(browser, holds):
    waiting(browser).until(lambda _: holds())


def waiting(browser):
    """Return what waits for something; the page may draw anew what is looked at."""
    gone = [StaleElementReferenceException]
    return WebDriverWait(browser, PATIENCE_S, ignored_exceptions=gone)
