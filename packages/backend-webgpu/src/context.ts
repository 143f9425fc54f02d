/** What kernels work with: programs compiled once, launches, and scratch memory. */
import type { Binding, Kernel } from '@pergola/core';
import type { BindGroupCache } from './bind-groups.ts';
import type { BufferPool, GpuBuffer } from './buffers.ts';
import type { Capabilities } from './capabilities.ts';
import type { CommandQueue, Grid } from './commands.ts';
import type { Pipeline, PipelineCache } from './pipelines.ts';
import type { Recording } from './recording.ts';
import { packParams, programSource, type ProgramSpec } from './wgsl/program.ts';

/** A kernel of this backend. */
export type WebGpuKernel<Attrs extends object = object, Plan = unknown> = Kernel<
  WebGpuContext,
  GpuBuffer,
  Attrs,
  Plan
>;

/** A program ready to be launched. */
export interface Program<P extends string = string> {
  readonly spec: ProgramSpec<P>;
  readonly pipeline: Pipeline;
  /** Packs parameters for `launch`; done once, while planning. */
  pack(values: Readonly<Record<P, number>>): Uint32Array;
}

/** Splits a number of workgroups over the dimensions of a dispatch, none longer than `limit`. */
export function foldGrid(groups: number, limit: number): Grid {
  if (groups <= limit) return [groups, 1, 1];
  const rows = Math.ceil(groups / limit);
  if (rows <= limit) return [Math.ceil(groups / rows), rows, 1];
  const planes = Math.ceil(rows / limit);
  const height = Math.ceil(rows / planes);
  return [Math.ceil(groups / (height * planes)), height, planes];
}

/** The parts of a device that a context joins. */
export interface ContextParts {
  readonly gpu: GPUDevice;
  readonly capabilities: Capabilities;
  readonly commands: CommandQueue;
  readonly pool: BufferPool;
  readonly pipelines: PipelineCache;
  readonly bindGroups: BindGroupCache;
  readonly uniformLayout: GPUBindGroupLayout;
}

/** Kernel state of one device. */
export class WebGpuContext {
  readonly gpu: GPUDevice;
  readonly capabilities: Capabilities;
  readonly commands: CommandQueue;
  readonly pipelines: PipelineCache;
  /** Layout of bind group 1: the parameters. */
  readonly uniformLayout: GPUBindGroupLayout;
  readonly #pool: BufferPool;
  readonly #bindGroups: BindGroupCache;
  #recording: Recording | undefined;

  constructor(parts: ContextParts) {
    this.gpu = parts.gpu;
    this.capabilities = parts.capabilities;
    this.commands = parts.commands;
    this.pipelines = parts.pipelines;
    this.uniformLayout = parts.uniformLayout;
    this.#pool = parts.pool;
    this.#bindGroups = parts.bindGroups;
  }

  /** Compiles a program, once per source and constants. */
  program<P extends string>(spec: ProgramSpec<P>): Program<P> {
    const pipeline = this.pipelines.get({
      label: spec.label,
      code: programSource(spec, this.capabilities.f16),
      uses: spec.bindings.map(({ use }) => (use === 'read' ? 'read' : 'write')),
      constants: spec.constants,
    });
    return { spec, pipeline, pack: (values) => packParams(spec, values) };
  }

  /**
   * Enqueues a program.
   *
   * @param bindings one per binding of the program, in order. A buffer that is written must not be bound twice.
   * @param params from `program.pack`.
   * @param count elements or groups, as the program counts; nothing is enqueued for 0.
   * @throws GpuProgramError when the program is known not to compile.
   */
  launch(
    program: Program,
    bindings: readonly Binding<GpuBuffer>[],
    params: Uint32Array,
    count: number,
  ): void {
    if (count === 0) return;
    const { spec, pipeline } = program;
    if (pipeline.failure !== undefined) throw pipeline.failure;
    const words = params.slice();
    words[0] = count;
    const buffers = bindings.map((binding, i) => {
      words[1 + i] = binding.offset / (spec.bindings[i]!.lanes ?? 1);
      return binding.buffer;
    });
    const groups = spec.each === 'element' ? Math.ceil(count / spec.workgroup) : count;
    this.commands.push({
      kind: 'dispatch',
      label: spec.label,
      pipeline: pipeline.handle,
      storage: this.#bindGroups.get(pipeline.layout, buffers),
      words,
      grid: foldGrid(groups, this.capabilities.maxGroups),
      buffers,
    });
  }

  /**
   * Memory of 32-bit words for the launches of one `run`. Free it with `release` as soon as they are enqueued: its next
   * user's work comes after them.
   */
  scratch(words: number): Binding<GpuBuffer> {
    return { buffer: this.allocate(words * 4), offset: 0 };
  }

  release(...scratch: readonly Binding<GpuBuffer>[]): void {
    for (const { buffer } of scratch) this.free(buffer);
  }

  /** Fills a range of a buffer with zero bytes; offset and length are multiples of 4. */
  clear(target: GpuBuffer, offset: number, bytes: number): void {
    if (bytes > 0) this.commands.push({ kind: 'clear', target, offset, bytes });
  }

  /** The step being recorded. */
  get recording(): Recording | undefined {
    return this.#recording;
  }

  /** Starts (or, with `undefined`, ends) taking note of commands and of the memory they use. */
  record(recording: Recording | undefined): void {
    this.#recording = recording;
    this.commands.observe(recording);
  }

  /** Memory from the pool, or from the step being recorded. */
  allocate(bytes: number): GpuBuffer {
    const recording = this.#recording;
    if (recording === undefined) return this.#pool.take(bytes);
    return recording.reuse(bytes) ?? recording.own(this.#pool.take(bytes));
  }

  /** Back to the pool, once no recorded step replays work on it. */
  free(buffer: GpuBuffer): void {
    if (this.#recording?.keep(buffer) === true) return;
    if (buffer.pins > 0) buffer.freed = true;
    else this.#pool.put(buffer);
  }

  /** Ends a recorded step's claim on a buffer. */
  unpin(buffer: GpuBuffer): void {
    buffer.pins--;
    if (buffer.pins > 0 || !buffer.freed) return;
    buffer.freed = false;
    this.#pool.put(buffer);
  }
}
