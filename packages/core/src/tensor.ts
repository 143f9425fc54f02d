/** Tensors: a dtype, a shape and strides over storage on one device. */
import type { DeviceBuffer } from './backend.ts';
import { decodeStorage, type DType, type StorageArray, type ValueArray } from './dtype.ts';
import type { Device } from './device.ts';
import { DTypeError, InputError, LifetimeError, ShapeError } from './errors.ts';
import type { TensorLayout } from './op.ts';
import {
  broadcastStrides,
  checkShape,
  contiguousStrides,
  formatShape,
  isContiguous,
  resolveAxis,
  sameShape,
  sizeOf,
  type Shape,
} from './shape.ts';

/** Memory shared by a tensor and its views; freed when the last of them is disposed. */
export interface Storage {
  readonly buffer: DeviceBuffer;
  references: number;
}

/** Something with a lifetime that scopes manage: tensors, sparse structures, loaded networks. */
export interface Resource {
  dispose(): void;
}

/**
 * A value that tells which resources it owns, so that `device.run` can return it. Tensors, arrays, `Map`s and plain
 * objects are understood without it.
 */
export interface ResourceOwner {
  ownedResources(): Iterable<Resource>;
}

function isResourceOwner(value: object): value is ResourceOwner {
  return typeof (value as Partial<ResourceOwner>).ownedResources === 'function';
}

/**
 * A dense tensor on one device. Immutable to its users: ops make new tensors, views are free.
 *
 * Memory is freed by `dispose()`, by the end of the scope in which the tensor was made, or at the latest by the
 * garbage collector.
 */
export class Tensor implements TensorLayout, Resource, Disposable {
  readonly device: Device;
  readonly dtype: DType;
  readonly shape: Shape;
  /** In elements. */
  readonly strides: readonly number[];
  /** First element within the storage. */
  readonly offset: number;
  readonly contiguous: boolean;
  readonly #storage: Storage;
  #disposed = false;

  /** @internal Tensors are made by devices and ops. */
  constructor(
    device: Device,
    storage: Storage,
    dtype: DType,
    shape: Shape,
    strides: readonly number[] = contiguousStrides(shape),
    offset = 0,
  ) {
    this.device = device;
    this.#storage = storage;
    this.dtype = dtype;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset;
    this.contiguous = isContiguous(shape, strides);
    storage.references++;
    device.adopt(this, storage);
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  get rank(): number {
    return this.shape.length;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** @internal @throws LifetimeError after `dispose()`. */
  get storage(): Storage {
    if (this.#disposed) {
      throw new LifetimeError(
        `tensor ${this.dtype}${formatShape(this.shape)}: was disposed and can no longer be used.`,
      );
    }
    return this.#storage;
  }

  /** Frees the memory unless views still share it. Safe to call twice. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.device.release(this, this.#storage);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Takes the tensor out of its scope: it now lives until `dispose()`. Returns itself. */
  keep(): this {
    this.device.detach(this);
    return this;
  }

  /** The raw elements, row-major, as a fresh array: `Uint16Array` of bit patterns for f16 and bf16. Waits for the device. */
  async data(): Promise<StorageArray> {
    return this.device.read(this);
  }

  /** The values, row-major, as a fresh array; f16 and bf16 are widened to f32. Waits for the device. */
  async values(): Promise<ValueArray> {
    return decodeStorage(this.dtype, await this.data());
  }

  /**
   * The f32 values, row-major. Waits for the device.
   *
   * @throws DTypeError when the tensor is not a float tensor.
   */
  async floats(): Promise<Float32Array> {
    const values = await this.values();
    if (values instanceof Float32Array) return values;
    throw new DTypeError(`floats: the tensor must be f32, f16 or bf16, got ${this.dtype}.`);
  }

  /** The value of a one-element tensor. Waits for the device. */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new ShapeError(
        `item: the tensor must have one element, got ${formatShape(this.shape)}.`,
      );
    }
    return (await this.values())[0]!;
  }

