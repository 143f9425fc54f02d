/** The programs in the README do what it says; the tiny model is stood in for by a micro one. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as core from '@pergola/core';
import * as sparse from '@pergola/sparse';
import * as trellis from '@pergola/trellis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeMicroModel } from './micro-model.ts';

let folder = '';
let programs: string[] = [];
beforeAll(async () => {
  const readme = await readFile(new URL('../../../README.md', import.meta.url), 'utf8');
  programs = [...readme.matchAll(/```ts\n([\s\S]+?)```/g)].map(([, code]) => code!);
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

const programWith = (text: string): string => programs.find((code) => code.includes(text))!;

test('a picture becomes an asset', async () => {
  const printed = await execute(programWith('ImageTo3D'), {
    '@pergola/trellis': {
      ...trellis,
      BUNDLED_MODEL: folder,
      readImageFile: (name: string) => trellis.readImageFile(join(folder, name)),
    },
  });
  expect(printed[0]).toEqual(['condition', 0, '/', 1]);
  expect(printed[printed.length - 1]).toContain('Gaussians on');
});

test('a sparse convolution adds up neighbours', async () => {
  const modules = { '@pergola/core': core, '@pergola/sparse': sparse };
  const printed = await execute(programWith('submConv3d'), modules);
  expect(printed).toEqual([[Float32Array.of(11, 11, 100)]]);
});
