/**
 * The device that golden tests run on, chosen from outside: the same numbers are checked on every backend.
 *
 * - `PERGOLA_TEST_DEVICE`: `cpu` (default), `webgpu` or `cuda`.
 * - `PERGOLA_TEST_DTYPE`: torso of the networks, `f32` (default) or `f16`.
 */
import { env } from 'node:process';
import type { Device } from '../packages/core/src/device.ts';

/** Backends by name: where they lie in the workspace, and what opens their device. */
const BACKENDS = {
  cpu: { folder: 'core', open: 'createCpuDevice' },
  webgpu: { folder: 'backend-webgpu', open: 'createWebGpuDevice' },
  cuda: { folder: 'backend-cuda', open: 'createCudaDevice' },
} as const;

/** Name of a backend under test. */
export type TestBackend = keyof typeof BACKENDS;
type BackendModule = Readonly<Record<string, unknown>>;

const provided = new Map<TestBackend, BackendModule>();

/** Hands over a backend's module. For bundles, which have no workspace to import from. */
export function provideBackend(name: TestBackend, module: BackendModule): void {
  provided.set(name, module);
}

/** One of the choices that a variable names, the first where it is not set. */
function chosen<Choice extends string>(variable: string, choices: readonly Choice[]): Choice {
  const value = env[variable] ?? choices[0];
  const choice = choices.find((name) => name === value);
  if (choice === undefined) {
    throw new Error(`${variable} must be one of ${choices.join(', ')}, got ${value}.`);
  }
  return choice;
}

/** Backend under test. */
export function testBackend(): TestBackend {
  return chosen('PERGOLA_TEST_DEVICE', Object.keys(BACKENDS) as TestBackend[]);
}

/** Dtype of the torso under test. */
export function testDType(): 'f32' | 'f16' {
  return chosen('PERGOLA_TEST_DTYPE', ['f32', 'f16']);
}

/** The bound that fits the torso under test. */
export function testTolerance(f32: number, f16: number): number {
  return testDType() === 'f16' ? f16 : f32;
}

async function importBackend(name: TestBackend): Promise<BackendModule> {
  const built = env['PERGOLA_TEST_DIST'] === '1';
  const file = built ? 'dist/index.js' : 'src/index.ts';
  // The path keeps one instance of core: packages import it under the same file.
  const url = new URL(`../packages/${BACKENDS[name].folder}/${file}`, import.meta.url);
  return (await import(/* @vite-ignore */ url.href)) as BackendModule;
}

/**
 * Opens the device under test.
 *
 * @param options of the backend's own function.
 */
export async function openTestDevice(options: object = {}): Promise<Device> {
  const name = testBackend();
  const module = provided.get(name) ?? (await importBackend(name));
  const open = module[BACKENDS[name].open] as (options: object) => Promise<Device>;
  return open(options);
}
