/** Rules of the repository that no linter knows: a portable lockfile, and files that one can read in a sitting. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { takesTestDevice } from './golden-tests.mjs';
import { root } from './process.mjs';

const MAX_LINES = 500;
const FOLDERS = ['packages', 'bench', 'examples', 'scripts'];
const SKIPPED = new Set(['node_modules', 'dist', 'build']);

/** Source files below a folder; what was installed or built is not entered. */
async function sourcesBelow(folder) {
  const files = [];
  for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!SKIPPED.has(entry.name)) files.push(...(await sourcesBelow(path)));
    } else if (
      /\.(ts|mjs|cc|h|cu|cuh)$/.test(entry.name) &&
      !entry.name.endsWith('.generated.ts')
    ) {
      files.push(path);
    }
  }
  return files;
}

/** Source files of the packages and scripts. */
async function sourceFiles() {
  return (await Promise.all(FOLDERS.map(sourcesBelow))).flat();
}

/** @returns {Promise<string[]>} the rules that are broken, a sentence each. */
export async function checkRepository() {
  const problems = [];
  const lock = await readFile(join(root, 'pnpm-lock.yaml'), 'utf8');
  const host = /https?:\/\/[^\s'"}]+|tarball:/.exec(lock);
  if (host !== null) problems.push(`pnpm-lock.yaml must name no registry, it has ${host[0]}.`);
  for (const path of await sourceFiles()) {
    const text = await readFile(join(root, path), 'utf8');
    const lines = text.split('\n').length - 1;
    if (lines > MAX_LINES) problems.push(`${path} has ${lines} lines, at most ${MAX_LINES} fit.`);
    if (takesTestDevice(text) && !path.endsWith('.test.ts')) {
      problems.push(
        `${path} must leave testdata/device.ts to test files: the golden run finds them by that import.`,
      );
    }
  }
  return problems;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const problems = await checkRepository();
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
