// O11, S4 in a real Chromium: the page reads well for people and for axe-core, works by keyboard and at 360 pixels,
// breaks none of its own rules, runs nothing that comes from outside, and no other page gets at it.
'use strict'

const { test, describe, before, after } = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const http = require('node:http')
const os = require('node:os')
const path = require('node:path')
const { openPage } = require('../lib/monitor/web/server')
const { Watch } = require('../lib/monitor/loop')
const scenes = require('./helpers/monitor-scenes')
const { SEQUENCES } = require('./helpers/terminal-sequences')

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((file) => fs.existsSync(file))
const ARGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
]
const skip = CHROMIUM === undefined && !process.env.CI ? 'NOT TESTED: there is no Chromium here (Debian: apt-get install chromium)' : false
if (skip) console.log(skip)

/** What a name would have to be to run in a page. */
const XSS = [
  '<script>hit()</script>', '<img src=x onerror=hit()>', '"><script>hit()</script>', "'><img src=x onerror=hit()>", '<svg onload=hit()>',
  '<svg><script>hit()</script></svg>', '<iframe srcdoc="<script>parent.hit()</script>">', '<body onload=hit()>', 'javascript:hit()',
  '<a href="javascript:hit()">x</a>', '<details open ontoggle=hit()>', '<input autofocus onfocus=hit()>', '<select autofocus onfocus=hit()>',
  '<video><source onerror=hit()></video>', '<audio src=x onerror=hit()>', '<object data="javascript:hit()">', '<embed src="javascript:hit()">',
  '<math><mi xlink:href="javascript:hit()">x</mi></math>', '<link rel=stylesheet href=//evil.example/x.css>', '<style>@import "//evil.example/x.css"</style>',
  '<base href=//evil.example/>', '<meta http-equiv=refresh content="0;url=//evil.example">', '<form action=//evil.example><button>x', '{{constructor.constructor("hit()")()}}',
  '${hit()}', '`${hit()}`', '</script><script>hit()</script>', '</title><script>hit()</script>', '</style><script>hit()</script>', '--><script>hit()</script>',
  ']]><script>hit()</script>', '\\u003cscript\\u003ehit()\\u003c/script\\u003e', '&lt;script&gt;hit()&lt;/script&gt;', '%3Cscript%3Ehit()%3C/script%3E',
  '<scr\u0000ipt>hit()</scr\u0000ipt>', '\ufeff<script>hit()</script>', '__proto__', 'constructor', 'data: {"verdict":[]}\n\ndata: {}', '<template><script>hit()</script></template>',
]

/** Whatever has not come by then does not come, however busy the machine is. */
const HANGS_MS = 120_000

let browser
let folder

/** A page that shows a scene, as it changes. */
async function served(t, make) {
  const page = await openPage()
  const watch = new Watch({ take: make })
  const show = async () => page.show(await watch.next())
  await show()
  const timer = setInterval(show, 250)
  t.after(async () => {
    clearInterval(timer)
    await page.close()
  })
  return page
}

const stuckFrom = (at) => () => scenes.stuck(Date.now(), at)

/** Another profile of the browser, gone with the test. */
async function contextOf(t, options = {}) {
  const context = await browser.newContext(options)
  context.setDefaultTimeout(HANGS_MS)
  t.after(() => context.close())
  return context
}

