/** The CPU device's threads: fork and join over shared memory, in tens of microseconds. */
import { DeviceLostError, InputError, LifetimeError, UnsupportedOpError } from '../errors.ts';
import type { CpuBuffer, CpuMemory } from './memory.ts';
import {
  ARGS_ADDRESS,
  CONTROL,
  ERROR_ADDRESS,
  MAX_ARGS,
  MAX_MODULES,
  OPEN,
  SCRATCH_BYTES,
  WORKER_SOURCE,
} from './pool-control.ts';
import { moduleBytes, type WasmModule } from './wasm-module.ts';

/** An exported job of a module: items `[begin, end)`, with `scratch` bytes of its own. */
type Job = (args: number, begin: number, end: number, scratch: number) => void;

interface LoadedModule {
  readonly index: number;
  readonly jobs: ReadonlyMap<string, { readonly index: number; readonly job: Job }>;
  /** What threads compile from; absent where there is but one. */
  readonly bytes: CpuBuffer | undefined;
}

/** A thread, whatever the platform made it from. */
interface Thread {
  terminate(): unknown;
}

/** The part of `node:worker_threads` that the pool needs. */
interface NodeWorkers {
  readonly Worker: new (
    source: string,
    options: { eval: true; workerData: unknown; execArgv: string[] },
  ) => Thread & { unref(): void; on(event: 'error', listener: (error: Error) => void): void };
}

interface NodeProcess {
  getBuiltinModule?(name: string): unknown;
}

/** A builtin module of Node.js; undefined elsewhere. */
function nodeModule(name: string): unknown {
  const { process } = globalThis as { process?: NodeProcess };
  return process?.getBuiltinModule?.(name);
}

/** Threads that this machine runs at once. */
export function availableThreads(): number {
  const os = nodeModule('node:os') as { availableParallelism(): number } | undefined;
  return os?.availableParallelism() ?? globalThis.navigator?.hardwareConcurrency ?? 1;
}

/** The bits of an f32, as an argument word for `CpuPool.run`. */
export function floatWord(value: number): number {
  floatScratch[0] = value;
  return floatBits[0]!;
}

const floatScratch = new Float32Array(1);
const floatBits = new Int32Array(floatScratch.buffer);

// Threads of a pool that was dropped without dispose() still hold its memory: they are told to end.
const ABANDONED = new FinalizationRegistry<Int32Array>(endThreads);

function endThreads(control: Int32Array): void {
  Atomics.store(control, CONTROL.EXIT, 1);
  Atomics.add(control, CONTROL.SEQUENCE, 1);
  Atomics.notify(control, CONTROL.SEQUENCE);
}

/** Loops while waiting for other threads before going to sleep; about 20 microseconds. */
const SPINS = 2000;

/**
 * Threads that share the CPU memory. The calling thread takes part in every job; the others are made when the first
 * job is large enough, and a job never waits for one that is not there yet.
 *
 * Results do not depend on the number of threads as long as each item writes its own part of the output.
 */
export class CpuPool {
  readonly threads: number;
  readonly #memory: CpuMemory;
  readonly #relaxed: boolean;
  readonly #control: Int32Array;
  readonly #args: Int32Array;
  readonly #modules: Map<WasmModule, LoadedModule> = new Map();
  readonly #canSleep: boolean;
  #workers: Thread[] | undefined;
  #scratch: CpuBuffer | undefined;
  #disposed = false;

  /** @param threads how many take part, the caller included; 1 when memory is not shared. */
  constructor(memory: CpuMemory, threads: number, relaxed: boolean) {
    this.#memory = memory;
    this.threads = memory.shared ? threads : 1;
    this.#relaxed = relaxed;
    // A private memory detaches these views when it grows; they are then made anew for each use.
    this.#control = new Int32Array(memory.buffer, 0, 1024);
    this.#args = new Int32Array(memory.buffer, ARGS_ADDRESS, MAX_ARGS);
    this.#canSleep = memory.shared && this.#trySleeping();
  }

