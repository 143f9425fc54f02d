/** Where WebGPU comes from: the browser's `navigator.gpu`, or Dawn through the npm package `webgpu` in Node. */
import { InputError } from '@pergola/core';
import { missingVulkan, vulkanSystem } from './vulkan.ts';

interface DawnModule {
  create(options: string[]): GPU;
}

// Dawn dies with the process when this object is collected, even while its devices are in use: hold it for good.
const dawnInstances: Map<string, GPU> = new Map();

/** Options of Dawn that decide speed and reach. */
export interface DawnFlagOptions {
  /** Keeps validation and bounds checks on. */
  readonly development: boolean;
  /** Further options of Dawn's `create()`, e.g. `backend=vulkan` or `enable-dawn-features=dump_shaders`. */
  readonly extra: readonly string[];
}

/**
 * The options handed to Dawn's `create()`:
 *
 * - `allow_unsafe_apis`: experimental features such as the subgroup matrix are listed at all.
 * - `vulkan_enable_f16_on_nvidia`: `shader-f16` on NVIDIA under Vulkan, which Dawn hides by default.
 * - `timestamp_quantization` off: device timings keep their full resolution.
 * - outside development also `skip_validation` and `disable_robustness`: our kernels check their own bounds and are
 *   tested with both on; and `disable_workgroup_init`: no kernel reads workgroup memory that it did not write.
 */
export function dawnFlags({ development, extra }: DawnFlagOptions): string[] {
  const enabled = ['allow_unsafe_apis', 'vulkan_enable_f16_on_nvidia'];
  if (!development) enabled.push('skip_validation', 'disable_robustness', 'disable_workgroup_init');
  const disabled = ['timestamp_quantization'];
  const rest: string[] = [];
  // Dawn reads each option once, so lists given by the caller join ours.
  for (const flag of extra) {
    const [name, value = ''] = flag.split('=', 2) as [string, string?];
    if (name === 'enable-dawn-features') enabled.push(...value.split(','));
    else if (name === 'disable-dawn-features') disabled.push(...value.split(','));
    else rest.push(flag);
  }
  const off = new Set(disabled);
  return [
    `enable-dawn-features=${enabled.filter((name) => !off.has(name)).join(',')}`,
    `disable-dawn-features=${disabled.join(',')}`,
    ...rest,
  ];
}

function browserGpu(): GPU | undefined {
  return (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
}

async function loadDawn(): Promise<DawnModule> {
  // A variable specifier keeps bundlers from pulling the Node package into browser builds.
  const specifier = 'webgpu';
  try {
    return (await import(/* @vite-ignore */ specifier)) as DawnModule;
  } catch (cause) {
    throw new InputError(
      'createWebGpuDevice: WebGPU must come from the browser or from the npm package webgpu, which is not installed; run npm install webgpu.',
      { cause },
    );
  }
}

/**
 * Refuses to load Dawn where it would find nothing to drive, and say so on the console.
 *
 * @throws InputError when Linux lacks Vulkan and the caller names no other backend of Dawn.
 */
function checkVulkan(flags: readonly string[]): void {
  if (flags.some((flag) => flag.startsWith('backend='))) return;
  const system = vulkanSystem();
  const missing = system === undefined ? undefined : missingVulkan(system);
  if (missing === undefined) return;
  throw new InputError(
    `createWebGpuDevice: the system must have a WebGPU adapter, got none: ${missing}.`,
  );
}

/**
 * The platform's WebGPU entry point. In Node one Dawn instance per set of flags lives as long as the process.
 *
 * @throws InputError when neither a browser's WebGPU nor the npm package `webgpu` is there, or no Vulkan on Linux.
 */
export async function openGpu(options: DawnFlagOptions): Promise<GPU> {
  const present = browserGpu();
  if (present !== undefined) return present;
  const flags = dawnFlags(options);
  const key = flags.join(' ');
  const open = dawnInstances.get(key);
  if (open !== undefined) return open;
  checkVulkan(flags);
  const dawn = await loadDawn();
  const gpu = dawnInstances.get(key) ?? dawn.create(flags);
  dawnInstances.set(key, gpu);
  return gpu;
}
