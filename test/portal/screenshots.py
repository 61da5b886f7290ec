#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Look at every page of the portal: screenshots.py BUILD OUT [PAGE…]

Walks the stand (test/portal/stand.c) with a real Chromium, scripts off, and writes OUT/PAGE-LOOK.png
for each page and each of light, dark, phone, phone-dark. Prints what the browser complained about.
"""
import os
import subprocess
import sys
import tempfile

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.ui import WebDriverWait

LOOKS = {'light': (1100, 800, 'light'), 'dark': (1100, 800, 'dark'),
         'phone': (390, 844, 'light'), 'phone-dark': (390, 844, 'dark')}


class Stand:
    def __init__(self, build, folder):
        self.process = subprocess.Popen([os.path.join(build, 'portal-stand'), folder], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.links = {}
        for line in self.process.stdout:
            words = line.split()
            if words[0] == 'url':
                self.url = words[1]
            elif words[0] == 'link':
                self.links[words[1]] = words[2]
            elif words[0] == 'ready':
                return

    def close(self):
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.wait(20)


def browser(folder):
    options = webdriver.ChromeOptions()
    options.binary_location = '/usr/bin/chromium'
    for flag in ('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
                 '--disable-background-networking', '--disable-component-update', '--disable-sync',
                 '--ignore-certificate-errors', '--hide-scrollbars', '--user-data-dir=' + folder):
        options.add_argument(flag)
    options.add_experimental_option('prefs', {
        'profile.managed_default_content_settings.javascript': 2})
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    return webdriver.Chrome(options=options,
                            service=webdriver.chrome.service.Service('/usr/bin/chromedriver'))


def shoot(driver, out, name):
    for look, (width, height, scheme) in LOOKS.items():
        driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {
            'features': [{'name': 'prefers-color-scheme', 'value': scheme}]})
        metrics = {'width': width, 'height': height, 'mobile': width < 600,
                   'deviceScaleFactor': 1}
        driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', metrics)
        size = driver.execute_cdp_cmd('Page.getLayoutMetrics', {})['cssContentSize']
        if size['width'] > width:
            print(f'{name}-{look}: {size["width"]} wide, must scroll sideways')
        metrics['height'] = max(height, int(size['height']))
        driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', metrics)
        driver.save_screenshot(os.path.join(out, f'{name}-{look}.png'))
    for line in driver.get_log('browser'):
        # Answers of 4xx are what some pages are.
        if 'the server responded with a status' not in line['message']:
            print(f'{name}: {line["message"]}')


def walk(driver, stand, wanted, out):
    def page(name):
        if not wanted or name in wanted:
            shoot(driver, out, name)

    def press(text):
        for button in driver.find_elements(By.CSS_SELECTOR, 'button, a.button'):
            if button.text == text:
                page_was = driver.find_element(By.TAG_NAME, 'html')
                button.click()
                WebDriverWait(driver, 10).until(expected_conditions.staleness_of(page_was))
                return
        raise SystemExit(f'no button {text} on {driver.current_url}')

    def type_in(text):
        driver.find_element(By.ID, 'typed').send_keys(text)

    driver.get(stand.url + '/')
    page('home')
    driver.get(stand.links['gone'])
    page('gone')
    driver.get(stand.links['link'])
    page('link')
    driver.get(stand.links['code'])
    page('code-start')
    press('E-mail me a code')
    page('code')
    type_in('999999')
    press('Show the message')
    page('code-wrong')
    type_in('123456')
    press('Show the message')
    page('message')
    press('Reply securely')
    page('reply')
    press('Send reply')
    page('reply-empty')
    driver.find_element(By.ID, 'text').send_keys('Thank you!')
    driver.find_element(By.ID, 'file').send_keys(os.path.abspath(__file__))
    press('Send reply')
    page('sent')
    driver.get(stand.links['code'] + '/reply')
    driver.delete_all_cookies()
    driver.find_element(By.ID, 'text').send_keys('A long letter.')
    press('Send reply')
    page('kept')
    driver.get(stand.links['answer'])
    page('answer')
    type_in('Rex the Great')
    press('Show the message')
    page('message-plain')
    driver.get(stand.links['answer'])
    for _ in range(2):
        type_in('Fido')
        press('Show the message')
    page('answer-wrong')
    type_in('Fido')
    press('Show the message')
    page('locked')


def main():
    if len(sys.argv) < 3:
        print(__doc__)
        return 2
    build, out, wanted = sys.argv[1], sys.argv[2], sys.argv[3:]
    os.makedirs(out, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        stand = Stand(build, folder)
        driver = browser(os.path.join(folder, 'chromium'))
        try:
            walk(driver, stand, wanted, out)
        finally:
            driver.quit()
            stand.close()
    return 0


sys.exit(main())
