/** Compute pipelines by source and specialisation, with explicit layouts and readable compile errors. */
import { describeCompilation, GpuProgramError } from './errors.ts';
import type { DeviceHealth } from './health.ts';
import { COMPUTE_STAGE } from './usage.ts';

/** How a program uses a storage binding. */
export type StorageUse = 'read' | 'write';

/** A compiled program. */
export interface Pipeline {
  readonly handle: GPUComputePipeline;
  /** Layout of bind group 0. */
  readonly layout: StorageLayout;
  /** Why it did not compile, once that is known. */
  failure: GpuProgramError | undefined;
}

/** Layout of the storage bindings; programs with the same uses share it, and so their bind groups. */
export interface StorageLayout {
  readonly id: number;
  readonly handle: GPUBindGroupLayout;
}

/** What is compiled. */
export interface PipelineSource {
  readonly label: string;
  /** WGSL with entry point `main`. */
  readonly code: string;
  readonly uses: readonly StorageUse[];
  /** Values of pipeline-overridable constants. */
  readonly constants?: Readonly<Record<string, number>> | undefined;
}

/** Compiles each program once. */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #health: DeviceHealth;
  readonly #uniforms: GPUBindGroupLayout;
  readonly #pipelines: Map<string, Pipeline> = new Map();
  readonly #layouts: Map<string, StorageLayout> = new Map();

  constructor(device: GPUDevice, health: DeviceHealth, uniforms: GPUBindGroupLayout) {
    this.#device = device;
    this.#health = health;
    this.#uniforms = uniforms;
  }

  /** Number of compiled programs. */
  get size(): number {
    return this.#pipelines.size;
  }

  /** The pipeline of `source`. A compile error meets the next read or sync as GpuProgramError. */
  get(source: PipelineSource): Pipeline {
    const constants = Object.entries(source.constants ?? {});
    const key = `${JSON.stringify(constants)}${source.code}`;
    const known = this.#pipelines.get(key);
    if (known !== undefined) return known;
    const pipeline = this.#compile(source);
    this.#pipelines.set(key, pipeline);
    return pipeline;
  }

  #compile({ label, code, uses, constants = {} }: PipelineSource): Pipeline {
    const layout = this.#layout(uses);
    this.#device.pushErrorScope('validation');
    const shader = this.#device.createShaderModule({ label, code });
    const handle = this.#device.createComputePipeline({
      label,
      layout: this.#device.createPipelineLayout({
        bindGroupLayouts: [layout.handle, this.#uniforms],
      }),
      compute: { module: shader, entryPoint: 'main', constants },
    });
    const pipeline: Pipeline = { handle, layout, failure: undefined };
    this.#health.watch(
      this.#device.popErrorScope().then(async (error) => {
        if (error === null) return;
        const { messages } = await shader.getCompilationInfo();
        const text = describeCompilation(label, error.message, messages, code);
        pipeline.failure = new GpuProgramError(text);
        this.#health.reportCause(pipeline.failure);
      }),
    );
    return pipeline;
  }

  #layout(uses: readonly StorageUse[]): StorageLayout {
    const key = uses.join();
    const known = this.#layouts.get(key);
    if (known !== undefined) return known;
    const handle = this.#device.createBindGroupLayout({
      label: key,
      entries: uses.map((use, binding) => ({
        binding,
        visibility: COMPUTE_STAGE,
        buffer: { type: use === 'read' ? 'read-only-storage' : 'storage' },
      })),
    });
    const layout = { id: this.#layouts.size, handle };
    this.#layouts.set(key, layout);
    return layout;
  }
}
