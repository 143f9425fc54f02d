/** Times a GPU backend and writes results/<backend>-<gpu>.json. */
import { execFileSync, type ExecFileSyncOptionsWithStringEncoding } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { env } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Device } from '@pergola/core';
import { openDevice } from '@pergola/trellis';
import { CLOCK_DEFAULTS, hasDeviceClock } from './clock.ts';
import { formatGpuResult, gpuCases, runGpuCase, type GpuResult } from './run.ts';

// Where there is no working copy, git says so on stderr; that is no news.
const GIT_OPTIONS: ExecFileSyncOptionsWithStringEncoding = {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'ignore'],
};

/** Commit of the working copy; PERGOLA_COMMIT names it where there is none. */
function commit(): string {
  const given = env['PERGOLA_COMMIT'];
  if (given !== undefined) return given;
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], GIT_OPTIONS).trim();
  } catch {
    return 'unknown';
  }
}

interface Report<Result> {
  readonly date: string;
  readonly commit: string;
  readonly device: string;
  readonly clock: 'device' | 'host';
  readonly results: readonly Result[];
}

/** Rows of an earlier run of the same commit, for a run that measures only some. */
async function earlierResults(path: string, of: string): Promise<readonly GpuResult[]> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return [];
  const report = JSON.parse(text) as Report<GpuResult>;
  return report.commit === of ? report.results : [];
}

function fileName({ name, info }: Device): string {
  const gpu = info.description.split(',')[0]!;
  return `${name}-${gpu.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}.json`;
}

/**
 * Runs the benchmark as the command line `args` says: `--device cuda`, `--filter` (a regular expression), `--seconds` of
 * sampling a row, `--out` folder of the results.
 */
export async function runGpuBench(
  args: readonly string[],
  open: (name: string) => Promise<Device> = openDevice,
): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      device: { type: 'string', default: 'cuda' },
      filter: { type: 'string', default: '' },
      seconds: { type: 'string', default: String(CLOCK_DEFAULTS.maxSeconds) },
      out: { type: 'string', default: fileURLToPath(new URL('../../results', import.meta.url)) },
    },
  });
  using device = await open(values.device);
  console.log(`${device.info.description}; times in ms by the ${clockName(device)}'s clock`);
  const results: GpuResult[] = [];
  const options = { ...CLOCK_DEFAULTS, maxSeconds: Number(values.seconds) };
  const pattern = new RegExp(values.filter);
  for (const gpuCase of gpuCases(device)) {
    if (!pattern.test(`${gpuCase.figure} (${gpuCase.detail})`)) continue;
    const result = await runGpuCase(device, gpuCase, options);
    results.push(result);
    console.log(formatGpuResult(result));
  }
  await mkdir(values.out, { recursive: true });
  const path = join(values.out, fileName(device));
  const current = commit();
  const measured = new Set(results.map(({ name, detail }) => `${name} ${detail}`));
  const kept = (await earlierResults(path, current)).filter(
    ({ name, detail }) => !measured.has(`${name} ${detail}`),
  );
  const report: Report<GpuResult> = {
    date: new Date().toISOString(),
    commit: current,
    device: device.info.description,
    clock: clockName(device),
    results: [...kept, ...results],
  };
  await writeFile(path, `${JSON.stringify(report, undefined, 2)}\n`);
  console.log(`written to ${path}`);
}

function clockName(device: Device): 'device' | 'host' {
  return hasDeviceClock(device) ? 'device' : 'host';
}
