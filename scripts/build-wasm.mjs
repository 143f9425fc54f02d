/**
 * Compiles the AssemblyScript kernels, packages/<name>/wasm/*.ts, into packages/<name>/src/cpu/wasm/*.generated.ts.
 *
 * Each generated file exports one `WasmModule` holding base64 text, so that bundlers need no asset handling. A module is
 * compiled twice, with plain and with relaxed SIMD; the second text is kept only where it differs. Modules import a
 * shared memory; the loader rewrites that import where memory cannot be shared. Files in wasm/lib are included by
 * others and not compiled alone. Sources that did not change are skipped.
 */
import { main as runCompiler } from 'assemblyscript/asc';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { root } from './process.mjs';

const FLAGS = [
  ...['-O3', '--runtime', 'stub', '--noAssert', '--enable', 'simd', '--enable', 'threads'],
  ...['--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'],
];
const RELAXED = ['--enable', 'relaxed-simd'];
const DATA_SECTION = 11;

/** TypeScript files directly in a folder, or none when it does not exist. */
async function sourcesIn(folder) {
  const names = await readdir(join(root, folder)).catch(() => []);
  return names
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((name) => `${folder}/${name}`);
}

async function findSources() {
  const entries = [];
  const included = [];
  for (const name of (await readdir(join(root, 'packages'))).sort()) {
    entries.push(...(await sourcesIn(`packages/${name}/wasm`)));
    included.push(...(await sourcesIn(`packages/${name}/wasm/lib`)));
  }
  return { entries, included };
}

/** One hash over everything that decides what an entry compiles to. */
async function hashOf(paths) {
  const { version } = createRequire(import.meta.url)('assemblyscript/package.json');
  const hash = createHash('sha256').update(`assemblyscript ${version}`);
  for (const path of paths) hash.update(path).update(await readFile(join(root, path)));
  return hash.digest('hex');
}

/** @throws Error when the module brings static data: all modules share one memory, so none may claim addresses. */
function checkNoStaticData(entry, bytes) {
  for (let at = 8; at < bytes.length;) {
    const id = bytes[at++];
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      size |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    if (id === DATA_SECTION && bytes[at] > 0) {
      throw new Error(
        `${entry}: kernels must not use static data (strings, static arrays, tables).`,
      );
    }
    at += size;
  }
}

async function compile(entry, flags) {
  let binary;
  let messages = '';
  const { error } = await runCompiler([entry, ...FLAGS, ...flags, '--outFile', 'out.wasm'], {
    stdout: { write: (text) => (messages += text) },
    stderr: { write: (text) => (messages += text) },
    readFile: (name, base) => readFile(join(root, base, name), 'utf8').catch(() => null),
    writeFile: (_name, contents) => (binary = contents),
    listFiles: () => null,
  });
  if (error || messages !== '') throw new Error(`${entry}: ${messages}${error?.message ?? ''}`);
  checkNoStaticData(entry, binary);
  return Buffer.from(binary).toString('base64');
}

function outputOf(entry) {
  const folder = dirname(dirname(entry));
  return `${folder}/src/cpu/wasm/${basename(entry, '.ts')}.generated.ts`;
}

/** Compiles one entry unless its output is current. @returns whether it was compiled. */
async function buildEntry(entry, included) {
  const hash = await hashOf([
    fileURLToPath(import.meta.url).slice(root.length),
    entry,
    ...included,
  ]);
  const output = join(root, outputOf(entry));
  const stamp = `// Made from ${entry} by scripts/build-wasm.mjs; sources ${hash}.`;
  const current = await readFile(output, 'utf8').catch(() => '');
  if (current.startsWith(stamp)) return false;
  const plain = await compile(entry, []);
  const relaxed = await compile(entry, RELAXED);
  const fields = [
    `  name: '${basename(entry, '.ts')}',`,
    `  plain: '${plain}',`,
    ...(relaxed === plain ? [] : [`  relaxed: '${relaxed}',`]),
  ];
  const type = '{ readonly name: string; readonly plain: string; readonly relaxed?: string }';
  await mkdir(dirname(output), { recursive: true });
  // Renamed into place: another process may be reading the old file.
  const part = `${output}.${process.pid}.part`;
  await writeFile(part, `${stamp}\nexport const wasm: ${type} = {\n${fields.join('\n')}\n};\n`);
  await rename(part, output);
  return true;
}

/** Removes outputs whose sources are gone. */
async function removeStale(entries) {
  const wanted = new Set(entries.map(outputOf));
  for (const name of await readdir(join(root, 'packages'))) {
    for (const path of await sourcesIn(`packages/${name}/src/cpu/wasm`)) {
      if (path.endsWith('.generated.ts') && !wanted.has(path)) await rm(join(root, path));
    }
  }
}

/** Compiles what is stale. */
export async function buildWasm() {
  const { entries, included } = await findSources();
  await removeStale(entries);
  for (const entry of entries) await buildEntry(entry, included);
}

if (argv[1] === fileURLToPath(import.meta.url)) await buildWasm();
