/** The order of work: dispatches and copies go into one command encoder, submitted in batches. */
import type { GpuBuffer } from './buffers.ts';
import type { DeviceHealth } from './health.ts';
import type { ParamRing, ParamSlot } from './params.ts';
import type { StagingRing } from './staging.ts';
import type { Profiler } from './profiler.ts';

/** Workgroups along x, y and z. */
export type Grid = readonly [x: number, y: number, z: number];

/** One run of a compute pipeline. */
export interface DispatchCommand {
  readonly kind: 'dispatch';
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  readonly storage: GPUBindGroup;
  /** Parameters of the program, as they lie in its uniform slot. */
  readonly words: Uint32Array;
  readonly grid: Grid;
  /** Every buffer that `storage` binds. */
  readonly buffers: readonly GpuBuffer[];
}

/** A copy between device buffers; offsets and length are multiples of 4. */
export interface CopyCommand {
  readonly kind: 'copy';
  readonly source: GPUBuffer;
  readonly sourceOffset: number;
  readonly target: GpuBuffer;
  readonly targetOffset: number;
  readonly bytes: number;
  /** The source when it belongs to the pool. */
  readonly sourceBuffer?: GpuBuffer;
}

/** Zeroes for a range; offset and length are multiples of 4. */
export interface ClearCommand {
  readonly kind: 'clear';
  readonly target: GpuBuffer;
  readonly offset: number;
  readonly bytes: number;
}

export type Command = DispatchCommand | CopyCommand | ClearCommand;

/** Takes note of every command, in order. */
export interface CommandObserver {
  record(command: Command): void;
}

// Large enough to hide the cost of a submission, small enough that the device starts early.
const BATCH_COMMANDS = 128;

/** Encodes commands and submits them. */
export class CommandQueue {
  readonly #device: GPUDevice;
  readonly #health: DeviceHealth;
  readonly #params: ParamRing;
  readonly #staging: StagingRing;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #count = 0;
  #observer: CommandObserver | undefined;
  #profiler: Profiler | undefined;
  readonly #dynamicOffset: Uint32Array = new Uint32Array(1);

  constructor(device: GPUDevice, health: DeviceHealth, params: ParamRing, staging: StagingRing) {
    this.#device = device;
    this.#health = health;
    this.#params = params;
    this.#staging = staging;
  }

  get observer(): CommandObserver | undefined {
    return this.#observer;
  }

  /** Sets or clears who takes note of commands. */
  observe(observer: CommandObserver | undefined): void {
    this.#observer = observer;
  }

  /** Starts or ends the timing of each dispatch. */
  profile(profiler: Profiler | undefined): void {
    this.flush();
    this.#profiler = profiler;
  }

  /** @throws DeviceLostError when the device is gone. */
  push(command: Command): void {
    this.#health.check();
    this.#observer?.record(command);
    switch (command.kind) {
      case 'dispatch':
        if (this.#params.full) this.flush();
        this.dispatch(command, this.#params.push(command.words));
        return;
      case 'copy':
        this.copy(command);
        return;
      case 'clear':
        this.clear(command);
        return;
      default:
        command satisfies never;
    }
  }

  /** Encodes a dispatch whose parameters are in place. */
  dispatch(command: DispatchCommand, slot: ParamSlot): void {
    const profiler = this.#profiler;
    if (profiler !== undefined) this.#endPass();
    const pass = profiler === undefined ? this.#computePass() : this.#timedPass(profiler, command);
    pass.setPipeline(command.pipeline);
    pass.setBindGroup(0, command.storage);
    this.#dynamicOffset[0] = slot.offset;
    pass.setBindGroup(1, slot.group, this.#dynamicOffset, 0, 1);
    pass.dispatchWorkgroups(command.grid[0], command.grid[1], command.grid[2]);
    this.#counted();
  }

  /** Encodes a copy. */
  copy({ source, sourceOffset, target, targetOffset, bytes }: CopyCommand): void {
    this.copyRaw(source, sourceOffset, target.handle, targetOffset, bytes);
  }

  /** Encodes a copy between any two WebGPU buffers; not seen by observers. */
  copyRaw(
    source: GPUBuffer,
    sourceOffset: number,
    target: GPUBuffer,
    targetOffset: number,
    bytes: number,
  ): void {
    this.#endPass();
    this.#openEncoder().copyBufferToBuffer(source, sourceOffset, target, targetOffset, bytes);
    this.#counted();
  }

  /** Encodes a clear. */
  clear({ target, offset, bytes }: ClearCommand): void {
    this.#endPass();
    this.#openEncoder().clearBuffer(target.handle, offset, bytes);
    this.#counted();
  }

  /** Submits what was encoded. */
  flush(): void {
    if (this.#encoder === undefined) return;
    this.#endPass();
    this.#profiler?.resolve(this.#encoder);
    const commands = this.#encoder.finish();
    this.#encoder = undefined;
    this.#count = 0;
    this.#params.flush();
    this.#staging.unmap();
    this.#device.queue.submit([commands]);
    this.#staging.recycle();
  }

  #counted(): void {
    this.#count++;
    if (this.#count >= BATCH_COMMANDS) this.flush();
  }

  #openEncoder(): GPUCommandEncoder {
    this.#encoder ??= this.#device.createCommandEncoder();
    return this.#encoder;
  }

  #computePass(): GPUComputePassEncoder {
    this.#pass ??= this.#openEncoder().beginComputePass();
    return this.#pass;
  }

  #timedPass(profiler: Profiler, command: DispatchCommand): GPUComputePassEncoder {
    if (profiler.full) this.flush();
    this.#pass = this.#openEncoder().beginComputePass({
      timestampWrites: profiler.next(command.label),
    });
    return this.#pass;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }
}
