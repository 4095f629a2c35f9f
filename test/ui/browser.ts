/** Debian's Chromium, and how to read the Temporal UI's pages in it. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';

/** Where the pictures go; `npm run screenshot` takes the README's from there. */
const PICTURES = join(import.meta.dirname, '..', '..', '.uplift', 'screenshots');
/** The UI asks a worker for what it shows, and does not ask again by itself. */
const LOOK_AGAIN_MS = 5_000;
const PATIENCE_MS = 90_000;

/** @throws Error naming the remedy when there is no Chromium */
export async function launchBrowser(): Promise<Browser> {
  const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
  if (!existsSync(executablePath)) {
    throw new Error(`${executablePath} is missing: install Debian's package chromium, or name a Chromium by CHROMIUM`);
  }
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-quic'] });
}

/** The Temporal UI in one browser page. */
export class TemporalUi {
  readonly page: Page;
  readonly #workflows: string;

  constructor(page: Page, uiUrl: string) {
    this.page = page;
    this.#workflows = `${uiUrl}/namespaces/default/workflows`;
  }

  /** Opens a workflow's page, its newest run's; resolves with its address without the tab. */
  async open(workflowId: string): Promise<string> {
    await this.page.goto(`${this.#workflows}/${encodeURIComponent(workflowId)}`);
    return this.here();
  }

  /** Opens the list of what the query finds. */
  async find(query: string): Promise<void> {
    await this.page.goto(`${this.#workflows}?query=${encodeURIComponent(query)}`);
  }

  /** The address of the workflow that is open, without the tab. */
  async here(): Promise<string> {
    await this.page.waitForURL(/\/workflows\/[^/]+\/[0-9a-f-]{36}\//);
    return this.page.url().replace(/(\/workflows\/[^/]+\/[0-9a-f-]{36}\/).*$/, '$1');
  }

  /** Text of the whole page once it matches; the page is loaded again until it does. */
  text(address: string, matches: RegExp): Promise<string> {
    return this.#until(address, matches, () => this.page.locator('main').innerText({ timeout: LOOK_AGAIN_MS }));
  }

  /** Summary, details and current details of the workflow at this address, once they match. */
  metadata(address: string, matches: RegExp): Promise<string> {
    return this.#until(`${address}user-metadata`, matches, async () => {
      // Each is Markdown, shown in a frame of its own.
      const frames = this.page.frames().slice(1);
      return (await Promise.all(frames.map((frame) => frame.locator('body').innerText()))).join('\n\n');
    });
  }

  /** Rows of tables that stand below the visible part of their frames, on the page of `metadata`. */
  async cutRows(): Promise<string[]> {
    const rows = `[...document.querySelectorAll('tr')]
      .filter((row) => row.getBoundingClientRect().bottom > window.innerHeight)
      .map((row) => row.innerText)`;
    const frames = this.page.frames().slice(1);
    const cut = await Promise.all(frames.map((frame) => frame.evaluate<string[]>(rows)));
    return cut.flat();
  }

  async picture(name: string): Promise<void> {
    mkdirSync(PICTURES, { recursive: true });
    await this.page.screenshot({ path: join(PICTURES, `${name}.png`) });
  }

  async #until(address: string, matches: RegExp, read: () => Promise<string>): Promise<string> {
    const deadline = Date.now() + PATIENCE_MS;
    let seen = '';
    while (Date.now() < deadline) {
      await this.page.goto(address);
      const again = Date.now() + LOOK_AGAIN_MS;
      while (Date.now() < again) {
        // A frame that is loading has no text yet.
        seen = await read().catch(() => seen);
        if (matches.test(seen)) return seen;
        await this.page.waitForTimeout(100);
      }
    }
    throw new Error(`${address} does not show ${String(matches)}; it shows:\n${seen}`);
  }
}
