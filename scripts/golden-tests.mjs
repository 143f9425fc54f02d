/** Which test files compare numbers on a device that is chosen from outside: see testdata/device.ts. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root } from './process.mjs';

const IMPORT = /from '(?:\.\.\/)+testdata\/device\.ts'/;

// The networks of published size take hours on a software adapter.
const TOO_LARGE = 'models-full.test.ts';

/** Whether a source takes its device from outside. */
export function takesTestDevice(source) {
  return IMPORT.test(source);
}

/**
 * The test files of the packages whose numbers hold on every backend, found by what they import.
 *
 * @returns {Promise<string[]>} paths from the repository's root.
 */
export async function goldenTests() {
  const found = [];
  for (const name of await readdir(join(root, 'packages'))) {
    const folder = join('packages', name, 'test');
    const files = await readdir(join(root, folder), { recursive: true }).catch(() => []);
    for (const file of files) {
      if (!file.endsWith('.test.ts') || file === TOO_LARGE) continue;
      const path = join(folder, file);
      if (takesTestDevice(await readFile(join(root, path), 'utf8'))) found.push(path);
    }
  }
  if (found.length === 0) throw new Error('No test file imports testdata/device.ts.');
  return found.sort();
}
