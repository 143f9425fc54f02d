/** Work repeated a thousand times, with a look at what stays in memory. */
import { canRecord, TorchGenerator, type Device } from '@pergola/core';
import {
  BUNDLED_EXAMPLES,
  BUNDLED_MODEL,
  ImageTo3D,
  readImageFile,
  sampleStructure,
  structureNoise,
} from '@pergola/trellis';
import { join } from 'node:path';
import { IMAGE_TOKENS, PUBLISHED_SAMPLER } from './published-networks.ts';
import { CONDITION_CHANNELS, publishedNetwork, randomTensor } from './network-cases.ts';

/** Memory at one moment. */
export interface Sample {
  readonly done: number;
  readonly liveBytes: number;
  readonly peakBytes: number;
  readonly pooledBytes: number;
  /** Of the whole process. */
  readonly hostBytes: number;
}

/** What is repeated, and what it grew by after the first sample, in which pools and caches fill. */
export interface Endurance {
  readonly name: string;
  readonly samples: readonly Sample[];
  readonly growth: {
    readonly liveBytes: number;
    readonly pooledBytes: number;
    readonly hostBytes: number;
  };
}

const SAMPLES = 10;

async function repeat(
  device: Device,
  name: string,
  times: number,
  batch: number,
  body: () => Promise<void>,
  report: (line: string) => void,
): Promise<Endurance> {
  const samples: Sample[] = [];
  device.resetPeak();
  for (let done = 0; done < times;) {
    const end = done + Math.ceil(times / SAMPLES);
    for (; done < Math.min(end, times); done += batch) await body();
    await device.sync();
    const { liveBytes, peakBytes, pooledBytes } = device.memory();
    const sample = {
      done,
      liveBytes,
      peakBytes,
      pooledBytes,
      hostBytes: process.memoryUsage().rss,
    };
    samples.push(sample);
    const [live, peak, pooled, host] = [liveBytes, peakBytes, pooledBytes, sample.hostBytes].map(
      (bytes) => (bytes / 1e6).toFixed(1),
    );
    report(`${name}, ${done}: MB live ${live}, peak ${peak}, pooled ${pooled}, process ${host}`);
  }
  const [first, last] = [samples[0]!, samples[samples.length - 1]!];
  const growth = {
    liveBytes: last.liveBytes - first.liveBytes,
    pooledBytes: last.pooledBytes - first.pooledBytes,
    hostBytes: hostGrowth(samples),
  };
  return { name, samples, growth };
}

/**
 * Growth of the process after the first sample: from the first half of the rest to the second, by the smallest of each,
 * since what lies above it is garbage that was not collected yet.
 */
export function hostGrowth(samples: readonly Pick<Sample, 'hostBytes'>[]): number {
  const settled = samples.slice(1).map(({ hostBytes }) => hostBytes);
  if (settled.length < 2) return 0;
  const middle = Math.floor(settled.length / 2);
  return Math.min(...settled.slice(middle)) - Math.min(...settled.slice(0, middle));
}

/** Steps of the structure flow of published size, guided, in runs of the sampler. */
async function structureSteps(
  device: Device,
  times: number,
  report: (line: string) => void,
): Promise<Endurance> {
  using flow = await publishedNetwork('SparseStructureFlowModel', device).load();
  using tokens = randomTensor(device, [1, IMAGE_TOKENS, CONDITION_CHANNELS]);
  using noise = structureNoise(new TorchGenerator(1), flow.config, 1, device);
  const steps = PUBLISHED_SAMPLER.params.steps;
  const options = { sampler: PUBLISHED_SAMPLER };
  const way = canRecord(device) ? 'recorded' : 'enqueued';
  const name = `steps of the structure flow, ${way}`;
  return await repeat(
    device,
    name,
    times,
    steps,
    async () => {
      const conditioning = { positive: [tokens], negative: 'zeros' } as const;
      (await sampleStructure(flow, noise, conditioning, options)).dispose();
    },
    report,
  );
}

/** Generations of the bundled model from a bundled picture, two steps each. */
async function generations(
  device: Device,
  times: number,
  report: (line: string) => void,
): Promise<Endurance> {
  using pipeline = await ImageTo3D.load(BUNDLED_MODEL, { device });
  const image = await readImageFile(join(BUNDLED_EXAMPLES, '00_chair.png'));
  let seed = 0;
  return await repeat(
    device,
    'generations of the bundled model',
    times,
    1,
    async () => {
      await pipeline.run(image, { seed: seed++, steps: 2 });
    },
    report,
  );
}

/** What can be repeated, by name. */
export const ENDURANCE_TESTS: Readonly<
  Record<
    string,
    (device: Device, times: number, report: (line: string) => void) => Promise<Endurance>
  >
> = { steps: structureSteps, generations };
