/** The programs in the READMEs do what these say; the tiny model is stood in for by a micro one. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as core from '@pergola/core';
import * as sparse from '@pergola/sparse';
import * as trellis from '@pergola/trellis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeMicroModel } from './micro-model.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pergola-readme-'));
  await writeMicroModel(folder);
  const picture = await readFile(new URL('../examples/00_chair.png', import.meta.url));
  await writeFile(join(folder, 'chair.png'), picture);
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Runs a program with its imports answered by `modules`; returns what it printed. */
async function execute(program: string, modules: object): Promise<unknown[][]> {
  const printed: unknown[][] = [];
  const code = program
    .replaceAll(/import \{([^}]+)\} from ('[^']+');/g, 'const {$1} = modules[$2];')
    // The one thing in them that is TypeScript alone: assertions that a value is there.
    .replaceAll(/!(?=[.;)])/g, '');
  const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
  const run = new AsyncFunction('modules', 'console', code);
  await (run(modules, { log: (...values: unknown[]) => printed.push(values) }) as Promise<void>);
  return printed;
}

/** The program of a README, given by its folder, that holds a text. */
async function programWith(text: string, where: string): Promise<string> {
  const readme = await readFile(new URL(`../../../${where}README.md`, import.meta.url), 'utf8');
  const programs = [...readme.matchAll(/```ts\n([\s\S]+?)```/g)].map(([, code]) => code!);
  return programs.find((code) => code.includes(text))!;
}

const modules = {
  '@pergola/core': core,
  '@pergola/sparse': sparse,
  get '@pergola/trellis'() {
    return {
      ...trellis,
      BUNDLED_MODEL: folder,
      readImageFile: (name: string) => trellis.readImageFile(join(folder, name)),
    };
  },
};

test('a picture becomes an asset', async () => {
  const printed = await execute(await programWith('ImageTo3D', ''), modules);
  expect(printed[0]).toEqual(['condition', 0, '/', 1]);
  expect(printed[printed.length - 1]).toContain('Gaussians on');
});

test('a picture becomes a GLB', async () => {
  const printed = await execute(await programWith('writeGlb', 'packages/trellis/'), modules);
  expect(printed).toEqual([[expect.any(Number), 'bytes']]);
});

test('a sparse convolution adds up neighbours', async () => {
  const printed = await execute(await programWith('submConv3d', ''), modules);
  expect(printed).toEqual([[Float32Array.of(11, 11, 100)]]);
});

test('hashing finds rows', async () => {
  const printed = await execute(await programWith('lookupHash', 'packages/sparse/'), modules);
  expect(printed).toEqual([[Float32Array.of(11, 11, 100)], [Int32Array.of(2, -1)]]);
});

test('a scope frees what is not returned', async () => {
  const printed = await execute(await programWith('layerNorm', 'packages/core/'), modules);
  const [[shape, values], [bytes]] = printed as [[number[], Float32Array], [number]];
  expect(shape).toEqual([3, 2]);
  [-0.5, 1.5, -0.5, 1.5, -0.5, 1.5].forEach((value, i) => expect(values[i]).toBeCloseTo(value, 3));
  // The weight, the bias and the result, in blocks of 64 bytes.
  expect(bytes).toBe(3 * 64);
});
