/**
 * Steps that are recorded once and replayed: the work of a loop body without planning, checking or binding it again.
 */
import type { Recording } from './backend.ts';
import type { Device } from './device.ts';
import { bytesPerElement, type StorageArray } from './dtype.ts';
import { InputError, ShapeError, UnsupportedOpError } from './errors.ts';
import { toStorage } from './host-data.ts';
import { formatShape } from './shape.ts';
import { sameSpec, type Tensor } from './tensor.ts';

/** A step that can be run again. */
export interface RecordedStep<T> extends Disposable {
  /** What the body returned. Its tensors are overwritten in place by each replay. */
  readonly result: T;
  /** Device commands of one replay. */
  readonly commands: number;
  /** Enqueues the step again. @throws InputError after `dispose()`. */
  replay(): void;
  /** Gives the step's memory back; tensors of `result` live on until they are disposed themselves. */
  dispose(): void;
}

class Step<T> implements RecordedStep<T> {
  readonly result: T;
  readonly #recording: Recording;
  #disposed = false;

  constructor(recording: Recording, result: T) {
    this.#recording = recording;
    this.result = result;
  }

  get commands(): number {
    return this.#recording.commands;
  }

  replay(): void {
    if (this.#disposed) throw new InputError('replay: the recorded step was disposed.');
    this.#recording.replay();
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#recording.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** True when `recordStep` works on this device. */
export function canRecord(device: Device): boolean {
  return device.backend.record !== undefined;
}

/**
 * Runs `body` once and records its device work, to be replayed with the same tensors.
 *
 * The body must be synchronous and must not read tensors. Values change between replays only through tensors made
 * before the step: write them with `assign` or `assignData`, inside the step (a running state) or between replays
 * (a time). Data uploaded inside the step is replayed as it was. Temporaries are freed as by `device.run`.
 *
 * ```ts
 * const step = recordStep(device, () => assign(x, add(x, mul(network(x, t), dt))));
 * for (const time of times) { assignData(t, [time]); step.replay(); }
 * ```
 *
 * @throws UnsupportedOpError when the device records nothing; InputError when the body is asynchronous or a step is
 *   being recorded already.
 */
export function recordStep<T>(device: Device, body: () => T): RecordedStep<T> {
  const { backend } = device;
  if (backend.record === undefined) {
    throw new UnsupportedOpError(`recordStep: ${device.name} records no steps.`);
  }
  let result: T | undefined;
  const recording = backend.record(() => {
    result = device.run(body);
    if (result instanceof Promise) {
      // Nobody will wait for it.
      result.catch(() => {});
      throw new InputError('recordStep: body must be synchronous, got a promise.');
    }
  });
  return new Step(recording, result as T);
}

/**
 * Copies the elements of `source` into the memory of `target`: views of `target` see the new values.
 *
 * @throws ShapeError unless both are equal in dtype and shape and `target` is contiguous from the start of its memory;
 *   InputError when they share memory or live on two devices.
 */
export function assign(target: Tensor, source: Tensor): void {
  if (!sameSpec(target, source) || !target.contiguous || target.offset !== 0) {
    throw new ShapeError(
      `assign: target must be a whole tensor equal to source in dtype and shape, got ${String(target)} and ${String(source)}.`,
    );
  }
  if (source.device !== target.device || source.storage === target.storage) {
    throw new InputError('assign: target and source must be two tensors of one device.');
  }
  if (target.size > 0) target.device.copyInto(target, source);
}

/**
 * Writes host data into the memory of `target`, converted as by `device.tensor`.
 *
 * @throws ShapeError unless `target` is contiguous and `data` has its size; DTypeError when the array does not fit.
 */
export function assignData(target: Tensor, data: StorageArray | readonly number[]): void {
  const { dtype, device, offset, size } = target;
  if (data.length !== size || !target.contiguous) {
    throw new ShapeError(
      `assignData: target must be contiguous and take ${data.length} elements, got ${dtype}${formatShape(target.shape)}.`,
    );
  }
  if (size === 0) return;
  const storage = toStorage(dtype, data);
  const bytes = new Uint8Array(storage.buffer, storage.byteOffset, storage.byteLength);
  device.backend.upload(target.storage.buffer, offset * bytesPerElement(dtype), bytes);
}
