# SPDX-License-Identifier: Apache-2.0
"""A real browser, Chromium without a screen, reads and answers: with JavaScript off and on."""
import hashlib
import os
import time

import pytest

from world import wait_until
from world.machine import PATIENCE
from world.mails import BODY_CANARY, FILE_CANARY, canary_mail, make_mail, submit
from world.reader import code_in, link_in

webdriver = pytest.importorskip('selenium.webdriver', reason='the package python3-selenium is not installed')
from selenium.webdriver.common.by import By  # noqa: E402

pytestmark = [pytest.mark.needs('chromium', 'chromedriver'), pytest.mark.limit(180)]


class Browser:
    def __init__(self, server, folder, javascript):
        self.downloads = os.path.join(folder, f'downloads-{javascript}')
        os.makedirs(self.downloads)
        options = webdriver.ChromeOptions()
        for argument in ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
                         '--ignore-certificate-errors', '--no-first-run', '--disable-background-networking',
                         '--disable-component-update', '--disable-sync', '--window-size=412,915',
                         f'--user-data-dir={folder}/profile-{javascript}',
                         f'--host-resolver-rules=MAP portal.clinic.test {server.address}'):
            options.add_argument(argument)
        prefs = {'download.default_directory': self.downloads, 'download.prompt_for_download': False}
        if not javascript:
            prefs['profile.managed_default_content_settings.javascript'] = 2
        options.add_experimental_option('prefs', prefs)
        options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
        options.binary_location = '/usr/bin/chromium'
        service = webdriver.chrome.service.Service('/usr/bin/chromedriver', service_args=['--log-level=SEVERE'])
        self.driver = webdriver.Chrome(service=service, options=options)
        self.driver.set_page_load_timeout(30 * PATIENCE)

    def press(self, words):
        """Click the button or link with these words, wait for the next page."""
        old = self.driver.find_element(By.TAG_NAME, 'html')
        self.driver.find_element(
            By.XPATH, f'//button[contains(., "{words}")] | //a[contains(., "{words}")]').click()

        def changed():
            try:
                return self.driver.find_element(By.TAG_NAME, 'html') != old
            except Exception:
                return False
        wait_until(changed, 15, what=f'the page after "{words}"')

    @property
    def text(self):
        return self.driver.find_element(By.TAG_NAME, 'body').text

    def field(self, name):
        return self.driver.find_element(By.NAME, name)

    def close(self):
        self.driver.quit()


@pytest.fixture
def browse(folder):
    made = []

    def make(server, javascript):
        made.append(Browser(server, folder, javascript))
        return made[-1]
    yield make
    for browser in made:
        browser.close()


@pytest.mark.parametrize('javascript', [False, True], ids=['without-javascript', 'with-javascript'])
def test_from_notice_to_reply(world, house, browse, folder, javascript):
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    server = house(world)
    mail = canary_mail(['patient@plain.test'])
    assert submit(server, mail, ['patient@plain.test'])[0] == 250
    link = link_in(plain.wait(1)[0])
    browser = browse(server, javascript)
    driver = browser.driver
    if not javascript:  # is it really off?
        driver.get('data:text/html,<title>off</title><script>document.title="on"</script>')
        assert driver.title == 'off'
    # Link, first page: ask for the code. Second page: type it. Then the plaintext.
    driver.get(link)
    assert 'Test Clinic' in browser.text
    assert BODY_CANARY not in driver.page_source
    browser.press('E-mail me a code')
    code = code_in(plain.wait(2)[1])
    browser.field('typed').send_keys(code)
    browser.press('Show the message')
    assert 'About quartz-appointment-subject' in browser.text
    driver.switch_to.frame(driver.find_element(By.TAG_NAME, 'iframe'))
    assert BODY_CANARY in browser.text
    driver.switch_to.default_content()
    # The attachment comes to the disk unharmed.
    driver.find_element(By.XPATH, f'//a[contains(., "{FILE_CANARY}")]').click()
    saved = os.path.join(browser.downloads, FILE_CANARY + '.bin')
    wait_until(lambda: os.path.exists(saved), 20, what='the download')
    original = [part for part in mail.iter_attachments()][0].get_content()
    with open(saved, 'rb') as file:
        assert hashlib.sha256(file.read()).digest() == hashlib.sha256(original).digest()
    # A reply with a file.
    path = os.path.join(folder, 'reply-photo.png')
    picture = os.urandom(70000)
    with open(path, 'wb') as file:
        file.write(picture)
    browser.press('Reply securely')
    browser.field('text').send_keys('Thank you. I am coming on Monday.')
    browser.field('file').send_keys(path)
    browser.press('Send reply')
    assert 'on its way' in browser.text
    # The sender has the receipt and the reply.
    got = world.clinic.wait(2)
    replies = [m for m in got if 'I am coming on Monday' in m.text('plain')]
    assert len(replies) == 1
    files = list(replies[0].mail.iter_attachments())
    assert files[0].get_filename() == 'reply-photo.png' and files[0].get_content() == picture
    receipts = [m for m in got if m is not replies[0]]
    assert len(receipts) == 1 and receipts[0].recipients == ['alice@clinic.test']
    # Nothing was blocked, missing or asked for elsewhere.
    problems = [entry for entry in driver.get_log('browser') if entry['level'] == 'SEVERE']
    assert problems == [], problems


def test_hostile_html_does_nothing_in_a_browser(world, house, browse):
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    server = house(world, {('account', 'clinic'): {'reader_proof': 'link'}})
    evil = ('<p id="m">kestrel-biopsy-finding</p><script>top.document.title="owned"</script>'
            '<img src="x" onerror="top.document.title=\'owned\'"><svg onload="top.document.title=\'owned\'">'
            '<a href="javascript:top.document.title=\'owned\'">press</a><style>*{display:none}</style>'
            '<iframe srcdoc="<script>top.document.title=\'owned\'</script>"></iframe>'
            '<form action="https://evil.test/"><button>go</button></form><math><mi><style><img src=x '
            'onerror="top.document.title=\'owned\'"></style></mi></math>')
    mail = make_mail(['patient@plain.test'], subject='<script>document.title="owned"</script>', body='text\n', html=evil)
    assert submit(server, mail, ['patient@plain.test'])[0] == 250
    browser = browse(server, True)
    browser.driver.get(link_in(plain.wait(1)[0]))
    browser.press('Show the message')
    time.sleep(1)
    assert browser.driver.title != 'owned'
    assert '<script>document.title' in browser.text  # the subject is shown as text
    browser.driver.switch_to.frame(browser.driver.find_element(By.TAG_NAME, 'iframe'))
    assert browser.driver.find_elements(By.TAG_NAME, 'script') == []
    assert 'kestrel-biopsy-finding' in browser.driver.page_source
    for link in browser.driver.find_elements(By.TAG_NAME, 'a'):
        assert not (link.get_attribute('href') or '').startswith('javascript')
    browser.driver.switch_to.default_content()
    assert browser.driver.title != 'owned'