  /** Browsers forbid their main thread to sleep. */
  #trySleeping(): boolean {
    try {
      Atomics.wait(this.#control, CONTROL.STATE, 1, 0);
      return true;
    } catch {
      return false;
    }
  }

  /**
   * Runs an exported job over `items` items and returns when all are done.
   *
   * @param module made by scripts/build-wasm.mjs; loaded at its first use.
   * @param name its export.
   * @param args up to 192 words (i32, u32 or `floatWord`), copied to where the job's `args` points.
   * @param grain items that one thread takes at a time. Up to `grain` items run on the calling thread alone, so choose
   *   it to be worth 30 microseconds or more.
   * @throws DeviceLostError when a thread failed; the outputs are then undefined.
   */
  run(
    module: WasmModule,
    name: string,
    args: readonly number[],
    items: number,
    grain: number,
  ): void {
    if (items <= 0) return;
    const { index: moduleIndex, jobs } = this.#load(module);
    const found = jobs.get(name);
    if (found === undefined || args.length > MAX_ARGS) {
      throw new InputError(
        `cpu: job must be an export of module ${module.name} with at most ${MAX_ARGS} words, got ${name} with ${args.length}.`,
      );
    }
    // Written so that NaN, from an op over nothing, means 1.
    const chunk = grain >= 1 ? Math.min(Math.floor(grain), items) : 1;
    const scratch = this.#scratchAddress();
    const words = this.#words();
    for (let i = 0; i < args.length; i++) words[i] = args[i]!;
    if (items <= chunk || this.threads === 1) {
      runHere(found.job, 0, items, scratch);
      return;
    }
    this.#startWorkers(scratch);
    const control = this.#control;
    control[CONTROL.MODULE] = moduleIndex;
    control[CONTROL.EXPORT] = found.index;
    control[CONTROL.ITEMS] = items;
    control[CONTROL.CHUNK] = chunk;
    control[CONTROL.ERROR_BYTES] = 0;
    Atomics.store(control, CONTROL.NEXT, 0);
    Atomics.store(control, CONTROL.STATE, OPEN);
    Atomics.add(control, CONTROL.SEQUENCE, 1);
    Atomics.notify(control, CONTROL.SEQUENCE, Math.ceil(items / chunk) - 1);
    try {
      for (;;) {
        const begin = Atomics.add(control, CONTROL.NEXT, chunk);
        if (begin >= items) break;
        runHere(found.job, begin, Math.min(items, begin + chunk), scratch);
      }
    } finally {
      // After a failure here, too: nobody may still be in this job when the next one is written.
      Atomics.store(control, CONTROL.NEXT, items);
      this.#join();
    }
    this.#checkError();
  }

  /** Loads a module ahead of its first use. */
  loadModule(module: WasmModule): void {
    this.#load(module);
  }

  #load(module: WasmModule): LoadedModule {
    const known = this.#modules.get(module);
    if (known !== undefined) return known;
    if (this.#disposed) throw new LifetimeError('cpu: the device was disposed.');
    const { shared, memory } = this.#memory;
    const bytes = moduleBytes(module, shared, this.#relaxed);
    let instance: WebAssembly.Instance;
    try {
      instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
    } catch (cause) {
      throw new UnsupportedOpError(`cpu: module ${module.name} must run in this engine.`, {
        cause,
      });
    }
    const index = this.#modules.size;
    if (index === MAX_MODULES) {
      throw new InputError(`cpu: at most ${MAX_MODULES} modules fit one device.`);
    }
    const jobs = Object.entries(instance.exports).filter(([, item]) => typeof item === 'function');
    const loaded: LoadedModule = {
      index,
      jobs: new Map(jobs.map(([name, job], at) => [name, { index: at, job: job as Job }])),
      bytes: this.threads > 1 ? this.#publish(index, bytes) : undefined,
    };
    this.#modules.set(module, loaded);
    return loaded;
  }

  /** Puts a copy of a module where threads find it; it stays, for threads that start later. */
  #publish(index: number, bytes: Uint8Array): CpuBuffer {
    const buffer = this.#memory.allocate(bytes.length);
    this.#memory.bytes.set(bytes, buffer.address);
    this.#control[CONTROL.MODULES + 2 * index] = buffer.address;
    this.#control[CONTROL.MODULES + 2 * index + 1] = bytes.length;
    Atomics.store(this.#control, CONTROL.MODULE_COUNT, index + 1);
    return buffer;
  }

  #words(): Int32Array {
    return this.#memory.shared
      ? this.#args
      : new Int32Array(this.#memory.buffer, ARGS_ADDRESS, MAX_ARGS);
  }

  #scratchAddress(): number {
    this.#scratch ??= this.#memory.allocate(SCRATCH_BYTES * this.threads);
    return this.#scratch.address;
  }

