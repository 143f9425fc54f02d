/** `pergola doctor`: which devices there are, whether they compute correctly, and how fast they are. */
import { matmul, type Device } from '@pergola/core';
import { coreCases, describeResult, runConformance } from '@pergola/core/conformance';
import { sparseCases } from '@pergola/sparse/conformance';
import { findDevices } from '../pipeline/devices.ts';
import { yieldToEvents } from '../pipeline/progress.ts';
import type { CommandSpec, ParsedArguments } from './arguments.ts';
import { formatBytes, type Terminal } from './terminal.ts';

export const DOCTOR: CommandSpec = {
  name: 'doctor',
  description: 'Checks whether this machine computes correctly, and how fast.',
  options: [
    { name: 'device', value: 'name', description: 'check this device only' },
    { name: 'full', description: 'run the whole conformance suite, not a short one' },
    { name: 'json', description: 'print the findings as JSON' },
    { name: 'help', short: 'h', description: 'show this' },
  ],
};

// Large enough to fill a device, small enough for a slow one.
const SIDE = 512;
const SPEED_MILLISECONDS = 1000;
const SHOWN_FAILURES = 10;

/** What was found out about one backend. */
interface Finding {
  readonly name: string;
  /** Why there is no such device; the other fields are then absent. */
  readonly missing?: string;
  readonly description?: string;
  readonly features?: readonly string[];
  readonly memoryBytes?: number | undefined;
  readonly passed?: number;
  readonly failed?: number;
  readonly skipped?: number;
  readonly failures?: readonly string[];
  /** Best of several square f32 products. */
  readonly matmulGigaflops?: number;
}

/** Best speed of a square f32 product, in GFLOP/s. */
async function measureMatmul(device: Device, signal: AbortSignal): Promise<number> {
  const values = Float32Array.from({ length: SIDE * SIDE }, (_, i) => ((i * 7919) % 1000) / 1000);
  using a = device.tensor(values, [SIDE, SIDE]);
  let best = Infinity;
  const end = performance.now() + SPEED_MILLISECONDS;
  while (performance.now() < end) {
    signal.throwIfAborted();
    const started = performance.now();
    using product = matmul(a, a);
    // Reading one value is a wait that no device can skip.
    using corner = product.slice(0, 0, 1);
    await corner.data();
    best = Math.min(best, performance.now() - started);
    await yieldToEvents();
  }
  return (2 * SIDE ** 3) / best / 1e6;
}

async function examine(device: Device, full: boolean, terminal: Terminal): Promise<Finding> {
  const { signal } = terminal;
  const cases = [...coreCases(), ...sparseCases()];
  const report = await runConformance(device, cases, { quick: !full, signal });
  const failures = report.results.filter(({ status }) => status === 'failed').map(describeResult);
  return {
    name: device.name,
    description: device.info.description,
    features: device.info.features,
    memoryBytes: device.info.memoryBytes,
    passed: report.passed,
    failed: report.failed,
    skipped: report.skipped + report.excluded,
    failures,
    matmulGigaflops: await measureMatmul(device, signal),
  };
}

function print(finding: Finding, terminal: Terminal): void {
  const { name, missing, failures = [] } = finding;
  if (missing !== undefined) {
    terminal.out.write(`${name}: not available: ${missing}\n`);
    return;
  }
  const memory = finding.memoryBytes === undefined ? '' : `, ${formatBytes(finding.memoryBytes)}`;
  const features = finding.features!.length > 0 ? finding.features!.join(', ') : 'none';
  const lines = [
    `${name}: ${finding.description}${memory}`,
    `  features: ${features}`,
    `  conformance: ${finding.passed} passed, ${finding.failed} failed, ${finding.skipped} skipped`,
    ...failures.slice(0, SHOWN_FAILURES).map((failure) => `    ${failure}`),
    `  speed: ${finding.matmulGigaflops!.toFixed(1)} GFLOP/s (f32 matmul ${SIDE})`,
  ];
  terminal.out.write(`${lines.join('\n')}\n`);
}

/**
 * Runs the command.
 *
 * @returns 1 when a device computes wrongly or the named one is missing, else 0.
 */
export async function doctor(
  { values, switches }: ParsedArguments,
  terminal: Terminal,
): Promise<number> {
  const json = switches.has('json');
  const findings: Finding[] = [];
  for (const found of await findDevices(values['device'])) {
    if ('reason' in found) {
      findings.push({ name: found.name, missing: found.reason });
    } else {
      using device = found.device;
      findings.push(await examine(device, switches.has('full'), terminal));
    }
    if (!json) print(findings[findings.length - 1]!, terminal);
  }
  if (json) terminal.out.write(`${JSON.stringify(findings, null, 2)}\n`);
  const wrong = findings.some(({ failed = 0 }) => failed > 0);
  const absent = values['device'] !== undefined && findings[0]?.missing !== undefined;
  return wrong || absent ? 1 : 0;
}