  #view(shape: Shape, strides: readonly number[], offset: number): Tensor {
    return new Tensor(this.device, this.storage, this.dtype, shape, strides, offset);
  }

  /**
   * Same elements in another shape; one extent may be -1. A view when the elements are contiguous, else a copy.
   *
   * @throws ShapeError when the sizes differ.
   */
  reshape(...shape: number[]): Tensor {
    const target = [...shape];
    const hole = target.indexOf(-1);
    if (hole >= 0) {
      const rest = target.reduce(
        (product, extent, axis) => (axis === hole ? product : product * extent),
        1,
      );
      target[hole] = rest === 0 ? 0 : this.size / rest;
      if (!Number.isInteger(target[hole])) {
        throw new ShapeError(
          `reshape: ${formatShape(this.shape)} does not divide into ${formatShape(shape)}.`,
        );
      }
    }
    checkShape('reshape', target);
    if (sizeOf(target) !== this.size) {
      throw new ShapeError(
        `reshape: ${formatShape(target)} has ${sizeOf(target)} elements, ${formatShape(this.shape)} has ${this.size}.`,
      );
    }
    if (this.contiguous) return this.#view(target, contiguousStrides(target), this.offset);
    const copy = this.toContiguous();
    const view = copy.reshape(...target);
    copy.dispose();
    return view;
  }

  /** A view with reordered axes. @throws ShapeError unless `axes` is a permutation. */
  permute(...axes: number[]): Tensor {
    const resolved = axes.map((axis) => resolveAxis('permute', axis, this.rank));
    if (resolved.length !== this.rank || new Set(resolved).size !== this.rank) {
      throw new ShapeError(
        `permute: axes must be a permutation of the ${this.rank} axes, got ${formatShape(axes)}.`,
      );
    }
    return this.#view(
      resolved.map((axis) => this.shape[axis]!),
      resolved.map((axis) => this.strides[axis]!),
      this.offset,
    );
  }

  /** A view with two axes swapped; the last two by default. */
  transpose(a = -2, b = -1): Tensor {
    const axes = this.shape.map((_, axis) => axis);
    const [first, second] = [
      resolveAxis('transpose', a, this.rank),
      resolveAxis('transpose', b, this.rank),
    ];
    [axes[first], axes[second]] = [axes[second]!, axes[first]!];
    return this.permute(...axes);
  }

  /**
   * A view of `[start, end)` with a positive `step` along `axis`. Negative bounds count from the end.
   *
   * @throws ShapeError when the range leaves the axis.
   */
  slice(
    axis: number,
    start: number,
    end: number = this.shape[resolveAxis('slice', axis, this.rank)]!,
    step = 1,
  ): Tensor {
    const at = resolveAxis('slice', axis, this.rank);
    const extent = this.shape[at]!;
    const from = start < 0 ? start + extent : start;
    const to = end < 0 ? end + extent : end;
    if (
      !Number.isInteger(from) ||
      !Number.isInteger(to) ||
      !Number.isInteger(step) ||
      step < 1 ||
      from < 0 ||
      to > extent ||
      from > to
    ) {
      throw new ShapeError(
        `slice: [${start}, ${end}) step ${step} does not fit axis ${axis} of ${formatShape(this.shape)}.`,
      );
    }
    const shape = [...this.shape];
    const strides = [...this.strides];
    shape[at] = Math.ceil((to - from) / step);
    strides[at] = strides[at]! * step;
    return this.#view(shape, strides, this.offset + from * this.strides[at]!);
  }

  /** A view of one index along `axis`, without that axis. */
  select(axis: number, index: number): Tensor {
    const at = resolveAxis('select', axis, this.rank);
    const extent = this.shape[at]!;
    const from = index < 0 ? index + extent : index;
    if (!Number.isInteger(index) || from < 0 || from >= extent) {
      throw new ShapeError(
        `select: index ${index} is outside axis ${axis} of ${formatShape(this.shape)}.`,
      );
    }
    return this.#view(
      this.shape.filter((_, i) => i !== at),
      this.strides.filter((_, i) => i !== at),
      this.offset + from * this.strides[at]!,
    );
  }

  /** Views of every index along `axis`. */
  unbind(axis: number): Tensor[] {
    const at = resolveAxis('unbind', axis, this.rank);
    return Array.from({ length: this.shape[at]! }, (_, index) => this.select(at, index));
  }

  /** `count` equal views along `axis`. @throws ShapeError when the extent is not divisible. */
  chunk(count: number, axis = -1): Tensor[] {
    const at = resolveAxis('chunk', axis, this.rank);
    const extent = this.shape[at]!;
    if (!Number.isInteger(count) || count < 1 || extent % count !== 0) {
      throw new ShapeError(
        `chunk: ${extent} along axis ${axis} does not divide into ${count} parts.`,
      );
    }
    const step = extent / count;
    return Array.from({ length: count }, (_, i) => this.slice(at, i * step, (i + 1) * step));
  }

  /** A view in which axes of extent 1 (and new leading axes) repeat to `shape`. @throws ShapeError when it does not broadcast. */
  expand(...shape: number[]): Tensor {
    checkShape('expand', shape);
    const lead = shape.length - this.rank;
    if (
      lead < 0 ||
      this.shape.some((extent, axis) => extent !== 1 && extent !== shape[axis + lead])
    ) {
      throw new ShapeError(
        `expand: ${formatShape(this.shape)} does not broadcast to ${formatShape(shape)}.`,
      );
    }
    return this.#view(shape, broadcastStrides(this.shape, this.strides, shape), this.offset);
  }

  /** A view with a new axis of extent 1 before `axis`. */
  unsqueeze(axis: number): Tensor {
    const at = resolveAxis('unsqueeze', axis, this.rank + 1);
    const shape = [...this.shape];
    const strides = [...this.strides];
    shape.splice(at, 0, 1);
    strides.splice(at, 0, 0);
    return this.#view(shape, strides, this.offset);
  }

  /** A view without `axis`, which must have extent 1. */
  squeeze(axis: number): Tensor {
    const at = resolveAxis('squeeze', axis, this.rank);
    if (this.shape[at] !== 1) {
      throw new ShapeError(`squeeze: axis ${axis} of ${formatShape(this.shape)} is not 1.`);
    }
    return this.select(at, 0);
  }

  /** A second handle on the same elements, with its own lifetime. */
  alias(): Tensor {
    return this.#view(this.shape, this.strides, this.offset);
  }

  /** An alias when the elements are contiguous, else a contiguous copy. */
  toContiguous(): Tensor {
    return this.contiguous ? this.alias() : this.device.makeContiguous(this);
  }

  /** A copy on another device (an alias on the same one). Waits for this tensor's device. */
  async to(device: Device): Promise<Tensor> {
    if (device === this.device) return this.alias();
    return device.tensor(await this.data(), this.shape, this.dtype);
  }

  /** `f32[2, 3] on cpu`. */
  toString(): string {
    return `${this.dtype}${formatShape(this.shape)} on ${this.device.name}`;
  }
}

/** True when two tensors have the same dtype and shape. */
export function sameSpec(a: Tensor, b: Tensor): boolean {
  return a.dtype === b.dtype && sameShape(a.shape, b.shape);
}

/**
 * The resources a value owns: itself when it is one, or those of its elements.
 *
 * @throws InputError when the value nests deeper than 8 levels.
 */
export function ownedResources(value: unknown, depth = 0): Resource[] {
  if (value === null || typeof value !== 'object') return [];
  if (depth > 8) throw new InputError('ownedResources: the value nests deeper than 8 levels.');
  if (value instanceof Tensor) return [value];
  if (isResourceOwner(value)) return [...value.ownedResources()];
  if (Array.isArray(value)) return value.flatMap((item) => ownedResources(item, depth + 1));
  if (value instanceof Map)
    return [...value.values()].flatMap((item) => ownedResources(item, depth + 1));
  if (Object.getPrototypeOf(value) === Object.prototype) {
    return Object.values(value).flatMap((item) => ownedResources(item, depth + 1));
  }
  return [];
}