  #startWorkers(scratch: number): void {
    if (this.#workers !== undefined) return;
    this.#workers = [];
    ABANDONED.register(this, this.#control, this);
    for (let i = 1; i < this.threads; i++) {
      const data = { memory: this.#memory.memory, scratch: scratch + i * SCRATCH_BYTES };
      const worker = startNodeWorker(data) ?? startWebWorker(data);
      if (worker !== undefined) this.#workers.push(worker);
    }
  }

  #join(): void {
    const control = this.#control;
    let state = Atomics.sub(control, CONTROL.STATE, OPEN) - OPEN;
    for (let spins = 0; state !== 0; spins++) {
      if (this.#canSleep && spins > SPINS) Atomics.wait(control, CONTROL.STATE, state);
      state = Atomics.load(control, CONTROL.STATE);
    }
  }

  #checkError(): void {
    const length = this.#control[CONTROL.ERROR_BYTES]!;
    if (length === 0) return;
    // TextDecoder takes no view of shared memory, hence the copy.
    const text = new Uint8Array(this.#memory.buffer, ERROR_ADDRESS, length).slice();
    throw new DeviceLostError(`cpu: a thread failed: ${new TextDecoder().decode(text)}`);
  }

  /** Ends the threads and frees what the pool allocated. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#workers !== undefined) {
      ABANDONED.unregister(this);
      endThreads(this.#control);
      for (const worker of this.#workers) worker.terminate();
    }
    this.#workers = undefined;
    if (this.#scratch !== undefined) this.#memory.free(this.#scratch);
    for (const { bytes } of this.#modules.values()) {
      if (bytes !== undefined) this.#memory.free(bytes);
    }
    this.#modules.clear();
  }
}

function runHere(job: Job, begin: number, end: number, scratch: number): void {
  try {
    job(ARGS_ADDRESS, begin, end, scratch);
  } catch (cause) {
    throw new DeviceLostError(`cpu: a job failed: ${String(cause)}`, { cause });
  }
}

function startNodeWorker(data: object): Thread | undefined {
  const workers = nodeModule('node:worker_threads') as NodeWorkers | undefined;
  if (workers === undefined) return undefined;
  // Loaders of the host process (test runners, transpilers) would only slow the start.
  const worker = new workers.Worker(WORKER_SOURCE, {
    eval: true,
    workerData: data,
    execArgv: [],
  });
  // A thread that could not start is a thread less; one that failed in a job has reported it already.
  worker.on('error', () => {});
  worker.unref();
  return worker;
}

function startWebWorker(data: object): Thread | undefined {
  if (typeof Worker === 'undefined') return undefined;
  const url = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: 'text/javascript' }));
  const worker = new Worker(url);
  worker.addEventListener('error', (event) => event.preventDefault());
  worker.postMessage(data, []);
  return {
    terminate() {
      worker.terminate();
      URL.revokeObjectURL(url);
    },
  };
}
