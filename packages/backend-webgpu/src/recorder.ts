/** Recorded steps: the commands of a piece of work, replayed without planning, checking or binding anything again. */
import {
  bytesPerElement,
  formatShape,
  InputError,
  sameSpec,
  ShapeError,
  type Binding,
  type Device,
  type StorageArray,
  type Tensor,
} from '@pergola/core';
import { webGpuBackend } from './backend.ts';
import type { GpuBuffer } from './buffers.ts';
import type { DispatchCommand } from './commands.ts';
import type { WebGpuContext } from './context.ts';
import { moveElements } from './kernels/copy.ts';
import { SLOT_BYTES, SLOT_WORDS, uniformGroup } from './params.ts';
import { Recording } from './recording.ts';
import { BUFFER_USAGE } from './usage.ts';

/** A step that can be run again. */
export interface RecordedStep<T> extends Disposable {
  /** What the body returned. Its tensors are overwritten in place by each replay. */
  readonly result: T;
  /** Number of device commands of one replay. */
  readonly commands: number;
  /** Enqueues the step again. @throws InputError after `dispose()`. */
  replay(): void;
  /** Gives the step's memory back; tensors of `result` live on until they are disposed themselves. */
  dispose(): void;
}

class Step<T> implements RecordedStep<T> {
  readonly result: T;
  readonly #context: WebGpuContext;
  readonly #recording: Recording;
  readonly #params: GPUBuffer;
  readonly #group: GPUBindGroup;
  #disposed = false;

  constructor(context: WebGpuContext, recording: Recording, result: T) {
    this.#context = context;
    this.#recording = recording;
    this.result = result;
    const dispatches = recording.commands.filter(
      (command): command is DispatchCommand => command.kind === 'dispatch',
    );
    const words = new Uint32Array(Math.max(1, dispatches.length) * SLOT_WORDS);
    dispatches.forEach((command, i) => words.set(command.words, i * SLOT_WORDS));
    this.#params = context.gpu.createBuffer({
      label: 'recorded params',
      size: words.byteLength,
      usage: BUFFER_USAGE.uniform | BUFFER_USAGE.copyTarget,
    });
    context.gpu.queue.writeBuffer(this.#params, 0, words);
    this.#group = uniformGroup(context.gpu, context.uniformLayout, this.#params);
  }

  get commands(): number {
    return this.#recording.commands.length;
  }

  replay(): void {
    if (this.#disposed) throw new InputError('replay: the recorded step was disposed.');
    const { commands, recording } = this.#context;
    if (recording !== undefined) {
      throw new InputError('replay: a step must not be replayed while another is recorded.');
    }
    let slot = 0;
    for (const command of this.#recording.commands) {
      if (command.kind === 'dispatch') {
        commands.dispatch(command, { group: this.#group, offset: slot * SLOT_BYTES });
        slot++;
      } else if (command.kind === 'copy') commands.copy(command);
      else commands.clear(command);
    }
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    // Destroyed buffers must not be part of unsubmitted work.
    this.#context.commands.flush();
    this.#params.destroy();
    for (const buffer of this.#recording.constants) buffer.destroy();
    for (const buffer of this.#recording.pinned) this.#context.unpin(buffer);
    this.#recording.pinned.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Runs `body` once and records its device work, to be replayed with the same tensors.
 *
 * The body must be synchronous and must not read tensors. Values change between replays only through tensors made
 * before the step: write them with `assign` or `assignData`, inside the step (a running state) or between replays
 * (a time step). Data uploaded inside the step is replayed as it was. Temporaries are freed as by `device.run`.
 *
 * ```ts
 * const step = recordStep(device, () => assign(x, add(x, mul(network(x, t), dt))));
 * for (const time of times) { assignData(t, [time]); step.replay(); }
 * ```
 *
 * @throws InputError when the device is not a WebGPU device, a step is being recorded already, or the body is
 * asynchronous.
 */
export function recordStep<T>(device: Device, body: () => T): RecordedStep<T> {
  const { context } = webGpuBackend('recordStep', device);
  if (context.recording !== undefined) {
    throw new InputError('recordStep: steps must not be recorded inside one another.');
  }
  const recording = new Recording();
  const abandon = (): void => {
    context.commands.flush();
    for (const buffer of recording.constants) buffer.destroy();
    for (const buffer of recording.pinned) context.unpin(buffer);
  };
  context.record(recording);
  let result: T;
  try {
    result = device.run(body);
    if (result instanceof Promise) {
      throw new InputError('recordStep: body must be synchronous, got a promise.');
    }
  } catch (error) {
    context.record(undefined);
    recording.close();
    abandon();
    throw error;
  }
  context.record(undefined);
  recording.close();
  return new Step(context, recording, result);
}

function bindingOf(tensor: Tensor): Binding<GpuBuffer> {
  return { buffer: tensor.storage.buffer as GpuBuffer, offset: tensor.offset };
}

/**
 * Copies the elements of `source` into the memory of `target`: views of `target` see the new values.
 *
 * @throws ShapeError unless both are contiguous and equal in dtype and shape; InputError when the device is not a
 * WebGPU device.
 */
export function assign(target: Tensor, source: Tensor): void {
  const { context } = webGpuBackend('assign', target.device);
  if (source.device !== target.device || !sameSpec(target, source) || !target.contiguous) {
    throw new ShapeError(
      `assign: target must be contiguous and both must be equal, got ${String(target)} and ${String(source)}.`,
    );
  }
  if (target.size === 0) return;
  const dense = source.toContiguous();
  try {
    moveElements(context, target.dtype, target.size, bindingOf(dense), bindingOf(target));
  } finally {
    dense.dispose();
  }
}

/**
 * Writes host data, the raw elements of the tensor's dtype, into the memory of `target`.
 *
 * @throws ShapeError unless `target` is contiguous and `data` has its size and element type.
 */
export function assignData(target: Tensor, data: StorageArray): void {
  const backend = webGpuBackend('assignData', target.device);
  const bytes = target.size * bytesPerElement(target.dtype);
  if (data.byteLength !== bytes || !target.contiguous) {
    throw new ShapeError(
      `assignData: target must be contiguous and take ${data.byteLength} bytes, got ${target.dtype}${formatShape(target.shape)}.`,
    );
  }
  backend.upload(
    target.storage.buffer as GpuBuffer,
    target.offset * bytesPerElement(target.dtype),
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  );
}