/** A tab with the page in it; what it complains of is collected. */
async function tab(t, url, options = {}) {
  const context = await contextOf(t, { viewport: { width: 1200, height: 900 }, ...options })
  const complaints = []
  const requests = []
  const page = await context.newPage()
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('request', (request) => requests.push(`${request.method()} ${new URL(request.url()).pathname}`))
  await page.addInitScript(() => {
    globalThis.hits = 0
    globalThis.hit = () => (globalThis.hits += 1)
    globalThis.violations = []
    new MutationObserver((_, observer) => {
      if (document.querySelector('.verdict') === null) return
      globalThis.firstMs = performance.now()
      observer.disconnect()
    }).observe(document, { childList: true, subtree: true })
    addEventListener('securitypolicyviolation', (event) => globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI}`))
  })
  await page.goto(url)
  await page.waitForSelector('.verdict')
  await page.waitForSelector('#timeline .axis')
  return { page, complaints, requests }
}

describe('page', { skip, concurrency: false, timeout: 600_000 }, () => {
  before(async () => {
    assert.ok(CHROMIUM, 'there is no Chromium: .ci/run installs it')
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-page-'))
    const { chromium } = require('playwright-core')
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS, timeout: HANGS_MS })
  })
  after(async () => {
    await browser?.close()
    // Pictures are kept where somebody asks for them.
    if (process.env.CHAINLOCK_KEEP_SCREENSHOTS === '1') console.log(`screenshots: ${folder}`)
    else fs.rmSync(folder, { recursive: true, force: true })
  })

  for (const [name, options] of Object.entries({
    light: { colorScheme: 'light' },
    dark: { colorScheme: 'dark' },
    'light at 360 pixels': { colorScheme: 'light', viewport: { width: 360, height: 800 } },
    'dark at 360 pixels': { colorScheme: 'dark', viewport: { width: 360, height: 800 } },
  })) {
    test(`${name}: axe-core finds nothing, nothing is wider than the window, no rule is broken`, async (t) => {
      const shown = { stuck: stuckFrom(Date.now()), odd: () => scenes.odd(Date.now()) }
      if (name === 'light') Object.assign(shown, { circle: () => scenes.circle(Date.now()), quiet: () => scenes.snapshot({ takenAtMs: Date.now() }) })
      for (const [scene, make] of Object.entries(shown)) {
        const { url } = await served(t, make)
        // Playwright lets axe-core in past the page's own rules; they are tested without it below.
        const { page, complaints } = await tab(t, url, { ...options, bypassCSP: true })
        if (scene === 'stuck') await page.locator('#locks button').first().click()
        await page.addScriptTag({ path: require.resolve('axe-core/axe.min.js') })
        const { violations } = await page.evaluate(() => globalThis.axe.run())
        assert.deepEqual(violations.map(({ id, nodes }) => `${scene}: ${id} at ${nodes.map(({ html }) => html).join(' ')}`), [])
        const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
        assert.ok(wide <= window, `${scene}: ${wide} pixels in ${window}`)
        assert.deepEqual(complaints, [])
        const file = path.join(folder, `${scene}-${name.replaceAll(' ', '-')}.png`)
        await page.screenshot({ path: file, fullPage: true })
        assert.ok(fs.statSync(file).size > 5_000)
      }
    })
  }

  test('one request and one stream; the verdict soon after; no rule broken, nothing logged', async (t) => {
    const { url } = await served(t, stuckFrom(Date.now()))
    const { page, complaints, requests } = await tab(t, url)
    t.diagnostic(`the first verdict stood after ${(await page.evaluate(() => globalThis.firstMs)).toFixed(0)} ms`)
    assert.deepEqual(requests, ['GET /', 'GET /stream'])
    await page.locator('#locks button').first().click()
    await page.fill('#filter', 'ind')
    await page.locator('#heads button').nth(4).click()
    await page.waitForTimeout(1_500)
    assert.deepEqual(await page.evaluate(() => globalThis.violations), [])
    assert.deepEqual(complaints, [])
  })

  test('by keyboard alone: filter, pause, a lock opened, a command copied, an order chosen', async (t) => {
    const { url } = await served(t, stuckFrom(Date.now()))
    const { page } = await tab(t, url, { permissions: ['clipboard-read', 'clipboard-write'] })
    const focused = () => page.evaluate(() => document.activeElement.textContent || document.activeElement.id)
    await page.keyboard.press('Tab')
    assert.equal(await focused(), 'copy command')
    await page.keyboard.press('Enter')
    await page.waitForFunction(() => document.getElementById('said').textContent.startsWith('copied'))
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'chainlock why send --pid 4242')
    // The verdict grows older meanwhile; the focus stays in it.
    await page.waitForTimeout(1_500)
    assert.equal(await focused(), 'copy command')
    await page.keyboard.press('/')
    await page.keyboard.type('index')
    await page.waitForFunction(() => document.querySelectorAll('#locks tr').length === 1)
    await page.keyboard.press('Tab')
    assert.equal(await focused(), 'pause')
    await page.keyboard.press('Space')
    assert.equal(await page.getAttribute('#pause', 'aria-pressed'), 'true')
    await page.keyboard.press('p')
    assert.equal(await page.getAttribute('#pause', 'aria-pressed'), 'false')
    for (let tabs = 0; (await focused()) !== 'index'; tabs += 1) {
      assert.ok(tabs < 30, 'no way to the lock')
      await page.keyboard.press('Tab')
    }
    await page.keyboard.press('Enter')
    await page.waitForSelector('#locks .more')
    assert.match(await page.textContent('#locks .more'), /flock 977 \(foreign\)/)
    await page.waitForTimeout(1_500)
    assert.equal(await focused(), 'index')
  })

  test('a verdict is read out when it is new, and not again while it lasts', async (t) => {
    const start = Date.now()
    let make = stuckFrom(start)
    const { url } = await served(t, () => make())
    const { page } = await tab(t, url)
    await page.evaluate(() => {
      globalThis.told = []
      new MutationObserver(() => globalThis.told.push(document.getElementById('said-verdict').textContent)).observe(document.getElementById('said-verdict'), { childList: true, characterData: true, subtree: true })
    })
    assert.equal(await page.getAttribute('#said-verdict', 'aria-live'), 'polite')
    await page.waitForTimeout(1_500)
    assert.deepEqual(await page.evaluate(() => globalThis.told), [])
    make = () => scenes.circle(Date.now())
    await page.waitForFunction(() => globalThis.told.length > 0)
    assert.match(await page.evaluate(() => globalThis.told.at(-1)), /^DEADLOCK layer one holds/)
    assert.match(await page.title(), /^DEADLOCK/)
  })

  test('who asks for less motion gets none', async (t) => {
    const { url } = await served(t, stuckFrom(Date.now()))
    const { page } = await tab(t, url, { reducedMotion: 'reduce' })
    assert.equal(await page.evaluate(() => document.getAnimations().length), 0)
  })

  test(`${XSS.length} names that would run, as names of everything: 0 run, 0 rules broken`, async (t) => {
    assert.ok(XSS.length >= 40)
    const { url } = await served(t, () => {
      const locks = XSS.map((text, index) =>
        scenes.lock(text, {
          holders: [scenes.holder({ layer: text, label: text, command: text, waitsFor: `4242:lock:${XSS[(index + 1) % XSS.length]}` })],
          waiters: [scenes.waiter(1, { layer: text, label: text, command: text })],
          events: [scenes.event(Date.now() - 1_000, 'forced', { layer: text, other: text, spanMs: 5 })],
        }),
      )
      const verdict = XSS.slice(0, 20).map((text, index) => ({ rule: 'STUCK', level: 'bad', lock: text, lockId: locks[index].id, pid: index, sentence: text, evidence: [text], next: text, since: null }))
      const processes = XSS.map((text, index) => scenes.processView(index + 1, { command: text }))
      const unseen = XSS.map((text, index) => ({ pid: index, command: text, reason: 'permission', advice: text }))
      return scenes.snapshot({ takenAtMs: Date.now(), locks, verdict, processes, unseen })
    })
    const { page } = await tab(t, url)
    for (const button of (await page.locator('#locks th button').all()).slice(0, 40)) await button.click()
    await page.waitForTimeout(1_500)
    assert.equal(await page.evaluate(() => globalThis.hits), 0)
    assert.deepEqual(await page.evaluate(() => globalThis.violations), [])
    const shown = await page.locator('#locks th button').allTextContents()
    for (const text of ['<script>hit()</script>', '__proto__', '{{constructor.constructor("hit()")()}}']) assert.ok(shown.includes(text), text)
  })

  test(`${SEQUENCES.length} sequences for terminals are no concern of a page, and shown clean`, async (t) => {
    const { url } = await served(t, () => scenes.snapshot({ takenAtMs: Date.now(), locks: SEQUENCES.slice(0, 150).map((text) => scenes.lock(text, { holders: [scenes.holder({ layer: text })] })) }))
    const { page } = await tab(t, url)
    assert.doesNotMatch(await page.textContent('#locks'), /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/)
  })

  describe('from another page', () => {
    /** A page of another site, served by a server of its own, that tries to get at ours. */
    async function attacker(t, body) {
      const server = http.createServer((_request, response) => {
        response.writeHead(200, { 'content-type': 'text/html' })
        response.end(`<!doctype html><title>attack</title><body>${body}`)
      })
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
      t.after(() => server.close())
      return server.address().port
    }

    /** What a script of that page gets out of a fetch: a text, an opaque answer or an error. */
    async function fetched(t, url, options, from = '127.0.0.1', ourName = '127.0.0.1') {
      const port = await attacker(t, '')
      const context = await contextOf(t)
      const page = await context.newPage()
      await page.goto(`http://${from}:${port}/`)
      const { port: ours, hash } = new URL(url)
      return page.evaluate(
        async ([where, options]) => {
          try {
            const answer = await fetch(where, options)
            return { type: answer.type, status: answer.status, text: answer.type === 'opaque' ? '' : (await answer.text()).slice(0, 200) }
          } catch (error) {
            return { error: String(error) }
          }
        },
        [`http://${ourName}:${ours}/`, options, hash],
      )
    }

    test('cross-origin and no-cors requests get nothing, with the token or without', async (t) => {
      const { url } = await served(t, stuckFrom(Date.now()))
      const token = new URL(url).hash.slice(1)
      for (const options of [{}, { mode: 'no-cors' }, { mode: 'no-cors', credentials: 'include' }, { headers: { authorization: `Bearer ${token}` } }, { method: 'POST', mode: 'no-cors', body: 'x' }]) {
        for (const name of ['127.0.0.1', 'localhost']) {
          const got = await fetched(t, url, options, '127.0.0.1', name)
          assert.ok(got.error !== undefined || (got.type === 'opaque' && got.status === 0), JSON.stringify(got))
        }
      }
    })

    test('a name that points here (rebinding): refused, whatever the page then is', async (t) => {
      const { url, port } = await served(t, stuckFrom(Date.now()))
      const { chromium } = require('playwright-core')
      const rebound = await chromium.launch({ executablePath: CHROMIUM, args: [...ARGS, '--host-resolver-rules=MAP evil.test 127.0.0.1'], timeout: HANGS_MS })
      t.after(() => rebound.close())
      const page = await rebound.newPage()
      page.setDefaultTimeout(HANGS_MS)
      const answer = await page.goto(`http://evil.test:${port}/${new URL(url).hash}`)
      assert.equal(answer.status(), 421)
      assert.ok(!(await answer.text()).includes('<script'))
      // Even this refusal's policy lets its page ask for nothing.
      const status = await page.evaluate(async (token) => {
        const answer = await fetch('/stream', { headers: { authorization: `Bearer ${token}` } }).catch(() => null)
        return answer?.status ?? null
      }, new URL(url).hash.slice(1))
      assert.ok(status === null || status === 421, String(status))
    })

    test('frames, images, scripts, styles and forms of another page stay empty', async (t) => {
      const { url } = await served(t, stuckFrom(Date.now()))
      const ours = url.replace(/#.*/, '')
      const port = await attacker(
        t,
        `<iframe id=f src="${url}"></iframe><object data="${url}"></object><embed src="${url}"><img id=i src="${ours}"><script id=s src="${ours}stream" onload="loaded=1"></script>` +
          `<link rel=stylesheet href="${ours}"><form id=form method=post target=t action="${ours}stream"></form><iframe name=t></iframe>`,
      )
      const context = await contextOf(t)
      const page = await context.newPage()
      const statuses = []
      page.on('response', (response) => response.url().startsWith(ours) && statuses.push(response.status()))
      await page.goto(`http://127.0.0.1:${port}/`)
      await page.evaluate(() => document.getElementById('form').submit())
      await page.waitForTimeout(1_500)
      assert.ok(statuses.length > 0)
      assert.ok(statuses.every((status) => status === 403 || status === 405), String(statuses))
      for (const frame of page.frames().slice(1)) assert.equal(await frame.locator('#verdict').count(), 0)
      assert.equal(await page.evaluate(() => document.getElementById('i').naturalWidth), 0)
      assert.equal(await page.evaluate(() => globalThis.loaded), undefined)
    })

    test('a link from another site is refused; typed or opened by a program, the page opens', async (t) => {
      const { url } = await served(t, stuckFrom(Date.now()))
      const port = await attacker(t, `<a id=a href="${url}">x</a>`)
      const context = await contextOf(t)
      const page = await context.newPage()
      await page.goto(`http://localhost:${port}/`)
      const [answer] = await Promise.all([page.waitForResponse((response) => response.url().startsWith(url.replace(/#.*/, ''))), page.click('#a')])
      assert.equal(answer.status(), 403)
      await page.goto('about:blank')
      assert.equal((await page.goto(url)).status(), 200)
    })
  })

  test('the page without its token says what is missing; after the monitor has ended it says so', async (t) => {
    const served2 = await openPage()
    served2.show(await new Watch({ take: stuckFrom(Date.now()) }).next())
    const context = await contextOf(t)
    const page = await context.newPage()
    await page.goto(served2.url.replace(/#.*/, ''))
    assert.match(await page.textContent('#state'), /lacks its token/)
    await page.goto(served2.url.replace(/#.*/, '#wrong'))
    await page.reload()
    await page.waitForFunction(() => /missing or wrong/.test(document.getElementById('state').textContent))
    await page.goto(served2.url)
    await page.reload()
    await page.waitForSelector('.verdict')
    await served2.close()
    await page.waitForFunction(() => /does not answer/.test(document.getElementById('state').textContent))
  })
})

test('Chromium is there in CI', { skip: !process.env.CI && 'only in CI' }, () => {
  assert.equal(spawnSync(CHROMIUM ?? 'chromium', ['--version']).status, 0)
})
