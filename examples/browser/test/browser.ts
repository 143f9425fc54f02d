/** Chromium without a screen and without a GPU, and the page in it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';

const EXECUTABLE = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';

/** WebGPU and WebGL on SwiftShader, with canvases that screenshots can see. */
const SOFTWARE_GPU = [
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--ignore-gpu-blocklist',
  '--enable-gpu',
  '--enable-features=Vulkan',
  '--use-vulkan=swiftshader',
];

/** @param gpu a software one, or none at all. @throws Error when Chromium is not installed. */
export async function launchChromium(gpu: 'software' | 'none'): Promise<Browser> {
  return chromium.launch({
    executablePath: EXECUTABLE,
    // Chromium's sandbox does not start as root, which containers of CI run as.
    chromiumSandbox: false,
    args: gpu === 'software' ? SOFTWARE_GPU : ['--disable-3d-apis'],
  });
}

/** The page in a tab of its own. Errors that nobody caught come to `onError`. */
export async function openPage(
  browser: Browser,
  url: string,
  onError: (error: Error) => void,
): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1200, height: 760 } });
  page.on('pageerror', onError);
  await page.goto(url);
  return page;
}

/** Drops a file onto the page. */
export async function dropFile(
  page: Page,
  bytes: Uint8Array,
  name: string,
  type: string,
): Promise<void> {
  const transfer = await page.evaluateHandle(
    ({ text, name, type }) => {
      const data = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([data], name, { type }));
      return transfer;
    },
    { text: Buffer.from(bytes).toString('base64'), name, type },
  );
  await page.dispatchEvent('#drop', 'drop', { dataTransfer: transfer });
}

/** Waits for the end of a run. @returns the page's state and what it says. */
export async function waitForEnd(
  page: Page,
  timeout: number,
): Promise<{ readonly state: string; readonly status: string }> {
  await page.waitForSelector('body:not([data-state=running])', { timeout });
  const state = (await page.getAttribute('body', 'data-state'))!;
  return { state, status: (await page.textContent('#status'))! };
}

/** Keeps a picture of the whole page in the folder that PERGOLA_SCREENSHOTS names, for people to look at. */
export async function keepScreenshot(page: Page, name: string): Promise<void> {
  const folder = process.env['PERGOLA_SCREENSHOTS'] ?? '';
  if (folder === '') return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

/** The file behind a download link. */
export async function readDownload(page: Page, selector: string): Promise<Uint8Array> {
  const text = await page.$eval(selector, async (link) => {
    const bytes = new Uint8Array(
      await (await fetch((link as HTMLAnchorElement).href)).arrayBuffer(),
    );
    let chars = '';
    for (let i = 0; i < bytes.length; i += 8192) {
      chars += String.fromCharCode(...bytes.subarray(i, i + 8192));
    }
    return btoa(chars);
  });
  return new Uint8Array(Buffer.from(text, 'base64'));
}
