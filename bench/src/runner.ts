/** Times asynchronous work with the `benchmark` package and reports minimum and median, not the mean. */
import Benchmark from 'benchmark';

/** One way of doing a piece of work. */
export interface Contender {
  readonly name: string;
  /** Enqueues the work and resolves when it is done (the fence is inside the sample). */
  run(): Promise<void>;
  /** Frees what the contender holds. */
  dispose?(): void | Promise<void>;
}

/** A piece of work. */
export interface Workload {
  readonly name: string;
  /** Amount of arithmetic, where it is known and says something. */
  readonly flops?: number;
  contenders(): Promise<Contender[]>;
  /** What else is to be said once it has run. */
  note?(): string;
}

/** Timing of one contender. */
export interface Timing {
  readonly workload: string;
  readonly contender: string;
  readonly samples: number;
  readonly minSeconds: number;
  readonly medianSeconds: number;
  /** At the fastest sample; undefined like that of the workload. */
  readonly peakGflops: number | undefined;
  /** At the median sample. */
  readonly medianGflops: number | undefined;
}

/** How long one contender is sampled. */
export interface RunnerOptions {
  readonly maxSeconds: number;
  readonly minSamples: number;
}

// A shared machine disturbs single samples by 2x; ten of them give an honest minimum and median.
export const RUNNER_DEFAULTS: RunnerOptions = { maxSeconds: 2, minSamples: 10 };

function median(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function sample(contender: Contender, options: RunnerOptions): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const benchmark = new Benchmark(contender.name, {
      defer: true,
      maxTime: options.maxSeconds,
      minSamples: options.minSamples,
      fn(deferred: { resolve(): void }) {
        contender.run().then(
          () => deferred.resolve(),
          (error: unknown) => {
            benchmark.abort();
            reject(error instanceof Error ? error : new Error(String(error)));
          },
        );
      },
      onComplete() {
        resolve([...benchmark.stats.sample].sort((a, b) => a - b));
      },
    });
    benchmark.run({ async: true });
  });
}

function gflops({ flops }: Workload, seconds: number): number | undefined {
  return flops === undefined ? undefined : flops / seconds / 1e9;
}

/** Warms up and times every contender of a workload, one after another. */
export async function runWorkload(
  workload: Workload,
  options: RunnerOptions = RUNNER_DEFAULTS,
): Promise<Timing[]> {
  const timings: Timing[] = [];
  for (const contender of await workload.contenders()) {
    try {
      await contender.run();
      await contender.run();
      const samples = await sample(contender, options);
      const [minSeconds, medianSeconds] = [samples[0]!, median(samples)];
      timings.push({
        workload: workload.name,
        contender: contender.name,
        samples: samples.length,
        minSeconds,
        medianSeconds,
        peakGflops: gflops(workload, minSeconds),
        medianGflops: gflops(workload, medianSeconds),
      });
    } finally {
      await contender.dispose?.();
    }
  }
  return timings;
}
