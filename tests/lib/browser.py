"""Headless Chromium, driven through a pipe (DevTools protocol); nothing but Python is needed for it.

    with Browser(folder, prefix=net.prefix('edge-1')) as browser:
        browser.open('http://127.0.0.1:5001/', width=1280)
        browser.js('document.title')
        browser.picture('/tmp/page.png')
"""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time

PROGRAM = shutil.which('chromium') or shutil.which('chromium-browser')
FLAGS = ('--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking '
         '--disable-component-update --disable-sync --disable-extensions --hide-scrollbars --mute-audio '
         '--disable-dev-shm-usage --remote-debugging-pipe').split()
# How many pixels of a picture are near each of these colours.
COUNT = """(async (png, colours) => {
  const image = new Image(); image.src = 'data:image/png;base64,' + png; await image.decode();
  const canvas = document.createElement('canvas'); canvas.width = image.width; canvas.height = image.height;
  const paper = canvas.getContext('2d'); paper.drawImage(image, 0, 0);
  const px = paper.getImageData(0, 0, image.width, image.height).data, sums = colours.map(() => 0);
  for (let i = 0; i < px.length; i += 4)
    colours.forEach((c, n) => {
      if (Math.abs(px[i] - c[0]) + Math.abs(px[i + 1] - c[1]) + Math.abs(px[i + 2] - c[2]) < 12) sums[n]++;
    });
  return sums; })"""


class Browser:
    def __init__(self, folder, prefix=()):
        self.profile = tempfile.mkdtemp(prefix='chromium-', dir=folder)
        commands, self.to = os.pipe()
        self.came, events = os.pipe()
        with open(os.path.join(folder, 'chromium.log'), 'wb') as log:
            self.process = subprocess.Popen(
                ['bash', '-c', f'exec "$@" 3<&{commands} 4>&{events}', 'bash', *prefix, PROGRAM, *FLAGS,
                 '--user-data-dir=' + self.profile, 'about:blank'],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(commands, events))
        os.close(commands)
        os.close(events)
        self.last, self.rest, self.session, self.events = 0, b'', None, []
        page = next(t for t in self.ask('Target.getTargets')['targetInfos'] if t['type'] == 'page')
        self.session = self.ask('Target.attachToTarget', targetId=page['targetId'], flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.ask(domain + '.enable')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.to)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        os.close(self.came)
        shutil.rmtree(self.profile, ignore_errors=True)

    def read(self):
        while b'\0' not in self.rest:
            more = os.read(self.came, 1 << 20)
            if not more:
                raise AssertionError('the browser ended')
            self.rest += more
        message, self.rest = self.rest.split(b'\0', 1)
        return json.loads(message)

    def ask(self, method, **params):
        self.last += 1
        order = {'id': self.last, 'method': method, 'params': params}
        if self.session:
            order['sessionId'] = self.session
        os.write(self.to, json.dumps(order).encode() + b'\0')
        while True:
            said = self.read()
            if said.get('id') == self.last:
                if 'error' in said:
                    raise AssertionError(f'{method}: {said["error"]}')
                return said['result']
            self.events.append(said)

    def js(self, expression):
        said = self.ask('Runtime.evaluate', expression=expression, awaitPromise=True, returnByValue=True)
        if 'exceptionDetails' in said:
            raise AssertionError(f'{expression[:200]}: {json.dumps(said["exceptionDetails"])[:600]}')
        return said['result'].get('value')

    def size(self, width, height=900, dark=False, scale=1):
        self.ask('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=scale,
                 mobile=width < 600)
        self.ask('Emulation.setEmulatedMedia', features=[
            {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'},
            {'name': 'prefers-reduced-motion', 'value': 'reduce'}])

    def open(self, url, **size):
        self.size(**size)
        self.ask('Page.navigate', url=url)
        self.until('document.readyState === "complete"')

    def until(self, expression, seconds=20):
        """Waits until it is true in the page."""
        end = time.monotonic() + seconds
        while not self.js(expression):
            if time.monotonic() > end:
                raise AssertionError(f'in the page, in vain for {seconds} s: {expression}')
            time.sleep(0.05)

    def picture(self, path, whole=True):
        """A screenshot, also as a file; returns it as base64."""
        png = self.ask('Page.captureScreenshot', format='png', captureBeyondViewport=whole)['data']
        with open(path, 'wb') as f:
            f.write(base64.b64decode(png))
        return png

    def pixels(self, png, *colours):
        """How many pixels of a picture are near these colours ('#rrggbb')."""
        wanted = [[int(c[i:i + 2], 16) for i in (1, 3, 5)] for c in colours]
        return self.js(f'{COUNT}({json.dumps(png)}, {json.dumps(wanted)})')

    def troubles(self):
        """What the page's console and the policy complained of, and who else was asked."""
        bad = []
        for e in self.events:
            if e.get('method') == 'Runtime.exceptionThrown':
                bad.append(json.dumps(e['params']['exceptionDetails'])[:300])
            elif e.get('method') == 'Log.entryAdded' and e['params']['entry']['level'] == 'error':
                bad.append(e['params']['entry']['text'] + ' ' + e['params']['entry'].get('url', ''))
        return bad

    def asked(self):
        """URLs that were asked for."""
        return [e['params']['request']['url'] for e in self.events
                if e.get('method') == 'Network.requestWillBeSent']
