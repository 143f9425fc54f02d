/** Where the files of the tests lie: beside this file, or in the folder that `PERGOLA_TESTDATA` names. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { env } from 'node:process';
import { fileURLToPath } from 'node:url';

/** @param path inside `testdata`. */
export function testdataPath(path: string): string {
  const folder = env['PERGOLA_TESTDATA'] ?? fileURLToPath(new URL('./', import.meta.url));
  return join(folder, path);
}

/** A golden file that is too large for the repository, or why the tests that need it cannot run. */
export function largeGolden(
  name: string,
): { readonly path: string } | { readonly missing: string } {
  const folder = env['PERGOLA_GOLDEN_DIR'];
  if (folder === undefined) {
    return { missing: `PERGOLA_GOLDEN_DIR must name a folder with ${name}` };
  }
  const path = join(folder, name);
  return existsSync(path) ? { path } : { missing: `there is no ${name} in PERGOLA_GOLDEN_DIR` };
}
