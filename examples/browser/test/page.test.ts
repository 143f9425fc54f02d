/** The page in headless Chromium, from a dropped picture to the object on the screen. */
import { createCpuDevice } from '@pergola/core';
import {
  BUNDLED_EXAMPLES,
  ImageTo3D,
  readGaussianPly,
  readImageFile,
  writeGaussianPly,
} from '@pergola/trellis';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { writeMicroModel } from '../../../packages/trellis/test/micro-model.ts';
import { startFolderServer, type FolderServer } from '../server/folder-server.ts';
import {
  dropFile,
  keepScreenshot,
  launchChromium,
  openPage,
  readDownload,
  waitForEnd,
} from './browser.ts';
import { findObject } from './screenshot.ts';

const CHAIR = join(BUNDLED_EXAMPLES, '00_chair.png');
const RUN_TIMEOUT = 280_000;
// Half a minute where nothing else runs; more where cores are shared.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });

let folder = '';
let server: FolderServer;
let chair: Uint8Array;
let browser: Browser;
const errors: Error[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pergola-page-'));
  const [site, micro] = [join(folder, 'site'), join(folder, 'micro')];
  await mkdir(micro);
  // A little below zero, so that a few dozen voxels are left: software GPUs are slow.
  await writeMicroModel(micro, { occupancyBias: -0.2 });
  const configFile = fileURLToPath(new URL('../vite.config.ts', import.meta.url));
  await build({ configFile, logLevel: 'error', build: { outDir: site } });
  server = await startFolderServer([
    ['/micro', micro],
    ['/', site],
  ]);
  chair = await readFile(CHAIR);
  browser = await launchChromium('software');
});
afterAll(async () => {
  await browser.close();
  await server.close();
  await rm(folder, { recursive: true, force: true });
});
afterEach(() => {
  expect(errors.splice(0)).toEqual([]);
});

async function open(query: string): Promise<Page> {
  return openPage(browser, `${server.url}/?${query}`, (error) => errors.push(error));
}

async function runChair(page: Page): Promise<{ readonly state: string; readonly status: string }> {
  await dropFile(page, chair, 'chair.png', 'image/png');
  await page.click('#start');
  return waitForEnd(page, RUN_TIMEOUT);
}

/** Largest difference of positions between two files of splats. */
function positionError(a: Uint8Array, b: Uint8Array): number {
  const [left, right] = [readGaussianPly(a), readGaussianPly(b)];
  expect(left.count).toBe(right.count);
  return Math.max(...left.positions.map((value, i) => Math.abs(value - right.positions[i]!)));
}

describe('the tiny model on the CPU', () => {
  let page: Page;
  beforeAll(async () => {
    page = await open('device=cpu&steps=12');
  });
  afterAll(() => page.close());

  test('a run can be stopped', async () => {
    await dropFile(page, chair, 'chair.png', 'image/png');
    await page.click('#start');
    await page.waitForFunction(
      () => document.querySelector<HTMLElement>('#stages li:nth-child(2) output')?.innerText !== '',
    );
    await page.click('#cancel');
    expect(await waitForEnd(page, RUN_TIMEOUT)).toEqual({ state: 'idle', status: 'Cancelled.' });
  });

  test('a dropped picture of a red chair becomes a red object in both views', async () => {
    await page.fill('[name=steps]', '2');
    const { state, status } = await runChair(page);
    expect(status).toMatch(/^[\d,]{6,} vertices, [\d,]{6,} faces and [\d,]{6,} splats in /);
    await keepScreenshot(page, 'tiny-cpu');
    expect(state).toBe('done');
    expect(await page.$$eval('progress', (bars) => bars.map(({ value }) => value))).toEqual(
      new Array(6).fill(1),
    );
    for (const view of ['#mesh', '#splats']) {
      const { share, height, color } = await findObject(
        await page.locator(`${view} canvas`).screenshot(),
      );
      expect(share).toBeGreaterThan(0.1);
      expect(share).toBeLessThan(0.6);
      expect(height).toBeGreaterThan(0.5);
      const [red, green, blue] = color;
      expect(red).toBeGreaterThan(140);
      expect(Math.max(green, blue)).toBeLessThan(red / 2);
    }
  });

  test('its files can be saved', async () => {
    const glb = await readDownload(page, '#mesh a');
    expect(new TextDecoder().decode(glb.subarray(0, 4))).toBe('glTF');
    expect(readGaussianPly(await readDownload(page, '#splats a')).count).toBeGreaterThan(10_000);
  });
});

