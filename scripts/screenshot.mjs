/**
 * Takes the README's picture: a rollout's page in the Temporal UI, in Debian's Chromium.
 *
 *   node scripts/screenshot.mjs UI_URL ROLLOUT FILE.png
 */
import { chromium } from 'playwright-core';

const [uiUrl, rollout, file] = process.argv.slice(2);
if (uiUrl === undefined || rollout === undefined || file === undefined) {
  console.error('usage: node scripts/screenshot.mjs UI_URL ROLLOUT FILE.png');
  process.exit(1);
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic'],
});
try {
  const page = await browser.newPage({ viewport: { width: 1440, height: 1100 } });
  const workflow = encodeURIComponent(`rollout/${rollout}`);
  await page.goto(`${uiUrl}/namespaces/default/workflows/${workflow}`);
  // The page redirects to the newest run; its details live under a tab of their own, asked from a worker.
  await page.waitForURL(/\/workflows\/[^/]+\/[0-9a-f-]{36}\//, { timeout: 30_000 });
  await page.goto(page.url().replace(/\/(history|timeline).*$/, '/user-metadata'));
  await page.getByText('at target').first().waitFor({ timeout: 30_000 });
  await page.waitForTimeout(1_000);
  await page.screenshot({ path: file });
  console.log(`${file}: ${page.url()}`);
} finally {
  await browser.close();
}
