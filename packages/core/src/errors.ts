/** Error classes. Every message is one sentence: who complains, what was expected, what was given. */

/** Base of every error that Pergola throws on purpose. */
export class PergolaError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A shape does not fit the op or file that received it. */
export class ShapeError extends PergolaError {}

/** A dtype does not fit the op or file that received it. */
export class DTypeError extends PergolaError {}

/** An argument other than a shape or dtype is out of its documented range. */
export class InputError extends PergolaError {}

/** A tensor, device or scope was used after it was disposed, or on the wrong device. */
export class LifetimeError extends PergolaError {}

/** No kernel, reference or decomposition of an op exists for this call on this backend. */
export class UnsupportedOpError extends PergolaError {}

/** The device has not enough memory for an allocation. */
export class OutOfMemoryError extends PergolaError {}

/** The device went away; its tensors are lost. */
export class DeviceLostError extends PergolaError {}

/** A checkpoint is missing, truncated, malformed or does not fit its network. */
export class CheckpointError extends PergolaError {}