describe('a micro model', () => {
  let expected: Uint8Array;
  beforeAll(async () => {
    using device = await createCpuDevice();
    using pipeline = await ImageTo3D.load(join(folder, 'micro'), { device });
    const [asset] = await pipeline.run(await readImageFile(CHAIR), { formats: ['gaussians'] });
    expected = writeGaussianPly(asset!.gaussians!);
  });

  test('on WebGPU gives what the CPU gives in Node', async () => {
    const page = await open('device=webgpu&model=micro');
    await dropFile(page, chair, 'chair.png', 'image/png');
    await page.click('#start');
    await page.waitForFunction(() =>
      document.querySelector('#status')?.textContent?.startsWith('Running on webgpu: '),
    );
    const { state, status } = await waitForEnd(page, RUN_TIMEOUT);
    await keepScreenshot(page, 'micro-webgpu');
    expect(status).toMatch(/ faces and \d+ splats in /);
    expect(state).toBe('done');
    expect(positionError(await readDownload(page, '#splats a'), expected)).toBeLessThan(1e-4);
    const { share, height } = await findObject(await page.locator('#mesh canvas').screenshot());
    expect(share).toBeGreaterThan(0.03);
    expect(height).toBeGreaterThan(0.3);
    await page.close();
  });

  test('runs without WebGPU, without shared memory and where nothing can be drawn', async () => {
    const plain = await startFolderServer(
      [
        ['/micro', join(folder, 'micro')],
        ['/', join(folder, 'site')],
      ],
      {},
    );
    const bare = await launchChromium('none');
    try {
      const page = await openPage(bare, `${plain.url}/?model=micro`, (error) => errors.push(error));
      expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
      const { state, status } = await runChair(page);
      await keepScreenshot(page, 'micro-bare');
      expect(status).toMatch(/splats in .* This browser cannot draw them: /);
      expect(state).toBe('done');
      expect(positionError(await readDownload(page, '#splats a'), expected)).toBeLessThan(1e-5);
    } finally {
      await bare.close();
      await plain.close();
    }
  });

  test('what is wrong is said in a sentence, and the next picture works', async () => {
    const page = await open('device=cpu&model=micro');
    const drop = async (bytes: Uint8Array, name: string): Promise<string> => {
      await dropFile(page, bytes, name, 'image/png');
      await page.click('#start');
      const { state, status } = await waitForEnd(page, RUN_TIMEOUT);
      expect(state).toBe('failed');
      return status;
    };
    expect(await drop(Uint8Array.of(1, 2, 3), 'notes.txt')).toMatch(/must be PNG, JPEG or WebP/);
    expect(await drop(chair.subarray(0, 1000), 'cut.png')).toMatch(/got damaged data\.$/);
    await page.fill('[name=seed]', '9007199254740993');
    expect(await drop(chair, 'chair.png')).toMatch(/seed must be an integer/);
    await page.fill('[name=seed]', '42');
    expect((await runChair(page)).state).toBe('done');
    await page.close();
  });

  test('a model that is not there is named', async () => {
    const page = await open('device=cpu&model=none');
    const { state, status } = await runChair(page);
    expect(state).toBe('failed');
    expect(status).toMatch(/\/none\/pipeline\.json: the file does not exist\.$/);
    await page.close();
  });
});
