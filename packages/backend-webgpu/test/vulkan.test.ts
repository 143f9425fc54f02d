/** Looking for an adapter: what is known before Vulkan is loaded, and that nothing is printed. */
import { spawn } from 'node:child_process';
import { env } from 'node:process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { missingVulkan, withRuntimeFolder, type VulkanSystem } from '../src/vulkan.ts';

/** A system with these files, and this environment. */
function system(
  files: readonly string[],
  variables: Readonly<Record<string, string>> = {},
  linkerCache: string | undefined = 'libc.so.6',
): VulkanSystem {
  return {
    env: variables,
    exists: (path) => files.includes(path),
    list: (folder) =>
      files
        .filter((path) => path.startsWith(`${folder}/`))
        .map((path) => path.slice(folder.length + 1).split('/')[0]!),
    read: () => linkerCache,
  };
}

const LOADER = '/usr/lib/x86_64-linux-gnu/libvulkan.so.1';
const DRIVER = '/usr/share/vulkan/icd.d/nvidia_icd.json';
const NO_LOADER = 'the Vulkan loader libvulkan.so.1 is not installed';
const NO_DRIVER = 'no Vulkan driver is installed';

describe('missingVulkan', () => {
  test('the loader is found where the linker finds it', () => {
    expect(missingVulkan(system([DRIVER]))).toBe(NO_LOADER);
    expect(missingVulkan(system([LOADER, DRIVER]))).toBeUndefined();
    expect(missingVulkan(system([DRIVER], {}, 'libvulkan.so.1 (libc6)'))).toBeUndefined();
    const own = system([DRIVER, '/opt/gpu/libvulkan.so.1'], { LD_LIBRARY_PATH: '/a:/opt/gpu' });
    expect(missingVulkan(own)).toBeUndefined();
    // Systems without a cache keep libraries in places of their own.
    expect(missingVulkan({ ...system([DRIVER]), read: () => undefined })).toBeUndefined();
  });

  test('a driver is one with a manifest, where the loader looks', () => {
    expect(missingVulkan(system([LOADER]))).toBe(NO_DRIVER);
    for (const [file, variables] of [
      ['/etc/vulkan/icd.d/a.json', {}],
      ['/home/u/.local/share/vulkan/icd.d/a.json', { HOME: '/home/u' }],
      ['/nix/share/vulkan/icd.d/a.json', { XDG_DATA_DIRS: '/x:/nix/share' }],
      ['/gpu/a.json', { VK_ADD_DRIVER_FILES: '/gpu/a.json' }],
      ['/gpu/a.json', { VK_ICD_FILENAMES: '/none.json:/gpu/a.json' }],
      ['/gpu/a.json', { VK_DRIVER_FILES: '/gpu' }],
    ] as const) {
      expect(missingVulkan(system([LOADER, file], variables)), file).toBeUndefined();
      expect(missingVulkan(system([LOADER], variables)), file).toBe(NO_DRIVER);
    }
    // Named drivers replace installed ones.
    const named = system([LOADER, DRIVER], { VK_ICD_FILENAMES: '/none.json' });
    expect(missingVulkan(named)).toBe(NO_DRIVER);
  });
});

test('drivers see a runtime folder, later code does not', async () => {
  const before = env['XDG_RUNTIME_DIR'];
  delete env['XDG_RUNTIME_DIR'];
  try {
    const seen = await withRuntimeFolder(async () => env['XDG_RUNTIME_DIR']);
    // Set on Linux alone.
    expect(seen).toBe(process.platform === 'linux' ? '/tmp' : undefined);
    expect(env['XDG_RUNTIME_DIR']).toBeUndefined();
  } finally {
    if (before !== undefined) env['XDG_RUNTIME_DIR'] = before;
  }
});

// Node 20 runs no TypeScript: the child uses the built packages, which `npm test` builds first.
test.each([
  ['nothing set', {}],
  ['a driver that is not there', { VK_ICD_FILENAMES: '/none.json' }],
])('the search for a device prints nothing, with %s', async (_, variables) => {
  const script = fileURLToPath(new URL('search.fixture.mjs', import.meta.url));
  const path = env['PATH'] ?? '';
  const child = spawn(process.execPath, [script], {
    stdio: 'pipe',
    env: { PATH: path, ...variables },
  });
  let output = '';
  child.stdout.on('data', (data) => (output += String(data)));
  child.stderr.on('data', (data) => (output += String(data)));
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect({ code, output }).toEqual({ code: 0, output: 'searched\n' });
});
